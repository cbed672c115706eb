"""How a fact stands to a memory, and the operation that follows from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .data import Decision, Neighbour, NewFact
from .evidence import missing, normalised, overlap, read

Relation = Literal["same", "less", "extends", "contradicts", "different"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)

NEAR = 0.3
_CLAUSES = re.compile(r"\s*(?:[;；，。]|,(?!\d)|\.(?:\s|$)|\band\b|\bbut\b|\bwith\b)\s*")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A relation between a fact and one of its neighbours.

    text: the memory afterwards, where it was written for us.
    """

    neighbour: Neighbour
    relation: Relation
    reason: str
    text: str | None = None


def near_duplicate(a: str, b: str) -> bool:
    """Whether two statements say the same in nearly the same words; then one of them is enough.

    Never true of statements that differ in a number, a name, a denial or whom they are about.
    """
    if normalised(a) == normalised(b):
        return True
    first, second = read(a), read(b)
    return first.words == second.words and bool(first.words) and not _told_apart(a, b)


def certain(fact: str, memory: str) -> Relation | None:
    """The relation where code can tell it alone, else None."""
    if near_duplicate(fact, memory):
        return "same"
    new, old = read(fact), read(memory)
    if not new.words or not old.words or _told_apart(fact, memory) or new.ended or new.corrected:
        return None
    if new.words < old.words and new.details <= old.details:
        return "less"
    if old.words < new.words and old.details <= new.details and not new.changed:
        return "extends"
    return None


def is_near(fact: str, neighbour: Neighbour) -> bool:
    """Whether a memory may have anything to do with a fact: by cosine, or by words where vectors miss it."""
    return neighbour.similarity >= NEAR or overlap(read(fact).words, read(neighbour.memory.text).words) >= 0.5


def _told_apart(a: str, b: str) -> bool:
    first, second = read(a), read(b)
    return first.negated != second.negated or first.ended != second.ended or first.others != second.others


def conclude(fact: NewFact, judgements: Sequence[Judgement]) -> tuple[Decision, ...]:
    """The decisions for one fact, from how it stands to each of its neighbours (best first)."""
    by = {relation: [j for j in judgements if j.relation == relation] for relation in RELATIONS}
    said = by["same"] or by["less"]
    if said and not by["contradicts"]:
        return (Decision("NOOP", fact.text, said[0].neighbour.memory, said[0].reason),)
    for relation in ("contradicts", "extends"):
        if by[relation]:
            return (_update(fact, by[relation][0]),)
    return (Decision("ADD", fact.text, None, "nothing known says this or contradicts it"),)


def _update(fact: NewFact, judgement: Judgement) -> Decision:
    memory = judgement.neighbour.memory
    join = replaced if judgement.relation == "contradicts" else extended
    text = judgement.text or join(memory.text, fact.text)
    return Decision("UPDATE", text, memory, judgement.reason)


def extended(old: str, new: str) -> str:
    """One text that says both."""
    if not missing(old, new):
        return new
    if not missing(new, old):
        return old
    return _joined(new, [old])


def replaced(old: str, new: str) -> str:
    """The new statement, followed by those clauses of the old one that it does not touch."""
    clauses = [clause for clause in _CLAUSES.split(old) if clause]
    if len(clauses) < 2:
        return new
    shared = [overlap(read(clause).words, read(new).words) for clause in clauses]
    touched = shared.index(max(shared))
    return _joined(new, [c for i, c in enumerate(clauses) if i != touched and missing(c, new)])


def _joined(first: str, others: Sequence[str]) -> str:
    separator = "；" if read(first).chinese else "; "
    return separator.join([first.rstrip(".。;； "), *(text.strip() for text in others)])
