"""Statements that are compiled once per process.

SQLAlchemy keeps what it compiled per engine, and an engine is one ledger: a process that opens one after the other
(a folder per user, say) would compile the same fifty statements each time, which takes longer than carrying them out.
Here engines of one kind count as one, and share what they keep.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

_KEPT = 500  # as many as SQLAlchemy keeps for one engine
_compiled: LRUCache[Any, Any] = LRUCache(_KEPT)


class _Alike(DefaultDialect):
    """Equal to every other of its kind for the same version of the database."""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Alike)
            and type(self) is type(other)
            and self.server_version_info == other.server_version_info
        )

    def __hash__(self) -> int:
        return hash(type(self))


class SQLite(_Alike, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class PostgreSQL(_Alike, PGDialect_psycopg):
    supports_statement_cache = True


registry.register("sqlite.holdfast", __name__, SQLite.__name__)
registry.register("postgresql.holdfast", __name__, PostgreSQL.__name__)

_DRIVERS = {"sqlite": "sqlite+holdfast", "postgresql+psycopg": "postgresql+holdfast"}


def shared(url: URL) -> URL:
    """The URL by which `create_engine` shares what it compiled; other drivers' URLs stay as they are."""
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


SHARING = {"compiled_cache": _compiled}
"""Options of an engine's executions."""
