"""Merging: what becomes of a new fact, given what is known.

Pure: it asks through a dialogue and does no I/O.
"""

from .data import Decision, Decisions, MergeStrategy, Neighbour, NewFact
from .evidence import normalised
from .relations import near_duplicate
from .strategies import OneByOne, Operations, PairByPair, Together, WithoutModel

__all__ = [
    "Decision",
    "Decisions",
    "MergeStrategy",
    "Neighbour",
    "NewFact",
    "OneByOne",
    "Operations",
    "PairByPair",
    "Together",
    "WithoutModel",
    "near_duplicate",
    "normalised",
]
