"""A search of the index in PostgreSQL as one statement: both rankings, the scores that each lacks, the facets.

The scope's points are read once. Which of the query's terms each of them has is one number, the inner product of its
`present` (1 for every term) with powers of two; counted, these numbers give the terms' frequencies, and with them the
weights of the second ranking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...decisions.retrieval.candidates import Candidates, columns
from ...decisions.text.lexical import SparseVector
from .base import IndexQuery
from .payload import unpacked
from .pgvector_filters import Bound, condition, population

BITS = 24  # of a whole number that a 32-bit float holds exactly
DIMENSIONS = 1_000_000_000  # the most that a sparsevec has
MOST_TERMS = 16_000  # likewise


def search(table: str, types: str, query: IndexQuery) -> tuple[str, Bound]:
    """The statement and its values. types: the schema of the types of pgvector, quoted.

    What is kept of the population is narrow, for it is copied, and beyond some megabytes to a file: terms only where
    there are any of the query's, and what ranking reads is fetched for the best alone.
    """
    bound = Bound()
    terms = folded(query.sparse)
    inner = f"OPERATOR({types}.<#>)"
    held = [f"present {inner} {bound.take(mask, f'{types}.sparsevec')}" for mask in _masks(terms)]
    counts = "".join(f"-({one}) AS held{number}, " for number, one in enumerate(held))
    shares = f"CASE WHEN {' OR '.join(f'{one} < 0' for one in held)} THEN terms END" if terms else "NULL"
    # A scalar subquery is evaluated once, an expression of a prepared statement for every row.
    vector = f"(SELECT {bound.take(query.vector, 'real[]')}::{types}.vector)"
    apart = f"shares {inner} (SELECT weights FROM weighted)" if terms else "0::float8"
    chosen = "SELECT id, far, shares FROM population WHERE chosen"
    return (
        f"""
        WITH population AS MATERIALIZED (
            SELECT id, near {inner} {vector} AS far, {shares} AS shares,
                {counts}{condition(query.filters, bound)} AS chosen
            FROM {table} WHERE {population(query, bound)}
        ), {_weighted(terms, len(held), types, bound) if terms else ""}
        best AS (
            SELECT DISTINCT ON (id) id, far, shares FROM (
                ({chosen} ORDER BY far LIMIT {query.limit}) UNION ALL
                ({chosen} AND shares IS NOT NULL ORDER BY {apart} LIMIT {query.limit})
            ) AS either
        )
        SELECT id::text, -far, coalesce(-({apart}), 0), f FROM best JOIN {table} USING (id)
        """,
        bound,
    )


def candidates(rows: Iterable[Sequence[Any]]) -> Candidates:
    """The candidates that the rows of a search are."""
    ids, cosine, shared, facets = tuple(zip(*rows, strict=True)) or ((), (), (), ())
    return Candidates(ids, np.array(cosine), np.array(shared), *columns(map(unpacked, facets)))


def folded(vector: SparseVector) -> dict[int, float]:
    """Term weights as a sparsevec can have them: numbered from 1, and of a very long text the heaviest."""
    weights: dict[int, float] = {}
    for index, value in zip(vector.indices, vector.values, strict=True):
        at = index % DIMENSIONS + 1
        weights[at] = weights.get(at, 0.0) + value
    if len(weights) <= MOST_TERMS:
        return weights
    return dict(sorted(weights.items(), key=lambda term: -term[1])[:MOST_TERMS])


def sparse(weights: dict[int, float]) -> str:
    """A sparsevec as text."""
    return f"{{{','.join(f'{at}:{weight}' for at, weight in weights.items())}}}/{DIMENSIONS}"


def _masks(terms: dict[int, float]) -> list[str]:
    """A power of two for each term, as many in a vector as a float counts."""
    names = list(terms)
    return [
        sparse({name: 2**bit for bit, name in enumerate(names[start : start + BITS])})
        for start in range(0, len(names), BITS)
    ]


def _weighted(terms: dict[int, float], masks: int, types: str, bound: Bound) -> str:
    """The query's weights times its terms' inverse frequencies among the population, as Qdrant defines them."""
    held = " UNION ALL ".join(
        f"SELECT {number} AS mask, held{number}::bigint AS held, count(*) AS points FROM population GROUP BY 2"
        for number in range(masks)
    )
    return f"""counted AS MATERIALIZED ({held}), frequencies AS (
            SELECT term, weight, (SELECT sum(points) FROM counted WHERE mask = 0)::float8 AS points, (
                SELECT coalesce(sum(points), 0)::float8 FROM counted
                WHERE mask = (place - 1) / {BITS} AND (held >> ((place - 1) %% {BITS})::int) & 1 = 1
            ) AS holders
            FROM unnest({bound.take(list(terms), "bigint[]")}, {bound.take(list(terms.values()), "float8[]")})
                WITH ORDINALITY AS asked (term, weight, place)
        ), weighted AS (
            SELECT ('{{' || string_agg(
                term || ':' || weight * ln((points - holders + 0.5) / (holders + 0.5) + 1), ','
            ) || '}}/{DIMENSIONS}')::{types}.sparsevec AS weights
            FROM frequencies
        ),"""
