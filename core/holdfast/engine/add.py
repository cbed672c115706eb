"""From what was said to what is known: journal, extract, look up, merge, commit, project."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar
from uuid import uuid4

from ..decisions.extraction import CONTEXT_MESSAGES, Window, facts, parts, question, windows
from ..decisions.merging import (
    Decision,
    Decisions,
    MergeStrategy,
    Neighbour,
    NewFact,
    Working,
    added,
    batches,
    guarded,
    known,
    with_known,
)
from ..decisions.retrieval.candidates import Candidate
from ..decisions.retrieval.ranking import RankQuery, Weights, indexed_text, rank
from ..decisions.text.lexical import query_vector
from ..errors import HoldfastError, ModelError, ModelReplyError, StorageError
from ..io import CONCURRENCY, IO, Inline, holding, running_loop
from ..ports import LanguageModel
from ..storage.generation import Basis
from ..storage.index.base import IndexQuery
from ..storage.ledger.commit import Conflict, Write
from ..storage.ledger.ids import new_id
from ..storage.ledger.jobs import JobRecord, LeaseLost, NewJob
from ..storage.ledger.journal import Journaled
from ..storage.ledger.memories import JobStep, holds
from ..storage.store import AtWork, Store
from ..types import AddResult, Changes, JournaledMessage, Message, Metadata, Scope, Usage
from .ask import Asking
from .embed import Matrix, embed_documents
from .events import Listeners, Observation, Telling
from .paths import Path, Paths
from .writes import Found, addition, found_in, item_of, verbatim, without_model, writes_of

_log = logging.getLogger("holdfast")

T = TypeVar("T")
Take = Callable[[], JobRecord | None]  # leases a job, or none

NEIGHBOURS = 30  # of a fact: as many as one question shows
# Neighbours are the nearest by meaning and by shared words; conversation and time say nothing of sameness.
NEAREST = Weights(**{signal.name: 0.0 for signal in fields(Weights) if signal.name != "keyword"})
VERBATIM_STEP = 512  # texts that are kept as they are, per transaction
RETRY_SECONDS = (5, 30, 120, 600, 3600)  # the background's patience with a failing model; then it gives up


@dataclass(frozen=True, slots=True)
class Told:
    """One call of `add`, checked."""

    scope: Scope
    messages: Sequence[Message]
    metadata: Metadata
    session_id: str | None
    infer: bool
    instructions: str | None
    background: bool
    extract: bool = True
    delay: int = 0  # microseconds
    expires_at: int | None = None  # microseconds since the epoch


class Remembering:
    """The write path. One per `Memory`, over a store that several may share."""

    def __init__(
        self,
        store: Store,
        *,
        llm: LanguageModel | None,
        paths: Paths,
        listeners: Listeners,
        window_tokens: int,
    ) -> None:
        self._store = store
        self._llm = llm
        self._paths = paths
        self._listeners = listeners
        self._window_tokens = window_tokens
        self.owner = str(uuid4())
        self.failing = False  # the last add that needed extraction or merging failed
        self._warned = False

    # -- the whole of an add ------------------------------------------------------------------------------------

    async def add(self, io: IO, told: Told) -> AddResult:
        """Journal, then do the work, or leave it to the background."""
        job = NewJob(
            id=new_id(),
            infer=told.infer,
            instructions=told.instructions,
            metadata=told.metadata,
            model=self._llm.name if self._llm and told.infer else "",
            window_tokens=self._window_tokens,
            owner=None if told.background else self.owner,
            extract=told.extract,
            delay=told.delay,
            expires_at=told.expires_at,
        )
        journaled: list[Journaled] = []

        def journal() -> JobRecord | None:
            ledger = self._store.ledger
            entry = ledger.journal.append(told.scope, told.messages, session_id=told.session_id, job=job)
            journaled.append(entry)
            self._store.news = object()
            return ledger.jobs.get(job.id) if entry.fresh and not told.background else None

        try:
            result = await self.finish(io, journal)
            if result is not None:
                return result
            [entry] = journaled
            if entry.fresh:
                return AddResult(job.id, "pending", messages=tuple(message.id for message in entry.fresh))
            return await self._already_known(io, entry.known, background=told.background)
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
        append = self._store.ledger.journal.append
        return (await io.run(append, scope, said, session_id=session_id, job=None, keep=keep)).fresh

    async def finish(self, io: IO, take: Take) -> AddResult | None:
        """Do the job that `take` leases, after those of its scope that were journaled before it. None where it leases
        none."""
        with self._listeners.telling() as telling:
            async with self._leased(io, take) as job:
                if job is None:
                    return None
                async with holding(io, self._store.locks, job.scope):
                    older = partial(self._store.ledger.jobs.lease, self.owner, ahead_of=job)
                    while await self._attempt(io, older, telling, Exception):
                        pass
                    return await self._done(io, job, telling)

    async def work(self, io: IO, due: JobRecord) -> None:
        """Do a job that is due, on behalf of nobody who waits, unless somebody was faster."""
        with self._listeners.telling() as telling:
            # The scope's lock before the lease: an add in the foreground could overtake a leased job that waits.
            async with holding(io, self._store.locks, due.scope):
                take = partial(self._store.ledger.jobs.lease, self.owner, job_id=due.id)
                await self._attempt(io, take, telling, BaseException)

    async def _attempt(self, io: IO, take: Take, telling: Telling, failure: type[BaseException]) -> bool:
        """Do a job for nobody who waits: what goes wrong is kept with it. Returns whether there was one.

        failure: what counts as the job's own. In a thread of ours that is whatever comes out of a model, for nobody
        interrupts or cancels it; in a caller's thread or task an interruption is the caller's.
        """
        job = None
        try:
            async with self._leased(io, take, patient=True, failure=failure) as job:
                if job is None:
                    return False
                await self._done(io, job, telling)
        except failure as error:  # given back, to be tried again or given up, and reported as an event
            self._say(job, error)
        return True

    def _say(self, job: JobRecord | None, error: BaseException) -> None:
        """Nobody waits for a job of the background, so the log has the first failure, and each that is given up."""
        if not isinstance(error, HoldfastError):
            _log.exception("the background met an error that is none of Holdfast's")
        if job is None:
            return
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
        """The job that `take` leases, for the length of the block: who fails or is cancelled gives it back."""
        taken: list[JobRecord] = []
        loop = None if isinstance(io, Inline) else running_loop()

        def kept() -> None:  # where it is taken: a caller who is cancelled meanwhile does not hear of it
            job = take()
            if job is not None:
                self._store.at_work[job.id] = AtWork(job.scope, job.session_id, loop)
                taken.append(job)

        try:
            await io.run(kept)
            yield taken[0] if taken else None
        except BaseException as error:
            for job in taken:
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
        """Every message was journaled before: finish what of it is unfinished, and add nothing twice."""
        add_ids = list(dict.fromkeys(message.add_id for message in known if message.add_id))
        result = AddResult(add_ids[-1] if add_ids else new_id(), "done")
        for add_id in add_ids:
            job = await io.run(self._store.ledger.jobs.get, add_id)
            if job.state == "done":
                continue
            if job.state == "failed":  # it was given up, and is asked for again
                await io.run(self._store.ledger.jobs.retry, Scope(), add_id)
            if background:
                return replace(result, state="pending" if job.state == "failed" else job.state)
            finished = await self.finish(io, partial(self.lease_one, add_id))
            # None: somebody else works on it
            result = result.merged(finished) if finished is not None else replace(result, state="running")
        return result

    # -- one job ------------------------------------------------------------------------------------------------

    async def _done(self, io: IO, job: JobRecord, telling: Telling) -> AddResult:
        with telling.observing("add", job.scope) as seen:
            try:
                result = await self._steps(io, job)
            except LeaseLost:
                # Another process took the job over; what it commits is as good as ours.
                result = AddResult(job.id, "running")
            if job.infer and result.state == "done":
                self.failing = self._warned = False
            seen.spend(result.usage)
            _count(seen, result)
        return result

    def lease_one(self, job_id: str) -> JobRecord | None:
        """Take this job, whether or not it is due, unless somebody works on it. For `finish`."""
        return self._store.ledger.jobs.lease_one(self.owner, job_id)

    def _give_back(
        self, job: JobRecord, error: BaseException, patient: bool, failure: type[BaseException]
    ) -> None:
        """Free the job. After a `failure` it is tried again later; with `patient`, up to a limit."""
        failed = isinstance(error, failure)
        self.failing = self.failing or (failed and job.infer)
        tried = job.attempts
        wait = RETRY_SECONDS[min(tried, len(RETRY_SECONDS) - 1)]
        self._store.ledger.jobs.give_back(
            job.id,
            self.owner,
            f"{type(error).__name__}: {error}" if failed else None,
            retry_at=self._store.ledger.clock() + (wait * 1_000_000 if failed else 0),
            failed=failed and patient and tried >= len(RETRY_SECONDS),
        )

    async def _steps(self, io: IO, job: JobRecord) -> AddResult:
        said = await io.run(self._store.ledger.journal.of_add, job.id)
        result = AddResult(job.id, "done", messages=tuple(message.id for message in said))
        if not job.infer:
            return await self._keep(io, job, said, result)
        if job.model and self._llm is None:
            raise ModelError(
                f"this add was journaled for the model {job.model!r}, and this Memory has none: open one with "
                "llm=..., and resume() or jobs.retry() finishes it"
            )
        return await self._infer(io, job, said, result)

    async def _keep(
        self, io: IO, job: JobRecord, said: Sequence[JournaledMessage], result: AddResult
    ) -> AddResult:
        """Every text as it is, in slices."""
        texts = [message for message in said if message.message.content.strip()]
        slices = _batches(texts, VERBATIM_STEP) or [[]]
        for number in range(job.windows_done, len(slices)):
            found = [verbatim(message) for message in slices[number]]
            step = JobStep(job.id, self.owner, Usage(), number + 1 == len(slices))
            changes = await self._kept(io, job, found, step)
            result = _extended(result, changes, Usage())
        return result

    async def _kept(self, io: IO, job: JobRecord, found: Sequence[Found], step: JobStep) -> Changes:
        async def attempt(basis: Basis) -> Changes:
            vectors = await self._embedded(io, basis, found)
            writes = [
                addition(fact, vector, job, "kept as it was said")
                for fact, vector in zip(found, vectors, strict=True)
            ]
            return await self._commit(io, basis, job, writes, step)

        return await self._store.committed(io, attempt)

    async def _commit(
        self,
        io: IO,
        basis: Basis,
        job: JobRecord,
        writes: Sequence[Write],
        step: JobStep,
        revision: int | None = None,
    ) -> Changes:
        """Raises `Conflict`, `LeaseLost`."""
        return await io.run(
            self._store.ledger.memories.commit,
            job.scope,
            writes,
            embedder=basis.embedder.name,
            revision=revision,
            step=step,
        )

    async def _infer(
        self, io: IO, job: JobRecord, said: Sequence[JournaledMessage], result: AddResult
    ) -> AddResult:
        """Window by window: several are extracted at a time, each is merged and committed in its turn."""
        shown = [message for message in said if message.message.content.strip()]
        cut = await self._windows(io, job, shown)
        waiting = list(range(job.windows_done, len(cut)))
        if not waiting:
            await self._kept(io, job, [], self._step(job, Usage(), True))
            return result
        path, examining = await self._paths.path(io)
        for group in _batches(waiting, CONCURRENCY):
            extracted = await io.map(lambda number: self._extracted(io, job, path, cut[number], shown), group)
            for number, (found, usage) in zip(group, extracted, strict=True):
                step = self._step(job, usage + examining, number + 1 == len(cut))
                changes, spent = await self._merged(io, job, path.merger, found, step)
                result = _extended(result, changes, step.usage + spent)
                examining = Usage()
        return result

    def _step(self, job: JobRecord, usage: Usage, finished: bool) -> JobStep:
        return JobStep(job.id, self.owner, usage, finished)

    async def _windows(self, io: IO, job: JobRecord, shown: Sequence[JournaledMessage]) -> list[Window]:
        if not shown:
            return []
        earlier = await io.run(
            self._store.ledger.journal.before, job.scope, job.session_id, shown[0].position, CONTEXT_MESSAGES
        )
        return await io.run(
            windows,
            [message.message for message in shown],
            earlier=[message.message for message in earlier if message.message.content.strip()],
            max_tokens=job.window_tokens,
        )

    # -- extraction ---------------------------------------------------------------------------------------------

    async def _extracted(
        self, io: IO, job: JobRecord, path: Path, window: Window, shown: Sequence[JournaledMessage]
    ) -> tuple[list[Found], Usage]:
        behind = shown[window.start : window.start + len(window.messages)]
        begun = behind[window.continues :]  # what needs no model is taken whole, where a long message begins
        if not job.extract:
            return [verbatim(message) for message in begun], Usage()
        if self._llm is None:
            return await io.run(without_model, begun), Usage()
        await io.run(self._store.ledger.jobs.renew, job.id, self.owner)
        # A small model tells what the earlier messages say again, in the place of what the new ones say.
        pieces = (
            [replace(piece, context=()) for piece in parts(window, path.messages)]
            if path.messages
            else [window]
        )
        asked = [(piece, question(piece, job.instructions)) for piece in pieces]
        asking = Asking(io, self._llm)
        answers = iter(await asking.needed([one for _, one in asked if one is not None]))
        found = [
            found_in(fact, shown[piece.start :])
            for piece, one in asked
            if one is not None
            for fact in facts(piece, next(answers))
        ]
        return found, asking.usage

    # -- merging ------------------------------------------------------------------------------------------------

    async def _merged(
        self, io: IO, job: JobRecord, merger: MergeStrategy, found: Sequence[Found], step: JobStep
    ) -> tuple[Changes, Usage]:
        """Decide and commit. Where somebody else changed the scope meanwhile, decide again."""
        spent = Usage()
        embedded: dict[Basis, Matrix] = {}
        decided_on: list[tuple[Basis, int]] = []
        new_ids = [new_id() for _ in found]

        async def attempt(basis: Basis) -> Changes:
            nonlocal spent
            revision = await io.run(self._store.ledger.memories.revision, job.scope)
            vectors = embedded.get(basis)
            if vectors is None:
                vectors = embedded[basis] = await self._embedded(io, basis, found)
            decisions, usage = await self._decided(io, basis, job, merger, found, vectors, new_ids)
            spent += usage
            decided = writes_of(found, decisions, new_ids, job)
            writes = await self._with_vectors(io, basis, decided, found, vectors)
            whole = replace(step, usage=step.usage + spent)
            try:
                return await self._commit(io, basis, job, writes, whole, revision)
            except Conflict:
                if (basis, revision) in decided_on:
                    raise StorageError(
                        f"add {job.id!r} conflicts with itself; its messages are journaled, and `jobs.retry` "
                        "takes it up again"
                    ) from None
                decided_on.append((basis, revision))
                raise

        return await self._store.committed(io, attempt, searched=job.scope), spent

    async def _decided(
        self,
        io: IO,
        basis: Basis,
        job: JobRecord,
        merger: MergeStrategy,
        found: Sequence[Found],
        vectors: Matrix,
        new_ids: Sequence[str],
    ) -> tuple[Decisions, Usage]:
        """What becomes of every fact. Facts of a later question see what an earlier one changed."""
        neighbours = await self._neighbours(io, basis, job.scope, found, vectors)
        new = [
            NewFact(fact.text, near, fact.happened_at, fact.speakers)
            for fact, near in zip(found, neighbours, strict=True)
        ]
        settled, decided = known(new), dict[int, tuple[Decision, ...]]()
        spent, working = Usage(), Working()
        for run in batches(new):
            seen = {at: working.seen_by(new[at], partial(_cosines, vectors, at)) for at in run}
            in_doubt = [at for at in run if at not in settled and seen[at].neighbours]
            facts = [seen[at] for at in in_doubt]
            decisions, usage = await self._asked(io, job, merger, facts)
            spent += usage
            decided |= zip(in_doubt, guarded(facts, decisions), strict=True)
            for at in run:
                if at not in settled:
                    own = decided.setdefault(at, added(new[at], "nothing is known of it"))
                    working.apply(at, own, item_of(found[at], new_ids[at], job.scope, job.metadata))
        return with_known(new, settled, decided), spent

    async def _asked(
        self, io: IO, job: JobRecord, merger: MergeStrategy, facts: Sequence[NewFact]
    ) -> tuple[Decisions, Usage]:
        if not facts:
            return (), Usage()
        asking = Asking(io, self._llm) if self._llm is not None else None
        answers: list[Any] = []
        while questions := merger.ask(facts, answers):
            if asking is None:
                answers += [ModelReplyError("there is no model to ask") for _ in questions]
                continue
            await io.run(self._store.ledger.jobs.renew, job.id, self.owner)
            answers += await asking.answers(questions)
        return merger.decide(facts, answers), asking.usage if asking else Usage()

    async def _neighbours(
        self, io: IO, basis: Basis, scope: Scope, found: Sequence[Found], vectors: Matrix
    ) -> list[tuple[Neighbour, ...]]:
        expiring = await io.run(self._store.expiring)
        queries = [
            IndexQuery(scope, vector, query_vector(fact.indexed), 2 * NEIGHBOURS, exact=True, now=expiring)
            for fact, vector in zip(found, vectors, strict=True)
        ]
        nearest = [_nearest(candidates) for candidates in await basis.index.query(io, queries)]
        ids = {candidate.id for candidate in chain.from_iterable(nearest)}
        items = await io.run(self._store.ledger.memories.by_version, sorted(ids))
        now = self._store.ledger.clock()
        return [
            tuple(
                Neighbour(items[candidate.id], candidate.dense)
                for candidate in candidates
                if candidate.id in items and holds(items[candidate.id], None, now)
            )
            for candidates in nearest
        ]

    # -- from decisions to writes -------------------------------------------------------------------------------

    async def _with_vectors(
        self, io: IO, basis: Basis, writes: Sequence[Write], found: Sequence[Found], vectors: Matrix
    ) -> list[Write]:
        """The vector of each text that is stored; only texts that merging composed are embedded here."""
        known = {fact.indexed: vector for fact, vector in zip(found, vectors, strict=True)}
        needed = {
            indexed_text(write.text, write.speakers)
            for write in writes
            if write.operation in ("ADD", "UPDATE")
        }
        missing = sorted(needed - known.keys())
        fresh = await embed_documents(io, basis.embedder, missing)
        known |= dict(zip(missing, fresh, strict=True))
        return [
            replace(write, vector=known[indexed_text(write.text, write.speakers)])
            if write.operation in ("ADD", "UPDATE")
            else write
            for write in writes
        ]

    async def _embedded(self, io: IO, basis: Basis, found: Sequence[Found]) -> Matrix:
        return await embed_documents(io, basis.embedder, [fact.indexed for fact in found])


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _cosines(vectors: Matrix, one: int, others: Sequence[int]) -> list[float]:
    cosines: list[float] = (vectors[list(others)] @ vectors[one]).tolist()
    return cosines


def _nearest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The few best, by meaning and words together, in that order."""
    by_id = {candidate.id: candidate for candidate in candidates}
    ranked = rank(RankQuery(), candidates, limit=NEIGHBOURS, now=datetime.now(UTC), weights=NEAREST)
    return [by_id[hit.id] for hit in ranked]


def _extended(result: AddResult, changes: Changes, usage: Usage) -> AddResult:
    return replace(result, changes=result.changes + tuple(changes), usage=result.usage + usage)


def _count(seen: Observation, result: AddResult) -> None:
    seen.count("messages", len(result.messages))
    for change in result.changes:
        seen.count(change.operation)
