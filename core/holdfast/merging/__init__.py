"""Merging: what becomes of a new fact, given what is known.

Pure: it asks through a dialogue and does no I/O.
"""

from .data import Decision, Decisions, MergeStrategy, Neighbour, NewFact
from .evidence import normalised
from .parting import parted
from .signals import near_duplicate
from .strategies import Operations, PairByPair, WithoutModel

__all__ = [
    "Decision",
    "Decisions",
    "MergeStrategy",
    "Neighbour",
    "NewFact",
    "Operations",
    "PairByPair",
    "WithoutModel",
    "near_duplicate",
    "normalised",
    "parted",
]
