"""`HoldfastStore`, operation by operation against LangGraph's own stores, and in agents and graphs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.embeddings import Embeddings
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore
from pydantic import BaseModel

from holdfast import EmbeddingError, InputError, Memory
from holdfast.storage.ledger.document_values import decode_namespace, encode_namespace
from langchain_holdfast import HoldfastStore
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says
from tests.support.fakes import HashEmbedder


class Hashed(Embeddings):
    """The tests' embedder, for LangGraph's stores."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = HashEmbedder().embed_query(text).tolist()
        return vector


class Faced:
    """A HoldfastStore whose batches run in one face."""

    def __init__(self, store: HoldfastStore, face: str) -> None:
        self.store = store
        self.face = face

    def batch(self, ops: list[Any]) -> list[Any]:
        if self.face == "sync":
            return self.store.batch(ops)
        return asyncio.run(self.store.abatch(ops))


@pytest.fixture(scope="module")
def shared() -> Iterator[Memory]:
    """One memory for all generated examples; each empties it first."""
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        yield memory


@pytest.fixture
def store(memory: Memory) -> HoldfastStore:
    return HoldfastStore(memory)


# -- generated sequences against the oracles ---------------------------------------------------------------------

labels = st.sampled_from(
    ["a", "b", "ab", "A", "a*", "[a]", "a?", "_", "%", "%2f;", "/", "网", "a\n", "1", "10"]
)
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
keys = st.sampled_from(["k", "K", "k1", "k/1", "键", "", " "])
scalars = st.sampled_from([0, 1, -1, 2.5, True, False, None, "", "x", "X", "网", "1", "null"])
values = st.dictionaries(
    st.sampled_from(["n", "s", "v", "deep"]),
    scalars
    | st.lists(scalars, max_size=2)
    | st.dictionaries(st.sampled_from(["v", "n"]), scalars, max_size=2),
    max_size=3,
).map(lambda value: {**value, "size": len(value), "name": f"item {len(value)}"})
equalities = st.dictionaries(
    st.sampled_from(["n", "s", "v", "deep.v", "missing"]),
    scalars
    | st.builds(lambda given: {"$eq": given}, scalars)
    | st.builds(lambda given: {"$ne": given}, scalars),
    max_size=2,
)
orders = st.builds(
    lambda operator, bound: {"size": {operator: bound}},
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    st.sampled_from([0, 1, 1.5, 2, 3]),
) | st.builds(
    lambda operator, bound: {"name": {operator: bound}},
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    st.sampled_from(["item 1", "item 2", "j", ""]),
)
filters = st.none() | equalities | orders
gets = st.builds(GetOp, namespaces, keys, refresh_ttl=st.just(False))
puts = st.builds(PutOp, namespaces, keys, st.none() | values, index=st.none(), ttl=st.none())
searches = st.builds(
    SearchOp,
    namespaces | st.just(()),
    filter=filters,
    limit=st.just(1000),
    offset=st.integers(0, 3),
    query=st.none() | st.just("unused"),
    refresh_ttl=st.booleans(),
)
plain_searches = st.builds(
    SearchOp,
    namespaces,
    filter=st.none(),
    limit=st.just(1000),
    offset=st.just(0),
    query=st.none(),
    refresh_ttl=st.booleans(),
)
wild = st.lists(labels | st.just("*"), min_size=1, max_size=3).map(tuple)
listings = st.builds(
    ListNamespacesOp,
    st.none()
    | st.lists(st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), wild), max_size=2).map(tuple),
    max_depth=st.none() | st.integers(1, 3),
    limit=st.integers(1, 5) | st.just(100),
    offset=st.integers(0, 3),
)
batches = st.lists(st.lists(gets | puts | puts | searches | listings, max_size=5), max_size=6)


def told(op: Any, result: Any) -> Any:
    """What a result says, without its times and without an order where the oracle has none."""
    if isinstance(op, SearchOp):
        rows = [(one.namespace, one.key, one.value, one.score) for one in result]
        return len(rows) if op.offset else sorted(rows, key=repr)
    if isinstance(op, GetOp) and result is not None:
        return (result.namespace, result.key, result.value)
    return result


