"""From two rankings to one set of candidates, each with both scores. Pure.

A search by vector and one by terms each return their best `limit`. A candidate of one that the other did not
return lacks a score, unless the other returned everything that it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def payloads_of(hits: Iterable[Scored]) -> dict[str, Mapping[str, Any]]:
    return {str(hit.id): hit.payload or {} for hit in hits}


def union(
    dense: Iterable[Scored], terms: Iterable[Scored], payloads: Mapping[str, Mapping[str, Any]]
) -> list[Candidate]:
    """The candidates whose payloads are given, from both rankings and what filled their gaps."""
    cosine = {str(hit.id): hit.score for hit in dense}
    shared = {str(hit.id): hit.score for hit in terms}
    return [
        # A point deleted between the two searches of a server has no cosine any more, and is left out.
        Candidate(name, cosine[name], shared.get(name, 0.0), payload)
        for name, payload in payloads.items()
        if name in cosine
    ]
