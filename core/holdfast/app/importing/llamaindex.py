"""LlamaIndex's `SimpleChatStore`, as `persist` writes it (`llama-index-core` 0.10 to 0.14).

`{"store": {"alice": [{"role", "additional_kwargs", "blocks": [{"block_type": "text", "text"}]}]}}`; before 0.12 a
message has `content` instead of blocks. A key is a conversation. Chat stores are used with a key for each user, or
for each chat: `--user-id` says whose all of them are, and without it a key is the user. Messages are not dated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...types.storable import storable
from .files import document, parsed
from .items import Conversation, Item, Read, Said, Unreadable, each, role, sequence, spoken, text
from .request import Request


def read(path: Path, request: Request) -> Iterator[Read]:
    found = document(path)
    if isinstance(found, str):  # `json()` written once more as JSON
        found = parsed(found)
    store = found.get("store") if isinstance(found, Mapping) else None
    if not isinstance(store, Mapping):
        raise InputError(f"{path.name} has no `store` of a SimpleChatStore; nothing was imported")
    yield from each(
        ((f"key {key!r}", (key, messages, request)) for key, messages in store.items()), _conversation
    )


def _conversation(found: tuple[str, Any, Request]) -> Iterable[Item | Unreadable]:
    key, messages, request = found
    said, wrong = spoken(sequence(messages, "it"), _message)
    yield from wrong
    if said:
        yield Conversation(
            tuple(said), {} if request.ids else {"user_id": text(key, "the key")}, text(key, "the key")
        )


def _message(number: int, found: Mapping[str, Any]) -> Said | None:
    content = found.get("content")
    if content is None:
        blocks = [one for one in sequence(found.get("blocks"), "blocks") if isinstance(one, Mapping)]
        content = "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))
    if not isinstance(content, str):
        raise Unreadable("content is no text")
    return Said(str(number), storable(content), role(found.get("role"))) if content.strip() else None
