"""What happened on each day: changes to memories, and what their adds cost. Counted by the database."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Column, ColumnElement, case, func, literal_column, select

from ...types import Day, Scope, Usage
from ..times import from_micros
from .database import Database, in_scope
from .feed import of_scope
from .schema import changes, jobs

DAY = 24 * 60 * 60 * 1_000_000  # in microseconds; of UTC


def activity(database: Database, scope: Scope, since: int | None, until: int | None) -> tuple[Day, ...]:
    """The days of `since <= at < until` on which anything happened, oldest first."""
    day = (changes.c.at // literal_column(str(DAY))).label("day")
    more = case((changes.c.before.is_(None), 1), else_=0) - case((changes.c.after.is_(None), 1), else_=0)
    changed = select(day, changes.c.operation, func.count().label("many"), func.sum(more).label("balance"))
    changed = changed.where(*_between(changes.c.at, since, until))
    begun = (jobs.c.created_at // literal_column(str(DAY))).label("day")
    costs = [func.sum(jobs.c[name]).label(name) for name in ("calls", "input_tokens", "output_tokens")]
    spent = select(begun, *costs).where(
        *in_scope(jobs, scope), *_between(jobs.c.created_at, since, until), jobs.c.calls > 0
    )
    with database.reading() as db:
        if scope:
            changed = changed.where(of_scope(db, scope))
        counted = db.execute(changed.group_by("day", changes.c.operation).order_by("day")).all()
        paid = db.execute(spent.group_by("day")).all()
    operations = {number: list(rows) for number, rows in groupby(counted, lambda row: int(row.day))}
    usage = {int(row.day): Usage(*(int(cost) for cost in row[1:])) for row in paid}
    return tuple(
        Day(
            at=from_micros(number * DAY),
            operations={row.operation: row.many for row in operations.get(number, ())},
            balance=sum(int(row.balance) for row in operations.get(number, ())),
            usage=usage.get(number, Usage()),
        )
        for number in sorted({*operations, *usage})
    )


def _between(column: Column[Any], since: int | None, until: int | None) -> Iterator[ColumnElement[bool]]:
    if since is not None:
        yield column >= since
    if until is not None:
        yield column < until
