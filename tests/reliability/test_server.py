"""The index on a Qdrant server: what goes over the wire, retries, several processes, a change of embedder."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import Memory, StorageError
from tests.support import children
from tests.support.fakes import HashEmbedder
from tests.support.processes import Child
from tests.support.qdrant_http import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
        assert server.invalid == [], "a real server would not have understood"


def opened(server: Server, folder: Path, **options: Any) -> Memory:
    return Memory(folder, **{"index": server.url, "llm": None, "embedder": HashEmbedder(), **options})


def everything(memory: Memory) -> None:
    added = memory.add(["I live in Lisbon", "I like tea", "我喜欢打网球"], user_id="alice", infer=False)
    memory.add("I like coffee", user_id="bob", agent_id="guide", metadata={"kind": "drink", "n": 1.5})
    changed = memory.update(added[0].memory_id, "Lives in Porto")
    memory.delete(added[1].memory_id)
    assert memory.search("where, Porto?", user_id="alice")[0].text == "Lives in Porto"
    assert memory.search("Lisbon", user_id="alice", as_of=added[0].at)[0].text == "I live in Lisbon"
    assert memory.search("网球", user_id="alice")[0].text == "我喜欢打网球"
    filters = {"kind": {"contains": "rin"}, "n": {"gte": 1}, "created_at": {"gte": "2020-01-01"}}
    assert memory.search("coffee", user_id="bob", filters=filters)
    assert not memory.search("coffee", user_id="bob", filters={"NOT": [{"kind": "drink"}]})
    assert not memory.search("coffee", user_id="alice", agent_id="guide")
    memory.undo(changed.id)
    assert memory.index.verify()
    assert memory.index.repair()
    assert memory.erase(user_id="alice").versions == 5
    assert memory.index.verify()


def test_every_request_is_one_that_a_server_understands(server: Server, tmp_path: Path) -> None:
    with opened(server, tmp_path) as memory:
        everything(memory)
    asked = {(request.method, request.path.split("/", 3)[-1]) for request in server.requests}
    assert ("POST", "points/query/batch") in asked
    writes = [
        it for it in server.requests if it.path.endswith(("/points", "/points/delete")) and it.method != "GET"
    ]
    assert all(it.query.get("wait") == ["true"] for it in writes if "ids" not in (it.body or {}))
    [made] = [it.body for it in server.requests if it.method == "PUT" and it.path.count("/") == 2]
    assert made["vectors"]["dense"]["size"] == 64
    assert made["hnsw_config"] == {"m": 0, "payload_m": 16}
    indexes = {
        it.body["field_name"]: it.body["field_schema"] for it in server.requests if it.path.endswith("/index")
    }
    assert any(isinstance(schema, dict) and schema.get("is_tenant") for schema in indexes.values())
    for request in server.requests:
        if request.path.endswith("/query/batch"):
            for search in request.body["searches"]:
                assert search["filter"], "no search without a scope"


def test_the_async_face_sends_what_a_server_understands(server: Server, tmp_path: Path) -> None:
    async def live() -> None:
        async with opened(server, tmp_path) as memory:
            await asyncio.gather(
                *(memory.aadd(f"fact {at}", user_id=f"u{at % 3}", infer=False) for at in range(20))
            )
            assert (await memory.asearch("fact 7", user_id="u1"))[0].text == "fact 7"
            assert await memory.index.averify()

    asyncio.run(live())


def test_what_fails_in_passing_is_sent_again(server: Server, tmp_path: Path) -> None:
    with opened(server, tmp_path) as memory:
        server.failures = [503, 429]
        memory.add("I like tea", user_id="alice", infer=False)
        assert server.failures == []
        assert memory.index.verify()


def test_an_outage_loses_nothing(server: Server, tmp_path: Path) -> None:
    with opened(server, tmp_path) as memory:
        server.failures = [400]  # refused, and not to be asked again
        memory.add("I like tea", user_id="alice", infer=False)
        assert memory.count(user_id="alice") == 1
        assert memory.search("tea", user_id="alice")[0].text == "I like tea"
        server.failures = [400] * 2
        with pytest.raises(StorageError):
            memory.search("tea", user_id="alice")
        server.failures = []
        assert memory.search("tea", user_id="alice")
        assert memory.index.verify()


def test_a_change_of_embedder_leaves_one_collection(server: Server, tmp_path: Path) -> None:
    with opened(server, tmp_path) as memory:
        memory.add(["I like tea", "I like rice"], user_id="alice", infer=False)
        memory.index.rebuild(HashEmbedder(16, "test/other"))
        assert memory.index.verify()
        assert memory.search("tea", user_id="alice")[0].text == "I like tea"
    assert server.collections() == ["holdfast-1"]
    with opened(server, tmp_path, embedder=HashEmbedder(16, "test/other")) as memory:
        assert memory.index.verify()


@pytest.mark.postgres
def test_the_whole_of_it_on_servers(server: Server, postgres_url: str) -> None:
    with Memory(ledger=postgres_url, index=server.url, llm=None, embedder=HashEmbedder()) as memory:
        everything(memory)


@pytest.mark.postgres
def test_processes_share_ledger_and_index(server: Server, postgres_url: str) -> None:
    """No fact is lost, no statement is kept twice, and what one process wrote the others find."""
    children.opened(postgres_url, server.url).close()
    writers = [Child(children.adds, postgres_url, number, 8, server.url) for number in range(3)]
    assert [writer.wait(150) for writer in writers] == [0, 0, 0]
    with children.opened(postgres_url, server.url) as memory:
        texts = Counter(item.text for item in memory.get_all(user_id="alice"))
        own = {f"fact {at} of writer {number}" for at in range(8) for number in range(3)}
        assert {text: texts[text] for text in own} == dict.fromkeys(own, 1)
        assert sum(texts.values()) == len(own) + 1, "what everybody said is one memory"
        assert memory.index.verify()
        for text in sorted(own)[:3]:
            assert text in {hit.text for hit in memory.search(text, user_id="alice")}


@pytest.mark.postgres
def test_a_shared_index_that_was_filled_halfway_is_filled_by_the_next(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as first:
        with children.opened(postgres_url, first.url) as memory:
            memory.add([f"fact {at}" for at in range(30)], user_id="alice", infer=False)
    with serving() as second:
        with monkeypatch.context() as patched:
            patched.setattr("holdfast.storage.projection.SLICE", 10)
            patched.setattr("holdfast.storage.index.client.ATTEMPTS", 1)
            second.fail_after = 2
            with pytest.raises(StorageError):
                children.opened(postgres_url, second.url)
            second.fail_after = None
        with children.opened(postgres_url, second.url) as memory:
            assert memory.index.verify()
            assert len(memory.search("fact", user_id="alice", limit=50)) == 30
