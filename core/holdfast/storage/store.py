"""One open ledger with its index.

An embedded store is opened once per process and shared by every `Memory` on its folder; between processes a lock
file keeps it exclusive.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import ClosedError, EmbedderMismatchError, StorageError, StoreLockedError
from ..io import IO, Inline, KeyedLocks, run_inline
from ..ports import Embedder
from ..types import Scope
from .generation import Basis
from .index import Index
from .ledger import Ledger
from .ledger.commit import Conflict
from .ledger.copying import is_copying
from .ledger.database import Database
from .ledger.outbox import REINDEXED
from .points import FORM
from .projection import POLL, Progress, Projection, drop_retired, point_of

_log = logging.getLogger("holdfast")

T = TypeVar("T")


class Indexes(Protocol):
    """Where a store's index is. Each generation is one index; a new one is built beside the one in use."""

    @property
    def blocking(self) -> bool:
        """Whether the index only ever blocks, so that there is nothing to await."""
        ...

    @property
    def joined(self) -> bool:
        """Whether the index is `Joined`: it lies in the ledger's database, and is written in its transactions."""
        ...

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        """The index of that generation, and whether it is new."""
        ...

    def closed(self, generation: str) -> None:
        """This generation's index was closed properly."""
        ...

    def remove(self, generation: str) -> None:
        """Remove a generation's files or collection, once it is closed. Idempotent."""
        ...

    def others(self, generation: str) -> list[str]:
        """Leftover generations other than this one, where they can be listed and nobody else may be building them."""
        ...


@dataclass(frozen=True, slots=True)
class AtWork:
    """An add that this process is working on. loop: the event loop that must run for it to progress."""

    scope: Scope
    session: str | None
    loop: object | None


