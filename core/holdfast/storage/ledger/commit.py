"""One transaction's changes to memories: versions closed and opened, with their history, evidence and outbox rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, select, update

from ...errors import NotFoundError, UndoError
from ...types import Change, Changes, Metadata, Operation, Scope
from ..times import FOREVER, from_micros, to_micros
from .database import scope_key
from .ids import new_id
from .prepared import insert_rows
from .schema import changes, evidence, vectors, versions

# Ordinals are microseconds with room for the memories of one commit: 4,096 each from 1970 to 2027 and 4
# otherwise, which fits 63 bits for every date. A larger commit uses those of the following microseconds.
ROOM_SINCE = to_micros(datetime(2027, 1, 1, tzinfo=UTC))
ROOM_BITS_BEFORE, ROOM_BITS = 12, 2


Changed = Callable[[Connection, Iterable[str]], None]


class Conflict(Exception):
    """The scope's memories have changed since they were looked up; nothing was committed."""


@dataclass(frozen=True, slots=True)
class Write:
    """One decided change, ready to be committed.

    target: the memory it changes; None for an ADD.
    expected: the version of the target that the decision was based on.
    text, metadata, vector, ...: the version it leaves; unused for DELETE and NOOP.
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
    expires_at: int | None = None


class Commit:
    """One transaction's worth of changes, gathered into a few bulk statements.

    changed: is told, within the transaction, which versions were opened and closed.
    balance: how many more memories are known after it.
    """

    def __init__(
        self, db: Connection, scope: Scope, now: int, embedder: str, add_id: str | None, changed: Changed
    ) -> None:
        self._db = db
        self._changed = changed
        self._scope = scope
        self._now = now
        self._embedder = embedder
        self._add_id = add_id
        self._versions: list[dict[str, Any]] = []
        self._vectors: list[dict[str, Any]] = []
        self._changes: list[dict[str, Any]] = []
        self._evidence: list[dict[str, Any]] = []
        self._dirty: list[str] = []
        self._repeated: dict[str, Row[Any]] = {}  # what NOOPs found, and no change has touched since
        self._stored = Changes()
        self._opened = 0
        self.balance = 0

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
        at = self._instant(write, before)
        if before is not None and write.operation in ("UPDATE", "DELETE") and before.valid_to == FOREVER:
            self._close(before, at)
        after = before if write.operation == "NOOP" else None
        new_id: str | None = None
        if write.operation in ("ADD", "UPDATE"):
            new_id = self._open(write, before, at)
        self._record(write, before, new_id if after is None else after.id, at)
        if after is not None:
            self._repeated[after.memory_id] = after
        elif before is not None:
            self._repeated.pop(before.memory_id, None)

    def _current(self, write: Write) -> Row[Any]:
        assert write.target is not None
        row = self._repeated.get(write.target)
        if row is None:
            self._insert_versions()  # an earlier change of this commit may have opened the version we look for
            row = self._last(write.target)
        if row is None:
            raise NotFoundError(f"there is no memory {write.target!r}")
        if write.expected is not None and row.version != write.expected:
            raise Conflict
        if write.operation in ("DELETE", "NOOP") and row.valid_to != FOREVER:
            raise NotFoundError(f"memory {write.target!r} was deleted")
        return row

    def _instant(self, write: Write, before: Row[Any] | None) -> int:
        """Now, or right after an earlier change of the same memory that is dated later. No instant has two versions,
        even if an undo reopens what was deleted, and a wrong clock affects no other memory's dates."""
        if before is None or write.operation == "NOOP":
            return self._now
        last = before.valid_from if before.valid_to == FOREVER else before.valid_to
        return max(self._now, int(last) + 1)

    def _close(self, row: Row[Any], at: int) -> None:
        self.balance -= 1
        self._db.execute(update(versions).where(versions.c.id == row.id).values(valid_to=at))
        self._dirty.append(row.id)

    def _open(self, write: Write, before: Row[Any] | None, at: int) -> str:
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
                "created_at": before.created_at if before is not None else at,
                "happened_at": write.happened_at,
                "valid_from": at,
                "valid_to": FOREVER,
                "episode": write.episode,
                "position": write.position,
                "restores": write.restores,
                "expires_at": write.expires_at,
            }
        )
        self.balance += 1
        blob = np.ascontiguousarray(write.vector, dtype="<f4").tobytes()
        self._vectors.append({"version_id": version_id, "embedder": self._embedder, "vector": blob})
        self._dirty.append(version_id)
        return version_id

    def _record(self, write: Write, before: Row[Any] | None, after: str | None, at: int) -> None:
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
                "at": at,
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
                at=from_micros(at),
                sources=tuple(sources),
                add_id=self._add_id,
                undoes=write.undoes,
                scope=self._scope,
            )
        )

    def _next_ordinal(self) -> int:
        """Memories are listed in the order of their creation; the low bits count within a commit."""
        self._opened += 1
        return first_ordinal(self._now) + self._opened

    def _insert_versions(self) -> None:
        if self._versions:
            insert_rows(self._db, versions, self._versions)
            insert_rows(self._db, vectors, self._vectors)
            self._versions, self._vectors = [], []

    def _insert(self) -> None:
        self._insert_versions()
        insert_rows(self._db, changes, self._changes)
        insert_rows(self._db, evidence, self._evidence)
        self._changed(self._db, self._dirty)
        self._changes, self._evidence, self._dirty = [], [], []


def first_ordinal(now: int) -> int:
    """The first ordinal of an instant."""
    roomy = min(max(now, 0), ROOM_SINCE)
    return (roomy << ROOM_BITS_BEFORE) + ((now - roomy) << ROOM_BITS)


def _content(row: Row[Any]) -> str:
    """Identifies what a version says: a version restored by an undo says what the original said."""
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
        expires_at=before.expires_at,
    )


def _text_after(write: Write, before: Row[Any] | None) -> str | None:
    if write.operation == "DELETE":
        return None
    return before.text if write.operation == "NOOP" and before is not None else write.text
