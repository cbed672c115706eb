"""The recipe of the README: the files of a deep agent, in a `HoldfastStore`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import Memory
from langchain_holdfast import HoldfastStore
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says
from tests.support.fakes import HashEmbedder

deepagents = pytest.importorskip("deepagents", reason="needs deepagents")
backends = pytest.importorskip("deepagents.backends", reason="needs deepagents")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        yield memory


def agent(memory: Memory, *replies: object) -> object:
    files = backends.StoreBackend(namespace=lambda runtime: (runtime.context.user_id, "files"))
    return deepagents.create_deep_agent(
        ScriptedChat(*replies, "Done."),  # type: ignore[arg-type]
        backend=backends.CompositeBackend(default=backends.StateBackend(), routes={"/memories/": files}),
        store=HoldfastStore(memory),
        context_schema=User,
    )


@pytest.mark.parametrize("face", ["sync", "async"])
def test_what_a_deep_agent_keeps_under_memories_outlives_the_thread_and_is_its_users_alone(
    memory: Memory, face: str
) -> None:
    run = Runner(face)
    path = "/memories/notes.md"
    write = calls("write_file", file_path=path, content="No nuts.\nTea.\n")
    run(agent(memory, write), says("note that"), context=User("alice"))
    edit = calls("edit_file", file_path=path, old_string="Tea.", new_string="Coffee.")
    run(agent(memory, edit), says("coffee, rather"), context=User("alice"))

    read = calls("read_file", file_path=path)
    [shown] = [
        message.text
        for message in run(agent(memory, read), says("what?"), context=User("alice"))["messages"]
        if message.type == "tool"
    ]
    assert "No nuts." in shown
    assert "Coffee." in shown
    [hidden] = [
        message.text
        for message in run(agent(memory, read), says("what?"), context=User("bob"))["messages"]
        if message.type == "tool"
    ]
    assert "nuts" not in hidden
    items = HoldfastStore(memory).search(("alice", "files"), query="coffee")
    assert [item.key for item in items] == ["/notes.md"]


def test_a_deep_agents_temporary_files_stay_out_of_the_store(memory: Memory) -> None:
    write = calls("write_file", file_path="/draft.md", content="a draft")
    Runner("sync")(agent(memory, write), says("draft"), context=User("alice"))
    assert HoldfastStore(memory).search(("alice",)) == []
