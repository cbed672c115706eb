"""The formats that `holdfast import` reads, by the name that `--from` takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from ...errors import InputError
from ..connections import Connection
from ..plain import JsonObject
from . import chatgpt, jsonl, langgraph, llamaindex, mcp_memory, mem0, zep
from .files import at_hand
from .intake import bring_in
from .request import Reader, Request
from .trial import tried

__all__ = ["FORMATS", "Format", "Request", "format_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format. read: brings a request's source into the memory behind a connection, and returns how much was new;
    raises InputError. summary: what it is, in a few words."""

    summary: str
    read: Callable[[Connection, Request], Awaitable[JsonObject]]


async def from_holdfast(connection: Connection, request: Request) -> JsonObject:
    """Our own export; with `dry_run` into a memory that is thrown away."""
    with at_hand(request.source) as path:
        store = tried if request.dry_run else connection.import_
        return await store(path, request.ids, request.progress)


READERS: dict[str, tuple[str, Reader]] = {
    "mem0": ("history.db, or what get_all returns as JSON", mem0.read),
    "langgraph": ("a store's items: SQLite, CSV of its table, JSON", langgraph.read),
    "langmem": ("the same, as LangMem writes them", langgraph.read),
    "zep": ("threads and facts of its API, as JSON", zep.read),
    "llamaindex": ("a SimpleChatStore", llamaindex.read),
    "mcp-memory": ("memory.jsonl of the MCP memory server", mcp_memory.read),
    "chatgpt": ("conversations.json, or the archive with it", chatgpt.read),
    "jsonl": ("memories or conversations, one object a line", jsonl.read),
}
FORMATS: dict[str, Format] = {"holdfast": Format("what `holdfast export` writes", from_holdfast)} | {
    name: Format(summary, partial(bring_in, name, read)) for name, (summary, read) in READERS.items()
}


def format_of(name: str) -> Format:
    """Raises InputError."""
    if name not in FORMATS:
        raise InputError(f"--from {name}: known formats are {', '.join(FORMATS)}")
    return FORMATS[name]
