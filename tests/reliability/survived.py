"""After a kill: what has to hold, whatever the moment was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from holdfast import Memory
from holdfast.io import Inline, run_inline
from holdfast.storage.index import FOREVER
from holdfast.storage.index.payload import packed
from holdfast.storage.index.qdrant_filters import stored_payload
from holdfast.storage.ledger.tally import recount
from tests.reliability import killed
from tests.reliability.killed import MARKER, USERS, open_store
from tests.support import inside
from tests.support.files import content


class Broken(Exception):
    """A promise that was not kept."""


def check(folder: Path) -> str:
    """Open the store again and hold it to its promises. Returns what state it was found in. Raises `Broken`."""
    lines = [json.loads(line) for line in _whole_lines(folder / "log")]
    _let_leases_run_out(folder)
    with open_store(folder) as memory:
        pending = len(memory.jobs.pending())
        if not memory.index.verify():
            raise Broken(f"ledger and index disagree after opening: {memory.index.verify()}")
        if not memory.flush(30) or memory.jobs.pending() or memory.jobs.failed():
            raise Broken(f"work does not complete: {memory.jobs.pending()} {memory.jobs.failed()}")
        for user in USERS:
            _User(memory, user, [line for line in lines if line["user"] == user]).check()
        if not memory.index.verify():
            raise Broken(f"ledger and index disagree after the work: {memory.index.verify()}")
        _check_points(memory)
        _check_chains(memory)
        _check_counts(memory)
    if killed.ledger:
        _check_tables(folder)
    else:
        _check_closed(folder / "store")
    return f"{len(lines)} lines, {pending} pending"


def _whole_lines(path: Path) -> Iterator[str]:
    if path.exists():
        yield from path.read_text().splitlines()


class _User:
    """What one user was answered, against what the store says now."""

    def __init__(self, memory: Memory, user: str, lines: list[dict[str, Any]]) -> None:
        self._memory = memory
        self._user = user
        self._known = {item.id: item.text for item in memory.get_all(user_id=user)}
        self._said = {message.message.id for message in memory.messages(user_id=user)}
        self._done = [line for line in lines if "did" in line]
        open_ = [line for line in lines if "intends" in line]
        self._cut = open_[-1] if len(open_) > len(self._done) else None
        self._erased = max((at for at, line in enumerate(self._done) if line["did"] == "erase"), default=-1)

    def check(self) -> None:
        if self._cut is not None and self._cut["intends"] == "erase" and not self._known and not self._said:
            return  # it was carried out
        for line in self._done[self._erased + 1 :]:
            self._check_said(line)
        self._check_answered()
        self._check_cut()

    def _check_said(self, line: dict[str, Any]) -> None:
        ids = line.get("texts" if line["did"] == "add" else "ids", [])
        if not set(ids) <= self._said:
            raise Broken(f"{self._user}: messages were lost: {set(ids) - self._said}")
        if line["did"] == "add" and not line["changes"]:  # background: no answer yet, but a promise
            for text in line["texts"]:
                self._expect_text(text)

    def _check_answered(self) -> None:
        """The last answer about a memory holds, unless the operation that was cut off is about it."""
        expected: dict[str, str | None] = {}
        for line in self._done[self._erased + 1 :]:
            expected |= {
                memory_id: after for memory_id, operation, after in line["changes"] if operation != "NOOP"
            }
        cut = self._cut or {}
        for memory_id, text in expected.items():
            now = self._known.get(memory_id)
            if now == text:
                continue
            if cut.get("id") == memory_id and now == cut.get("text"):
                continue
            if cut.get("intends") == "state":
                continue  # its merge may have changed it
            raise Broken(f"{self._user}: memory {memory_id} is {now!r}, and {text!r} was answered ({cut})")

    def _check_cut(self) -> None:
        """What was cut off happened altogether or not at all."""
        cut = self._cut
        if cut is None or cut["intends"] not in ("add", "state"):
            return
        ids = set(cut.get("texts", cut.get("ids", [])))
        if ids & self._said and not ids <= self._said:
            raise Broken(f"{self._user}: half of an add was journaled: {ids & self._said}")
        for text in cut.get("texts", []):
            if text in self._said:
                self._expect_text(text)
            elif text in self._known.values():
                raise Broken(f"{self._user}: a memory without its message: {text!r}")

    def _expect_text(self, text: str) -> None:
        found = [memory_id for memory_id, known in self._known.items() if known == text]
        if len(found) != 1 and not self._went_on(text):
            raise Broken(f"{self._user}: {text!r} is {len(found)} memories instead of one")

    def _went_on(self, text: str) -> bool:
        """Whether a later operation changed it."""
        return any(line.get("text") == text or line["did"] in ("update", "delete") for line in self._done)


def _check_points(memory: Memory) -> None:
    """Every point says what its version says."""
    import qdrant_edge as q

    store = inside.store_of(memory)
    wanted: dict[str, Any] = {}
    last = 0
    while page := store.ledger.outbox.page(last, 500, store.embedder.name):
        wanted |= {point.id: point for _, point in page}
        last = page[-1][0]
    if len(wanted) != run_inline(store.index.count(Inline())):
        raise Broken("a version has no vector, or a point no version")
    if killed.ledger:
        _check_rows(memory, wanted)
        return
    shard = store.index._shard  # type: ignore[attr-defined]
    records, _ = shard.scroll(q.ScrollRequest(limit=100_000, with_payload=True, with_vector=False))
    for record in records:
        payload = dict(record.payload or {})
        version = wanted[str(payload.pop("id", record.id))]
        if payload != stored_payload(version):
            raise Broken(f"a point says {payload}, its version {version.payload}")


def _check_rows(memory: Memory, wanted: dict[str, Any]) -> None:
    store = inside.store_of(memory)
    with store.ledger.database.reading() as db:
        rows = db.exec_driver_sql(f"SELECT * FROM points_{store.basis.generation}").mappings().all()
    for row in rows:
        payload = wanted[str(row["id"])].payload
        expected = {key: payload.get(key) for key in ("u", "a", "r", "t0", "t1", "c", "h", "x", "m")}
        expected["f"] = packed(payload)
        said = {key: row[key] for key in expected}
        if said != expected:
            raise Broken(f"a point says {said}, its version {expected}")


def _check_chains(memory: Memory) -> None:
    """Versions follow one another, and every one has the change that made it."""
    with inside.store_of(memory).ledger.database.reading() as db:
        rows = db.exec_driver_sql(
            "SELECT memory_id, version, valid_from, valid_to, id FROM versions ORDER BY memory_id, version"
        ).all()
        made = db.exec_driver_sql(
            'SELECT "after" FROM changes WHERE "after" IS NOT NULL AND operation <> \'NOOP\''
        ).all()
        loose = db.exec_driver_sql(
            "SELECT count(*) FROM evidence WHERE message_id NOT IN (SELECT id FROM messages)"
        ).scalar()
    if sorted(row.id for row in rows) != sorted(name for (name,) in made):
        raise Broken("versions and changes do not match")
    if loose:
        raise Broken("evidence without its message")
    for one, other in pairwise(rows):
        apart = other.version != one.version + 1 or one.valid_to > other.valid_from or one.valid_to == FOREVER
        if one.memory_id == other.memory_id and apart:
            raise Broken(f"versions of {one.memory_id} do not follow one another")


def _check_counts(memory: Memory) -> None:
    """What is counted of each scope as it changes is what a count of its versions says."""
    with inside.store_of(memory).ledger.database.writing() as db:
        query = "SELECT user_id, memories, since, changed_at FROM scopes ORDER BY user_id"
        before = db.exec_driver_sql(query).all()
        recount(db)
        if (after := db.exec_driver_sql(query).all()) != before:
            raise Broken(f"the scopes' counts are {before}, and should be {after}")


def _let_leases_run_out(folder: Path) -> None:
    """On a server others wait for what a process had begun when it was killed, until its lease is over."""
    if killed.ledger:
        with psycopg.connect(killed.ledger) as db:
            db.execute(f"SET search_path TO {killed.schema_of(folder)}")
            if db.execute("SELECT to_regclass('jobs')").fetchone() != (None,):
                db.execute("UPDATE jobs SET lease_until = 0 WHERE state = 'running'")


def _check_tables(folder: Path) -> None:
    """What is left in the schema: nothing of who was erased, in no generation of the index."""
    with psycopg.connect(killed.ledger) as db:
        db.execute(f"SET search_path TO {killed.schema_of(folder)}")
        left = db.execute("SELECT count(*) FROM messages WHERE user_id = 'bob'").fetchone()
        tables = db.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^points_' "
                            "AND schemaname = current_schema()").fetchall()  # fmt: skip
        rows = [db.execute(f"SELECT count(*) FROM {table} WHERE u = 'bob'").fetchone() for (table,) in tables]
    if left == (0,) and any(row != (0,) for row in rows):
        raise Broken(f"points of an erased user in {tables}: {rows}")


def _check_closed(store: Path) -> None:
    """What is left in the folder: one index, a sound database, and nothing of who was erased."""
    indexes = [path.name for path in store.glob("index-*") if path.is_dir()]
    if len(indexes) != 1:
        raise Broken(f"left behind: {indexes}")
    with sqlite3.connect(store / "ledger.db") as db:
        if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise Broken("the database is damaged")
        left = db.execute("SELECT count(*) FROM messages WHERE user_id = 'bob'").fetchone()[0]
        embedders = db.execute("SELECT DISTINCT embedder FROM vectors").fetchall()
        settings = dict(db.execute("SELECT key, value FROM meta").fetchall())
    db.close()
    if "erasing" in settings or "retired" in settings:
        raise Broken(f"unfinished: {settings}")
    if (settings["embedder"],) not in embedders and embedders:
        raise Broken(f"vectors of {embedders}, settings {settings}")
    if not left:
        found = [
            path.name for path in store.rglob("*") if path.is_file() and MARKER.encode() in content(path)
        ]
        if found:
            raise Broken(f"bytes of an erased user in {found}")
