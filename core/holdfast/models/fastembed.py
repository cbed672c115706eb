"""Embedding models that run on this machine with ONNX, through the fastembed library."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EmbeddingError, InputError, ModelError
from ..io import Asyncio


class FastEmbedEmbedder:
    """A model of fastembed's list. Needs the extra `fastembed`.

    model: a name from `fastembed.TextEmbedding.list_supported_models()`. fastembed downloads the model the
        first time it is used on a machine; naming it here is the permission to do so.
    cache_dir: where models are kept; None for fastembed's own choice.
    local_files_only: never download; raises ModelError if the model is not there yet.
    batch_size: texts at a time.

    For Chinese use a multilingual or Chinese model, such as BAAI/bge-small-zh-v1.5.
    """

    def __init__(
        self,
        model: str = "BAAI/bge-small-en-v1.5",
        *,
        cache_dir: str | None = None,
        local_files_only: bool = False,
        batch_size: int = 64,
    ) -> None:
        try:
            from fastembed import TextEmbedding
        except ImportError as error:
            raise InputError(
                "FastEmbedEmbedder needs fastembed: pip install 'holdfast[fastembed]'"
            ) from error
        self._make = TextEmbedding
        self._model_name, self._dimensions = _known(TextEmbedding, model)
        self._options = {"cache_dir": cache_dir, "local_files_only": local_files_only}
        self._batch_size = batch_size
        self._guard = threading.Lock()
        self._model: Any = None

    def __repr__(self) -> str:
        return f"FastEmbedEmbedder({self._model_name!r})"

    @property
    def name(self) -> str:
        return f"fastembed/{self._model_name}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32[len(texts), dimensions], one row per text."""
        return self._vectors(texts, "embed")

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Async `embed_documents`, in a thread."""
        return await Asyncio().run(self.embed_documents, texts)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """float32[dimensions], with the prefix for queries if the model has one."""
        return self._vectors([text], "query_embed")[0]  # type: ignore[no-any-return]

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Async `embed_query`, in a thread."""
        return await Asyncio().run(self.embed_query, text)

    def _vectors(self, texts: Sequence[str], method: str) -> npt.NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        model = self._loaded()
        options = {"batch_size": self._batch_size} if method == "embed" else {}
        vectors = np.asarray(list(getattr(model, method)(list(texts), **options)), dtype=np.float32)
        if vectors.shape != (len(texts), self._dimensions):
            raise EmbeddingError(
                f"{self.name} returned {vectors.shape}, where {(len(texts), self._dimensions)} was expected"
            )
        return vectors

    def _loaded(self) -> Any:
        with self._guard:
            if self._model is None:
                try:
                    self._model = self._make(model_name=self._model_name, **self._options)
                except Exception as error:
                    # Loading can fail in ONNX, the file system and the network.
                    raise ModelError(f"fastembed cannot load {self._model_name}: {error}") from error
            return self._model


def _known(text_embedding: Any, model: str) -> tuple[str, int]:
    """The model's name as fastembed spells it (it takes any case), so that its identity is one; its size."""
    listed = {entry["model"]: int(entry["dim"]) for entry in text_embedding.list_supported_models()}
    for name, dimensions in listed.items():
        if name.lower() == model.lower():
            return name, dimensions
    raise InputError(f"fastembed does not know {model!r}; it knows {', '.join(sorted(listed))}")
