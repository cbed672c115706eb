"""What was said, before any model is asked: the journal of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Row,
    bindparam,
    not_,
    select,
    text,
    update,
)

from ...types import JournaledMessage, Message, Role, Scope
from ..times import MICROSECOND, SKEW, Clock, from_micros, to_micros
from .database import Database, exactly, in_scope, lock_scope, scope_key
from .edits import edited, give_up_ids, revise
from .ids import new_id
from .jobs import AddOptions, JobRecord, NewJob, insert_job, options_of, put_off, take_over
from .prepared import insert_rows, of_scope, scope_bound
from .schema import edits, jobs, messages, scopes

# A pause longer than this ends an episode. Chats resume within minutes or come back hours later; LoCoMo's
# sessions, each with a single time, are days apart.
EPISODE_GAP = 60 * 60 * 1_000_000

TOLD_AGAIN = 24 * 60 * 60 * 1_000_000  # a later repetition is a new message
CHUNK = 500  # ids per statement: databases limit their parameters

# What every add asks, built once. Over the whole store: unfinished jobs are few and have an index.
_NOW: BindParameter[int] = bindparam("now", type_=BigInteger)
_TRIED = select(jobs.c.seq, jobs.c.user_id, jobs.c.agent_id, jobs.c.run_id, jobs.c.session_id).where(
    text("state <> 'done'"),
    jobs.c.retry_at.is_not(None),
    ~put_off(jobs, _NOW),
    jobs.c.created_at > _NOW - TOLD_AGAIN,
)


_OF_ADD = select(messages).where(messages.c.add_id == bindparam("add")).order_by(messages.c.seq)
# Of a scope's row -> of the message that was said last.
_COUNTERS = {
    "position": "position",
    "episode": "episode",
    "last_said": "happened_at",
    "last_session": "session_id",
}
_COUNTED = (
    update(scopes).where(*of_scope(scopes)).values({name: bindparam(f"new_{name}") for name in _COUNTERS})
)


@dataclass(frozen=True, slots=True)
class Journaled:
    """fresh: the messages written now and, with a job, earlier ones that were only recorded or put off.
    known: those that were there before, by the caller's own ids. job: what was written to remember the fresh."""

    fresh: tuple[JournaledMessage, ...]
    known: tuple[JournaledMessage, ...]
    job: JobRecord | None = None


class Journal:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def append(
        self,
        scope: Scope,
        said: Sequence[Message],
        *,
        session_id: str | None,
        job: NewJob | None,
        keep: Sequence[str] | None = None,
    ) -> Journaled:
        """Write the messages that are new, and the job that will remember them, in one transaction.

        Every message carries its `happened_at`. A message that was recorded but never remembered joins the job,
        and so do those of a similar job of the session that was put off. Without fresh messages no job is written.
        A known id with another text edits the message. What a waiting caller sends again after an error is known,
        since the failed job is still there. With `keep`, the log is first cleared of all but those ids.
        """
        with self._database.writing(growing=True) as db:
            counters, now = lock_scope(db, scope), self._clock()
            if keep is not None:
                _clear(db, scope, session_id, keep, now)
            if job is not None and job.owner is not None:
                again = _told_again(db, scope, session_id, said, job, now)
                if again:
                    return Journaled((), again)
            known = _known(db, scope, session_id, said)
            if session_id is None:
                known = _recorded(db, known, said)
            told = edited(known, said)
            fresh = _unseen(said, known)
            revised = [_journaled(row) for row in revise(db, told, job.id if job else "", now)]
            known = {name: message for name, message in known.items() if message.id not in told}
            adopted = _adopted(db, scope, session_id, job, known, now) if job is not None else {}
            rows = _rows(scope, fresh, session_id, job.id if job else "", counters, now)
            insert_rows(db, messages, rows)
            if rows:
                last = rows[-1]
                said_last = {f"new_{name}": last[key] for name, key in _COUNTERS.items()}
                db.execute(_COUNTED, {**scope_bound(scope), **said_last})
            made = None
            if job is not None and (rows or adopted or revised):
                made = insert_job(db, scope, session_id, job, now)
        written = (*revised, *adopted.values(), *(_journaled_from(row) for row in rows))
        before = tuple(message for message in known.values() if message.id not in adopted)
        return Journaled(written, before, made)

    def of_add(self, add_id: str) -> tuple[JournaledMessage, ...]:
        with self._database.reading() as db:
            return tuple(_journaled(row) for row in db.execute(_OF_ADD, {"add": add_id}).all())

    def by_ids(self, ids: Iterable[str]) -> dict[str, JournaledMessage]:
        wanted = list(ids)
        found: dict[str, JournaledMessage] = {}
        with self._database.reading() as db:
            for start in range(0, len(wanted), CHUNK):
                query = select(messages).where(messages.c.id.in_(wanted[start : start + CHUNK]))
                found |= {row.id: _journaled(row) for row in db.execute(query)}
        return found

    def before(
        self, scope: Scope, session_id: str | None, position: int, limit: int
    ) -> tuple[JournaledMessage, ...]:
        """The last messages of the scope and session ahead of a position, oldest first."""
        conditions = exactly(messages, scope)
        conditions += [messages.c.session_id == (session_id or ""), messages.c.position < position]
        conditions.append(messages.c.id.not_in(select(edits.c.replaces)))
        query = select(messages).where(*conditions).order_by(messages.c.position.desc()).limit(limit)
        with self._database.reading() as db:
            return tuple(_journaled(row) for row in db.execute(query))[::-1]

    def listed(
        self, scope: Scope, session_id: str | None, *, limit: int | None = None
    ) -> tuple[JournaledMessage, ...]:
        """Messages that match the given ids, oldest first; with a limit, only the newest."""
        query = select(messages).where(*in_scope(messages, scope), messages.c.cleared_at.is_(None))
        if session_id is not None:
            query = query.where(messages.c.session_id == session_id)
        with self._database.reading() as db:
            if limit is None:
                return tuple(_journaled(row) for row in db.execute(query.order_by(messages.c.seq)))
            newest = db.execute(query.order_by(messages.c.seq.desc()).limit(limit))
            return tuple(_journaled(row) for row in newest)[::-1]

    def clear(self, scope: Scope, session_id: str | None, keep: Sequence[str] = ()) -> int:
        """Take messages out of the session's history. They stay in the journal, as evidence of memories."""
        with self._database.writing() as db:
            return _clear(db, scope, session_id, keep, self._clock())


