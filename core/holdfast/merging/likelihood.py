"""How likely a fact says the same as a memory, adds to it, changes it, or speaks of something else.

A multinomial logistic regression over `signals` and, where a model was asked, over its answer. There are three sets
of weights: for the words alone, for a model's answer, and for a model that tells how likely each answer was, of which
far more can be learned: a small model calls nearly every pair "changes", but rarely without a doubt.

`python bench/merging_weights.py` fits them on `bench/merging_cases.json` and tries them on cases of authors whom they
were not fitted on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from .data import RELATIONS, Relation
from .signals import signals

Answer = Mapping[str, float]  # how likely each answer was; of a model that only answers, 1 for what it said
Weights = Mapping[str, Mapping[str, float]]

# Below it a model's likelihood says no more.
LEAST = 1e-4
MODEL = "the model's word"
BIAS = "bias"
TOLD = 3  # signals that a reason names


def heard(answer: Answer | None) -> str:
    """Which set of weights an answer is for: "words" (there is none), "answer" or "likelihoods"."""
    if answer is None:
        return "words"
    return "answer" if len(answer) == 1 else "likelihoods"


def features(fact: str, memory: str, answer: Answer | None = None) -> dict[str, float]:
    """The signals of a pair, and what the model said of it, by name."""
    found = signals(fact, memory)
    match heard(answer):
        case "answer":
            assert answer is not None
            found |= {f"{MODEL}: {relation}": answer.get(relation, 0.0) for relation in RELATIONS}
        case "likelihoods":
            assert answer is not None
            found |= {
                f"{MODEL}, likely {relation}": math.log(max(answer.get(relation, 0.0), LEAST))
                for relation in RELATIONS
            }
    return found


def relations(fact: str, memory: str, answer: Answer | None = None) -> dict[Relation, float]:
    """The probability of each relation; they add up to 1."""
    found = features(fact, memory, answer) | {BIAS: 1.0}
    weights = fitted()[heard(answer)]
    scores = {
        relation: sum(one * found[name] for name, one in weights[relation].items()) for relation in RELATIONS
    }
    highest = max(scores.values())
    odds = {relation: math.exp(score - highest) for relation, score in scores.items()}
    return {relation: one / sum(odds.values()) for relation, one in odds.items()}


def reason(relation: Relation, fact: str, memory: str, answer: Answer | None = None) -> str:
    """What speaks most for a relation, rather than for the others, in words."""
    weights = fitted()[heard(answer)]
    others = [weights[other] for other in RELATIONS if other != relation]
    worth: dict[str, float] = {}
    for name, value in features(fact, memory, answer).items():
        told = value * (weights[relation][name] - sum(other[name] for other in others) / len(others))
        said = MODEL if name.startswith(MODEL) else name
        worth[said] = worth.get(said, 0.0) + told
    best = [name for name in sorted(worth, key=worth.__getitem__, reverse=True) if worth[name] > 0]
    return ", ".join(best[:TOLD])


@cache
def fitted() -> Mapping[str, Weights]:
    """Set -> relation -> signal, or BIAS -> weight."""
    text = files(__package__).joinpath("weights.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]
