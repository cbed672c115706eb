"""The ways to put the question: all facts together, fact by fact and pair by pair, or not at all."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from .._dialogue import Dialogue, Question, Unreadable
from ..errors import ModelReplyError
from ..prompts import merging as prompts
from ..types import MemoryItem, Operation
from .composing import extended
from .data import Decision, Decisions, Neighbour, NewFact
from .relations import RELATIONS, Relation, Verdict
from .review import Judgement, added, conclude, judgements, repeated, repeats, reviewed, shortcut

Proposal = tuple[Decision, ...]
Asking = Generator[Sequence[Question], Sequence[Any], dict[int, Proposal]]


class _Strategy:
    """What all strategies share: what need not be asked comes before, the review of every answer after."""

    def merge(self, facts: Sequence[NewFact]) -> Dialogue[Decisions]:
        decided: dict[int, Proposal] = {i: repeated(facts[i], j) for i, j in repeats(facts).items()}
        for i, fact in enumerate(facts):
            known = None if i in decided else shortcut(fact)
            if known is not None:
                decided[i] = known
        unsure = {i: fact for i, fact in enumerate(facts) if i not in decided}
        if unsure:
            decided |= yield from self._ask(unsure)
        proposed = [
            decided.get(i) or added(f, "the model did not decide about it") for i, f in enumerate(facts)
        ]
        return reviewed(facts, proposed)

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        raise NotImplementedError


class WithoutModel(_Strategy):
    """No questions: repeats fold, a statement that contains another replaces it, all else is kept."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        yield from ()
        return {i: added(fact, "kept beside what is known") for i, fact in facts.items()}


class Together(_Strategy):
    """One call for all facts, which answers an operation for each."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        memories = _shown(facts.values())
        question = prompts.operations(list(facts.values()), memories)
        (answer,) = yield [Question(*question, read=lambda reply: _rows(reply, "decisions"))]
        if isinstance(answer, ModelReplyError):
            return _unread(facts, answer)
        order = list(facts)
        decided: dict[int, Proposal] = {}
        for row in answer:
            number = row.get("fact")
            if isinstance(number, int) and 0 < number <= len(order) and order[number - 1] not in decided:
                i = order[number - 1]
                decided[i] = _operation(facts[i], row, memories)
        return decided


class Pairwise(_Strategy):
    """One call per fact: how it stands to each near memory. The operation is derived in code."""

    def _ask(self, facts: Mapping[int, NewFact]) -> Asking:
        pairs = {i: judgements(fact)[1] for i, fact in facts.items()}
        questions = [
            Question(*prompts.relations(facts[i], near), read=lambda reply: _rows(reply, "relations"))
            for i, near in pairs.items()
        ]
        answers = yield questions
        return {
            i: added(facts[i], _unreadable(answer))
            if isinstance(answer, ModelReplyError)
            else conclude(facts[i], _judgements(near, answer))
            for (i, near), answer in zip(pairs.items(), answers, strict=True)
        }


def _shown(facts: Iterable[NewFact]) -> list[MemoryItem]:
    """The near memories of all facts, each once; its number in the question is its position plus one."""
    memories: dict[str, MemoryItem] = {}
    for fact in facts:
        for neighbour in judgements(fact)[1]:
            memories.setdefault(neighbour.memory.id, neighbour.memory)
    return list(memories.values())


def _rows(reply: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = reply.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unreadable(f'"{key}" must be a list of objects')
    return rows


def _operation(fact: NewFact, row: Mapping[str, Any], memories: Sequence[MemoryItem]) -> Proposal:
    number, operation = row.get("memory"), str(row.get("operation", "")).upper()
    target = memories[number - 1] if isinstance(number, int) and 0 < number <= len(memories) else None
    text = str(row.get("text") or "")
    reason = "decided by the model"
    operations: dict[str, Operation] = {"UPDATE": "UPDATE", "DELETE": "DELETE", "NOOP": "NOOP"}
    if target is None or operation not in operations:
        return added(fact, reason if operation == "ADD" else "the model named no memory that was shown")
    if operation == "UPDATE":
        return (Decision("UPDATE", text or extended(target.text, fact.text), target, reason),)
    return (Decision(operations[operation], fact.text, target, reason),)


def _judgements(near: Sequence[Neighbour], rows: Sequence[Mapping[str, Any]]) -> list[Judgement]:
    relations: dict[int, Relation] = {}
    for row in rows:
        number, relation = row.get("memory"), row.get("relation")
        if isinstance(number, int) and relation in RELATIONS:
            relations.setdefault(number, relation)
    return [
        Judgement(neighbour, Verdict(relations.get(i, "different"), "decided by the model"))
        for i, neighbour in enumerate(near, 1)
    ]


def _unreadable(error: ModelReplyError) -> str:
    return f"kept as it is, for the model's reply could not be read: {error}"


def _unread(facts: Mapping[int, NewFact], error: ModelReplyError) -> dict[int, Proposal]:
    return {i: added(fact, _unreadable(error)) for i, fact in facts.items()}
