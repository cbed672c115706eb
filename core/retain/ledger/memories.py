"""Memories as versions, and the append-only history of their changes.

A memory is the chain of its versions; the one with `valid_to == FOREVER` is what is known now. A change closes a
version, opens one, or both, and is committed together with its evidence and with the outbox rows that bring the index
up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    update,
)

from ..errors import InputError, NotFoundError, UndoError
from ..filters import Filter
from ..index.base import FOREVER
from ..types import Change, Changes, MemoryItem, Metadata, Operation, Page, Scope, Usage
from ._filter_sql import where
from .database import Database, in_scope, lock_scope, scope_key
from .ids import new_id
from .jobs import advance, hold
from .schema import changes, evidence, meta, outbox, scopes, vectors, versions
from .times import Clock, from_micros

ORDINAL_BITS = (
    12  # room for 4,096 memories per microsecond; microseconds << 12 fits 63 bits until the year 2041
)
CHUNK = 500  # bound parameters per statement stay far below SQLite's limit


# What every search asks, built once: to build a statement takes longer than SQLite takes to answer it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_BY_VERSION = select(versions).where(versions.c.id.in_(_IDS))
_SOURCES = (
    select(evidence.c.memory_id, changes.c.at, evidence.c.message_id)
    .join(changes, changes.c.id == evidence.c.change_id)
    .where(evidence.c.memory_id.in_(_IDS))
    .order_by(changes.c.seq, evidence.c.position)
)

LISTED = (versions.c.ordinal, versions.c.memory_id)  # the order of `get_all`, total even across processes


class Conflict(Exception):
    """The scope's memories have changed since they were looked up; nothing was committed."""


@dataclass(frozen=True, slots=True)
class Write:
    """One change that was decided, ready to be committed.

    target: the memory it changes; None for an ADD.
    expected: the version of the target that the decision was based on.
    text, metadata, vector, ...: the version that it leaves; unused for DELETE and NOOP.
    """

    operation: Operation
    reason: str
    text: str = ""
    target: str | None = None
    expected: int | None = None
    metadata: Metadata = field(default_factory=dict)
    vector: npt.NDArray[np.float32] | None = None
    happened_at: int | None = None
    speakers: tuple[str, ...] = ()
    episode: int | None = None
    position: int | None = None
    sources: tuple[str, ...] = ()
    undoes: str | None = None
    restores: str | None = None
    memory_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobStep:
    """The part of a job that a commit finishes."""

    job_id: str
    owner: str
    usage: Usage
    finished: bool


