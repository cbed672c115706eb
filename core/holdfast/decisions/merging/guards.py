"""What code settles and enforces by itself, whatever a strategy or a model decides, in any language: equal texts are
known, and decisions fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from ...types import MemoryItem
from ..text.equal import normalised
from .base import Decision, Decisions, NewFact


def said_by_others(fact: NewFact, memory: MemoryItem) -> bool:
    """Whether a memory was told by other people, by name: what others told is neither changed nor repeated."""
    return bool(fact.speakers and memory.speakers) and not set(fact.speakers) & set(memory.speakers)


def added(fact: NewFact, reason: str) -> tuple[Decision, ...]:
    """A fact as a memory of its own."""
    return (Decision("ADD", fact.text, None, reason),)


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


def guarded(facts: Sequence[NewFact], decisions: Decisions) -> Decisions:
    """The decisions that can be carried out together.

    Another named speaker's memory stays as it is; no memory is left without a text; a memory updated by one fact is
    not deleted by another, nor is any deleted twice. A fact left without a decision is added.
    """
    kept_alive = {
        one.target.id
        for own in decisions
        for one in own
        if one.operation == "UPDATE" and one.target is not None
    }
    deleted: set[str] = set()
    out: list[tuple[Decision, ...]] = []
    for fact, own in zip(facts, decisions, strict=True):
        kept: list[Decision] = []
        for one in own:
            if one.target is not None:
                if said_by_others(fact, one.target):
                    continue
                if one.operation == "DELETE" and (one.target.id in kept_alive or one.target.id in deleted):
                    continue
                if one.operation == "NOOP" and one.target.id in deleted:
                    continue
                if one.operation == "DELETE":
                    deleted.add(one.target.id)
            kept.append(one if one.text.strip() else replace(one, text=fact.text))
        out.append(tuple(kept) or added(fact, "kept beside what is known"))
    return tuple(out)
