"""The index in the ledger's own PostgreSQL, on its extension pgvector.

A search reads the points of its scope once, by an index on the scope's ids, and compares all of them: its time grows
with the scope and not with the store. Everything blocks, so it runs in a thread in the async face.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from ...decisions.retrieval.candidates import Candidates
from ...errors import ClosedError, StorageError, StoreLockedError
from ...io import IO
from ..points import Point
from . import pgvector_tables as tables
from .base import IndexQuery
from .pgvector_search import candidates, search

SLICE = 256  # points per transaction

_GONE = "42P01"  # PostgreSQL's code for a table that is not there


class PgvectorIndex:
    """An `Index` in a table. Make it with `open`."""

    def __init__(self, database: tables.Database, table: str, types: str) -> None:
        self._database: tables.Database | None = database
        self._table = table
        self._types = types
        self._process = os.getpid()

    @classmethod
    def open(cls, database: tables.Database, dimensions: int, *, generation: str = "0") -> tuple[Self, bool]:
        """The index of that generation, and whether it is empty and has to be filled.

        Raises StorageError without pgvector, or if the table has other dimensions.
        """
        types = tables.types_of(database)
        table = tables.table_of(generation)
        return cls(database, table, types), tables.make(database, table, types, dimensions)

    @staticmethod
    def remove(database: tables.Database, generation: str) -> None:
        """Remove a generation's table. Raises StorageError."""
        tables.remove(database, tables.table_of(generation))

    async def upsert(self, io: IO, points: Sequence[Point]) -> None:
        for start in range(0, len(points), SLICE):
            await io.run(self._upsert, points[start : start + SLICE])

    async def delete(self, io: IO, ids: Sequence[str]) -> None:
        if ids:
            await io.run(self._delete, ids)

    async def query(self, io: IO, queries: Sequence[IndexQuery]) -> list[Candidates]:
        return await io.run(self._query, queries) if queries else []

    async def count(self, io: IO) -> int:
        return await io.run(self._count)

    async def ids(self, io: IO) -> set[str]:
        return await io.run(self._ids)

    async def clear(self, io: IO) -> None:
        await io.run(self._clear)

    async def compact(self, io: IO) -> None:
        """Make the deleted points' room free for others, which write over them."""
        await io.run(self._vacuum)

    async def optimize(self, io: IO) -> bool:
        """A server does it by itself."""
        return False

    async def flush(self, io: IO) -> None:
        """A transaction that has ended is on the disk."""

    def close(self) -> None:
        """Idempotent. The database is its owner's."""
        self._database = None

    # -- in the ledger's transactions

    def write(self, db: tables.Connection, points: Sequence[Point], deleted: Sequence[str]) -> None:
        """Write points, and delete others from every generation: one that another process builds has them too."""
        with self._using():
            tables.upsert(db, self._table, self._types, points)
        for table in tables.generations(db) if deleted else []:
            tables.delete(db, table, deleted)

    def held(self, db: tables.Connection) -> set[str]:
        with self._using():
            return set(db.exec_driver_sql(f"SELECT id::text FROM {self._table}").scalars())

    # -- the blocking halves

    @contextmanager
    def _using(self) -> Iterator[tables.Database]:
        if self._process != os.getpid():
            raise StoreLockedError(
                f"this index was opened by process {self._process}, of which this one is a fork: "
                "open a Memory after forking, not before"
            )
        if self._database is None:
            raise ClosedError("the index was closed")
        try:
            yield self._database
        except StorageError as error:
            if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) == _GONE:
                raise StorageError("another process has reindexed this store: open it anew") from error
            raise

    def _upsert(self, points: Sequence[Point]) -> None:
        with self._using() as database, database.writing() as db:
            tables.upsert(db, self._table, self._types, points)

    def _delete(self, ids: Sequence[str]) -> None:
        with self._using() as database, database.writing() as db:
            tables.delete(db, self._table, ids)

    def _query(self, queries: Sequence[IndexQuery]) -> list[Candidates]:
        with self._using() as database, database.statement() as db:
            return [
                candidates(db.exec_driver_sql(*search(self._table, self._types, query)).all())
                for query in queries
            ]

    def _count(self) -> int:
        with self._using() as database, database.statement() as db:
            return int(db.exec_driver_sql(f"SELECT count(*) FROM {self._table}").scalar())

    def _ids(self) -> set[str]:
        with self._using() as database, database.statement() as db:
            return self.held(db)

    def _clear(self) -> None:
        with self._using() as database, database.writing() as db:
            db.exec_driver_sql(f"TRUNCATE {self._table}")

    def _vacuum(self) -> None:
        with self._using() as database, database.statement() as db:
            for table in tables.generations(db):
                db.exec_driver_sql(f"VACUUM {table}")
