"""The ways to decide: by the words alone, with a model's word on the pairs that are in doubt, or as a model says."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._dialogue import Dialogue, Question, Unreadable
from ..errors import ModelReplyError
from ..prompts import merging as prompts
from ..types import Operation
from .data import Decision, Decisions, Neighbour, NewFact
from .likelihood import Answer
from .people import said_by_others
from .refusals import Standing
from .review import added, concluded, may_speak_of, nearest, repeated, repeats, reviewed, standing, written

Proposal = tuple[Decision, ...]
Asking = Generator[Sequence[Question], Sequence[Any], dict[int, Proposal]]
Row = Mapping[str, Any]

# A model is asked where the words find it this likely that a fact and a memory speak of one thing, or where their
# cosine is this high (with some embedders it mostly is), unless the words are this sure of a
# relation and enough for what follows from it.
WORTH_ASKING, WORTH_ASKING_COSINE, SURE = 0.07, 0.2, 0.97


class Doubt(NamedTuple):
    """A fact that a model is asked about, and the memory that it most likely speaks of."""

    fact: NewFact
    neighbour: Neighbour


class _Strategy:
    """What all strategies share: what need not be asked comes before, the review of every answer after."""

    def merge(self, facts: Sequence[NewFact]) -> Dialogue[Decisions]:
        decided: dict[int, Proposal] = {i: repeated(facts[i], j) for i, j in repeats(facts).items()}
        unsure: dict[int, Doubt] = {}
        for i, fact in enumerate(facts):
            if i in decided:
                continue
            told = nearest(fact)
            if told is not None and self._in_doubt(fact, told):
                unsure[i] = Doubt(fact, told.neighbour)
            else:
                decided[i] = concluded(fact, told)
        if unsure:
            decided |= yield from self._ask(unsure)
        silent = "the model did not decide about it"
        proposed = [decided.get(i) or added(fact, silent) for i, fact in enumerate(facts)]
        return reviewed(facts, proposed)

    def _in_doubt(self, fact: NewFact, told: Standing) -> bool:
        """Whether a model is to be asked about a fact, by how it stands to what it most likely speaks of."""
        sure = max(told.odds[relation] for relation in ("same", "adds", "changes")) >= SURE
        if sure and concluded(fact, told)[0].operation != "ADD":
            return False
        return told.related >= WORTH_ASKING or told.neighbour.similarity >= WORTH_ASKING_COSINE

    def _ask(self, unsure: Mapping[int, Doubt]) -> Asking:
        raise NotImplementedError


class WithoutModel(_Strategy):
    """No questions: what is likely by the words is done, all else is kept."""

    def _in_doubt(self, fact: NewFact, told: Standing) -> bool:
        return False


class PairByPair(_Strategy):
    """One short call for each fact of which the words are not certain: how it stands to the memory that it most
    likely speaks of. The operation follows in code, from the answer and the words together.

    The default. What never changes, a system message and worked examples, comes first in each call. A model that
    tells how likely it finds each answer (`OpenAIModel`) is understood better than one that only answers.
    Figures: `python bench/merging.py --strategy PairByPair`.
    """

    def _ask(self, unsure: Mapping[int, Doubt]) -> Asking:
        answers = yield [_pair(*doubt) for doubt in unsure.values()]
        decided: dict[int, Proposal] = {}
        for (i, (fact, neighbour)), answer in zip(unsure.items(), answers, strict=True):
            if isinstance(answer, ModelReplyError):
                decided |= _unread([i], unsure, answer)
            else:
                decided[i] = concluded(fact, standing(fact, neighbour, answer))
        return decided


class Operations(_Strategy):
    """One call for all facts, which answers an operation and the new text for each: for large models."""

    def _ask(self, unsure: Mapping[int, Doubt]) -> Asking:
        facts = {i: doubt.fact for i, doubt in unsure.items()}
        near = {
            neighbour.memory.id: neighbour
            for fact in facts.values()
            for neighbour in fact.neighbours
            if may_speak_of(fact, neighbour) and standing(fact, neighbour).related >= WORTH_ASKING
        }
        near |= {doubt.neighbour.memory.id: doubt.neighbour for doubt in unsure.values()}
        shown = list(near.values())
        texts = [neighbour.memory.text for neighbour in shown]
        question = prompts.operations([fact.text for fact in facts.values()], texts)
        (answer,) = yield [Question(*question, read=lambda reply: _rows(reply, "decisions"))]
        if isinstance(answer, ModelReplyError):
            return _unread(facts, unsure, answer)
        order, decided = list(facts), dict[int, Proposal]()
        for row in answer:
            i = _chosen(order, row.get("fact"))
            if i is not None and i not in decided:
                decided[i] = _operation(facts[i], row, shown)
        return decided


def _pair(fact: NewFact, neighbour: Neighbour) -> Question:
    return Question(*prompts.pair(fact.text, neighbour.memory.text), read=_answer, weigh=_weighed)


def _answer(reply: Mapping[str, Any]) -> Answer:
    answer = reply.get("relation")
    if answer not in prompts.ANSWERS:
        raise Unreadable(f'"relation" must be one of {", ".join(prompts.ANSWERS)}')
    return {str(answer): 1.0}


def _weighed(answer: Answer, likelihoods: Answer) -> Answer:
    """How likely each answer was, where the model tells of more than the one it gave."""
    return likelihoods if len(likelihoods) > 1 and answer.keys() <= likelihoods.keys() else answer


def _operation(fact: NewFact, row: Row, shown: Sequence[Neighbour]) -> Proposal:
    operations: dict[Any, Operation] = {"UPDATE": "UPDATE", "DELETE": "DELETE", "NOOP": "NOOP"}
    operation, target = operations.get(row.get("operation")), _chosen(shown, row.get("memory"))
    if row.get("operation") == "ADD":
        return added(fact, "decided by the model")
    if target is None or operation is None:
        return added(fact, "kept as it is, for the model named no memory that was shown")
    if said_by_others(fact, target):
        return added(fact, "kept beside what someone else said")
    text = (
        written(str(row.get("text") or ""), fact.text, target.memory.text)
        if operation == "UPDATE"
        else fact.text
    )
    return (Decision(operation, text, target.memory, "decided by the model"),)


def _chosen(shown: Sequence[Any], number: Any) -> Any:
    """The one of that number, counted from 1; None where there is none."""
    return shown[number - 1] if type(number) is int and 0 < number <= len(shown) else None


def _rows(reply: Mapping[str, Any], key: str) -> list[Row]:
    rows = reply.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unreadable(f'"{key}" must be a list of objects')
    return rows


def _unread(
    failed: Iterable[int], unsure: Mapping[int, Doubt], error: ModelReplyError
) -> dict[int, Proposal]:
    reason = f"kept as it is, for the model's reply could not be read: {error}"
    return {i: added(unsure[i].fact, reason) for i in failed}
