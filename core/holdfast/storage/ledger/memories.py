"""Memories as versions, and the append-only history of their changes.

A memory is the chain of its versions; the one with `valid_to == FOREVER` is what is known now. A change closes a
version, opens one, or both, and is committed together with its evidence and with what brings the index up to date.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    func,
    select,
    tuple_,
)

from ...errors import InputError, NotFoundError
from ...types import Change, Changes, MemoryItem, Page, Scope, Usage
from ..filters import Filter
from ..times import FOREVER, Clock, from_micros, to_micros
from .commit import ROOM_BITS, Changed, Commit, Conflict, Write
from .database import Database, exactly, in_scope, lock_scope
from .edits import REASON, superseded
from .feed import read_changes
from .filter_sql import where
from .jobs import advance, hold
from .prepared import CHUNK, Prepared, decoded
from .schema import changes, evidence, meta, scopes, versions
from .tally import changed


class _Version(NamedTuple):
    """What a search reads of a version: these columns."""

    id: str
    memory_id: str
    version: int
    user_id: str
    agent_id: str
    run_id: str
    text: str
    metadata: Any
    speakers: Any
    created_at: int
    happened_at: int | None
    valid_from: int
    valid_to: int
    expires_at: int | None


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_BY_VERSION = Prepared(
    select(*(versions.c[name] for name in _Version._fields)).where(versions.c.id.in_(_IDS))
)
_EMBEDDER = select(meta.c.value).where(meta.c.key == "embedder").with_for_update(read=True)
_EXPIRING = select(versions.c.seq).where(versions.c.expires_at > bindparam("now")).limit(1)
_SOURCES = Prepared(
    select(evidence.c.memory_id, changes.c.at, evidence.c.message_id)
    .join(changes, changes.c.id == evidence.c.change_id)
    .where(evidence.c.memory_id.in_(_IDS))
    .order_by(changes.c.seq, evidence.c.position)
)

_CURSOR = re.compile("(-?[0-9]{1,19}):(.*)", re.DOTALL)
LISTED = (versions.c.ordinal, versions.c.memory_id)  # the order of `get_all`, total even across processes


@dataclass(frozen=True, slots=True)
class JobStep:
    """The part of a job that a commit finishes."""

    job_id: str
    owner: str
    usage: Usage
    finished: bool


class Memories:
    def __init__(self, database: Database, clock: Clock, changed: Changed) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed
        self._nothing_expires = (-1, 0)  # as of this many writes, from this instant on

    # -- writing ------------------------------------------------------------------------------------------------

    def revision(self, scope: Scope) -> int:
        """A number that every change to the memories of the exact scope raises."""
        query = select(scopes.c.revision).where(*exactly(scopes, scope))
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
        with self._database.writing(growing=True) as db:
            now = self._clock()
            expect_embedder(db, embedder)
            if step is not None:
                hold(db, step.job_id, step.owner, now)
            counters = lock_scope(db, scope)
            if revision is not None and counters.revision != revision:
                raise Conflict
            commit = Commit(db, scope, now, embedder, step.job_id if step else None, self._changed)
            stored = commit.store(writes)
            if step is not None and step.finished:
                gone = superseded(db, step.job_id)
                stored = commit.store([Write("DELETE", REASON, target=memory_id) for memory_id in gone])
            if any(change.operation != "NOOP" for change in stored):
                changed(db, scope, commit.balance, now)
            if step is not None:
                advance(db, step.job_id, usage=step.usage, finished=step.finished, now=now)
        self._clock.start_after(
            now + (len(writes) >> ROOM_BITS)
        )  # the next commit's ordinals come after these
        return stored

    def undo(self, scope: Scope, undone: Sequence[Change], *, embedder: str) -> Changes:
        """Take changes of one exact scope back, newest first, in one transaction. Raises UndoError, `Conflict`."""
        with self._database.writing() as db:
            expect_embedder(db, embedder)
            lock_scope(db, scope)
            now = self._clock()
            commit = Commit(db, scope, now, embedder, None, self._changed)
            for change in reversed(undone):
                commit.take_back(change)
            stored = commit.finish()
            changed(db, scope, commit.balance, now)
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

    def expiring(self) -> bool:
        """Whether anything expires later than now, where only this process writes."""
        written, now = self._database.written, self._clock()
        of, since = self._nothing_expires
        if of == written and since <= now:
            return False
        with self._database.reading() as db:
            found = db.execute(_EXPIRING, {"now": now}).first() is not None
        if not found:
            self._nothing_expires = written, now
        return found

    def forgotten(self, message_ids: Iterable[str], at: int) -> set[str]:
        """Those of the messages behind a memory that was deleted, or has expired by `at`: they would bring back what
        is forgotten."""
        alive = exists().where(
            versions.c.memory_id == evidence.c.memory_id,
            versions.c.valid_to == FOREVER,
            versions.c.expires_at.is_(None) | (versions.c.expires_at > at),
        )
        found: set[str] = set()
        with self._database.reading() as db:
            for some in _chunks(list(message_ids)):
                query = select(evidence.c.message_id).where(evidence.c.message_id.in_(some), ~alive)
                found.update(db.execute(query).scalars())
        return found

    def place(self, memory_id: str) -> tuple[int | None, int | None]:
        """Where in its conversation the newest version of a memory was said: episode and position."""
        query = select(versions.c.episode, versions.c.position).where(versions.c.memory_id == memory_id)
        with self._database.reading() as db:
            row = db.execute(query.order_by(versions.c.version.desc()).limit(1)).one()
        return row.episode, row.position

    def by_version(self, ids: Sequence[str]) -> dict[str, MemoryItem]:
        """version id -> item, for those that exist."""
        with self._database.looking() as db:
            return _items(db, [_Version(*row) for row in _BY_VERSION.rows(db, ids)])

    def texts(self, scope: Scope) -> list[tuple[str, str]]:
        """Version id and text of all that is current in the exact scope, oldest first."""
        query = select(versions.c.id, versions.c.text).where(*exactly(versions, scope), _valid(None))
        with self._database.reading() as db:
            return [(name, text) for name, text in db.execute(query.order_by(*LISTED))]

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

    def history(self, memory_id: str) -> Changes:
        with self._database.reading() as db:
            found = read_changes(db, changes.c.memory_id == memory_id)
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
            return read_changes(
                db, (changes.c.id == change_or_add_id) | (changes.c.add_id == change_or_add_id)
            )

    def undone(self, change_ids: Iterable[str]) -> set[str]:
        """Those of the changes that an undo has already taken back."""
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
    "expires_at": versions.c.expires_at,
}


def expect_embedder(db: Connection, name: str) -> None:
    """Lock the store's embedder until the transaction ends. Raises `Conflict` if it is another one."""
    if db.execute(_EMBEDDER).scalar() != name:
        raise Conflict


