"""Between a ledger and PostgreSQL may stand a pooler that gives every transaction another connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast import InputError, Memory
from holdfast.storage.ledger.database import Database
from tests.support.fakes import HashEmbedder
from tests.support.postgres import Bouncer, Cluster

pytestmark = pytest.mark.postgres

USERS, EACH = 8, 12


def opened(url: str, index: str = ":memory:") -> Memory:
    return Memory(ledger=url, index=index, llm=None, embedder=HashEmbedder())


@pytest.mark.parametrize(("face", "query"), [("sync", ""), ("async", "?prepare_threshold=none")])
def test_every_add_goes_through_a_pooler_in_transaction_mode(
    postgres: Cluster, bouncer: Bouncer, face: str, query: str
) -> None:
    index = "pgvector" if postgres.vectors else ":memory:"
    with opened(bouncer.through(postgres.ledger()) + query, index) as memory:

        def adds(user: int) -> None:
            for at in range(EACH):
                memory.add(f"fact {at}", user_id=f"u{user}", infer=False)
                memory.search("fact", user_id=f"u{user}")

        async def all_of_them() -> None:
            async def aadds(user: int) -> None:
                for at in range(EACH):
                    await memory.aadd(f"fact {at}", user_id=f"u{user}", infer=False)
                    await memory.asearch("fact", user_id=f"u{user}")

            await asyncio.gather(*map(aadds, range(USERS)))

        if face == "sync":
            with ThreadPoolExecutor(USERS) as pool:
                list(pool.map(adds, range(USERS)))
        else:
            asyncio.run(all_of_them())
        for user in range(USERS):
            assert [it.text for it in memory.get_all(user_id=f"u{user}")] == [
                f"fact {at}" for at in range(EACH)
            ]
        assert memory.index.verify()
        assert memory.erase(user_id="u0").memories == EACH


@pytest.mark.parametrize(
    ("query", "used"),
    [("", None), ("?prepare_threshold=none", None), ("?prepare_threshold=0", 0), ("?prepare_threshold=5", 5)],
)
def test_statements_are_prepared_only_where_that_is_asked_for(
    postgres_url: str, query: str, used: int | None
) -> None:
    database = Database(postgres_url + query)
    try:
        with database.reading() as db:
            raw = db.connection.driver_connection
            assert raw is not None
            assert raw.prepare_threshold == used
    finally:
        database.close()


@pytest.mark.parametrize("value", ["-1", "often", "1.5"])
def test_a_threshold_that_is_no_number_is_refused(postgres_url: str, value: str) -> None:
    with pytest.raises(InputError, match="prepare_threshold"):
        opened(f"{postgres_url}?prepare_threshold={value}&connect_timeout=5")
