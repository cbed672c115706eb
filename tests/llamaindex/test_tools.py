"""`HoldfastToolSpec`: four tools, both faces, and a scope that no argument of a model reaches."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool

from holdfast import ClosedError, InputError, Memory
from llama_index.memory.holdfast import HoldfastToolSpec
from tests.llamaindex.conftest import Counted, told
from tests.llamaindex.fakes import Calling, text_of
from tests.support.fakes import HashEmbedder

pytestmark = [
    # LlamaIndex's own agents, not ours, still speak pydantic's old names.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
]


@pytest.fixture(params=["sync", "async"])
def use(request: pytest.FixtureRequest, engine: Counted) -> Any:
    """Calls a tool as an agent would, by its name."""
    tools = {
        tool.metadata.name: tool for tool in HoldfastToolSpec("alice", memory=engine.memory).to_tool_list()
    }

    def call(name: str, /, **arguments: Any) -> str:
        tool = tools[name]
        if request.param == "sync":
            return str(tool.call(**arguments).content)
        return str(asyncio.run(tool.acall(**arguments)).content)

    return call


def id_in(text: str) -> str:
    found = re.search(r"\[([0-9a-f]{8})\]", text)
    assert found is not None, text
    return found.group(1)


def test_a_memory_is_saved_found_updated_and_deleted(use: Any, engine: Counted) -> None:
    saved = use("save_memory", text="Alice is allergic to peanuts")
    ids = [item.id for item in engine.memory.get_all(user_id="alice")]
    assert saved.startswith("Saved [")
    memory_id, today = id_in(saved), datetime.now(UTC).date()
    assert use("search_memories", query="peanuts") == f"[{memory_id}] {today}: Alice is allergic to peanuts"
    updated = use("update_memory", memory_id=memory_id, text="Alice is allergic to all nuts")
    assert updated == f"Updated [{memory_id}] Alice is allergic to all nuts"
    assert use("delete_memory", memory_id=memory_id).startswith("Deleted [")
    assert use("search_memories", query="nuts") == "Nothing is remembered about that."
    whole = ids[-1]
    assert [change.operation for change in engine.memory.history(whole)] == ["ADD", "UPDATE", "DELETE"]


def test_what_is_known_is_not_saved_twice(use: Any, engine: Counted) -> None:
    use("save_memory", text="Alice is allergic to peanuts")
    assert use("save_memory", text="Alice is allergic to peanuts").startswith("Known already")
    assert len(engine.texts()) == 1


def test_the_schemas_say_nothing_of_users(engine: Counted) -> None:
    for tool in HoldfastToolSpec("alice", memory=engine.memory).to_tool_list():
        form = json.dumps(tool.metadata.get_parameters_dict())
        assert "user_id" not in form
        assert "agent_id" not in form
        described = tool.metadata.get_parameters_dict()["properties"].values()
        assert all(argument.get("description") for argument in described)


def test_a_model_cannot_reach_another_user_s_memory(use: Any, engine: Counted) -> None:
    told(engine, "My password is swordfish.", user_id="victim")
    [secret] = engine.memory.get_all(user_id="victim")
    with pytest.raises(TypeError):
        use("search_memories", query="password", user_id="victim")
    assert use("search_memories", query="password swordfish") == "Nothing is remembered about that."
    assert use("update_memory", memory_id=secret.id, text="x").startswith("Nothing was done")
    assert use("delete_memory", memory_id=secret.id).startswith("Nothing was done")
    assert engine.memory.get(secret.id) == secret


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("search_memories", {"query": " "}),
        ("save_memory", {"text": ""}),
        ("update_memory", {"memory_id": "no-such-id", "text": "x"}),
        ("update_memory", {"memory_id": "no-such-id", "text": " "}),
        ("delete_memory", {"memory_id": "no-such-id"}),
        ("delete_memory", {"memory_id": ""}),
    ],
)
def test_what_a_model_can_mend_it_is_told(use: Any, name: str, arguments: dict[str, Any]) -> None:
    assert use(name, **arguments).startswith("Nothing was done: ")


def test_a_limit_beyond_reason_is_cut(use: Any, engine: Counted) -> None:
    told(engine, *(f"I own bicycle number {n}." for n in range(30)))
    assert len(use("search_memories", query="bicycle", limit=1000).splitlines()) == 20
    assert len(use("search_memories", query="bicycle", limit=-3).splitlines()) == 1


def test_what_a_model_cannot_mend_is_raised() -> None:
    memory = Memory(":memory:", llm=None, embedder=HashEmbedder())
    spec = HoldfastToolSpec("alice", memory=memory)
    memory.close()
    with pytest.raises(ClosedError):
        spec.save_memory("I like green tea very much")


def test_every_tool_has_an_async_twin(engine: Counted) -> None:
    spec = HoldfastToolSpec("alice", memory=engine.memory)
    for pair in spec.spec_functions:
        assert isinstance(pair, tuple)
        name, twin = pair
        assert twin == f"a{name}"
        assert inspect.iscoroutinefunction(getattr(spec, twin))
        assert inspect.signature(getattr(spec, name)) == inspect.signature(getattr(spec, twin))


def test_metadata_and_filters_are_bound_too(engine: Counted) -> None:
    work = HoldfastToolSpec(
        "alice", memory=engine.memory, metadata={"topic": "work"}, filters={"topic": "work"}
    )
    work.save_memory("The budget meeting is on Mondays")
    told(engine, "I play chess on Mondays.")
    assert "chess" not in work.search_memories("Mondays")
    assert "budget" in work.search_memories("Mondays")


@pytest.mark.parametrize("name", ["save_memory", "asave_memory"])
def test_what_it_saves_expires_when_it_is_to(engine: Counted, name: str) -> None:
    spec = HoldfastToolSpec("alice", memory=engine.memory, expires_at="2999-01-31")
    saved = getattr(spec, name)("Parks on level 3")
    if inspect.isawaitable(saved):
        asyncio.run(saved)  # type: ignore[arg-type]
    assert [str(item.expires_at)[:10] for item in engine.memory.get_all(user_id="alice")] == ["2999-01-31"]
    with pytest.raises(InputError, match="expires_at"):
        HoldfastToolSpec("alice", memory=engine.memory, expires_at="soon")


async def test_an_agent_uses_them(engine: Counted) -> None:
    told(engine, "I'm allergic to peanuts.")
    llm = Calling(("search_memories", {"query": "peanuts"}), "No peanuts, then.")
    tools = HoldfastToolSpec("alice", memory=engine.memory).to_tool_list()
    agent = FunctionAgent(llm=llm, tools=tools, streaming=False)
    assert str(await agent.run("A snack?")) == "No peanuts, then."
    assert "I'm allergic to peanuts." in text_of(llm.shown[1])


def test_somebody_has_to_own_the_memory(engine: Counted) -> None:
    with pytest.raises(InputError, match="whose memory"):
        HoldfastToolSpec(memory=engine.memory)


def test_a_memory_is_shown_with_the_day_that_it_tells_of(use: Any, engine: Counted) -> None:
    engine.memory.add("I moved to Porto.", user_id="alice", infer=False, happened_at="2024-05-01")
    assert "] 2024-05-01: I moved to Porto." in use("search_memories", query="Porto")


def test_whole_ids_are_taken_as_well_and_brackets_too(use: Any, engine: Counted) -> None:
    told(engine, "I own a boat.", "I like cheese.")
    boat, cheese = engine.memory.get_all(user_id="alice")
    assert use("delete_memory", memory_id=boat.id).startswith("Deleted [")
    assert use("delete_memory", memory_id=f"[{cheese.id}]").startswith("Deleted [")


def test_an_end_of_an_id_that_was_not_shown_is_unknown(use: Any, engine: Counted) -> None:
    told(engine, "I own a boat.")
    [boat] = engine.memory.get_all(user_id="alice")
    assert use("delete_memory", memory_id=boat.id[-8:]).startswith("Nothing was done")
    assert engine.memory.get(boat.id) == boat


def test_two_ids_with_the_same_end_are_told_apart(engine: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_index.memory.holdfast.tools.SHORT", 0)
    told(engine, "I own a boat.", "I like cheese.")
    spec = HoldfastToolSpec("alice", memory=engine.memory)
    lines = spec.search_memories("boat cheese").splitlines()
    shown = dict(re.fullmatch(r"\[(.*)\] \S+: (.*)", line).groups()[::-1] for line in lines)  # type: ignore[union-attr]
    for text, memory_id in shown.items():
        assert text in spec.update_memory(memory_id, f"{text} Really.")


CALLER: ContextVar[str | None] = ContextVar("CALLER", default=None)


async def test_one_list_of_tools_serves_the_user_of_each_run(engine: Counted) -> None:
    for name, fact in (("alice", "I'm allergic to peanuts."), ("bob", "I'm allergic to cheese.")):
        told(engine, fact, user_id=name)
    tools = HoldfastToolSpec(CALLER.get, memory=engine.memory).to_tool_list()
    for name, known, other in (("alice", "peanuts", "cheese"), ("bob", "cheese", "peanuts")):
        CALLER.set(name)
        llm = Calling(("search_memories", {"query": "allergic"}), "I see.")
        await FunctionAgent(llm=llm, tools=tools, streaming=False).run("A snack?")
        assert known in text_of(llm.shown[1])
        assert other not in text_of(llm.shown[1])


async def test_a_run_of_nobody_reaches_nobody_s_memory(engine: Counted) -> None:
    told(engine, "I own a boat.")
    spec = HoldfastToolSpec(lambda: None, agent_id="helper", memory=engine.memory)
    assert (await spec.asearch_memories("boat")).startswith("Nothing was done: whose memory")
    assert spec.save_memory("I own a yacht").startswith("Nothing was done: whose memory")
    assert engine.texts() == ["I own a boat."]


def test_an_operation_of_the_engine_is_a_tool_as_it_is(engine: Counted) -> None:
    engine.memory.add("Alice is allergic to peanuts", user_id="alice")
    tool = FunctionTool.from_defaults(engine.memory.search, async_fn=engine.memory.asearch)
    assert tool.metadata.name == "search"
    asked = {"query": "peanuts", "user_id": "alice"}
    for found in (tool.call(**asked), asyncio.run(tool.acall(**asked))):
        assert [hit.text for hit in found.raw_output] == ["Alice is allergic to peanuts"]
