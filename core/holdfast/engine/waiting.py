"""Waiting for adds that are under way: only for what can be done, and never longer than the caller wants."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..io import IO, Inline, running_loop
from ..storage.store import Store
from ..types import Flushed, Scope
from .leases import Leases

WAIT = 2.0  # seconds; what a model takes to extract and merge
POLL = 0.02  # seconds between looks: another process may be working on it
FARTHEST = 10 * 365 * 86_400.0  # seconds


class Waiting:
    """Time is counted on a clock that only goes forward, however long the looks themselves take."""

    def __init__(self, store: Store, leases: Leases, start: Callable[[], None]) -> None:
        self._store = store
        self._leases = leases
        self._start = start
        self._in_vain: set[str] = set()  # adds that were waited for but took longer

    async def drained(self, io: IO, scope: Scope, seconds: float | None) -> Flushed:
        """Wait until nothing more of a scope can be done in time. Later retries are not waited for."""
        ledger = self._store.ledger
        await io.run(ledger.jobs.begin)
        deadline = time.monotonic() + min(seconds or 0.0, FARTHEST)
        while True:
            left = max(0.0, deadline - time.monotonic())
            until = ledger.clock() + int(left * 1_000_000)
            if not await io.run(self._under_way, scope, until):
                break
            self._start()
            if seconds is not None and not left:
                break
            await io.sleep(POLL if seconds is None else min(POLL, left))
        await self._store.projection.after_commit(
            io
        )  # a job is done a moment before the index has heard of it
        unfinished = await io.run(ledger.jobs.listed, "pending", "running")
        return Flushed(tuple(job.public() for job in unfinished if job.scope.within(scope)))

    async def heard(self, io: IO, scope: Scope, session: str | None, seconds: float) -> None:
        """Wait until what was said under these ids is known, except what `session` itself is adding.

        An add is waited for once: if it takes longer, the next search does not wait for it. While the model fails,
        nothing is waited for."""
        if self._store.quiet:
            return
        deadline = time.monotonic() + min(seconds, FARTHEST)
        stopped = running_loop() if isinstance(io, Inline) else None
        waited = False
        while not self._leases.failing:
            awaited = await io.run(self._awaited, scope, session, stopped)
            if not awaited:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                await io.run(self._give_up, awaited)
                break
            await io.sleep(min(POLL, left))
            waited = True
        if waited:
            await self._store.projection.after_commit(io)

    def _awaited(self, scope: Scope, session: str | None, stopped: object | None) -> set[str]:
        """The adds to wait for: what can be done now, and what is committed but not yet in the index.

        stopped: an event loop that does not run while the caller waits, and neither do its adds.
        """
        news = self._store.news
        listed = self._under_way(scope, self._store.ledger.clock(), session)
        if self._store.exclusive and not listed and not self._store.ledger.jobs.listed("pending", "running"):
            self._store.quiet_since = news
        at_work = dict(self._store.at_work)
        told = {
            job_id
            for job_id, work in at_work.items()
            if scope.ids().items() <= work.scope.ids().items()
            and (session is None or work.session != session)
        }
        asleep = {
            job_id for job_id, work in at_work.items() if work.loop is not None and work.loop is stopped
        }
        return {*listed, *told} - self._in_vain - asleep

    def _under_way(self, scope: Scope, until: int, apart_from: str | None = None) -> list[str]:
        self._store.at("look")
        return self._store.ledger.jobs.under_way(scope, until, apart_from=apart_from)

    def _give_up(self, awaited: set[str]) -> None:
        under_way = self._store.ledger.jobs.under_way(Scope(), self._store.ledger.clock())
        self._in_vain = self._in_vain.intersection(under_way) | awaited
