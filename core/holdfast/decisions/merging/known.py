"""What needs no model: a fact whose text equals a memory's, or another fact's, is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from ..text.equal import normalised
from .base import Decision, Decisions, NewFact
from .guards import added, said_by_others


def known(facts: Sequence[NewFact]) -> dict[int, Decision]:
    """The settled facts, by position: NOOP for those whose text is there already."""
    settled: dict[int, Decision] = {}
    normal = cache(normalised)  # memories are near to several facts
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    for at, fact in enumerate(facts):
        text = normal(fact.text)
        same = next(
            (
                near.memory
                for near in fact.neighbours
                if normal(near.memory.text) == text and not said_by_others(fact, near.memory)
            ),
            None,
        )
        earlier = first.setdefault((text, fact.speakers), at)
        if same is not None:
            settled[at] = Decision("NOOP", fact.text, same, "the same text is known")
        elif earlier != at:
            settled[at] = Decision("NOOP", fact.text, None, "the same text was told before", repeats=earlier)
    return settled


def with_known(
    facts: Sequence[NewFact], settled: Mapping[int, Decision], decided: Mapping[int, tuple[Decision, ...]]
) -> Decisions:
    """All decisions in the order of the facts. A repetition of a fact that left nothing, or of a memory that an
    earlier fact removed, is added."""
    out: list[tuple[Decision, ...]] = []
    gone: set[str] = set()
    for at, fact in enumerate(facts):
        own = (settled[at],) if at in settled else decided[at]
        first = own[0]
        left_nothing = first.repeats is not None and out[first.repeats][0].operation == "DELETE"
        removed = first.operation == "NOOP" and first.target is not None and first.target.id in gone
        if left_nothing or removed:
            own = added(fact, "told again")
        gone.update(one.target.id for one in own if one.operation == "DELETE" and one.target is not None)
        out.append(own)
    return tuple(out)