def _clear(db: Connection, scope: Scope, session_id: str | None, keep: Sequence[str], now: int) -> int:
    query = select(messages.c.id).where(*in_scope(messages, scope), messages.c.cleared_at.is_(None))
    if session_id is not None:
        query = query.where(messages.c.session_id == session_id)
    kept = set(keep)
    gone = [name for name in db.execute(query).scalars() if name not in kept]
    for start in range(0, len(gone), CHUNK):
        some = update(messages).where(messages.c.id.in_(gone[start : start + CHUNK]))
        # A cleared message gives up its caller's id, which may be used again.
        db.execute(some.values(cleared_at=now, external_id=None))
    return len(gone)


def _told_again(
    db: Connection, scope: Scope, session_id: str | None, said: Sequence[Message], job: NewJob, now: int
) -> tuple[JournaledMessage, ...]:
    """The messages of a tried but unfinished add of the last day that has exactly the same messages."""
    place = {**scope_key(scope), "session_id": session_id or ""}
    unfinished = db.execute(_TRIED, {"now": now})
    here = [row.seq for row in unfinished if tuple(row[1:]) == tuple(place.values())]
    if not here:
        return ()
    query = select(jobs).where(
        jobs.c.seq.in_(here[-CHUNK:]), jobs.c.state != "running", not_(put_off(jobs, now))
    )
    for row in db.execute(query.order_by(jobs.c.seq.desc())):
        if not _asks_for_the_same(options_of(row), job.options):
            continue
        of_job = select(messages).where(messages.c.add_id == row.id).order_by(messages.c.seq)
        before = tuple(_journaled(found) for found in db.execute(of_job))
        if len(before) == len(said) and all(map(lambda one, other: _same(one, other, now), before, said)):
            return before
    return ()


def _asks_for_the_same(before: AddOptions, told: AddOptions) -> bool:
    """Whatever the model. A repeated duration ends a little later; the first end counts."""
    alike = replace(before, model=told.model, window_tokens=told.window_tokens, expires_at=told.expires_at)
    return alike == told and (before.expires_at is None) == (told.expires_at is None)


def _same(before: JournaledMessage, message: Message, now: int) -> bool:
    """Whether all that the caller gave is equal; a time set by the journal was not given."""
    assert message.happened_at is not None
    told = replace(before.message, happened_at=None) == replace(message, happened_at=None)
    undated = abs(to_micros(message.happened_at) - now) <= SKEW
    was_undated = abs(before.happened_at - before.created_at) <= SKEW * MICROSECOND
    return told and (before.happened_at == message.happened_at or (undated and was_undated))


