"""The official MCP memory server (`@modelcontextprotocol/server-memory`, its `memory.jsonl` since 2024).

One object a line: `{"type": "entity", "name", "entityType", "observations": [...]}` and `{"type": "relation", "from",
"to", "relationType"}`. Each observation becomes a memory that names its entity, each relation one; nothing is dated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .files import lines
from .items import Item, Read, Remembered, Unreadable, each, mapping, sequence, text
from .request import Request


def read(path: Path, request: Request) -> Iterator[Read]:
    yield from each(lines(path), _one)


def _one(found: Any) -> Iterable[Item | Unreadable]:
    found = mapping(found)
    match found.get("type"):
        case "entity":
            name, kind = text(found.get("name"), "name"), text(found.get("entityType"), "entityType")
            about = {"entity": name, "entity_type": kind}
            observed = [
                text(one, "an observation") for one in sequence(found.get("observations"), "observations")
            ]
            if not observed:
                yield Remembered(((f"{name}: {kind}", None),), {}, ("entity", name), metadata=about)
            for one in observed:
                yield Remembered(((f"{name}: {one}", None),), {}, ("observation", name, one), metadata=about)
        case "relation":
            ends = [text(found.get(name), name) for name in ("from", "relationType", "to")]
            about = dict(zip(("entity", "relation", "related"), ends, strict=True))
            yield Remembered(((" ".join(ends), None),), {}, ("relation", *ends), metadata=about)
        case kind:
            raise Unreadable(f"type {kind!r} is neither entity nor relation")
