"""What searches use: an embedder, and the index of its vectors. `reindex` replaces both at once."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from ..io import IO
from ..ports import Embedder
from .index import Index
from .index.base import Joined
from .ledger.outbox import Followed


class Basis:
    """A search holds it while it runs, so that its index is not closed meanwhile.

    joined: whether the index is a `Joined` one. The attribute is the index, if it is.
    """

    def __init__(self, embedder: Embedder, index: Index, generation: str, *, joined: bool) -> None:
        self.embedder = embedder
        self.index = index
        self.generation = generation
        self.joined = cast("Joined", index) if joined else None
        self._guard = threading.Lock()
        self._held = 0
        self._ending: Callable[[], None] | None = None

    @property
    def followed(self) -> Followed:
        """What the ledger tells of changes, and how."""
        return Followed(self.embedder.name, self.generation, self.joined.write if self.joined else None)

    @asynccontextmanager
    async def held(self, io: IO) -> AsyncIterator[Basis]:
        with self._guard:
            self._held += 1
        try:
            yield self
        finally:
            ending = self._left()
            if ending is not None:
                await io.run(ending)

    def end(self, ending: Callable[[], None]) -> None:
        """Call `ending` once nobody holds this any more: now, or when the last holder leaves."""
        with self._guard:
            if self._held:
                self._ending = ending
                return
        ending()

    def _left(self) -> Callable[[], None] | None:
        with self._guard:
            self._held -= 1
            if self._held:
                return None
            ending, self._ending = self._ending, None
        return ending
