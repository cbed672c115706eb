"""Searches in qdrant-edge's classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def first_requests(query: IndexQuery) -> Iterator[q.QueryRequest]:
    """The best by vector and, if the query has terms, the best by terms."""
    chosen = selection(WORDS, query)
    yield _dense(query, chosen, query.limit)
    if query.sparse.indices:
        yield _terms(query, chosen, query.limit)


def fill_requests(query: IndexQuery, gap: Sequence[Sequence[int]]) -> Iterator[q.QueryRequest]:
    """The scores that candidates still lack: the ids without a cosine, the ids without a term score."""
    for request, ids in zip((_dense, _terms), gap, strict=True):
        if ids:
            yield request(query, WORDS.has_id(ids), len(ids))


def retrieve(shard: q.EdgeShard, numbers: Sequence[int]) -> dict[int, tuple[str, Facets]]:
    """Names and facets by number: one read for both rankings, which is cheaper than a payload with each hit."""
    found: dict[int, tuple[str, Facets]] = {}
    for record in shard.retrieve(list(numbers), _SEEN, False) if numbers else []:
        payload = record.payload or {}
        found[int(record.id)] = (payload[NAME], unpacked(payload.get(FACETS)))
    return found


def sparse(vector: SparseVector) -> q.SparseVector:
    return q.SparseVector(list(vector.indices), list(vector.values))


def _dense(query: IndexQuery, chosen: q.Filter, limit: int) -> q.QueryRequest:
    nearest = q.Query.Nearest(query.vector.tolist(), using="dense")
    return q.QueryRequest(limit=limit, query=nearest, filter=chosen)


def _terms(query: IndexQuery, chosen: q.Filter, limit: int) -> q.QueryRequest:
    nearest = q.Query.Nearest(sparse(query.sparse), using="terms")
    params = q.SearchParams(idf=q.IdfParams(corpus=population(WORDS, query)))
    return q.QueryRequest(limit=limit, query=nearest, filter=chosen, params=params)


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
