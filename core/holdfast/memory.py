"""`Memory`: the public face. Every operation is written once, as `x`, and its twin `ax` follows from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO as IO_
from typing import Any, Self

from .decisions.extraction import WINDOW_TOKENS
from .decisions.merging import Examination, MergeStrategy
from .engine import arguments as inputs
from .engine import transfer
from .engine.add import Remembering
from .engine.arguments import Door, Filters, Infer
from .engine.change import Changing
from .engine.documents import Documents
from .engine.events import Event, Listeners
from .engine.jobs import Adding, Jobs
from .engine.leases import Leases
from .engine.maintenance import IndexMaintenance
from .engine.masking import Masking
from .engine.paths import ModelSize, Paths, size_of
from .engine.search import Asked, Recalling, hits_for
from .engine.waiting import WAIT, Waiting
from .engine.worker import Worker
from .errors import InputError, NotFoundError
from .io import IO, Asyncio, operation
from .models import default_embedder
from .models.defaults import FROM_ENVIRONMENT, Environment, model_of
from .models.tokens import count_tokens
from .ports import Embedder, LanguageModel, Redactor, Reranker
from .storage.index import Index
from .storage.ledger.jobs import AddOptions
from .storage.opening import open_store
from .storage.places import IN_MEMORY, folder_of
from .storage.projection import Progress
from .storage.store import OPEN_STORES
from .storage.times import now_utc
from .types import (
    AddResult,
    Change,
    Changes,
    Context,
    Erasure,
    Flushed,
    Hits,
    JournaledMessage,
    MemoryItem,
    Messages,
    Page,
    Scope,
    Transfer,
)


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
        inputs.limit_of(window_tokens, "window_tokens")
        inputs.limit_of(workers, "workers")
        size = size_of(model_size)
        self._llm = model_of(llm)
        inputs.check_ports(llm=self._llm, embedder=embedder, reranker=reranker)
        self._masking = Masking(redactor)
        self._events = Listeners()
        for listener in listeners:
            self._events.subscribe(listener)
        store = open_store(path, embedder or default_embedder(), ledger, index, now)
        self._store = store
        self._folder = None if ledger is not None or str(path) == IN_MEMORY else folder_of(path)
        self._closed = False
        self._closing: list[Callable[[], None]] = []
        self._door = Door(store, self._masking, now, require_scope)
        self._paths = Paths(store, self._llm, merger, size)
        self._window_tokens = window_tokens
        self._leases = Leases(store, Remembering(store, self._llm, self._paths), self._events)
        self._worker = Worker(store, self._leases, now, workers)
        waiting = Waiting(store, self._leases, self._worker.start)
        self._adding = Adding(store, self._leases, self._worker, waiting)
        self._recalling = Recalling(
            store,
            reranker=reranker,
            listeners=self._events,
            count=lambda text: count_tokens(text, encoding),
            waiting=waiting,
        )
        self._changing = Changing(store, listeners=self._events)
        if resume_on_open and store.ledger.jobs.next_due() is not None:
            self._worker.start()

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
        self._door.filters(filters)
        inputs.share_of("threshold", threshold)
        inputs.metadata_of(metadata)
        if instructions is not None:
            inputs.text_of("instructions", instructions, inputs.INSTRUCTIONS_BYTES)
        inputs.delay_of(after_seconds, background)

    @property
    def llm(self) -> LanguageModel | None:
        """The model that extracts and merges."""
        return self._llm

    @property
    def llm_examined(self) -> Examination | None:
        """How the model did in this store's examination: `right` of `asked` decisions, and `passed`. None before its
        first use, and where none is needed (no model, `model_size` given, or a `merger` of your own)."""
        return self._paths.examined

    @property
    def embedder(self) -> Embedder:
        """The embedder of the store."""
        return self._store.embedder

    @property
    def documents(self) -> Documents:
        """The store of documents beside the memories: JSON objects under namespaces and keys."""
        self._door.whole("documents")
        return Documents(self._store, self._masking)

    @property
    def jobs(self) -> Jobs:
        """The adds that are not done: `pending`, `failed`, `retry`."""
        return Jobs(self._store, self._door.bound, self._worker.start)

    @property
    def index(self) -> IndexMaintenance:
        """The index, for whoever keeps the store: `verify`, `repair`, `rebuild`, `optimize`."""
        self._door.whole("index")
        return IndexMaintenance(self._store, self._events)

    @property
    def folder(self) -> Path | None:
        """The folder of an embedded store; None for ":memory:" and for servers."""
        return self._folder

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Finish the background work that is due, and close the store. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        for function in self._closing:
            function()
        self._worker.stop(drain=True)
        OPEN_STORES.leave(self._store)

    def on_close(self, function: Callable[[], None]) -> None:
        """Call `function` when the memory is closed, before its store is."""
        self._closing.append(function)

    async def aclose(self) -> None:
        """Async `close`."""
        # It waits for a model, and the threads that we share are not for waiting.
        with ThreadPoolExecutor(1, "holdfast-closing") as thread:
            await Asyncio().within(thread, self.close)

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
        self._door.whole("subscribe")
        return self._events.subscribe(listener)

    def scoped(
        self, *, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> ScopedMemory:
        """This memory as one user, agent or run may see it: every operation reaches what carries these ids, and
        nothing else. What is given to one code path is this, rather than the whole.

        Further ids narrow a call down; another value of a bound one raises InputError.
        """
        return ScopedMemory._of(self, self._door.scope(user_id, agent_id, run_id, required=True))

    # -- remembering --------------------------------------------------------------------------------------------

    @operation
    async def add(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        said = self._door.messages(messages, happened_at)
        options = AddOptions(
            infer=bool(inputs.infer_of(infer)),
            extract=infer != "merge",
            instructions=self._door.instructions(instructions),
            metadata=self._door.metadata(metadata),
            model=self._llm.name if self._llm is not None and infer else "",
            window_tokens=self._window_tokens,
        )
        session, delay = self._door.session(session_id), inputs.delay_of(after_seconds, background)
        return await self._adding.add(io, scope, session, said, options, delay if background else None)

    aadd = add.twin

    @operation
    async def record(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        said = self._door.messages(messages, happened_at)
        kept = None if keep is None else inputs.ids_of("keep", keep)
        return await self._leases.record(io, scope, self._door.session(session_id), said, kept)

    arecord = record.twin

    # -- recalling ----------------------------------------------------------------------------------------------

    @operation
    async def search(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        asked = self._asked(query, scope, inputs.limit_of(limit), filters, as_of, threshold, session_id, wait)
        return await self._recalling.search(io, replace(asked, explain=explain))

    asearch = search.twin

    @operation
    async def recall(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        budget = inputs.limit_of(max_tokens, "max_tokens")
        limit = hits_for(budget, len(shown))
        asked = self._asked(query, scope, limit, filters, as_of, threshold, session_id, wait)
        return await self._recalling.recall(io, asked, max_tokens=budget, shown=frozenset(shown))

    arecall = recall.twin

    def _asked(
        self,
        query: str,
        scope: Scope,
        limit: int,
        filters: Filters,
        as_of: datetime | str | None,
        threshold: float | None,
        session_id: str | None,
        wait: float,
    ) -> Asked:
        return Asked(
            self._door.text("query", query, inputs.QUERY_BYTES),
            scope,
            limit,
            self._door.filters(filters),
            inputs.instant_of(as_of),
            inputs.share_of("threshold", threshold),
            session=self._door.session(session_id),
            wait=inputs.seconds_of("wait", wait),
        )

    # -- reading ------------------------------------------------------------------------------------------------

    @operation
    async def get(
        self,
        io: IO,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        as_of: datetime | str | None = None,
    ) -> MemoryItem | None:
        """A memory by its id, or None where there is none (of those ids, at that instant)."""
        scope = self._door.scope(user_id, agent_id, run_id)
        memories = self._store.ledger.memories
        inputs.text_of("memory_id", memory_id)
        item = await io.run(memories.get, memory_id, as_of=inputs.instant_of(as_of))
        return item if item is not None and item.scope.within(scope) else None

    aget = get.twin

    @operation
    async def get_all(
        self,
        io: IO,
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
        return await io.run(
            self._store.ledger.memories.page,
            self._door.scope(user_id, agent_id, run_id, required=True),
            filters=self._door.filters(filters),
            as_of=inputs.instant_of(as_of),
            limit=None if limit is None else inputs.limit_of(limit),
            cursor=inputs.cursor_of(cursor),
        )

    aget_all = get_all.twin

    @operation
    async def count(
        self,
        io: IO,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
        as_of: datetime | str | None = None,
    ) -> int:
        """How many memories match; without ids, those of the whole store."""
        scope = self._door.scope(user_id, agent_id, run_id)
        wanted, instant = self._door.filters(filters), inputs.instant_of(as_of)
        return await io.run(self._store.ledger.memories.count, scope, wanted, instant)

    acount = count.twin

    @operation
    async def history(
        self,
        io: IO,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Everything that happened to a memory, oldest first. Raises NotFoundError."""
        scope = self._door.scope(user_id, agent_id, run_id)
        memories = self._store.ledger.memories
        item, _ = await io.run(memories.last_version, inputs.text_of("memory_id", memory_id))
        if not item.scope.within(scope):
            raise NotFoundError(f"there is no memory {memory_id!r}")
        return await io.run(memories.history, memory_id)

    ahistory = history.twin

    @operation
    async def messages(
        self,
        io: IO,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
    ) -> tuple[JournaledMessage, ...]:
        """The journal: what was said, oldest first; with `limit`, the newest so many."""
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        session = self._door.session(session_id)
        newest = None if limit is None else inputs.limit_of(limit)
        return await io.run(self._store.ledger.journal.listed, scope, session, limit=newest)

    amessages = messages.twin

    # -- changing -----------------------------------------------------------------------------------------------

    @operation
    async def update(
        self,
        io: IO,
        memory_id: str,
        text: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Replace a memory's text, its metadata (as a whole), or both. Raises NotFoundError."""
        scope = self._door.scope(user_id, agent_id, run_id)
        if text is None and metadata is None:
            raise InputError("update changes the text, the metadata, or both; neither was given")
        new_text = None if text is None else self._door.text("text", text)
        carried = None if metadata is None else self._door.metadata(metadata)
        return await self._changing.update(io, memory_id, new_text, carried, scope)

    aupdate = update.twin

    @operation
    async def delete(
        self,
        io: IO,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        """Forget a memory: it is no longer recalled; its history stays, and `undo` brings it back.

        To remove it for good, use `erase`. Raises NotFoundError.
        """
        return await self._changing.delete(io, memory_id, self._door.scope(user_id, agent_id, run_id))

    adelete = delete.twin

    @operation
    async def delete_all(
        self,
        io: IO,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:
        """`delete` every memory that matches. At least one id is required."""
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        return await self._changing.delete_all(io, scope, self._door.filters(filters))

    adelete_all = delete_all.twin

    @operation
    async def undo(
        self,
        io: IO,
        change_or_add_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Changes:
        """Take a change back, or everything that one `add` did. The undo is itself a change, and undoable.

        Raises UndoError where later changes depend on it, and NotFoundError.
        """
        return await self._changing.undo(io, change_or_add_id, self._door.scope(user_id, agent_id, run_id))

    aundo = undo.twin

    @operation
    async def erase(
        self,
        io: IO,
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
        waits for an `index.rebuild` under way. If it is cut short, the next opening completes it.

        Raises StorageError.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        return await self._changing.erase(io, scope, dry_run=dry_run)

    aerase = erase.twin

    @operation
    async def reset(self, io: IO, *, confirm: bool = False) -> Erasure:
        """`erase` the whole store, of every user. Only with `confirm=True`."""
        self._door.whole("reset")
        inputs.confirmed(confirm)
        return await self._changing.erase(io, Scope(), dry_run=False)

    areset = reset.twin

    @operation
    async def clear_messages(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        session, kept = self._door.session(session_id), inputs.ids_of("keep", keep)
        return await io.run(self._store.ledger.journal.clear, scope, session, kept)

    aclear_messages = clear_messages.twin

    # -- moving -------------------------------------------------------------------------------------------------

    @operation
    async def export(
        self,
        io: IO,
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
        scope = self._door.exported(user_id, agent_id, run_id, everything)
        with self._events.observing("export", scope):
            return await io.run(transfer.export, self._store.ledger, scope, target)

    aexport = export.twin

    @operation
    async def import_(
        self,
        io: IO,
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
        scope = self._door.scope(user_id, agent_id, run_id)
        self._door.whole("import_")
        with self._events.observing("import", scope):
            imported = await transfer.import_(self._store, io, source, scope, progress)
        await self._adding.imported(io)
        return imported

    aimport_ = import_.twin

    # -- work that waits ----------------------------------------------------------------------------------------

    @operation
    async def resume(self, io: IO) -> list[AddResult]:
        """Finish every `add` that is journaled and not done. Raises ModelError where the model still fails."""
        return await self._adding.resume(io, self._door.bound)

    aresume = resume.twin

    @operation
    async def flush(self, io: IO, timeout: float | None = None) -> Flushed:
        """Wait for what the background can do; what is done is found by the next search.

        timeout: seconds. Without it, until nothing is under way: an add that failed and waits to be tried again
        (minutes later, at last an hour) is not waited for. With it, retries that come in time are waited for, too.

        Returns what is still pending, and why: false where that is anything. Raises InputError, StorageError.
        """
        seconds = None if timeout is None else inputs.seconds_of("timeout", timeout)
        return await self._adding.flush(io, self._door.bound, seconds)

    aflush = flush.twin


class ScopedMemory(Memory):
    """A `Memory` bound to ids, made by `Memory.scoped`: the same operations, which reach no other scope.

    What concerns a whole store (documents, index, reset, import_, subscribe) belongs to
    the memory that it came from and raises InputError. Closing it closes nothing.
    """

    _whole: Memory

    def __init__(self) -> None:
        raise InputError("a ScopedMemory is made by Memory.scoped(user_id=...)")

    @classmethod
    def _of(cls, memory: Memory, bound: Scope) -> Self:
        self = cls.__new__(cls)
        self.__dict__.update(memory.__dict__)
        self._whole = memory
        self._door = replace(memory._door, bound=bound)
        return self

    def __repr__(self) -> str:
        return f"ScopedMemory({', '.join(f'{name}={value!r}' for name, value in self.scope.ids().items())})"

    @property
    def scope(self) -> Scope:
        """The ids that it is bound to."""
        return self._door.bound

    @property
    def closed(self) -> bool:
        """Whether the memory that it came from is closed."""
        return self._whole.closed

    def close(self) -> None:
        """Nothing: the memory that it came from stays open."""

    async def aclose(self) -> None:
        """Nothing: the memory that it came from stays open."""
