"""Merging: what becomes of a new fact, given what is known. Pure: questions and answers, no I/O."""

from .base import Decision, Decisions, MergeStrategy, Neighbour, NewFact
from .batches import Working, batches
from .examination import Examination
from .guards import added, guarded, known, with_known
from .strategy import Decide, WithoutModel

__all__ = [
    "Decide",
    "Decision",
    "Decisions",
    "Examination",
    "MergeStrategy",
    "Neighbour",
    "NewFact",
    "WithoutModel",
    "Working",
    "added",
    "batches",
    "guarded",
    "known",
    "with_known",
]
