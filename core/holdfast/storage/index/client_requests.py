"""Requests to Qdrant in qdrant-client's classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from qdrant_client import models as m
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from ..points import Point
from .base import IndexQuery, ServerOptions
from .qdrant_filters import CURRENT, FACETS, population, selection, stored_payload

_SEEN = m.PayloadSelectorInclude(include=[FACETS])
_BUSY_STATUS = {408, 429, 500, 502, 503, 504}
_BUSY_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"}


def collection(dimensions: int, options: ServerOptions) -> dict[str, Any]:
    """Arguments of `create_collection`. A graph per tenant and no global one: no search crosses tenants."""
    given = {
        "shard_number": options.shard_number,
        "replication_factor": options.replication_factor,
        "write_consistency_factor": options.write_consistency_factor,
        "sharding_method": None if options.shard_key is None else m.ShardingMethod.CUSTOM,
    }
    return {
        "vectors_config": {"dense": m.VectorParams(size=dimensions, distance=m.Distance.COSINE)},
        "sparse_vectors_config": {"terms": m.SparseVectorParams(modifier=m.Modifier.IDF)},
        "hnsw_config": m.HnswConfigDiff(m=0, payload_m=16),
        **{name: value for name, value in given.items() if value is not None},
    }


def payload_indexes() -> Iterator[tuple[str, Any]]:
    yield "u", m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True)
    for name in ("a", "r", *CURRENT.values()):
        yield name, m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD)
    for name in ("t0", "t1", "c", "h", "x"):
        yield name, m.IntegerIndexParams(type=m.IntegerIndexType.INTEGER, lookup=True, range=True)


def dimensions(info: Any) -> int:
    """The dimensions of a collection's dense vectors; 0 if it has none of ours."""
    vectors = info.config.params.vectors
    dense = vectors.get("dense") if isinstance(vectors, dict) else None
    return int(dense.size) if dense is not None else 0


def points(given: Sequence[Point]) -> list[m.PointStruct]:
    return [
        m.PointStruct(
            id=point.id,
            vector={
                "dense": point.vector.tolist(),
                "terms": m.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values)),
            },
            payload=stored_payload(point),
        )
        for point in given
    ]


def ids(given: Sequence[str]) -> m.PointIdsList:
    return m.PointIdsList(points=list(given))


def everything() -> m.FilterSelector:
    return m.FilterSelector(filter=m.Filter())


def first_requests(query: IndexQuery, shard_key: str | None) -> Iterator[m.QueryRequest]:
    """The best by vector and, if the query has terms, the best by terms."""
    chosen = selection(WORDS, query)
    yield _dense(query, chosen, query.limit, _SEEN, shard_key)
    if query.sparse.indices:
        yield _terms(query, chosen, query.limit, _SEEN, shard_key)


def fill_requests(
    query: IndexQuery, gap: Sequence[Sequence[str]], shard_key: str | None
) -> Iterator[m.QueryRequest]:
    """The scores that candidates still lack: the ids without a cosine, the ids without a term score."""
    for request, names in zip((_dense, _terms), gap, strict=True):
        if names:
            yield request(query, WORDS.has_id(names), len(names), False, shard_key)


def _dense(
    query: IndexQuery, chosen: m.Filter, limit: int, payload: Any, shard_key: str | None
) -> m.QueryRequest:
    return m.QueryRequest(
        query=query.vector.tolist(),
        using="dense",
        filter=chosen,
        limit=limit,
        with_payload=payload,
        shard_key=shard_key,
    )


def _terms(
    query: IndexQuery, chosen: m.Filter, limit: int, payload: Any, shard_key: str | None
) -> m.QueryRequest:
    return m.QueryRequest(
        query=m.SparseVector(indices=list(query.sparse.indices), values=list(query.sparse.values)),
        using="terms",
        filter=chosen,
        limit=limit,
        with_payload=payload,
        shard_key=shard_key,
        params=m.SearchParams(idf=m.IdfCorpusParams(corpus=population(WORDS, query))),
    )


def is_transient(error: BaseException | None) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _BUSY_STATUS
    if isinstance(error, (ResponseHandlingException, ResourceExhaustedResponse, httpx.TransportError)):
        return True
    code = getattr(error, "code", None)  # a grpc.RpcError
    return callable(code) and getattr(code(), "name", "") in _BUSY_CODES


class _ClientWords:
    """`Vocabulary`."""

    def all_of(self, conditions: Sequence[Any]) -> m.Filter:
        return m.Filter(must=list(conditions))

    def any_of(self, conditions: Sequence[Any]) -> m.Filter:
        return m.Filter(should=list(conditions))

    def none_of(self, conditions: Sequence[Any]) -> m.Filter:
        return m.Filter(must_not=list(conditions))

    def equals(self, key: str, value: str | int) -> m.FieldCondition:
        return m.FieldCondition(key=key, match=m.MatchValue(value=value))

    def absent(self, key: str) -> m.IsEmptyCondition:
        return m.IsEmptyCondition(is_empty=m.PayloadField(key=key))

    def among(self, key: str, values: Sequence[str]) -> m.FieldCondition:
        return m.FieldCondition(key=key, match=m.MatchAny(any=list(values)))

    def substring(self, key: str, text: str) -> m.FieldCondition:
        return m.FieldCondition(key=key, match=m.MatchSubstring(substring=text))

    def ordered(self, key: str, operator: str, value: float) -> m.FieldCondition:
        bounds: dict[str, float] = {operator: value}
        return m.FieldCondition(key=key, range=m.Range(**bounds))

    def has_id(self, names: Sequence[str]) -> m.Filter:
        return m.Filter(must=[m.HasIdCondition(has_id=list(names))])


WORDS = _ClientWords()
