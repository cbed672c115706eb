"""The ways to put the question: all facts together, one by one, for an operation, or not at all.

Small models guess. Qwen2.5-Coder-1.5B calls nearly every pair of statements a contradiction, however it is
asked. So each question holds a control: a memory that has nothing to do with the fact. A model that relates
the fact to the control is believed only as far as the words support it (`relations.believable`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._dialogue import Dialogue, Question, Unreadable
from ..errors import ModelReplyError
from ..prompts import merging as prompts
from ..types import MemoryItem, Operation
from .answers import settled, weighed
from .data import RELATIONS, Decision, Decisions, Neighbour, NewFact, Relation, Verdict
from .relations import believable, judged, replaceable
from .review import (
    Judgement,
    added,
    akin,
    bare,
    conclude,
    judgements,
    may_be_akin,
    nearest,
    repeated,
    repeats,
    replaces,
    reviewed,
    said_by_others,
    shortcut,
    told_by_words,
    written,
)

Proposal = tuple[Decision, ...]
Asking = Generator[Sequence[Question], Sequence[Any], dict[int, Proposal]]
Row = Mapping[str, Any]

KEPT_BESIDE = "kept beside what is known"


class _Strategy:
    """What all strategies share: what need not be asked comes before, the review of every answer after."""

    def merge(self, facts: Sequence[NewFact]) -> Dialogue[Decisions]:
        decided: dict[int, Proposal] = {i: repeated(facts[i], j) for i, j in repeats(facts).items()}
        for i, fact in enumerate(facts):
            known = None if i in decided else self._known(fact)
            if known is not None:
                decided[i] = known
        unsure = {i: fact for i, fact in enumerate(facts) if i not in decided}
        if unsure:
            decided |= yield from self._ask(unsure)
        silent = "the model did not decide about it"
        proposed = [decided.get(i) or added(fact, silent) for i, fact in enumerate(facts)]
        return reviewed(facts, proposed)

    def _known(self, fact: NewFact) -> Proposal | None:
        """The decisions for a fact of which nothing need be asked, else None."""
        return shortcut(fact)

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        raise NotImplementedError


class WithoutModel(_Strategy):
    """No questions: what the words tell is done, all else is kept."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        yield from ()
        return {i: added(fact, KEPT_BESIDE) for i, fact in facts.items()}


class PairByPair(_Strategy):
    """One short call for each fact of which the words are not certain: how it stands to the memory it is most
    likely to be about. The operation follows in code.

    The default. What never changes, a system message and worked examples, comes first in each call.
    Figures: `python bench/merging.py --strategy PairByPair`.
    """

    def _known(self, fact: NewFact) -> Proposal | None:
        told = _settled(fact)
        if any(j.verdict.relation != "different" for j in told):
            return conclude(fact, told)
        return None if _doubtful(fact) else added(fact, "nothing known says this or contradicts it")

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        asked = {i: neighbour for i, fact in facts.items() if (neighbour := _doubtful(fact))}
        answers = yield [_pair(facts[i], neighbour) for i, neighbour in asked.items()]
        decided: dict[int, Proposal] = {}
        for (i, neighbour), answer in zip(asked.items(), answers, strict=True):
            if isinstance(answer, ModelReplyError):
                decided |= _unread({i: facts[i]}, answer)
            else:
                verdict = weighed(
                    answer,
                    *bare(facts[i], neighbour),
                    neighbour.similarity,
                    named=bool(facts[i].speakers and neighbour.memory.speakers),
                    akin=akin(facts[i], neighbour),
                )
                if verdict.relation == "contradicts" and not replaces(facts[i], neighbour):
                    verdict = Verdict("different", "both may hold")
                decided[i] = conclude(facts[i], [Judgement(neighbour, verdict)])
        return decided


class Together(_Strategy):
    """One call for all facts: how each stands to its near memories. The operation follows in code.

    Fewer and longer calls than `PairByPair`; small models answer them worse.
    """

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        shown = [_shown(fact) for fact in facts.values()]
        (answer,) = yield [_relations(shown)]
        if isinstance(answer, ModelReplyError):
            return _unread(facts, answer)
        return {i: _concluded(one, n, answer) for n, (i, one) in enumerate(zip(facts, shown, strict=True), 1)}


class OneByOne(_Strategy):
    """One call per fact: how it stands to its near memories. For models that lose track of several facts."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        shown = {i: _shown(fact) for i, fact in facts.items()}
        answers = yield [_relations([one]) for one in shown.values()]
        decided: dict[int, Proposal] = {}
        for (i, one), answer in zip(shown.items(), answers, strict=True):
            failed = isinstance(answer, ModelReplyError)
            decided |= _unread({i: one.fact}, answer) if failed else {i: _concluded(one, 1, answer)}
        return decided


class Operations(_Strategy):
    """One call for all facts, which answers an operation and the new text for each: for large models."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        memories = list({n.memory.id: n.memory for f in facts.values() for n in judgements(f)[1]}.values())
        question = prompts.operations([fact.text for fact in facts.values()], [m.text for m in memories])
        (answer,) = yield [Question(*question, read=lambda reply: _rows(reply, "decisions"))]
        if isinstance(answer, ModelReplyError):
            return _unread(facts, answer)
        order, decided = list(facts), dict[int, Proposal]()
        for row in answer:
            i = _chosen(order, row.get("fact"))
            if i is not None and i not in decided:
                decided[i] = _operation(facts[i], row, memories)
        return decided


