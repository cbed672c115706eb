"""The index follows the ledger: it is told what was committed, and refilled where it lacks something."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..decisions.retrieval.ranking import indexed_text
from ..decisions.text.lexical import terms, vector_of_terms
from ..errors import StorageError
from ..io import IO, KeyedLocks, holding
from ..types import Scope
from .generation import Basis
from .index import Index, Point
from .index.payload import encode_metadata
from .ledger import Ledger
from .ledger.erasure import ERASING
from .times import FOREVER

_log = logging.getLogger("holdfast")

SLICE = 512  # points per index write: a call holds the interpreter for some milliseconds, not for seconds
WHOLE_INDEX = "whole index"  # the lock for replacing or rewriting it; "index" is the one for writing to it
POLL = 0.02  # seconds between looks at what another process has claimed
T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `verify` found. missing: versions without a point; surplus: points without a version."""

    versions: int
    missing: int
    surplus: int
    unsettled: int

    def __bool__(self) -> bool:
        return not (self.missing or self.surplus or self.unsettled)


class Projection:
    """What the current index has been told of a ledger, and what it has yet to be told.

    exclusive: no other process writes to the ledger. blocking: the index only ever blocks.
    at: is told of the steps, as `Store.at`.
    """

    def __init__(
        self,
        ledger: Ledger,
        basis: Basis,
        locks: KeyedLocks,
        *,
        exclusive: bool,
        blocking: bool,
        at: Callable[[str], None],
    ) -> None:
        self.basis = basis
        self.suspect = False  # an index write failed: the next opening looks twice
        self._ledger = ledger
        self._locks = locks
        self._exclusive = exclusive
        self._blocking = blocking
        self._at = at
        self._behind = False
        ledger.outbox.followed = basis.followed
        self._thread = ThreadPoolExecutor(1, "holdfast-index")  # for the async face

    @property
    def index(self) -> Index:
        return self.basis.index

    async def writing(self, io: IO, section: Callable[[IO], Coroutine[Any, Any, T]]) -> T:
        """Run a section that is alone in writing to the index.

        If the index only blocks, a thread holds the lock, never a task: otherwise a caller that blocks an event
        loop, or all threads of an application, would wait for it in vain.
        """

        async def locked(io: IO) -> T:
            async with holding(io, self._locks, "index"):
                return await section(io)

        return await (io.alone(self._thread, locked) if self._blocking else locked(io))

    async def project(self, io: IO) -> None:
        """Tell the index everything that it has not been told. Raises StorageError if it fails."""
        await self.writing(io, self._project)

    async def _project(self, io: IO) -> None:
        if self.basis.joined:
            while await io.run(self._ledger.outbox.carry_out, SLICE):
                pass
            return
        while pending := await io.run(self._ledger.outbox.take, SLICE):
            try:
                await self.index.upsert(io, pending.upserts)
                await self.index.delete(io, pending.deletes)
            except BaseException:
                self._behind = self.suspect = True
                await io.run(self._ledger.outbox.release, pending.seqs)
                raise
            await io.run(self._ledger.outbox.settle, pending.seqs)
            if len(pending.seqs) < SLICE:
                break  # what was committed since is told by whoever committed it
        self._behind = False

    async def after_commit(self, io: IO) -> None:
        """As `project`, for a caller whose change is committed already: a failing index cannot undo it."""
        if self.basis.joined:
            return  # its points are committed with it
        try:
            await self.project(io)
        except StorageError as error:
            _log.warning("the change is stored, but the index could not take it yet: %s", error)

    def follow(self, basis: Basis) -> None:
        """Send the outbox to another index from now on."""
        self._ledger.outbox.followed = basis.followed
        self._behind = basis.joined is None  # it lacks what its predecessor was told while it was filled
        self.basis = basis

    async def caught_up(self, io: IO, scope: Scope | None = None) -> None:
        """Before a look-up: the index has everything, or for a shared store all of the exact scope."""
        if self._behind:
            await self.project(io)
        if scope is None or self._exclusive or self.basis.joined:
            return
        while await io.run(self._ledger.outbox.waiting, scope):
            await self.project(io)
            if not await io.run(self._ledger.outbox.waiting, scope):
                return
            await io.sleep(POLL)

    async def fill_shared(self, io: IO, progress: Progress | None = None) -> None:
        """Add what an index shared with others lacks. Several processes may do so at once."""
        self._ledger.set(filling=self.basis.generation)
        since = self._ledger.clock()
        last, _ = await fill(self._ledger, self.basis, io, progress)
        self._ledger.outbox.mark_changed(last, since)
        await self.project(io)
        self._ledger.set(filling=None)

    async def rebuild(self, io: IO, progress: Progress | None = None) -> int:
        """Refill the index from the ledger. Returns the number of points."""

        async def refill(io: IO) -> int:
            await self.index.clear(io)
            since = self._ledger.clock()
            last, filled = await fill(self._ledger, self.basis, io, progress)
            await io.run(self._ledger.outbox.mark_changed, last, since)
            return filled

        filled = await self.writing(io, refill)
        await self.project(io)
        return filled

    async def verify(self, io: IO) -> Agreement:
        return await self.writing(io, self._compared)

    async def _compared(self, io: IO) -> Agreement:
        if self.basis.joined:
            versions, points = await io.run(self._ledger.outbox.beside, self.basis.joined.held)
        else:
            points = await self.index.ids(io)
            versions = await io.run(self._ledger.outbox.version_ids)
        unsettled = await io.run(self._ledger.outbox.count)
        return Agreement(len(versions), len(versions - points), len(points - versions), unsettled)

    async def optimize(self, io: IO) -> bool:
        async with holding(io, self._locks, WHOLE_INDEX):
            return await self.index.optimize(io)

    async def repair(self, io: IO) -> Agreement:
        """Add the points that the index lacks, and remove those without a version."""

        async def aligned(io: IO) -> Agreement:
            await self._project(io)
            points = await self.index.ids(io)
            versions = await io.run(self._ledger.outbox.version_ids)
            await self.index.delete(io, sorted(points - versions))
            await io.run(self._ledger.outbox.mark, sorted(versions - points))
            await self._project(io)
            return await self._compared(io)

        return await self.writing(io, aligned)

    async def finish_erasing(self, io: IO) -> None:
        """Rewrite the files after an erasure: the rows are gone already, and now their bytes go.

        One at a time, and never during a `reindex`, whose new index may hold what is to go. An erasure during the
        rewrite leaves a mark of its own, and the files are rewritten again.
        """
        async with holding(io, self._locks, WHOLE_INDEX):
            mark = await io.run(self._ledger.setting, ERASING)
            if mark is None:
                return
            if not self.basis.joined:
                await self.project(io)
                await self.writing(io, lambda io: io.run(self._ledger.outbox.tidy))
            await self.index.compact(io)
            self._at("compact")
            await io.run(self._ledger.forget_erasing, mark)


