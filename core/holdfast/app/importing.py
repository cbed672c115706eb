"""The formats that `holdfast import` reads, by the name that `--from` takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .connections import Connection, Local, Progress
from .plain import JsonObject


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be imported, and whose it is to be where the format does not say."""

    source: str
    ids: Mapping[str, str]
    dry_run: bool = False
    progress: Progress | None = None


Reader = Callable[[Connection, Request], Awaitable[JsonObject]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format. read: brings a request's source into the memory behind a connection, and tells how much was new;
    raises InputError. summary: what it is, in a few words."""

    summary: str
    read: Reader


async def from_holdfast(connection: Connection, request: Request) -> JsonObject:
    """Our own export; with `dry_run` into a memory that is thrown away."""
    path = Path(request.source)
    if not path.is_file():  # noqa: ASYNC240 - nobody else is on this loop
        raise InputError(f"{request.source!r} is no file")
    if not request.dry_run:
        return await connection.import_(path, request.ids, request.progress)
    from ..memory import Memory

    with Memory(":memory:", llm=None) as memory:
        return await Local(memory).import_(path, request.ids, request.progress)


FORMATS: dict[str, Format] = {"holdfast": Format("what `holdfast export` writes", from_holdfast)}


def format_of(name: str) -> Format:
    """Raises InputError."""
    if name not in FORMATS:
        raise InputError(f"--from {name}: known formats are {', '.join(FORMATS)}")
    return FORMATS[name]
