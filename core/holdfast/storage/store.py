"""A ledger and its index, kept in line with each other.

An embedded store is opened once per process and shared by every `Memory` on its folder; between processes a lock
file keeps it exclusive. The index is brought up to date after each commit, on opening, and where it was left behind.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ..decisions.retrieval.ranking import indexed_text, said_by, traits
from ..decisions.text.lexical import terms, vector_of_terms
from ..errors import ClosedError, EmbedderMismatchError, StorageError, StoreLockedError
from ..io import IO, Inline, KeyedLocks, holding, run_inline
from ..ports import Embedder
from ..types import Scope
from .generation import Basis
from .index import Index, Point
from .index.payload import encode_metadata
from .ledger import Ledger
from .ledger.erasure import ERASING

_log = logging.getLogger("holdfast")

SLICE = 512  # points per index write: a call holds the interpreter for some milliseconds, not for seconds
WHOLE_INDEX = "whole index"  # the lock of who replaces or rewrites it; "index" is that of who writes to it
T = TypeVar("T")
POLL = 0.02  # seconds between looks at what another process has claimed


class Indexes(Protocol):
    """Where a store's index lies. Each generation is one index; a new one is built beside the one in use."""

    @property
    def blocking(self) -> bool:
        """Whether the index only ever blocks, so that there is nothing to await."""
        ...

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        """The index of that generation, and whether it is new."""
        ...

    def closed(self, generation: str) -> None:
        """This generation's index was closed as it should be."""
        ...

    def remove(self, generation: str) -> None:
        """Remove a generation's files or collection, once it is closed. Idempotent."""
        ...

    def others(self, generation: str) -> list[str]:
        """Generations beside this one that lie around, where that can be told and nobody else builds them."""
        ...


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `verify` found. missing: versions without a point; surplus: points without a version."""

    versions: int
    missing: int
    surplus: int
    unsettled: int

    def __bool__(self) -> bool:
        return not (self.missing or self.surplus or self.unsettled)


@dataclass(frozen=True, slots=True)
class AtWork:
    """An add that somebody in this process is at. loop: the event loop that has to run for it to get on."""

    scope: Scope
    session: str | None
    loop: object | None


class Store:
    """One open ledger with its index."""

    def __init__(
        self,
        ledger: str | Path,
        embedder: Embedder,
        indexes: Indexes,
        *,
        exclusive: bool,
        now: Callable[[], datetime],
        release: Callable[[], None] = lambda: None,
        check_process: Callable[[], None] = lambda: None,
    ) -> None:
        self.locks = KeyedLocks()
        self.exclusive = exclusive
        self.indexes = indexes
        self._release = release
        self._check_process = check_process
        self._behind = False
        self._suspect = False  # an index write failed: the next opening looks twice
        self.switching = False
        self.ending: set[str] = set()  # generations that were replaced, and that a search still holds
        self._closed = False
        self.users = 1
        self.at_work: dict[str, AtWork] = {}  # by job, until the index knows what came of it
        self.news = object()  # another one as soon as there are jobs that were not there
        self.quiet_since: object = None  # the news after which no job was left
        self._index_thread = ThreadPoolExecutor(1, "holdfast-index")  # for the async face
        self.ledger = Ledger(ledger, embedder=embedder.name, point_of=point_of, now=now)
        try:
            self._claim_embedder(embedder)
            if exclusive:
                self.ledger.jobs.free_all()
            generation = self.ledger.setting("generation") or "0"
            index, fresh = indexes.open(embedder.dimensions, generation)
            self.basis = Basis(embedder, index, generation)
            self.ledger.outbox.generation = generation
        except BaseException:
            self.ledger.close()
            raise
        try:
            run_inline(self._bring_up(fresh))
        except BaseException:
            self.index.close()
            self.ledger.close()
            raise

    # -- life ---------------------------------------------------------------------------------------------------

    @property
    def embedder(self) -> Embedder:
        return self.basis.embedder

    @property
    def index(self) -> Index:
        return self.basis.index

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, as far as that can be told without looking: a look costs a good part of a
        search."""
        return self.exclusive and self.quiet_since is self.news and not self.at_work

    @asynccontextmanager
    async def using(self, io: IO) -> AsyncIterator[Basis]:
        """The embedder and the index of the moment, which both stay as they are for the length of the block."""
        basis = self.basis
        async with basis.held(io):
            yield basis

    def check(self) -> None:
        """Raises ClosedError after `close`, StoreLockedError in a forked child."""
        if self._closed:
            raise ClosedError("this Memory was closed; open a new one")
        self._check_process()

    def close(self) -> None:
        """Idempotent. A forked child only forgets the store, which is its parent's."""
        if self._closed:
            return
        self._closed = True
        try:
            self._check_process()
        except StoreLockedError:
            return
        with ExitStack() as last_first:  # whatever fails, the lock is given back
            last_first.callback(self._release)
            if not self._suspect:
                last_first.callback(self.indexes.closed, self.basis.generation)
            last_first.callback(self.index.close)
            last_first.callback(self.ledger.close)

    def _claim_embedder(self, embedder: Embedder) -> None:
        """The first embedder is recorded; another one is refused."""
        recorded, dimensions = self.ledger.setting("embedder"), self.ledger.setting("dimensions")
        if recorded is None:
            self.ledger.set(embedder=embedder.name, dimensions=str(embedder.dimensions))
        elif (recorded, dimensions) != (embedder.name, str(embedder.dimensions)):
            raise EmbedderMismatchError(
                f"this store's vectors are of the embedder {recorded!r} ({dimensions} dimensions), not of "
                f"{embedder.name!r} ({embedder.dimensions}); open it with that embedder, or change "
                "it for good: Memory(path, embedder=<the old one>).index.rebuild(<the new one>)"
            )

    async def _bring_up(self, fresh: bool) -> None:
        """Finish what an earlier process began; fill an index that is new, or that lacks points."""
        io = Inline()
        await self.project(io)
        if not self.exclusive and (fresh or self.ledger.setting("filling")):
            await self._fill_shared(io)  # it is new, or whoever began to fill it may be dead
        if self.exclusive:
            for other in self.indexes.others(self.basis.generation):
                self.indexes.remove(other)  # the old index, or half of a new one: a reindexing was cut short
            await drop_retired(self, io)
            await finish_erasing(self, io)
            versions, points = self.ledger.outbox.version_count(), await self.index.count(io)
            if points and not versions:
                raise StorageError(
                    f"the index holds {points} points, and the ledger no memories: the ledger is missing or not this "
                    "index's. Put it back; or, to begin anew, remove the index as well"
                )
            if versions != points:
                _log.warning(
                    "the index holds %d points for %d versions of memories%s: rebuilding it from the ledger",
                    points, versions, " (it is new)" if fresh else "",
                )  # fmt: skip
                await self.rebuild(io)

    # -- the index follows the ledger ---------------------------------------------------------------------------

    async def writing_index(self, io: IO, section: Callable[[IO], Coroutine[Any, Any, T]]) -> T:
        """A section that nobody else's beside it writes to the index.

        Where the index only blocks, the lock is held by a thread and never by a task: a caller that blocks an event
        loop, or all threads of an application, waits for it in vain otherwise.
        """

        async def locked(io: IO) -> T:
            async with holding(io, self.locks, "index"):
                return await section(io)

        return await (io.alone(self._index_thread, locked) if self.indexes.blocking else locked(io))

    async def project(self, io: IO) -> None:
        """Tell the index everything that it has not been told. Raises StorageError where it fails."""
        await self.writing_index(io, self._project)

    async def _project(self, io: IO) -> None:
        while pending := await io.run(self.ledger.outbox.take, SLICE):
            try:
                await self.index.upsert(io, pending.upserts)
                await self.index.delete(io, pending.deletes)
            except BaseException:
                self._behind = self._suspect = True
                await io.run(self.ledger.outbox.release, pending.seqs)
                raise
            await io.run(self.ledger.outbox.settle, pending.seqs)
        self._behind = False

    async def project_after_commit(self, io: IO) -> None:
        """As `project`, for a caller whose change is committed already: a failing index cannot unsay it."""
        try:
            await self.project(io)
        except StorageError as error:
            _log.warning("the change is stored, but the index could not take it yet: %s", error)

    def switch(self, basis: Basis) -> None:
        """From now on look-ups and the outbox go to another index."""
        self.ledger.outbox.embedder = basis.embedder.name
        self.ledger.outbox.generation = basis.generation
        self._behind = True  # it lacks what its predecessor was told while it was filled
        self.basis = basis

    async def settled(self, io: IO, basis: Basis) -> None:
        """After a `Conflict`: whether trying again can help. Raises EmbedderMismatchError where it cannot."""
        while self.switching:
            await io.sleep(POLL)
        if basis is not self.basis:
            return
        recorded = await io.run(self.ledger.setting, "embedder")
        if recorded != basis.embedder.name and not self.switching and basis is self.basis:
            raise EmbedderMismatchError(
                f"another process changed this store's embedder from {basis.embedder.name!r} to {recorded!r}: "
                "open it anew with that one"
            )

    async def caught_up(self, io: IO, scope: Scope | None = None) -> None:
        """Before a look-up: the index has everything, or for a shared store all of the exact scope."""
        self.check()
        if self._behind:
            await self.project(io)
        if scope is None or self.exclusive:
            return
        while await io.run(self.ledger.outbox.waiting, scope):
            await self.project(io)
            if not await io.run(self.ledger.outbox.waiting, scope):
                return
            await io.sleep(POLL)

    async def _fill_shared(self, io: IO) -> None:
        """Give an index that others use as well what it lacks. Several processes may do so at once."""
        self.ledger.set(filling=self.basis.generation)
        since = self.ledger.clock()
        last, _ = await fill(self.ledger, self.basis, io)
        self.ledger.outbox.mark_changed(last, since)
        await self.project(io)
        self.ledger.set(filling=None)

    async def rebuild(self, io: IO, progress: Callable[[int, int], None] | None = None) -> int:
        """Fill the index anew from the ledger. Returns the number of points."""

        async def refill(io: IO) -> int:
            await self.index.clear(io)
            since = self.ledger.clock()
            last, filled = await fill(self.ledger, self.basis, io, progress)
            await io.run(self.ledger.outbox.mark_changed, last, since)
            return filled

        filled = await self.writing_index(io, refill)
        await self.project(io)
        return filled

    async def verify(self, io: IO) -> Agreement:
        return await self.writing_index(io, self._compared)

    async def _compared(self, io: IO) -> Agreement:
        points = await self.index.ids(io)
        versions = await io.run(self.ledger.outbox.version_ids)
        unsettled = await io.run(self.ledger.outbox.count)
        return Agreement(len(versions), len(versions - points), len(points - versions), unsettled)

    async def optimize(self, io: IO) -> bool:
        async with holding(io, self.locks, WHOLE_INDEX):
            return await self.index.optimize(io)

    async def repair(self, io: IO) -> Agreement:
        """Give the index the points that it lacks, and take away those that nothing stands behind."""

        async def aligned(io: IO) -> Agreement:
            await self._project(io)
            points = await self.index.ids(io)
            versions = await io.run(self.ledger.outbox.version_ids)
            await self.index.delete(io, sorted(points - versions))
            await io.run(self.ledger.outbox.mark, sorted(versions - points))
            await self._project(io)
            return await self._compared(io)

        return await self.writing_index(io, aligned)


