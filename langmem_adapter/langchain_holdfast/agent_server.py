"""A store for LangGraph's server, which opens it when it starts and closes it when it stops.

    {
      "dependencies": ["."],
      "graphs": {"agent": "./agent.py:graph"},
      "store": {"path": "langchain_holdfast.agent_server.store"}
    }

The server takes an installed module's path with dots only. The store works on the folder of HOLDFAST_HOME, or on the
database of HOLDFAST_LEDGER with the index of HOLDFAST_INDEX, which several servers may share. A `Memory` that a graph
opens on the same folder, in the same process, shares the store.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast import Memory
from holdfast.io import ASYNCIO

from .store import HoldfastStore


@asynccontextmanager
async def store() -> AsyncIterator[HoldfastStore]:
    """The store, as the environment says. Neither opening nor closing it blocks the event loop.

    Raises InputError, StoreLockedError if another process has the folder open, StorageError.
    """
    async with await ASYNCIO.run(_opened) as memory:
        yield await ASYNCIO.run(HoldfastStore, memory)


def _opened() -> Memory:
    return Memory(ledger=os.environ.get("HOLDFAST_LEDGER"), index=os.environ.get("HOLDFAST_INDEX"))
