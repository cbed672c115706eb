"""One ledger copied into another: every row as it is, with its id, its dates and its place in the order of writing.

A pass compares all of both ledgers and mends what differs, so a copy that was cut short goes on where it stopped, and
a pass that finds nothing to mend is the proof that the two are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, delete, func, insert, select, tuple_

from ...errors import InputError
from .database import Database
from .document_tables import document_texts, documents
from .erasure import ERASING
from .ids import new_id
from .schema import changes, edits, evidence, jobs, messages, meta, scopes, vectors, versions

COPYING = "copying"  # a setting: the ledger holds a part of another one, and nobody may open it
CHUNK = 500  # rows per transaction, and per statement: databases limit their parameters
TABLES = (scopes, jobs, messages, edits, versions, vectors, changes, evidence, documents, document_texts)
# Settings about a ledger itself and its index, which are not copied.
_OWN = ("schema_version", "generation", "form", "filling", "retired", COPYING, "embedder", "dimensions")

Progress = Callable[[int, int], None]
Values = dict[str, Any]


class Copying:
    """A copy of `source` into `target`, which will have this embedder.

    written: the rows that were written or removed in the target.
    """

    def __init__(self, source: Database, target: Database, embedder: str) -> None:
        self._source = source
        self._target = target
        self._embedder = embedder
        self._removed = False
        self.written = 0

    def begin(self) -> None:
        """Mark an empty target as a part of a copy. One that holds something is only compared."""
        with self._target.writing() as db:
            if all(db.execute(select(*table.primary_key).limit(1)).first() is None for table in TABLES):
                _set(db, {COPYING: "1"})

    @property
    def unfinished(self) -> bool:
        """Whether the target is marked."""
        return is_copying(self._target)

    def compare(self, progress: Progress) -> dict[str, int]:
        """One pass over one snapshot of the source. Returns how many rows of each table it has.

        Raises InputError at the first difference where the target is not marked.
        """
        mend = self.unfinished
        with self._source.reading() as source:
            queries = {table: select(table) for table in TABLES}
            if _setting(source, "embedder") == self._embedder:
                queries[vectors] = select(vectors).where(vectors.c.embedder == self._embedder)
            else:
                del queries[vectors]  # the texts are embedded anew
            counts = {table: _count(source, query) for table, query in queries.items()}
            steps = _Steps(progress, 2 * sum(counts.values()))
            for table, query in queries.items():
                self._take_out(source, query, table, mend, steps)
                self._put_in(source, query, table, counts[table], mend, steps)
        return {table.name: count for table, count in counts.items()}

    def finish(self, embedder: str, dimensions: int) -> None:
        """Take the mark away: from now on it is a store, whose index has to be filled."""
        with self._source.reading() as db:
            kept = select(meta.c.key, meta.c.value).where(meta.c.key.not_in(_OWN))
            settings: dict[str, str | None] = {row.key: row.value for row in db.execute(kept)}
        if self._removed:
            settings[ERASING] = new_id()  # so that no bytes are left of what the source has erased since
        settings |= {"embedder": embedder, "dimensions": str(dimensions), "filling": "0", COPYING: None}
        with self._target.writing() as db:
            if not self._target.sqlite:
                for table in TABLES:
                    _number_on(db, table)
            _set(db, settings)

    def _take_out(
        self, source: Connection, query: Select[Any], table: Table, mend: bool, steps: _Steps
    ) -> None:
        """What the source has otherwise, or not any more."""
        with self._target.reading() as db:
            for rows in _chunks(db, query):
                known = {key_of(table, row): row for row in _fetched(source, table, rows)}
                gone = [row for row in rows if known.get(key_of(table, row)) != row]
                if gone:
                    _expect(mend, table)
                    with self._target.writing() as writing:
                        writing.execute(delete(table).where(_among(table, gone)))
                    self.written += len(gone)
                    self._removed = True
                steps.more(len(rows))

    def _put_in(
        self, source: Connection, query: Select[Any], table: Table, count: int, mend: bool, steps: _Steps
    ) -> None:
        """What the target lacks: all that it has is the source's."""
        with self._target.reading() as db:
            complete = _count(db, query) == count
        if complete:
            steps.more(count)
            return
        _expect(mend, table)
        for rows in _chunks(source, query.order_by(*table.primary_key)):
            with self._target.writing(growing=True) as db:
                there = {key_of(table, row) for row in _fetched(db, table, rows)}
                fresh = [row for row in rows if key_of(table, row) not in there]
                if fresh:
                    db.execute(insert(table), fresh)
            self.written += len(fresh)
            steps.more(len(rows))


class _Steps:
    """Counts rows for a caller's `progress`."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def more(self, rows: int) -> None:
        self._done += rows
        self._progress(self._done, max(self._done, self._total))


def is_copying(database: Database) -> bool:
    """Whether the ledger holds a part of another one only."""
    with database.reading() as db:
        return _setting(db, COPYING) is not None


def _setting(db: Connection, key: str) -> str | None:
    return db.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


def _set(db: Connection, settings: dict[str, str | None]) -> None:
    db.execute(delete(meta).where(meta.c.key.in_(list(settings))))
    kept = [{"key": key, "value": value} for key, value in settings.items() if value is not None]
    if kept:
        db.execute(insert(meta), kept)


def _expect(mend: bool, table: Table) -> None:
    if not mend:
        raise InputError(
            f"another store is there already, or this one has changed since it was copied (its {table.name} differ); "
            "nothing was changed. Copy to an empty place, or add to what is there by export and import"
        )


def _chunks(db: Connection, query: Select[Any]) -> Iterator[list[Values]]:
    found = db.execute(query, execution_options={"yield_per": CHUNK})
    for some in found.partitions():
        yield [at_rest(row) for row in some]


def _fetched(db: Connection, table: Table, rows: Sequence[Values]) -> list[Values]:
    """The rows with the keys of these."""
    return [at_rest(row) for row in db.execute(select(table).where(_among(table, rows)))]


def at_rest(row: Row[Any]) -> Values:
    """A row as it is where nobody works on it: the worker of a running job is elsewhere."""
    found = dict(row._mapping)
    if "lease_owner" in found:
        found |= {"lease_owner": None, "lease_until": None}
        found["state"] = "pending" if found["state"] == "running" else found["state"]
    return found


def key_of(table: Table, row: Values) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key)


def _among(table: Table, rows: Sequence[Values]) -> ColumnElement[bool]:
    columns = list(table.primary_key)
    if len(columns) == 1:
        return columns[0].in_([row[columns[0].name] for row in rows])
    return tuple_(*columns).in_([key_of(table, row) for row in rows])


def _count(db: Connection, query: Select[Any]) -> int:
    return db.execute(select(func.count()).select_from(query.subquery())).scalar_one()


def _number_on(db: Connection, table: Table) -> None:
    """PostgreSQL: the next row comes after the last one that was copied."""
    column = table.autoincrement_column
    if column is not None:
        last = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
        db.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), last, False)))
