"""Searches in qdrant-edge's classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import qdrant_edge as q

from ._qdrant_filters import population, selection
from .base import IndexQuery, SparseVector

_WITHOUT_METADATA = q.PayloadSelector.Exclude(["m"])


def first_requests(query: IndexQuery) -> Iterator[q.QueryRequest]:
    """The best by vector and, where the query has terms, the best by terms."""
    chosen = selection(WORDS, query)
    yield _dense(query, chosen, query.limit, _WITHOUT_METADATA)
    if query.sparse.indices:
        yield _terms(query, chosen, query.limit, _WITHOUT_METADATA)


def fill_requests(query: IndexQuery, gap: Sequence[Sequence[str]]) -> Iterator[q.QueryRequest]:
    """The scores that candidates still lack: the ids without a cosine, the ids without a term score."""
    for request, ids in zip((_dense, _terms), gap, strict=True):
        if ids:
            yield request(query, WORDS.has_id(ids), len(ids), False)


def batch(shard: q.EdgeShard, requests: list[q.QueryRequest]) -> list[list[q.ScoredPoint]]:
    return shard.query_batch(q.QueryBatchRequest(requests)) if requests else []


def sparse(vector: SparseVector) -> q.SparseVector:
    return q.SparseVector(list(vector.indices), list(vector.values))


def _dense(query: IndexQuery, chosen: q.Filter, limit: int, payload: Any) -> q.QueryRequest:
    nearest = q.Query.Nearest(query.vector.tolist(), using="dense")
    return q.QueryRequest(limit=limit, query=nearest, filter=chosen, with_payload=payload)


def _terms(query: IndexQuery, chosen: q.Filter, limit: int, payload: Any) -> q.QueryRequest:
    nearest = q.Query.Nearest(sparse(query.sparse), using="terms")
    params = q.SearchParams(idf=q.IdfParams(corpus=population(WORDS, query)))
    return q.QueryRequest(limit=limit, query=nearest, filter=chosen, with_payload=payload, params=params)


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

    def among(self, key: str, values: Sequence[str]) -> q.FieldCondition:
        return q.FieldCondition(key, match=q.MatchAny(list(values)))

    def substring(self, key: str, text: str) -> q.FieldCondition:
        return q.FieldCondition(key, match=q.MatchSubstring(text))

    def ordered(self, key: str, operator: str, value: float) -> q.FieldCondition:
        bounds: dict[str, float] = {operator: value}
        return q.FieldCondition(key, range=q.RangeFloat(**bounds))

    def has_id(self, ids: Sequence[str]) -> q.Filter:
        return q.Filter(must=[q.HasIdCondition(set(ids))])


WORDS = _EdgeWords()