def holds(item: MemoryItem, as_of: int | None, now: int) -> bool:
    """Whether this version is what is known and has not expired, now or at that instant."""
    at = now if as_of is None else as_of
    if item.expires_at is not None and to_micros(item.expires_at) <= at:
        return False
    if as_of is None:
        return item.valid_to is None
    return to_micros(item.valid_from) <= at and (item.valid_to is None or at < to_micros(item.valid_to))


def _valid(as_of: int | None) -> Any:
    if as_of is None:
        return versions.c.valid_to == FOREVER
    return and_(versions.c.valid_from <= as_of, versions.c.valid_to > as_of)


def _after(cursor: str) -> tuple[int, str]:
    found = _CURSOR.fullmatch(cursor)
    if found is None or not -(2**63) <= int(found[1]) < 2**63:
        raise InputError(f"cursor={cursor[:100]!r} is not the `next` of a page")
    return int(found[1]), found[2]


def _items(db: Connection | sqlite3.Connection, rows: Sequence[Row[Any] | _Version]) -> dict[str, MemoryItem]:
    """version id -> item, with the messages behind each version up to its time."""
    sources = _sources(db, {row.memory_id for row in rows})
    return {row.id: item_from_row(row, sources.get(row.memory_id, ())) for row in rows}


def _sources(
    db: Connection | sqlite3.Connection, memory_ids: Iterable[str]
) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for memory_id, at, message_id in _SOURCES.rows(db, list(memory_ids)):
        found.setdefault(memory_id, []).append((at, message_id))
    return found


def item_from_row(row: Row[Any] | _Version, evidence_of: Iterable[tuple[int, str]] = ()) -> MemoryItem:
    current = row.valid_to == FOREVER
    seen = [message for at, message in evidence_of if current or at < row.valid_to]
    since = from_micros(row.valid_from)
    return MemoryItem(
        id=row.memory_id,
        text=row.text,
        user_id=row.user_id or None,
        agent_id=row.agent_id or None,
        run_id=row.run_id or None,
        metadata=decoded(row.metadata),
        created_at=since if row.created_at == row.valid_from else from_micros(row.created_at),
        updated_at=since,
        happened_at=None if row.happened_at is None else from_micros(row.happened_at),
        valid_from=since,
        valid_to=None if current else from_micros(row.valid_to),
        version=row.version,
        speakers=tuple(decoded(row.speakers)),
        sources=tuple(dict.fromkeys(seen)),
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
    )


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
