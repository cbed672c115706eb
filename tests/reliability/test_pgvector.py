"""One PostgreSQL and nothing else: the index in the ledger's database, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from holdfast import EmbedderMismatchError, Memory
from holdfast.decisions.text.lexical import query_vector, terms, vector_of_terms
from holdfast.errors import InputError, StorageError
from holdfast.io import Inline, run_inline
from holdfast.storage import projection
from holdfast.storage.index import IndexQuery, Point
from holdfast.storage.index.pgvector import PgvectorIndex
from holdfast.storage.ledger.database import Database
from holdfast.types import Scope
from tests.reliability.test_isolation import IDS
from tests.support import children
from tests.support.fakes import HashEmbedder
from tests.support.points import point
from tests.support.postgres import NO_VECTOR, Cluster
from tests.support.processes import Child

pytestmark = pytest.mark.postgres


def opened(url: str, **options: Any) -> Memory:
    return Memory(**{"ledger": url, "index": "pgvector", "llm": None, "embedder": HashEmbedder(), **options})


def texts(memory: Memory, query: str, user: str = "alice", limit: int = 10) -> list[str]:
    return [hit.text for hit in memory.search(query, user_id=user, limit=limit)]


@pytest.fixture
def url(pgvector: Cluster) -> str:
    """A database with the ledger's tables and pgvector."""
    return pgvector.ledger()


@pytest.fixture(scope="module")
def neighbours(postgres: Cluster) -> Iterator[Memory]:
    """Every hostile id has one memory, of the same words, so that only the scope keeps them apart."""
    if not postgres.vectors:
        pytest.skip(NO_VECTOR)
    with opened(postgres.ledger()) as memory:
        for number, name in enumerate(IDS):
            memory.add("my secret word", user_id=name, infer=False, metadata={"number": number})
        yield memory


@pytest.fixture
def database(pgvector: Cluster) -> Iterator[Database]:
    database = Database(pgvector.ledger())
    yield database
    database.close()


def test_without_the_extension_the_error_says_who_makes_it(pgvector: Cluster) -> None:
    url = pgvector.database()
    name = url.rpartition("/")[2]
    pgvector.execute("CREATE ROLE guest LOGIN")
    try:
        pgvector.execute("GRANT ALL ON SCHEMA public TO guest", url)
        with pytest.raises(StorageError, match=r"(?s)permission denied.*CREATE EXTENSION vector"):
            Memory(
                ledger=url.replace("holdfast@", "guest@"), index="pgvector", llm=None, embedder=HashEmbedder()
            )
        pgvector.execute("CREATE EXTENSION vector", url)
        with Memory(
            ledger=url.replace("holdfast@", "guest@"), index="pgvector", llm=None, embedder=HashEmbedder()
        ) as memory:
            memory.add("I play tennis", user_id="alice", infer=False)
            assert memory.search("tennis", user_id="alice")
    finally:
        pgvector.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        pgvector.execute("DROP ROLE guest")


def test_the_extension_may_lie_in_a_schema_of_its_own(pgvector: Cluster) -> None:
    url = pgvector.database()
    pgvector.execute('CREATE SCHEMA "an Extension"', url)
    pgvector.execute('CREATE EXTENSION vector SCHEMA "an Extension"', url)
    with Memory(ledger=url, index="pgvector", llm=None, embedder=HashEmbedder()) as memory:
        memory.add("I play tennis", user_id="alice", infer=False)
        assert memory.search("tennis", user_id="alice")


def test_pgvector_needs_a_ledger_on_postgresql() -> None:
    for place in ({"path": ":memory:"}, {"ledger": "sqlite://"}):
        with pytest.raises(InputError, match="pass ledger='postgresql://"):
            Memory(**place, index="pgvector", llm=None, embedder=HashEmbedder())


def test_a_table_of_other_dimensions_is_refused(database: Database) -> None:
    PgvectorIndex.open(database, 8)
    with pytest.raises(StorageError, match="vectors of 8 dimensions, not 9"):
        PgvectorIndex.open(database, 9)


def test_large_vectors_and_texts_without_end_are_kept(database: Database) -> None:
    dimensions = 4096
    index, _ = PgvectorIndex.open(database, dimensions)
    text = " ".join(f"word{n}" for n in range(20_000))
    vector = np.full(dimensions, dimensions**-0.5, np.float32)
    payload = point(0, "", Scope("alice"), {"page": "x" * 200_000, "one": 1}).payload
    stored = Point(
        "00000000-0000-0000-0000-000000000001", vector, vector_of_terms(terms(text + " word7" * 9)), payload
    )
    run_inline(index.upsert(Inline(), [stored]))
    asked = IndexQuery(Scope("alice"), vector, query_vector("word7"), 10)
    [[found]] = run_inline(index.query(Inline(), [asked]))
    assert found.dense == pytest.approx(1.0, abs=1e-4)
    assert found.sparse > 0