@pytest.mark.parametrize("face", ["sync", "async"])
@given(batches)
@settings(max_examples=60, deadline=None)
def test_every_operation_is_answered_as_sqlite_store_answers_it(
    shared: Memory, face: str, batches: Any
) -> None:
    shared.reset(confirm=True)
    ours = Faced(HoldfastStore(shared, index=False), face)
    with SqliteStore.from_conn_string(":memory:") as oracle:
        for ops in batches:
            for op, mine, theirs in zip(ops, ours.batch(ops), oracle.batch(ops), strict=True):
                assert told(op, mine) == told(op, theirs), op


@given(st.lists(st.lists(gets | puts | plain_searches, max_size=5), max_size=6))
@settings(max_examples=40, deadline=None)
def test_where_both_agree_it_answers_as_the_store_in_memory(shared: Memory, batches: Any) -> None:
    shared.reset(confirm=True)
    ours, oracle = HoldfastStore(shared), InMemoryStore()
    for ops in batches:
        for op, mine, theirs in zip(ops, ours.batch(ops), oracle.batch(ops), strict=True):
            assert told(op, mine) == told(op, theirs), op


@given(st.lists(values, min_size=1, max_size=8), equalities | orders)
@settings(max_examples=200, deadline=None)
def test_every_filter_selects_what_sqlite_store_selects(shared: Memory, items: Any, wanted: Any) -> None:
    shared.reset(confirm=True)
    ops = [PutOp(("a",), str(at), value) for at, value in enumerate(items)]
    search = SearchOp(("a",), filter=wanted, limit=1000)
    ours = HoldfastStore(shared, index=False)
    ours.batch(ops)
    with SqliteStore.from_conn_string(":memory:") as oracle:
        oracle.batch(ops)
        assert told(search, ours.batch([search])[0]) == told(search, oracle.batch([search])[0])


words = st.lists(st.sampled_from(["tea", "cup", "boat", "网球", "sea"]), min_size=1, max_size=3).map(" ".join)
indexed = st.fixed_dictionaries(
    {"text": words},
    optional={"parts": st.lists(st.fixed_dictionaries({"t": words}), max_size=3), "n": st.just(1)},
)


@pytest.mark.parametrize("fields", [["$"], ["text"], ["text", "parts[*].t"]])
@given(st.lists(st.tuples(namespaces, indexed, st.sampled_from([None, None, False])), max_size=8), words)
@settings(max_examples=25, deadline=None)
def test_semantic_search_scores_as_the_store_in_memory(
    shared: Memory, fields: list[str], items: Any, query: str
) -> None:
    shared.reset(confirm=True)
    ours = HoldfastStore(shared, index={"fields": fields})
    oracle = InMemoryStore(index={"dims": 64, "embed": Hashed(), "fields": fields})
    numbers = itertools.count()  # the oracle fails where two items share a text
    puts = [
        PutOp(ns, str(at), numbered(value, numbers), index) for at, (ns, value, index) in enumerate(items)
    ]
    search = SearchOp((), query=query, limit=1000)
    for store in (oracle, ours):
        store.batch(puts)
    [mine], [theirs] = ours.batch([search]), oracle.batch([search])
    # The oracle fills a page up with what is not indexed; SqliteStore, and we, do not.
    assert scores(mine) == pytest.approx(scores(one for one in theirs if one.score is not None), abs=1e-5)
    assert [one.score for one in mine] == sorted((one.score for one in mine), reverse=True)


def numbered(value: dict[str, Any], numbers: Iterator[int]) -> dict[str, Any]:
    parts = [{"t": f"{part['t']} {next(numbers)}"} for part in value.get("parts", [])]
    return {**value, "text": f"{value['text']} {next(numbers)}", "parts": parts}


def scores(found: Any) -> dict[Any, float]:
    return {(one.namespace, one.key): one.score for one in found}


@given(st.lists(st.text(min_size=1, alphabet=st.characters(exclude_characters="."))).map(tuple))
def test_namespaces_are_decoded_to_what_was_encoded(namespace: tuple[str, ...]) -> None:
    text = encode_namespace(namespace)
    assert decode_namespace(text) == namespace
    text.encode()
    assert "\x00" not in text


# -- batches -----------------------------------------------------------------------------------------------------


