"""What a memory adds to a chat turn in LlamaIndex, model and embedder excluded.

    python -m bench.cost.turn_llamaindex [--memories 1000] [--turns 100]

A turn is what an engine does with a memory: put the user's message, get what the model is to see, put the answer.
The model answers at once and the embedding is a hash, so that what is left is the memory's own work. Beside
`HoldfastMemory`, in the same run and over the same number of memories: `Memory` with a `VectorMemoryBlock` over
LlamaIndex's in-memory `SimpleVectorStore`, `Memory` with a `HoldfastMemoryBlock`, and `ChatMemoryBuffer`, which
remembers nothing, as the floor. `VectorMemoryBlock` only searches here: with the default limits LlamaIndex hands it
nothing to remember, where Holdfast journals and remembers every turn, on disk. The time until a turn is remembered,
in the background, is measured on its own. Each contender's turns alternate with the others'.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.memory import ChatMemoryBuffer, Memory, VectorMemoryBlock
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore

from llama_index.memory.holdfast import HoldfastMemory, HoldfastMemoryBlock, close_engines, open_engine

DIMENSIONS = 512
PLACES = ("Lisbon", "Kyoto", "Tartu", "Quito", "Accra", "Hobart", "Turku", "Izmir", "Lagos", "Bergen")
THINGS = ("bicycle", "piano", "kayak", "telescope", "garden", "sewing machine", "camera", "violin")


class HashEmbedding(BaseEmbedding):
    """A text's vector is drawn from its hash: no time to speak of, and no meaning."""

    model_name: str = f"hash-{DIMENSIONS}"

    def _get_text_embedding(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        return [float(x) for x in np.random.default_rng(seed).standard_normal(DIMENSIONS)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def fact(number: int) -> str:
    return f"In {PLACES[number % 10]} I keep {THINGS[number % 8]} number {number}."


def messages(turn: int) -> tuple[ChatMessage, ChatMessage]:
    said = ChatMessage(role="user", content=f"I painted wall {turn}. Where is my {THINGS[turn % 8]}?")
    return said, ChatMessage(role="assistant", content=f"It is in {PLACES[turn % 10]}.")


async def turn(memory: Any, number: int) -> None:
    said, answer = messages(number)
    await memory.aput(said)
    await memory.aget()
    await memory.aput(answer)


def vector_memory(memories: int, embedding: HashEmbedding) -> Memory:
    store = SimpleVectorStore()
    nodes = [
        TextNode(text=fact(n), embedding=embedding.get_text_embedding(fact(n)), metadata={"session_id": "s"})
        for n in range(memories)
    ]
    store.add(nodes)
    block: Any = VectorMemoryBlock(vector_store=_WithText(store, nodes), embed_model=embedding)
    return Memory.from_defaults(session_id="s", memory_blocks=[block])


class _WithText(SimpleVectorStore):
    """LlamaIndex's in-memory store keeps no text, which its block wants of a store: it is kept beside it here."""

    stores_text: bool = True

    def __init__(self, inner: SimpleVectorStore, nodes: list[TextNode]) -> None:
        super().__init__(data=inner.data)
        object.__setattr__(self, "_nodes", {node.node_id: node for node in nodes})

    async def async_add(self, nodes: Any, **kwargs: Any) -> list[str]:
        self.__dict__["_nodes"].update({node.node_id: node for node in nodes})
        return super().add(nodes, **kwargs)

    async def aquery(self, query: Any, **kwargs: Any) -> Any:
        found = super().query(query, **kwargs)
        found.nodes = [self.__dict__["_nodes"][node_id] for node_id in found.ids or []]
        return found


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - started)


async def measure(memories: int, turns: int, folder: str) -> dict[str, Any]:
    embedding = HashEmbedding()
    engine = open_engine(folder, llm=None, embed_model=embedding)
    await engine.aadd([fact(n) for n in range(memories)], user_id="alice", infer=False)
    contenders: dict[str, Any] = {
        "ChatMemoryBuffer, remembers nothing": ChatMemoryBuffer.from_defaults(token_limit=30_000),
        "Memory + VectorMemoryBlock": vector_memory(memories, embedding),
        "Memory + HoldfastMemoryBlock": Memory.from_defaults(
            session_id="block", memory_blocks=[HoldfastMemoryBlock(user_id="alice", memory=engine)]
        ),
        "HoldfastMemory": HoldfastMemory.from_defaults("alice", memory=engine),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    settling: list[float] = []
    for number in range(turns + 5):
        for name, memory in contenders.items():
            spent = await timed(lambda memory=memory, number=number: turn(memory, number))  # type: ignore[misc]
            if number >= 5:  # the first turns load what is loaded once
                times[name].append(spent)
            settled = await timed(lambda: _flushed(engine))  # the next contender is not to wait for it
            if number >= 5 and name == "HoldfastMemory":
                settling.append(settled)
    return {
        "memories": memories,
        "turns": turns,
        "milliseconds per turn (median, 95th percentile)": {
            name: [round(statistics.median(spent), 2), round(_percentile(spent, 95), 2)]
            for name, spent in times.items()
        },
        "milliseconds until HoldfastMemory's turn is remembered (median)": round(
            statistics.median(settling), 2
        ),
        "ratios to HoldfastMemory (medians)": {
            name: round(statistics.median(spent) / statistics.median(times["HoldfastMemory"]), 2)
            for name, spent in times.items()
        },
    }


async def _flushed(engine: Any) -> None:
    await engine.aflush()


def _percentile(values: list[float], share: int) -> float:
    return float(np.percentile(values, share))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memories", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=100)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # LlamaIndex's own deprecations
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(arguments.memories, arguments.turns, folder)), indent=2))
        close_engines()


if __name__ == "__main__":
    main()
