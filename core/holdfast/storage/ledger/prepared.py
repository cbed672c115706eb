"""Statements that every search and every add sends.

To build one takes SQLAlchemy several times as long as SQLite takes to answer it, so they are built once, where a
module is loaded. Those of a search go to SQLite's driver as text, without what SQLAlchemy does for each, and rows go
there as they are, without what it does for each value.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import JSON, ColumnElement, Connection, Select, Table, bindparam, insert

from ...types import Scope
from .dialects import SQLite

SCOPE = ("user_id", "agent_id", "run_id")
_SQLITE = SQLite()
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
CHUNK = 500  # ids per statement: databases limit their parameters


def of_scope(table: Table) -> list[ColumnElement[bool]]:
    """Conditions: the ids are those of `scope_bound`, and no others."""
    return [table.c[name] == bindparam(f"of_{name}") for name in SCOPE]


def scope_bound(scope: Scope) -> dict[str, str]:
    """The parameters of `of_scope`."""
    return {f"of_{name}": getattr(scope, name) or "" for name in SCOPE}


class Prepared:
    """A SELECT with one parameter, a list called `ids`."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._texts: dict[int, str] = {}  # by the number of ids

    def rows(self, db: Connection | sqlite3.Connection, ids: Sequence[str]) -> list[Sequence[Any]]:
        """As the driver gives them: JSON may be text still (`decoded`)."""
        found: list[Sequence[Any]] = []
        for start in range(0, len(ids), CHUNK):
            found += self._some(db, ids[start : start + CHUNK])
        return found

    def _some(self, db: Connection | sqlite3.Connection, ids: Sequence[str]) -> Sequence[Sequence[Any]]:
        if isinstance(db, Connection):
            if db.dialect.name != "sqlite":
                return db.execute(self._statement, {"ids": ids}).all()
            db = cast("sqlite3.Connection", db.connection.driver_connection)
        text = self._texts.get(len(ids))
        if text is None:
            text = self._texts[len(ids)] = self._compiled(ids)
        return db.execute(text, ids).fetchall()

    def _compiled(self, ids: Sequence[str]) -> str:
        statement = self._statement.params(ids=ids)
        return str(statement.compile(dialect=_SQLITE, compile_kwargs={"render_postcompile": True}))


def insert_rows(db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, if there are any, which all have the same columns, two or more."""
    if not rows:
        return
    if db.dialect.name != "sqlite":
        db.execute(insert(table), rows)
        return
    statement, values = _insertion(table, tuple(rows[0]))
    db.exec_driver_sql(statement, [values(row) for row in rows])


@cache
def _insertion(table: Table, names: tuple[str, ...]) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The statement, and what takes its parameters out of a row."""
    compiled = insert(table).compile(dialect=_SQLITE, column_keys=list(names))
    assert compiled.positiontup is not None
    values = itemgetter(*compiled.positiontup)
    written = [name for name in names if isinstance(table.c[name].type, JSON)]
    if not written:
        return str(compiled), values
    return str(compiled), lambda row: values({**row, **{name: _or_null(row[name]) for name in written}})


def _or_null(value: Any) -> str | None:
    return None if value is None else encoded(value)


def encoded(value: Any) -> str:
    """Objects and lists as a JSON column holds them."""
    if value == []:
        return "[]"
    if value == {}:
        return "{}"
    return _ENCODER.encode(value)


def decoded(value: Any) -> Any:
    """The objects and lists that a JSON column holds."""
    if value == "[]":  # most speakers
        return []
    if value == "{}":  # most metadata
        return {}
    return json.loads(value) if isinstance(value, str) else value