async def fill(ledger: Ledger, basis: Basis, io: IO, progress: Progress | None = None) -> tuple[int, int]:
    """Write every version of the ledger as a point. Returns the place of the last version seen, and their number."""
    total = await io.run(ledger.outbox.version_count)
    within = basis.followed.within
    last = done = 0
    while True:
        page = await io.run(ledger.outbox.page, last, SLICE, basis.embedder.name, within)
        if not page:
            return last, done
        if within is None:
            await basis.index.upsert(io, [point for _, point in page])
        last, done = page[-1][0], done + len(page)
        if progress is not None:
            progress(done, max(done, total))


async def drop_retired(ledger: Ledger, io: IO, *, keep: str | None = None) -> None:
    """Remove the vectors of an embedder that `reindex` replaced, unless it is the one to keep."""
    retired = await io.run(ledger.setting, "retired")
    if retired is None:
        return
    if retired != keep:
        await io.run(ledger.outbox.drop_vectors, retired)
    await io.run(lambda: ledger.set(retired=None))


def point_of(row: Any, vector: npt.NDArray[np.float32]) -> Point:
    """The point of a version: `row` is one of the ledger's versions."""
    text = indexed_text(row.text, row.speakers)
    found = terms(text)
    payload: dict[str, Any] = {
        "u": row.user_id,
        "a": row.agent_id,
        "r": row.run_id,
        "t0": row.valid_from,
        "t1": min(row.valid_to, FOREVER if row.expires_at is None else row.expires_at),
        "c": row.created_at,
        "s": [name.casefold() for name in row.speakers],
        "w": len(found),
        **_given(h=row.happened_at, x=row.expires_at, e=row.episode, p=row.position),
        "m": encode_metadata(row.metadata),
    }
    return Point(row.id, vector, vector_of_terms(found), payload)


def _given(**values: int | None) -> Mapping[str, int]:
    return {key: value for key, value in values.items() if value is not None}
