"""What any index has to do, in both faces. The implementations are listed in `implementations.py`."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import pytest

from holdfast import Memory
from holdfast.decisions.text.lexical import query_vector
from holdfast.errors import ClosedError, StorageError
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.storage import filters
from holdfast.storage.index import Candidates, Index, IndexQuery, Point
from holdfast.storage.index.payload import facets
from holdfast.types import Scope
from tests.contracts.implementations import INDEXES, Place
from tests.support.fakes import HashEmbedder
from tests.support.points import DIMENSIONS, MAY, micros, point, vector

T = TypeVar("T")
Run = Callable[[Callable[[IO], Coroutine[Any, Any, T]]], T]


@pytest.fixture(params=INDEXES.values(), ids=INDEXES)
def index(request: pytest.FixtureRequest, place: Place) -> Iterator[Index]:
    made: Index = request.param(place, DIMENSIONS)
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    if request.param == "sync":
        return lambda pipeline: run_inline(pipeline(Inline()))
    return lambda pipeline: asyncio.run(pipeline(Asyncio()))


def query(text: str, scope: Scope, limit: int = 10, **given: Any) -> IndexQuery:
    return IndexQuery(scope, vector(text), query_vector(text), limit, **given)


def memories(candidates: Candidates) -> set[int]:
    return {UUID(candidate.id).int - 1 for candidate in candidates}


def ask(run: Run[Any], index: Index, *queries: IndexQuery) -> list[Any]:
    found: list[Candidates] = run(lambda io: index.query(io, queries))
    return found if len(queries) > 1 else found[0]


ALICE, BOB = Scope("alice"), Scope("bob")
TEXTS = [
    "I play tennis, always tennis",
    "the dog likes tennis balls",
    "我喜欢打网球",
    "she paints the sunrise",
    "a dog, a dog, a dog",  # no two texts score alike: which of equals is among the first is for the index to say
]


def test_candidates_carry_both_scores(index: Index, run: Run[Any]) -> None:
    points = [point(n, text, ALICE) for n, text in enumerate(TEXTS)]
    points += [point(n + 10, "tennis tennis", BOB) for n in range(20)]
    run(lambda io: index.upsert(io, points))
    for limit in (1, 2, 3, 10):
        for text in ("tennis", "dog tennis", "网球", "球", "nothing known"):
            asked = query(text, ALICE, limit)
            expected = expected_candidates(asked, points[:5])
            found = {c.id: (c.dense, c.sparse) for c in ask(run, index, asked)}
            assert found.keys() == expected.keys()
            for name, scores in found.items():
                assert scores == pytest.approx(expected[name], abs=1e-4)


def test_long_queries_and_long_texts_count_all_of_their_terms(index: Index, run: Run[Any]) -> None:
    words = [f"word{n}" for n in range(150)]
    points = [point(n, " ".join(words[n::9]), ALICE) for n in range(9)]
    points.append(point(9, " ".join(f"{word} other{n}" for n, word in enumerate(words)), ALICE))
    run(lambda io: index.upsert(io, points))
    asked = query(" ".join(words[:120]), ALICE, 20)
    expected = expected_candidates(asked, points)
    found = {c.id: (c.dense, c.sparse) for c in ask(run, index, asked)}
    assert found.keys() == expected.keys()
    for name, scores in found.items():
        assert scores == pytest.approx(expected[name], rel=1e-4, abs=1e-4)


def expected_candidates(asked: IndexQuery, points: list[Point]) -> dict[str, tuple[float, float]]:
    """BM25 and cosine by hand; IDF as Qdrant defines it, over the points given."""
    weights = dict(zip(asked.sparse.indices, asked.sparse.values, strict=True))
    terms = {p.id: dict(zip(p.sparse.indices, p.sparse.values, strict=True)) for p in points}
    counts = {term: sum(term in own for own in terms.values()) for term in weights}
    idf = {term: math.log((len(points) - n + 0.5) / (n + 0.5) + 1) for term, n in counts.items()}
    scores = {
        p.id: (
            float(p.vector @ asked.vector),
            sum(weight * idf[term] * terms[p.id].get(term, 0.0) for term, weight in weights.items()),
        )
        for p in points
    }
    by_vector = sorted(scores, key=lambda name: -scores[name][0])[: asked.limit]
    by_terms = sorted((n for n in scores if scores[n][1] > 0), key=lambda n: -scores[n][1])[: asked.limit]
    return {name: scores[name] for name in {*by_vector, *by_terms}}


def test_candidates_carry_their_facets(index: Index, run: Run[Any]) -> None:
    stored = point(1, "I play tennis", ALICE, {"category": "hobbies"}, e=3, p=4)
    run(lambda io: index.upsert(io, [stored]))
    (found,) = ask(run, index, query("tennis", ALICE))
    assert found.facets == facets(stored.payload)


def test_a_replaced_point_shows_its_new_facets(index: Index, run: Run[Any]) -> None:
    for episode in (1, 2, 3):
        stored = [point(1, "tennis", ALICE, e=episode)]
        run(partial(index.upsert, points=stored))
        (found,) = ask(run, index, query("tennis", ALICE))
        assert found.facets == facets(stored[0].payload)
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE, t1=micros(MAY) + 1)]))
    assert not ask(run, index, query("tennis", ALICE))
    (found,) = ask(run, index, query("tennis", ALICE, as_of=micros(MAY)))
    assert found.facets == facets(point(1, "tennis", ALICE).payload)


def test_several_queries_are_answered_in_order(index: Index, run: Run[Any]) -> None:
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE), point(2, "tennis", BOB)]))
    asked = [query(text, scope, 1) for text in ("tennis", "", "dog") for scope in (ALICE, BOB)]
    assert [memories(found) for found in ask(run, index, *asked)] == [{1}, {2}] * 3
    assert run(lambda io: index.query(io, [])) == []


def test_points_are_replaced_deleted_counted_and_cleared(index: Index, run: Run[Any]) -> None:
    points = [point(n, f"text {n}", ALICE) for n in range(600)]

    async def steps(io: IO) -> None:
        await index.upsert(io, points)
        await index.upsert(io, [point(0, "replaced", BOB)])
        assert await index.count(io) == 600
        assert memories((await index.query(io, [query("replaced", BOB)]))[0]) == {0}
        await index.delete(io, [p.id for p in points[300:]])
        await index.delete(io, [p.id for p in points[300:]])
        await index.delete(io, [])
        await index.upsert(io, [])
        assert await index.ids(io) == {p.id for p in points[:300]}
        await index.flush(io)
        await index.compact(io)
        assert await index.ids(io) == {p.id for p in points[:300]}
        assert memories((await index.query(io, [query("replaced", BOB)]))[0]) == {0}
        await index.clear(io)
        await index.clear(io)
        assert await index.ids(io) == set()
        await index.upsert(io, points[:1])
        assert await index.count(io) == 1

    run(steps)


def test_what_expires_is_current_until_then_and_pushes_nothing_out(index: Index, run: Run[Any]) -> None:
    now = micros(MAY)
    guide = Scope("alice", "guide")
    expired = [point(100 + n, "tennis", ALICE, t1=now) for n in range(50)]
    alive = [point(1, "the dog", ALICE, t1=now + 1), point(2, "the dog", guide, t1=now + 5)]
    others = [
        point(3, "the cat", guide),
        point(4, "tennis", BOB, t1=now + 5),
        point(5, "the dog", ALICE, t0=now + 9),
    ]
    run(lambda io: index.upsert(io, [*expired, *alive, *others]))
    for asked, known in (
        (query("tennis", ALICE, 10, now=now), {1, 2, 3, 5}),
        (query("tennis", ALICE, 10, now=now + 1), {2, 3, 5}),
        (query("tennis", ALICE, 10, exact=True, now=now), {1, 5}),
        (query("tennis", guide, 10, now=now), {2, 3}),
        (query("tennis", ALICE, 10), {3, 5}),  # of a store in which nothing expires
        (query("the dog", ALICE, 10, as_of=now), {1, 2, 3}),
        (query("the dog", BOB, 10, as_of=now + 4), {4}),
        (query("the dog", BOB, 10, as_of=now + 5), set()),
    ):
        assert memories(ask(run, index, asked)) == known


def test_versions_are_found_at_their_time(index: Index, run: Run[Any]) -> None:
    now = micros(MAY)
    run(
        lambda io: index.upsert(
            io,
            [
                point(1, "lives in Berlin", ALICE, t0=now, t1=now + 1),
                point(2, "lives in Lisbon", ALICE, t0=now + 1),
                point(3, "lives in Rome", BOB, t0=now),
            ],
        )
    )
    spans = {None: {2}, now - 1: set(), now: {1}, now + 1: {2}, now + 10**12: {2}}
    for as_of, expected in spans.items():
        assert memories(ask(run, index, query("where?", ALICE, as_of=as_of))) == expected


IDS = [
    "alice", "alice2", "ali", "Alice", "alice ", "*", "%", "a*", "", "'", '"', "' OR 1=1 --", '"}', "é",
    "e\u0301", "аlice", "ａlice", "用户", "\n", "$", "a.b", "a[]", "x" * 20_000, "x" * 20_001, "null", "1",
    "alice@example.org",
]  # fmt: skip


def test_no_id_reaches_into_another_ones_scope(index: Index, run: Run[Any]) -> None:
    ids = [name for name in IDS if name]
    run(lambda io: index.upsert(io, [point(n, "tennis", Scope(user_id=name)) for n, name in enumerate(ids)]))
    found = ask(run, index, *(query("tennis", Scope(user_id=name)) for name in ids))
    assert [memories(candidates) for candidates in found] == [{n} for n in range(len(ids))]


def test_ids_that_are_not_given_match_any_unless_exact(index: Index, run: Run[Any]) -> None:
    scopes = [Scope("u"), Scope("u", "a"), Scope("u", "a", "r"), Scope("u", None, "r"), Scope(None, "a")]
    run(lambda io: index.upsert(io, [point(n, "tennis", scope) for n, scope in enumerate(scopes)]))
    expected = [({0, 1, 2, 3}, {0}), ({1, 2}, {1}), ({2}, {2}), ({2, 3}, {3}), ({1, 2, 4}, {4})]
    for scope, (any_of, only) in zip(scopes, expected, strict=True):
        assert memories(ask(run, index, query("tennis", scope))) == any_of
        assert memories(ask(run, index, query("tennis", scope, exact=True))) == only


KEYS = ["a", "a.b", "a b", "q\"u'", "键", "", "[]", "a[0]"]
VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -1, 0.1, 2.5, -0.0, 2**53, 2**60, 10**30, 1e300, "", "a", "ab", "A", "网球",
    "1", "n1", "z", "b1", "sa", [], ["a", 1], [1.0, None], [True, "网球"], [["a"]], {"a": 1}, {},
]  # fmt: skip
SCALARS = [value for value in VALUES[:24] if not isinstance(value, (int, float)) or abs(value) < 2**53]


def random_filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    kind = rng.random()
    if depth < 3 and kind < 0.3:
        parts = [random_filter(rng, depth + 1) for _ in range(rng.randrange(4))]
        return {rng.choice(["AND", "OR", "NOT"]): parts}
    if kind < 0.45:
        at = rng.choice(
            [MAY, MAY + timedelta(days=1), MAY.date(), "2023-05-08", "2023-05-07T12:30:00.000001"]
        )
        return {rng.choice(filters.TIMES): {rng.choice(["eq", "ne", "gt", "gte", "lt", "lte"]): at}}
    operator = rng.choice(filters.OPERATORS)
    operand: Any = rng.choice(SCALARS)
    if operator in ("in", "nin"):
        operand = rng.sample(SCALARS, rng.randrange(4))
    elif operator in ("gt", "gte", "lt", "lte"):
        operand = rng.choice([0, 1, -1, 0.1, 2.5, 1e6])
    elif operator == "contains":
        operand = operand if operand != "" else "a"
    return {rng.choice([*KEYS, "a", "a"]): {operator: operand}}


def test_filters_mean_what_they_mean_elsewhere(index: Index) -> None:
    rng = random.Random(7)
    rows: list[tuple[dict[str, Any], dict[str, datetime | None]]] = []
    points = []
    for n in range(120):
        data = {key: rng.choice(VALUES) for key in rng.sample(KEYS, 3)}
        data["a"] = rng.choice(VALUES)
        moments = [MAY + timedelta(microseconds=rng.choice([0, 1, -1, 86_400_000_000])) for _ in range(4)]
        known = [*moments[:2], *(rng.choice([None, moment]) for moment in moments[2:])]
        times = dict(zip(filters.TIMES, known, strict=True))
        rows.append((data, times))
        given = {
            key: micros(at)
            for key, at in zip(("c", "t0", "h", "x"), times.values(), strict=True)
            if at is not None
        }
        points.append(point(n, f"text {n}", ALICE, data, **given))
    run_inline(index.upsert(Inline(), points))
    matched = 0
    for _ in range(300):
        wanted = random_filter(rng)
        parsed = filters.parse(wanted)
        expected = {n for n, (data, times) in enumerate(rows) if filters.matches(parsed, data, times)}
        [found] = run_inline(index.query(Inline(), [query("text", ALICE, 200, filters=parsed)]))
        assert memories(found) == expected, wanted
        matched += len(expected)
    assert matched > 1_000


def test_filters_cannot_widen_a_scope(index: Index, run: Run[Any]) -> None:
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE, {"u": "bob"}), point(2, "tennis", BOB)]))
    for wanted in ({"OR": [{"u": "alice"}, {"NOT": {"u": "x"}}]}, {"u": {"ne": "alice"}}, {"NOT": {"k": 1}}):
        assert memories(ask(run, index, query("tennis", ALICE, filters=filters.parse(wanted)))) == {1}


def test_term_frequencies_are_counted_within_the_scope(index: Index, run: Run[Any]) -> None:
    points = [point(0, "tennis", ALICE), point(1, "dog", ALICE)]
    run(lambda io: index.upsert(io, points))
    before = {c.id: c.sparse for c in ask(run, index, query("tennis", ALICE))}
    run(lambda io: index.upsert(io, [point(n + 10, "tennis", BOB) for n in range(50)]))
    assert {c.id: c.sparse for c in ask(run, index, query("tennis", ALICE))} == pytest.approx(before)


def test_failures_are_storage_errors(index: Index, run: Run[Any]) -> None:
    wrong = Point(str(UUID(int=1)), np.zeros(3, np.float32), query_vector("a"), point(0, "a", ALICE).payload)
    with pytest.raises(StorageError) as caught:
        run(lambda io: index.upsert(io, [wrong]))
    assert caught.value.__cause__ is not None
    index.close()
    index.close()
    with pytest.raises(ClosedError):
        run(lambda io: index.count(io))


def test_a_memory_works_on_it(index: Index) -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder(DIMENSIONS), index=index) as memory:
        for text in ("I play tennis", "我喜欢喝茶"):
            memory.add(text, user_id="alice", infer=False)
        tea = memory.search("喝茶", user_id="alice")[0]
        assert tea.text == "我喜欢喝茶"
        memory.delete(tea.id)
        assert [hit.text for hit in memory.search("喝茶", user_id="alice")] == ["I play tennis"]
        assert not memory.search("tennis", user_id="bob")
        assert memory.index.verify()
        memory.erase(user_id="alice")
        assert run_inline(index.ids(Inline())) == set()
