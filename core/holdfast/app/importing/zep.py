"""Zep: what its API (v2 to v4, and the community edition's v0) returns, kept as JSON. There is no export file.

A thread, or session: `{"thread_id" or "session_id", "user_id", "messages": [{"uuid", "role", "role_type", "name",
"content", "created_at"}]}`; several as a list, under `threads` or `sessions`, or one a line. Its messages by
themselves make one conversation.
Facts: edges of a user's graph, `{"uuid", "fact", "created_at", "valid_at", "expired_at"}`, in a list or under
`edges`; one that expired is a deleted memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .files import records
from .items import (
    IDS,
    ROLES,
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

LISTS = ("threads", "sessions", "edges", "facts")


def read(path: Path, request: Request) -> Iterator[Read]:
    yield from each(_whole(path), _one)


def _whole(path: Path) -> Iterator[tuple[str, Any]]:
    """Threads and facts by themselves. Bare messages are taken together, as a page of one thread."""
    bare = []
    for where, found in records(path):
        if not isinstance(found, Mapping):
            yield where, found
        elif "content" in found and "messages" not in found:
            bare.append(found)
        elif lists := [name for name in LISTS if isinstance(found.get(name), list)]:
            whose = {name: found[name] for name in IDS if isinstance(found.get(name), str)}
            for name in lists:
                for number, one in enumerate(found[name], 1):
                    yield f"{name}, item {number}", {**whose, **one} if isinstance(one, Mapping) else one
        else:
            yield where, found
    if bare:
        yield "the messages", {"messages": bare, "thread_id": path.stem}


def _one(found: Any) -> Iterable[Item | Unreadable]:
    found = mapping(found)
    if "fact" in found:
        yield _fact(found)
        return
    if "messages" not in found:
        raise Unreadable("it has neither messages nor a fact")
    yield from _thread(found)


def _thread(found: Mapping[str, Any]) -> Iterable[Item | Unreadable]:
    named = found.get("thread_id") or found.get("session_id") or found.get("uuid")
    said, wrong = spoken(sequence(found["messages"], "messages"), _message)
    yield from wrong
    if said:
        yield Conversation(tuple(said), ids(found), text(named, "thread_id"))


def _message(number: int, found: Mapping[str, Any]) -> Said | None:
    if not found.get("content"):
        return None
    kind, named = found.get("role_type", found.get("role")), found.get("name")
    if kind == "norole":
        kind = "user"
    if named is None and "role_type" in found and str(found.get("role")) not in ROLES:
        named = found.get("role")  # in v2 the role is the speaker's name
    at = past(found.get("reference_time") or found.get("created_at"), "created_at")
    own = found.get("uuid")
    return Said(
        str(own or number),
        text(found["content"], "content"),
        role(kind),
        at,
        text(named, "name") if named else None,
        own if isinstance(own, str) else None,
    )


def _fact(found: Mapping[str, Any]) -> Item:
    name = text(found.get("uuid"), "uuid")
    ended = past(found.get("expired_at"), "expired_at")
    more = {key: found[key] for key in ("name", "attributes", "invalid_at") if found.get(key)}
    return Remembered(
        texts=((text(found["fact"], "fact"), past(found.get("created_at"), "created_at")),),
        ids=ids(found),
        key=(name,),
        id=uuid(name),
        metadata=metadata(more),
        happened_at=moment(found.get("valid_at"), "valid_at"),
        forgotten=ended is not None,
        forgotten_at=ended,
    )
