"""Statements that every search asks.

Building and compiling one takes SQLAlchemy several times as long as SQLite takes to answer it. So on SQLite they are
compiled once, and go to the driver as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Select

CHUNK = 500  # ids per statement: databases limit their parameters


class Prepared:
    """A SELECT with one parameter, a list called `ids`."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._texts: dict[int, str] = {}  # by the number of ids

    def rows(self, db: Connection, ids: Sequence[str]) -> list[Sequence[Any]]:
        """As the driver gives them: JSON may be text still (`decoded`)."""
        found: list[Sequence[Any]] = []
        for start in range(0, len(ids), CHUNK):
            found += self._some(db, ids[start : start + CHUNK])
        return found

    def _some(self, db: Connection, ids: Sequence[str]) -> Sequence[Sequence[Any]]:
        if db.dialect.name != "sqlite":
            return db.execute(self._statement, {"ids": ids}).all()
        text = self._texts.get(len(ids))
        if text is None:
            text = self._texts[len(ids)] = self._compiled(db.dialect, ids)
        cursor = db.connection.cursor()
        try:
            cursor.execute(text, ids)
            return cursor.fetchall()
        finally:
            cursor.close()

    def _compiled(self, dialect: Dialect, ids: Sequence[str]) -> str:
        statement = self._statement.params(ids=ids)
        return str(statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))


def decoded(value: Any) -> Any:
    """The objects and lists that a JSON column holds."""
    return json.loads(value) if isinstance(value, str) else value
