"""Searches in qdrant-edge's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as q

from ...decisions.retrieval.candidates import Facets
from ...decisions.text.lexical import SparseVector
from .base import IndexQuery
from .payload import unpacked
from .qdrant_filters import FACETS, population, selection

NAME = "id"  # where a point's payload keeps the UUID that its number stands for
_SEEN = q.PayloadSelector.Include([NAME, FACETS])


def number_of(name: str) -> int:
    """A point's id in the shard: 62 random bits of its UUID. The engine hands out numbers twenty times as fast
    as UUIDs; among 100 million points two share a number with a probability of one in a thousand."""
    return int(name[-17:-13] + name[-12:], 16)


class Requests:
    """What the engine is asked for one query: the best of its scope, and the scores of given points."""

    def __init__(self, query: IndexQuery) -> None:
        self._limit = query.limit
        self._chosen = selection(WORDS, query)
        self._dense = q.Query.Nearest(query.vector.tolist(), using="dense")
        self._terms: Any = None
        if query.sparse.indices:
            self._terms = q.Query.Nearest(sparse(query.sparse), using="terms")
            corpus = self._chosen if query.filters is None else population(WORDS, query)
            self._params = q.SearchParams(idf=q.IdfParams(corpus=corpus))

    def dense(self, ids: Sequence[int] | None = None) -> q.QueryRequest:
        """The best by vector, or these."""
        chosen, limit = self._among(ids)
        return q.QueryRequest(limit=limit, query=self._dense, filter=chosen)

    def terms(self, ids: Sequence[int] | None = None) -> q.QueryRequest | None:
        """The best by terms, or these; None if the query has no terms."""
        if self._terms is None:
            return None
        chosen, limit = self._among(ids)
        return q.QueryRequest(limit=limit, query=self._terms, filter=chosen, params=self._params)

    def _among(self, ids: Sequence[int] | None) -> tuple[q.Filter, int]:
        return (self._chosen, self._limit) if ids is None else (WORDS.has_id(ids), len(ids))


def retrieve(shard: q.EdgeShard, numbers: Sequence[int]) -> dict[int, tuple[str, Facets]]:
    """Names and facets by number: one read for both rankings, which is cheaper than a payload with each hit."""
    found: dict[int, tuple[str, Facets]] = {}
    for record in shard.retrieve(list(numbers), _SEEN, False) if numbers else []:
        payload = record.payload or {}
        found[int(record.id)] = (payload[NAME], unpacked(payload.get(FACETS)))
    return found


def sparse(vector: SparseVector) -> q.SparseVector:
    return q.SparseVector(list(vector.indices), list(vector.values))


class _EdgeWords:
    """`Vocabulary`."""

    def all_of(self, conditions: Sequence[Any]) -> q.Filter:
        return q.Filter(must=list(conditions))

    def any_of(self, conditions: Sequence[Any]) -> q.Filter:
        return q.Filter(should=list(conditions))

    def none_of(self, conditions: Sequence[Any]) -> q.Filter:
        return q.Filter(must_not=list(conditions))

    def equals(self, key: str, value: str | int) -> q.FieldCondition:
        return q.FieldCondition(key, match=q.MatchValue(value))

    def absent(self, key: str) -> q.IsEmptyCondition:
        return q.IsEmptyCondition(key)

    def among(self, key: str, values: Sequence[str]) -> q.FieldCondition:
        return q.FieldCondition(key, match=q.MatchAny(list(values)))

    def substring(self, key: str, text: str) -> q.FieldCondition:
        return q.FieldCondition(key, match=q.MatchSubstring(text))

    def ordered(self, key: str, operator: str, value: float) -> q.FieldCondition:
        bounds: dict[str, float] = {operator: value}
        return q.FieldCondition(key, range=q.RangeFloat(**bounds))

    def has_id(self, ids: Sequence[Any]) -> q.Filter:
        return q.Filter(must=[q.HasIdCondition(set(ids))])


WORDS = _EdgeWords()
