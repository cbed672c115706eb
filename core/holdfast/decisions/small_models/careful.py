"""Merging with a small model: one question for each fact, about the memory it most likely speaks of.

The action with the least expected cost is taken; in doubt, a fact is added. If a memory changes that says more than
the fact speaks of, a second question asks which of its words give way; if the answer cannot be carried out to the
letter, both texts stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ...errors import ModelReplyError
from ..merging import Decision, Decisions, Neighbour, NewFact, added
from ..merging.guards import said_by_others
from ..question import Question
from ..text.lexical import content_terms, shared_language
from . import questions
from .odds import WEIGHTS, Relation, Weights, odds
from .texts import exchanged, joined, tells_apart, unsaid

Action = Literal["keep", "join", "change", "add"]

SHARED = 0.5  # the weight of shared terms beside the cosine: from .25 to 2 it makes no difference

# What it costs to keep the memory as it is, join the fact to it, put the fact in its place, or add the fact
# beside it, if the fact says the same, adds, changes, or is about something else. Losing a fact is expensive;
# a duplicate and two things in one memory cost the same.
COSTS: Mapping[Action, Mapping[Relation, float]] = {
    "keep": {"same": 0, "adds": 4, "changes": 4, "different": 4},
    "join": {"same": 0.5, "adds": 0, "changes": 1, "different": 1.25},
    "change": {"same": 1.5, "adds": 1.5, "changes": 0, "different": 1.5},
    "add": {"same": 1.25, "adds": 1.25, "changes": 1.25, "different": 0},
}

# How many terms of a memory its new text may leave out unasked, and if a model said so. Zero unasked loses as
# little but asks more; three lose twice as much.
MOST_DROPPED, MOST_GIVEN_WAY = 1, 4
LONGEST = 400  # characters of a memory that grows: one that grows without end says nothing in the end


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a fact and a memory, and why. exchange: words of the memory and those of the fact that
    replace them, if a model was asked for them."""

    action: Action
    neighbour: Neighbour
    why: str
    exchange: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Careful:
    """A `MergeStrategy` for small models; at most one change of one memory for each fact."""

    weights: Weights = field(default_factory=lambda: WEIGHTS, repr=False)

    def ask(self, facts: Sequence[NewFact], answers: Sequence[Any] = ()) -> Sequence[Question]:
        near = _near(facts)
        if not answers:
            return [questions.relation(facts[i].text, one.memory.text) for i, one in near.items()]
        verdicts = self._verdicts(facts, near, answers[: len(near)])
        long = _long(facts, verdicts) if len(answers) == len(near) else []
        return [questions.exchange(facts[i].text, near[i].memory.text) for i in long]

    def decide(self, facts: Sequence[NewFact], answers: Sequence[Any]) -> Decisions:
        near = _near(facts)
        verdicts = self._verdicts(facts, near, answers[: len(near)])
        long = _long(facts, verdicts)
        for i, answer in zip(long, answers[len(near) :], strict=True):
            if not isinstance(answer, ModelReplyError):  # else both texts stay
                verdicts[i] = replace(verdicts[i], exchange=answer)
        return _carried_out(facts, verdicts)

    def _verdicts(
        self, facts: Sequence[NewFact], near: Mapping[int, Neighbour], answers: Sequence[Any]
    ) -> dict[int, Verdict]:
        return {
            i: concluded(facts[i], one, answer, self.weights)
            for (i, one), answer in zip(near.items(), answers, strict=True)
        }


def _near(facts: Sequence[NewFact]) -> dict[int, Neighbour]:
    """The memories that are asked about, by the position of the fact."""
    return {i: one for i, fact in enumerate(facts) if (one := nearest(fact)) is not None}


def _long(facts: Sequence[NewFact], verdicts: Mapping[int, Verdict]) -> list[int]:
    """The facts that change a memory that says more than they speak of."""
    changed = [(i, one.neighbour.memory.text) for i, one in verdicts.items() if one.action == "change"]
    return [i for i, known in changed if len(unsaid(known, facts[i].text)) > MOST_DROPPED]


