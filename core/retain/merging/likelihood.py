"""How likely a fact and a memory are to speak of one thing, where neither the words nor the model's answer settle it.

A small model calls nearly every pair "changes", near but distinct ones too, and rules of words miss what their
author did not think of. So the signals are weighed together. The weights are a logistic regression over the pairs
of `bench/merging_cases.json` that a model is asked about; `python bench/merging_weights.py` fits them again and
shows how well they do on cases of an author whom they were not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import SequenceMatcher

from .evidence import Evidence, dated, read
from .relations import DENIALS
from .rules import shared_objects, speaks_of_change
from .values import begins_with_known, same_occasion

# For each signal in `signals`. A pair with none of them has the odds of `bias`.
WEIGHTS: Mapping[str, float] = {
    "cosine": 1.2,
    "shared": 0.4,
    "begins": 1.0,
    "change": 1.5,
    "names": -0.3,
    "replaced": -0.8,
    "events": -1.7,
    "others": -1.4,
    "occasion": 1.0,
    "same": 4.0,
    "adds": 2.3,
    "changes": 2.6,
    "bias": -2.0,
}
MOST_REPLACED = 3


def signals(answer: str, fact: str, memory: str, similarity: float) -> dict[str, float]:
    """The signals of a pair, by name.

    cosine: their similarity. shared: the share of the fact's objects that the memory has. begins: what the fact
    begins with is named in the memory. change: the fact speaks of a change. names: each has names that the other
    lacks. replaced: in how many places they have other words. events: both tell events. others: they are about other
    people. occasion: both name the same day or month. same / adds / changes: what the model answered.
    """
    new, old = read(fact), read(memory)
    told = new.objects - DENIALS
    return {
        "cosine": similarity,
        "shared": len(shared_objects(new, old) - DENIALS) / max(1, len(told)),
        "begins": float(begins_with_known(fact, memory)),
        "change": float(speaks_of_change(new, old)),
        "names": float(bool(new.names - old.words - old.names) and bool(old.names - new.words - new.names)),
        "replaced": float(min(_replaced(new, old), MOST_REPLACED)),
        "events": float(old.past and new.past),
        "others": float(bool(new.others and old.others) and new.others.isdisjoint(old.persons)),
        "occasion": float(same_occasion(memory, fact)),
        "same": float(answer == "same"),
        "adds": float(answer == "adds"),
        "changes": float(answer == "changes"),
        "bias": 1.0,
    }


def likelihood(answer: str, fact: str, memory: str, similarity: float) -> float:
    """In [0, 1]."""
    found = signals(answer, fact, memory, similarity)
    return 1 / (1 + math.exp(-sum(WEIGHTS[name] * value for name, value in found.items())))


def _replaced(new: Evidence, old: Evidence) -> int:
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    return sum(
        tag == "replace" and not dated(old.sequence[i:j]) and not dated(new.sequence[k:m])
        for tag, i, j, k, m in steps
    )
