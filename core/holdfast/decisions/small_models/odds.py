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
        "same": (1.3, -0.15, 0.27, -0.63, -0.67, 2.07, -2.98, -1.09, -0.15, 1.3, -1.28, 1.09),
        "adds": (-0.35, 0.47, -0.45, -0.31, 3.03, 1.15, -0.88, 0.64, 0.16, -0.47, 0.27, -2.41),
        "changes": (-0.55, -0.09, 1.22, -0.34, 0.23, 0.18, 0.02, 0.15, -0.58, 0.47, -0.11, -1.55),
        "different": (-0.41, -0.23, -1.04, 1.28, -2.59, -3.4, 3.83, 0.3, 0.57, -1.31, 1.12, 2.87),
    },
    "answer": {
        "same": (2.7, 0.05, -0.39, -1.53, 0.06, 2.76, -3.26, -0.51, -0.21, 1.14, -1.45, -1.26),
        "adds": (-0.02, 1.65, -0.04, -0.52, 3.44, 0.86, -1.67, 1.04, -0.21, -0.24, 0.41, -2.55),
        "changes": (-1.3, -0.94, 1.09, -0.47, 0.57, 0.27, 0.55, -0.2, -0.01, -0.14, 0.02, 0.49),
        "different": (-1.38, -0.76, -0.66, 2.52, -4.07, -3.9, 4.38, -0.32, 0.43, -0.75, 1.02, 3.32),
    },
}