# -- one transaction ----------------------------------------------------------------------------------------------


def test_another_process_finds_what_was_committed_at_once(url: str) -> None:
    with opened(url) as memory, opened(url) as elsewhere:
        added = memory.add("I play tennis", user_id="alice", infer=False)[0].memory_id
        assert texts(elsewhere, "tennis") == ["I play tennis"]
        memory.update(added, "I play chess")
        assert texts(elsewhere, "chess") == ["I play chess"]
        memory.undo(memory.delete(added).id)
        assert texts(elsewhere, "chess") == ["I play chess"]
        assert elsewhere.index.verify()
        memory.delete(added)
        assert texts(elsewhere, "chess") == []


def test_no_change_is_left_to_be_told(url: str, pgvector: Cluster, tmp_path: Path) -> None:
    with opened(url) as memory:
        first, second = memory.add(["I play tennis", "I like tea"], user_id="alice", infer=False)
        memory.undo(memory.update(first.memory_id, "I play chess").id)
        memory.delete(second.memory_id)
        memory.export(tmp_path / "all.jsonl", everything=True)
        memory.erase(user_id="alice")
        memory.import_(tmp_path / "all.jsonl")
        memory.index.rebuild()
        memory.index.repair()
        assert texts(memory, "tennis") == ["I play tennis"]
        assert memory.index.verify().versions == 4
    assert pgvector.execute("SELECT is_called FROM outbox_seq_seq", url) == [(False,)]