def test_reads_of_a_batch_see_the_state_before_its_writes(store: HoldfastStore, run: Runner) -> None:
    ops = [
        PutOp(("a",), "k", {"v": 1}),
        GetOp(("a",), "k"),
        SearchOp(("a",)),
        ListNamespacesOp(),
        PutOp(("a",), "k", {"v": 2}),
    ]
    assert run.call(store, "batch", ops) == [None, None, [], [], None]
    assert store.get(("a",), "k").value == {"v": 2}  # type: ignore[union-attr]


def test_a_batch_that_fails_changes_nothing(store: HoldfastStore, run: Runner) -> None:
    bad = [PutOp(("a",), "k", {"v": 1}), PutOp(("a",), "other", {"v": float("nan")})]
    with pytest.raises(InputError, match="not JSON"):
        run.call(store, "batch", bad)
    assert store.search(()) == []


def test_a_batch_whose_embedding_fails_changes_nothing(run: Runner) -> None:
    class Broken(HashEmbedder):
        def embed_documents(self, texts: Any) -> Any:
            raise RuntimeError("no network")

    with Memory(":memory:", llm=None, embedder=Broken()) as memory:
        store = HoldfastStore(memory)
        with pytest.raises(EmbeddingError, match="no network"):
            run.call(store, "put", ("a",), "k", {"v": "x"})
        assert store.get(("a",), "k") is None


def test_concurrent_tasks_share_it() -> None:
    async def write(store: HoldfastStore) -> None:
        await asyncio.gather(*(store.aput(("a",), str(at), {"v": at}) for at in range(40)))

    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        asyncio.run(write(HoldfastStore(memory)))
        assert len(HoldfastStore(memory).search(("a",), limit=100)) == 40


@pytest.mark.parametrize(
    "namespace", [("a.b",), ("",), (), ("a", 1), ("a\x00",)], ids=["dot", "empty", "none", "number", "nul"]
)
def test_namespaces_that_langgraph_refuses_are_refused(
    store: HoldfastStore, run: Runner, namespace: Any
) -> None:
    with pytest.raises(InvalidNamespaceError):
        run.call(store, "put", namespace, "k", {"v": 1})
    for op in (PutOp(namespace, "k", {"v": 1}), SearchOp(namespace), GetOp(namespace, "k")):
        if namespace:
            with pytest.raises(InvalidNamespaceError):
                run.call(store, "batch", [op])
    if not namespace:
        with pytest.raises(InputError, match="namespace"):
            run.call(store, "batch", [PutOp((), "k", {"v": 1})])


def test_siblings_do_not_leak_into_a_prefix(store: HoldfastStore, run: Runner) -> None:
    for label in ("1", "10", "1/", "1%2f;", "1\uffff", "1 ", "一"):
        run.call(store, "put", ("u", label), "k", {"v": label})
    for label in ("1", "10", "1/", "1%2f;", "1\uffff", "1 ", "一"):
        assert [item.value["v"] for item in run.call(store, "search", ("u", label))] == [label]
    assert len(run.call(store, "search", ("u",), limit=100)) == 7


def test_half_a_surrogate_pair_and_nul_are_kept_where_langgraph_takes_them(
    memory: Memory, run: Runner
) -> None:
    store = HoldfastStore(memory, index=False)
    value = {"text": "half \ud83d, zero \x00", "deep": [{"\ud83d": "\x00"}]}
    indexed = HoldfastStore(memory)
    run.call(indexed, "put", ("\ud83d",), "indexed", value, index=["text"])
    assert run.call(indexed, "get", ("\ud83d",), "indexed").value == value
    run.call(store, "put", ("\ud83d",), "\x00", value)
    assert run.call(store, "get", ("\ud83d",), "\x00").value == value
    assert run.call(store, "list_namespaces") == [("\ud83d",)]


class Colour(Enum):
    RED = "red"


@dataclass
class Place:
    city: str
    since: date


class Profile(BaseModel):
    name: str
    born: date
    ids: list[UUID] = []


