"""How many memories each scope holds, since when there are any, and when they changed last.

The counts are in the scopes' rows: every change to memories locks and writes its scope's row anyway, and listing all
users reads one row each instead of all memories.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, bindparam, case, func, select, update

from ...types import Scope
from ..times import FOREVER
from .prepared import SCOPE, of_scope, scope_bound
from .schema import scopes, versions

_NOW = bindparam("now", type_=BigInteger)
_CHANGED = (
    update(scopes)
    .where(*of_scope(scopes))
    .values(
        revision=scopes.c.revision + 1,
        memories=scopes.c.memories + bindparam("balance"),
        since=func.coalesce(scopes.c.since, _NOW),
        changed_at=_NOW,
    )
)


def changed(db: Connection, scope: Scope, balance: int, now: int) -> None:
    """Within a transaction that changes memories: raise their scope's revision, and count `balance` more."""
    db.execute(_CHANGED, {**scope_bound(scope), "balance": balance, "now": now})


def recount(db: Connection, ids: Mapping[str, str] | None = None) -> None:
    """Recount the memories of one exact scope, given by its columns' values, or of every scope."""
    key = [versions.c[name] for name in SCOPE]
    current = versions.c.valid_to == FOREVER
    ended = func.max(case((current, None), else_=versions.c.valid_to))
    query = select(
        *key,
        func.sum(case((current, 1), else_=0)),
        func.min(versions.c.created_at),
        func.max(versions.c.valid_from),
        ended,
    ).group_by(*key)
    if ids is not None:
        query = query.where(*_exactly(versions, ids))
    for *exact, memories, since, opened, closed in db.execute(query).all():
        counted = {"memories": memories, "since": since, "changed_at": max(opened, closed or opened)}
        db.execute(
            update(scopes).where(*_exactly(scopes, dict(zip(SCOPE, exact, strict=True)))).values(counted)
        )


def _exactly(table: Table, ids: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in ids.items()]
