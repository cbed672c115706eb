"""The tools in agents, in graphs and outside of both; what the model is offered and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentState
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode

from holdfast import ClosedError, EmbeddingError, InputError, Memory
from langchain_holdfast import (
    create_manage_memory_tool,
    create_memory_tools,
    create_search_memory_tool,
)
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says, thread
from tests.support.fakes import HashEmbedder, ScriptedModel

ALICE = {"configurable": {"user_id": "alice"}}


def answered(result: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in result["messages"] if isinstance(message, ToolMessage)]


def in_agent(run: Runner, tools: list[BaseTool], *replies: Any, user: str = "alice") -> list[ToolMessage]:
    agent = create_agent(ScriptedChat(*replies, "done"), tools=tools, context_schema=User)
    return answered(run(agent, says("Go."), config=thread("t"), context=User(user)))


# -- what the model is offered -----------------------------------------------------------------------------------


def test_the_model_sees_no_scope_and_no_runtime(memory: Memory) -> None:
    search, manage = create_memory_tools(memory)
    assert list(search.tool_call_schema.model_json_schema()["properties"]) == [  # type: ignore[union-attr]
        "query", "limit", "offset", "filter",
    ]  # fmt: skip
    assert list(manage.tool_call_schema.model_json_schema()["properties"]) == [  # type: ignore[union-attr]
        "content", "action", "id",
    ]  # fmt: skip


@pytest.mark.parametrize("allowed", [("create",), ("update", "delete"), ("create", "update", "delete")])
def test_only_permitted_actions_are_offered(memory: Memory, allowed: Any) -> None:
    manage = create_manage_memory_tool(memory, actions_permitted=allowed)
    schema = manage.tool_call_schema.model_json_schema()  # type: ignore[union-attr]
    action = schema["properties"]["action"]
    assert action.get("enum", [action.get("const")]) == list(allowed)
    assert ("id" in schema["properties"]) is (allowed != ("create",))
    for word in ("create", "update", "delete"):
        assert (word in manage.description.lower().split("\n")[0]) is (word in allowed)


def test_without_permitted_actions_there_is_only_search(memory: Memory) -> None:
    assert [tool.name for tool in create_memory_tools(memory, actions_permitted=())] == ["search_memory"]


def test_an_unknown_action_is_the_developer_s_error(memory: Memory) -> None:
    with pytest.raises(InputError, match="actions_permitted"):
        create_manage_memory_tool(memory, actions_permitted=("erase",))  # type: ignore[arg-type]


def test_an_action_that_is_not_permitted_is_refused(memory: Memory, run: Runner) -> None:
    memory.add("Likes tea.", user_id="alice", infer=False)
    [item] = memory.get_all(user_id="alice")
    tools = [create_manage_memory_tool(memory, actions_permitted=("create",))]
    [message] = in_agent(run, tools, calls("manage_memory", action="delete", id=item.id))
    assert message.status == "error"
    assert memory.count(user_id="alice") == 1


# -- in an agent -------------------------------------------------------------------------------------------------


def test_an_agent_creates_finds_updates_and_deletes(memory: Memory, run: Runner) -> None:
    tools = create_memory_tools(memory)
    [created] = in_agent(run, tools, calls("manage_memory", content="Is allergic to peanuts"))
    [item] = memory.get_all(user_id="alice")
    assert created.content == f"created memory {item.id}: Is allergic to peanuts"
    [found] = in_agent(run, tools, calls("search_memory", query="peanuts"))
    [row] = json.loads(str(found.content))
    assert (row["id"], row["content"]) == (item.id, "Is allergic to peanuts")
    [updated] = in_agent(
        run, tools, calls("manage_memory", action="update", id=item.id, content="Is allergic to all nuts")
    )
    assert updated.content == f"updated memory {item.id}"
    assert memory.get(item.id).text == "Is allergic to all nuts"  # type: ignore[union-attr]
    [deleted] = in_agent(run, tools, calls("manage_memory", action="delete", id=item.id))
    assert deleted.content == f"deleted memory {item.id}"
    assert memory.get(item.id) is None
    memory.undo(memory.history(item.id)[-1].id)
    assert memory.get(item.id) is not None


def test_artifacts_are_plain_and_the_same_after_a_checkpoint(memory: Memory, run: Runner) -> None:
    model = ScriptedChat(
        calls("manage_memory", "1", content="Is allergic to peanuts"),
        calls("search_memory", "2", query="peanuts"),
        "ok",
    )
    agent = create_agent(
        model, tools=create_memory_tools(memory), context_schema=User, checkpointer=InMemorySaver()
    )
    created, found = answered(run(agent, says("Go."), config=thread("t"), context=User("alice")))
    [item] = memory.get_all(user_id="alice")
    assert (created.artifact[0]["operation"], created.artifact[0]["memory_id"]) == ("ADD", item.id)
    assert (found.artifact[0]["memory"]["id"], found.artifact[0]["memory"]["text"]) == (item.id, item.text)
    assert json.loads(json.dumps(found.artifact)) == found.artifact
    later = answered(agent.get_state(thread("t")).values)
    assert [message.artifact for message in later] == [created.artifact, found.artifact]


def test_a_fact_that_is_told_twice_is_one_memory(memory: Memory, run: Runner) -> None:
    tools = create_memory_tools(memory)
    for _ in range(2):
        [message] = in_agent(run, tools, calls("manage_memory", content="Is allergic to peanuts"))
    assert str(message.content).startswith("already known: memory")
    assert memory.count(user_id="alice") == 1


def test_a_created_fact_is_not_extracted_from_again(run: Runner) -> None:
    model = ScriptedModel()
    with Memory(":memory:", llm=model, model_size="large", embedder=HashEmbedder()) as memory:
        in_agent(run, create_memory_tools(memory), calls("manage_memory", content="Likes tea"))
        assert [item.text for item in memory.get_all(user_id="alice")] == ["Likes tea"]
    assert model.prompts == []


def test_a_fact_that_cannot_be_merged_yet_is_noted(run: Runner) -> None:
    class Failing(HashEmbedder):
        broken = True

        def embed_documents(self, texts: Any) -> Any:
            if self.broken:
                raise RuntimeError("busy")
            return super().embed_documents(texts)

    embedder = Failing()
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        [message] = in_agent(run, create_memory_tools(memory), calls("manage_memory", content="Likes tea"))
        assert message.content == "noted; it will be worked into memory later"
        embedder.broken = False
        memory.resume()
        assert [item.text for item in memory.get_all(user_id="alice")] == ["Likes tea"]


class Down(HashEmbedder):
    def embed_query(self, text: str) -> Any:
        raise ConnectionError("no route to host")


def test_a_memory_that_cannot_be_reached_is_told_to_the_model(run: Runner) -> None:
    with Memory(":memory:", llm=None, embedder=Down()) as memory:
        [found] = in_agent(run, create_memory_tools(memory), calls("search_memory", query="tea"))
        memory.close()
        [kept] = in_agent(run, create_memory_tools(memory), calls("manage_memory", content="Likes tea"))
    for message in (found, kept):
        assert (message.status, "cannot be reached" in str(message.content)) == ("error", True)


def test_a_memory_that_cannot_be_reached_is_raised_where_that_is_wanted(run: Runner) -> None:
    with Memory(":memory:", llm=None, embedder=Down()) as memory:
        tools = create_memory_tools(memory, on_error="raise")
        with pytest.raises(EmbeddingError):
            in_agent(run, tools, calls("search_memory", query="tea"))
        memory.close()
        with pytest.raises(ClosedError):
            in_agent(run, tools, calls("manage_memory", content="Likes tea"))


def test_anonymous_users_have_no_memory(memory: Memory, run: Runner) -> None:
    tools = create_memory_tools(memory, user_id=lambda runtime: None)
    for call in (calls("search_memory", query="tea"), calls("manage_memory", content="Likes tea")):
        [message] = in_agent(run, tools, call)
        assert "nobody is signed in" in str(message.content)
    assert memory.count() == 0


def test_functions_of_the_runtime_say_what_is_found_and_how_it_is_kept(memory: Memory, run: Runner) -> None:
    def of_user(runtime: Any) -> dict[str, str]:
        return {"team": runtime.context.user_id}

    tools = create_memory_tools(memory, agent_id="bot", metadata=of_user, filters=of_user)
    in_agent(run, tools, calls("manage_memory", content="Likes tea"))
    memory.add("Likes black tea.", user_id="alice", agent_id="bot", infer=False, metadata={"team": "other"})
    [found] = in_agent(run, tools, calls("search_memory", query="tea"))
    assert [row["content"] for row in json.loads(str(found.content))] == ["Likes tea"]


def test_what_it_creates_expires_when_it_is_to(memory: Memory, run: Runner) -> None:
    tools = create_memory_tools(memory, expires_at=lambda runtime: f"2999-01-0{len(runtime.context.user_id)}")
    in_agent(run, tools, calls("manage_memory", content="Likes tea"))
    [item] = memory.get_all(user_id="alice")
    assert str(item.expires_at) == "2999-01-05 00:00:00+00:00"


@pytest.mark.parametrize(
    "options",
    [
        {"filters": {"a": {"approximately": 1}}},
        {"expires_at": "soon"},
        {"metadata": {"user_id": "x"}},
        {"on_error": "no"},
        {"user_id": ""},
    ],
)
def test_arguments_are_checked_when_the_tools_are_made(memory: Memory, options: Any) -> None:
    with pytest.raises(InputError):
        create_memory_tools(memory, **options)


def test_a_spoofed_scope_is_ignored(memory: Memory, run: Runner) -> None:
    memory.add("Has a secret.", user_id="bob", infer=False)
    tools = create_memory_tools(memory)
    spoofed = calls(
        "search_memory", query="secret", user_id="bob", config={"configurable": {"user_id": "bob"}}
    )
    [message] = in_agent(run, tools, spoofed)
    assert message.content == "[]"


@pytest.mark.parametrize("action", ["update", "delete"])
def test_another_user_s_memory_is_out_of_reach(memory: Memory, run: Runner, action: str) -> None:
    memory.add("Has a secret.", user_id="bob", infer=False)
    [item] = memory.get_all(user_id="bob")
    tools = create_memory_tools(memory)
    [message] = in_agent(run, tools, calls("manage_memory", action=action, id=item.id, content="x"))
    assert message.status == "error"
    assert "there is no memory with the id" in str(message.content)
    assert memory.get(item.id).text == "Has a secret."  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"action": "create"}, "create needs content"),
        ({"action": "create", "content": " "}, "create needs content"),
        ({"action": "create", "content": "x", "id": "1"}, "leave it out"),
        ({"action": "update", "content": "x"}, "update needs the id"),
        ({"action": "delete", "id": ""}, "delete needs the id"),
        ({"action": "update", "id": "1"}, "update needs content"),
        ({"action": "update", "id": "1\x00", "content": "x"}, "there is no memory"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(
    memory: Memory, run: Runner, arguments: dict[str, str], told: str
) -> None:
    [message] = in_agent(run, create_memory_tools(memory), calls("manage_memory", **arguments))
    assert message.status == "error"
    assert told in str(message.content)


@pytest.mark.parametrize("query", ["", "  "])
def test_an_empty_query_is_told_to_the_model(memory: Memory, run: Runner, query: str) -> None:
    [message] = in_agent(run, create_memory_tools(memory), calls("search_memory", query=query))
    assert (message.status, "query is empty" in str(message.content)) == ("error", True)


def test_a_filter_that_says_nothing_is_told_to_the_model(memory: Memory, run: Runner) -> None:
    wrong = calls("search_memory", query="tea", filter={"age": {"approximately": 3}})
    [message] = in_agent(run, create_memory_tools(memory), wrong)
    assert message.status == "error"
    assert "correct the filter" in str(message.content)


def test_the_model_s_filter_holds_beside_the_developer_s(memory: Memory, run: Runner) -> None:
    for area in ("work", "home"):
        for size in (1, 2):
            metadata = {"area": area, "size": size}
            memory.add(f"Tea at {area} {size}.", user_id="alice", infer=False, metadata=metadata)
    tools = [create_search_memory_tool(memory, filters={"area": "work"})]
    [message] = in_agent(run, tools, calls("search_memory", query="tea", filter={"size": 2}))
    assert [row["content"] for row in json.loads(str(message.content))] == ["Tea at work 2."]


def test_limit_and_offset_page_through_the_hits(memory: Memory, run: Runner) -> None:
    for number in range(5):
        memory.add(f"Owns tea cup {number}.", user_id="alice", infer=False)
    search = create_search_memory_tool(memory, user_id="alice")
    whole = [row["id"] for row in json.loads(run(search, {"query": "tea cup", "limit": 5}))]
    pages = [
        row["id"]
        for offset in (0, 2, 4)
        for row in json.loads(run(search, {"query": "tea cup", "limit": 2, "offset": offset}))
    ]
    assert len(whole) == 5
    assert pages == whole


def test_what_the_tool_created_is_no_turn_of_the_thread(memory: Memory, run: Runner) -> None:
    from langchain_holdfast import HoldfastChatMessageHistory

    in_agent(run, create_memory_tools(memory), calls("manage_memory", content="Likes tea"))
    assert len(memory.messages(user_id="alice", session_id="t")) == 1
    assert HoldfastChatMessageHistory(memory, session_id="t", user_id="alice").messages == []


def test_chinese_comes_back_as_it_went_in(memory: Memory, run: Runner) -> None:
    tools = create_memory_tools(memory)
    in_agent(run, tools, calls("manage_memory", content="喜欢打网球"))
    [found] = in_agent(run, tools, calls("search_memory", query="网球"))
    assert "喜欢打网球" in str(found.content)


# -- outside of agents -------------------------------------------------------------------------------------------


def test_outside_an_agent_the_config_says_whose_memory_it_is(memory: Memory, run: Runner) -> None:
    search, manage = create_memory_tools(memory)
    run(manage, {"content": "Likes tea"}, config=ALICE)
    assert "Likes tea" in run(search, {"query": "tea"}, config=ALICE)
    assert run(search, {"query": "tea"}, config={"configurable": {"user_id": "bob"}}) == "[]"


def test_without_any_id_the_developer_is_told(memory: Memory, run: Runner) -> None:
    search, manage = create_memory_tools(memory)
    with pytest.raises(InputError, match="search_memory: whose memory"):
        run(search, {"query": "tea"})
    with pytest.raises(InputError, match="manage_memory: whose memory"):
        run(manage, {"content": "Likes tea"})


def test_they_serve_a_tool_node_of_a_plain_graph(memory: Memory, run: Runner) -> None:
    graph = StateGraph(AgentState)
    graph.add_node("tools", ToolNode(create_memory_tools(memory)))
    graph.add_edge(START, "tools")
    compiled = graph.compile()
    run(compiled, {"messages": [calls("manage_memory", content="Likes tea")]}, config=ALICE)
    assert [item.text for item in memory.get_all(user_id="alice")] == ["Likes tea"]
