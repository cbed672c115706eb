"""What code enforces, whatever a strategy or a model decides, in any language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...types import MemoryItem
from .base import Decision, Decisions, NewFact


def said_by_others(fact: NewFact, memory: MemoryItem) -> bool:
    """Whether a memory was told by other people, by name: what others told is neither changed nor repeated."""
    return bool(fact.speakers and memory.speakers) and not set(fact.speakers) & set(memory.speakers)


def added(fact: NewFact, reason: str) -> tuple[Decision, ...]:
    """A fact as a memory of its own."""
    return (Decision("ADD", fact.text, None, reason),)


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
