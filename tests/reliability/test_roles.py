"""The roles that docs/postgres.md makes: programs have what they need of the database, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Memory, StorageError
from tests.support.fakes import HashEmbedder
from tests.support.postgres import Bouncer, Cluster
from tests.support.snippets import blocks

pytestmark = pytest.mark.postgres

PAGE = Path(__file__).parents[2] / "docs" / "postgres.md"


def test_a_program_needs_only_to_read_and_write(pgvector: Cluster, bouncer: Bouncer) -> None:
    url = pgvector.database()
    [setting_up] = blocks(PAGE, "sql")
    pgvector.execute(setting_up.text.replace("DATABASE app ", f"DATABASE {url.rpartition('/')[2]} "), url)
    owner, program = (url.replace("holdfast@", f"{role}@") for role in ("holdfast_owner", "holdfast_app"))

    def opened(place: str) -> Memory:
        return Memory(ledger=place, index="pgvector", llm=None, embedder=HashEmbedder())

    try:
        with pytest.raises(StorageError, match="permission denied"):
            opened(program)
        opened(owner).close()
        for place in (program, bouncer.through(program)):
            with opened(place) as memory:
                [added] = memory.add("I live in Lisbon", user_id="alice", infer=False)
                memory.update(added.memory_id, "I live in Porto")
                assert memory.search("Porto", user_id="alice")[0].text == "I live in Porto"
                assert memory.index.verify()
                assert memory.erase(user_id="alice").memories == 1
        with opened(program) as memory:
            memory.add("I live in Lisbon", user_id="alice", infer=False)
            with pytest.raises(StorageError, match="permission denied"):
                memory.index.rebuild()
            assert memory.search("Lisbon", user_id="alice")
        with opened(owner) as memory:
            assert memory.index.rebuild() == 1
        assert pgvector.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url) == []
    finally:
        pgvector.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')
        pgvector.execute("DROP ROLE holdfast_owner, holdfast_app")
