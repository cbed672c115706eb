"""`langchain_holdfast.agent_server`: LangGraph's server opens the store, serves it and closes it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from holdfast import Memory, StoreLockedError
from langchain_holdfast import HoldfastStore

PATH = "langchain_holdfast.agent_server.store"
NAMESPACE = ("users", "alice")

GRAPH = """
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from typing import TypedDict

class State(TypedDict):
    drink: str

async def remember(state: State, runtime: Runtime) -> State:
    await runtime.store.aput(("users", "alice"), "drink", {"text": state["drink"]})
    [found] = await runtime.store.asearch(("users",), query="what does she drink?")
    return {"drink": f"{type(runtime.store).__name__}: {found.value['text']}"}

graph = StateGraph(State).add_node(remember).add_edge(START, "remember").compile()
"""


def loaded(path: str) -> object:
    """What the server finds under a path: it splits that of a module at its last dot."""
    module, name = path.rsplit(".", 1)
    return import_module(module).__dict__[name]


async def test_the_store_opens_on_the_folder_of_the_environment_and_keeps_what_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    make = loaded(PATH)
    async with make() as store:  # type: ignore[operator]
        assert isinstance(store, HoldfastStore)
        await store.aput(NAMESPACE, "drink", {"text": "tea"})
    async with make() as store:  # type: ignore[operator]
        item = await store.aget(NAMESPACE, "drink")
    assert item is not None
    assert item.value == {"text": "tea"}


async def test_neither_opening_nor_closing_blocks_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    loop_thread, seen = threading.current_thread(), list[threading.Thread]()
    opened, close = Memory.__init__, Memory.close

    def watched_open(self: Memory, *args: object, **kwargs: object) -> None:
        seen.append(threading.current_thread())
        opened(self, *args, **kwargs)  # type: ignore[arg-type]

    def watched_close(self: Memory) -> None:
        seen.append(threading.current_thread())
        close(self)

    monkeypatch.setattr(Memory, "__init__", watched_open)
    monkeypatch.setattr(Memory, "close", watched_close)
    async with loaded(PATH)():  # type: ignore[operator]
        pass
    assert len(seen) == 2
    assert loop_thread not in seen


async def test_every_event_loop_of_a_server_gets_a_store_on_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server makes one store for each of its threads that runs a loop."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    make = loaded(PATH)

    async def write(drink: str) -> None:
        async with make() as store:  # type: ignore[operator]
            await store.aput(NAMESPACE, drink, {"text": drink})

    async with make() as store:  # type: ignore[operator]
        await asyncio.to_thread(asyncio.run, write("tea"))
        await write("coffee")
        assert {item.key for item in await store.asearch(NAMESPACE)} == {"tea", "coffee"}


def test_a_folder_that_another_process_has_open_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    hold = "from holdfast import Memory; m = Memory(llm=None); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"

        async def refused() -> None:
            async with loaded(PATH)():  # type: ignore[operator]
                pass

        with pytest.raises(StoreLockedError):
            asyncio.run(refused())
        other.communicate("\n")


# -- the server itself ---------------------------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, home: Path) -> Iterator[httpx.Client]:
    """LangGraph's server in a process of its own, which raises where anything blocks its event loop."""
    (folder / "agent.py").write_text(GRAPH)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = {
        "port": port,
        "graphs": {"agent": f"{folder / 'agent.py'}:graph"},
        "store": {"path": PATH},
        "disable_persistence": True,
    }
    code = f"from langgraph_api.cli import run_server; run_server(**{arguments!r})"
    environment = os.environ | {
        "HOLDFAST_HOME": str(home),
        "LANGSMITH_TRACING": "false",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
    }
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            answers(client, server, folder / "log")
            yield client
    finally:
        server.terminate()
        server.wait(60)


def answers(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it does."""
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            if client.get("/ok").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the server does not answer:\n{log.read_text()[-4000:]}")


@pytest.mark.skipif(find_spec("langgraph_api") is None, reason="needs langgraph-api with its runtime")
def test_langgraphs_server_keeps_what_its_graphs_and_its_clients_store(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(tmp_path, home) as client:
        run = client.post("/runs/wait", json={"assistant_id": "agent", "input": {"drink": "tea"}})
        assert run.json() == {"drink": "HoldfastStore: tea"}, run.text
        item = {"namespace": list(NAMESPACE), "key": "food", "value": {"text": "no nuts"}}
        assert client.put("/store/items", json=item).status_code == 204
        found = client.post("/store/items/search", json={"namespace_prefix": ["users"], "query": "nuts"})
        assert {one["key"] for one in found.json()["items"]} == {"drink", "food"}
    with Memory(home, llm=None) as memory:
        store = HoldfastStore(memory)
        assert {item.key for item in store.search(NAMESPACE)} == {"drink", "food"}
    assert "Blocking call" not in (tmp_path / "log").read_text()
