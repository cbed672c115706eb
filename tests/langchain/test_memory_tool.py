"""`MemoryToolMiddleware` in agents of both faces: Claude's memory tool on a user's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from pydantic import Field

from holdfast import InputError, Memory, StorageError
from langchain_holdfast import MemoryToolMiddleware
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says
from tests.support.fakes import HashEmbedder

NOTES = "/memories/notes.md"


class Offered(ScriptedChat):
    """Keeps the tools that it was offered."""

    offered: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        self.offered.append(list(tools))
        return self


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        yield memory


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Runner:
    return Runner(request.param)


def told(run: Runner, middleware: Any, *replies: Any, user: str | None = "alice") -> list[ToolMessage]:
    """What the model was told by its tools in one turn."""
    agent = create_agent(ScriptedChat(*replies, "Done."), middleware=[middleware], context_schema=User)
    state = run(agent, says("Hi"), context=User(user))  # type: ignore[arg-type]
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def test_an_agents_notes_are_its_users_in_every_thread(memory: Memory, run: Runner) -> None:
    middleware = MemoryToolMiddleware[Any](memory)
    create = calls("memory", command="create", path=NOTES, file_text="No nuts.\n")
    rename = calls("memory", command="rename", old_path=NOTES, new_path="/memories/food.md")
    created, renamed = told(run, middleware, create, rename)
    assert created.text == f"File created successfully at: {NOTES}"
    assert renamed.status == "success"
    view = calls("memory", command="view", path="/memories/food.md", view_range=[1, -1])
    [seen] = told(run, middleware, view)
    assert seen.text.endswith("     1\tNo nuts.")
    [hidden] = told(run, middleware, view, user="bob")
    assert hidden.status == "error"
    assert "does not exist" in hidden.text
    history = memory.memory_tool(user_id="alice").history()
    assert [one.command for one in history if one.text is not None] == ["create", "rename"]


def test_a_mistake_comes_back_to_the_model_as_an_error(memory: Memory, run: Runner) -> None:
    escape = calls("memory", command="view", path="/memories/%2e%2e/bob")
    missing = calls("memory", command="str_replace", path=NOTES, old_str="a", new_str="b")
    first, second = told(run, MemoryToolMiddleware[Any](memory), escape, missing)
    assert (first.status, second.status) == ("error", "error")
    assert "escape" in first.text
    assert second.text == f"Error: The path {NOTES} does not exist. Please provide a valid path."


@pytest.mark.parametrize("native", [True, False])
def test_claude_is_offered_the_tool_that_it_knows_and_other_models_a_function(
    memory: Memory, run: Runner, native: bool
) -> None:
    model = Offered("Done.")
    middleware = MemoryToolMiddleware[Any](memory, native=native)
    agent = create_agent(model, middleware=[middleware], system_prompt="You are a cook.", context_schema=User)
    run(agent, says("Hi"), context=User("alice"))
    [tool] = model.offered[0]
    if native:
        assert tool == {"type": "memory_20250818", "name": "memory"}
    else:
        assert tool.name == "memory"
        assert set(tool.args) >= {"command", "path", "view_range", "old_path", "new_path"}
        assert not {"user_id", "runtime", "config"} & set(tool.args)
    assert model.system().startswith("You are a cook.")
    assert "View your memory directory" in model.system()


def test_without_instructions_the_system_prompt_stays(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Done.")
    middleware = MemoryToolMiddleware[Any](memory, instructions=None)
    run(create_agent(model, middleware=[middleware], context_schema=User), says("Hi"), context=User("alice"))
    assert model.system() == ""


def test_an_anonymous_user_has_no_files_and_nobody_is_a_mistake(memory: Memory, run: Runner) -> None:
    view = calls("memory", command="view", path="/memories")
    [anonymous] = told(run, MemoryToolMiddleware[Any](memory), view, user=None)
    assert "nobody is signed in" in anonymous.text
    agent = create_agent(ScriptedChat(view, "Done."), middleware=[MemoryToolMiddleware[Any](memory)])
    with pytest.raises(InputError, match="whose memory"):
        run(agent, says("Hi"))


def test_a_view_is_bound_whatever_the_context_says(memory: Memory, run: Runner) -> None:
    create = calls("memory", command="create", path=NOTES, file_text="Alice's")
    told(run, MemoryToolMiddleware[Any](memory.scoped(user_id="alice")), create, user="mallory")
    assert memory.memory_tool(user_id="mallory").history() == ()
    assert [one.text for one in memory.memory_tool(user_id="alice").history()] == ["Alice's"]


def test_a_memory_that_fails_is_told_or_raised(memory: Memory, run: Runner) -> None:
    view = calls("memory", command="view", path="/memories")
    patient, strict = (MemoryToolMiddleware[Any](memory, on_error=how) for how in ("log", "raise"))  # type: ignore[arg-type]
    memory.close()
    [failed] = told(run, patient, view)
    assert failed.status == "error"
    assert "cannot be reached" in failed.text
    with pytest.raises(StorageError):
        told(run, strict, view)


@pytest.mark.parametrize(
    "options", [{"on_error": "ignore"}, {"instructions": " "}, {"instructions": 3}, {"user_id": ""}]
)
def test_arguments_that_make_no_sense_are_refused(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        MemoryToolMiddleware(memory, **options)
    with pytest.raises(InputError):
        MemoryToolMiddleware("memory")  # type: ignore[arg-type]
