"""Facts in as many questions as they need, each of which sees the changes of those before it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...lengths import estimate_tokens
from ...types import MemoryItem
from .base import Decision, Neighbour, NewFact

MOST_FACTS = 50  # in one question: more than a session of forty short messages contains
MOST_TOKENS = 3_000  # of the facts of one question
MOST_NEW = 30  # memories from earlier questions that a fact is shown with older ones


def batches(facts: Sequence[NewFact]) -> list[range]:
    """The facts in runs that fit into one question each."""
    runs: list[range] = []
    start = used = 0
    for at, fact in enumerate(facts):
        cost = estimate_tokens(fact.text)
        if at > start and (at - start == MOST_FACTS or used + cost > MOST_TOKENS):
            runs.append(range(start, at))
            start, used = at, 0
        used += cost
    return [*runs, range(start, len(facts))] if facts else []


class Working:
    """The memories of a scope as the decisions so far would leave them."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._gone: set[str] = set()
        self._new: dict[int, MemoryItem] = {}

    def seen_by(self, fact: NewFact, similarities: Callable[[Sequence[int]], Sequence[float]]) -> NewFact:
        """A fact with its neighbours as they are now, including the nearest new ones.

        similarities: the cosines of the fact with those of other positions.
        """
        if not (self._texts or self._gone or self._new):
            return fact
        near = [replace(one, memory=self._now(one.memory)) for one in fact.neighbours]
        new = list(self._new)
        nearest = heapq.nlargest(MOST_NEW, zip(similarities(new), new, strict=True))
        near += [Neighbour(self._now(self._new[at]), similarity) for similarity, at in nearest]
        alive = (one for one in near if one.memory.id not in self._gone)
        return replace(fact, neighbours=tuple(sorted(alive, key=lambda one: -one.similarity)))

    def apply(self, at: int, decisions: Sequence[Decision], item: MemoryItem) -> None:
        """Carry out the decisions about the fact at a position; item: the memory it becomes if added."""
        for one in decisions:
            if one.operation == "ADD":
                self._new[at] = item
            elif one.target is not None and one.operation == "UPDATE":
                self._texts[one.target.id] = one.text
            elif one.target is not None and one.operation == "DELETE":
                self._gone.add(one.target.id)

    def _now(self, item: MemoryItem) -> MemoryItem:
        return replace(item, text=self._texts[item.id]) if item.id in self._texts else item