@pytest.mark.parametrize("index", [None, False])
def test_values_that_are_nearly_json_are_written_as_usual(
    store: HoldfastStore, run: Runner, index: Any
) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    value = {
        "at": at,
        "id": UUID(int=1),
        "pair": (1, 2),
        "colour": Colour.RED,
        "place": Place("Lisbon", at.date()),
        "profiles": [Profile(name="Alice", born=at.date(), ids=[UUID(int=2)])],
    }
    run.call(store, "put", ("a",), "k", value, index=index)
    assert run.call(store, "get", ("a",), "k").value == {
        "at": at.isoformat(),
        "id": str(UUID(int=1)),
        "pair": [1, 2],
        "colour": "red",
        "place": {"city": "Lisbon", "since": "2026-05-01"},
        "profiles": [{"name": "Alice", "born": "2026-05-01", "ids": [str(UUID(int=2))]}],
    }
    assert len(run.call(store, "search", ("a",), query="Lisbon")) == (0 if index is False else 1)
    with pytest.raises(InputError, match="not a string"):
        run.call(store, "put", ("a",), "k", {1: "x"}, index=index)
    with pytest.raises(InputError, match="object is not JSON"):
        run.call(store, "put", ("a",), "k", {"x": object()}, index=index)


def test_it_tells_how_it_is_indexed(memory: Memory) -> None:
    config = HoldfastStore(memory, index={"fields": ["text"]}).index_config
    assert config is not None
    assert (config["dims"], config["fields"]) == (64, ["text"])
    assert config["embed"].embed_query("tea") == pytest.approx(HashEmbedder().embed_query("tea").tolist())  # type: ignore[union-attr]
    assert HoldfastStore(memory, index=False).index_config is None


def test_a_sweeper_ends_with_the_memory() -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        store = HoldfastStore(memory, ttl={"default_ttl": 10, "sweep_interval_minutes": 60})
        future = store.start_ttl_sweeper()
    assert future.result(20) is None


def test_an_update_keeps_the_time_of_creation(store: HoldfastStore, run: Runner) -> None:
    run.call(store, "put", ("a",), "k", {"v": 1})
    first = store.get(("a",), "k")
    run.call(store, "put", ("a",), "k", {"v": 2})
    second = store.get(("a",), "k")
    assert first is not None
    assert second is not None
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at


def test_without_a_query_the_last_written_come_first(store: HoldfastStore, run: Runner) -> None:
    for at in range(5):
        run.call(store, "put", ("a",), str(at), {"v": at})
    run.call(store, "put", ("a",), "1", {"v": 1})
    assert [item.key for item in run.call(store, "search", ("a",))] == ["1", "4", "3", "2", "0"]
    assert [item.key for item in run.call(store, "search", ("a",), limit=2, offset=1)] == ["4", "3"]
    even = run.call(store, "search", ("a",), filter={"v": {"$gte": 2}}, limit=2, offset=1)
    assert [item.key for item in even] == ["3", "2"]


@pytest.mark.parametrize("wanted", [{"v": {"$near": 1}}, {"v": {"w": 1}}, {"v": {"$gt": 1, "in": [1]}}])
def test_a_filter_that_says_nothing_is_refused(store: HoldfastStore, run: Runner, wanted: Any) -> None:
    with pytest.raises(ValueError, match="is no operator"):
        run.call(store, "search", ("a",), filter=wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"$and": [{"v": 1}]},
        {"$or": [{"v": 1}, {"v": 2}]},
        {"$not": {"v": 1}},
        {"$eq": 1},
        {"v": {"$in": [1]}},
        {"v": {}},
        {1: 1},
        {"": 1},
        {"v.": 1},
        {"a..b": 1},
    ],
)
def test_operators_and_keys_that_do_not_exist_are_refused(
    store: HoldfastStore, run: Runner, wanted: Any
) -> None:
    with pytest.raises(ValueError, match=r"Invalid filter key|is no operator"):
        run.call(store, "search", ("a",), filter=wanted)


@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte"])
def test_values_of_different_kinds_do_not_compare(store: HoldfastStore, operator: str) -> None:
    store.put(("a",), "k", {"v": "5", "w": 5, "list": [1]})
    assert store.search(("a",), filter={"v": {operator: 1}}) == []
    assert store.search(("a",), filter={"w": {operator: "1"}}) == []
    assert store.search(("a",), filter={"list": {operator: 1}}) == []


def test_lists_are_equal_by_value(store: HoldfastStore) -> None:
    store.put(("a",), "k", {"v": [1, {"x": None}]})
    assert len(store.search(("a",), filter={"v": [1, {"x": None}]})) == 1
    assert len(store.search(("a",), filter={"v": {"$eq": [1.0, {"x": None}]}})) == 1
    assert store.search(("a",), filter={"v": {"$ne": [1, {"x": None}]}}) == []


