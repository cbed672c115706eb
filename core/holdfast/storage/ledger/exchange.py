"""Rows of the ledger going out to other stores and coming in from them, as plain JSON objects.

A row's object has the columns of its table except `seq`, which follows from their order. Absent scope and session
ids are null, times are ISO 8601, a current version's `valid_to` is null. A change carries its evidence. An
imported version's `ordinal` may be null; the time of the memory's creation then decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Table, func, insert, select, update

from ...errors import InputError
from ...types import Scope
from ..times import FOREVER, from_micros, to_micros
from .database import Database, exactly, in_scope, lock_scope, scope_key
from .memories import expect_embedder, raise_revision
from .schema import changes, evidence, jobs, messages, outbox, scopes, vectors, versions
from .tally import recount

T = TypeVar("T")
Plain = dict[str, Any]
Line = tuple[int, Plain]

TABLES: Mapping[str, Table] = {"job": jobs, "message": messages, "version": versions, "change": changes}
SCOPE = ("user_id", "agent_id", "run_id")
TIMES = frozenset(
    {
        "happened_at", "created_at", "cleared_at", "retry_at", "finished_at", "valid_from", "valid_to", "at",
        "expires_at",
    }
)  # fmt: skip
BLANK = frozenset({*SCOPE, "session_id"})  # the empty string in the table, null outside
LEASE = frozenset({"lease_owner", "lease_until"})  # a lease concerns this process only
CHUNK = 500

# What makes two rows the same. Places in a conversation differ if the scope already had messages; jobs and
# sessions' logs go on after they are copied.
COMPARED: Mapping[str, tuple[str, ...]] = {
    "job": (*SCOPE, "session_id", "infer", "extract", "instructions", "metadata", "created_at", "expires_at"),
    "message": (
        *SCOPE, "session_id", "role", "name", "content", "data", "happened_at", "created_at",
    ),
    "version": (
        *SCOPE, "memory_id", "version", "text", "metadata", "speakers", "created_at", "happened_at",
        "valid_from", "valid_to", "restores", "expires_at",
    ),
    "change": (
        "memory_id", "add_id", "operation", "before", "after", "reason", "at", "undoes", "evidence",
    ),
}  # fmt: skip


def columns(kind: str) -> list[Any]:
    return [column for column in TABLES[kind].columns if column.name not in {"seq", *LEASE}]


# -- out ----------------------------------------------------------------------------------------------------------


def rows_out(database: Database, scope: Scope) -> Iterator[tuple[str, Plain]]:
    """Everything of a scope, from one snapshot: adds, messages, versions, changes, each in the order of writing."""
    with database.reading() as db:
        for kind in ("job", "message", "version"):
            query = select(*columns(kind)).where(*in_scope(TABLES[kind], scope)).order_by(TABLES[kind].c.seq)
            for row in db.execute(query, execution_options={"yield_per": CHUNK}).mappings():
                yield kind, plain(kind, row)
        owners = select(versions.c.memory_id).where(*in_scope(versions, scope))
        query = select(*columns("change")).where(changes.c.memory_id.in_(owners)).order_by(changes.c.seq)
        found = db.execute(query, execution_options={"yield_per": CHUNK}).mappings()
        for some in _chunked(found, CHUNK):
            yield from (("change", row) for row in _with_evidence(db, some))


def plain(kind: str, row: Any) -> Plain:
    return {column.name: _plain(column.name, row[column.name]) for column in columns(kind)}


def _plain(name: str, value: Any) -> Any:
    if name in BLANK or name == "add_id":
        return value or None
    if name == "valid_to" and value == FOREVER:
        return None
    if name in TIMES and value is not None:
        return from_micros(value).isoformat()
    return value


def _with_evidence(db: Connection, rows: Sequence[Any]) -> list[Plain]:
    behind: dict[str, list[str]] = {}
    query = select(evidence.c.change_id, evidence.c.message_id).order_by(evidence.c.position)
    for change_id, message_id in db.execute(
        query.where(evidence.c.change_id.in_([row["id"] for row in rows]))
    ):
        behind.setdefault(change_id, []).append(message_id)
    return [{**plain("change", row), "evidence": behind.get(row["id"], [])} for row in rows]


# -- in -----------------------------------------------------------------------------------------------------------


def stored_versions(database: Database, ids: Sequence[str]) -> set[str]:
    with database.reading() as db:
        return set(db.execute(select(versions.c.id).where(versions.c.id.in_(ids))).scalars())


class Intake:
    """Rows from another store, in one transaction: each is stored or is here already, or nothing changes.

    vector_of: the vector for a version's id, for those that were not here when the texts were embedded.
    """

    def __init__(
        self, database: Database, embedder: str, vector_of: Mapping[str, npt.NDArray[np.float32]]
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._vector_of = vector_of
        self.stored = dict.fromkeys(TABLES, 0)
        self.skipped = 0

    def take(self, rows: Iterable[tuple[int, str, Plain]], seen: Iterable[Scope]) -> None:
        """rows: line number, kind, object, in the order of an export. Raises InputError, `Conflict`."""
        with self._database.writing(growing=True) as db:
            expect_embedder(db, self._embedder)
            self._places = _Places(db)
            for scope in sorted(set(seen), key=lambda scope: tuple(scope_key(scope).values())):
                self._places.open(scope)
            for kind, lines in groupby(rows, key=lambda row: row[1]):
                for some in _chunked(((number, row) for number, _, row in lines), CHUNK):
                    self._some(db, kind, some)
            self._places.close()

    def _some(self, db: Connection, kind: str, lines: Sequence[Line]) -> None:
        here = _here(db, kind, [row["id"] for _, row in lines])
        fresh = []
        for number, row in lines:
            if row["id"] not in here:
                fresh.append((number, row))
                continue
            self._compare(kind, number, row, here[row["id"]])
            self.skipped += 1
            self._places.learn(kind, row, here[row["id"]])
        if fresh:
            getattr(self, f"_{kind}s")(db, fresh)
        self.stored[kind] += len(fresh)

    def _compare(self, kind: str, number: int, row: Plain, known: Plain) -> None:
        for name in COMPARED[kind]:
            if row[name] != known[name]:
                raise InputError(
                    f"line {number}: {kind} {row['id']!r} is here already, with {name} {known[name]!r} instead of "
                    f"{row[name]!r}; nothing was imported"
                )

    def _jobs(self, db: Connection, lines: Sequence[Line]) -> None:
        db.execute(insert(jobs), [{**_columns("job", row), **dict.fromkeys(LEASE)} for _, row in lines])

    def _messages(self, db: Connection, lines: Sequence[Line]) -> None:
        self._refuse_known_external_ids(db, lines)
        db.execute(insert(messages), [_columns("message", self._places.place(row)) for _, row in lines])

    def _refuse_known_external_ids(self, db: Connection, lines: Sequence[Line]) -> None:
        """Refuse a caller's id that names another message of the same session here."""
        named = {row["external_id"]: number for number, row in lines if row["external_id"] is not None}
        keys = ("external_id", "session_id", *SCOPE)
        here = {
            tuple(row[key] or None for key in keys)
            for row in db.execute(select(messages).where(messages.c.external_id.in_(list(named)))).mappings()
        }
        for number, row in lines:
            if row["external_id"] is not None and tuple(row[key] for key in keys) in here:
                raise InputError(
                    f"line {number}: a message with the external_id {row['external_id']!r} is in this session "
                    "already, under another id; nothing was imported"
                )

    def _versions(self, db: Connection, lines: Sequence[Line]) -> None:
        self._refuse_known_memories(db, lines)
        missing = [row["id"] for _, row in lines if row["id"] not in self._vector_of]
        if missing:
            raise InputError(f"version {missing[0]!r} was erased here during the import; import again")
        db.execute(insert(versions), [_columns("version", self._places.place(row)) for _, row in lines])
        ids = [row["id"] for _, row in lines]
        blobs = [
            {"version_id": name, "vector": self._vector_of[name].astype("<f4").tobytes()} for name in ids
        ]
        db.execute(insert(vectors), [{**blob, "embedder": self._embedder} for blob in blobs])
        db.execute(insert(outbox), [{"version_id": name} for name in ids])

    def _refuse_known_memories(self, db: Connection, lines: Sequence[Line]) -> None:
        """A memory that is here has all its versions; one more comes from a store that has diverged."""
        ids = {row["memory_id"]: number for number, row in reversed(lines) if row["version"] > 1}
        starts = {row["memory_id"]: number for number, row in lines if row["version"] == 1}
        query = select(versions.c.memory_id, func.max(versions.c.version)).group_by(versions.c.memory_id)
        for memory_id, newest in db.execute(query.where(versions.c.memory_id.in_([*ids, *starts]))):
            if memory_id in starts or newest >= next(
                row["version"] for _, row in lines if row["memory_id"] == memory_id
            ):
                number = starts.get(memory_id) or ids[memory_id]
                raise InputError(
                    f"line {number}: memory {memory_id!r} is here already, with another history; "
                    "nothing was imported"
                )

    def _changes(self, db: Connection, lines: Sequence[Line]) -> None:
        db.execute(insert(changes), [_columns("change", row) for _, row in lines])
        behind = [
            {
                "change_id": row["id"],
                "memory_id": row["memory_id"],
                "message_id": source,
                "position": position,
            }
            for _, row in lines
            for position, source in enumerate(row["evidence"])
        ]
        if behind:
            db.execute(insert(evidence), behind)