async def fill(
    ledger: Ledger, basis: Basis, io: IO, progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Every version of the ledger as a point. Returns the place of the last version seen, and how many there were."""
    total = await io.run(ledger.outbox.version_count)
    last = done = 0
    while True:
        page = await io.run(ledger.outbox.page, last, SLICE, basis.embedder.name)
        if not page:
            return last, done
        await basis.index.upsert(io, [point for _, point in page])
        last, done = page[-1][0], done + len(page)
        if progress is not None:
            progress(done, max(done, total))


async def drop_retired(store: Store, io: IO, *, keep: str | None = None) -> None:
    """Remove the vectors of an embedder that `reindex` replaced, unless it is the one to keep."""
    retired = await io.run(store.ledger.setting, "retired")
    if retired is None:
        return
    if retired != keep:
        await io.run(store.ledger.outbox.drop_vectors, retired)
    await io.run(lambda: store.ledger.set(retired=None))


async def finish_erasing(store: Store, io: IO) -> None:
    """Rewrite the files after an erasure: the rows are gone already, and now their bytes.

    One at a time, and never beside a `reindex`, whose new index may hold what is to go. An erasure that comes while
    the files are rewritten leaves a mark of its own, and has them rewritten again.
    """
    async with holding(io, store.locks, WHOLE_INDEX):
        mark = await io.run(store.ledger.setting, ERASING)
        if mark is None:
            return
        await store.project(io)
        await store.writing_index(io, lambda io: io.run(store.ledger.outbox.tidy))
        await store.index.compact(io)
        await io.run(store.ledger.forget_erasing, mark)


def point_of(row: Any, vector: npt.NDArray[np.float32]) -> Point:
    """The point of a version: `row` is of the ledger's versions."""
    text = indexed_text(row.text, row.speakers)
    found = terms(text)
    payload: dict[str, Any] = {
        "u": row.user_id,
        "a": row.agent_id,
        "r": row.run_id,
        "t0": row.valid_from,
        "t1": row.valid_to,
        "c": row.created_at,
        "s": said_by(row.text, row.speakers),
        **traits(row.text, len(found) if text == row.text else None),
        **_given(h=row.happened_at, e=row.episode, p=row.position),
        "m": encode_metadata(row.metadata),
    }
    return Point(row.id, vector, vector_of_terms(found), payload)


def _given(**values: int | None) -> Mapping[str, int]:
    return {key: value for key, value in values.items() if value is not None}


class OpenStores:
    """The embedded stores that this process has open, by folder: a second `Memory` on one shares it."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._open: dict[Path, Store] = {}
        self._registered = False

    def _after_fork(self) -> None:
        self._guard = threading.RLock()  # whoever held it did not come along

    def share(self, folder: Path, embedder: Embedder, make: Callable[[], Store]) -> Store:
        with self._guard:
            if not self._registered and hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)
                self._registered = True
            store = self._open.get(folder)
            if store is None:
                store = self._open[folder] = make()
                return store
            store.check()
            if (store.embedder.name, store.embedder.dimensions) != (embedder.name, embedder.dimensions):
                raise EmbedderMismatchError(
                    f"{folder} is open in this process with the embedder {store.embedder.name!r}, "
                    f"not {embedder.name!r}"
                )
            store.users += 1
            return store

    def leave(self, store: Store) -> None:
        with self._guard:
            store.users -= 1
            if store.users > 0:
                return
            self._open = {folder: other for folder, other in self._open.items() if other is not store}
            store.close()


OPEN_STORES = OpenStores()
