"""Numbered steps that bring an older ledger forward. A newer one is refused and left as it is.

A new store is made as `schema.py` describes it, which is where the last step leads. A step that has been released
is never edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Engine, inspect, select
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, ExecutableDDLElement

from ...errors import StoreVersionError
from . import document_tables  # noqa: F401 - its tables belong to the schema
from .schema import changes, edits, jobs, meta, metadata, scopes, versions
from .tally import recount


def _to_second(db: Connection) -> None:
    """Edited messages."""
    edits.create(db, checkfirst=True)


def _to_third(db: Connection) -> None:
    """Memories that expire; what each scope holds; the changes of a store in the order of time."""
    for column in (
        versions.c.expires_at,
        jobs.c.expires_at,
        scopes.c.memories,
        scopes.c.since,
        scopes.c.changed_at,
    ):
        _add_column(db, column)
    for index in (*versions.indexes, *changes.indexes):
        index.create(db, checkfirst=True)
    recount(db)


def _add_column(db: Connection, column: Column[Any]) -> None:
    table = column.table.name
    if all(known["name"] != column.name for known in inspect(db).get_columns(table)):
        made = CreateColumn(column).compile(dialect=db.dialect)
        db.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {made}")


STEPS: tuple[Callable[[Connection], None], ...] = (_to_second, _to_third)
NEWEST = 1 + len(STEPS)


def migrate(engine: Engine) -> None:
    """Bring the database to `NEWEST` in one transaction."""
    with engine.connect().execution_options(holdfast_begin="BEGIN IMMEDIATE") as db, db.begin():
        if db.dialect.name == "postgresql":
            # Several processes may open a new store at once.
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(7268453912)")
        found = _version(db)
        if found > NEWEST:
            raise StoreVersionError(
                f"this store has schema version {found}, this Holdfast knows versions up to {NEWEST}: "
                "upgrade the package; nothing was changed"
            )
        if found == 0:
            for statement in _schema(db.dialect):
                db.exec_driver_sql(statement)
        else:
            for step in STEPS[found - 1 :]:
                step(db)
        if found < NEWEST:
            db.execute(meta.delete().where(meta.c.key == "schema_version"))
            db.execute(meta.insert().values(key="schema_version", value=str(NEWEST)))


@lru_cache(2)
def _schema(dialect: Dialect) -> Sequence[str]:
    """The statements that make every table and its indexes, written once per process: that takes longer than
    carrying them out."""
    made: list[ExecutableDDLElement] = []
    for table in metadata.sorted_tables:
        made += [
            CreateTable(table),
            *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name))),
        ]
    return [str(statement.compile(dialect=dialect)) for statement in made]


def _version(db: Connection) -> int:
    if not inspect(db).has_table(meta.name):
        return 0
    value = db.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    return int(value or 0)
