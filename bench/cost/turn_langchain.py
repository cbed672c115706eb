"""What memory adds to a turn of an agent, beside LangMem's tools on LangGraph's InMemoryStore, in the same run.

    python -m bench.cost.turn_langchain [--turns 200] [--memories 1000]

The chat model answers at once from a script and the embedder hashes words, so that what is left is the memory's and
the agent's own work. Every variant does the same turns of the same user:

- without: the agent alone
- middleware: recall into the prompt, and remembering in the background
- our tools: the model calls `search_memory` and `manage_memory` (create), each an own step of the agent
- LangMem's tools: the same calls to its tools of the same names, on InMemoryStore (in memory, nothing is durable)

Added time is the median of a turn less the median of a turn of the same steps without memory: for tools, of an agent
whose tools do nothing. Between two turns the background finishes, as it does while a user reads the answer; how long
it takes is the last column. LangMem is not among our requirements; where it is missing its row is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from holdfast import Memory
from langchain_holdfast import HoldfastMiddleware, as_embedder, create_memory_tools

DIMENSIONS = 512
PLACES = ("Lisbon", "Porto", "Faro", "Braga", "Évora", "Coimbra", "Aveiro", "Sintra", "Tavira", "Lagos")
THINGS = ("tea", "boats", "chess", "tennis", "maps", "jazz", "bread", "bikes", "cats", "novels")


class Hashing(Embeddings):
    """A vector per word, added up: fast, the same in every run, and equal for both sides."""

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray[Any, Any]] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        total: Any = sum(self._word(word) for word in text.lower().split())
        vector: list[float] = (total / np.linalg.norm(total)).tolist()
        return vector

    def _word(self, word: str) -> np.ndarray[Any, Any]:
        if word not in self._known:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            self._known[word] = np.random.default_rng(seed).standard_normal(DIMENSIONS)
        return self._known[word]


class Instant(BaseChatModel):
    """Answers at once; with tools, after a call of each."""

    tools: bool = False

    @property
    def _llm_type(self) -> str:
        return "instant"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        last = messages[-1]
        if self.tools and last.type == "human":
            reply = _calls(("search_memory", {"query": last.text}))
        elif self.tools and last.type == "tool" and last.name == "search_memory":
            said = next(message for message in reversed(messages) if message.type == "human")
            reply = _calls(("manage_memory", {"content": said.text, "action": "create"}))
        else:
            reply = AIMessage("All right.")
        return ChatResult(generations=[ChatGeneration(message=reply)])


def _calls(*asked: tuple[str, dict[str, Any]]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": n, "args": a, "id": f"{n}-1"} for n, a in asked])


def sentences(count: int, start: int = 0) -> list[str]:
    return [
        f"I went to {PLACES[at % 10]} for {THINGS[at // 10 % 10]} with friend number {at}"
        for at in range(start, start + count)
    ]


@tool
def search_memory(query: str) -> str:
    """Nothing."""
    return "[]"


@tool
def manage_memory(content: str, action: str) -> str:
    """Nothing."""
    return "created"


@dataclass(frozen=True, slots=True)
class Span:
    """Milliseconds of a turn, as the user waits for it: the median, and the fastest tenth, which is nearer to what a
    machine without other work shows. after: the median of what goes on when the turn is over."""

    turn: float
    best: float
    after: float


def timed(agent: Any, said: Sequence[str], finish: Callable[[], Any] = lambda: None) -> Span:
    """Each turn in a thread of its own; `finish` waits for what a turn left to do."""
    turns, after = [], []
    for at, text in enumerate(said):
        config = {"configurable": {"thread_id": str(at), "user_id": "alice", "langgraph_user_id": "alice"}}
        start = time.perf_counter()
        agent.invoke({"messages": [{"role": "user", "content": text}]}, config)
        answered = time.perf_counter()
        finish()
        turns.append((answered - start) * 1000)
        after.append((time.perf_counter() - answered) * 1000)
    warm = len(said) // 10
    best = statistics.quantiles(turns[warm:], n=10)[0]
    return Span(statistics.median(turns[warm:]), best, statistics.median(after[warm:]))


def agent_of(**options: Any) -> Any:
    tools = options.get("tools")
    return create_agent(Instant(tools=bool(tools)), checkpointer=InMemorySaver(), **options)


def with_holdfast(known: Sequence[str], make: Callable[[Memory], Any], said: Sequence[str]) -> Span:
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory(folder, llm=None, embedder=as_embedder(Hashing(), name="bench/hash")) as memory,
    ):
        memory.add(list(known), user_id="alice", infer=False)
        return timed(make(memory), said, memory.flush)


def with_langmem(known: Sequence[str], said: Sequence[str]) -> Span | None:
    try:
        from langmem import (  # type: ignore[import-not-found]
            create_manage_memory_tool,
            create_search_memory_tool,
        )
    except ImportError as error:
        print(f"LangMem is left out: {error}. `pip install langmem` to compare.\n")
        return None
    store = InMemoryStore(index={"dims": DIMENSIONS, "embed": Hashing()})
    namespace = ("memories", "{langgraph_user_id}")
    for at, text in enumerate(known):
        store.put(("memories", "alice"), str(at), {"content": text})
    tools = [create_search_memory_tool(namespace), create_manage_memory_tool(namespace)]
    return timed(agent_of(tools=tools, store=store), said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--memories", type=int, default=1000)
    options = parser.parse_args()
    known, said = sentences(options.memories), sentences(options.turns, start=options.memories)

    timed(agent_of(), said[:20])  # imports and first uses
    alone = timed(agent_of(), said)
    idle = timed(agent_of(tools=[search_memory, manage_memory]), said)
    middleware = with_holdfast(
        known, lambda memory: agent_of(middleware=[HoldfastMiddleware(memory, max_tokens=500)]), said
    )
    ours = with_holdfast(known, lambda memory: agent_of(tools=create_memory_tools(memory)), said)
    theirs = with_langmem(known, said)

    print(f"{options.turns} turns, {options.memories} memories of the user; milliseconds\n")
    print(f"{'':32}{'median':>8}{'added':>8}{'best':>8}{'added':>8}{'after':>8}")
    rows = [
        ("agent alone", alone, alone),
        ("  + HoldfastMiddleware", middleware, alone),
        ("agent with tools that do nothing", idle, idle),
        ("  + our tools, durable", ours, idle),
        *([("  + LangMem's tools, in memory", theirs, idle)] if theirs is not None else []),
    ]
    for name, span, base in rows:
        columns = (span.turn, span.turn - base.turn, span.best, span.best - base.best, span.after)
        print(f"{name:32}" + "".join(f"{column:8.2f}" for column in columns))
    if theirs is not None:
        added = theirs.best - idle.best
        remembering = middleware.best - alone.best
        print(f"\nof the best: added by the middleware / by LangMem's tools: {remembering / added:.2f}")
        print(f"a turn with the middleware / with LangMem's tools: {middleware.best / theirs.best:.2f}")
        print(f"added by our tools / by LangMem's tools: {(ours.best - idle.best) / added:.2f}")


if __name__ == "__main__":
    main()
