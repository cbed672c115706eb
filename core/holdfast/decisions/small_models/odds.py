"""How likely a fact says the same as a memory, adds to it, changes it, or speaks of something else.

A multinomial logistic regression over what a model said and a few measures that know no language. There are two sets
of weights: for a model that reports how likely each answer was, and for one that only answers and is trusted less: a
small model calls nearly every pair "changes", but rarely without a doubt.

With each case decided by weights fitted on other authors' cases, 83 % come out right and .4 % lose a detail with
the likelihoods of a model of 1.5B parameters, 76 % and .7 % with its answers alone. Of 3,158 cases 2,323 were asked
to the end; the others, which lack a second question, count as those do that have one (`bench.quality.small_models`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal, get_args

from ..text.lexical import content_terms, shared_language, terms
from .texts import numbers

Relation = Literal["same", "adds", "changes", "different"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)

Answer = Mapping[str, float]
"""Relation -> how likely the model found it; 1 for its answer, if a model only answers."""

Heard = Literal["likelihoods", "answer"]
Weights = Mapping[Heard, Mapping[Relation, Sequence[float]]]
"""What was heard from a model -> relation -> one weight for each of `measures`, and the bias."""

LEAST = 1e-3  # below it a likelihood says no more


def heard(answer: Answer) -> Heard:
    """Which of the two sets of weights an answer is for."""
    return "likelihoods" if len(answer) > 1 else "answer"


def measures(fact: str, memory: str, answer: Answer) -> list[float]:
    """What is known of a pair: what the model said of each relation, and seven measures."""
    language = shared_language((fact, memory))
    new, old = terms(fact, language), terms(memory, language)
    told, known = set(content_terms(fact, language)), set(content_terms(memory, language))
    shared = len(told & known)
    told_pieces, known_pieces = _pieces(new), _pieces(old)
    shared_pieces = len(told_pieces & known_pieces)
    said = [math.log(max(answer.get(one, 0.0), LEAST)) for one in RELATIONS]
    return [
        *(said if heard(answer) == "likelihoods" else [answer.get(one, 0.0) for one in RELATIONS]),
        shared / max(len(known), 1),  # how much of the memory the fact speaks of
        shared_pieces / max(len(told_pieces), 1),  # and the other way round
        SequenceMatcher(None, new, old, autojunk=False).ratio(),  # whether they have one form
        math.log1p(len(told - known)),  # what the fact alone says
        math.log1p(len(known - told)),  # what the memory alone says
        math.log1p(len(old)),
        float(bool(numbers(fact) - numbers(memory))),
    ]


def odds(fact: str, memory: str, answer: Answer, weights: Weights) -> dict[Relation, float]:
    """The probability of each relation; they add up to 1."""
    found = [*measures(fact, memory, answer), 1.0]
    of = weights[heard(answer)]
    scores = [sum(w * x for w, x in zip(of[one], found, strict=True)) for one in RELATIONS]
    odds = [math.exp(score - max(scores)) for score in scores]
    return {relation: one / sum(odds) for relation, one in zip(RELATIONS, odds, strict=True)}


def _pieces(words: Sequence[str]) -> set[str]:
    """Runs of three letters: inflected words share most of theirs, in any language; of shorter terms the term."""
    return {word[i : i + 3] for word in words for i in range(max(len(word) - 2, 1))}


# As `bench/quality/small_models.py --write` prints them.
WEIGHTS: Weights = {
    "likelihoods": {
        "same": (1.27, -0.1, 0.29, -0.63, -0.77, 2.23, -2.91, -1.39, 0.16, 1.0, -1.27, 1.97),
        "adds": (-0.34, 0.43, -0.46, -0.3, 3.26, 0.86, -1.1, 0.83, -0.15, -0.15, 0.27, -3.04),
        "changes": (-0.56, -0.08, 1.21, -0.32, 0.21, 0.31, -0.15, 0.25, -0.74, 0.6, -0.1, -1.72),
        "different": (-0.37, -0.25, -1.04, 1.25, -2.7, -3.4, 4.16, 0.3, 0.72, -1.45, 1.11, 2.79),
    },
    "answer": {
        "same": (2.66, 0.13, -0.37, -1.56, 0.31, 2.81, -3.31, -0.76, 0.2, 0.77, -1.41, -0.71),
        "adds": (-0.01, 1.53, -0.06, -0.45, 3.55, 0.88, -1.88, 1.3, -0.5, 0.02, 0.41, -3.21),
        "changes": (-1.29, -0.98, 1.08, -0.46, 0.72, 0.26, 0.2, -0.19, -0.15, 0.0, 0.01, 0.47),
        "different": (-1.36, -0.69, -0.66, 2.47, -4.57, -3.95, 4.99, -0.36, 0.45, -0.8, 1.0, 3.45),
    },
}
