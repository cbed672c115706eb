"""Fixtures of the whole suite. `memory` runs every behaviour test in both faces and on several stores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from holdfast import Memory
from tests.support.endpoint import Endpoint
from tests.support.fakes import HashEmbedder, Ticking
from tests.support.postgres import binaries, pgvector, postgres, postgres_url

__all__ = ["pgvector", "postgres", "postgres_url"]

# CI tries the same examples every time, so that it judges the change and not its luck; elsewhere they vary.
# No example has a time limit: machines are shared.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Face and store. The faces share every line but their driver, the stores every line above their databases: each is
# tried once. `test_lives` holds the other pairs to them; what a database or an index has to do is in `contracts`.
COMBINATIONS = [("sync", "folder"), ("async", "postgres" if binaries() else "folder")]
# For what is decided before anything is stored: `@pytest.mark.parametrize("open_memory", FACES, indirect=True)`.
FACES = [("sync", "in-memory"), ("async", "in-memory")]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to a model, or writes to a store, that the machine happens to be set up for."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "HOLDFAST_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class Face:
    """A `Memory` whose operations run in one of the faces: `face.add(...)` is `add` or an awaited `aadd`.

    So do those of its `jobs`, its `index`, its `documents` and its `memory_tool`.
    """

    def __init__(self, memory: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.memory = memory
        self._loop = loop

    @property
    def jobs(self) -> Face:
        return Face(self.memory.jobs, self._loop)

    @property
    def index(self) -> Face:
        return Face(self.memory.index, self._loop)

    @property
    def documents(self) -> Face:
        return Face(self.memory.documents, self._loop)

    def memory_tool(self, **options: Any) -> Face:
        return Face(self.memory.memory_tool(**options), self._loop)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._loop is None:
            operation: Callable[..., Any] = getattr(self.memory, name)
            return operation
        loop, twin = self._loop, getattr(self.memory, f"a{name}")
        return lambda *args, **kwargs: loop.run_until_complete(twin(*args, **kwargs))


Opener = Callable[..., Face]


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def open_memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens memories in the face and on the store of the test's run; all are closed afterwards.

    A folder opened again under the same `name` is the same store.
    """
    face, store = request.param
    loop = asyncio.new_event_loop() if face == "async" else None
    cluster = request.getfixturevalue("postgres") if store == "postgres" else None
    databases: dict[str, str] = {}
    opened: list[Face] = []

    def place(name: str) -> dict[str, Any]:
        if cluster is not None:
            url = databases.get(name) or databases.setdefault(name, cluster.ledger())
            return {"ledger": url, "index": "pgvector" if cluster.vectors else ":memory:"}
        return {"path": tmp_path / name if store == "folder" else ":memory:"}

    def opener(name: str = "store", **options: Any) -> Face:
        options = {
            "llm": None,
            "model_size": "large",
            "embedder": HashEmbedder(),
            "now": Ticking(),
            **options,
        }
        opened.append(Face(Memory(**place(name), **options), loop))
        return opened[-1]

    yield opener
    for memory in opened:
        memory.close()
    if loop is not None:
        loop.close()


@pytest.fixture
def memory(open_memory: Opener) -> Face:
    """An empty store without a model."""
    return open_memory()
