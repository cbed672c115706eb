"""Type-checked by `make check`, never run: the public surface as a typed caller sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from holdfast import (
    AddResult,
    Change,
    Changes,
    Completion,
    Context,
    Hits,
    Memory,
    MemoryItem,
    Page,
    Prompt,
    Schema,
)


class Model:
    name = "mine"

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return Completion("{}")

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)


class Vectors:
    name = "mine"
    dimensions = 2

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.0, 1.0] for _ in texts]

    async def aembed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return [0.0, 1.0]

    async def aembed_query(self, text: str) -> list[float]:
        return [0.0, 1.0]


def in_the_sync_face() -> None:
    with Memory(":memory:", llm=Model(), embedder=Vectors()) as memory:
        result = memory.add([{"role": "user", "content": "hi"}, "hello"], user_id="a")
        assert_type(result, AddResult)
        assert_type(memory.search("x", user_id="a"), Hits)
        assert_type(memory.recall("x", user_id="a"), Context)
        assert_type(memory.get_all(user_id="a"), Page)
        assert_type(memory.get("id"), MemoryItem | None)
        assert_type(memory.history("id"), Changes)
        assert_type(memory.update("id", "text"), Change)


async def in_the_async_face() -> None:
    async with Memory(":memory:", llm=None) as memory:
        assert_type(await memory.aadd("hi", user_id="a"), AddResult)
        assert_type(await memory.asearch("x", user_id="a"), Hits)
        assert_type(await memory.aundo("id"), Changes)
