"""Embeddings of another library as the engine's `Embedder`: what adapters have in common."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..io import IO, operation

Both = tuple[Callable[..., Any], Callable[..., Awaitable[Any]]]  # a method and its async twin


class BorrowedEmbedder:
    """An `Embedder` over two methods of another library.

    name: the identity under which the store records its vectors.
    documents: from texts to a vector for each.
    query: from one text to its vector.
    dimensions: the length of the vectors; by default determined by embedding one word, when first needed.
    """

    def __init__(self, name: str, documents: Both, query: Both, dimensions: int | None = None) -> None:
        self._name = name
        self._documents, self._query = documents, query
        self._dimensions = dimensions
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @property
    def name(self) -> str:
        """The identity of its vectors in the store."""
        return self._name

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""
        with self._guard:
            if self._dimensions is None:
                self._dimensions = len(self._query[0]("dimensions"))
            return self._dimensions

    @operation
    async def embed_documents(self, io: IO, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32[len(texts), dimensions]."""
        return np.asarray(await io.call(*self._documents, list(texts)), np.float32)

    aembed_documents = embed_documents.twin

    @operation
    async def embed_query(self, io: IO, text: str) -> npt.NDArray[np.float32]:
        """float32[dimensions]."""
        return np.asarray(await io.call(*self._query, text), np.float32)

    aembed_query = embed_query.twin
