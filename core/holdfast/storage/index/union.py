"""What two rankings lack to be one set of candidates, each with both scores. Pure.

A search by vector and one by terms each return their best `limit`. A candidate of one that the other did not
return lacks a score, unless the other returned everything that it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .base import IndexQuery

Id = TypeVar("Id", int, str)


def missing(
    query: IndexQuery, cosine: Mapping[Id, float], shared: Mapping[Id, float]
) -> tuple[list[Id], list[Id]]:
    """Ids that still lack their cosine, and ids that still lack their term score."""
    # Fewer hits than asked for: no other point shares a term with the query.
    complete = len(shared) < query.limit
    return [at for at in shared if at not in cosine], (
        [] if complete else [at for at in cosine if at not in shared]
    )