@dataclass(frozen=True, slots=True)
class _Shown:
    """A fact as it is shown: the neighbours that are asked about, then those that serve as controls.

    controls: texts of memories that have nothing to do with the fact, at least one.
    """

    fact: NewFact
    asked: tuple[Neighbour, ...]
    controls: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        return [*(neighbour.memory.text for neighbour in self.asked), *self.controls]


def _shown(fact: NewFact) -> _Shown:
    told, open_ = judgements(fact)
    different = [j.neighbour.memory.text for j in told if j.verdict.relation == "different"]
    apart = different or [text for text in prompts.controls(fact.text) if _unrelated(fact.text, text)]
    return _Shown(fact, tuple(open_), tuple(apart[:1]))


def _settled(fact: NewFact) -> list[Judgement]:
    """What the words are certain of."""
    told = []
    for neighbour in fact.neighbours:
        verdict = told_by_words(fact, neighbour)
        if verdict and settled(verdict, *bare(fact, neighbour)):
            told.append(Judgement(neighbour, verdict))
    return told


def _doubtful(fact: NewFact) -> Neighbour | None:
    """The memory that a fact is most likely to be about, where a model has to say how it stands to it."""
    certain = {judgement.neighbour.memory.id for judgement in _settled(fact)}
    apart = {n.memory.id for n in fact.neighbours if said_by_others(fact, n) or not _worth_asking(fact, n)}
    return nearest(fact, [n for n in fact.neighbours if n.memory.id not in certain | apart])


def _worth_asking(fact: NewFact, neighbour: Neighbour) -> bool:
    return akin(fact, neighbour) or may_be_akin(fact, neighbour)


def _pair(fact: NewFact, neighbour: Neighbour) -> Question:
    return Question(*prompts.pair(fact.text, neighbour.memory.text), read=_answer)


def _answer(reply: Mapping[str, Any]) -> str:
    answer = reply.get("relation")
    if answer not in prompts.ANSWERS:
        raise Unreadable(f'"relation" must be one of {", ".join(prompts.ANSWERS)}')
    return str(answer)


def _unrelated(fact: str, control: str) -> bool:
    verdict = judged(fact, control)
    return verdict is not None and verdict.relation == "different"


def _relations(shown: Sequence[_Shown]) -> Question:
    question = prompts.relations([(one.fact.text, one.texts) for one in shown])
    return Question(*question, read=lambda reply: _rows(reply, "relations"))


def _concluded(shown: _Shown, number: int, rows: Sequence[Row]) -> Proposal:
    """The decision for the fact of that number, from the rows about it."""
    relations: dict[int, Relation] = {}
    for row in rows:
        memory, relation = row.get("memory"), row.get("relation")
        if row.get("fact") == number and isinstance(memory, int) and relation in RELATIONS:
            relations.setdefault(memory, relation)
    answered = [relations.get(i, "different") for i in range(1, len(shown.texts) + 1)]
    guessing = any(relation != "different" for relation in answered[len(shown.asked) :])
    told = []
    for neighbour, relation in zip(shown.asked, answered, strict=False):
        texts = shown.fact.text, neighbour.memory.text
        kept = believable(relation, *texts) if guessing else relation
        if kept == "contradicts" and not replaceable(*texts):
            kept = "different"
        told.append(Judgement(neighbour, Verdict(kept, "decided by the model")))
    return conclude(shown.fact, told)


def _operation(fact: NewFact, row: Row, memories: Sequence[MemoryItem]) -> Proposal:
    operations: dict[Any, Operation] = {"UPDATE": "UPDATE", "DELETE": "DELETE", "NOOP": "NOOP"}
    operation, target = operations.get(row.get("operation")), _chosen(memories, row.get("memory"))
    if row.get("operation") == "ADD":
        return added(fact, "decided by the model")
    if target is None or operation is None:
        return added(fact, "kept as it is, for the model named no memory that was shown")
    text = written(str(row.get("text") or ""), fact.text, target.text)
    return (
        Decision(operation, text if operation == "UPDATE" else fact.text, target, "decided by the model"),
    )


def _chosen(shown: Sequence[Any], number: Any) -> Any:
    """The one of that number, counted from 1; None where there is none."""
    return shown[number - 1] if type(number) is int and 0 < number <= len(shown) else None


def _rows(reply: Mapping[str, Any], key: str) -> list[Row]:
    rows = reply.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unreadable(f'"{key}" must be a list of objects')
    return rows


def _unread(facts: Mapping[int, NewFact], error: ModelReplyError) -> dict[int, Proposal]:
    reason = f"kept as it is, for the model's reply could not be read: {error}"
    return {i: added(fact, reason) for i, fact in facts.items()}