class _Places:
    """Positions and episodes of what comes in: unchanged, or after what the scope has here already."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._counters: dict[Scope, Any] = {}
        self._shift: dict[Scope, tuple[int, int]] = {}
        self._last: dict[Scope, Plain] = {}

    def open(self, scope: Scope) -> None:
        counters = lock_scope(self._db, scope)
        self._counters[scope] = counters
        self._shift[scope] = (counters.position, counters.episode)

    def learn(self, kind: str, row: Plain, known: Plain) -> None:
        """A message that is here already shows how far the others of its scope were shifted."""
        if kind == "message":
            self._shift[scope_of(row)] = (
                known["position"] - row["position"],
                known["episode"] - row["episode"],
            )

    def place(self, row: Plain) -> Plain:
        scope = scope_of(row)
        by, episodes = self._shift[scope]
        placed = dict(row)
        if row["position"] is not None:
            placed["position"] = row["position"] + by
        if row["episode"] is not None:
            placed["episode"] = row["episode"] + episodes
        if "role" in row and placed["position"] >= self._last.get(scope, {"position": 0})["position"]:
            self._last[scope] = placed
        return placed

    def close(self) -> None:
        """Bring the scopes' counters up to what came in."""
        for scope, counters in self._counters.items():
            where = exactly(scopes, scope)
            last = self._last.get(scope)
            if last is not None and last["position"] > counters.position:
                found = {
                    "position": last["position"],
                    "episode": max(last["episode"], counters.episode),
                    "last_said": _stored("happened_at", last["happened_at"]),
                    "last_session": last["session_id"] or "",
                }
                self._db.execute(update(scopes).where(*where).values(found))
            raise_revision(self._db, scope)
            recount(self._db, scope_key(scope))


def scope_of(row: Plain) -> Scope:
    return Scope(row["user_id"], row["agent_id"], row["run_id"])


def _here(db: Connection, kind: str, ids: Sequence[str]) -> dict[str, Plain]:
    table = TABLES[kind]
    found = db.execute(select(*columns(kind)).where(table.c.id.in_(ids))).mappings().all()
    rows = _with_evidence(db, found) if kind == "change" and found else [plain(kind, row) for row in found]
    return {row["id"]: row for row in rows}


def _columns(kind: str, row: Plain) -> Plain:
    """A plain object as column values."""
    return {column.name: _stored(column.name, row[column.name], kind) for column in columns(kind)}


def _stored(name: str, value: Any, kind: str = "") -> Any:
    if name in BLANK or (name == "add_id" and kind == "message"):
        return value or ""
    if name == "valid_to" and value is None:
        return FOREVER
    if name in TIMES and value is not None:
        return to_micros(datetime.fromisoformat(value))
    return value


def _chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    following = iter(items)
    while some := list(islice(following, size)):
        yield some