# -- semantic search ---------------------------------------------------------------------------------------------


def test_paging_through_a_semantic_search_ends_where_the_items_end(store: HoldfastStore, run: Runner) -> None:
    for at in range(7):
        run.call(store, "put", ("a",), str(at), {"text": f"tea {'cup ' * at}"})
    pages = [
        [item.key for item in run.call(store, "search", ("a",), query="tea", limit=2, offset=offset)]
        for offset in (0, 2, 4, 6, 8)
    ]
    assert [len(page) for page in pages] == [2, 2, 2, 1, 0]
    assert sorted(itertools.chain(*pages)) == [str(at) for at in range(7)]


def test_filters_hold_beside_a_query(store: HoldfastStore, run: Runner) -> None:
    for at in range(6):
        run.call(store, "put", ("a",), str(at), {"text": "tea cup", "even": at % 2 == 0})
    found = run.call(store, "search", ("a",), query="tea", filter={"even": True}, limit=2, offset=1)
    assert [item.key for item in found] == ["2", "4"]


def test_what_an_item_is_found_by_changes_with_it(store: HoldfastStore, run: Runner) -> None:
    run.call(store, "put", ("a",), "k", {"text": "tea", "parts": ["cup", "sea"]}, index=["parts[*]"])
    assert len(run.call(store, "search", ("a",), query="sea")) == 1
    run.call(store, "put", ("a",), "k", {"text": "tea"}, index=False)
    assert run.call(store, "search", ("a",), query="sea") == []
    run.call(store, "delete", ("a",), "k")
    run.call(store, "put", ("a",), "k", {"text": "boat"})
    assert run.call(store, "search", ("a",), query="boat")[0].score > 0.5


def test_without_an_index_a_query_is_ignored(memory: Memory, run: Runner) -> None:
    store = HoldfastStore(memory, index=False)
    run.call(store, "put", ("a",), "k", {"text": "tea"})
    [item] = run.call(store, "search", ("a",), query="boat")
    assert item.score is None


def test_another_embedder_finds_what_was_written_before(tmp_path: Path) -> None:
    with Memory(tmp_path / "m", llm=None, embedder=HashEmbedder()) as memory:
        HoldfastStore(memory).put(("a",), "k", {"text": "tea"})
        other = HashEmbedder(32, "test/other")
        memory.index.rebuild(embedder=other)
        [item] = HoldfastStore(memory).search(("a",), query='{"text": "tea"}')
        assert item.score == pytest.approx(1.0)


def test_an_index_with_its_own_embedder_is_refused(memory: Memory) -> None:
    with pytest.raises(InputError, match="memory's embedder"):
        HoldfastStore(memory, index={"dims": 64, "embed": Hashed()})


# -- time to live ------------------------------------------------------------------------------------------------


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def later(self, minutes: float) -> None:
        self.at += timedelta(minutes=minutes)


@pytest.fixture
def timed() -> Iterator[tuple[Memory, Watch]]:
    watch = Watch()
    with Memory(":memory:", llm=None, embedder=HashEmbedder(), now=watch) as memory:
        yield memory, watch


def test_a_sweep_deletes_what_has_expired(timed: tuple[Memory, Watch], run: Runner) -> None:
    memory, watch = timed
    store = HoldfastStore(memory, ttl={"default_ttl": 10, "refresh_on_read": False})
    run.call(store, "put", ("a",), "short", {"v": 1})
    run.call(store, "put", ("a",), "long", {"v": 1}, ttl=60)
    run.call(store, "put", ("a",), "ever", {"v": 1}, ttl=None)
    assert run.call(store, "sweep_ttl") == 0
    watch.later(11)
    assert run.call(store, "get", ("a",), "short") is not None
    assert run.call(store, "sweep_ttl") == 1
    assert run.call(store, "get", ("a",), "short") is None
    watch.later(60)
    assert run.call(store, "sweep_ttl") == 1
    assert [item.key for item in store.search(("a",))] == ["ever"]


