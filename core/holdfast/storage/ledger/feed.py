"""Changes as they are read: of one memory, of one add, or the newest of all."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select, tuple_

from ...errors import InputError
from ...types import Change, Changes, Feed, Scope
from ..times import from_micros
from .database import Database, in_scope
from .prepared import SCOPE
from .schema import changes, evidence, scopes, versions

CHUNK = 500  # ids per statement: databases limit their parameters
PAGE = 50  # changes usually asked for at a time
ORDER = (changes.c.at, changes.c.seq)

_CURSOR = re.compile("(-?[0-9]{1,19}):([0-9]{1,19})")


def feed(
    database: Database,
    scope: Scope,
    operations: Collection[str],
    since: int | None,
    until: int | None,
    limit: int | None,
    cursor: str | None,
) -> Feed:
    """Changes, newest first. operations: only these, where any are named. since, until: `since <= at < until`.

    Raises InputError if the cursor is not from such a page.
    """
    conditions: list[ColumnElement[bool]] = []
    if operations:
        conditions.append(changes.c.operation.in_(list(operations)))
    if since is not None:
        conditions.append(changes.c.at >= since)
    if until is not None:
        conditions.append(changes.c.at < until)
    if cursor is not None:
        conditions.append(tuple_(*ORDER) < tuple_(*_before(cursor)))
    query = select(changes.c.seq, changes.c.at).where(*conditions)
    query = query.order_by(*(column.desc() for column in ORDER))
    with database.reading() as db:
        if scope:
            query = query.where(of_scope(db, scope))
        places = db.execute(query if limit is None else query.limit(limit + 1)).all()
        more = limit is not None and len(places) > limit
        shown = places[:limit]
        found = _of(db, [place.seq for place in shown])
    following = f"{shown[-1].at}:{shown[-1].seq}" if more else None
    return Feed(tuple(found), following)


def of_scope(db: Connection, scope: Scope) -> ColumnElement[bool]:
    """Changes of the scope's memories, found from the memories; or, if so many changes are its own that the newest of
    all soon fill a page, by checking each. With 100,000 of 200,000 that takes a fortieth of the time."""
    held = db.execute(select(func.sum(scopes.c.memories)).where(*in_scope(scopes, scope))).scalar() or 0
    newest = db.execute(select(func.max(changes.c.seq))).scalar() or 0
    own = in_scope(versions, scope)
    if held * held > PAGE * newest:
        return exists().where(versions.c.id == func.coalesce(changes.c.after, changes.c.before), *own)
    return changes.c.memory_id.in_(select(versions.c.memory_id).where(*own))


def _of(db: Connection, places: list[int]) -> list[Change]:
    found: dict[int, Change] = {}
    for start in range(0, len(places), CHUNK):
        some = places[start : start + CHUNK]
        # Changes are read in the order of writing, that of the sorted places.
        found |= zip(sorted(some), read_changes(db, changes.c.seq.in_(some)), strict=True)
    return [found[place] for place in places]


def _before(cursor: str) -> tuple[int, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None or not all(-(2**63) <= int(one) < 2**63 for one in found.groups()):
        raise InputError(f"cursor={cursor[:100]!r} is not the `next` of such a page")
    return int(found[1]), int(found[2])


def read_changes(db: Connection, condition: ColumnElement[bool]) -> Changes:
    """The changes in the order of writing."""
    before, after = versions.alias("before"), versions.alias("after")
    whose: Any = [func.coalesce(after.c[name], before.c[name]).label(name) for name in SCOPE]
    query = (
        select(changes, before.c.text.label("text_before"), after.c.text.label("text_after"), *whose)
        .outerjoin(before, before.c.id == changes.c.before)
        .outerjoin(after, after.c.id == changes.c.after)
        .where(condition)
        .order_by(changes.c.seq)
    )
    rows = db.execute(query).all()
    behind: dict[str, list[str]] = {}
    ids = [row.id for row in rows]
    for start in range(0, len(ids), CHUNK):
        said = select(evidence.c.change_id, evidence.c.message_id).order_by(evidence.c.position)
        said = said.where(evidence.c.change_id.in_(ids[start : start + CHUNK]))
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
            scope=Scope(row.user_id or None, row.agent_id or None, row.run_id or None),
        )
        for row in rows
    )
