"""`Memory`, the public face: each operation checks its arguments and calls a pipeline; `ax` is the twin of `x`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import IO as IO_
from typing import Any

from .engine import arguments as inputs
from .engine import transfer
from .engine.arguments import UNCHANGED, Filters, Infer, Unchanged
from .engine.copying import Place, copy
from .engine.opened import BoundMemory, OpenMemory
from .engine.search import hits_for
from .engine.waiting import WAIT
from .errors import InputError
from .io import IO, operation
from .ports import Embedder
from .storage.index import Index
from .storage.ledger.owners import By
from .storage.projection import Progress
from .types import (
    AddResult, Change, Changes, Context, Copied, Day, Erasure, Expiry, Feed, Flushed, Hits,
    JournaledMessage, MemoryItem, Messages, Operation, Owners, Page, Scope, Transfer,
)  # fmt: skip


class Memory(OpenMemory):
    """Long-term memory in a folder, in a PostgreSQL with pgvector, or in a database and a Qdrant server.

    A context manager, sync and async. Several `Memory` objects in one process may share a folder. Thread-safe.

    Every operation raises InputError for an argument that it cannot take (FilterError for filters) and NotFoundError
    for an id that is not there, before anything is changed; EmbeddingError if the embedder fails; StorageError; and
    ClosedError after `close`. What else one raises is said with it.
    """

    def scoped(
        self, *, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> ScopedMemory:
        """This memory as one user, agent or run may see it: every operation reaches what carries these ids, and
        nothing else. A call may name further ids, which narrow it down; another value for a bound id is refused.
        """
        return ScopedMemory.of(self, self._door.scope(user_id, agent_id, run_id, required=True))

    # -- remembering --------------------------------------------------------------------------------------------

    @operation
    async def add(
        self, io: IO, messages: Messages, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        session_id: str | None = None, metadata: Mapping[str, Any] | None = None,
        happened_at: datetime | str | None = None, infer: Infer = True, instructions: str | None = None,
        background: bool = False, after_seconds: float = 0, expires_at: Expiry | None = None,
    ) -> AddResult:  # fmt: skip
        """Remember what is worth remembering in a string, a message, or a conversation.

        user_id, agent_id, run_id: whose memory it is; at least one.
        session_id: the conversation that the messages belong to. It is a label and does not divide memory.
        metadata: a JSON object that every memory made by this call carries.
        happened_at: when it was said, for imported conversations: "yesterday" is the day before. At most ten minutes
            ahead of the clock.
        infer: False keeps every text as it is; "merge" treats every text as a fact that needs no extraction, and
            merges it with what is known.
        instructions: what to remember or leave out, in words, for the model.
        background: return once the messages are journaled; a thread does the rest.
        after_seconds: with `background`, put the extraction off until the session has been quiet for this long, an
            hour at most. A later call in the same session takes these messages over, under its own id. A call in
            another session of the same ids starts the work at once, as do `flush` and `resume`.
        expires_at: when the memories of this call expire and are no longer found: a time (a date means its first
            moment in UTC) or, counted from now, a timedelta or an ISO 8601 duration ("P30D", "PT12H"). They stay
            listed, keep their history, and `as_of` finds them. A memory that this call updates expires then, too;
            without `expires_at` it keeps its own end.

        Returns what was committed, one change per fact. Messages with a known `id` are not remembered twice, nor are
        the same messages added again after an error that carried an `add_id`.

        Raises ModelError if the model fails: the messages are journaled, and `resume` finishes the work.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        said = self._door.messages(messages, happened_at)
        window = self._window_tokens
        options = self._door.options(infer, instructions, metadata, expires_at, self._llm, window)
        session, delay = self._door.session(session_id), inputs.delay_of(after_seconds, background)
        return await self._adding.add(io, scope, session, said, options, delay if background else None)

    aadd = add.twin

    @operation
    async def record(
        self, io: IO, messages: Messages, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        session_id: str | None = None, happened_at: datetime | str | None = None,
        keep: Sequence[str] | None = None,
    ) -> tuple[JournaledMessage, ...]:  # fmt: skip
        """Journal messages without remembering anything: a session's log.

        keep: ids of journaled messages; all others leave the session's log in the same transaction, as with
            `clear_messages`. By default none do.

        Returns the messages that are new; those whose `id` is known in the session are left as they are. A later
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
        self, io: IO, query: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        limit: int = 10, filters: Filters = None, as_of: datetime | str | None = None,
        threshold: float | None = None, session_id: str | None = None, wait: float = WAIT,
        explain: bool = False,
    ) -> Hits:  # fmt: skip
        """The memories that answer a query, best first.

        filters: on metadata and times, e.g. `{"category": "work", "created_at": {"gte": "2026-01-01"}}`;
            operators eq, ne, in, nin, gt, gte, lt, lte, contains; AND, OR, NOT.
        as_of: search what was known at that instant instead of now.
        threshold: the lowest score of a hit, in [0, 1].
        session_id: the conversation that asks; its own adds are not waited for.
        wait: the longest to wait, in seconds, for adds of these ids that are under way, in the background or in
            another thread, so that what was said a moment ago is found. Each add is waited for once; none are with
            `as_of`, or while the model fails. 0 never waits.
        explain: fill `parts` of each hit with what its score is made of.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        asked = self._door.asked(query, scope, limit, filters, as_of, threshold, session_id, wait, explain)
        return await self._recalling.search(io, asked)

    asearch = search.twin

    @operation
    async def recall(
        self, io: IO, query: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        max_tokens: int = 1000, filters: Filters = None, as_of: datetime | str | None = None,
        threshold: float | None = None, session_id: str | None = None, wait: float = WAIT,
        shown: Collection[str] = (), exclude_session: str | None = None,
    ) -> Context:  # fmt: skip
        """What an agent should see before it answers `query`: memories, then the turns behind them.

        The text is framed and marked as data, never longer than `max_tokens`, and empty if nothing that is known has
        to do with the query ("hi", "thanks").

        filters, as_of, threshold, wait, session_id: as for `search`.
        shown: what the prompt shows anyway: ids of journaled messages, or for those of `session_id` the ids they were
            passed with. Neither they nor memories that came from them alone are shown again.
        exclude_session: the same for a whole conversation that the prompt shows.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        budget = inputs.limit_of(max_tokens, "max_tokens")
        excluded = None if exclude_session is None else self._door.session(exclude_session)
        limit = hits_for(budget, len(shown), some_excluded=excluded is not None)
        asked = self._door.asked(query, scope, limit, filters, as_of, threshold, session_id, wait)
        return await self._recalling.recall(io, asked, budget, frozenset(shown), excluded)

    arecall = recall.twin

    # -- reading ------------------------------------------------------------------------------------------------

    @operation
    async def get(
        self, io: IO, memory_id: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        as_of: datetime | str | None = None,
    ) -> MemoryItem | None:  # fmt: skip
        """A memory by its id; None if there is none (with these ids, at that instant)."""
        scope = self._door.scope(user_id, agent_id, run_id)
        wanted = inputs.text_of("memory_id", memory_id)
        return await self._reading.get(io, wanted, scope, inputs.instant_of(as_of))

    aget = get.twin

    @operation
    async def get_all(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        filters: Filters = None, as_of: datetime | str | None = None,
        limit: int | None = None, cursor: str | None = None,
    ) -> Page:  # fmt: skip
        """Memories, oldest first: all of them, or `limit` at a time with `cursor=page.next` for the next page.
        Expired ones are among them.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        wanted, instant = self._door.filters(filters), inputs.instant_of(as_of)
        most, after = inputs.most_of(limit), inputs.cursor_of(cursor)
        return await self._reading.page(io, scope, wanted, instant, most, after)

    aget_all = get_all.twin

    @operation
    async def count(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        filters: Filters = None, as_of: datetime | str | None = None,
    ) -> int:  # fmt: skip
        """How many memories match, expired ones included; without ids, in the whole store."""
        scope = self._door.scope(user_id, agent_id, run_id)
        return await self._reading.count(io, scope, self._door.filters(filters), inputs.instant_of(as_of))

    acount = count.twin

    @operation
    async def users(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        by: By = "user", limit: int | None = None, cursor: str | None = None,
    ) -> Owners:  # fmt: skip
        """Who has memories, how many, since when, and when they last changed; paged as `get_all` is.

        user_id, agent_id, run_id: only what carries these ids. Without any, all users of the store: a call for the
            store's operator, refused with `require_scope`. A scoped memory lists only its own ids.
        by: "user" counts all memories of a user together, "scope" each combination of ids separately.
        """
        scope, grouping = self._door.scope(user_id, agent_id, run_id), inputs.by_of(by)
        return await self._reading.users(io, scope, grouping, inputs.most_of(limit), inputs.cursor_of(cursor))

    ausers = users.twin

    @operation
    async def changes(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        operation: Operation | Collection[Operation] | None = None,
        since: datetime | str | None = None, until: datetime | str | None = None,
        limit: int | None = 50, cursor: str | None = None,
    ) -> Feed:  # fmt: skip
        """What happened to memories, newest first, `limit` at a time, with `cursor=feed.next` for earlier changes.

        user_id, agent_id, run_id: as for `users`. What was erased is in no feed.
        operation: ADD, UPDATE, DELETE or NOOP, or several of them; by default all.
        since, until: from `since` on, and before `until`.
        """
        scope, named = self._door.scope(user_id, agent_id, run_id), inputs.operations_of(operation)
        start, end = inputs.micros_of("since", since), inputs.micros_of("until", until)
        most, after = inputs.most_of(limit), inputs.cursor_of(cursor)
        return await self._reading.changes(io, scope, named, start, end, most, after)

    achanges = changes.twin

    @operation
    async def activity(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        since: datetime | str | None = None, until: datetime | str | None = None,
    ) -> tuple[Day, ...]:  # fmt: skip
        """The days on which anything happened, oldest first: how many changes, and what adds cost.

        user_id, agent_id, run_id, since, until: as for `changes`.
        """
        scope = self._door.scope(user_id, agent_id, run_id)
        start, end = inputs.micros_of("since", since), inputs.micros_of("until", until)
        return await self._reading.activity(io, scope, start, end)

    aactivity = activity.twin

    @operation
    async def history(
        self, io: IO, memory_id: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
    ) -> Changes:  # fmt: skip
        """Everything that happened to a memory, oldest first."""
        scope = self._door.scope(user_id, agent_id, run_id)
        return await self._reading.history(io, inputs.text_of("memory_id", memory_id), scope)

    ahistory = history.twin

    @operation
    async def messages(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        session_id: str | None = None, limit: int | None = None, ids: Sequence[str] | None = None,
    ) -> tuple[JournaledMessage, ...]:  # fmt: skip
        """The journal: what was said, oldest first; with `limit`, only the newest messages.

        ids: only these journaled messages, named as in `sources`, in this order, even if they have left the log.
            Not together with `session_id` or `limit`.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        if ids is not None:
            if session_id is not None or limit is not None:
                raise InputError("messages: pass ids, or session_id and limit")
            return await self._reading.said(io, scope, inputs.ids_of("ids", ids))
        return await self._reading.messages(io, scope, self._door.session(session_id), inputs.most_of(limit))

    amessages = messages.twin

    # -- changing -----------------------------------------------------------------------------------------------

    @operation
    async def update(
        self, io: IO, memory_id: str, text: str | None = None, *, metadata: Mapping[str, Any] | None = None,
        expires_at: Expiry | Unchanged | None = UNCHANGED,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
    ) -> Change:  # fmt: skip
        """Replace a memory's text, or its metadata as a whole, or set when it expires.

        expires_at: as for `add`; None means never again. By default the end stays as it is.
        """
        scope = self._door.scope(user_id, agent_id, run_id)
        if text is None and metadata is None and expires_at == UNCHANGED:
            raise InputError("update changes the text, the metadata or the expiry; none of them was given")
        new_text = None if text is None else self._door.text("text", text)
        carried = None if metadata is None else self._door.metadata(metadata)
        end = self._door.end(expires_at)
        return await self._changing.update(io, memory_id, new_text, carried, scope, end)

    aupdate = update.twin

    @operation
    async def delete(
        self, io: IO, memory_id: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
    ) -> Change:  # fmt: skip
        """Forget a memory: it is no longer found. Its history stays, and `undo` brings it back.

        To remove memories for good, use `erase`.
        """
        return await self._changing.delete(io, memory_id, self._door.scope(user_id, agent_id, run_id))

    adelete = delete.twin

    @operation
    async def delete_all(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        filters: Filters = None,
    ) -> Changes:  # fmt: skip
        """`delete` every memory that matches. At least one id is required."""
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        return await self._changing.delete_all(io, scope, self._door.filters(filters))

    adelete_all = delete_all.twin

    @operation
    async def undo(
        self, io: IO, change_or_add_id: str, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
    ) -> Changes:  # fmt: skip
        """Take back a change, or everything that one `add` did. The undo is itself a change and can be undone.
        Raises UndoError if later changes depend on it.
        """
        return await self._changing.undo(io, change_or_add_id, self._door.scope(user_id, agent_id, run_id))

    aundo = undo.twin

    @operation
    async def erase(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:  # fmt: skip
        """Remove everything that carries these ids, for good: memories with their history, messages, vectors,
        jobs, and their bytes in the files. With `dry_run`, only count what would go.

        Nobody finds any of it from the first moment on. An embedded store then rewrites its files (minutes for a
        million memories) while searches and changes continue. An erasure cut short is completed on the next opening.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        return await self._changing.erase(io, scope, dry_run=dry_run)

    aerase = erase.twin

    @operation
    async def reset(self, io: IO, *, confirm: bool = False) -> Erasure:
        """`erase` the whole store, of every user. Only with `confirm=True`, else raises InputError."""
        self._door.whole("reset")
        inputs.confirmed(confirm)
        return await self._changing.erase(io, Scope(), dry_run=False)

    areset = reset.twin

    @operation
    async def clear_messages(
        self, io: IO, *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        session_id: str | None = None, keep: Sequence[str] = (),
    ) -> int:  # fmt: skip
        """Empty a session's log: `messages` no longer shows it. The journal keeps it as evidence of memories.

        keep: ids of journaled messages that stay in the log.

        Returns how many messages left it.
        """
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        session, kept = self._door.session(session_id), inputs.ids_of("keep", keep)
        return await io.run(self._store.ledger.journal.clear, scope, session, kept)

    aclear_messages = clear_messages.twin

    # -- moving -------------------------------------------------------------------------------------------------

    @operation
    async def export(
        self, io: IO, target: str | PathLike[str] | IO_[str], *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        everything: bool = False,
    ) -> Transfer:  # fmt: skip
        """Write everything that carries these ids as JSON Lines: messages, adds, memories in all their versions,
        their history with its evidence, and the memory tool's files.

        target: a path, replaced once the export is complete; or a text file open for writing.
        everything: the whole store, of all users, with all documents, instead of ids.

        Vectors are not written: `import_` embeds the texts again.
        """
        scope = self._door.exported(user_id, agent_id, run_id, everything)
        with self._events.observing("export", scope):
            return await io.run(transfer.export, self._store.ledger, scope, target)

    aexport = export.twin

    @operation
    async def import_(
        self, io: IO, source: str | PathLike[str] | IO_[str], *,
        user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None,
        progress: Progress | None = None,
    ) -> Transfer:  # fmt: skip
        """Read an export back as it was, with its ids, times and history, into any store, whatever its embedder.

        source: a path, or a text file open for reading.
        user_id, agent_id, run_id: refuse a file in which anything carries other ids.
        progress: called with the number of texts embedded so far, and how many there are.

        All of it is imported, in one transaction, or nothing; what is here already is skipped. Raises InputError,
        with the number of the line, if the file is damaged, cut short, or contradicts what is here.
        """
        scope = self._door.scope(user_id, agent_id, run_id)
        self._door.whole("import_")
        return await self._adding.import_(io, source, scope, progress)

    aimport_ = import_.twin

    @operation
    async def copy_to(
        self, io: IO, path: str | PathLike[str] | None = None, *,
        ledger: str | None = None, index: str | Index | None = None, embedder: Embedder | None = None,
        progress: Progress | None = None,
    ) -> Copied:  # fmt: skip
        """Copy the whole store, of all users, to another place: memories with their history and vectors, messages,
        adds, documents, and what is known of the model. This store is only read.

        path: a folder.
        ledger, index: a database with its index, instead of a folder; as for `Memory`.
        embedder: whose vectors the copy has. By default the store's own: nothing is embedded again.
        progress: called, in a thread, with how many rows, then texts, then points, are done, and how many there are.

        The place must be empty, or hold what an earlier run left there. A copy that was cut short cannot be opened,
        and continues where it stopped when it is run again; a complete one is only compared. What is written here
        during the copy is copied as well, but not what is written afterwards: stop the writers first.
        Raises InputError if something else is there.
        """
        self._door.whole("copy_to")
        with self._events.observing("copy", Scope()):
            return await copy(self._store, io, Place(path, ledger, index), embedder, progress)

    acopy_to = copy_to.twin

    # -- work that waits ----------------------------------------------------------------------------------------

    @operation
    async def resume(self, io: IO) -> list[AddResult]:
        """Finish every `add` that is journaled and not done. Raises ModelError if the model still fails."""
        return await self._adding.resume(io, self._door.bound)

    aresume = resume.twin

    @operation
    async def flush(self, io: IO, timeout: float | None = None) -> Flushed:
        """Wait for what the background can do. The next search finds what is done.

        timeout: seconds. Without it, `flush` waits until nothing is under way, but not for an add that failed and
            is tried again later (after minutes, in the end after an hour). With it, it also waits for retries that
            come in time.

        Returns what is still pending, and why; it is truthy if nothing is.
        """
        seconds = None if timeout is None else inputs.seconds_of("timeout", timeout)
        return await self._adding.flush(io, self._door.bound, seconds)

    aflush = flush.twin


class ScopedMemory(BoundMemory, Memory):
    """A `Memory` bound to ids, made by `Memory.scoped`: the same operations, which reach no other scope.

    What concerns the whole store (documents, index, reset, import_, subscribe) belongs to the memory that it came
    from and raises InputError. Closing it closes nothing.
    """
