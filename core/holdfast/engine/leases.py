"""Who does which add, and when: journaled, leased, done in turn within its scope, given back if it fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from ..errors import HoldfastError
from ..io import IO, Inline, holding, running_loop
from ..storage.ledger.ids import new_id
from ..storage.ledger.jobs import AddOptions, JobRecord, LeaseLost, NewJob
from ..storage.ledger.journal import Journaled
from ..storage.store import AtWork, Store
from ..types import AddResult, JournaledMessage, Message, Scope
from .add import Remembering
from .events import Listeners, Observation, Telling

_log = logging.getLogger("holdfast")

Take = Callable[[], JobRecord | None]  # leases a job, or none

RETRY_SECONDS = (5, 30, 120, 600, 3600)  # the background's patience with a failing model; then it gives up


class Leases:
    """One per `Memory`, over a store that several may share."""

    def __init__(self, store: Store, remembering: Remembering, listeners: Listeners) -> None:
        self._store = store
        self._remembering = remembering
        self._listeners = listeners
        self._owner = str(uuid4())
        self.failing = False  # the last add that needed extraction or merging failed
        self._warned = False

    async def add(
        self,
        io: IO,
        scope: Scope,
        session_id: str | None,
        said: Sequence[Message],
        options: AddOptions,
        delay: int | None,
    ) -> AddResult:
        """Journal, then do the work.

        delay: microseconds before the background starts on it; None if the caller waits for it.
        """
        background = delay is not None
        job = NewJob(new_id(), options, None if background else self._owner, delay or 0)
        journaled: list[Journaled] = []

        def journal() -> JobRecord | None:
            entry = self._journal(scope, said, session_id=session_id, job=job)
            journaled.append(entry)
            self._store.news = object()
            return None if background else entry.job

        try:
            result = await self.finish(io, journal)
            if result is not None:
                return result
            [entry] = journaled
            if entry.fresh:
                return AddResult(job.id, "pending", messages=tuple(message.id for message in entry.fresh))
            return await self._already_known(io, entry.known, background=background)
        except HoldfastError as error:
            if journaled and error.add_id is None:
                [entry] = journaled
                error.add_id = job.id if entry.fresh else entry.known[-1].add_id
            raise

    async def record(
        self,
        io: IO,
        scope: Scope,
        session_id: str | None,
        said: Sequence[Message],
        keep: Sequence[str] | None,
    ) -> tuple[JournaledMessage, ...]:
        """Journal, and no more."""
        return (await io.run(self._journal, scope, said, session_id=session_id, job=None, keep=keep)).fresh

    def _journal(self, scope: Scope, said: Sequence[Message], **details: Any) -> Journaled:
        self._store.at("journal")
        return self._store.ledger.journal.append(scope, said, **details)

    async def finish(self, io: IO, take: Take) -> AddResult | None:
        """Do the job that `take` leases, after those of its scope that were journaled before it. None if it leases
        none."""
        with self._listeners.telling() as telling:
            async with self._leased(io, take) as job:
                if job is None:
                    return None
                async with holding(io, self._store.locks, job.scope):
                    older = partial(self._store.ledger.jobs.lease, self._owner, ahead_of=job)
                    while await self._attempt(io, older, telling, Exception):
                        pass
                    return await self._done(io, job, telling)

    async def work(self, io: IO, due: JobRecord) -> None:
        """Do a due job that nobody waits for, unless somebody was faster."""
        with self._listeners.telling() as telling:
            # The scope's lock before the lease: an add in the foreground could overtake a leased job that waits.
            async with holding(io, self._store.locks, due.scope):
                take = partial(self._store.ledger.jobs.lease, self._owner, job_id=due.id)
                await self._attempt(io, take, telling, BaseException)

    async def _attempt(self, io: IO, take: Take, telling: Telling, failure: type[BaseException]) -> bool:
        """Do a job that nobody waits for: failures are kept with it. Returns whether there was one.

        failure: what counts as the job's own. In a thread of ours that is whatever a model raises, as nobody
        interrupts or cancels it; in a caller's thread or task, an interruption is the caller's.
        """
        job = None
        try:
            async with self._leased(io, take, patient=True, failure=failure) as job:
                if job is None:
                    return False
                await self._done(io, job, telling)
        except failure:  # logged, reported as an event, and given back to be tried again or given up
            if job is None:
                raise  # the ledger cannot be reached
        return True

    def _say(self, job: JobRecord, error: BaseException) -> None:
        """Log the first failure and each job given up, as nobody waits for the background's jobs."""
        if not isinstance(error, HoldfastError):
            _log.exception("the background met an error that is none of Holdfast's")
        kind = type(error).__name__
        if job.attempts >= len(RETRY_SECONDS):
            _log.warning(
                "add %s was given up: %s; see memory.jobs.failed() and memory.jobs.retry()", job.id, kind
            )
        elif not self._warned:
            self._warned = True
            _log.warning(
                "an add in the background failed: %s; it is tried again, and memory.jobs.pending() says why. "
                "Further failures are not logged until one succeeds",
                kind,
            )

    @asynccontextmanager
    async def _leased(
        self, io: IO, take: Take, *, patient: bool = False, failure: type[BaseException] = Exception
    ) -> AsyncIterator[JobRecord | None]:
        """The job that `take` leases, within the block: it is given back on failure or cancellation."""
        taken: list[JobRecord] = []
        loop = None if isinstance(io, Inline) else running_loop()

        def kept() -> None:  # in the thread that takes it: a caller cancelled meanwhile does not learn of it
            job = take()
            if job is not None:
                self._store.at_work[job.id] = AtWork(job.scope, job.session_id, loop)
                taken.append(job)
                self._store.at("leased")

        try:
            await io.run(kept)
            yield taken[0] if taken else None
        except BaseException as error:
            for job in taken:
                if patient and isinstance(error, failure):
                    self._say(job, error)
                await io.run(self._give_back, job, error, patient, failure)
                if isinstance(error, HoldfastError):
                    error.add_id = job.id
            raise
        finally:
            for job in taken:
                self._store.at_work.pop(job.id, None)

    async def _already_known(
        self, io: IO, known: Sequence[JournaledMessage], *, background: bool
    ) -> AddResult:
        """Every message is journaled already: finish what is unfinished, and add nothing twice."""
        add_ids = list(dict.fromkeys(message.add_id for message in known if message.add_id))
        result = AddResult(add_ids[-1] if add_ids else new_id(), "done")
        for add_id in add_ids:
            job = await io.run(self._store.ledger.jobs.get, add_id)
            if job.state == "done":
                continue
            if job.state == "failed":  # it was given up, and is requested again
                await io.run(self._store.ledger.jobs.retry, Scope(), add_id)
            if background:
                return replace(result, state="pending" if job.state == "failed" else job.state)
            finished = await self.finish(io, partial(self.lease_one, add_id))
            # None: somebody else is working on it
            result = result.merged(finished) if finished is not None else replace(result, state="running")
        return result

    async def _done(self, io: IO, job: JobRecord, telling: Telling) -> AddResult:
        with telling.observing("add", job.scope) as seen:
            seen.creates = job.options.infer is False
            try:
                result = await self._remembering.remember(io, job)
            except LeaseLost:
                # Another process took the job over; what it commits is as good as ours.
                result = AddResult(job.id, "running")
            if job.options.infer and result.state == "done":
                self.failing = self._warned = False
            seen.spend(result.usage)
            _count(seen, result)
        return result

    def lease_one(self, job_id: str) -> JobRecord | None:
        """Take this job, due or not, unless somebody is working on it. For `finish`."""
        return self._store.ledger.jobs.lease_one(self._owner, job_id)

    def _give_back(
        self, job: JobRecord, error: BaseException, patient: bool, failure: type[BaseException]
    ) -> None:
        """Free the job. After a `failure` it is tried again later; with `patient`, up to a limit."""
        failed = isinstance(error, failure)
        self.failing = self.failing or (failed and job.options.infer)
        tried = job.attempts
        wait = RETRY_SECONDS[min(tried, len(RETRY_SECONDS) - 1)]
        self._store.ledger.jobs.give_back(
            job.id,
            self._owner,
            f"{type(error).__name__}: {error}" if failed else None,
            retry_at=self._store.ledger.clock() + (wait * 1_000_000 if failed else 0),
            failed=failed and patient and tried >= len(RETRY_SECONDS),
        )


def _count(seen: Observation, result: AddResult) -> None:
    seen.count("messages", len(result.messages))
    for change in result.changes:
        seen.count(change.operation)
        if change.operation != "NOOP":
            seen.concern(change.memory_id, change.text)
