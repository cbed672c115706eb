"""The work that a journaled `add` still needs, durable and ordered within each scope.

A job is pending until it is leased, running while a process works on it, and then done, pending again (to be retried
later) or failed (given up). A lease that runs out frees the job; a commit is only accepted from the lease's owner, so
no job is ever done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)

from ...errors import NotFoundError
from ...types import Job, JobState, Metadata, Scope, Usage
from ..times import SKEW, Clock, from_micros
from .database import Database, exactly, in_scope, scope_key
from .schema import jobs

LEASE = 300 * 1_000_000  # renewed before every request to a model, which itself times out far sooner
LONGEST_WAIT = 3600 * 1_000_000  # before a job is tried again
UNFINISHED = ("pending", "running")
SCOPE = ("user_id", "agent_id", "run_id")


# What every add asks, built once: to build a statement takes longer than SQLite takes to answer it.
_OLDER = (
    select(jobs.c.seq)
    .where(
        text("state <> 'done'"),
        *(jobs.c[name] == bindparam(name) for name in SCOPE),
        jobs.c.seq < select(jobs.c.seq).where(jobs.c.id == bindparam("job")).scalar_subquery(),
    )
    .limit(1)
)


_NEW = insert(jobs)
_HELD = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.lease_owner == bindparam("owner"), jobs.c.state == "running")
    .values(lease_until=bindparam("until"))
)
_SPENT = ("calls", "input_tokens", "output_tokens")
_ADVANCED = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        windows_done=jobs.c.windows_done + 1,
        **{name: jobs.c[name] + bindparam(f"more_{name}") for name in _SPENT},
    )
)
_FINISHED = _ADVANCED.values(
    state="done", finished_at=bindparam("now"), lease_owner=None, lease_until=None, error=None
)


class LeaseLost(Exception):
    """Another process works on the job now; nothing of ours was committed."""


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How messages become memories.

    infer: merge what is new into what is known. extract: extract facts from the messages first; otherwise every
    message is a fact. model: the one they were journaled for, "" for none. expires_at: when the resulting
    memories expire, in microseconds since the epoch.
    """

    infer: bool
    extract: bool
    instructions: str | None
    metadata: Metadata
    model: str
    window_tokens: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What to journal about an `add`. `owner` is set where the caller goes on to do the work itself.

    delay: microseconds until the work is due; meanwhile it is put off.
    """

    id: str
    options: AddOptions
    owner: str | None = None
    delay: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands. owner: who leased it, "" for nobody."""

    id: str
    scope: Scope
    session_id: str | None
    options: AddOptions
    state: JobState
    windows_done: int
    attempts: int
    error: str | None
    created_at: datetime
    retry_at: datetime | None
    owner: str

    def public(self) -> Job:
        return Job(self.id, self.state, self.scope, self.attempts, self.error, self.created_at, self.retry_at)


