"""`Memory`: the public face. Each operation as `x` and `ax`; what they do is in the pipelines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO as IO_
from typing import Any, Self

from .decisions.extraction import WINDOW_TOKENS
from .decisions.merging import Examination, MergeStrategy
from .engine import arguments as inputs
from .engine.documents import Documents
from .engine.events import Event
from .engine.operations import FROM_ENVIRONMENT, WAIT, Environment, Filters, Infer, Operations, confirmed
from .engine.paths import ModelSize
from .engine.reindex import Progress
from .engine.search import hits_for
from .errors import InputError
from .io import IO, Asyncio, Inline, run_inline
from .ports import Embedder, LanguageModel, Redactor, Reranker
from .storage.index import Index
from .storage.store import Agreement
from .storage.times import now_utc
from .types import (
    AddResult,
    Change,
    Changes,
    Context,
    Erasure,
    Flushed,
    Hits,
    Job,
    JournaledMessage,
    MemoryItem,
    Messages,
    Page,
    Scope,
    Transfer,
)

INLINE: IO = Inline()
ASYNCIO: IO = Asyncio()


class Memory:
    """Long-term memory: a folder, or a database and a Qdrant server.

    path: the folder of an embedded store; by default `HOLDFAST_HOME`, else the platform's folder for user data.
        ":memory:" keeps everything in this process, for tests.
    llm: extracts and merges. By default an OpenAI-compatible model if `OPENAI_API_KEY` is set (with
        `OPENAI_BASE_URL` and `OPENAI_MODEL` where given, and the extra `openai` installed); None for none:
        statements are then kept word for word.
    embedder: by default the bundled one (256 dimensions, nothing is downloaded).
    reranker: scores the best hits anew, where one is given.
    merger: how a model is asked what becomes of a fact; see `holdfast.decisions.merging`.
    redactor: masks texts before they are stored or sent to a model: messages with their names and data, queries,
        instructions, metadata and documents with their keys, session ids. A key or session id in which something is
        masked becomes a pseudonym. Ids that say whose something is stay (user_id, agent_id, run_id, ids of messages,
        namespaces and keys of documents): let them be opaque.
    ledger: a SQLAlchemy URL, "postgresql://...", instead of SQLite in `path`.
    index: the URL of a Qdrant server, ":memory:", or an `Index`, instead of the embedded one in `path`.
    model_size: "large" lets the model decide by itself, "small" asks it step by step and keeps a fact whenever it is
        in doubt. "auto" examines a model once, when it is first used with a store: a dozen decisions whose answers
        are known, under 2,000 tokens; see `llm_examined`.
    window_tokens: how much of a conversation one call of the model sees, in tokens.
    encoding: the tiktoken encoding that budgets are counted with; it may be downloaded.
    listeners: called with an `Event` for every operation.
    resume_on_open: finish, in the background, what an earlier process left unfinished.
    workers: how many adds the background works on at a time, each of another scope: one of the same ids waits for
        those before it.
    require_scope: refuse every read and change that names no id; operators' calls (resume, verify ...) stay.
    now: the clock.

    A context manager, sync and async. Several `Memory` objects of one process on the same folder share it.
    Thread-safe. Raises StoreLockedError, StoreVersionError, EmbedderMismatchError, StorageError, InputError.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        llm: LanguageModel | Environment | None = FROM_ENVIRONMENT,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        merger: MergeStrategy | None = None,
        redactor: Redactor | None = None,
        ledger: str | None = None,
        index: str | Index | None = None,
        model_size: ModelSize = "auto",
        window_tokens: int = WINDOW_TOKENS,
        encoding: str | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
        resume_on_open: bool = True,
        workers: int = 4,
        require_scope: bool = False,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        self._do = Operations(
            path,
            llm=llm,
            embedder=embedder,
            reranker=reranker,
            merger=merger,
            redactor=redactor,
            ledger=ledger,
            index=index,
            model_size=model_size,
            window_tokens=window_tokens,
            encoding=encoding,
            listeners=listeners,
            resume_on_open=resume_on_open,
            workers=workers,
            require_scope=require_scope,
            now=now,
        )

    # -- life ---------------------------------------------------------------------------------------------------

    def check(
        self,
        *,
        max_tokens: int = 1000,
        limit: int = 10,
        filters: Filters = None,
        threshold: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        instructions: str | None = None,
        background: bool = True,
        after_seconds: float = 0,
    ) -> None:
        """Raise the InputError that `add`, `search` or `recall` would raise for these arguments later."""
        inputs.limit_of(max_tokens, "max_tokens")
        inputs.limit_of(limit)
        self._do.parsed(filters)
        inputs.share_of("threshold", threshold)
        inputs.metadata_of(metadata)
        if instructions is not None:
            inputs.text_of("instructions", instructions, inputs.INSTRUCTIONS_BYTES)
        inputs.delay_of(after_seconds, background)

    @property
    def llm(self) -> LanguageModel | None:
        """The model that extracts and merges."""
        return self._do.llm

    @property
    def llm_examined(self) -> Examination | None:
        """How the model did in this store's examination: `right` of `asked` decisions, and `passed`. None before its
        first use, and where none is needed (no model, `model_size` given, or a `merger` of your own)."""
        return self._do.paths.examined

    @property
    def embedder(self) -> Embedder:
        """The embedder of the store."""
        return self._do.store.embedder

    @property
    def documents(self) -> Documents:
        """The store of documents beside the memories: JSON objects under namespaces and keys."""
        self._do.whole("documents")
        return Documents(self._do.store, self._do.masking)

    @property
    def folder(self) -> Path | None:
        """The folder of an embedded store; None for ":memory:" and for servers."""
        return self._do.folder

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._do.closed

    def close(self) -> None:
        """Finish the background work that is due, and close the store. Closing twice is harmless."""
        self._do.close()

    def on_close(self, function: Callable[[], None]) -> None:
        """Call `function` when the memory is closed, before its store is."""
        self._do.closing.append(function)

    async def aclose(self) -> None:
        """Async `close`."""
        await self._do.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Have every operation reported to `listener`. Returns the function that ends it."""
        self._do.whole("subscribe")
        return self._do.events.subscribe(listener)

    def scoped(
        self, *, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> ScopedMemory:
        """This memory as one user, agent or run may see it: every operation reaches what carries these ids, and
        nothing else. What is given to one code path is this, rather than the whole.

        Further ids narrow a call down; another value of a bound one raises InputError.
        """
        return ScopedMemory._of(self, self._do.narrowed(user_id, agent_id, run_id))

    # -- remembering --------------------------------------------------------------------------------------------

    def add(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        happened_at: datetime | str | None = None,
        infer: Infer = True,
        instructions: str | None = None,
        background: bool = False,
        after_seconds: float = 0,
    ) -> AddResult:
        """Remember what is worth it of a string, a message, or a conversation.

        user_id, agent_id, run_id: whose memory it is; at least one.
        session_id: the conversation that the messages belong to. It labels them and does not divide memory.
        metadata: a JSON object that every memory of this call carries.
        happened_at: when it was said, for imported conversations: "yesterday" is the day before that. Not more than
            ten minutes ahead of the clock.
        infer: False keeps every text as it is; "merge" takes every text for a fact that needs no extraction,
            and merges it with what is known.
        instructions: what to remember or leave out, in words, for the model.
        background: return once the messages are journaled; the work goes on in a thread.
        after_seconds: with `background`, put the work off: it begins when the session has been quiet for so long
            (an hour at most). A later call in the same session takes these messages along and answers for them,
            under its own id; one in another session of the same ids, `flush` and `resume` begin the work at once.
            Only calls that extract do so.

        Returns what was committed, one change per fact. Messages whose `id` is known are not remembered twice, nor
        are the same messages that are told again after an error that carried an `add_id`.

        Raises InputError (nothing is stored), ModelError (the messages are journaled, `resume` finishes the
        work), StorageError, ClosedError.
        """
        told = self._do.told(
            messages,
            user_id,
            agent_id,
            run_id,
            session_id,
            metadata,
            happened_at,
            infer,
            instructions,
            background,
            after_seconds,
        )
        return run_inline(self._do.add(INLINE, told))

    async def aadd(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        happened_at: datetime | str | None = None,
        infer: Infer = True,
        instructions: str | None = None,
        background: bool = False,
        after_seconds: float = 0,
    ) -> AddResult:
        """Async `add`."""
        told = self._do.told(
            messages,
            user_id,
            agent_id,
            run_id,
            session_id,
            metadata,
            happened_at,
            infer,
            instructions,
            background,
            after_seconds,
        )
        return await self._do.add(ASYNCIO, told)

    def record(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        happened_at: datetime | str | None = None,
        keep: Sequence[str] | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """Journal messages without remembering anything of them: a session's log.

        keep: ids of journaled messages; everything else leaves the session's log in the same transaction, as by
            `clear_messages`. By default nothing leaves it.

        Returns those that are new; messages whose `id` is known in the session are left as they are. A later
        `add` with the same ids remembers them.
        """
        kept = None if keep is None else inputs.ids_of("keep", keep)
        scope, session, said = self._do.said(messages, user_id, agent_id, run_id, session_id, happened_at)
        return run_inline(self._do.remembering.record(INLINE, scope, session, said, kept))

    async def arecord(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        happened_at: datetime | str | None = None,
        keep: Sequence[str] | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """Async `record`."""
        kept = None if keep is None else inputs.ids_of("keep", keep)
        scope, session, said = self._do.said(messages, user_id, agent_id, run_id, session_id, happened_at)
        return await self._do.remembering.record(ASYNCIO, scope, session, said, kept)

    # -- recalling ----------------------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        limit: int = 10,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        threshold: float | None = None,
        session_id: str | None = None,
        wait: float = WAIT,
        explain: bool = False,
    ) -> Hits:
        """The memories that answer a query, best first.

        filters: on metadata and times, e.g. `{"category": "work", "created_at": {"gte": "2026-01-01"}}`;
            operators eq, ne, in, nin, gt, gte, lt, lte, contains; AND, OR, NOT.
        as_of: what was known at that instant, instead of now.
        threshold: the least score of a hit, in [0, 1].
        wait: how many seconds, at most, to wait for adds of these ids that are under way, in the background or in
            another thread, so that what was said a moment ago is found. Each is waited for once, and none with
            `as_of`, or while the model fails. 0 never waits.
        session_id: the conversation that asks; what it is adding itself is not waited for.
        explain: fill `parts` of each hit with what its score is made of.
        """
        asked = self._do.asked(
            query, user_id, agent_id, run_id, limit, filters, as_of, threshold, wait, session_id, explain
        )
        return run_inline(self._do.recalling.search(INLINE, asked))

    async def asearch(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        limit: int = 10,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        threshold: float | None = None,
        session_id: str | None = None,
        wait: float = WAIT,
        explain: bool = False,
    ) -> Hits:
        """Async `search`."""
        asked = self._do.asked(
            query, user_id, agent_id, run_id, limit, filters, as_of, threshold, wait, session_id, explain
        )
        return await self._do.recalling.search(ASYNCIO, asked)

    def recall(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        max_tokens: int = 1000,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        threshold: float | None = None,
        session_id: str | None = None,
        wait: float = WAIT,
        shown: Collection[str] = (),
    ) -> Context:
        """What an agent should see before it answers `query`: memories, then the turns behind them.

        The text is framed and marked as data, never longer than `max_tokens`, and empty where nothing is known.
        filters, as_of, threshold, wait, session_id: as for `search`. What the conversation `session_id` is adding is
        not waited for, for it is before the agent's eyes.
        shown: ids of journaled messages that the prompt shows anyway. They are not shown again, nor are memories
            that came from these alone.
        """
        budget = inputs.limit_of(max_tokens, "max_tokens")
        limit = hits_for(budget, len(shown))
        asked = self._do.asked(
            query, user_id, agent_id, run_id, limit, filters, as_of, threshold, wait, session_id
        )
        return run_inline(self._do.recalling.recall(INLINE, asked, max_tokens=budget, shown=frozenset(shown)))

    async def arecall(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        max_tokens: int = 1000,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        threshold: float | None = None,
        session_id: str | None = None,
        wait: float = WAIT,
        shown: Collection[str] = (),
    ) -> Context:
        """Async `recall`."""
        budget = inputs.limit_of(max_tokens, "max_tokens")
        limit = hits_for(budget, len(shown))
        asked = self._do.asked(
            query, user_id, agent_id, run_id, limit, filters, as_of, threshold, wait, session_id
        )
        return await self._do.recalling.recall(ASYNCIO, asked, max_tokens=budget, shown=frozenset(shown))

    # -- reading ------------------------------------------------------------------------------------------------

    def get(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        as_of: datetime | str | None = None,
    ) -> MemoryItem | None:
        """A memory by its id, or None where there is none (of those ids, at that instant)."""
        return run_inline(self._do.get(INLINE, memory_id, self._do.reach(user_id, agent_id, run_id), as_of))

    async def aget(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        as_of: datetime | str | None = None,
    ) -> MemoryItem | None:
        """Async `get`."""
        return await self._do.get(ASYNCIO, memory_id, self._do.reach(user_id, agent_id, run_id), as_of)

    def get_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Memories, oldest first: all of them, or `limit` at a time with `cursor=page.next` for the next page."""
        return run_inline(
            self._do.get_all(
                INLINE,
                self._do.reach(user_id, agent_id, run_id, required=True),
                filters,
                as_of,
                limit,
                cursor,
            )
        )

    async def aget_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
        as_of: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Async `get_all`."""
        return await self._do.get_all(
            ASYNCIO, self._do.reach(user_id, agent_id, run_id, required=True), filters, as_of, limit, cursor
        )

    def count(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
        as_of: datetime | str | None = None,
    ) -> int:
        """How many memories match; without ids, those of the whole store."""
        return run_inline(self._do.count(INLINE, self._do.reach(user_id, agent_id, run_id), filters, as_of))

    async def acount(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
        as_of: datetime | str | None = None,
    ) -> int:
        """Async `count`."""
        return await self._do.count(ASYNCIO, self._do.reach(user_id, agent_id, run_id), filters, as_of)

    def history(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Everything that happened to a memory, oldest first. Raises NotFoundError."""
        return run_inline(self._do.history(INLINE, memory_id, self._do.reach(user_id, agent_id, run_id)))

    async def ahistory(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Async `history`."""
        return await self._do.history(ASYNCIO, memory_id, self._do.reach(user_id, agent_id, run_id))

    def messages(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """The journal: what was said, oldest first; with `limit`, the newest so many."""
        scope, session = (
            self._do.reach(user_id, agent_id, run_id, required=True),
            self._do.session(session_id),
        )
        return run_inline(self._do.messages(INLINE, scope, session, limit))

    async def amessages(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """Async `messages`."""
        scope, session = (
            self._do.reach(user_id, agent_id, run_id, required=True),
            self._do.session(session_id),
        )
        return await self._do.messages(ASYNCIO, scope, session, limit)

    # -- changing -----------------------------------------------------------------------------------------------

    def update(
        self,
        memory_id: str,
        text: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Replace a memory's text, its metadata (as a whole), or both. Raises NotFoundError."""
        arguments = self._do.rewriting(memory_id, text, metadata)
        return run_inline(
            self._do.changing.update(INLINE, *arguments, self._do.reach(user_id, agent_id, run_id))
        )

    async def aupdate(
        self,
        memory_id: str,
        text: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Async `update`."""
        arguments = self._do.rewriting(memory_id, text, metadata)
        return await self._do.changing.update(ASYNCIO, *arguments, self._do.reach(user_id, agent_id, run_id))

    def delete(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Forget a memory: it is no longer recalled; its history stays, and `undo` brings it back.

        To remove it for good, use `erase`. Raises NotFoundError.
        """
        return run_inline(
            self._do.changing.delete(INLINE, memory_id, self._do.reach(user_id, agent_id, run_id))
        )

    async def adelete(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Async `delete`."""
        return await self._do.changing.delete(ASYNCIO, memory_id, self._do.reach(user_id, agent_id, run_id))

    def delete_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:
        """`delete` every memory that matches. At least one id is required."""
        scope = self._do.reach(user_id, agent_id, run_id, required=True)
        return run_inline(self._do.changing.delete_all(INLINE, scope, self._do.parsed(filters)))

    async def adelete_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:
        """Async `delete_all`."""
        scope = self._do.reach(user_id, agent_id, run_id, required=True)
        return await self._do.changing.delete_all(ASYNCIO, scope, self._do.parsed(filters))

    def undo(
        self,
        change_or_add_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Take a change back, or everything that one `add` did. The undo is itself a change, and undoable.

        Raises UndoError where later changes depend on it, and NotFoundError.
        """
        return run_inline(
            self._do.changing.undo(INLINE, change_or_add_id, self._do.reach(user_id, agent_id, run_id))
        )

    async def aundo(
        self,
        change_or_add_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Async `undo`."""
        return await self._do.changing.undo(
            ASYNCIO, change_or_add_id, self._do.reach(user_id, agent_id, run_id)
        )

    def erase(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Remove everything that carries these ids, for good: memories with their history, messages, vectors,
        jobs, and their bytes in the files. With `dry_run`, only count what would go.

        They are found by nobody from the first moment on. An embedded store then writes its files anew, which takes
        minutes where it holds a million memories; searches go on meanwhile, and changes but for some seconds. It
        waits for a `reindex` under way. If it is cut short, the next opening completes it. Raises StorageError.
        """
        scope = self._do.reach(user_id, agent_id, run_id, required=True)
        return run_inline(self._do.changing.erase(INLINE, scope, dry_run=dry_run))

    async def aerase(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Async `erase`."""
        scope = self._do.reach(user_id, agent_id, run_id, required=True)
        return await self._do.changing.erase(ASYNCIO, scope, dry_run=dry_run)

    def reset(self, *, confirm: bool = False) -> Erasure:
        """`erase` the whole store, of every user. Only with `confirm=True`."""
        self._do.whole("reset")
        confirmed(confirm)
        return run_inline(self._do.changing.erase(INLINE, Scope(), dry_run=False))

    async def areset(self, *, confirm: bool = False) -> Erasure:
        """Async `reset`."""
        self._do.whole("reset")
        confirmed(confirm)
        return await self._do.changing.erase(ASYNCIO, Scope(), dry_run=False)

    def clear_messages(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        keep: Sequence[str] = (),
    ) -> int:
        """Empty a session's log: `messages` no longer shows it. As evidence of memories it stays in the journal.

        keep: ids of journaled messages that stay in the log. Returns how many messages left it.
        """
        scope, session = (
            self._do.reach(user_id, agent_id, run_id, required=True),
            self._do.session(session_id),
        )
        return run_inline(self._do.clear(INLINE, scope, session, keep))

    async def aclear_messages(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        keep: Sequence[str] = (),
    ) -> int:
        """Async `clear_messages`."""
        scope, session = (
            self._do.reach(user_id, agent_id, run_id, required=True),
            self._do.session(session_id),
        )
        return await self._do.clear(ASYNCIO, scope, session, keep)

    # -- work that waits ----------------------------------------------------------------------------------------

    def resume(self) -> list[AddResult]:
        """Finish every `add` that is journaled and not done. Raises ModelError where the model still fails."""
        return run_inline(self._do.resume(INLINE))

    async def aresume(self) -> list[AddResult]:
        """Async `resume`."""
        return await self._do.resume(ASYNCIO)

    def flush(self, timeout: float | None = None) -> Flushed:
        """Wait for what the background can do; what is done is found by the next search.

        timeout: seconds. Without it, until nothing is under way: an add that failed and waits to be tried again
        (minutes later, at last an hour) is not waited for. With it, retries that come in time are waited for, too.

        Returns what is still pending, and why: false where that is anything. Raises InputError, StorageError.
        """
        return run_inline(self._do.flush(INLINE, timeout))

    async def aflush(self, timeout: float | None = None) -> Flushed:
        """Async `flush`."""
        return await self._do.flush(ASYNCIO, timeout)

    def pending(self) -> list[Job]:
        """Adds that are journaled and not done."""
        return run_inline(self._do.jobs(INLINE, "pending", "running"))

    async def apending(self) -> list[Job]:
        """Async `pending`."""
        return await self._do.jobs(ASYNCIO, "pending", "running")

    def failed(self) -> list[Job]:
        """Adds that were given up after several attempts; `retry` takes them up again."""
        return run_inline(self._do.jobs(INLINE, "failed"))

    async def afailed(self) -> list[Job]:
        """Async `failed`."""
        return await self._do.jobs(ASYNCIO, "failed")

    def retry(self, job_id: str | None = None) -> int:
        """Put one failed job, or all of them, back to work in the background. Returns how many."""
        return run_inline(self._do.retry(INLINE, job_id))

    async def aretry(self, job_id: str | None = None) -> int:
        """Async `retry`."""
        return await self._do.retry(ASYNCIO, job_id)

    # -- whole stores -------------------------------------------------------------------------------------------

    def export(
        self,
        target: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        everything: bool = False,
    ) -> Transfer:
        """Write everything that carries these ids as JSON Lines: messages, adds, memories in all their versions, and
        their history with its evidence.

        everything: the whole store, of all users; asked for by name, where no id is given.

        target: a path, replaced once the export is whole; or a text file that is open for writing.
        Vectors are not written: `import_` embeds texts anew. Raises StorageError.
        """
        scope = self._do.exported(user_id, agent_id, run_id, everything)
        return run_inline(self._do.write_out(INLINE, target, scope))

    async def aexport(
        self,
        target: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        everything: bool = False,
    ) -> Transfer:
        """Async `export`."""
        return await self._do.write_out(
            ASYNCIO, target, self._do.exported(user_id, agent_id, run_id, everything)
        )

    def import_(
        self,
        source: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> Transfer:
        """Read an export back as it was: ids, times, history. Into any store, whatever its embedder.

        source: a path, or a text file that is open for reading.
        user_id, agent_id, run_id: refuse a file in which anything carries other ids than these.
        progress: called with the number of texts embedded, and how many there are.
        What is here already is skipped, so importing twice is harmless. One transaction: all of it or nothing.
        Raises InputError, with the number of the line, where the file is damaged, cut short, or contradicts what
        is here; EmbeddingError; StorageError.
        """
        return run_inline(
            self._do.read_in(INLINE, source, self._do.reach(user_id, agent_id, run_id), progress)
        )

    async def aimport_(
        self,
        source: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> Transfer:
        """Async `import_`."""
        return await self._do.read_in(ASYNCIO, source, self._do.reach(user_id, agent_id, run_id), progress)

    def reindex(self, embedder: Embedder | None = None, *, progress: Progress | None = None) -> int:
        """Build the index anew, with another embedder where one is given, while everything goes on.

        Every `Memory` of this process on the store has the new embedder when it returns; other processes have to
        open the store anew. If it is cut short, the store is as it was, and texts that are embedded already are
        not embedded again. progress: called with how many texts, then points, are done, and how many there are.
        Returns the number of points. Raises InputError, EmbeddingError, StorageError.
        """
        return run_inline(self._do.reindex(INLINE, embedder, progress))

    async def areindex(self, embedder: Embedder | None = None, *, progress: Progress | None = None) -> int:
        """Async `reindex`."""
        return await self._do.reindex(ASYNCIO, embedder, progress)

    # -- care ---------------------------------------------------------------------------------------------------

    def optimize(self) -> bool:
        """Lay the embedded index out for reading: a large store opens several times faster after it, takes a quarter
        of the memory, and searches somewhat faster.

        For quiet hours, say after a bulk import: it takes some five seconds per 100,000 memories that came since the
        last time, and the whole process waits meanwhile, its event loop too. Killed in the middle of it, the store
        is as it was. Returns whether there was anything to do: with fewer than some 10,000 new memories, and with a
        Qdrant server, which does it by itself, there is not. Raises StorageError.
        """
        return run_inline(self._do.optimize(INLINE))

    async def aoptimize(self) -> bool:
        """Async `optimize`."""
        return await self._do.optimize(ASYNCIO)

    def verify(self) -> Agreement:
        """Whether ledger and index agree, and what is missing where. True in a condition if they do."""
        return run_inline(self._do.verify(INLINE))

    async def averify(self) -> Agreement:
        """Async `verify`."""
        return await self._do.verify(ASYNCIO)

    def repair(self) -> Agreement:
        """Bring the index in line with the ledger."""
        return run_inline(self._do.repair(INLINE))

    async def arepair(self) -> Agreement:
        """Async `repair`."""
        return await self._do.repair(ASYNCIO)


class ScopedMemory(Memory):
    """A `Memory` bound to ids, made by `Memory.scoped`: the same operations, which reach no other scope.

    What concerns a whole store (documents, reset, reindex, import_, optimize, verify, repair, subscribe) belongs to
    the memory that it came from and raises InputError. Closing it closes nothing.
    """

    _whole: Memory

    def __init__(self) -> None:
        raise InputError("a ScopedMemory is made by Memory.scoped(user_id=...)")

    @classmethod
    def _of(cls, memory: Memory, do: Operations) -> Self:
        self = cls.__new__(cls)
        self._do = do
        self._whole = memory
        return self

    def __repr__(self) -> str:
        return f"ScopedMemory({', '.join(f'{name}={value!r}' for name, value in self.scope.ids().items())})"

    @property
    def scope(self) -> Scope:
        """The ids that it is bound to."""
        return self._do.bound

    @property
    def closed(self) -> bool:
        """Whether the memory that it came from is closed."""
        return self._whole.closed

    def close(self) -> None:
        """Nothing: the memory that it came from stays open."""

    async def aclose(self) -> None:
        """Nothing: the memory that it came from stays open."""
