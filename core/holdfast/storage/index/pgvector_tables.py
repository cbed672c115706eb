"""The tables of an index in PostgreSQL: one for each generation, made where the ledger's are.

near      the vector
terms     the sparse vector
present   1 for every term, by which a search counts them
f         what ranking reads, packed
the rest  the payload, by the names that `base` explains
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from ...errors import StorageError
from ..points import Point
from .payload import packed
from .pgvector_search import folded, sparse

_log = logging.getLogger("holdfast")

_IDS = ("u", "a", "r")
_TIMES = ("t0", "t1", "c", "h", "x")
_OPTIONAL = ("h", "x")
_SPARSE = ("terms", "present")
_OURS = {"id", *_IDS, "t0", "t1", "near", *_SPARSE}  # in every version so far
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

    Raises StorageError if its vectors have other dimensions, or it is somebody else's.
    """
    with database.writing() as db:
        db.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")
        columns = _columns(types, dimensions)
        found = _found(db, table)
        if found.keys() != columns.keys():
            if found and not found.keys() >= _OURS:
                raise StorageError(
                    f"there is a table {table} that is no index of Holdfast's: give Holdfast a schema of its own, "
                    "named by the search_path, or rename the table"
                )
            if found:
                _log.warning("the index in the table %s is of an earlier version", table)
                db.exec_driver_sql(f"DROP TABLE {table}")
            for statement in _made(table, columns, dimensions):
                db.exec_driver_sql(statement)
        elif found["near"] != dimensions:
            raise StorageError(
                f"the index in the table {table} has vectors of {found['near']} dimensions, not {dimensions}: "
                "rename the table, or drop it"
            )
        return bool(db.exec_driver_sql(f"SELECT NOT EXISTS (SELECT FROM {table})").scalar())


def _columns(types: str, dimensions: int) -> dict[str, str]:
    return {
        "id": "uuid",
        **dict.fromkeys(_IDS, 'text COLLATE "C"'),
        **dict.fromkeys(_TIMES, "bigint"),
        "m": "jsonb",
        "f": "text",
        **dict.fromkeys(_SPARSE, f"{types}.sparsevec"),
        "near": f"{types}.vector({dimensions})",
    }


def _found(db: Connection, table: str) -> dict[str, int]:
    """The columns of a table, with what is said of their types in brackets; none if it is not there."""
    rows = db.exec_driver_sql(
        "SELECT attname, atttypmod FROM pg_attribute "
        "WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped",
        {"table": table},
    )
    return {row[0]: row[1] for row in rows}


def _made(table: str, columns: Mapping[str, str], dimensions: int) -> list[str]:
    named = [f"{name} {kind}{'' if name in _OPTIONAL else ' NOT NULL'}" for name, kind in columns.items()]
    storage = "MAIN" if dimensions <= INLINE_DIMENSIONS else "EXTERNAL"
    return [
        f"CREATE TABLE {table} ({', '.join(named)}, PRIMARY KEY (id)) WITH (toast_tuple_target = {_WHOLE_ROW})",
        f"ALTER TABLE {table} ALTER near SET STORAGE {storage}",
        *(f"CREATE INDEX {table}_{key} ON {table} ({key}, t1) WHERE {key} <> ''" for key in ("u", "a", "r")),
    ]


def remove(database: Database, table: str) -> None:
    with database.writing() as db:
        db.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")
        db.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")


def generations(db: Connection) -> list[str]:
    """The tables of all generations, and of nobody else; none is made or removed until the transaction ends."""
    db.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_MAKING})")
    found = db.exec_driver_sql(
        "SELECT relname FROM pg_class "
        "WHERE relkind = 'r' AND relname ~ '^points_[0-9]+$' AND pg_table_is_visible(oid) "
        "AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'present')"
    )
    return sorted(found.scalars())


def upsert(db: Connection, table: str, types: str, points: Sequence[Point]) -> None:
    """One statement. The vectors are the parts of one long array, which is sent and read many times as fast."""
    if not points:
        return
    # Whoever writes several points writes them in this order, so that no two wait for each other.
    rows = [_row(point) for point in sorted(points, key=lambda point: point.id)]
    given = {name: [row[name] for row in rows] for name in rows[0]}
    dimensions = len(points[0].vector)
    kinds = {"id": "uuid", "m": "jsonb", **dict.fromkeys(_TIMES, "bigint")}
    unnested = ", ".join(f"%({name})s::{kinds.get(name, 'text')}[]" for name in given if name != "near")
    values = {name: f"{name}::{types}.sparsevec" if name in _SPARSE else name for name in given}
    values["near"] = f"(%(near)s::real[])[(n - 1) * {dimensions} + 1 : n * {dimensions}]::{types}.vector"
    db.exec_driver_sql(
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
        f"FROM unnest({unnested}) WITH ORDINALITY AS given ({', '.join(n for n in given if n != 'near')}, n) "
        f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in given if n != 'id')}",
        {**given, "near": np.concatenate(given["near"])},
    )


def delete(db: Connection, table: str, ids: Sequence[str]) -> None:
    if ids:
        db.exec_driver_sql(f"DELETE FROM {table} WHERE id = ANY(%(ids)s::uuid[])", {"ids": list(ids)})


def _row(point: Point) -> dict[str, Any]:
    terms = folded(point.sparse)
    return {
        "id": point.id,
        **{name: point.payload.get(name) for name in (*_IDS, *_TIMES)},
        "m": json.dumps(point.payload.get("m") or {}, ensure_ascii=False, allow_nan=False),
        "f": packed(point.payload),
        "terms": sparse(terms),
        "present": sparse(dict.fromkeys(terms, 1)),
        "near": point.vector,
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
