"""From two rankings to one set of candidates, each with both scores. Pure.

A search by vector and one by terms each return their best `limit`. A candidate of one that the other did not
return lacks a score, unless the other returned everything that it had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .base import Candidate, IndexQuery


class Scored(Protocol):
    """A scored point of either Qdrant library."""

    @property
    def id(self) -> Any: ...

    @property
    def score(self) -> float: ...

    @property
    def payload(self) -> Any: ...


def missing(
    query: IndexQuery, dense: Sequence[Scored], terms: Sequence[Scored]
) -> tuple[list[str], list[str]]:
    """Ids that still lack their cosine, and ids that still lack their term score."""
    by_vector, by_terms = {str(hit.id) for hit in dense}, {str(hit.id) for hit in terms}
    # Fewer hits than asked for: whoever is not among them shares no term with the query.
    complete = len(terms) < query.limit
    return sorted(by_terms - by_vector), [] if complete else sorted(by_vector - by_terms)


def union(
    dense: Sequence[Scored],
    terms: Sequence[Scored],
    dense_fill: Sequence[Scored],
    terms_fill: Sequence[Scored],
) -> list[Candidate]:
    cosine = {str(hit.id): hit.score for hit in (*dense, *dense_fill)}
    shared = {str(hit.id): hit.score for hit in (*terms, *terms_fill)}
    payloads: dict[str, Mapping[str, Any]] = {str(hit.id): hit.payload or {} for hit in (*dense, *terms)}
    return [
        # A point deleted between the two searches of a server has no cosine any more, and is left out.
        Candidate(name, cosine[name], shared.get(name, 0.0), payload)
        for name, payload in payloads.items()
        if name in cosine
    ]
