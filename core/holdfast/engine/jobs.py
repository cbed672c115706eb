"""Adds as jobs: done at once or in the background, waited for, finished later, retried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..io import IO, operation
from ..storage.ledger.jobs import AddOptions
from ..storage.projection import Progress
from ..storage.store import Store
from ..types import AddResult, Flushed, Job, JobState, Message, Scope, Transfer
from .arguments import text_of
from .events import Listeners
from .leases import Leases
from .transfer import Place, import_
from .waiting import Waiting
from .worker import Worker


class Jobs:
    """The adds that are not done: `memory.jobs`. A scoped memory has those of its own scope."""

    def __init__(self, store: Store, bound: Scope, start: Callable[[], None]) -> None:
        self._store = store
        self._bound = bound
        self._start = start

    @operation
    async def pending(self, io: IO) -> list[Job]:
        """The adds that are journaled and not done. Raises ClosedError, StorageError."""
        return await listed(io, self._store, self._bound, "pending", "running")

    apending = pending.twin

    @operation
    async def failed(self, io: IO) -> list[Job]:
        """The adds given up after several attempts; `retry` starts them again.

        Raises ClosedError, StorageError.
        """
        return await listed(io, self._store, self._bound, "failed")

    afailed = failed.twin

    @operation
    async def retry(self, io: IO, job_id: str | None = None) -> int:
        """Put one failed job, or all of them, back to work in the background. Returns how many.

        Raises InputError, ClosedError, StorageError.
        """
        self._store.check()
        wanted = None if job_id is None else text_of("job_id", job_id)
        count: int = await io.run(self._store.ledger.jobs.retry, self._bound, wanted)
        if count:
            self._store.news = object()
            self._start()
        return count

    aretry = retry.twin


class Adding:
    """The adds of a `Memory`, and the background that finishes them. bound: reach only those with these ids."""

    def __init__(
        self, store: Store, leases: Leases, worker: Worker, waiting: Waiting, listeners: Listeners
    ) -> None:
        self._store = store
        self._leases = leases
        self._worker = worker
        self._waiting = waiting
        self._listeners = listeners

    async def add(
        self,
        io: IO,
        scope: Scope,
        session_id: str | None,
        said: Sequence[Message],
        options: AddOptions,
        delay: int | None,
    ) -> AddResult:
        try:
            result = await self._leases.add(io, scope, session_id, said, options, delay)
        finally:
            self._worker.look_again()  # what waited behind it, or what it could not finish
        if result.state == "pending":
            self._worker.start()
        return result

    async def resume(self, io: IO, bound: Scope) -> list[AddResult]:
        results = []
        for job in await listed(io, self._store, bound, "pending"):
            finished = await self._leases.finish(io, partial(self._leases.lease_one, job.id))
            if finished is not None:
                results.append(finished)
        return results

    async def flush(self, io: IO, bound: Scope, timeout: float | None) -> Flushed:
        self._store.check()
        return await self._waiting.drained(io, bound, timeout)

    async def import_(self, io: IO, source: Place, scope: Scope, progress: Progress | None) -> Transfer:
        """Import, and begin what is due: an export includes adds that are not done."""
        with self._listeners.observing("import", scope):
            imported = await import_(self._store, io, source, scope, progress)
        self._store.news = object()
        if await io.run(self._store.ledger.jobs.next_due) is not None:
            self._worker.start()
        return imported


async def listed(io: IO, store: Store, bound: Scope, *states: JobState) -> list[Job]:
    """The jobs of a scope in any of these states."""
    store.check()
    jobs = await io.run(store.ledger.jobs.listed, *states)
    return [job.public() for job in jobs if job.scope.within(bound)]
