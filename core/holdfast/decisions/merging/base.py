"""What merging is given and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ...types import MemoryItem, Operation
from ..question import Question


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An existing memory of the same scope. similarity: its cosine with the fact, in [-1, 1]."""

    memory: MemoryItem
    similarity: float


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact that was extracted, and memories of its scope, nearest first: all of them if there are few."""

    text: str
    neighbours: tuple[Neighbour, ...] = ()
    happened_at: datetime | None = None
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a fact.

    operation: ADD a memory of `text`; UPDATE `target` to `text`; DELETE `target`, which no longer holds, with
        no replacement; NOOP, as `target` already says it.
    text: the memory's text afterwards; for DELETE and NOOP the fact.
    target: the existing memory; None for ADD, and for a NOOP whose fact repeats another of the same add.
    repeats: the position of that other fact; else None.
    reason: why, in words.
    """

    operation: Operation
    text: str
    target: MemoryItem | None
    reason: str
    repeats: int | None = None


Decisions = tuple[tuple[Decision, ...], ...]


class MergeStrategy(Protocol):
    """How the question is put to the model, if at all.

    The engine settles what is certain by itself: facts that equal a memory or each other, and facts of a scope
    without memories. It also guards the result (`guarded`).
    """

    def ask(self, facts: Sequence[NewFact], answers: Sequence[Any] = ()) -> Sequence[Question]:
        """What to ask a model about these facts, knowing the answers so far; empty for nothing more."""
        ...

    def decide(self, facts: Sequence[NewFact], answers: Sequence[Any]) -> Decisions:
        """One tuple of decisions per fact, in order, never empty: the fact's own, then what else it changes.

        answers: one for each question, in the order they were asked; a ModelReplyError for each that could
            not be read.
        """
        ...