def test_a_change_whose_points_cannot_be_written_is_not_made(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        kept = memory.add("I play tennis", user_id="alice", infer=False)[0].memory_id
        pgvector.execute("ALTER TABLE points_0 ADD CONSTRAINT none CHECK (u <> 'alice') NOT VALID", url)
        for change in (
            lambda: memory.add("I like tea", user_id="alice", infer=False),
            lambda: memory.update(kept, "I play chess"),
            lambda: memory.delete(kept),
        ):
            with pytest.raises(StorageError, match="none"):
                change()
        assert [item.text for item in memory.get_all(user_id="alice")] == ["I play tennis"]
        assert texts(memory, "anything") == ["I play tennis"]
        assert memory.index.verify()
        pgvector.execute("ALTER TABLE points_0 DROP CONSTRAINT none", url)
        for job in memory.jobs.failed():
            memory.jobs.retry(job.id)
        assert memory.flush(30)
        assert sorted(texts(memory, "anything")) == ["I like tea", "I play tennis"]


def test_an_erasure_takes_the_points_with_it_and_vacuums(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        memory.add("my secret", user_id="alice", infer=False)
        memory.add("my secret", user_id="bob", infer=False)
        memory.erase(user_id="alice")
        assert pgvector.execute("SELECT u FROM points_0", url) == [("bob",)]
        assert memory.index.verify()
    vacuumed = "SELECT relname FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
    done = {name for (name,) in pgvector.execute(vacuumed, url)}
    assert {"points_0", "versions", "vectors", "messages", "changes"} <= done


# -- a new index beside the old one -------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [None, HashEmbedder(16, "other")], ids=["same embedder", "another one"])
def test_what_others_change_while_a_new_index_is_built_is_in_it(
    url: str, pgvector: Cluster, monkeypatch: pytest.MonkeyPatch, other: HashEmbedder | None
) -> None:
    monkeypatch.setattr(projection, "SLICE", 2)
    with opened(url) as memory, opened(url) as elsewhere:
        memory.add("my secret", user_id="bob", infer=False)
        ids = [memory.add(f"fact {n}", user_id="alice", infer=False)[0].memory_id for n in range(6)]

        def meanwhile(done: int, total: int) -> None:
            if not pgvector.execute("SELECT to_regclass('points_1')", url)[0][0] or done != 4:
                return
            assert pgvector.execute("SELECT count(*) FROM points_1 WHERE u = 'bob'", url) == [(1,)]
            elsewhere.update(ids[0], "fact of late")
            elsewhere.delete(ids[5])
            elsewhere.add("fact 7", user_id="alice", infer=False)
            elsewhere.erase(user_id="bob")
            assert pgvector.execute("SELECT count(*) FROM points_1 WHERE u = 'bob'", url) == [(0,)]

        memory.index.rebuild(other, progress=meanwhile)
        assert pgvector.execute("SELECT count(*) FROM points_1 WHERE u = 'bob'", url) == [(0,)]
        assert pgvector.execute("SELECT to_regclass('points_0')", url) == [(None,)]
        assert memory.index.verify()
        stale = "SELECT count(*) FROM points_1 p JOIN versions v ON v.id = p.id::text WHERE t1 <> valid_to"
        assert pgvector.execute(stale, url) == [(0,)]
        assert sorted(texts(memory, "fact")) == [
            "fact 1",
            "fact 2",
            "fact 3",
            "fact 4",
            "fact 7",
            "fact of late",
        ]
        assert texts(memory, "secret", "bob") == []
        with pytest.raises((StorageError, EmbedderMismatchError), match="open it anew"):
            elsewhere.add("fact 8", user_id="alice", infer=False)
        with pytest.raises(StorageError, match="open it anew"):
            elsewhere.search("fact", user_id="alice")
        assert memory.count(user_id="alice") == 6


def test_threads_write_while_the_index_is_built_again_and_again(url: str) -> None:
    with opened(url) as memory, ThreadPoolExecutor(4) as pool:
        adds = [pool.submit(memory.add, f"fact {n}", user_id=f"u{n % 3}", infer=False) for n in range(40)]
        while not all(add.done() for add in adds):
            memory.index.rebuild()
        assert [len(add.result()) for add in adds] == [1] * 40
        assert memory.index.verify().versions == 40


def test_a_process_that_missed_a_new_index_erases_from_it_too(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory, opened(url) as elsewhere:
        memory.add("my secret", user_id="alice", infer=False)
        memory.index.rebuild()
        for change in (elsewhere.index.repair, elsewhere.index.rebuild):
            with pytest.raises(StorageError, match="open it anew"):
                change()
        elsewhere.erase(user_id="alice")
        assert pgvector.execute("SELECT count(*) FROM points_1", url) == [(0,)]
        assert memory.index.verify()


def test_an_index_that_was_filled_by_half_is_filled_when_it_is_opened(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        memory.add([f"fact {n}" for n in range(5)], user_id="alice", infer=False)
    pgvector.execute("DELETE FROM points_0 WHERE id IN (SELECT id FROM points_0 LIMIT 3)", url)
    pgvector.execute("INSERT INTO meta VALUES ('filling', '0')", url)
    with opened(url) as memory:
        assert memory.index.verify()
    pgvector.execute("DROP TABLE points_0", url)
    with opened(url) as memory:
        assert memory.index.verify()
        assert len(texts(memory, "fact")) == 5
        pgvector.execute("DELETE FROM points_0 WHERE id IN (SELECT id FROM points_0 LIMIT 3)", url)
        assert memory.index.verify().missing == 3
        assert memory.index.repair()


def test_a_table_of_an_earlier_version_is_made_anew(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        memory.add("fact one", user_id="alice", infer=False)
    pgvector.execute("ALTER TABLE points_0 DROP COLUMN f", url)
    with opened(url) as memory:
        assert memory.index.verify()
        assert texts(memory, "fact") == ["fact one"]


def test_a_table_that_is_somebody_else_s_is_refused_and_kept(url: str, pgvector: Cluster) -> None:
    pgvector.execute("CREATE TABLE points_0 AS SELECT 7 AS id, 3 AS score", url)
    with pytest.raises(StorageError, match="points_0 that is no index of Holdfast's"):
        opened(url)
    assert pgvector.execute("SELECT * FROM points_0", url) == [(7, 3)]
    pgvector.execute("ALTER TABLE points_0 RENAME TO points_9", url)
    with opened(url) as memory:
        memory.add("fact one", user_id="alice", infer=False)
        assert memory.erase(user_id="alice").memories == 1
    assert pgvector.execute("SELECT * FROM points_9", url) == [(7, 3)]


def test_what_another_index_was_not_told_yet_is_told_to_this_one(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        memory.add("fact one", user_id="alice", infer=False)
    pgvector.execute("DELETE FROM points_0", url)
    pgvector.execute("INSERT INTO outbox (version_id, claimed_until) SELECT id, 0 FROM versions", url)
    with opened(url) as memory:
        assert memory.index.verify()
        assert texts(memory, "fact") == ["fact one"]


# -- several processes, and a server that fails -------------------------------------------------------------------


def test_processes_that_write_to_one_user_lose_nothing(url: str) -> None:
    opened(url).close()
    writers = [Child(children.adds, url, number, 8, "pgvector") for number in range(2)]
    with opened(url) as reader:
        while any(writer.poll() is None for writer in writers):
            reader.search("fact", user_id="alice")
            time.sleep(0.05)
        assert [writer.wait(120) for writer in writers] == [0, 0]
        assert reader.index.verify()
        found = set(texts(reader, "fact of writer", limit=100))
        assert {f"fact {at} of writer {number}" for at in range(8) for number in range(2)} <= found
        positions = [message.position for message in reader.messages(user_id="alice")]
        assert sorted(positions) == list(range(1, 33))
        assert not reader.jobs.pending()


@pytest.mark.parametrize("number", range(len(IDS)))
def test_no_hostile_id_sees_its_neighbours(neighbours: Memory, number: int) -> None:
    hits = neighbours.search("my secret word", user_id=IDS[number], limit=100)
    assert [hit.memory.metadata for hit in hits] == [{"number": number}]


def test_a_server_that_goes_away_and_comes_back(url: str, pgvector: Cluster) -> None:
    with opened(url) as memory:
        memory.add("I play tennis", user_id="alice", infer=False)
        pgvector.shut_down()
        try:
            for call in (
                lambda: memory.search("tennis", user_id="alice"),
                lambda: memory.add("I like tea", user_id="alice", infer=False),
                lambda: asyncio.run(memory.asearch("tennis", user_id="alice")),
            ):
                with pytest.raises(StorageError, match="the ledger failed"):
                    call()
        finally:
            pgvector.start()
        assert texts(memory, "tennis") == ["I play tennis"]
        memory.add("I like tea", user_id="alice", infer=False)
        assert sorted(texts(memory, "anything")) == ["I like tea", "I play tennis"]
        assert memory.index.verify()


def test_more_callers_than_connections_wait_their_turn(url: str) -> None:
    with opened(url) as memory:
        memory.add("I play tennis", user_id="alice", infer=False)
        with ThreadPoolExecutor(100) as pool:
            found = list(pool.map(lambda _: texts(memory, "tennis"), range(300)))
        assert found == [["I play tennis"]] * 300

        async def at_once() -> list[Any]:
            return await asyncio.gather(*(memory.asearch("tennis", user_id="alice") for _ in range(300)))

        assert [len(hits) for hits in asyncio.run(at_once())] == [1] * 300


def test_where_the_server_has_no_connection_left_nothing_is_answered_that_was_not_kept(
    url: str, pgvector: Cluster
) -> None:
    pgvector.execute(
        "DO $$ BEGIN CREATE ROLE few LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    opened(url).close()
    with opened(url.replace("holdfast@", "few@")) as memory:
        pgvector.execute("ALTER ROLE few NOSUPERUSER CONNECTION LIMIT 2")
        pgvector.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO few", url)
        pgvector.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few", url)

        refused: list[str] = []

        def add(number: int) -> str | None:
            try:
                return memory.add(f"fact {number}", user_id=f"u{number}", infer=False)[0].text
            except StorageError as error:
                refused.append(str(error))
                return None

        with ThreadPoolExecutor(8) as pool:
            answered = {text for text in pool.map(add, range(24)) if text}
    assert all("too many connections" in error for error in refused)
    with opened(url) as memory:
        assert memory.flush(60)
        kept = {item.text for n in range(24) for item in memory.get_all(user_id=f"u{n}")}
        assert answered <= kept
        assert memory.index.verify()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_statement_that_takes_too_long_is_a_clear_error(url: str, pgvector: Cluster, face: str) -> None:
    with opened(f"{url}?options=-cstatement_timeout%3D300") as memory:
        memory.add("I play tennis", user_id="alice", infer=False)
        with psycopg.connect(url) as locking:
            locking.execute("LOCK TABLE points_0 IN ACCESS EXCLUSIVE MODE")
            for call, twin in (
                (
                    lambda: memory.search("tennis", user_id="alice"),
                    lambda: memory.asearch("tennis", user_id="alice"),
                ),
                (
                    lambda: memory.add("I like tea", user_id="alice", infer=False),
                    lambda: memory.aadd("I like tea", user_id="alice", infer=False),
                ),
            ):
                with pytest.raises(StorageError, match="statement timeout"):
                    call() if face == "sync" else asyncio.run(twin())
        for job in memory.jobs.failed():
            memory.jobs.retry(job.id)
        assert memory.flush(60)
        assert sorted(texts(memory, "anything")) == ["I like tea", "I play tennis"]
        assert memory.index.verify()
