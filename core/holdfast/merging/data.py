"""What merging is given and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

from .._dialogue import Dialogue
from ..types import MemoryItem, Operation


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An existing memory of the same scope. similarity: its cosine with the fact, in [-1, 1]."""

    memory: MemoryItem
    similarity: float


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact that was extracted, and the memories nearest to it (about five), best first."""

    text: str
    neighbours: tuple[Neighbour, ...] = ()
    happened_at: datetime | None = None
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a fact.

    operation: ADD a memory of `text`; UPDATE `target` to `text`; DELETE `target`, which no longer holds, and
        leave nothing in its place; NOOP, for `target` says it already.
    text: the memory's text afterwards; for DELETE and NOOP the fact.
    target: the existing memory; None for ADD, and for a NOOP whose fact repeats another of the same batch.
    repeats: the position of that other fact; else None.
    reason: why, in words.
    """

    operation: Operation
    text: str
    target: MemoryItem | None
    reason: str
    repeats: int | None = None


Relation = Literal["same", "adds", "changes", "different"]
"""How a fact stands to a memory: it says the same, or less; says more of the same; says what the memory no longer
may; speaks of something else."""
RELATIONS: tuple[Relation, ...] = get_args(Relation)

Decisions = tuple[tuple[Decision, ...], ...]


class MergeStrategy(Protocol):
    """How the question is put to the model, if at all."""

    def merge(self, facts: Sequence[NewFact]) -> Dialogue[Decisions]:
        """Decide every fact of one `add`.

        Returns one tuple per fact, in order, never empty. Its first decision is the fact's own; any further
        ones are an UPDATE or a DELETE of other memories that the fact makes untrue. Where several facts
        UPDATE one memory, each text says what the one before it says. Whatever the model answers, no fact is
        left undecided and no detail that still holds is dropped: an answer that does not hold up becomes ADD.
        """
        ...
