"""One add, window by window: extract, look up, merge, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

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
from ..decisions.retrieval.candidates import Candidate, Candidates
from ..decisions.retrieval.ranking import ALONE, RankQuery, indexed_text, rank
from ..decisions.text.equal import normalised
from ..decisions.text.lexical import query_vector
from ..errors import ModelError, ModelReplyError, StorageError
from ..io import CONCURRENCY, IO
from ..ports import LanguageModel
from ..storage.generation import Basis
from ..storage.index.base import IndexQuery
from ..storage.ledger.commit import Conflict, Write
from ..storage.ledger.ids import new_id
from ..storage.ledger.jobs import JobRecord
from ..storage.ledger.memories import JobStep, holds
from ..storage.store import Store
from ..types import AddResult, Changes, JournaledMessage, Scope, Usage
from .ask import Asking
from .embed import Matrix, embed_documents
from .paths import Path, Paths
from .writes import Found, addition, found_in, item_of, verbatim, without_model, writes_of

T = TypeVar("T")

NEIGHBOURS = 30  # of a fact: as many as one question shows
READ_PER_LOOK_UP = (
    100  # so many texts of a scope are read and compared in the time that the index looks one up
)
VERBATIM_STEP = 512  # texts that are kept as they are, per transaction


class Remembering:
    """The write path. One per `Memory`, over a store that several may share."""

    def __init__(self, store: Store, llm: LanguageModel | None, paths: Paths) -> None:
        self._store = store
        self._llm = llm
        self._paths = paths

    async def remember(self, io: IO, job: JobRecord) -> AddResult:
        """Do what is left of a leased job. Raises `LeaseLost` if somebody else took it over."""
        said = await io.run(self._store.ledger.journal.of_add, job.id)
        result = AddResult(job.id, "done", messages=tuple(message.id for message in said))
        if not job.options.infer:
            return await self._keep(io, job, said, result)
        if job.options.model and self._llm is None:
            raise ModelError(
                f"this add was journaled for the model {job.options.model!r}, and this Memory has none: open "
                "one with llm=..., and resume() or jobs.retry() finishes it"
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
            step = JobStep(job.id, job.owner, Usage(), number + 1 == len(slices))
            changes = await self._kept(io, job, found, step)
            result = _extended(result, changes, Usage())
        return result

    async def _kept(self, io: IO, job: JobRecord, found: Sequence[Found], step: JobStep) -> Changes:
        async def attempt(basis: Basis) -> Changes:
            vectors = await self._embedded(io, basis, found)
            writes = [
                addition(fact, vector, job.options, "kept as it was said")
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
        return JobStep(job.id, job.owner, usage, finished)

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
            max_tokens=job.options.window_tokens,
        )

    # -- extraction ---------------------------------------------------------------------------------------------

    async def _extracted(
        self, io: IO, job: JobRecord, path: Path, window: Window, shown: Sequence[JournaledMessage]
    ) -> tuple[list[Found], Usage]:
        behind = shown[window.start : window.start + len(window.messages)]
        begun = behind[window.continues :]  # what needs no model is taken whole, where a long message begins
        if not job.options.extract:
            return [verbatim(message) for message in begun], Usage()
        if self._llm is None:
            return await io.run(without_model, begun), Usage()
        await io.run(self._store.ledger.jobs.renew, job.id, job.owner)
        # A small model repeats what the earlier messages say instead of what the new ones say.
        pieces = (
            [replace(piece, context=()) for piece in parts(window, path.messages)]
            if path.messages
            else [window]
        )
        asked = [(piece, question(piece, job.options.instructions)) for piece in pieces]
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
        self, io: IO, job: JobRecord, merger: MergeStrategy | None, found: Sequence[Found], step: JobStep
    ) -> tuple[Changes, Usage]:
        """Decide and commit. If the scope was changed meanwhile, decide again."""
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
            decided = writes_of(found, vectors, decisions, new_ids, job.options)
            writes = await self._with_vectors(io, basis, decided)
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
        merger: MergeStrategy | None,
        found: Sequence[Found],
        vectors: Matrix,
        new_ids: Sequence[str],
    ) -> tuple[Decisions, Usage]:
        """What becomes of every fact. Facts of a later question see what an earlier one changed."""
        if merger is None and await self._is_sooner_read(io, job.scope, len(found)):
            neighbours = await self._equal(io, job.scope, found)
        else:
            neighbours = await self._neighbours(io, basis, job.scope, found, vectors)
        new = [
            NewFact(fact.text, near, fact.happened_at, fact.speakers)
            for fact, near in zip(found, neighbours, strict=True)
        ]
        settled, decided = known(new), dict[int, tuple[Decision, ...]]()
        if merger is None:
            kept = {at: added(fact, "kept as it was said") for at, fact in enumerate(new)}
            return with_known(new, settled, kept), Usage()
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
                    working.apply(at, own, item_of(found[at], new_ids[at], job.scope, job.options.metadata))
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
            await io.run(self._store.ledger.jobs.renew, job.id, job.owner)
            answers += await asking.answers(questions)
        return merger.decide(facts, answers), asking.usage if asking else Usage()

    async def _is_sooner_read(self, io: IO, scope: Scope, facts: int) -> bool:
        """Whether reading all of a scope is less work than looking up each of so many facts."""
        most = READ_PER_LOOK_UP * facts
        return facts > 1 and await io.run(self._store.ledger.memories.count, scope) <= most

    async def _equal(self, io: IO, scope: Scope, found: Sequence[Found]) -> list[tuple[Neighbour, ...]]:
        """The memories of the same text as each fact, and no others."""
        wanted = {normalised(fact.text) for fact in found}
        texts = await io.run(self._store.ledger.memories.texts, scope)
        same = [name for name, text in texts if normalised(text) in wanted]
        items = await io.run(self._store.ledger.memories.by_version, same)
        now = self._store.ledger.clock()
        by_text: dict[str, list[Neighbour]] = {}
        for item in items.values():
            if holds(item, None, now):
                by_text.setdefault(normalised(item.text), []).append(Neighbour(item, 1.0))
        return [tuple(by_text.get(normalised(fact.text), ())) for fact in found]

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

    async def _with_vectors(self, io: IO, basis: Basis, writes: Sequence[Write]) -> list[Write]:
        """With the vectors of the texts that merging composed."""
        composed = {
            at: indexed_text(write.text, write.speakers)
            for at, write in enumerate(writes)
            if write.operation in ("ADD", "UPDATE") and write.vector is None
        }
        texts = sorted(set(composed.values()))
        vectors = dict(zip(texts, await embed_documents(io, basis.embedder, texts), strict=True))
        return [
            replace(write, vector=vectors[composed[at]]) if at in composed else write
            for at, write in enumerate(writes)
        ]

    async def _embedded(self, io: IO, basis: Basis, found: Sequence[Found]) -> Matrix:
        return await embed_documents(io, basis.embedder, [fact.indexed for fact in found])


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _cosines(vectors: Matrix, one: int, others: Sequence[int]) -> list[float]:
    cosines: list[float] = (vectors[list(others)] @ vectors[one]).tolist()
    return cosines


def _nearest(candidates: Candidates) -> list[Candidate]:
    """The few best, by meaning and words together, in that order: their surroundings say nothing about sameness."""
    by_id = {candidate.id: candidate for candidate in candidates}
    ranked = rank(RankQuery(), candidates, limit=NEIGHBOURS, weights=ALONE)
    return [by_id[hit.id] for hit in ranked]


def _extended(result: AddResult, changes: Changes, usage: Usage) -> AddResult:
    return replace(result, changes=result.changes + tuple(changes), usage=result.usage + usage)
