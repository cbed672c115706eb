"""One PostgreSQL and nothing else: the index in the ledger's database, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from holdfast import Memory
from holdfast.decisions.text.lexical import query_vector, terms, vector_of_terms
from holdfast.errors import InputError, StorageError
from holdfast.io import Inline, run_inline
from holdfast.storage.index import IndexQuery, Point
from holdfast.storage.index.pgvector import PgvectorIndex
from holdfast.storage.ledger.database import Database
from holdfast.types import Scope
from tests.support.fakes import HashEmbedder
from tests.support.points import point
from tests.support.postgres import Cluster

pytestmark = pytest.mark.postgres


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
