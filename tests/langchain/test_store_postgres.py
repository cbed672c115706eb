"""The store on PostgreSQL answers as it does on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from langgraph.store.base import PutOp
from langgraph.store.sqlite import SqliteStore

from holdfast import Memory
from langchain_holdfast import HoldfastStore
from tests.langchain.test_store import batches, told
from tests.support.fakes import HashEmbedder
from tests.support.postgres import Cluster, postgres  # noqa: F401 - the fixture

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def shared(postgres: Cluster) -> Iterator[Memory]:  # noqa: F811
    with Memory(ledger=postgres.database(), index=":memory:", llm=None, embedder=HashEmbedder()) as memory:
        yield memory


@given(batches)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_operation_is_answered_as_sqlite_store_answers_it(shared: Memory, batches: Any) -> None:
    shared.reset(confirm=True)
    ours = HoldfastStore(shared, index=False)
    with SqliteStore.from_conn_string(":memory:") as oracle:
        for ops in batches:
            for op, mine, theirs in zip(ops, ours.batch(ops), oracle.batch(ops), strict=True):
                assert told(op, mine) == told(op, theirs), op


def test_what_databases_refuse_is_kept(shared: Memory) -> None:
    shared.reset(confirm=True)
    store = HoldfastStore(shared)
    value = {"text": "half \ud83d, zero \x00", "网": 1}
    store.put(("\ud83d", "a/b%"), "\x00", value, index=False)
    assert store.get(("\ud83d", "a/b%"), "\x00").value == value  # type: ignore[union-attr]


def test_search_by_meaning_and_time_to_live(shared: Memory) -> None:
    shared.reset(confirm=True)
    store = HoldfastStore(shared, index={"fields": ["text"]}, ttl={"default_ttl": 1e-6})
    store.put(("a",), "1", {"text": "tea cup"}, ttl=None)
    store.put(("a",), "2", {"text": "boat"})
    assert [item.key for item in store.search(("a",), query="cup")] == ["1", "2"]
    store.get(("a",), "1")
    assert store.sweep_ttl() == 1
    assert [item.key for item in store.search(("a",), query="boat")] == ["1"]


def test_concurrent_writers_of_one_key_do_not_fail(shared: Memory) -> None:
    shared.reset(confirm=True)
    store = HoldfastStore(shared, index=False)

    async def write() -> None:
        await asyncio.gather(*(store.abatch([PutOp(("a",), "k", {"v": at})]) for at in range(20)))

    asyncio.run(write())
    assert len(store.search(("a",))) == 1
