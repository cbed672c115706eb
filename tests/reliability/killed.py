"""The process that is killed: a script of operations, with a stop at any step that writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast import EmbedderMismatchError, Memory, Message
from tests.support.fakes import HashEmbedder

EMBEDDERS = (HashEmbedder(64, "test/a"), HashEmbedder(48, "test/b"))
USERS = ("alice", "bob", "carol", "dave")
MARKER = "Zyxwvut"  # in everything of bob's, to be searched for in the files' bytes


ledger = ""  # the URL of a PostgreSQL, where stores have a schema each; else they have a folder


def schema_of(folder: Path) -> str:
    return f"kill_{folder.name}"


def place_of(folder: Path) -> dict[str, Any]:
    """Where the store of a run is, as `Memory` takes it."""
    if not ledger:
        return {"path": folder / "store"}
    return {
        "ledger": f"{ledger}?options=-csearch_path%3D{schema_of(folder)}%2Cpublic",
        "index": "pgvector",
    }


def open_store(folder: Path) -> Memory:
    """With whichever embedder the store has come to."""
    options = {**place_of(folder), "llm": None, "resume_on_open": False}
    try:
        return Memory(**options, embedder=EMBEDDERS[0])
    except EmbedderMismatchError:
        return Memory(**options, embedder=EMBEDDERS[1])


class Stops:
    """Counts the steps that write, and ends this process, as abruptly as can be, at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Two steps, before and after, at every call of a function."""
        original = getattr(owner, name)

        def stopping(*args: Any, **kwargs: Any) -> Any:
            self.step()
            found = original(*args, **kwargs)
            self.step()
            return found

        setattr(owner, name, stopping)

    def install(self) -> None:
        """At steps of the work, statements, commits, index writes, renames, removals of folders."""
        from sqlalchemy import Engine, event
        from sqlalchemy.engine.default import DefaultDialect

        from holdfast.storage.index.edge import EdgeIndex
        from holdfast.storage.store import Store

        self.around(Store, "at")
        event.listen(Engine, "before_cursor_execute", self._statement)
        self.around(DefaultDialect, "do_commit")
        for name in ("_upsert", "_delete", "_clear", "_begin_copy", "_copy_page", "_put_in_place"):
            self.around(EdgeIndex, name)
        self.around(Path, "rename")
        self.around(shutil, "rmtree")
        self.around(os, "replace")

    def _statement(self, *details: Any) -> None:
        if not details[2].lstrip().upper().startswith(("SELECT", "PRAGMA")):
            self.step()


class Log:
    """What was intended and what was answered, where a killed process cannot take it along."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **line: Any) -> None:
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def doing(self, user: str, operation: str, call: Callable[[], Any], **details: Any) -> Any:
        self.write(user=user, intends=operation, **details)
        found = call()
        self.write(user=user, did=operation, **details, changes=_changes(found))
        return found


def _changes(found: Any) -> list[list[Any]]:
    if not hasattr(found, "__iter__"):
        found = [found] if hasattr(found, "operation") else []
    return [[change.memory_id, change.operation, change.after] for change in found]


class Script:
    """One user's operations on a store, each logged before and after."""

    def __init__(self, memory: Memory, log: Log, user: str, tag: str) -> None:
        self._memory = memory
        self._log = log
        self._user = user
        self._tag = f"{tag} {MARKER}" if user == "bob" else tag
        self._said = 0

    def add(self, count: int = 1, *, background: bool = False) -> Any:
        texts = [self._text() for _ in range(count)]
        said = [Message(text, id=text) for text in texts]
        return self._log.doing(
            self._user,
            "add",
            lambda: self._memory.add(
                said, user_id=self._user, infer=False, background=background, expires_at=self._expiry()
            ),
            texts=texts,
        )

    def state(self) -> Any:
        """Through extraction and merging; what becomes of it is not foretold, what was answered has to hold."""
        text = self._text()
        said = Message(f"I live in {text}. I like {text}.", id=text)
        return self._log.doing(
            self._user, "state", lambda: self._memory.add([said], user_id=self._user), ids=[text]
        )

    def update(self, memory_id: str) -> Any:
        text = self._text()
        return self._log.doing(
            self._user, "update", lambda: self._memory.update(memory_id, text), id=memory_id, text=text
        )

    def delete(self, memory_id: str) -> Any:
        return self._log.doing(self._user, "delete", lambda: self._memory.delete(memory_id), id=memory_id)

    def undo(self, change: Any) -> Any:
        return self._log.doing(
            self._user,
            "undo",
            lambda: self._memory.undo(change.id),
            id=change.memory_id,
            text=change.before,
        )

    def erase(self) -> Any:
        return self._log.doing(self._user, "erase", lambda: self._memory.erase(user_id=self._user))

    def _expiry(self) -> timedelta | None:
        """Of every other add."""
        return timedelta(days=1) if self._said % 2 else None

    def _text(self) -> str:
        self._said += 1
        return f"{self._tag} saying {self._said}"


def run_script(folder: Path, tag: str, at: int | None) -> int:
    """Killed at step `at` of `everything`. Returns the number of steps."""
    stops = Stops(at)
    stops.install()
    log = Log(folder / "log")
    with open_store(folder) as memory:
        everything(memory, log, tag)
    return stops.count


def everything(memory: Memory, log: Log, tag: str) -> None:
    """Every kind of operation once, alone."""
    alice, bob = Script(memory, log, "alice", tag), Script(memory, log, "bob", tag)
    first = alice.add(2)
    alice.state()
    bob.add()
    alice.undo(alice.update(first[0].memory_id))
    alice.undo(alice.delete(first[1].memory_id))
    alice.add(background=True)
    memory.flush()
    other = EMBEDDERS[memory.embedder.name == EMBEDDERS[0].name]
    memory.index.rebuild(other)
    bob.erase()
    alice.add()
    memory.index.rebuild()


def run_load(folder: Path, tag: str) -> None:
    """Several users at once, for ever: whoever started this ends it."""
    log = Log(folder / "log")
    memory = open_store(folder)
    for user in USERS[:-1]:
        threading.Thread(target=_restless, args=(Script(memory, log, user, tag),), daemon=True).start()
    while True:
        time.sleep(0.03)
        memory.index.rebuild(EMBEDDERS[memory.embedder.name == EMBEDDERS[0].name])


def _restless(script: Script) -> None:
    while True:
        added = script.add(2)
        script.state()
        script.undo(script.update(added[0].memory_id))
        script.delete(added[1].memory_id)
        script.add(background=True)
