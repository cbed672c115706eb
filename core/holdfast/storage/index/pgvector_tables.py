"""The tables of an index in PostgreSQL: one for each generation, made where the ledger's are.

near      the vector
terms     the sparse vector
present   1 for every term, by which a search counts them
the rest  the payload, by the names that `base` explains
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ...errors import StorageError
from ..points import Point
from .pgvector_search import dense, folded, sparse

_COLUMNS = (
    "id uuid PRIMARY KEY",
    *(f'{name} text COLLATE "C" NOT NULL' for name in ("u", "a", "r")),
    *(f"{name} bigint NOT NULL" for name in ("t0", "t1", "c")),
    *(f"{name} bigint" for name in ("h", "x", "e", "p", "w")),
    "s text[] NOT NULL",
    "m jsonb NOT NULL",
)
_PAYLOAD = ("u", "a", "r", "t0", "t1", "c", "h", "x", "e", "p", "w", "s", "m")
_WHOLE_ROW = 8_160  # bytes; PostgreSQL otherwise moves what takes a row over 2,000 to another file
INLINE_DIMENSIONS = 1_800  # a vector of more does not fit on a page
_MAKING = 7268453914  # the lock that whoever makes tables holds


class Connection(Protocol):
    def exec_driver_sql(self, statement: str, parameters: Any = None) -> Any: ...


class Database(Protocol):
    """The ledger's, as much of it as an index needs."""

    def writing(self) -> AbstractContextManager[Connection]: ...

    def statement(self) -> AbstractContextManager[Connection]: ...


def table_of(generation: str) -> str:
    return f"points_{generation}"


def types_of(database: Database) -> str:
    """The schema of the types of pgvector, quoted. The extension is made if it is missing and may be made.

    Raises StorageError if it may not, or is too old.
    """
    found = _extension(database)
    if found is None:
        try:
            with database.writing() as db:
                db.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except StorageError as error:
            raise StorageError(
                "index='pgvector' needs the extension pgvector in the ledger's database, and it could not be made "
                f"({_cause(error)}). Have an administrator install pgvector 0.7 or newer on the server, and run "
                "CREATE EXTENSION vector in that database"
            ) from error
        found = _extension(database)
        assert found is not None
    schema, version = found
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 7):
        raise StorageError(
            f"index='pgvector' needs pgvector 0.7 or newer, and this database has {version}: "
            "have an administrator run ALTER EXTENSION vector UPDATE"
        )
    return schema


def make(database: Database, table: str, types: str, dimensions: int) -> bool:
    """Make a table unless it is there. Returns whether it is empty.

    Raises StorageError if its vectors have other dimensions.
    """
    with database.writing() as db:
        db.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")
        if db.exec_driver_sql("SELECT to_regclass(%(table)s)", {"table": table}).scalar() is None:
            for statement in _made(table, types, dimensions):
                db.exec_driver_sql(statement)
        found = db.exec_driver_sql(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attname = 'near'",
            {"table": table},
        ).scalar()
        if found != dimensions:
            raise StorageError(
                f"the index in the table {table} has vectors of {found} dimensions, not {dimensions}: "
                "rename the table, or drop it"
            )
        return bool(db.exec_driver_sql(f"SELECT NOT EXISTS (SELECT FROM {table})").scalar())


def _made(table: str, types: str, dimensions: int) -> list[str]:
    vectors = (
        f"near {types}.vector({dimensions}) NOT NULL",
        f"terms {types}.sparsevec NOT NULL",
        f"present {types}.sparsevec NOT NULL",
    )
    storage = "MAIN" if dimensions <= INLINE_DIMENSIONS else "EXTERNAL"
    return [
        f"CREATE TABLE {table} ({', '.join((*_COLUMNS, *vectors))}) WITH (toast_tuple_target = {_WHOLE_ROW})",
        f"ALTER TABLE {table} ALTER near SET STORAGE {storage}",
        *(f"CREATE INDEX {table}_{key} ON {table} ({key}, t1) WHERE {key} <> ''" for key in ("u", "a", "r")),
    ]


def remove(database: Database, table: str) -> None:
    with database.writing() as db:
        db.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")
        db.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")


def generations(db: Connection) -> list[str]:
    """The tables of all generations; none is made or removed until the transaction ends."""
    db.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_MAKING})")
    found = db.exec_driver_sql(
        "SELECT relname FROM pg_class "
        "WHERE relkind = 'r' AND relname ~ '^points_[0-9]+$' AND pg_table_is_visible(oid)"
    )
    return sorted(found.scalars())


def upsert(db: Connection, table: str, types: str, points: Sequence[Point]) -> None:
    """Whoever writes several points writes them in the same order, so that nobody waits for each other."""
    if not points:
        return
    names = ("id", *_PAYLOAD, "near", "terms", "present")
    values = {name: f"%({name})s" for name in names}
    values |= {"id": "%(id)s::uuid", "m": "%(m)s::jsonb", "near": f"%(near)s::{types}.vector"}
    values |= {name: f"%({name})s::{types}.sparsevec" for name in ("terms", "present")}
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    db.exec_driver_sql(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values.values())}) "
        f"ON CONFLICT (id) DO UPDATE SET {replaced}",
        [_row(point) for point in sorted(points, key=lambda point: point.id)],
    )


def delete(db: Connection, table: str, ids: Sequence[str]) -> None:
    if ids:
        db.exec_driver_sql(f"DELETE FROM {table} WHERE id = ANY(%(ids)s::uuid[])", {"ids": list(ids)})


def _row(point: Point) -> dict[str, Any]:
    terms = folded(point.sparse)
    row = {name: point.payload.get(name) for name in _PAYLOAD}
    row |= {"s": list(row["s"] or ()), "m": json.dumps(row["m"] or {}, ensure_ascii=False, allow_nan=False)}
    return {
        "id": point.id,
        **row,
        "near": dense(point.vector),
        "terms": sparse(terms),
        "present": sparse(dict.fromkeys(terms, 1)),
    }


def _extension(database: Database) -> tuple[str, str] | None:
    with database.statement() as db:
        found = db.exec_driver_sql(
            "SELECT quote_ident(nspname), extversion FROM pg_extension "
            "JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
        ).first()
    return None if found is None else (found[0], found[1])


def _cause(error: StorageError) -> object:
    return getattr(error.__cause__, "orig", error)
