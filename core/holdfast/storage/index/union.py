"""From two rankings to one set of candidates, each with both scores. Pure.

A search by vector and one by terms each return their best `limit`. A candidate of one that the other did not
return lacks a score, unless the other returned everything that it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from ...decisions.retrieval.candidates import Candidates, Facets
from .base import IndexQuery

Id = TypeVar("Id", int, str)


def missing(
    query: IndexQuery, cosine: Mapping[Id, float], shared: Mapping[Id, float]
) -> tuple[list[Id], list[Id]]:
    """Ids that still lack their cosine, and ids that still lack their term score."""
    # Fewer hits than asked for: no other point shares a term with the query.
    complete = len(shared) < query.limit
    return list(shared.keys() - cosine.keys()), [] if complete else list(cosine.keys() - shared.keys())


def candidates(
    cosine: Mapping[Id, float],
    shared: Mapping[Id, float],
    known: Mapping[Id, tuple[str, Facets]],
) -> Candidates:
    """Both scores of the points whose names and facets are given."""
    # A point deleted between the two searches of a server has no cosine any more, and is left out.
    found = [at for at in known if at in cosine]
    return Candidates(
        [known[at][0] for at in found],
        np.array([cosine[at] for at in found], np.float64),
        np.array([shared.get(at, 0.0) for at in found], np.float64),
        [known[at][1] for at in found],
    )
