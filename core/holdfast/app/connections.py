"""Whom a command or an MCP client talks to: the store itself, or the server that has it open.

The engine is imported only to open a store: a command that talks to a server starts in a third of the time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import httpx

from ..errors import EmbedderMismatchError, StoreLockedError
from . import discovery
from .embedders import embedder_of
from .failures import NotThereError, UnreachableError, error_of
from .plain import JsonObject

if TYPE_CHECKING:
    from ..memory import Memory

_log = logging.getLogger("holdfast")

Progress = Callable[[int, int], None]
KINDS = {
    "message": "messages", "job": "jobs", "version": "versions", "change": "changes", "document": "documents"
}  # fmt: skip


class Connection(Protocol):
    """The operations of `operations.OPERATIONS` by name, and the two that move files."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> JsonObject:
        """The result of an operation as JSON. Raises HoldfastError."""
        ...

    async def export(self, target: IO[str], arguments: Mapping[str, Any]) -> JsonObject:
        """Write an export; returns how much it holds. arguments: ids, or `everything`. Raises HoldfastError."""
        ...

    async def import_(self, source: Path, ids: Mapping[str, str], progress: Progress | None) -> JsonObject:
        """Read an export back; returns how much was new. Raises HoldfastError."""
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """A memory of this process."""

    memory: Memory

    async def call(self, name: str, arguments: Mapping[str, Any]) -> JsonObject:
        from .operations import operation

        return await operation(name)(self.memory, arguments)

    async def export(self, target: IO[str], arguments: Mapping[str, Any]) -> JsonObject:
        return (await self.memory.aexport(target, **arguments)).to_dict()

    async def import_(self, source: Path, ids: Mapping[str, str], progress: Progress | None) -> JsonObject:
        return (await self.memory.aimport_(source, progress=progress, **ids)).to_dict()


@dataclass(frozen=True, slots=True)
class Remote:
    """A server. client: with its address and token."""

    client: httpx.AsyncClient

    async def call(self, name: str, arguments: Mapping[str, Any]) -> JsonObject:
        async with self._asked(f"/v1/{name}", json=dict(arguments)) as answer:
            body: JsonObject = json.loads(await answer.aread())
            return body

    async def export(self, target: IO[str], arguments: Mapping[str, Any]) -> JsonObject:
        counts = dict.fromkeys((*KINDS.values(), "skipped"), 0)
        async with self._asked("/v1/export", json=dict(arguments)) as answer:
            async for line in answer.aiter_lines():
                target.write(f"{line}\n")
                kind = json.loads(line).get("kind")
                if kind in KINDS:
                    counts[KINDS[kind]] += 1
        return counts

    async def import_(self, source: Path, ids: Mapping[str, str], progress: Progress | None) -> JsonObject:
        with open(source, "rb") as file:  # noqa: ASYNC230 - this side has nothing else to do
            async with self._asked("/v1/import", params=dict(ids), content=_pieces(file)) as answer:
                async for line in answer.aiter_lines():
                    told = json.loads(line)
                    if "error" in told:
                        raise error_of(told, answer.status_code)
                    if "result" in told:
                        result: JsonObject = told["result"]
                        return result
                    if progress is not None:
                        progress(*told["progress"])
        raise UnreachableError(
            "the server ended before the import did; run it again: nothing is stored twice"
        )

    async def link(self) -> str:
        """An address that opens the inspector once. Raises HoldfastError."""
        async with self._asked("/link") as answer:
            return f"{str(self.client.base_url).rstrip('/')}{json.loads(await answer.aread())['path']}"

    @asynccontextmanager
    async def _asked(self, path: str, **body: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self.client.stream("POST", path, **body) as answer:
                if answer.status_code != 200:
                    raise error_of(_json(await answer.aread()), answer.status_code)
                yield answer
        except httpx.HTTPError as error:
            kind = NotThereError if isinstance(error, httpx.ConnectError) else UnreachableError
            told = (
                f"the server at {self.client.base_url} does not answer: {str(error) or type(error).__name__}"
            )
            raise kind(told) from error


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := file.read(2**16):
        yield piece


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


# -- opening --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where the memory is. url: of a server, with its token; ledger, index: of databases; else a folder.

    embedder: by its name in `embedders`, if it is not the default.
    """

    home: Path
    url: str | None = None
    token: str | None = None
    ledger: str | None = None
    index: str | None = None
    embedder: str | None = None

    def open(self, *, resume: bool) -> Memory:
        """The store itself. resume: finish what an earlier process left undone. Raises HoldfastError."""
        from ..memory import Memory
        from ..models.defaults import default_model, why_no_model

        # A missing model only matters to commands that remember, so only they report it.
        if resume and (why := why_no_model()) is not None:
            _log.warning(
                "no model is used, and statements are kept word for word: %s. For a model other than OpenAI's, set "
                "OPENAI_BASE_URL and OPENAI_MODEL as well", why,
            )  # fmt: skip
        home = None if self.ledger else self.home
        try:
            return Memory(
                home,
                ledger=self.ledger,
                index=self.index,
                embedder=embedder_of(self.embedder),
                llm=default_model(),
                resume_on_open=resume,
            )
        except EmbedderMismatchError as error:
            raise EmbedderMismatchError(
                f"{error}. The command is told it by --embedder, and changes it by `holdfast reindex --to-embedder`"
            ) from error

    def served(self) -> discovery.Served | None:
        """The server of the folder, if one runs."""
        return None if self.url or self.ledger else discovery.found(self.home)


@asynccontextmanager
async def connected(place: Place, *, resume: bool = False) -> AsyncIterator[Connection]:
    """A server if one is named or runs on the folder; else the store. Raises HoldfastError."""
    served = place.served()
    url, token = (served.url, served.token) if served else (place.url, place.token)
    if url:
        # Work of any length is waited for; a server that is not there is not.
        timeout = httpx.Timeout(None, connect=10)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout, trust_env=not served
        ) as client:
            yield Remote(client)
        return
    try:
        memory = place.open(resume=resume)
    except StoreLockedError as error:
        raise StoreLockedError(f"{error}: `holdfast serve` shares a folder among programs") from error
    async with memory:
        yield Local(memory)
