"""WordLlama's static vectors: a hundred times faster than the bundled embedder, but matching words more than meaning.

Tokens are looked up and averaged here, one text at a time. WordLlama's own `embed` pads a batch to its
longest text, so that one long text among many would take gigabytes, and divides by zero for empty ones.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..io import Asyncio
from ..types import storable

DIMENSIONS = 256
SLICE = 8192  # tokens looked up at a time: 8 MiB of float32, however long the text

_guard = threading.Lock()
_loaded: list[tuple[Any, npt.NDArray[np.float32]]] = []


class WordLlamaEmbedder:
    """Embeds tens of thousands of short texts a second on one core; knows many languages, Chinese too, by words.

    Vectors are float32[256], L2-normalised. Text without any token (empty, blank) gets the zero vector,
    which is equally far from everything. Weights load on first use, once per process (0.5 s, 32 MiB).
    """

    @property
    def name(self) -> str:
        return "wordllama/l2_supercat_256"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32[len(texts), 256], one row per text."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _embed(text)
        return vectors

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Async `embed_documents`."""
        if len(texts) <= 64 and _loaded and sum(map(len, texts)) <= 65536:
            return self.embed_documents(texts)  # below 5 ms: a thread would cost more than it frees
        return await Asyncio().run(self.embed_documents, texts)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """float32[256]."""
        return _embed(text)

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Async `embed_query`."""
        vectors = await self.aembed_documents([text])
        return vectors[0]  # type: ignore[no-any-return]


def _embed(text: str) -> npt.NDArray[np.float32]:
    tokenizer, weights = _load()
    total = np.zeros(DIMENSIONS, dtype=np.float32)
    clean = storable(text).strip()  # the tokenizer refuses lone surrogates
    if not clean:
        return total
    # `encode` rather than `encode_batch`: as fast for short texts, and without the thread pool that makes the
    # tokenizer warn in every forked child.
    ids = np.asarray(tokenizer.encode(clean, add_special_tokens=False).ids, dtype=np.int64)
    for start in range(0, len(ids), SLICE):
        total += weights[ids[start : start + SLICE]].sum(axis=0)
    length = float(np.linalg.norm(total))
    return total / np.float32(length) if length > 0 else total


def _load() -> tuple[Any, npt.NDArray[np.float32]]:
    if not _loaded:
        with _guard:
            if not _loaded:
                _loaded.append(_read_weights())
    return _loaded[0]


def _read_weights() -> tuple[Any, npt.NDArray[np.float32]]:
    try:
        with _root_logger_left_alone():
            import wordllama
    except ImportError as error:
        raise InputError("WordLlamaEmbedder needs wordllama: pip install 'holdfast[wordllama]'") from error

    # The wheel keeps its tokenizer where only `cache_dir` finds it; without this it would be downloaded.
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load("l2_supercat", cache_dir=folder, dim=DIMENSIONS, disable_download=True)
    model.tokenizer.no_padding()
    return model.tokenizer, model.embedding


@contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """WordLlama calls `logging.basicConfig` when imported; that does nothing while a handler exists."""
    root = logging.getLogger()
    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