class Memories:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # -- writing ------------------------------------------------------------------------------------------------

    def revision(self, scope: Scope) -> int:
        """A number that every change to the memories of the exact scope raises."""
        query = select(scopes.c.revision).where(
            *(scopes.c[name] == value for name, value in scope_key(scope).items())
        )
        with self._database.reading() as db:
            return db.execute(query).scalar() or 0

    def commit(
        self,
        scope: Scope,
        writes: Sequence[Write],
        *,
        embedder: str,
        revision: int | None = None,
        step: JobStep | None = None,
    ) -> Changes:
        """Store the changes in one transaction and return them as stored.

        embedder: whose vectors the writes carry.
        Raises `Conflict` where `revision` is given and no longer the scope's, or the embedder is no longer the
        store's; `LeaseLost` where `step` is not ours.
        """
        with self._database.writing() as db:
            now = self._clock()
            expect_embedder(db, embedder)
            if step is not None:
                hold(db, step.job_id, step.owner, now)
            counters = lock_scope(db, scope)
            if revision is not None and counters.revision != revision:
                raise Conflict
            stored = _Commit(db, scope, now, embedder, step.job_id if step else None).store(writes)
            if any(write.operation != "NOOP" for write in writes):
                raise_revision(db, scope)
            if step is not None:
                advance(db, step.job_id, usage=step.usage, finished=step.finished, now=now)
        return stored

    def undo(self, scope: Scope, undone: Sequence[Change], *, embedder: str) -> Changes:
        """Take changes of one exact scope back, newest first, in one transaction. Raises UndoError, `Conflict`."""
        with self._database.writing() as db:
            expect_embedder(db, embedder)
            lock_scope(db, scope)
            commit = _Commit(db, scope, self._clock(), embedder, None)
            for change in reversed(undone):
                commit.take_back(change)
            stored = commit.finish()
            raise_revision(db, scope)
        return stored

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, memory_id: str, *, as_of: int | None = None) -> MemoryItem | None:
        query = select(versions).where(versions.c.memory_id == memory_id, _valid(as_of))
        with self._database.reading() as db:
            row = db.execute(query).one_or_none()
            return None if row is None else _items(db, [row])[row.id]

    def last_version(self, memory_id: str) -> tuple[MemoryItem, str]:
        """The newest version, current or not, and its id. Raises NotFoundError."""
        query = select(versions).where(versions.c.memory_id == memory_id).order_by(versions.c.version.desc())
        with self._database.reading() as db:
            row = db.execute(query.limit(1)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no memory {memory_id!r}")
            return _items(db, [row])[row.id], row.id

    def place(self, memory_id: str) -> tuple[int | None, int | None]:
        """Where in its conversation the newest version of a memory was said: episode and position."""
        query = select(versions.c.episode, versions.c.position).where(versions.c.memory_id == memory_id)
        with self._database.reading() as db:
            row = db.execute(query.order_by(versions.c.version.desc()).limit(1)).one()
        return row.episode, row.position

    def by_version(self, ids: Sequence[str]) -> dict[str, MemoryItem]:
        """version id -> item, for those that exist."""
        with self._database.reading() as db:
            rows = [row for chunk in _chunks(ids) for row in db.execute(_BY_VERSION, {"ids": chunk})]
            return _items(db, rows)

    def page(
        self,
        scope: Scope,
        *,
        filters: Filter | None = None,
        as_of: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        conditions = self._conditions(scope, filters, as_of)
        with self._database.reading() as db:
            total = db.execute(select(func.count()).select_from(versions).where(*conditions)).scalar_one()
            query = select(versions).where(*conditions).order_by(*LISTED)
            if cursor is not None:
                query = query.where(tuple_(*LISTED) > tuple_(*_after(cursor)))
            rows = db.execute(query if limit is None else query.limit(limit + 1)).all()
            more = limit is not None and len(rows) > limit
            shown = rows[:limit] if more else rows
            items = _items(db, shown)
        following = f"{shown[-1].ordinal}:{shown[-1].memory_id}" if more else None
        return Page(tuple(items[row.id] for row in shown), total, following)

    def count(self, scope: Scope, filters: Filter | None = None, as_of: int | None = None) -> int:
        conditions = self._conditions(scope, filters, as_of)
        with self._database.reading() as db:
            return db.execute(select(func.count()).select_from(versions).where(*conditions)).scalar_one()

    def speakers(self, scope: Scope) -> set[str]:
        """The names of everybody who said something that is remembered in the scope."""
        query = select(versions.c.speakers).where(*in_scope(versions, scope)).distinct()
        with self._database.reading() as db:
            return {name for (names,) in db.execute(query) for name in names}

    def history(self, memory_id: str) -> Changes:
        with self._database.reading() as db:
            found = _read_changes(db, changes.c.memory_id == memory_id)
            known = (
                found
                or db.execute(select(versions.c.id).where(versions.c.memory_id == memory_id).limit(1)).first()
            )
        if not known:
            raise NotFoundError(f"there is no memory {memory_id!r}")
        return found

    def changes_of(self, change_or_add_id: str) -> Changes:
        """The change of that id, or all changes of the add of that id, oldest first."""
        with self._database.reading() as db:
            return _read_changes(
                db, (changes.c.id == change_or_add_id) | (changes.c.add_id == change_or_add_id)
            )

    def undone(self, change_ids: Iterable[str]) -> set[str]:
        """Those of the changes that an undo took back already."""
        found: set[str] = set()
        with self._database.reading() as db:
            for chunk in _chunks(list(change_ids)):
                query = select(changes.c.undoes).where(changes.c.undoes.in_(chunk))
                found.update(db.execute(query).scalars())
        return found

    def _conditions(self, scope: Scope, filters: Filter | None, as_of: int | None) -> list[Any]:
        conditions = [*in_scope(versions, scope), _valid(as_of)]
        if filters is not None:
            conditions.append(where(filters, FILTER_COLUMNS))
        return conditions


FILTER_COLUMNS: Mapping[str, Any] = {
    "metadata": versions.c.metadata,
    "created_at": versions.c.created_at,
    "updated_at": versions.c.valid_from,
    "happened_at": versions.c.happened_at,
}


class _Commit:
    """One transaction's worth of changes, gathered into a few bulk statements."""

    def __init__(self, db: Connection, scope: Scope, now: int, embedder: str, add_id: str | None) -> None:
        self._db = db
        self._scope = scope
        self._now = now
        self._embedder = embedder
        self._add_id = add_id
        self._versions: list[dict[str, Any]] = []
        self._vectors: list[dict[str, Any]] = []
        self._changes: list[dict[str, Any]] = []
        self._evidence: list[dict[str, Any]] = []
        self._dirty: list[str] = []
        self._stored = Changes()
        self._opened = 0

    def store(self, writes: Sequence[Write]) -> Changes:
        for write in writes:
            self._one(write)
        return self.finish()

    def finish(self) -> Changes:
        self._insert()
        return self._stored

    def take_back(self, change: Change) -> None:
        """Write the change that undoes this one, unless something later depends on it."""
        self._insert_versions()
        sides = self._db.execute(
            select(changes.c.before, changes.c.after).where(changes.c.id == change.id)
        ).one()
        before, after, last = (
            self._version(sides.before),
            self._version(sides.after),
            self._last(change.memory_id),
        )
        left = before if change.operation == "DELETE" else after
        gone = last is not None and last.valid_to != FOREVER
        if last is None or left is None or _content(last) != _content(left) or gone != (after is None):
            raise UndoError(
                f"change {change.id!r} ({change.operation} {change.text!r}) cannot be undone: memory "
                f"{change.memory_id!r} was changed again later; undo its later changes first"
            )
        self._one(_undoing(change, before, last, self._vector(sides.before)))

    def _version(self, version_id: str | None) -> Row[Any] | None:
        return self._db.execute(select(versions).where(versions.c.id == version_id)).one_or_none()

    def _last(self, memory_id: str) -> Row[Any] | None:
        newest = select(versions).where(versions.c.memory_id == memory_id).order_by(versions.c.version.desc())
        return self._db.execute(newest.limit(1)).one_or_none()

    def _vector(self, version_id: str | None) -> npt.NDArray[np.float32] | None:
        query = select(vectors.c.vector).where(
            vectors.c.version_id == version_id, vectors.c.embedder == self._embedder
        )
        blob = self._db.execute(query).scalar()
        return None if blob is None else np.frombuffer(blob, dtype="<f4")

    def _one(self, write: Write) -> None:
        before = None if write.target is None else self._current(write)
        if before is not None and write.operation in ("UPDATE", "DELETE"):
            self._close(before)
        after = before if write.operation == "NOOP" else None
        new_id: str | None = None
        if write.operation in ("ADD", "UPDATE"):
            new_id = self._open(write, before)
        self._record(write, before, new_id if after is None else after.id)

    def _current(self, write: Write) -> Row[Any]:
        assert write.target is not None
        self._insert_versions()  # an earlier change of this commit may have opened the version we look for
        row = self._last(write.target)
        if row is None:
            raise NotFoundError(f"there is no memory {write.target!r}")
        if write.expected is not None and row.version != write.expected:
            raise Conflict
        if write.operation in ("DELETE", "NOOP") and row.valid_to != FOREVER:
            raise NotFoundError(f"memory {write.target!r} was deleted")
        return row

    def _close(self, row: Row[Any]) -> None:
        if row.valid_to != FOREVER:
            # An undo reopens a deleted memory; its last version stays as it was, and no instant has two.
            self._now = max(self._now, row.valid_to + 1)
            return
        self._now = max(self._now, row.valid_from + 1)
        self._db.execute(update(versions).where(versions.c.id == row.id).values(valid_to=self._now))
        self._dirty.append(row.id)

    def _open(self, write: Write, before: Row[Any] | None) -> str:
        version_id = new_id()
        assert write.vector is not None
        memory_id = before.memory_id if before is not None else write.memory_id or new_id()
        self._versions.append(
            {
                "id": version_id,
                "memory_id": memory_id,
                "version": before.version + 1 if before is not None else 1,
                "ordinal": before.ordinal if before is not None else self._next_ordinal(),
                **scope_key(self._scope),
                "text": write.text,
                "metadata": dict(write.metadata),
                "speakers": list(write.speakers),
                "created_at": before.created_at if before is not None else self._now,
                "happened_at": write.happened_at,
                "valid_from": self._now,
                "valid_to": FOREVER,
                "episode": write.episode,
                "position": write.position,
                "restores": write.restores,
            }
        )
        blob = np.ascontiguousarray(write.vector, dtype="<f4").tobytes()
        self._vectors.append({"version_id": version_id, "embedder": self._embedder, "vector": blob})
        self._dirty.append(version_id)
        return version_id

    def _record(self, write: Write, before: Row[Any] | None, after: str | None) -> None:
        change_id = new_id()
        reopened = before is not None and before.valid_to != FOREVER
        memory_id = before.memory_id if before is not None else self._versions[-1]["memory_id"]
        self._changes.append(
            {
                "id": change_id,
                "memory_id": memory_id,
                "add_id": self._add_id,
                "operation": write.operation,
                "before": before.id if before is not None and not reopened else None,
                "after": after,
                "reason": write.reason,
                "at": self._now,
                "undoes": write.undoes,
            }
        )
        sources = dict.fromkeys(write.sources)
        self._evidence += [
            {"change_id": change_id, "memory_id": memory_id, "message_id": source, "position": position}
            for position, source in enumerate(sources)
        ]
        self._stored.append(
            Change(
                id=change_id,
                memory_id=memory_id,
                operation=write.operation,
                before=before.text if before is not None and not reopened else None,
                after=_text_after(write, before),
                reason=write.reason,
                at=from_micros(self._now),
                sources=tuple(sources),
                add_id=self._add_id,
                undoes=write.undoes,
            )
        )

    def _next_ordinal(self) -> int:
        """Memories are listed in the order of their creation; the low bits count within a commit."""
        self._opened += 1
        return (self._now << ORDINAL_BITS) + self._opened

    def _insert_versions(self) -> None:
        if self._versions:
            self._db.execute(insert(versions), self._versions)
            self._db.execute(insert(vectors), self._vectors)
            self._versions, self._vectors = [], []

    def _insert(self) -> None:
        self._insert_versions()
        if self._changes:
            self._db.execute(insert(changes), self._changes)
        if self._evidence:
            self._db.execute(insert(evidence), self._evidence)
        if self._dirty:
            self._db.execute(insert(outbox), [{"version_id": name} for name in self._dirty])


def _content(row: Row[Any]) -> str:
    """Names what a version says: a version that an undo restored says what the restored one said."""
    return str(row.restores or row.id)


def _undoing(
    change: Change, before: Row[Any] | None, last: Row[Any], vector: npt.NDArray[np.float32] | None
) -> Write:
    reason = f"undo of {change.operation} {change.id}"
    if before is None:
        return Write("DELETE", reason, target=change.memory_id, undoes=change.id)
    return Write(
        "ADD" if change.operation == "DELETE" else "UPDATE",
        reason,
        before.text,
        target=change.memory_id,
        expected=last.version,
        metadata=before.metadata,
        vector=vector,
        happened_at=before.happened_at,
        speakers=tuple(before.speakers),
        episode=before.episode,
        position=before.position,
        undoes=change.id,
        restores=_content(before),
    )


def _text_after(write: Write, before: Row[Any] | None) -> str | None:
    if write.operation == "DELETE":
        return None
    return before.text if write.operation == "NOOP" and before is not None else write.text


def expect_embedder(db: Connection, name: str) -> None:
    """Hold the store's embedder until the transaction ends. Raises `Conflict` where it is another one."""
    query = select(meta.c.value).where(meta.c.key == "embedder").with_for_update(read=True)
    if db.execute(query).scalar() != name:
        raise Conflict


def raise_revision(db: Connection, scope: Scope) -> None:
    db.execute(
        update(scopes)
        .where(*(scopes.c[name] == value for name, value in scope_key(scope).items()))
        .values(revision=scopes.c.revision + 1)
    )


def _valid(as_of: int | None) -> Any:
    if as_of is None:
        return versions.c.valid_to == FOREVER
    return and_(versions.c.valid_from <= as_of, versions.c.valid_to > as_of)


def _after(cursor: str) -> tuple[int, str]:
    ordinal, colon, memory_id = cursor.partition(":")
    if not colon or not ordinal.isascii() or not ordinal.isdigit():
        raise InputError(f"cursor={cursor!r} is not the `next` of a page")
    return int(ordinal), memory_id


def _items(db: Connection, rows: Sequence[Row[Any]]) -> dict[str, MemoryItem]:
    """version id -> item, with the messages behind each version up to its time."""
    sources = _sources(db, {row.memory_id for row in rows})
    return {row.id: item_from_row(row, sources.get(row.memory_id, ())) for row in rows}


def _sources(db: Connection, memory_ids: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for chunk in _chunks(list(memory_ids)):
        for memory_id, at, message_id in db.execute(_SOURCES, {"ids": chunk}):
            found.setdefault(memory_id, []).append((at, message_id))
    return found


def item_from_row(row: Row[Any], evidence_of: Iterable[tuple[int, str]] = ()) -> MemoryItem:
    current = row.valid_to == FOREVER
    seen = (message for at, message in evidence_of if current or at < row.valid_to)
    return MemoryItem(
        id=row.memory_id,
        text=row.text,
        user_id=row.user_id or None,
        agent_id=row.agent_id or None,
        run_id=row.run_id or None,
        metadata=row.metadata,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.valid_from),
        happened_at=None if row.happened_at is None else from_micros(row.happened_at),
        valid_from=from_micros(row.valid_from),
        valid_to=None if current else from_micros(row.valid_to),
        version=row.version,
        speakers=tuple(row.speakers),
        sources=tuple(dict.fromkeys(seen)),
    )


def _read_changes(db: Connection, condition: Any) -> Changes:
    before, after = versions.alias("before"), versions.alias("after")
    query: Select[Any] = (
        select(changes, before.c.text.label("text_before"), after.c.text.label("text_after"))
        .outerjoin(before, before.c.id == changes.c.before)
        .outerjoin(after, after.c.id == changes.c.after)
        .where(condition)
        .order_by(changes.c.seq)
    )
    rows = db.execute(query).all()
    behind: dict[str, list[str]] = {}
    for chunk in _chunks([row.id for row in rows]):
        said = select(evidence.c.change_id, evidence.c.message_id).where(evidence.c.change_id.in_(chunk))
        said = said.order_by(evidence.c.position)
        for change_id, message_id in db.execute(said):
            behind.setdefault(change_id, []).append(message_id)
    return Changes(
        Change(
            id=row.id,
            memory_id=row.memory_id,
            operation=row.operation,
            before=row.text_before,
            after=row.text_after,
            reason=row.reason,
            at=from_micros(row.at),
            sources=tuple(behind.get(row.id, ())),
            add_id=row.add_id,
            undoes=row.undoes,
        )
        for row in rows
    )


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
