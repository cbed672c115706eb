"""Everything that is held to the contracts beside this file. Who writes a new one adds a line here.

INDEXES: from a place and the length of vectors to an empty, open index.
LASTING: from a place to where an empty ledger is to lie, which whoever opens it next finds again.
DATABASES: the same, and those that are gone when they are closed.
MODELS: from an `Answers` to a language model whose provider answers by it. An exception stands for a provider that
    fails.
EMBEDDERS: from a place to an embedder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, BaseMessage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.callbacks import llm_chat_callback

import langchain_holdfast as langchain
from holdfast import Embedder, LanguageModel
from holdfast.models import BundledEmbedder, OpenAIEmbedder, OpenAIModel
from holdfast.storage.index import Index
from holdfast.storage.index.client import ClientIndex
from holdfast.storage.index.edge import EdgeIndex
from holdfast.storage.index.pgvector import PgvectorIndex
from holdfast.storage.ledger.database import Database
from llama_index.memory import holdfast as llama_index
from tests.langchain.fakes import ScriptedChat
from tests.llamaindex.fakes import HashEmbedding, Listening
from tests.support.endpoint import Answer, Endpoint, chat, refused
from tests.support.fakes import HashEmbedder

Answers = Callable[[str], str]
"""From the last message that a model is shown to what it says."""


@dataclass
class Place:
    """folder: an empty one. database: gives the URL of an empty PostgreSQL database, and skips the test where there
    is no server. ledger: one with the ledger's tables, where the server has pgvector. closing: what is closed after
    the test."""

    folder: Path
    database: Callable[[], str]
    ledger: Callable[[], str]
    closing: ExitStack = field(default_factory=ExitStack)

    def endpoint(self) -> Endpoint:
        """A server that plays an OpenAI-compatible endpoint."""
        endpoint = Endpoint()
        self.closing.callback(endpoint.close)
        return endpoint


def _pgvector(place: Place, dimensions: int) -> Index:
    database = Database(place.ledger())
    place.closing.callback(database.close)
    return PgvectorIndex.open(database, dimensions)[0]


INDEXES: Mapping[str, Callable[[Place, int], Index]] = {
    "edge": lambda place, dimensions: EdgeIndex.open(place.folder / "index", dimensions)[0],
    "client": lambda place, dimensions: ClientIndex.open(":memory:", dimensions)[0],
    "pgvector": _pgvector,
}

LASTING: Mapping[str, Callable[[Place], str | Path]] = {
    "sqlite": lambda place: place.folder / "ledger.db",
    "postgresql": lambda place: place.database(),
}
DATABASES = {**LASTING, "sqlite in memory": lambda place: "sqlite://"}


def _openai(place: Place, answers: Answers) -> LanguageModel:
    endpoint = place.endpoint()

    def answer(body: Any) -> Answer:
        try:
            return chat(answers(body["messages"][-1]["content"]))
        except OSError as error:
            return refused(str(error), 500)

    endpoint.answer = answer
    model = OpenAIModel("small", base_url=endpoint.url, api_key="none", max_retries=0)
    place.closing.callback(model.close)
    return model


class _Chat(ScriptedChat):
    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        return AIMessage(self._answers(messages[-1].text))


class _Listening(Listening):
    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        said = self._answers(messages[-1].content or "")
        return ChatResponse(message=ChatMessage(role="assistant", content=said))


MODELS: Mapping[str, Callable[[Place, Answers], LanguageModel]] = {
    "openai": _openai,
    "langchain": lambda place, answers: langchain.as_language_model(_Chat(answers)),
    "llama-index": lambda place, answers: llama_index.as_language_model(_Listening(answers)),
}


def _openai_embedder(place: Place) -> Embedder:
    endpoint, inner = place.endpoint(), HashEmbedder(16)

    def answer(body: Any) -> Answer:
        texts: Sequence[str] = body["input"]
        vectors = [inner.embed_query(text).tolist() for text in texts]
        rows = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(vectors)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, {"object": "list", "model": "small", "data": rows, "usage": usage}

    endpoint.answer = answer
    embedder = OpenAIEmbedder("small", base_url=endpoint.url, api_key="none")
    place.closing.callback(embedder.close)
    return embedder


EMBEDDERS: Mapping[str, Callable[[Place], Embedder]] = {
    "bundled": lambda place: BundledEmbedder(),
    "openai": _openai_embedder,
    "langchain": lambda place: langchain.as_embedder(DeterministicFakeEmbedding(size=16)),
    "llama-index": lambda place: llama_index.as_embedder(HashEmbedding()),
}
