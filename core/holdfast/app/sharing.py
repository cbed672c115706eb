"""`holdfast mcp` for several clients of one folder: the first one serves the others.

When it has gone, the next to ask takes its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import StoreLockedError
from .connections import Connection, Place, connected
from .failures import NotThereError
from .plain import JsonObject
from .serving import hosted

PATIENCE = 10  # seconds, while somebody opening or closing the folder has it but does not serve it


@dataclass(slots=True)
class Shared:
    """Operations through the folder's server; on the store itself if nobody has it open."""

    place: Place
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _current: Connection | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> JsonObject:
        """As `Connection.call`. Tried once more if the folder's server has gone."""
        connection = await self.connection()
        try:
            return await connection.call(name, arguments)
        except NotThereError:
            await self._leave(connection)
            return await (await self.connection()).call(name, arguments)

    async def connection(self) -> Connection:
        """Raises StoreLockedError if somebody has the folder but does not serve it."""
        async with self._connecting:
            if self._current is None:
                self._current = await self._connected()
            return self._current

    async def close(self) -> None:
        await self._stack.aclose()

    async def _connected(self) -> Connection:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if self.place.url or self.place.ledger or self.place.served():
                    return await self._stack.enter_async_context(connected(self.place, resume=True))
                return await self._stack.enter_async_context(hosted(self.place))
            except StoreLockedError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)

    async def _leave(self, connection: Connection) -> None:
        async with self._connecting:
            if self._current is connection:
                self._current = None
                await self._stack.aclose()


@asynccontextmanager
async def shared(place: Place) -> AsyncIterator[Shared]:
    """Raises HoldfastError."""
    made = Shared(place)
    try:
        await made.connection()  # errors are raised at once rather than by the first request
        yield made
    finally:
        await made.close()