class Store:
    """One open ledger with its index."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        indexes: Indexes,
        *,
        exclusive: bool,
        now: Callable[[], datetime],
        release: Callable[[], None] = lambda: None,
        check_process: Callable[[], None] = lambda: None,
        progress: Progress | None = None,
    ) -> None:
        self.locks = KeyedLocks()
        self.exclusive = exclusive
        self.indexes = indexes
        self._release = release
        self._check_process = check_process
        self.switching = False
        self.ending: set[str] = set()  # generations that were replaced, and that a search still holds
        self._closed = False
        self.users = 1
        self.at_work: dict[str, AtWork] = {}  # by job, until the index has the results
        self.news = object()  # replaced as soon as there are new jobs
        self.quiet_since: object = None  # the news after which no job was left
        self.ledger = Ledger(database, embedder=embedder.name, point_of=point_of, now=now)
        try:
            if is_copying(self.ledger.database):
                raise StorageError(
                    "this is only a part of a store: its copying was cut short. "
                    "Run `copy_to`, or `holdfast reindex --to`, again"
                )
            self._claim_embedder(embedder)
            if exclusive:
                self.ledger.jobs.free_all()
            generation = self.ledger.setting("generation") or "0"
            index, fresh = indexes.open(embedder.dimensions, generation)
            self.projection = Projection(
                self.ledger,
                Basis(embedder, index, generation, joined=indexes.joined),
                self.locks,
                exclusive=exclusive,
                blocking=indexes.blocking,
                at=lambda step: self.at(step),
            )
        except BaseException:
            self.ledger.close()
            raise
        try:
            run_inline(self._bring_up(fresh, progress))
        except BaseException:
            self.index.close()
            self.ledger.close()
            raise

    # -- life ---------------------------------------------------------------------------------------------------

    @property
    def basis(self) -> Basis:
        """The current embedder and index."""
        return self.projection.basis

    @property
    def embedder(self) -> Embedder:
        return self.basis.embedder

    @property
    def index(self) -> Index:
        return self.basis.index

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, as far as is known without looking: a look takes a good part of a search's
        time."""
        return self.exclusive and self.quiet_since is self.news and not self.at_work

    def using(self, io: IO) -> AbstractAsyncContextManager[Basis]:
        """The current embedder and index, which both stay open within the block."""
        return self.basis.held(io)

    def at(self, step: str) -> None:
        """A step of the work begins or is done: "journal", "leased", "committed", "look", "compact". Nothing happens
        here; tests replace it with something that waits or fails."""

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
        with ExitStack() as last_first:  # whatever fails, the lock is released
            last_first.callback(self._release)
            if not self.projection.suspect:
                last_first.callback(self.indexes.closed, self.basis.generation)
            last_first.callback(self.index.close)
            last_first.callback(self.ledger.close)

    def _claim_embedder(self, embedder: Embedder) -> None:
        """Record the first embedder; refuse another one."""
        recorded, dimensions = self.ledger.setting("embedder"), self.ledger.setting("dimensions")
        if recorded is None:
            self.ledger.set(embedder=embedder.name, dimensions=str(embedder.dimensions), form=str(FORM))
        elif (recorded, dimensions) != (embedder.name, str(embedder.dimensions)):
            raise EmbedderMismatchError(
                f"this store's vectors are of the embedder {recorded!r} ({dimensions} dimensions), not of "
                f"{embedder.name!r} ({embedder.dimensions}); open it with that embedder, or change "
                "it for good: Memory(path, embedder=<the old one>).index.rebuild(<the new one>)"
            )

    def expiring(self) -> int | None:
        """The `now` of a look-up: the present instant if anything may expire after it, else None."""
        # In a shared store another process may add something that expires at any moment.
        return self.ledger.clock() if not self.exclusive or self.ledger.memories.expiring() else None

    async def caught_up(self, io: IO, scope: Scope | None = None) -> None:
        """Before a look-up: the index has everything, or for a shared store all of the exact scope."""
        self.check()
        await self.projection.caught_up(io, scope)

    async def committed(
        self, io: IO, attempt: Callable[[Basis], Awaitable[T]], *, searched: Scope | None = None
    ) -> T:
        """What an attempt to commit returns, once the index is told. If what it read has changed meanwhile, here or
        in another process, it is repeated.

        attempt: reads and commits; raises `Conflict` if it read too early.
        searched: the exact scope whose memories it looks up in the index.
        """
        while True:
            if searched is not None:
                await self.caught_up(io, searched)
            async with self.using(io) as basis:
                try:
                    committed = await attempt(basis)
                except Conflict:
                    await self._settled(io, basis)
                    continue
            self.at("committed")
            await self.projection.after_commit(io)
            return committed

    async def _settled(self, io: IO, basis: Basis) -> None:
        """After a `Conflict`: whether trying again can help. Raises EmbedderMismatchError where it cannot."""
        while self.switching:
            await io.sleep(POLL)
        if basis is not self.basis:
            return
        recorded = await io.run(self.ledger.setting, "embedder")
        if recorded != basis.embedder.name and self._stale(basis):
            raise EmbedderMismatchError(
                f"another process changed this store's embedder from {basis.embedder.name!r} to {recorded!r}: "
                "open it anew with that one"
            )
        generation = await io.run(self.ledger.setting, "generation") or "0"
        if basis.joined and generation != basis.generation and self._stale(basis):
            raise StorageError(REINDEXED)

    def _stale(self, basis: Basis) -> bool:
        """Whether a basis that is not the ledger's was replaced by another process, and not by this one just now."""
        return not self.switching and basis is self.basis

    async def _bring_up(self, fresh: bool, progress: Progress | None) -> None:
        """Finish what an earlier process began; fill an index that is new, or that lacks points."""
        io = Inline()
        await self.projection.project(io)
        former = self.ledger.setting("form") != str(FORM)
        if not self.exclusive and (fresh or former or self.ledger.setting("filling")):
            await self.projection.fill_shared(
                io, progress
            )  # it is new, or the process that was filling it may be dead
        if self.exclusive:
            for other in self.indexes.others(self.basis.generation):
                self.indexes.remove(other)  # the old index, or half of a new one: a reindexing was cut short
            await drop_retired(self.ledger, io)
            await self.projection.finish_erasing(io)
            versions, points = self.ledger.outbox.version_count(), await self.index.count(io)
            if points and not versions:
                raise StorageError(
                    f"the index holds {points} points, and the ledger no memories: the ledger is missing or not this "
                    "index's. Put it back; or, to begin anew, remove the index as well"
                )
            copied = fresh and self.ledger.setting("filling") is not None
            if versions != points and not copied:
                _log.warning(
                    "the index holds %d points for %d versions of memories%s: rebuilding it from the ledger",
                    points, versions, " (it is new)" if fresh else "",
                )  # fmt: skip
            elif former and points:
                _log.warning(
                    "the index is of an older form: rebuilding its %d points from the ledger", points
                )
            if versions != points or (former and points):
                await self.projection.rebuild(io, progress)
            if copied:
                self.ledger.set(filling=None)
        if self.ledger.setting("form") != str(FORM):
            self.ledger.set(form=str(FORM))


class OpenStores:
    """The embedded stores that this process has open, by folder: a second `Memory` on one shares it."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._open: dict[Path, Store] = {}
        self._registered = False

    def _after_fork(self) -> None:
        self._guard = threading.RLock()  # its holder may not exist in the child

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
