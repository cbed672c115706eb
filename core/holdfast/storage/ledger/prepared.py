"""Statements that every search and every add sends.

To build one takes SQLAlchemy several times as long as SQLite takes to answer it, so they are built once, where a
module is loaded. Those of a search go to SQLite's driver as text, without what SQLAlchemy does for each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam

from ...types import Scope
from .dialects import SQLite

SCOPE = ("user_id", "agent_id", "run_id")
_SQLITE = SQLite()
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


def decoded(value: Any) -> Any:
    """The objects and lists that a JSON column holds."""
    if value == "[]":  # most speakers
        return []
    if value == "{}":  # most metadata
        return {}
    return json.loads(value) if isinstance(value, str) else value