def nearest(fact: NewFact) -> Neighbour | None:
    """The memory a fact most likely speaks of; None if none that it may touch has anything in common."""
    own = [one for one in fact.neighbours if not said_by_others(fact, one.memory)]
    best = max(own, key=lambda one: related(fact, one), default=None)
    return best if best and related(fact, best) > 0 else None


def related(fact: NewFact, neighbour: Neighbour) -> float:
    """The cosine of a fact and a memory plus the terms they share, except the speaker's name."""
    language = shared_language((fact.text, neighbour.memory.text))
    people = set(content_terms(" ".join((*fact.speakers, *neighbour.memory.speakers)), language))
    told, known = (set(content_terms(text, language)) - people for text in (fact.text, neighbour.memory.text))
    shared = len(told & known) / max(min(len(told), len(known)), 1)
    return neighbour.similarity + SHARED * shared


def concluded(fact: NewFact, neighbour: Neighbour, answer: Any, weights: Weights) -> Verdict:
    """The verdict with the least cost, given a model's answer about a fact and a memory."""
    if isinstance(answer, ModelReplyError):
        return Verdict("add", neighbour, f"kept as it is, for the model's reply could not be read: {answer}")
    likely = odds(fact.text, neighbour.memory.text, answer, weights)
    costs = {
        action: sum(cost * likely[relation] for relation, cost in row.items())
        for action, row in COSTS.items()
    }
    if tells_apart(fact.text, neighbour.memory.text):
        del costs["keep"]  # a small model is sure that "Son Noah plays soccer" is "Son Ethan plays soccer"
    action = min(costs, key=costs.__getitem__)
    why = ", ".join(f"{relation} {one:.0%}" for relation, one in likely.items())
    return Verdict(action, neighbour, f"{_SAID[action]} ({why})")


_SAID: Mapping[Action, str] = {
    "keep": "already known",
    "join": "kept with what is known of it",
    "change": "changes what is known",
    "add": "not certain enough to touch a memory",
}


def _carried_out(facts: Sequence[NewFact], verdicts: Mapping[int, Verdict]) -> Decisions:
    """One decision for each fact; what several do to one memory adds up."""
    written: dict[str, str] = {}
    decided: list[tuple[Decision, ...]] = []
    for i, fact in enumerate(facts):
        verdict = verdicts.get(i)
        if verdict is None:
            decided.append(added(fact, "nothing is known of it"))
            continue
        memory = verdict.neighbour.memory
        decision = _decision(fact, verdict, written.get(memory.id))
        if decision.operation == "UPDATE":
            written[memory.id] = decision.text
        decided.append((decision,))
    return tuple(decided)


def _decision(fact: NewFact, verdict: Verdict, written: str | None) -> Decision:
    """What becomes of a fact. written: the memory's text after earlier facts of the same batch; None if they did not
    change it."""
    memory = verdict.neighbour.memory
    known = memory.text if written is None else written
    (beside,) = added(fact, verdict.why)
    match verdict.action:
        case "add":
            return beside
        case "keep" if written is None or not unsaid(fact.text, written):
            return Decision("NOOP", fact.text, memory, verdict.why)
        case "keep":
            return replace(beside, reason="kept beside what another fact made of the memory")
        case "change":
            text = _changed(fact.text, known, verdict.exchange, alone=written is None)
        case "join":
            text = joined(known, fact.text)
    return Decision("UPDATE", text, memory, verdict.why) if len(text) <= max(LONGEST, len(known)) else beside


def _changed(fact: str, memory: str, exchange: tuple[str, str] | None, *, alone: bool) -> str:
    """The memory's text after a change: the fact, the memory with words exchanged, or both side by side."""
    if alone and len(unsaid(memory, fact)) <= MOST_DROPPED:
        return fact
    text = exchanged(memory, fact, *exchange) if exchange else None
    if text is None or len(unsaid(memory, text)) > MOST_GIVEN_WAY:
        return joined(memory, fact)
    return text
