"""Texts to vectors through an embedder, and the checks that keep broken vectors out of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..decisions.retrieval.ranking import indexed_text
from ..errors import EmbeddingError, HoldfastError
from ..io import IO
from ..ports import Embedder
from ..storage.ledger.outbox import Outbox
from ..storage.projection import Progress

Matrix = npt.NDArray[np.float32]
A = TypeVar("A")
T = TypeVar("T")

BATCH = 256  # texts per call: hosted APIs take 100 to 2,048, local ones lose nothing


async def embed_documents(io: IO, embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """float32[len(texts), dimensions], rows L2-normalised. Raises EmbeddingError."""
    if not texts:
        return np.zeros((0, embedder.dimensions), np.float32)

    async def batch(part: Sequence[str]) -> Matrix:
        found = await _called(io, embedder, embedder.embed_documents, embedder.aembed_documents, part)
        return checked(found, len(part), embedder)

    parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    return np.concatenate(await io.map(batch, parts))


async def embed_query(io: IO, embedder: Embedder, text: str) -> Matrix:
    """float32[dimensions], L2-normalised. Raises EmbeddingError."""
    found = await _called(io, embedder, embedder.embed_query, embedder.aembed_query, text)
    row: Matrix = checked([found], 1, embedder)[0]
    return row


async def _called(
    io: IO, embedder: Embedder, function: Callable[[A], T], twin: Callable[[A], Awaitable[T]], argument: A
) -> T:
    try:
        return await io.call(function, twin, argument)
    except HoldfastError:
        raise
    except Exception as error:
        raise EmbeddingError(
            f"the embedder {embedder.name!r} failed: {type(error).__name__}: {error}"
        ) from error


def checked(vectors: Any, count: int, embedder: Embedder) -> Matrix:
    """The vectors as a matrix of unit rows; a row of zeros stays one. Raises EmbeddingError."""
    try:
        matrix = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(
            f"the embedder {embedder.name!r} returned no matrix of numbers: {error}"
        ) from error
    if matrix.shape != (count, embedder.dimensions):
        raise EmbeddingError(
            f"the embedder {embedder.name!r} returned shape {matrix.shape} for {count} texts of "
            f"{embedder.dimensions} dimensions"
        )
    if not np.isfinite(matrix).all():
        raise EmbeddingError(f"the embedder {embedder.name!r} returned NaN or infinity")
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))[:, None]  # in half the time of `np.linalg.norm`
    norms[norms == 0] = 1.0
    unit: Matrix = (matrix / norms).astype(np.float32)
    return unit


async def fill_vectors(outbox: Outbox, io: IO, embedder: Embedder, progress: Progress | None = None) -> None:
    """Store vectors for the versions that have none from this embedder. Raises EmbeddingError."""
    missing: int = await io.run(outbox.count_without_vectors, embedder.name)
    done = 0
    while rows := await io.run(outbox.without_vectors, embedder.name, BATCH):
        found = await embed_documents(io, embedder, [indexed_text(row.text, row.speakers) for row in rows])
        vectors = {row.id: vector for row, vector in zip(rows, found, strict=True)}
        await io.run(outbox.store_vectors, embedder.name, vectors)
        done += len(rows)
        if progress is not None:
            progress(done, max(done, missing))
