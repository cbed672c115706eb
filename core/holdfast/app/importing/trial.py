"""An import into a memory that is thrown away: what would come in, checked as the real one checks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..connections import Local, Progress
from ..plain import JsonObject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OneVector:
    """An embedder for what nobody will search: every text has the same vector."""

    name = "holdfast/one-vector"
    dimensions = 2

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import numpy as np

        return np.tile(self.embed_query(""), (len(texts), 1))

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        import numpy as np

        return np.array([1, 0], np.float32)

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        return self.embed_query(text)


async def tried(path: Path, ids: Mapping[str, str], progress: Progress | None) -> JsonObject:
    """How much would be new in an empty memory. Raises InputError."""
    from ...memory import Memory

    with Memory(":memory:", llm=None, embedder=OneVector()) as memory:
        return await Local(memory).import_(path, ids, progress)
