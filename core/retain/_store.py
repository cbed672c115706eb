"""A ledger and its index, kept in line with each other.

An embedded store is opened once per process and shared by every `Memory` on its folder; between processes a lock
file keeps it exclusive. The index is brought up to date after each commit, on opening, and where it was left behind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row

from ._io import IO, Inline, KeyedLocks, holding, run_inline
from .errors import ClosedError, EmbedderMismatchError, StorageError
from .index import FOREVER, Index, Point
from .index.payload import encode_metadata
from .ledger import Ledger
from .lexical import document_vector
from .ports import Embedder
from .ranking import indexed_text, said_by, traits
from .types import Scope

_log = logging.getLogger("retain")

SLICE = 512  # points per index write: a call holds the interpreter for some milliseconds, not for seconds
POLL = 0.02  # seconds between looks at what another process has claimed

OpenIndex = Callable[[int, str], tuple[Index, bool]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `verify` found. missing: versions without a point; surplus: points without a version."""

    versions: int
    missing: int
    surplus: int
    unsettled: int

    def __bool__(self) -> bool:
        return not (self.missing or self.surplus or self.unsettled)


class Store:
    """One open ledger with its index. `open_index(dimensions, generation)` gives an index and whether it is new."""

    def __init__(
        self,
        ledger_url: str,
        embedder: Embedder,
        open_index: OpenIndex,
        *,
        exclusive: bool,
        now: Callable[[], datetime],
        release: Callable[[], None] = lambda: None,
        check_process: Callable[[], None] = lambda: None,
    ) -> None:
        self.embedder = embedder
        self.locks = KeyedLocks()
        self.exclusive = exclusive
        self._open_index = open_index
        self._release = release
        self._check_process = check_process
        self._behind = False
        self._closed = False
        self.users = 1
        self.ledger = Ledger(ledger_url, embedder=embedder.name, point_of=point_of, now=now)
        try:
            self._claim_embedder()
            if exclusive:
                self.ledger.jobs.free_all()
            self.index, fresh = open_index(embedder.dimensions, self._generation())
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

    def check(self) -> None:
        """Raises ClosedError after `close`, StoreLockedError in a forked child."""
        if self._closed:
            raise ClosedError("this Memory was closed; open a new one")
        self._check_process()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self.ledger.close()
        finally:
            self.index.close()
            self._release()

    def _generation(self) -> str:
        return self.ledger.setting("generation") or "0"

    def _claim_embedder(self) -> None:
        """The first embedder is recorded; another one is refused."""
        recorded, dimensions = self.ledger.setting("embedder"), self.ledger.setting("dimensions")
        if recorded is None:
            self.ledger.set(embedder=self.embedder.name, dimensions=str(self.embedder.dimensions))
        elif (recorded, dimensions) != (self.embedder.name, str(self.embedder.dimensions)):
            raise EmbedderMismatchError(
                f"this store's vectors are of the embedder {recorded!r} ({dimensions} dimensions), not of "
                f"{self.embedder.name!r} ({self.embedder.dimensions}); open it with that embedder, or change "
                "it for good: Memory(path, embedder=<the old one>).reindex(embedder=<the new one>)"
            )

    async def _bring_up(self, fresh: bool) -> None:
        """Finish what an earlier process began; fill an index that is new, or that lacks points."""
        io = Inline()
        await self.project(io)
        if self.exclusive:
            versions, points = self.ledger.outbox.version_count(), await self.index.count(io)
            if versions != points:
                _log.warning(
                    "the index holds %d points for %d versions of memories%s: rebuilding it from the ledger",
                    points, versions, " (it is new)" if fresh else "",
                )  # fmt: skip
                await self.rebuild(io)

    # -- the index follows the ledger ---------------------------------------------------------------------------

    async def project(self, io: IO) -> None:
        """Tell the index everything that it has not been told. Raises StorageError where it fails."""
        async with holding(io, self.locks, "index"):
            while pending := await io.run(self.ledger.outbox.take, SLICE):
                try:
                    await self.index.upsert(io, pending.upserts)
                    await self.index.delete(io, pending.deletes)
                except BaseException:
                    self._behind = True
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

    async def rebuild(self, io: IO, progress: Callable[[int, int], None] | None = None) -> int:
        """Fill the index anew from the ledger. Returns the number of points."""
        async with holding(io, self.locks, "index"):
            await self.index.clear(io)
            total: int = await io.run(self.ledger.outbox.mark_all)
        done = 0
        while pending := await io.run(self.ledger.outbox.take, SLICE):
            await self.index.upsert(io, pending.upserts)
            await io.run(self.ledger.outbox.settle, pending.seqs)
            done += len(pending.seqs)
            if progress is not None:
                progress(done, total)
        return total

    async def verify(self, io: IO) -> Agreement:
        async with holding(io, self.locks, "index"):
            points = await self.index.ids(io)
            versions = await io.run(self.ledger.outbox.version_ids)
            unsettled = await io.run(self.ledger.outbox.count)
        return Agreement(len(versions), len(versions - points), len(points - versions), unsettled)

    async def repair(self, io: IO) -> Agreement:
        """Give the index the points that it lacks, and take away those that nothing stands behind."""
        await self.project(io)
        async with holding(io, self.locks, "index"):
            points = await self.index.ids(io)
            versions = await io.run(self.ledger.outbox.version_ids)
            await self.index.delete(io, sorted(points - versions))
            await io.run(self.ledger.outbox.mark, sorted(versions - points))
        await self.project(io)
        return await self.verify(io)


def point_of(row: Row[Any], vector: npt.NDArray[np.float32]) -> Point:
    """The point of a version: `row` is of the ledger's versions."""
    text = indexed_text(row.text, row.speakers)
    payload: dict[str, Any] = {
        "k": row.memory_id,
        "u": row.user_id,
        "a": row.agent_id,
        "r": row.run_id,
        "t0": row.valid_from,
        "t1": row.valid_to,
        "c": row.created_at,
        "d": row.valid_from,
        "s": said_by(row.text, row.speakers),
        **traits(row.text),
        **_given(h=row.happened_at, e=row.episode, p=row.position),
        "m": encode_metadata(row.metadata),
    }
    return Point(row.id, vector, document_vector(text), payload)


def _given(**values: int | None) -> Mapping[str, int]:
    return {key: value for key, value in values.items() if value is not None}


class OpenStores:
    """The embedded stores that this process has open, by folder: a second `Memory` on one shares it."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._open: dict[Path, Store] = {}

    def share(self, folder: Path, embedder: Embedder, make: Callable[[], Store]) -> Store:
        with self._guard:
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