class Jobs:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, job_id: str) -> JobRecord:
        with self._database.reading() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no add {job_id!r}")
        return _record(row)

    def listed(self, *states: JobState, scope: Scope | None = None) -> list[JobRecord]:
        query = select(jobs).where(jobs.c.state.in_(states), *in_scope(jobs, scope or Scope()))
        with self._database.reading() as db:
            return [_record(row) for row in db.execute(query.order_by(jobs.c.seq))]

    def lease(
        self, owner: str, *, ahead_of: JobRecord | None = None, job_id: str | None = None
    ) -> JobRecord | None:
        """Take the oldest job that is free and due and whose scope has no older one unfinished.

        ahead_of: only jobs of this one's exact scope that were journaled before it. job_id: only that job.
        """
        if ahead_of is not None and not self._has_older(ahead_of):
            return None
        now = self._clock()
        query = _next(now)
        if job_id is not None:
            query = query.where(jobs.c.id == job_id)
        if ahead_of is not None:
            own = select(jobs.c.seq).where(jobs.c.id == ahead_of.id).scalar_subquery()
            query = query.where(jobs.c.seq < own, *exactly(jobs, ahead_of.scope))
        return self._take(query, owner, now)

    def _has_older(self, job: JobRecord) -> bool:
        """Whether anything unfinished of its exact scope was journaled before a job: mostly not."""
        with self._database.reading() as db:
            return db.execute(_OLDER, {"job": job.id, **scope_key(job.scope)}).first() is not None

    def peek(self, *, beside: Sequence[Scope] = ()) -> JobRecord | None:
        """What `lease` would take, outside the exact scopes in `beside`. Lock its scope before leasing it, so that
        nobody overtakes a leased job."""
        with self._database.reading() as db:
            row = db.execute(_next(self._clock()).where(*_beside(beside))).one_or_none()
        return None if row is None else _record(row)

    def lease_one(self, owner: str, job_id: str) -> JobRecord | None:
        """Take this job, regardless of order and due time, unless somebody is working on it."""
        now = self._clock()
        return self._take(select(jobs).where(jobs.c.id == job_id, _free(now)), owner, now)

    def _take(self, query: Select[Any], owner: str, now: int) -> JobRecord | None:
        with self._database.writing() as db:
            row = db.execute(query.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            held = {"state": "running", "lease_owner": owner, "lease_until": now + LEASE}
            db.execute(update(jobs).where(jobs.c.id == row.id).values(held))
            return replace(_record(row), owner=owner)

    def renew(self, job_id: str, owner: str) -> None:
        """Extend the lease. Raises `LeaseLost`."""
        with self._database.writing() as db:
            hold(db, job_id, owner, self._clock())

    def next_due(self, *, beside: Sequence[Scope] = ()) -> datetime | None:
        """When the next pending job may be tried, outside the exact scopes in `beside`; None if every pending job
        waits for another one."""
        with self._database.reading() as db:
            query = select(func.min(func.coalesce(jobs.c.retry_at, jobs.c.created_at)))
            pending = query.where(
                _open(jobs), jobs.c.state == "pending", ~_blocked(self._clock()), *_beside(beside)
            )
            micros = db.execute(pending).scalar()
        return None if micros is None else from_micros(micros)

    def under_way(self, scope: Scope, until: int, *, apart_from: str | None = None) -> list[str]:
        """The unfinished jobs with the given ids that can be done by `until`: they are worked on or may be tried by
        then, and so may those before them. apart_from: a session whose jobs do not count."""
        given = scope.ids()
        values = {**given, "until": until, "now": self._clock(), "apart_from": apart_from}
        with self._database.statement() as db:
            return list(db.execute(_under_way(tuple(given), apart_from is not None), values).scalars())

    def give_back(
        self, job_id: str, owner: str, error: str | None, *, retry_at: int | None, failed: bool = False
    ) -> None:
        """Release a lease after a failure: to be tried again from `retry_at`, or given up."""
        with self._database.writing() as db:
            db.execute(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.lease_owner == owner)
                .values(
                    state="failed" if failed else "pending",
                    attempts=jobs.c.attempts + (1 if error else 0),
                    error=error,
                    retry_at=retry_at,
                    lease_owner=None,
                    lease_until=None,
                )
            )

    def retry(self, scope: Scope, job_id: str | None = None) -> int:
        """Make failed jobs pending again, with their attempts counted anew."""
        query = update(jobs).where(jobs.c.state == "failed", *in_scope(jobs, scope))
        if job_id is not None:
            query = query.where(jobs.c.id == job_id)
        with self._database.writing() as db:
            return db.execute(query.values(state="pending", attempts=0, retry_at=None)).rowcount

    def begin(self) -> None:
        """Make everything that was put off due now."""
        now = self._clock()
        with self._database.writing() as db:
            db.execute(update(jobs).where(put_off(jobs, now)).values(retry_at=now))

    def free_all(self) -> None:
        """Free the running jobs, on opening a store that only one process can hold."""
        with self._database.writing() as db:
            db.execute(
                update(jobs)
                .where(jobs.c.state == "running")
                .values(state="pending", lease_owner=None, lease_until=None)
            )


def insert_job(db: Connection, scope: Scope, session_id: str | None, job: NewJob, now: int) -> JobRecord:
    owner = job.owner or ""
    retry_at = now + job.delay if job.delay else None
    row = {
        "id": job.id,
        **scope_key(scope),
        "session_id": session_id or "",
        "state": "running" if owner else "pending",
        **asdict(job.options),
        "windows_done": 0,
        "attempts": 0,
        "lease_owner": job.owner,
        "lease_until": now + LEASE if owner else None,
        "retry_at": retry_at,
        "calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "created_at": now,
    }
    db.execute(_NEW, row)
    return JobRecord(
        id=job.id,
        scope=scope,
        session_id=session_id,
        options=job.options,
        state="running" if owner else "pending",
        windows_done=0,
        attempts=0,
        error=None,
        created_at=from_micros(now),
        retry_at=None if retry_at is None else from_micros(retry_at),
        owner=owner,
    )


def take_over(db: Connection, scope: Scope, session_id: str | None, job: NewJob, now: int) -> list[str]:
    """Within a transaction that locked the scope and writes `job`: stop putting off conversations of the scope.

    Jobs of the same session with the same options are deleted, since `job` remembers their messages too; their
    ids are returned. All others become due now, before `job`. Only a job that extracts does this: a fact that is
    stored during a turn does not end the turn.
    """
    if not (job.options.infer and job.options.extract):
        return []
    exact = exactly(jobs, scope)
    # A process that is leasing one of them right now keeps it.
    waiting = db.execute(
        select(jobs).where(*exact, put_off(jobs, now)).with_for_update(skip_locked=True)
    ).all()
    alike = [
        row.id for row in waiting if options_of(row) == job.options and row.session_id == (session_id or "")
    ]
    others = [row.id for row in waiting if row.id not in alike]
    if alike:
        db.execute(jobs.delete().where(jobs.c.id.in_(alike)))
    if others:
        db.execute(update(jobs).where(jobs.c.id.in_(others)).values(retry_at=now))
    return alike


