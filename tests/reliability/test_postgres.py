"""The ledger on PostgreSQL: through the same code, from several processes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import EmbedderMismatchError, Memory, Message, StorageError, StoreVersionError
from tests.support import children, inside
from tests.support.fakes import HashEmbedder
from tests.support.processes import Child

pytestmark = pytest.mark.postgres


def opened(url: str, **options: Any) -> Memory:
    return Memory(**{"ledger": url, "index": ":memory:", "llm": None, "embedder": HashEmbedder(), **options})


def test_memories_live_through_every_operation(postgres_url: str) -> None:
    with opened(postgres_url) as memory:
        result = memory.add(
            "I live in Lisbon. 我喜欢打网球。", user_id="alice", metadata={"kind": ["a", 1.5, None]}
        )
        assert [change.operation for change in result] == ["ADD", "ADD"]
        first = result[0]
        changed = memory.update(first.memory_id, "Lives in Porto")
        assert memory.search("Porto", user_id="alice")[0].id == first.memory_id
        assert memory.get(first.memory_id, as_of=first.at).text == first.text  # type: ignore[union-attr]
        memory.undo(changed.id)
        memory.delete(first.memory_id)
        assert memory.count(user_id="alice") == 1
        assert [item.text for item in memory.get_all(user_id="alice", filters={"kind": {"contains": "a"}})]
        assert len(memory.history(first.memory_id)) == 4
        assert memory.index.verify()
        assert memory.erase(user_id="alice").versions == 4
        assert memory.count(user_id="alice") == 0


def test_an_empty_index_is_filled_from_a_ledger_that_has_memories(postgres_url: str) -> None:
    with opened(postgres_url) as memory:
        memory.add(["fact one", "fact two"], user_id="alice", infer=False)
    with opened(postgres_url) as again:
        assert again.index.verify()
        assert {hit.text for hit in again.search("fact", user_id="alice")} == {"fact one", "fact two"}


def test_an_export_of_sqlite_is_read_back_identically(postgres_url: str, tmp_path: Any) -> None:
    with Memory(tmp_path / "store", llm=None, embedder=HashEmbedder()) as source:
        result = source.add(
            [Message("I have two cats", id="m1")], user_id="alice", metadata={"b": 1, "a": "ü"}
        )
        source.update(result[0].memory_id, "Has three cats")
        source.export(tmp_path / "one.jsonl", everything=True)
    with opened(postgres_url, embedder=HashEmbedder(16, "other")) as target:
        target.import_(tmp_path / "one.jsonl")
        target.export(tmp_path / "two.jsonl", everything=True)
        assert target.import_(tmp_path / "one.jsonl").versions == 0
        assert target.search("cats", user_id="alice")[0].text == "Has three cats"
    rows = [(tmp_path / f"{name}.jsonl").read_text().splitlines()[1:] for name in ("one", "two")]
    assert [json.loads(line) for line in rows[0]] == [json.loads(line) for line in rows[1]]


def test_a_store_is_reindexed_and_its_other_processes_are_told(postgres_url: str) -> None:
    with opened(postgres_url) as memory, opened(postgres_url) as elsewhere:
        memory.add("I have two cats", user_id="alice")
        memory.index.rebuild(HashEmbedder(16, "other"))
        assert memory.index.verify()
        assert memory.search("cats", user_id="alice")
        with pytest.raises((EmbedderMismatchError, StorageError)):
            elsewhere.add("I have a dog", user_id="alice")
    with pytest.raises(EmbedderMismatchError):
        opened(postgres_url)
    with opened(postgres_url, embedder=HashEmbedder(16, "other")) as after:
        after.resume()
        assert {"I have two cats", "I have a dog"} <= {
            item.text for item in after.get_all(user_id="alice")
        } | {"I have two cats."}


def test_a_newer_ledger_is_refused(postgres_url: str) -> None:
    import psycopg

    opened(postgres_url).close()
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StoreVersionError, match="99"):
        opened(postgres_url)


def test_no_job_is_done_twice_by_several_processes(postgres_url: str) -> None:
    with opened(postgres_url, resume_on_open=False) as memory:
        inside.idle(memory)  # leave the work to the others
        for at in range(20):
            told = f"job {at} is something to remember"
            memory.add(told, user_id=f"user {at % 4}", infer=False, background=True)
        assert len(memory.jobs.pending()) == 20
        workers = [Child(children.works, postgres_url) for _ in range(2)]
        assert [worker.wait(120) for worker in workers] == [0, 0]
        assert not memory.jobs.pending()
        found = [item for at in range(4) for item in memory.get_all(user_id=f"user {at}")]
        changes = [change for item in found for change in memory.history(item.id)]
        assert len(found) == len(changes) == len({change.add_id for change in changes}) == 20


def test_threads_take_each_outbox_row_once(postgres_url: str) -> None:
    with opened(postgres_url) as memory, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: memory.add(f"fact {at}", user_id=f"u{at % 3}", infer=False), range(40)))
        assert memory.index.verify()
        assert sum(memory.count(user_id=f"u{at}") for at in range(3)) == 40
