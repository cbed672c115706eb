"""Fixtures of the LlamaIndex tests: an engine without a model, counted; both faces; a clean `Settings`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from llama_index.core import Settings

from holdfast import Event, Memory
from llama_index.memory.holdfast import HoldfastMemory, close_engines
from tests.llamaindex.fakes import Face
from tests.support.fakes import HashEmbedder


class Counted:
    """An engine in memory, and how often it was asked to do what."""

    def __init__(self) -> None:
        self.memory = Memory(":memory:", llm=None, embedder=HashEmbedder())
        self.events: list[Event] = []
        self.memory.subscribe(self.events.append)

    def count(self, operation: str) -> int:
        return sum(event.operation == operation for event in self.events)

    def adds(self, user_id: str = "alice") -> int:
        """How many adds the messages of the journal became part of."""
        return len({said.add_id for said in self.memory.messages(user_id=user_id)} - {None})

    def texts(self, user_id: str = "alice") -> list[str]:
        assert self.memory.flush(60)
        return [item.text for item in self.memory.get_all(user_id=user_id)]


Remembers = Callable[..., HoldfastMemory]


@pytest.fixture
def engine() -> Iterator[Counted]:
    counted = Counted()
    yield counted
    counted.memory.close()


@pytest.fixture
def remembers(engine: Counted) -> Remembers:
    """Alice's memory for a new conversation, on the engine of the test."""
    return lambda **options: HoldfastMemory.from_defaults("alice", **{"memory": engine.memory, **options})


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param)


@pytest.fixture(autouse=True)
def _no_loop_is_left_open(request: pytest.FixtureRequest) -> None:
    """LlamaIndex's sync methods make an event loop where a thread never had one, and never close it. A thread that
    had one, and has it no more, gets one for the length of the call."""
    if request.node.get_closest_marker("asyncio") is not None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there is none yet
        with suppress(RuntimeError):  # there is none, as it should be
            asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing that a test sets globally reaches the next one, and no store stays open, nor outlives its folder."""
    for name in ("_llm", "_embed_model"):
        monkeypatch.setattr(Settings, name, None)
    yield
    close_engines()


def told(engine: Counted, *statements: str, user_id: str = "alice") -> None:
    """What earlier conversations left behind, as it stands."""
    engine.memory.add(list(statements), user_id=user_id, infer=False)