def options_of(row: Row[Any]) -> AddOptions:
    return AddOptions(
        row.infer, row.extract, row.instructions, row.metadata, row.model, row.window_tokens, row.expires_at
    )


def hold(db: Connection, job_id: str, owner: str, now: int) -> None:
    """Within a transaction: check that the lease is ours, and extend it. Raises `LeaseLost`."""
    held = db.execute(_HELD, {"job": job_id, "owner": owner, "until": now + LEASE})
    if held.rowcount != 1:
        raise LeaseLost(job_id)


def advance(db: Connection, job_id: str, *, usage: Usage, finished: bool, now: int) -> None:
    """Within a transaction: record that one more window of the job is committed; the last one finishes it."""
    spent = {f"more_{name}": getattr(usage, name) for name in _SPENT}
    if finished:
        db.execute(_FINISHED, {"job": job_id, "now": now, **spent})
    else:
        db.execute(_ADVANCED, {"job": job_id, **spent})


def _next(now: int) -> Select[Any]:
    query = select(jobs).where(_open(jobs), _free(now), _due(now), ~_blocked(now))
    return query.order_by(jobs.c.seq).limit(1)


def _open(table: FromClause) -> ColumnElement[bool]:
    """Spelled out, or SQLite does not see that the index of unfinished jobs is enough."""
    return table.c.state != "done"


def _beside(scopes: Sequence[Scope]) -> list[ColumnElement[bool]]:
    return [not_(and_(*exactly(jobs, of))) for of in scopes]


def _blocked(now: int) -> ColumnElement[bool]:
    """An older job of the same exact scope is neither finished nor put off."""
    older = jobs.alias("older")
    same_scope = and_(*(older.c[name] == jobs.c[name] for name in SCOPE))
    unfinished = and_(_open(older), older.c.state.in_(UNFINISHED), not_(put_off(older, now)))
    return exists().where(same_scope, older.c.seq < jobs.c.seq, unfinished)


@cache
def _under_way(names: tuple[str, ...], apart: bool) -> Select[Any]:
    """What every search of a shared store asks, with the ids of these names, and apart from a session or not."""
    late = jobs.alias("late")
    now = bindparam("now", type_=BigInteger)
    held_up = exists().where(
        *(late.c[name] == jobs.c[name] for name in SCOPE),
        _open(late),
        late.c.state == "pending",
        late.c.retry_at > bindparam("until", type_=BigInteger),
        or_(late.c.seq == jobs.c.seq, and_(late.c.seq < jobs.c.seq, not_(put_off(late, now)))),
    )
    return select(jobs.c.id).where(
        _open(jobs),
        or_(jobs.c.state == "running", and_(jobs.c.state == "pending", ~held_up)),
        *(jobs.c[name] == bindparam(name) for name in names),
        *([jobs.c.session_id != bindparam("apart_from")] if apart else []),
    )


def _free(now: int) -> ColumnElement[bool]:
    return or_(
        jobs.c.state == "pending", and_(jobs.c.state == "running", _over(jobs.c.lease_until, now, LEASE))
    )


def put_off(table: FromClause, now: int | ColumnElement[int]) -> ColumnElement[bool]:
    """Not due, and never tried."""
    due = func.coalesce(table.c.retry_at, 0)
    waits = ~_over(due, now, LONGEST_WAIT)
    return and_(table.c.state == "pending", table.c.attempts == 0, table.c.windows_done == 0, waits)


def _due(now: int) -> ColumnElement[bool]:
    return or_(jobs.c.retry_at.is_(None), _over(jobs.c.retry_at, now, LONGEST_WAIT))


def _over(end: ColumnElement[int], now: int | ColumnElement[int], longest: int) -> ColumnElement[bool]:
    """A wait is over, or ends later than any can because the clock was wrong when it began."""
    return or_(end <= now, end > now + longest + SKEW)


def _record(row: Row[Any]) -> JobRecord:
    return JobRecord(
        id=row.id,
        scope=Scope(row.user_id or None, row.agent_id or None, row.run_id or None),
        session_id=row.session_id or None,
        state=row.state,
        options=options_of(row),
        windows_done=row.windows_done,
        attempts=row.attempts,
        error=row.error,
        created_at=from_micros(row.created_at),
        retry_at=None if row.retry_at is None else from_micros(row.retry_at),
        owner=row.lease_owner or "",
    )
