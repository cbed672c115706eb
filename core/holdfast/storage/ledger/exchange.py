"""Rows of the ledger going out to other stores and coming in from them, as plain JSON objects.

A row's object has the columns of its table except `seq`, which follows from their order. Absent scope and session
ids are null, times are ISO 8601, a current version's `valid_to` is null. A change carries its evidence, a document
the texts that it is found by; its namespace, key and value are encoded as in the table. An imported version's
`ordinal` may be null; the time of the memory's creation then decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Table, func, insert, select, tuple_, update

from ...errors import InputError
from ...types import Scope
from ..times import FOREVER, from_micros, to_micros
from .commit import Changed
from .database import Database, exactly, in_scope, lock_scope, scope_key
from .document_tables import document_texts, documents
from .erasure import files_of
from .memories import expect_embedder
from .schema import changes, edits, evidence, jobs, messages, scopes, vectors, versions
from .tally import recount

T = TypeVar("T")
Plain = dict[str, Any]
Line = tuple[int, Plain]
Named = str | tuple[str, ...]

TABLES: Mapping[str, Table] = {
    "job": jobs, "message": messages, "edit": edits, "version": versions, "change": changes, "document": documents
}  # fmt: skip
KEYS: Mapping[str, tuple[str, ...]] = {"edit": ("replaces",), "document": ("namespace", "key")}  # others: id
SCOPE = ("user_id", "agent_id", "run_id")
TIMES = frozenset(
    {
        "happened_at", "created_at", "cleared_at", "retry_at", "finished_at", "valid_from", "valid_to", "at",
        "expires_at", "updated_at",
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
    "edit": ("message_id",),
    "document": ("value", "created_at"),
}  # fmt: skip


def columns(kind: str) -> list[Any]:
    return [column for column in TABLES[kind].columns if column.name not in {"seq", *LEASE}]


def name_of(kind: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a row from all others of its kind."""
    return tuple(row[key] for key in KEYS.get(kind, ("id",)))


# -- out ----------------------------------------------------------------------------------------------------------


def rows_out(database: Database, scope: Scope) -> Iterator[tuple[str, Plain]]:
    """Everything of a scope, from one snapshot, kind by kind as in `TABLES`, each in the order of writing.

    Of documents, a scope's are the files of its memory tool; the others carry no ids.
    """
    said = select(messages.c.id).where(*in_scope(messages, scope))
    owners = select(versions.c.memory_id).where(*in_scope(versions, scope))
    with database.reading() as db:
        conditions = {
            "edit": [edits.c.replaces.in_(said)],
            "change": [changes.c.memory_id.in_(owners)],
            "document": [documents.c.namespace.in_(files_of(db, scope))] if scope else [],
        }
        for kind, table in TABLES.items():
            wanted = conditions[kind] if kind in conditions else in_scope(table, scope)
            order = edits.c.replaces if kind == "edit" else table.c.seq
            query = select(*table.columns).where(*wanted).order_by(order)
            found = db.execute(query, execution_options={"yield_per": CHUNK}).mappings()
            for some in _chunked(found, CHUNK):
                yield from ((kind, row) for row in _told(db, kind, some))


def _told(db: Connection, kind: str, rows: Sequence[Any]) -> list[Plain]:
    """Rows as plain objects, with what is kept of them in other tables."""
    if kind == "change":
        return _with_evidence(db, rows)
    if kind == "document":
        return _with_texts(db, rows)
    return [plain(kind, row) for row in rows]


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


def _with_texts(db: Connection, rows: Sequence[Any]) -> list[Plain]:
    found: dict[int, dict[str, str]] = {}
    query = select(document_texts.c.document_seq, document_texts.c.path, document_texts.c.text)
    among = document_texts.c.document_seq.in_([row["seq"] for row in rows])
    for seq, path, text in db.execute(query.where(among).order_by(document_texts.c.path)):
        found.setdefault(seq, {})[path] = text
    return [{**plain("document", row), "texts": found.get(row["seq"], {})} for row in rows]


# -- in -----------------------------------------------------------------------------------------------------------


def stored_versions(database: Database, ids: Sequence[str]) -> set[str]:
    with database.reading() as db:
        return set(db.execute(select(versions.c.id).where(versions.c.id.in_(ids))).scalars())


class Intake:
    """Rows from another store, in one transaction: each is stored or is here already, or nothing changes.

    vector_of: the vector for a version's id, for those that were not here when the texts were embedded; and for a
        document's namespace, key and path.
    changed: is told, within the transaction, which versions are new.
    """

    def __init__(
        self,
        database: Database,
        embedder: str,
        vector_of: Mapping[Named, npt.NDArray[np.float32]],
        changed: Changed,
    ) -> None:
        self._database = database
        self._changed = changed
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
        here = _here(db, kind, [row for _, row in lines])
        fresh = []
        for number, row in lines:
            known = here.get(name_of(kind, row))
            if known is None:
                fresh.append((number, row))
                continue
            self._compare(kind, number, row, known)
            self.skipped += 1
            self._places.learn(kind, row, known)
        if fresh:
            getattr(self, f"_{kind}s")(db, fresh)
        self.stored[kind] += len(fresh)

    def _compare(self, kind: str, number: int, row: Plain, known: Plain) -> None:
        for name in COMPARED[kind]:
            if row[name] != known[name]:
                raise InputError(
                    f"line {number}: {kind} {'/'.join(name_of(kind, row))!r} is here already, with {name} "
                    f"{known[name]!r} instead of {row[name]!r}; nothing was imported"
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

    def _edits(self, db: Connection, lines: Sequence[Line]) -> None:
        db.execute(insert(edits), [_columns("edit", row) for _, row in lines])

    def _documents(self, db: Connection, lines: Sequence[Line]) -> None:
        for _, row in lines:
            made = insert(documents).values(_columns("document", row)).returning(documents.c.seq)
            seq = db.execute(made).scalar_one()
            named = {(*name_of("document", row), path): text for path, text in row["texts"].items()}
            texts = [
                {
                    "document_seq": seq,
                    "path": name[-1],
                    "text": text,
                    "embedder": self._embedder,
                    "vector": self._vector_of[name].astype("<f4").tobytes(),
                }
                for name, text in named.items()
            ]
            if texts:
                db.execute(insert(document_texts), texts)

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
        self._changed(db, ids)

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
            raised = {"revision": scopes.c.revision + 1}
            self._db.execute(update(scopes).where(*exactly(scopes, scope)).values(raised))
            recount(self._db, scope_key(scope))


def scope_of(row: Plain) -> Scope:
    return Scope(row["user_id"], row["agent_id"], row["run_id"])


def _here(db: Connection, kind: str, rows: Sequence[Plain]) -> dict[tuple[str, ...], Plain]:
    """What is here of these rows, by their names."""
    table, names = TABLES[kind], [name_of(kind, row) for row in rows]
    keys = [table.c[key] for key in KEYS.get(kind, ("id",))]
    among = keys[0].in_([name for (name,) in names]) if len(keys) == 1 else tuple_(*keys).in_(names)
    found = db.execute(select(*table.columns).where(among)).mappings().all()
    return {name_of(kind, row): row for row in _told(db, kind, found)} if found else {}


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
