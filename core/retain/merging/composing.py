"""The text of a memory after an update, written by code: nothing is dropped by accident."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import lexicon
from .evidence import missing, normalised, read

_CLAUSES = re.compile(
    r"\s*([;；，。]|,(?!\d)|\.(?:\s|$)|\band\b|\bbut\b|\bwith\b(?!.*\b(?:is|was|are|has|had|will)\b))\s*"
)
_NOT = re.compile(
    r"[,，]?\s*(?:and )?\b(?:not|instead of|rather than)\b [^,;，；。]+|[,，]\s*(?:而)?不是[^,;，；。]+"
)


def extended(old: str, new: str) -> str:
    """One text that says both."""
    if not missing(old, new):
        return new
    if not missing(new, old):
        return old
    return _joined(new, [old])


def replaced(old: str, new: str) -> str:
    """The new statement, followed by those clauses of the old one that it does not touch."""
    parts = _CLAUSES.split(old)
    clauses = [
        (before, clause) for before, clause in zip(["", *parts[1::2]], parts[::2], strict=True) if clause
    ]
    said = without_denials(old, new)
    if len(clauses) < 2:
        return said
    shared = [len(read(c).words & read(new).words) + len(read(c).one & read(new).one) for _, c in clauses]
    touched = shared.index(max(shared))
    address = "home" in read(clauses[touched][1]).one
    kept = [
        clause
        for i, (before, clause) in enumerate(clauses)
        if i != touched
        and not read(clause).one & read(new).one  # it too tells what there is only one of
        and missing(clause, new)
        and not (before.strip() == "with" and read(clause).words & read(new).words)
        and not (address and i == touched + 1 and before.strip() == "," and not read(clause).concepts)
    ]
    return _joined(said, kept)


def without_denials(old: str, new: str) -> str:
    """`new` without remarks about the correction ("Actually …", ", not 4 May"), where something else is left."""
    bare = lexicon.PREFACED.sub("", lexicon.PREFACE.sub("", new.strip()))
    positive = _NOT.sub("", bare).strip()
    kept = read(positive)
    denied = read(new).denied & read(old).words
    if kept.words - read(old).words and not kept.negated and denied:
        bare = positive
    if bare != new.strip() and normalised(bare):
        return bare[0].upper() + bare[1:]
    return new.strip()


def _joined(first: str, others: Sequence[str]) -> str:
    separator = "；" if read(first).chinese else "; "
    parts = [first.rstrip(".。;； "), *(text.strip() for text in others)]
    return separator.join(part for part in parts if normalised(part)) or first
