"""mem0 (`mem0ai` 0.1 to 2, and its platform): `history.db`, or memories as JSON.

JSON: what `get_all` returns, `{"results": [{"id", "memory", "user_id", "agent_id", "run_id", "metadata",
"created_at", "updated_at", ...}]}`, its pages' lists by themselves, or one such object a line.
SQLite: the table `history(id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, ...)`. It
has every version of every memory, but not whose they are. Its table `messages` is a short buffer of what was
extracted already, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from .files import is_sqlite, records, rows
from .items import (
    IDS,
    Item,
    Read,
    Remembered,
    Unreadable,
    each,
    ids,
    mapping,
    metadata,
    moment,
    past,
    text,
    uuid,
)
from .request import Request

HISTORY = ("memory_id", "old_memory", "new_memory", "event", "created_at", "updated_at", "is_deleted")
# Fields of ours, or of use to mem0 alone.
OURS = frozenset({*IDS, "id", "memory", "data", "metadata", "created_at", "updated_at", "expiration_date"})
THEIRS = frozenset({"hash", "score", "text_lemmatized"})


def read(path: Path, request: Request) -> Iterator[Read]:
    if is_sqlite(path):
        yield from each(_histories(path), _history)
    else:
        yield from each(records(path, "results", "memories"), _memory)


def _memory(found: Any) -> Iterable[Item]:
    found = mapping(found)
    created, updated = (
        past(found.get("created_at"), "created_at"),
        past(found.get("updated_at"), "updated_at"),
    )
    name = text(found.get("id"), "id")
    more = {key: value for key, value in found.items() if key not in OURS | THEIRS}
    yield Remembered(
        texts=((text(found.get("memory", found.get("data")), "memory"), created or updated),),
        ids=ids(found),
        key=(name,),
        id=uuid(name),
        metadata=metadata(found.get("metadata")) | metadata(more),
        expires_at=moment(found.get("expiration_date"), "expiration_date"),
    )


def _histories(path: Path) -> Iterator[tuple[str, Any]]:
    """The rows of each memory, in the order of its first one."""
    by_memory: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    for number, row in enumerate(rows(path, "history", HISTORY), 1):
        by_memory.setdefault(row["memory_id"], []).append((number, row))
    for steps in by_memory.values():
        yield f"row {steps[0][0]}", [row for _, row in steps]


def _history(steps: list[dict[str, Any]]) -> Iterable[Item]:
    name = text(steps[0]["memory_id"], "memory_id")
    texts: list[tuple[str, datetime | None]] = []
    forgotten = False
    forgotten_at = None
    for step in steps:
        event = step["event"]
        at = past(step["updated_at"] or step["created_at"], "updated_at")
        if event == "DELETE":
            if not texts:
                texts.append((text(step["old_memory"], "old_memory"), past(step["created_at"], "created_at")))
            forgotten, forgotten_at = True, at
        elif event in ("ADD", "UPDATE"):
            if event == "UPDATE" and not texts:
                texts.append((text(step["old_memory"], "old_memory"), past(step["created_at"], "created_at")))
            texts.append((text(step["new_memory"], "new_memory"), at))
            forgotten = False
        elif event != "NONE":
            raise Unreadable(f"event {event!r} is none of ADD, UPDATE, DELETE, NONE")
    if texts:
        yield Remembered(
            tuple(texts), {}, (name,), uuid(name), forgotten=forgotten, forgotten_at=forgotten_at
        )
