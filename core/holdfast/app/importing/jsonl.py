"""Plain JSON Lines, for whatever has no reader of its own. One object a line, either of

- a memory: `text`; and if known `id`, `user_id`, `agent_id`, `run_id`, `metadata` (an object),
  `created_at` (when it was recorded), `happened_at` (the time it tells of), `expires_at`;
- a conversation: `messages`, a list of `{"role", "content"}` with `id`, `name` and `happened_at` if
  known; and `session_id`, `user_id`, `agent_id`, `run_id`, `metadata`.

Times are in ISO 8601, or seconds since 1970. A memory without an id is identified by its text, a
conversation without a session by how it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from .files import lines
from .items import (
    IDS,
    Conversation,
    Item,
    Read,
    Remembered,
    Said,
    Unreadable,
    each,
    ids,
    mapping,
    metadata,
    moment,
    past,
    role,
    sequence,
    spoken,
    text,
    uuid,
)  # fmt: skip
from .request import Request

MEMORY = frozenset({*IDS, "id", "text", "metadata", "created_at", "happened_at", "expires_at"})
TALK = frozenset({*IDS, "messages", "session_id", "metadata"})


def read(path: Path, request: Request) -> Iterator[Read]:
    yield from each(lines(path), _one)


def _one(found: Any) -> Iterable[Item | Unreadable]:
    found = mapping(found)
    fields = TALK if "messages" in found else MEMORY
    if unknown := sorted(set(found) - fields):
        raise Unreadable(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(fields))}")
    if "messages" in found:
        yield from _conversation(found)
        return
    said = text(found.get("text"), "text")
    named = found.get("id")
    yield Remembered(
        texts=((said, past(found.get("created_at"), "created_at")),),
        ids=ids(found),
        key=("id", text(str(named), "id")) if named is not None else ("text", said),
        id=uuid(named),
        metadata=metadata(found.get("metadata")),
        happened_at=moment(found.get("happened_at"), "happened_at"),
        expires_at=moment(found.get("expires_at"), "expires_at"),
    )


def _conversation(found: Mapping[str, Any]) -> Iterable[Item | Unreadable]:
    said, wrong = spoken(sequence(found["messages"], "messages"), _message)
    yield from wrong
    if said:
        session = found.get("session_id") or sha256(said[0].content.encode()).hexdigest()[:32]
        yield Conversation(
            tuple(said), ids(found), text(session, "session_id"), metadata(found.get("metadata"))
        )


def _message(number: int, found: Mapping[str, Any]) -> Said | None:
    name, named = found.get("name"), found.get("id")
    return Said(
        str(named or number),
        text(found.get("content"), "content"),
        role(found.get("role", "user")),
        past(found.get("happened_at"), "happened_at"),
        text(name, "name") if name else None,
        None if named is None else text(str(named), "id"),
    )
