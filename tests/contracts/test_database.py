"""What any database of the ledger has to do. The implementations are listed in `implementations.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text, select, text

from holdfast.errors import StorageError, StoreVersionError
from holdfast.storage.ledger import Ledger
from holdfast.storage.ledger.database import Database, lock_scope, scope_key
from holdfast.storage.ledger.dialects import SHARING
from holdfast.storage.ledger.migrations import NEWEST
from holdfast.storage.ledger.schema import Json, meta, scopes
from holdfast.storage.store import point_of
from holdfast.storage.times import FOREVER
from holdfast.types import Scope
from tests.contracts.implementations import DATABASES, LASTING, Place

MANY = 70_000  # more than the parameters that SQLite and PostgreSQL take in one statement
ALICE = Scope("alice")
TABLE = Table(
    "kinds",
    MetaData(),
    Column("text", Text),
    Column("number", BigInteger),
    Column("json", Json),
    Column("bytes", LargeBinary),
)
NAMES = [
    "alice",
    "Alice",
    "alice ",
    "ALICE",
    "é",
    "e\u0301",
    "аlice",
    "用户",
    "🎾",
    "%",
    "'",
    "\n",
    "x" * 2_000,
]


@pytest.fixture(params=DATABASES.values(), ids=DATABASES)
def database(request: pytest.FixtureRequest, place: Place) -> Iterator[Database]:
    database = Database(request.param(place))
    yield database
    database.close()


@pytest.fixture(params=LASTING.values(), ids=LASTING)
def opens(request: pytest.FixtureRequest, place: Place) -> Callable[[], Database]:
    """Opens the same database each time."""
    where = request.param(place)

    def opened() -> Database:
        database = Database(where)
        place.closing.callback(database.close)
        return database

    return opened


def positions(database: Database, scope: Scope = ALICE) -> list[int]:
    found = select(scopes.c.position).where(*(scopes.c[k] == v for k, v in scope_key(scope).items()))
    with database.reading() as db:
        return list(db.execute(found).scalars())


def raise_position(database: Database, scope: Scope = ALICE) -> None:
    with database.writing() as db:
        row = lock_scope(db, scope)
        wanted = (scopes.c[key] == value for key, value in scope_key(scope).items())
        db.execute(scopes.update().where(*wanted).values(position=row.position + 1))


@pytest.mark.parametrize("where", DATABASES.values(), ids=DATABASES)
def test_statements_are_compiled_once_for_all_databases_of_a_kind(
    where: Callable[[Place], str | Path], place: Place
) -> None:
    compiled = []
    for _ in range(3):  # the second may find a ledger that is made already
        database = Database(where(place))
        with database.writing() as db:
            lock_scope(db, ALICE)
        database.close()
        compiled.append(set(SHARING["compiled_cache"]))
    assert compiled[1]
    assert compiled[1] == compiled[2]


def test_what_was_written_is_there_for_whoever_opens_it_next(opens: Callable[[], Database]) -> None:
    first, second = opens(), opens()
    raise_position(first)
    raise_position(second)
    first.close()
    assert positions(second) == positions(opens()) == [2]


def test_a_ledger_from_the_future_is_refused(opens: Callable[[], Database]) -> None:
    version = meta.c.key == "schema_version"
    with opens().writing() as db:
        assert db.execute(select(meta.c.value).where(version)).scalar() == str(NEWEST)
        db.execute(meta.update().where(version).values(value="99"))
    with pytest.raises(StoreVersionError, match="99"):
        opens()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fails() -> None:
        with database.writing() as db:
            lock_scope(db, ALICE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert positions(database) == []
    raise_position(database)
    assert positions(database) == [1]


@pytest.mark.parametrize(
    "statements",
    [
        [text("SELECT * FROM nowhere")],
        [meta.insert().values(key="twice", value=value) for value in ("1", "2")],
        [meta.insert().values(key="nothing", value=None)],
    ],
    ids=["no such table", "the same key twice", "a value that has to be there"],
)
def test_what_the_database_refuses_is_a_storage_error(database: Database, statements: list[Any]) -> None:
    def refused() -> None:
        with database.writing() as db:
            lock_scope(db, ALICE)
            for statement in statements:
                db.execute(statement)

    with pytest.raises(StorageError, match="the ledger failed") as caught:
        refused()
    assert caught.value.__cause__ is not None
    assert positions(database) == []


def test_names_are_compared_character_by_character(database: Database) -> None:
    for name in NAMES:
        raise_position(database, Scope(name))
    assert [positions(database, Scope(name)) for name in NAMES] == [[1]] * len(NAMES)
    with database.reading() as db:
        found = db.execute(select(scopes.c.user_id)).scalars()
        assert sorted(found) == sorted(NAMES)


def test_what_is_stored_comes_back_as_it_was(database: Database) -> None:
    values: list[Any] = [
        None,
        True,
        0,
        -1.5,
        2**53 - 1,
        FOREVER,
        "",
        "\n",
        "网球 🎾 '\"\\",
        [],
        {"é": [None, {}]},
    ]
    rows = [
        {"text": str(value), "number": FOREVER - at, "json": [value], "bytes": bytes(range(256)) * at}
        for at, value in enumerate(values)
    ]
    with database.writing() as db:
        TABLE.create(db)
        db.execute(TABLE.insert(), rows)
    with database.reading() as db:
        assert [
            dict(row) for row in db.execute(select(TABLE).order_by(TABLE.c.number.desc())).mappings()
        ] == rows


def test_writers_of_one_scope_follow_one_another(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: raise_position(database, Scope(f"user {at % 3}")), range(48)))
    assert [positions(database, Scope(f"user {at}")) for at in range(3)] == [[16]] * 3


def test_a_reader_sees_one_state_throughout(database: Database) -> None:
    raise_position(database)
    query = select(scopes.c.position)
    with ThreadPoolExecutor(1) as pool, database.reading() as db:
        before = db.execute(query).scalars().all()
        begun = threading.Event()

        def writes() -> None:
            begun.set()
            raise_position(database)

        writing = pool.submit(writes)
        begun.wait()
        for _ in range(20):
            assert db.execute(query).scalars().all() == before == [1]
        db.close()
    writing.result()
    assert positions(database) == [2]


@pytest.fixture(params=DATABASES.values(), ids=DATABASES)
def ledger(request: pytest.FixtureRequest, place: Place) -> Iterator[Ledger]:
    ledger = Ledger(Database(request.param(place)), embedder="test", point_of=point_of)
    yield ledger
    ledger.close()


def test_lists_of_ids_may_be_longer_than_a_statement_may_be(ledger: Ledger) -> None:
    names = [f"nobody {at}" for at in range(MANY)]
    assert ledger.journal.by_ids(names) == {}
    assert ledger.memories.by_version(names) == {}
    assert ledger.memories.undone(names) == set()
