"""What any index must do, tried on qdrant-edge and on qdrant-client, in both faces."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import pytest
import qdrant_edge

from holdfast.decisions.text.lexical import document_vector, query_vector
from holdfast.errors import ClosedError, StorageError, StoreLockedError
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.storage import filters
from holdfast.storage.index import FOREVER, Candidate, IndexQuery, Point, encode_metadata
from holdfast.storage.index.client import ClientIndex
from holdfast.storage.index.edge import EdgeIndex
from holdfast.storage.index.facets import facets
from holdfast.storage.lock import FolderLock
from holdfast.types import Scope

T = TypeVar("T")
UTC = timezone.utc  # noqa: UP017
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAY = datetime(2023, 5, 7, 12, 30, tzinfo=UTC)
DIMENSIONS = 8
AnyIndex = EdgeIndex | ClientIndex
Run = Callable[[Callable[[IO], Coroutine[Any, Any, T]]], T]


@pytest.fixture(params=["edge", "client"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyIndex]:
    made: AnyIndex
    if request.param == "edge":
        made, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    else:
        made, fresh = ClientIndex.open(":memory:", DIMENSIONS)
    assert fresh
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    if request.param == "sync":
        return lambda pipeline: run_inline(pipeline(Inline()))
    return lambda pipeline: asyncio.run(pipeline(Asyncio()))


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def vector(seed: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    made = np.random.default_rng(list(seed.encode())).normal(size=DIMENSIONS).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


def point(
    number: int, text: str, scope: Scope, metadata: dict[str, Any] | None = None, **given: Any
) -> Point:
    payload = {
        "u": scope.user_id or "",
        "a": scope.agent_id or "",
        "r": scope.run_id or "",
        "t0": micros(MAY),
        "t1": FOREVER,
        "c": micros(MAY),
        "s": ["caroline"],
        "m": encode_metadata(metadata or {}),
        **given,
    }
    return Point(str(UUID(int=number + 1)), vector(text), document_vector(text), payload)


def query(text: str, scope: Scope, limit: int = 10, **given: Any) -> IndexQuery:
    return IndexQuery(scope, vector(text), query_vector(text), limit, **given)


def memories(candidates: list[Candidate]) -> set[int]:
    return {UUID(candidate.id).int - 1 for candidate in candidates}


def ask(run: Run[Any], index: AnyIndex, *queries: IndexQuery) -> list[Any]:
    found: list[list[Candidate]] = run(lambda io: index.query(io, queries))
    return found if len(queries) > 1 else found[0]


ALICE, BOB = Scope("alice"), Scope("bob")
TEXTS = [
    "I play tennis",
    "the dog likes tennis balls",
    "我喜欢打网球",
    "she paints the sunrise",
    "a dog, a dog",
]


def test_candidates_carry_both_scores(index: AnyIndex, run: Run[Any]) -> None:
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


def test_candidates_carry_their_facets(index: AnyIndex, run: Run[Any]) -> None:
    stored = point(1, "I play tennis", ALICE, {"category": "hobbies"}, e=3, p=4)
    run(lambda io: index.upsert(io, [stored]))
    (found,) = ask(run, index, query("tennis", ALICE))
    assert found.facets == facets(stored.payload)


def test_a_replaced_point_shows_its_new_facets(index: AnyIndex, run: Run[Any]) -> None:
    for episode in (1, 2, 3):
        stored = [point(1, "tennis", ALICE, e=episode)]
        run(partial(index.upsert, points=stored))
        (found,) = ask(run, index, query("tennis", ALICE))
        assert found.facets == facets(stored[0].payload)
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE, t1=micros(MAY) + 1)]))
    assert ask(run, index, query("tennis", ALICE)) == []
    (found,) = ask(run, index, query("tennis", ALICE, as_of=micros(MAY)))
    assert found.facets == facets(point(1, "tennis", ALICE).payload)


def test_several_queries_are_answered_in_order(index: AnyIndex, run: Run[Any]) -> None:
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE), point(2, "tennis", BOB)]))
    asked = [query(text, scope, 1) for text in ("tennis", "", "dog") for scope in (ALICE, BOB)]
    assert [memories(found) for found in ask(run, index, *asked)] == [{1}, {2}] * 3
    assert run(lambda io: index.query(io, [])) == []


def test_points_are_replaced_deleted_counted_and_cleared(index: AnyIndex, run: Run[Any]) -> None:
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


def test_versions_are_found_at_their_time(index: AnyIndex, run: Run[Any]) -> None:
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


def test_no_id_reaches_into_another_ones_scope(index: AnyIndex, run: Run[Any]) -> None:
    ids = [name for name in IDS if name]
    run(lambda io: index.upsert(io, [point(n, "tennis", Scope(user_id=name)) for n, name in enumerate(ids)]))
    found = ask(run, index, *(query("tennis", Scope(user_id=name)) for name in ids))
    assert [memories(candidates) for candidates in found] == [{n} for n in range(len(ids))]


def test_ids_that_are_not_given_match_any_unless_exact(index: AnyIndex, run: Run[Any]) -> None:
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


def test_filters_mean_what_they_mean_elsewhere(index: AnyIndex, run: Run[Any]) -> None:
    rng = random.Random(7)
    rows: list[tuple[dict[str, Any], dict[str, datetime | None]]] = []
    points = []
    for n in range(120):
        data = {key: rng.choice(VALUES) for key in rng.sample(KEYS, 3)}
        data["a"] = rng.choice(VALUES)
        moments = [MAY + timedelta(microseconds=rng.choice([0, 1, -1, 86_400_000_000])) for _ in range(3)]
        times = dict(zip(filters.TIMES, [*moments[:2], rng.choice([None, moments[2]])], strict=True))
        rows.append((data, times))
        given = {
            key: micros(at)
            for key, at in zip(("c", "t0", "h"), times.values(), strict=True)
            if at is not None
        }
        points.append(point(n, f"text {n}", ALICE, data, **given))
    run(lambda io: index.upsert(io, points))
    matched = 0
    for _ in range(300):
        wanted = random_filter(rng)
        parsed = filters.parse(wanted)
        expected = {n for n, (data, times) in enumerate(rows) if filters.matches(parsed, data, times)}
        assert memories(ask(run, index, query("text", ALICE, 200, filters=parsed))) == expected, wanted
        matched += len(expected)
    assert matched > 1_000


def test_filters_cannot_widen_a_scope(index: AnyIndex, run: Run[Any]) -> None:
    run(lambda io: index.upsert(io, [point(1, "tennis", ALICE, {"u": "bob"}), point(2, "tennis", BOB)]))
    for wanted in ({"OR": [{"u": "alice"}, {"NOT": {"u": "x"}}]}, {"u": {"ne": "alice"}}, {"NOT": {"k": 1}}):
        assert memories(ask(run, index, query("tennis", ALICE, filters=filters.parse(wanted)))) == {1}


def test_term_frequencies_are_counted_within_the_scope(index: AnyIndex, run: Run[Any]) -> None:
    points = [point(0, "tennis", ALICE), point(1, "dog", ALICE)]
    run(lambda io: index.upsert(io, points))
    before = {c.id: c.sparse for c in ask(run, index, query("tennis", ALICE))}
    run(lambda io: index.upsert(io, [point(n + 10, "tennis", BOB) for n in range(50)]))
    assert {c.id: c.sparse for c in ask(run, index, query("tennis", ALICE))} == pytest.approx(before)


def test_failures_are_storage_errors(index: AnyIndex, run: Run[Any]) -> None:
    wrong = Point(
        str(UUID(int=1)), np.zeros(3, np.float32), document_vector("a"), point(0, "a", ALICE).payload
    )
    with pytest.raises(StorageError) as caught:
        run(lambda io: index.upsert(io, [wrong]))
    assert caught.value.__cause__ is not None
    index.close()
    index.close()
    with pytest.raises(ClosedError):
        run(lambda io: index.count(io))


# -- the embedded index alone ---------------------------------------------------------------------------


def put(index: AnyIndex, *points: Point) -> None:
    run_inline(index.upsert(Inline(), points))


def size(index: AnyIndex) -> int:
    return run_inline(index.count(Inline()))


def test_points_are_there_after_opening_again(tmp_path: Path) -> None:
    first, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(first, point(1, "tennis", ALICE))
    first.close()
    second, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert not fresh
    assert size(second) == 1
    second.close()


def test_a_damaged_shard_is_set_aside_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in (1, 2):
        index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
        assert fresh
        put(index, point(1, "tennis", ALICE))
        index.close()
        for file in (tmp_path / "index").rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        with caplog.at_level(logging.WARNING, "holdfast"):
            index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
        assert fresh
        assert size(index) == 0
        assert (tmp_path / f"index.damaged-{n}").is_dir()
        assert f"index.damaged-{n}" in caplog.text
        put(index, point(1, "tennis", ALICE))
        index.close()
        for file in (tmp_path / "index").rglob("*.json"):
            file.unlink()


def test_a_shard_of_other_dimensions_is_replaced(tmp_path: Path) -> None:
    EdgeIndex.open(tmp_path / "index", DIMENSIONS)[0].close()
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS + 1)
    assert fresh
    index.close()


def test_a_shard_of_an_earlier_layout_is_replaced(tmp_path: Path) -> None:
    index, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(index, point(1, "tennis", ALICE))
    index._shard.update(qdrant_edge.UpdateOperation.delete_field_index("ca"))  # type: ignore[union-attr]
    index.close()
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert fresh
    assert size(index) == 0
    assert not (tmp_path / "index.damaged-1").exists()
    index.close()


def test_compacting_removes_the_bytes_of_deleted_points(tmp_path: Path) -> None:
    index, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(index, point(1, "tennis", Scope("remaining-user")), point(2, "secret", Scope("erased-user")))
    run_inline(index.flush(Inline()))
    (tmp_path / "index.damaged-1").mkdir()
    (tmp_path / "index.damaged-1" / "segment").write_bytes(b"erased-user")
    run_inline(index.delete(Inline(), [str(UUID(int=3))]))
    assert b"erased-user" in all_bytes(tmp_path)
    run_inline(index.compact(Inline()))
    assert b"erased-user" not in all_bytes(tmp_path)
    index.close()
    assert b"erased-user" not in all_bytes(tmp_path)
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert not fresh
    assert memories(ask(lambda f: run_inline(f(Inline())), index, query("x", Scope("remaining-user")))) == {1}
    index.close()


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        EdgeIndex.open(tmp_path / "file" / "index", DIMENSIONS)


# -- the lock --------------------------------------------------------------------------------------------


def test_a_folder_is_locked_once_per_process(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "store"), FolderLock(tmp_path / "x" / ".." / "store")
    first.acquire()
    with pytest.raises(StoreLockedError, match="in this process already: share one Memory"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.check_process()
    second.release()


TRY = "import sys; from holdfast.storage.lock import FolderLock; FolderLock(sys.argv[1]).acquire()"


def test_another_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    tried = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert (
        f"StoreLockedError: {tmp_path.resolve()} is open in process {os.getpid()}: share one" in tried.stderr
    )
    lock.release()
    tried = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert tried.returncode == 0, tried.stderr


FORK = """
import os, sys, warnings
import numpy as np
from holdfast.io import Inline, run_inline
from holdfast.errors import StoreLockedError
from holdfast.storage.index.edge import EdgeIndex
from holdfast.storage.lock import FolderLock

warnings.simplefilter("ignore")
lock = FolderLock(sys.argv[1]); lock.acquire()
index, _ = EdgeIndex.open(sys.argv[1] + "/index", 4)
child = os.fork()
if child == 0:
    told = 0
    count = lambda: run_inline(index.count(Inline()))
    for use in (lock.check_process, count, FolderLock(sys.argv[1]).acquire):
        try:
            use()
        except StoreLockedError as error:
            told += str(os.getppid()) in str(error)
    index.close(); lock.release()
    os._exit(told)
told = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
lock.check_process()
assert run_inline(index.count(Inline())) == 0
assert told == 3, told
try:
    FolderLock(sys.argv[1]).acquire()
except StoreLockedError:
    pass
else:
    raise AssertionError("the child released the parent's lock")
index.close(); lock.release()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_is_told_so_and_leaves_the_parent_alone(tmp_path: Path) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert tried.returncode == 0, tried.stderr


def test_a_folder_that_cannot_be_locked_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        FolderLock(tmp_path / "file").acquire()
