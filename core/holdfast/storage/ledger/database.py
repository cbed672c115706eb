"""The database behind the ledger: connections, transactions, and the translation of its errors."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from ...errors import InputError, StorageError
from ...types import Scope
from ..places import ROOM_TO_STORE, expect_room
from . import dialects, migrations
from .prepared import encoded, of_scope, scope_bound
from .schema import metadata, scopes

CACHE_MB = (
    32  # at most, per connection; SQLite's own 2 MB do not hold the upper pages of a large file's indexes
)
_WHOLE = "what it was about to store is stored as a whole or not at all"
BUSY_SECONDS = 30  # how long SQLite waits for a reader of another program (a backup, say) before it gives up


class Database:
    """SQLite in the file of a path, SQLite in memory (`sqlite://`), or PostgreSQL by URL.

    A path is never read as a URL, in which `?`, `%` and `#` mean something. Raises InputError for an invalid URL.

    `reading()` gives a consistent snapshot; `writing()` one transaction, which commits as a whole or not at all.
    """

    def __init__(self, place: str | Path) -> None:
        url = _url(place)
        self._folder = None if not isinstance(place, Path) else place.parent
        self.sqlite = url.get_backend_name() == "sqlite"
        self.written = 0  # transactions of this process that may have changed something
        self._shared = self.sqlite and url.database in (None, "", ":memory:")
        self._engine = _sqlite(url, self._shared) if self.sqlite else _server(url)
        # SQLite has one writer at a time; queueing here is fair, and never ends in "database is locked".
        self._writer = threading.RLock() if self.sqlite else nullcontext()
        self._reader = self._writer if self._shared else nullcontext()
        try:
            with self._translated():
                migrations.migrate(self._engine)
        except BaseException:
            self._engine.dispose()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._translated(), self._reader, self._engine.connect() as connection:
            if not self.sqlite:  # by default every statement sees its own state
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection | sqlite3.Connection]:
        """As `reading`, for what is `Prepared`: SQLite's own connection. What SQLAlchemy does around one takes longer
        than to find a few rows."""
        if not self.sqlite:
            with self.reading() as db:
                yield db
            return
        with self._translated(), self._reader:
            pooled = self._engine.raw_connection()
            try:
                driver = cast("sqlite3.Connection", pooled.driver_connection)
                driver.execute("BEGIN")
                yield driver
            finally:
                pooled.close()  # and with it the transaction

    @contextmanager
    def writing(self, *, growing: bool = False) -> Iterator[Connection]:
        """growing: it stores something new, for which the disk must have room."""
        if growing and self._folder is not None:
            expect_room(self._folder, ROOM_TO_STORE, "storing")
        with self._translated(), self._writer, self._engine.connect() as connection:
            if self.sqlite:
                connection = connection.execution_options(holdfast_begin="BEGIN IMMEDIATE")
            try:
                with connection.begin():
                    yield connection
            finally:
                self.written += 1

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """Statements that each see a state of their own: a server has no transaction to begin and to end."""
        if self.sqlite:
            with self.reading() as db:
                yield db
            return
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def compact(self) -> None:
        """Rewrite the file without the bytes of deleted rows, and empty the write-ahead log. On a server: have what
        deleted rows took written over."""
        if not self.sqlite:
            with self.statement() as db:
                db.exec_driver_sql(f"VACUUM {', '.join(metadata.tables)}")
            return
        with self._translated(), self._writer, self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            try:
                raw.execute("VACUUM")
                busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                raise StorageError(f"the ledger's file could not be rewritten: {error}; try again") from error
            if busy:
                raise StorageError(
                    "another program reads the ledger's file, which keeps old bytes in its write-ahead log; "
                    "end it and erase again"
                )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StorageError(f"the ledger failed: {error.orig}; {_WHOLE}") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StorageError(f"the ledger failed: {error}; {_WHOLE}") from error


def _url(place: str | Path) -> URL:
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(place)
    except ArgumentError as error:  # not shown: it may hold a password
        raise InputError(
            "ledger=... is not a URL of a database, such as 'postgresql://user@host/name'"
        ) from error
    if url.get_backend_name() not in ("postgresql", "postgres", "sqlite"):
        raise InputError(
            f"ledger='{url.drivername}://...' is no URL of a database that can be a ledger: pass 'postgresql://...'"
        )
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _sqlite(url: URL, shared: bool) -> Engine:
    pool: dict[str, Any] = (
        {"poolclass": StaticPool} if shared else {"poolclass": QueuePool, "pool_size": 8, "max_overflow": 120}
    )
    arguments = {"check_same_thread": False, "timeout": BUSY_SECONDS}
    engine = _engine(url, connect_args=arguments, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = (
            None  # transactions begin where SQLAlchemy says, not where sqlite3 guesses
        )
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a journaled message survives a power cut if the disk is honest
            "foreign_keys=ON",
            "secure_delete=ON",  # erased text leaves no bytes in freed pages
            f"cache_size={-1024 * CACHE_MB}",
            f"busy_timeout={BUSY_SECONDS * 1000}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Not as a statement of SQLAlchemy's, which takes ten times as long.
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        driver.execute(connection.get_execution_options().get("holdfast_begin", "BEGIN"))

    return engine


def _server(url: URL) -> Engine:
    arguments: dict[str, Any] = {}
    ours = url.get_driver_name() == "psycopg"
    if ours:
        arguments["prepare_threshold"] = _threshold(url.query.get("prepare_threshold", "none"))
        url = url.difference_update_query(["prepare_threshold"])
    try:
        engine = _engine(url, connect_args=arguments, pool_size=16, max_overflow=64, pool_pre_ping=not ours)
        if ours:
            from .float_arrays import register

            event.listen(engine, "connect", register)
            event.listen(engine, "checkout", _expect_open)
        return engine
    except ModuleNotFoundError as error:
        raise StorageError(
            f"the ledger's driver is not installed ({error}); pip install 'holdfast[postgres]'"
        ) from error


def _expect_open(connection: Any, *_: Any) -> None:
    """Have the pool replace a connection that the server has closed: there is something to read where nothing was
    asked. Asking would take a round trip each time."""
    with DefaultSelector() as selector:
        selector.register(connection.fileno(), EVENT_READ)
        if selector.select(0):
            raise DisconnectionError


def _engine(url: URL, **options: Any) -> Engine:
    return create_engine(
        dialects.shared(url), json_serializer=encoded, execution_options=dialects.SHARING, **options
    )


def _threshold(value: str | tuple[str, ...]) -> int | None:
    """After how many uses psycopg prepares a statement; by default never. A prepared statement belongs to a
    connection, and PgBouncer in transaction mode gives each transaction any of them."""
    if value == "none":
        return None
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,9}", value):
        raise InputError(f"ledger=...?prepare_threshold={value!r}: pass a whole number, or none for never")
    return int(value)


_LOCKED = select(scopes).where(*of_scope(scopes)).with_for_update()


def lock_scope(db: Connection, scope: Scope) -> Any:
    """The row of an exact scope, made if it is missing, locked until the transaction ends."""
    row = db.execute(_LOCKED, scope_bound(scope)).one_or_none()
    if row is None:
        insert = insert_for(db)
        db.execute(
            insert(scopes)
            .values(**scope_key(scope), revision=0, position=0, episode=0, last_said=0, last_session="")
            .on_conflict_do_nothing()
        )
        row = db.execute(_LOCKED, scope_bound(scope)).one()
    return row


def insert_for(db: Connection) -> Any:
    """The database's own `insert`, which knows `ON CONFLICT`."""
    if db.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


def scope_key(scope: Scope) -> dict[str, str]:
    """The exact scope as column values."""
    return {"user_id": scope.user_id or "", "agent_id": scope.agent_id or "", "run_id": scope.run_id or ""}


def exactly(table: Any, scope: Scope) -> list[Any]:
    """Conditions: the ids are these, and no others."""
    return [
        table.c.user_id == (scope.user_id or ""),
        table.c.agent_id == (scope.agent_id or ""),
        table.c.run_id == (scope.run_id or ""),
    ]


def in_scope(table: Any, scope: Scope) -> list[Any]:
    """Conditions: every id that is given matches."""
    return [table.c[name] == value for name, value in scope.ids().items()]
