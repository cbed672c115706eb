"""Whose memories the store holds, and how many: a reading of the scopes' rows, which `tally` keeps."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

from sqlalchemy import and_, func, select, tuple_

from ...errors import InputError
from ...types import Owner, Owners, Scope
from ..times import from_micros
from .database import Database, in_scope
from .prepared import SCOPE
from .schema import scopes

By = Literal["user", "scope"]
BY: tuple[By, ...] = get_args(By)


def owners(database: Database, scope: Scope, by: By, limit: int | None, cursor: str | None) -> Owners:
    """One page of owners. Raises InputError if the cursor is not from such a page."""
    key = [scopes.c[name] for name in (SCOPE if by == "scope" else SCOPE[:1])]
    held = and_(*in_scope(scopes, scope), scopes.c.since.is_not(None))
    query = (
        select(
            *key,
            func.sum(scopes.c.memories).label("memories"),
            func.min(scopes.c.since).label("since"),
            func.max(scopes.c.changed_at).label("changed_at"),
        )
        .where(held)
        .group_by(*key)
        .order_by(*key)
    )
    if cursor is not None:
        query = query.where(tuple_(*key) > tuple_(*_after(cursor, len(key))))
    with database.reading() as db:
        total = db.execute(select(func.count()).select_from(select(*key).where(held).distinct().subquery()))
        rows = db.execute(query if limit is None else query.limit(limit + 1)).all()
        count = total.scalar_one()
    more = limit is not None and len(rows) > limit
    shown = rows[:limit]
    following = json.dumps(list(shown[-1][: len(key)]), ensure_ascii=False) if more else None
    return Owners(tuple(_owner(row) for row in shown), count, following)


def _owner(row: Any) -> Owner:
    ids = {name: row._mapping.get(name) or None for name in SCOPE}
    return Owner(
        **ids,
        memories=int(row.memories),
        since=from_micros(row.since),
        changed_at=from_micros(row.changed_at),
    )


def _after(cursor: str, length: int) -> list[str]:
    try:
        found = json.loads(cursor)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != length or not all(isinstance(one, str) for one in found):
        raise InputError(f"cursor={cursor[:100]!r} is not the `next` of such a page")
    return found