def _adopted(
    db: Connection,
    scope: Scope,
    session_id: str | None,
    job: NewJob,
    known: Mapping[str, JournaledMessage],
    now: int,
) -> dict[str, JournaledMessage]:
    """Messages that become part of `job`, by id: those of jobs that were put off, and known ones without a job."""
    before = take_over(db, scope, session_id, job, now)
    query = select(messages).where(messages.c.add_id.in_(before)).order_by(messages.c.seq)
    waited = [_journaled(row) for row in db.execute(query)] if before else []
    adopted = [*waited, *(message for message in known.values() if message.add_id is None)]
    for start in range(0, len(adopted), CHUNK):
        ids = [message.id for message in adopted[start : start + CHUNK]]
        db.execute(update(messages).where(messages.c.id.in_(ids)).values(add_id=job.id))
    return {message.id: replace(message, add_id=job.id) for message in adopted}


def _known(
    db: Connection, scope: Scope, session_id: str | None, said: Sequence[Message]
) -> dict[str, JournaledMessage]:
    ids = [message.id for message in said if message.id is not None]
    found: dict[str, JournaledMessage] = {}
    for start in range(0, len(ids), 500):
        query = select(messages).where(
            *exactly(messages, scope),
            messages.c.session_id == (session_id or ""),
            messages.c.external_id.in_(ids[start : start + 500]),
        )
        found |= {row.external_id: _journaled(row) for row in db.execute(query)}
    return found


def _recorded(
    db: Connection, known: dict[str, JournaledMessage], said: Sequence[Message]
) -> dict[str, JournaledMessage]:
    """Without a session, an id names a message only within one call and until the message is remembered. Older
    messages with the same ids give them up."""
    if not known:
        return known
    texts = {message.id: message.content for message in said}
    adds = {message.add_id for message in known.values() if message.add_id is not None}
    done = set(db.execute(select(jobs.c.id).where(jobs.c.id.in_(adds), jobs.c.state == "done")).scalars())
    waiting = {
        name: message
        for name, message in known.items()
        if message.add_id not in done and message.message.content == texts[name]
    }
    give_up_ids(db, [message.id for name, message in known.items() if name not in waiting])
    return waiting


def _unseen(said: Sequence[Message], known: dict[str, JournaledMessage]) -> list[Message]:
    seen = set(known)
    fresh = []
    for message in said:
        if message.id is None or message.id not in seen:
            fresh.append(message)
        if message.id is not None:
            seen.add(message.id)
    return fresh


def _rows(
    scope: Scope,
    said: Sequence[Message],
    session_id: str | None,
    add_id: str,
    counters: Row[Any],
    now: int,
) -> list[dict[str, Any]]:
    """Message rows, numbered from the scope's counters; a long pause or another session starts an episode."""
    rows = []
    position, episode, last = counters.position, counters.episode, counters.last_said
    session = counters.last_session
    for message in said:
        assert message.happened_at is not None
        at = to_micros(message.happened_at)
        position += 1
        if episode == 0 or abs(at - last) > EPISODE_GAP or (session_id or "") != session:
            episode += 1
        last, session = at, session_id or ""
        rows.append(
            {
                "id": new_id(),
                **scope_key(scope),
                "session_id": session,
                "add_id": add_id,
                "position": position,
                "episode": episode,
                "role": message.role,
                "name": message.name,
                "external_id": message.id,
                "content": message.content,
                "data": dict(message.data) if message.data is not None else None,
                "happened_at": at,
                "created_at": now,
            }
        )
    return rows


def _journaled(row: Row[Any]) -> JournaledMessage:
    return _journaled_from(row._mapping)


def _journaled_from(row: Any) -> JournaledMessage:
    happened_at = from_micros(row["happened_at"])
    role: Role = row["role"]
    return JournaledMessage(
        id=row["id"],
        message=Message(row["content"], role, row["name"], row["external_id"], happened_at, row["data"]),
        scope=Scope(row["user_id"] or None, row["agent_id"] or None, row["run_id"] or None),
        session_id=row["session_id"] or None,
        add_id=row["add_id"] or None,
        position=row["position"],
        episode=row["episode"],
        happened_at=happened_at,
        created_at=from_micros(row["created_at"]),
    )
