"""`Memory`: the public face. Each operation as `x` and `ax`; what they do is in the pipelines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO as IO_
from typing import Any, Final, Literal, Self

from . import _inputs as inputs
from ._changing import Changing, within
from ._io import IO, Asyncio, Inline, run_inline
from ._masking import Masking
from ._opening import IN_MEMORY, default_folder, open_store
from ._recalling import Asked, Recalling, hits_for
from ._reindexing import Progress, reindex
from ._remembering import Remembering, Told
from ._store import OPEN_STORES, Agreement, Store
from ._transfer import export, import_
from ._worker import Worker
from .errors import InputError, NotFoundError
from .events import Event, Listeners
from .filters import parse
from .index import Index
from .ledger.times import now_utc, to_micros
from .merging import MergeStrategy, Together, WithoutModel
from .models import default_embedder, default_model
from .ports import Embedder, LanguageModel, Redactor, Reranker
from .tokens import count_tokens
from .types import (
    AddResult,
    Change,
    Changes,
    Context,
    Erasure,
    Hits,
    Job,
    JournaledMessage,
    MemoryItem,
    Messages,
    Page,
    Scope,
    Transfer,
)
from .windowing import WINDOW_TOKENS


class _Environment(Enum):
    DEFAULT = "from the environment"


FROM_ENVIRONMENT: Final = _Environment.DEFAULT
INLINE: IO = Inline()
ASYNCIO: IO = Asyncio()
Filters = Mapping[str, Any] | None
Infer = bool | Literal["merge"]
POLL_SECONDS = 0.02


class Memory:
    """Long-term memory: a folder, or a database and a Qdrant server.

    path: the folder of an embedded store; by default `RETAIN_HOME`, else the platform's folder for user data.
        ":memory:" keeps everything in this process, for tests.
    llm: extracts and merges. By default an OpenAI-compatible model if `OPENAI_API_KEY` is set (with
        `OPENAI_BASE_URL` and `OPENAI_MODEL` where given, and the extra `openai` installed); None for none:
        statements are then kept word for word.
    embedder: by default the bundled one (256 dimensions, nothing is downloaded).
    reranker: scores the best hits anew, where one is given.
    merger: how a model is asked what becomes of a fact; see `retain.merging`.
    redactor: masks texts (messages, metadata, queries) before they are stored or sent to a model.
    ledger: a SQLAlchemy URL, "postgresql://...", instead of SQLite in `path`.
    index: the URL of a Qdrant server, ":memory:", or an `Index`, instead of the embedded one in `path`.
    window_tokens: how much of a conversation one call of the model sees.
    encoding: the tiktoken encoding that budgets are counted with; it may be downloaded.
    listeners: called with an `Event` for every operation.
    resume_on_open: finish, in the background, what an earlier process left unfinished.
    now: the clock.

    A context manager, sync and async. Several `Memory` objects of one process on the same folder share it.
    Thread-safe. Raises StoreLockedError, StoreVersionError, EmbedderMismatchError, StorageError, InputError.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        llm: LanguageModel | _Environment | None = FROM_ENVIRONMENT,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        merger: MergeStrategy | None = None,
        redactor: Redactor | None = None,
        ledger: str | None = None,
        index: str | Index | None = None,
        window_tokens: int = WINDOW_TOKENS,
        encoding: str | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
        resume_on_open: bool = True,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        self._llm = default_model() if isinstance(llm, _Environment) else llm
        _check_ports(self._llm, embedder, reranker)
        inputs.limit_of(window_tokens, "window_tokens")
        self._masking = Masking(redactor)
        self._events = Listeners()
        for listener in listeners:
            self._events.subscribe(listener)
        self._now = now
        self._store: Store = open_store(path, embedder or default_embedder(), ledger, index, now)
        self._folder = _folder_of(path, ledger)
        self._left = False
        self._remembering = Remembering(
            self._store,
            llm=self._llm,
            merger=merger or (Together() if self._llm is not None else WithoutModel()),
            listeners=self._events,
            window_tokens=window_tokens,
        )
        self._recalling = Recalling(
            self._store,
            reranker=reranker,
            listeners=self._events,
            count=lambda text: count_tokens(text, encoding),
        )
        self._changing = Changing(self._store, listeners=self._events)
        self._worker = Worker(self._store, self._remembering, now)
        if resume_on_open and self._store.ledger.jobs.next_due() is not None:
            self._worker.start()

    # -- life ---------------------------------------------------------------------------------------------------

    @property
    def llm(self) -> LanguageModel | None:
        """The model that extracts and merges."""
        return self._llm

    @property
    def embedder(self) -> Embedder:
        """The embedder of the store."""
        return self._store.embedder

    @property
    def folder(self) -> Path | None:
        """The folder of an embedded store; None for ":memory:" and for servers."""
        return self._folder

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._left

    def close(self) -> None:
        """Finish the background work that is due, and close the store. Closing twice is harmless."""
        if self._left:
            return
        self._left = True
        self._worker.stop(drain=True)
        OPEN_STORES.leave(self._store)

    async def aclose(self) -> None:
        """Async `close`."""
        await ASYNCIO.run(self.close)

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
        return self._events.subscribe(listener)

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
    ) -> AddResult:
        """Remember what is worth it of a string, a message, or a conversation.

        user_id, agent_id, run_id: whose memory it is; at least one.
        session_id: the conversation that the messages belong to. It labels them and does not divide memory.
        metadata: a JSON object that every memory of this call carries.
        happened_at: when it was said, for imported conversations: "yesterday" is the day before that.
        infer: False keeps every text as it is; "merge" takes every text for a fact that needs no extraction,
            and merges it with what is known.
        instructions: what to remember or leave out, in words, for the model.
        background: return once the messages are journaled; the work goes on in a thread.

        Returns what was committed, one change per fact. Messages whose `id` is known are not remembered twice.

        Raises InputError (nothing is stored), ModelError (the messages are journaled, `resume` finishes the
        work), StorageError, ClosedError.
        """
        told = self._told(
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
        )
        result = run_inline(self._remembering.add(INLINE, told))
        return self._started(result)

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
    ) -> AddResult:
        """Async `add`."""
        told = self._told(
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
        )
        return self._started(await self._remembering.add(ASYNCIO, told))

    def record(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        happened_at: datetime | str | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """Journal messages without remembering anything of them: a session's log.

        Returns those that are new; messages whose `id` is known in the session are left as they are. A later
        `add` with the same ids remembers them.
        """
        scope, session, said = self._said(messages, user_id, agent_id, run_id, session_id, happened_at)
        return run_inline(self._remembering.record(INLINE, scope, session, said))

    async def arecord(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        happened_at: datetime | str | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """Async `record`."""
        scope, session, said = self._said(messages, user_id, agent_id, run_id, session_id, happened_at)
        return await self._remembering.record(ASYNCIO, scope, session, said)

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
        explain: bool = False,
    ) -> Hits:
        """The memories that answer a query, best first.

        filters: on metadata and times, e.g. `{"category": "work", "created_at": {"gte": "2026-01-01"}}`;
            operators eq, ne, in, nin, gt, gte, lt, lte, contains; AND, OR, NOT.
        as_of: what was known at that instant, instead of now.
        threshold: the least score of a hit, in [0, 1].
        explain: fill `parts` of each hit with what its score is made of.
        """
        asked = self._asked(query, user_id, agent_id, run_id, limit, filters, as_of, threshold, explain)
        return run_inline(self._recalling.search(INLINE, asked))

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
        explain: bool = False,
    ) -> Hits:
        """Async `search`."""
        asked = self._asked(query, user_id, agent_id, run_id, limit, filters, as_of, threshold, explain)
        return await self._recalling.search(ASYNCIO, asked)

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
    ) -> Context:
        """What an agent should see before it answers `query`: memories, then the turns behind them.

        The text is framed and marked as data, never longer than `max_tokens`, and empty where nothing is known.
        """
        budget = inputs.limit_of(max_tokens, "max_tokens")
        asked = self._asked(query, user_id, agent_id, run_id, hits_for(budget), filters, as_of, threshold)
        return run_inline(self._recalling.recall(INLINE, asked, max_tokens=budget))

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
    ) -> Context:
        """Async `recall`."""
        budget = inputs.limit_of(max_tokens, "max_tokens")
        asked = self._asked(query, user_id, agent_id, run_id, hits_for(budget), filters, as_of, threshold)
        return await self._recalling.recall(ASYNCIO, asked, max_tokens=budget)

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
        return run_inline(self._get(INLINE, memory_id, _guard(user_id, agent_id, run_id), as_of))

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
        return await self._get(ASYNCIO, memory_id, _guard(user_id, agent_id, run_id), as_of)

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
            self._get_all(INLINE, _guard(user_id, agent_id, run_id, True), filters, as_of, limit, cursor)
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
        return await self._get_all(
            ASYNCIO, _guard(user_id, agent_id, run_id, True), filters, as_of, limit, cursor
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
        return run_inline(self._count(INLINE, _guard(user_id, agent_id, run_id), filters, as_of))

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
        return await self._count(ASYNCIO, _guard(user_id, agent_id, run_id), filters, as_of)

    def history(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Everything that happened to a memory, oldest first. Raises NotFoundError."""
        return run_inline(self._history(INLINE, memory_id, _guard(user_id, agent_id, run_id)))

    async def ahistory(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Async `history`."""
        return await self._history(ASYNCIO, memory_id, _guard(user_id, agent_id, run_id))

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
        scope, session = _guard(user_id, agent_id, run_id, True), inputs.session_of(session_id)
        return run_inline(self._messages(INLINE, scope, session, limit))

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
        scope, session = _guard(user_id, agent_id, run_id, True), inputs.session_of(session_id)
        return await self._messages(ASYNCIO, scope, session, limit)

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
        arguments = self._rewriting(memory_id, text, metadata)
        return run_inline(self._changing.update(INLINE, *arguments, _guard(user_id, agent_id, run_id)))

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
        arguments = self._rewriting(memory_id, text, metadata)
        return await self._changing.update(ASYNCIO, *arguments, _guard(user_id, agent_id, run_id))

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
        return run_inline(self._changing.delete(INLINE, memory_id, _guard(user_id, agent_id, run_id)))

    async def adelete(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Async `delete`."""
        return await self._changing.delete(ASYNCIO, memory_id, _guard(user_id, agent_id, run_id))

    def delete_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:
        """`delete` every memory that matches. At least one id is required."""
        scope = _guard(user_id, agent_id, run_id, True)
        return run_inline(self._changing.delete_all(INLINE, scope, parse(filters)))

    async def adelete_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:
        """Async `delete_all`."""
        scope = _guard(user_id, agent_id, run_id, True)
        return await self._changing.delete_all(ASYNCIO, scope, parse(filters))

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
        return run_inline(self._changing.undo(INLINE, change_or_add_id, _guard(user_id, agent_id, run_id)))

    async def aundo(
        self,
        change_or_add_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Async `undo`."""
        return await self._changing.undo(ASYNCIO, change_or_add_id, _guard(user_id, agent_id, run_id))

    def erase(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Remove everything that carries these ids, for good: memories with their history, messages, vectors,
        jobs, and their bytes in the files. With `dry_run`, only count what would go."""
        scope = _guard(user_id, agent_id, run_id, True)
        return run_inline(self._changing.erase(INLINE, scope, dry_run=dry_run))

    async def aerase(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Async `erase`."""
        scope = _guard(user_id, agent_id, run_id, True)
        return await self._changing.erase(ASYNCIO, scope, dry_run=dry_run)

    def reset(self, *, confirm: bool = False) -> Erasure:
        """`erase` the whole store, of every user. Only with `confirm=True`."""
        _confirmed(confirm)
        return run_inline(self._changing.erase(INLINE, Scope(), dry_run=False))

    async def areset(self, *, confirm: bool = False) -> Erasure:
        """Async `reset`."""
        _confirmed(confirm)
        return await self._changing.erase(ASYNCIO, Scope(), dry_run=False)

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
        scope, session = _guard(user_id, agent_id, run_id, True), inputs.session_of(session_id)
        return run_inline(self._clear(INLINE, scope, session, keep))

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
        scope, session = _guard(user_id, agent_id, run_id, True), inputs.session_of(session_id)
        return await self._clear(ASYNCIO, scope, session, keep)

    # -- work that waits ----------------------------------------------------------------------------------------

    def resume(self) -> list[AddResult]:
        """Finish every `add` that is journaled and not done. Raises ModelError where the model still fails."""
        return run_inline(self._resume(INLINE))

    async def aresume(self) -> list[AddResult]:
        """Async `resume`."""
        return await self._resume(ASYNCIO)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the background has nothing left to do. False where `timeout` seconds were not enough.

        What is done by then is found by the next search.
        """
        return run_inline(self._flush(INLINE, timeout))

    async def aflush(self, timeout: float | None = None) -> bool:
        """Async `flush`."""
        return await self._flush(ASYNCIO, timeout)

    def pending(self) -> list[Job]:
        """Adds that are journaled and not done."""
        return run_inline(self._jobs(INLINE, "pending", "running"))

    async def apending(self) -> list[Job]:
        """Async `pending`."""
        return await self._jobs(ASYNCIO, "pending", "running")

    def failed(self) -> list[Job]:
        """Adds that were given up after several attempts; `retry` takes them up again."""
        return run_inline(self._jobs(INLINE, "failed"))

    async def afailed(self) -> list[Job]:
        """Async `failed`."""
        return await self._jobs(ASYNCIO, "failed")

    def retry(self, job_id: str | None = None) -> int:
        """Put one failed job, or all of them, back to work in the background. Returns how many."""
        return run_inline(self._retry(INLINE, job_id))

    async def aretry(self, job_id: str | None = None) -> int:
        """Async `retry`."""
        return await self._retry(ASYNCIO, job_id)

    # -- whole stores -------------------------------------------------------------------------------------------

    def export(
        self,
        target: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Transfer:
        """Write everything that carries these ids, or the whole store, as JSON Lines: messages, adds, memories in
        all their versions, and their history with its evidence.

        target: a path, replaced once the export is whole; or a text file that is open for writing.
        Vectors are not written: `import_` embeds texts anew. Raises StorageError.
        """
        return run_inline(self._export(INLINE, target, _guard(user_id, agent_id, run_id)))

    async def aexport(
        self,
        target: str | PathLike[str] | IO_[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Transfer:
        """Async `export`."""
        return await self._export(ASYNCIO, target, _guard(user_id, agent_id, run_id))

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
        return run_inline(self._import(INLINE, source, _guard(user_id, agent_id, run_id), progress))

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
        return await self._import(ASYNCIO, source, _guard(user_id, agent_id, run_id), progress)

    def reindex(self, embedder: Embedder | None = None, *, progress: Progress | None = None) -> int:
        """Build the index anew, with another embedder where one is given, while everything goes on.

        Every `Memory` of this process on the store has the new embedder when it returns; other processes have to
        open the store anew. If it is cut short, the store is as it was, and texts that are embedded already are
        not embedded again. progress: called with how many texts, then points, are done, and how many there are.
        Returns the number of points. Raises InputError, EmbeddingError, StorageError.
        """
        return run_inline(self._reindex(INLINE, embedder, progress))

    async def areindex(self, embedder: Embedder | None = None, *, progress: Progress | None = None) -> int:
        """Async `reindex`."""
        return await self._reindex(ASYNCIO, embedder, progress)

    # -- care ---------------------------------------------------------------------------------------------------

    def verify(self) -> Agreement:
        """Whether ledger and index agree, and what is missing where. True in a condition if they do."""
        return run_inline(self._verify(INLINE))

    async def averify(self) -> Agreement:
        """Async `verify`."""
        return await self._verify(ASYNCIO)

    def repair(self) -> Agreement:
        """Bring the index in line with the ledger."""
        return run_inline(self._repair(INLINE))

    async def arepair(self) -> Agreement:
        """Async `repair`."""
        return await self._repair(ASYNCIO)

    # -- the bodies that both faces share -----------------------------------------------------------------------

    def _said(
        self,
        messages: Messages,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        session_id: str | None,
        happened_at: datetime | str | None,
    ) -> tuple[Scope, str | None, list[Any]]:
        self._store.check()
        scope = inputs.scope_of(user_id, agent_id, run_id)
        at = self._now() if happened_at is None else happened_at
        checked = inputs.messages_of(messages, inputs.moment_of("happened_at", at))
        said = [self._masking.message(message) for message in checked]
        return scope, inputs.session_of(session_id), said

    def _told(
        self,
        messages: Messages,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        session_id: str | None,
        metadata: Mapping[str, Any] | None,
        happened_at: datetime | str | None,
        infer: Infer,
        instructions: str | None,
        background: bool,
    ) -> Told:
        scope, session, said = self._said(messages, user_id, agent_id, run_id, session_id, happened_at)
        wishes = None if instructions is None else inputs.text_of("instructions", instructions)
        if infer not in (True, False, "merge"):
            raise InputError(f'infer={infer!r}: pass True, False or "merge"')
        return Told(
            scope, said, inputs.metadata_of(metadata), session, bool(infer), wishes, background,
            extract=infer != "merge",
        )  # fmt: skip

    def _started(self, result: AddResult) -> AddResult:
        if result.state == "pending":
            self._worker.start()
        return result

    def _asked(
        self,
        query: str,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        limit: int,
        filters: Filters,
        as_of: datetime | str | None,
        threshold: float | None,
        explain: bool = False,
    ) -> Asked:
        self._store.check()
        return Asked(
            self._masking.text(inputs.text_of("query", query)),
            inputs.scope_of(user_id, agent_id, run_id),
            inputs.limit_of(limit),
            parse(filters),
            _instant(as_of),
            inputs.share_of("threshold", threshold),
            explain,
        )

    def _rewriting(
        self, memory_id: str, text: str | None, metadata: Mapping[str, Any] | None
    ) -> tuple[str, str | None, Any]:
        if text is None and metadata is None:
            raise InputError("update changes the text, the metadata, or both; neither was given")
        return (
            inputs.text_of("memory_id", memory_id),
            None if text is None else self._masking.text(inputs.text_of("text", text)),
            None if metadata is None else self._masking.json(inputs.metadata_of(metadata)),
        )

    async def _get(
        self, io: IO, memory_id: str, scope: Scope, as_of: datetime | str | None
    ) -> MemoryItem | None:
        self._store.check()
        inputs.text_of("memory_id", memory_id)
        item = await io.run(self._store.ledger.memories.get, memory_id, as_of=_instant(as_of))
        return item if item is not None and within(item, scope) else None

    async def _get_all(
        self,
        io: IO,
        scope: Scope,
        filters: Filters,
        as_of: datetime | str | None,
        limit: int | None,
        cursor: str | None,
    ) -> Page:
        self._store.check()
        if limit is not None:
            inputs.limit_of(limit)
        return await io.run(
            self._store.ledger.memories.page,
            scope,
            filters=parse(filters),
            as_of=_instant(as_of),
            limit=limit,
            cursor=cursor,
        )

    async def _count(self, io: IO, scope: Scope, filters: Filters, as_of: datetime | str | None) -> int:
        self._store.check()
        return await io.run(self._store.ledger.memories.count, scope, parse(filters), _instant(as_of))

    async def _history(self, io: IO, memory_id: str, scope: Scope) -> Changes:
        self._store.check()
        memories = self._store.ledger.memories
        item, _ = await io.run(memories.last_version, inputs.text_of("memory_id", memory_id))
        if not within(item, scope):
            raise NotFoundError(f"there is no memory {memory_id!r}")
        return await io.run(memories.history, memory_id)

    async def _messages(
        self, io: IO, scope: Scope, session_id: str | None, limit: int | None
    ) -> tuple[JournaledMessage, ...]:
        self._store.check()
        if limit is not None:
            inputs.limit_of(limit)
        return await io.run(self._store.ledger.journal.listed, scope, session_id, limit=limit)

    async def _clear(self, io: IO, scope: Scope, session_id: str | None, keep: Sequence[str]) -> int:
        self._store.check()
        return await io.run(self._store.ledger.journal.clear, scope, session_id, list(keep))

    async def _jobs(self, io: IO, *states: Any) -> list[Job]:
        self._store.check()
        return [job.public() for job in await io.run(self._store.ledger.jobs.listed, *states)]

    async def _resume(self, io: IO) -> list[AddResult]:
        self._store.check()
        results = []
        for job in await io.run(self._store.ledger.jobs.listed, "pending"):
            leased = await io.run(self._store.ledger.jobs.lease_one, self._remembering.owner, job.id)
            if leased is not None:
                results.append(await self._remembering.finish(io, leased))
        return results

    async def _retry(self, io: IO, job_id: str | None) -> int:
        self._store.check()
        count: int = await io.run(self._store.ledger.jobs.retry, Scope(), job_id)
        if count:
            self._worker.start()
        return count

    async def _flush(self, io: IO, timeout: float | None) -> bool:
        self._store.check()
        finished = await self._drained(io, timeout)
        await self._store.project_after_commit(io)  # a job is done a moment before the index has heard of it
        return finished

    async def _drained(self, io: IO, timeout: float | None) -> bool:
        waited = 0.0
        while await io.run(self._store.ledger.jobs.listed, "pending", "running"):
            self._worker.start()
            if timeout is not None and waited >= timeout:
                return False
            await io.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        return True

    async def _export(self, io: IO, target: str | PathLike[str] | IO_[str], scope: Scope) -> Transfer:
        self._store.check()
        with self._events.observing("export", scope):
            return await io.run(export, self._store.ledger, scope, target)

    async def _import(
        self, io: IO, source: str | PathLike[str] | IO_[str], scope: Scope, progress: Progress | None
    ) -> Transfer:
        self._store.check()
        with self._events.observing("import", scope):
            imported = await import_(self._store, io, source, scope, progress)
        if await io.run(self._store.ledger.jobs.next_due) is not None:
            self._worker.start()
        return imported

    async def _reindex(self, io: IO, embedder: Embedder | None, progress: Progress | None) -> int:
        self._store.check()
        _check_ports(None, embedder, None)
        with self._events.observing("reindex", Scope()):
            return await reindex(self._store, io, embedder, progress)

    async def _verify(self, io: IO) -> Agreement:
        self._store.check()
        return await self._store.verify(io)

    async def _repair(self, io: IO) -> Agreement:
        self._store.check()
        return await self._store.repair(io)


def _folder_of(path: str | PathLike[str] | None, ledger: str | None) -> Path | None:
    if ledger is not None or (path is not None and str(path) == IN_MEMORY):
        return None
    return default_folder() if path is None else Path(path).expanduser().resolve()


def _guard(user_id: str | None, agent_id: str | None, run_id: str | None, required: bool = False) -> Scope:
    return inputs.scope_of(user_id, agent_id, run_id, required=required)


def _instant(as_of: datetime | str | None) -> int | None:
    return None if as_of is None else to_micros(inputs.moment_of("as_of", as_of))


def _confirmed(confirm: bool) -> None:
    if confirm is not True:
        raise InputError("reset erases every user's memory; pass confirm=True if that is what you want")


def _check_ports(llm: object, embedder: object, reranker: object) -> None:
    """Objects that lack a port's members are refused now, not in the middle of the first add."""
    for name, value, port in (
        ("llm", llm, LanguageModel),
        ("embedder", embedder, Embedder),
        ("reranker", reranker, Reranker),
    ):
        if value is None:
            continue
        missing = [member for member in sorted(_members(port)) if not _has(value, member)]
        if missing:
            raise InputError(f"{name}={value!r} is no {port.__name__}: it lacks {', '.join(missing)}")


def _has(value: object, member: str) -> bool:
    """Whether it is there, without asking for it: a property may ask a server."""
    try:
        inspect.getattr_static(value, member)
    except AttributeError:
        return hasattr(type(value), "__getattr__") and hasattr(value, member)
    return True


def _members(port: type) -> set[str]:
    return {name for name in vars(port) if not name.startswith("_")}
