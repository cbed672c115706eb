"""ChatGPT's data export (2023 to 2025): `conversations.json`, or the archive that it comes in.

A list of `{"id" or "conversation_id", "title", "create_time", "current_node", "mapping": {node: {"message", "parent",
"children"}}}`. The tree holds edited and regenerated turns, too; only the branch that ends in
`current_node` is read: the conversation as it was last seen. What users and assistants said in text is taken; hidden
messages, tools and pictures are left out.
"""

from __future__ import annotations

import fnmatch
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...types.storable import storable
from ..failures import TooLargeError
from .files import LARGEST, parsed, records
from .items import (
    Conversation,
    Item,
    Read,
    Said,
    Unreadable,
    each,
    mapping,
    metadata,
    past,
    role,
    sequence,
    spoken,
    text,
)
from .request import Request

FILES = "conversations*.json"  # large exports come in parts


def read(path: Path, request: Request) -> Iterator[Read]:
    yield from each(
        _archived(path) if zipfile.is_zipfile(path) else records(path, "conversations"), _conversation
    )


def _archived(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            found = [one for one in archive.infolist() if fnmatch.fnmatch(Path(one.filename).name, FILES)]
            if not found:
                raise InputError(f"{path.name} has no {FILES}; nothing was imported")
            for part in found:
                if part.file_size > LARGEST:
                    raise TooLargeError(f"{part.filename} has more than the {LARGEST:,} bytes that are taken")
                for number, record in enumerate(parsed(archive.read(part)), 1):
                    yield f"{part.filename}, item {number}", record
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} cannot be read: {error}; nothing was imported") from error


def _conversation(found: Any) -> Iterable[Item | Unreadable]:
    found = mapping(found)
    nodes = mapping(found.get("mapping"), "mapping")
    named = text(found.get("conversation_id") or found.get("id"), "id")
    said, wrong = spoken(list(_branch(nodes, found.get("current_node"))), _message)
    yield from wrong
    if said:
        began = past(found.get("create_time"), "create_time")
        if began is not None and said[0].at is None:
            first = said[0]
            said[0] = replace(first, at=began)
        title = found.get("title")
        yield Conversation(tuple(said), {}, named, metadata({"conversation": title} if title else None))


def _branch(nodes: Mapping[str, Any], last: Any) -> list[Any]:
    """The messages from the root to a node; of the newest leaf if the export names none."""
    if not isinstance(last, str) or last not in nodes:
        leaves = [name for name, node in nodes.items() if not mapping(node, "a node").get("children")]
        last = max(leaves, key=lambda name: _time(nodes[name]), default=None)
    messages = []
    passed = set()
    while isinstance(last, str) and last in nodes and last not in passed:
        passed.add(last)
        node = mapping(nodes[last], "a node")
        if node.get("message") is not None:
            messages.append(node["message"])
        last = node.get("parent")
    return messages[::-1]


def _time(node: Any) -> float:
    message = mapping(node, "a node").get("message")
    at = message.get("create_time") if isinstance(message, Mapping) else None
    return float(at) if isinstance(at, (int, float)) else 0.0


def _message(number: int, found: Mapping[str, Any]) -> Said | None:
    author, content = mapping(found.get("author"), "author"), mapping(found.get("content"), "content")
    about = found.get("metadata")
    spoke = author.get("role") in ("user", "assistant") and found.get("recipient") in (None, "all")
    if not spoke or (isinstance(about, Mapping) and about.get("is_visually_hidden_from_conversation")):
        return None
    if content.get("content_type") not in ("text", "multimodal_text"):
        return None
    said = "\n".join(
        part for part in sequence(content.get("parts") or [], "parts") if isinstance(part, str)
    ).strip()
    if not said:
        return None
    named = found.get("id")
    return Said(
        str(named or number),
        storable(said),
        role(author["role"]),
        past(found.get("create_time"), "create_time"),
        id=named if isinstance(named, str) else None,
    )