@pytest.mark.parametrize("reading", ["get", "search", "query"])
def test_reading_refreshes(timed: tuple[Memory, Watch], run: Runner, reading: str) -> None:
    memory, watch = timed
    store = HoldfastStore(memory, ttl={"default_ttl": 10, "refresh_on_read": True})
    run.call(store, "put", ("a",), "k", {"v": "x"})
    for _ in range(3):
        watch.later(8)
        if reading == "get":
            run.call(store, "get", ("a",), "k")
        else:
            run.call(store, "search", ("a",), query="x" if reading == "query" else None)
        assert run.call(store, "sweep_ttl") == 0
    watch.later(8)
    run.call(store, "get", ("a",), "k", refresh_ttl=False)
    watch.later(8)
    assert run.call(store, "sweep_ttl") == 1


def test_expired_items_can_be_omitted(timed: tuple[Memory, Watch], run: Runner) -> None:
    memory, watch = timed
    store = HoldfastStore(memory, ttl={"default_ttl": 10, "omit_expired": True})
    run.call(store, "put", ("a",), "k", {"v": "x"})
    watch.later(11)
    assert run.call(store, "get", ("a",), "k") is None
    assert run.call(store, "search", ("a",)) == []
    assert run.call(store, "search", ("a",), query="x") == []
    assert run.call(store, "list_namespaces") == []
    assert run.call(store, "sweep_ttl") == 1


def test_the_sweeper_sweeps_and_stops(timed: tuple[Memory, Watch]) -> None:
    memory, watch = timed
    store = HoldfastStore(memory, ttl={"default_ttl": 10})
    store.put(("a",), "k", {"v": 1})
    watch.later(11)
    future = store.start_ttl_sweeper(0.0005)
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while store.list_namespaces() and datetime.now(UTC) < deadline:
        pass
    assert store.list_namespaces() == []
    assert store.stop_ttl_sweeper(20)
    assert future.done()


# -- in company --------------------------------------------------------------------------------------------------


def test_it_serves_the_tools_of_an_agent(memory: Memory, run: Runner) -> None:
    @tool
    def note(text: str, runtime: ToolRuntime[User, Any]) -> str:
        """Take a note."""
        assert runtime.store is not None
        runtime.store.put((runtime.context.user_id, "notes"), "1", {"text": text})
        return "noted"

    store = HoldfastStore(memory)
    agent = create_agent(
        ScriptedChat(calls("note", text="buy tea"), "ok"), tools=[note], store=store, context_schema=User
    )
    run(agent, says("Note: buy tea"), context=User("alice"))
    assert [item.value for item in store.search(("alice",), query="tea")] == [{"text": "buy tea"}]


def test_it_serves_a_node_of_a_graph(memory: Memory) -> None:
    class State(TypedDict):
        seen: int

    async def count(state: State, runtime: Runtime[Any]) -> State:
        assert runtime.store is not None
        item = await runtime.store.aget(("counters",), "visits")
        seen = (item.value["n"] if item else 0) + 1
        await runtime.store.aput(("counters",), "visits", {"n": seen}, index=False)
        return {"seen": seen}

    graph = (
        StateGraph(State)
        .add_node("count", count)
        .add_edge(START, "count")
        .compile(store=HoldfastStore(memory))
    )
    results = [asyncio.run(graph.ainvoke({"seen": 0})) for _ in range(2)]
    assert [result["seen"] for result in results] == [1, 2]


def test_documents_survive_a_restart_and_a_reset_removes_them(tmp_path: Path) -> None:
    with Memory(tmp_path / "m", llm=None, embedder=HashEmbedder()) as memory:
        HoldfastStore(memory).put(("a",), "k", {"v": 1})
    with Memory(tmp_path / "m", llm=None, embedder=HashEmbedder()) as memory:
        store = HoldfastStore(memory)
        assert store.get(("a",), "k") is not None
        memory.erase(user_id="a")
        assert store.get(("a",), "k") is not None
        memory.reset(confirm=True)
        assert store.get(("a",), "k") is None


@pytest.mark.parametrize("ttl", [float("nan"), 1e300])
def test_a_time_to_live_that_is_none_is_refused(store: HoldfastStore, run: Runner, ttl: float) -> None:
    with pytest.raises(InputError, match="time to live"):
        run.call(store, "put", ("a",), "k", {"v": 1}, ttl=ttl)
