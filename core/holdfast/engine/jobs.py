"""Adds as jobs: done at once or in the background, waited for, finished later, taken up again."""

from __future__ import annotations

from functools import partial

from ..io import IO
from ..storage.store import Store
from ..types import AddResult, Flushed, Job, JobState, Scope
from .add import Remembering, Told
from .waiting import Waiting
from .worker import Worker


class Jobs:
    """The adds of a `Memory`. bound: reach only those that carry these ids."""

    def __init__(self, store: Store, remembering: Remembering, worker: Worker, waiting: Waiting) -> None:
        self._store = store
        self._remembering = remembering
        self._worker = worker
        self._waiting = waiting

    async def add(self, io: IO, told: Told) -> AddResult:
        try:
            result = await self._remembering.add(io, told)
        finally:
            self._worker.look_again()  # what waited behind it, or what it could not finish
        if result.state == "pending":
            self._worker.start()
        return result

    async def listed(self, io: IO, bound: Scope, *states: JobState) -> list[Job]:
        self._store.check()
        listed = await io.run(self._store.ledger.jobs.listed, *states)
        return [job.public() for job in listed if job.scope.within(bound)]

    async def resume(self, io: IO, bound: Scope) -> list[AddResult]:
        results = []
        for job in await self.listed(io, bound, "pending"):
            finished = await self._remembering.finish(io, partial(self._remembering.lease_one, job.id))
            if finished is not None:
                results.append(finished)
        return results

    async def retry(self, io: IO, bound: Scope, job_id: str | None) -> int:
        self._store.check()
        count: int = await io.run(self._store.ledger.jobs.retry, bound, job_id)
        if count:
            self._store.news = object()
            self._worker.start()
        return count

    async def flush(self, io: IO, bound: Scope, timeout: float | None) -> Flushed:
        self._store.check()
        return await self._waiting.drained(io, bound, timeout)

    async def imported(self, io: IO) -> None:
        """Begin what is due of what an import brought."""
        self._store.news = object()
        if await io.run(self._store.ledger.jobs.next_due) is not None:
            self._worker.start()
