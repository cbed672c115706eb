"""Type-checked by `make check`, never run: the public surface as a typed caller sees it.

An ignored error is one that has to be found: mypy refuses an `ignore` that nothing is behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_type

from holdfast import (
    AddResult,
    Agreement,
    Change,
    Changes,
    Completion,
    Context,
    Erasure,
    Hits,
    Job,
    Memory,
    MemoryItem,
    Owner,
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
        for owner in memory.users(by="scope", limit=10):
            assert_type(owner, Owner)
        for change in memory.changes(operation=["ADD", "UPDATE"], since="2026-01-01"):
            assert_type(change, Change)
        assert_type(memory.update("m", expires_at=timedelta(days=1)), Change)
        assert_type(memory.get("id"), MemoryItem | None)
        assert_type(memory.history("id"), Changes)
        assert_type(memory.update("id", "text"), Change)
        assert_type(memory.jobs.pending(), list[Job])
        assert_type(memory.jobs.retry("id"), int)
        assert_type(memory.index.verify(), Agreement)
        assert_type(memory.index.rebuild(Vectors(), progress=lambda done, of: print(done, of)), int)


async def in_the_async_face() -> None:
    async with Memory(":memory:", llm=None) as memory:
        assert_type(await memory.aadd("hi", user_id="a"), AddResult)
        assert_type(await memory.asearch("x", user_id="a"), Hits)
        assert_type(await memory.aundo("id"), Changes)
        assert_type(await memory.areset(confirm=True), Erasure)
        assert_type(await memory.jobs.afailed(), list[Job])
        assert_type(await memory.index.aoptimize(), bool)


def on_the_class(memory: Memory) -> None:
    assert_type(Memory.search(memory, "x", user_id="a"), Hits)
    assert_type(memory.scoped(user_id="a").search("x"), Hits)


def what_is_refused(memory: Memory) -> None:
    memory.search("x", usr_id="a")  # type: ignore[call-arg]
    memory.search(1, user_id="a")  # type: ignore[arg-type]
    memory.search("x", user_id="a", limit="3")  # type: ignore[arg-type]
    memory.search("x", "a")  # type: ignore[call-arg]
    memory.search("x", io=None)  # type: ignore[call-arg]
    memory.search()  # type: ignore[call-arg]
    _ = memory.search("x", user_id="a").nonsense  # type: ignore[attr-defined]
    memory.jobs.retry(1)  # type: ignore[arg-type]
    memory.index.rebuild(embeder=Vectors())  # type: ignore[call-arg]
    memory.pending()  # type: ignore[attr-defined]


async def what_is_refused_on_a_loop(memory: Memory) -> None:
    await memory.asearch("x", usr_id="a")  # type: ignore[call-arg]
    await memory.search("x", user_id="a")  # type: ignore[misc]
    memory.asearch("x", user_id="a")  # type: ignore[unused-coroutine]
    memory.asearch("x", user_id="a")[0]  # type: ignore[index]
    memory.documents.asweep()  # type: ignore[unused-coroutine]
    told: str = memory.memory_tool(user_id="alice").run({"command": "view", "path": "/memories"}).text
    memory.memory_tool(user_id="alice").arun({})  # type: ignore[unused-coroutine]
    memory.memory_tool(user_id="alice").undo(told, path="/memories")  # type: ignore[call-arg]
    memory.jobs.apending()  # type: ignore[unused-coroutine]
    memory.index.arepair()  # type: ignore[unused-coroutine]


class Shorter(Memory):
    """Operations are overridden like methods, in each face by itself."""

    def delete(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Change:
        return assert_type(super().delete(memory_id, user_id=user_id), Change)

    async def aerase(  # type: ignore[override]
        self, *, user_id: str
    ) -> Erasure:
        return assert_type(await super().aerase(user_id=user_id), Erasure)
