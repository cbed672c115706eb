"""Maintenance of an index: compare it with the ledger, repair it, rebuild it, lay it out for reading."""

from __future__ import annotations

from ..io import IO, operation
from ..ports import Embedder
from ..storage.projection import Agreement, Progress
from ..storage.store import Store
from ..types import Scope
from .arguments import check_ports
from .events import Listeners
from .reindex import reindex


class IndexMaintenance:
    """The index of a store, for its operator: `memory.index`. Thread-safe.

    It belongs to the whole store, so a scoped memory has none.
    """

    def __init__(self, store: Store, listeners: Listeners) -> None:
        self._store = store
        self._listeners = listeners

    @operation
    async def verify(self, io: IO) -> Agreement:
        """Whether ledger and index agree, and what is missing where. Truthy if they agree.

        Raises ClosedError, StorageError.
        """
        self._store.check()
        return await self._store.projection.verify(io)

    averify = verify.twin

    @operation
    async def repair(self, io: IO) -> Agreement:
        """Bring the index in line with the ledger. Returns what `verify` finds afterwards.

        Raises ClosedError, StorageError.
        """
        self._store.check()
        return await self._store.projection.repair(io)

    arepair = repair.twin

    @operation
    async def rebuild(
        self, io: IO, embedder: Embedder | None = None, *, progress: Progress | None = None
    ) -> int:
        """Rebuild the index, with another embedder if one is given. Searches and changes continue meanwhile.

        When it returns, every `Memory` of this process on the store has the new embedder; other processes must open
        the store again. If it is cut short, the store stays as it was, and the next attempt keeps the texts already
        embedded.

        embedder: by default the store's own.
        progress: called with how many texts, then points, are done, and how many there are.

        Returns the number of points. Raises InputError, EmbeddingError, ClosedError, StorageError.
        """
        self._store.check()
        check_ports(embedder=embedder)
        with self._listeners.observing("rebuild", Scope()):
            return await reindex(self._store, io, embedder, progress)

    arebuild = rebuild.twin

    @operation
    async def optimize(self, io: IO) -> bool:
        """Lay the embedded index out for reading: a large store then opens several times faster, takes a quarter of
        the memory, and searches somewhat faster.

        Call it in quiet hours, after a bulk import for example: it takes about five seconds per 100,000 memories
        added since the last time, and the whole process waits meanwhile, its event loop too. If it is killed, the
        store is as it was.

        Returns whether there was anything to do: not with fewer than about 10,000 new memories, and not with a Qdrant
        server, which does this by itself. Raises ClosedError, StorageError.
        """
        self._store.check()
        with self._listeners.observing("optimize", Scope()):
            return await self._store.projection.optimize(io)

    aoptimize = optimize.twin
