"""The retriever in chains, with configurable users and per-call arguments."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from pydantic import ValidationError

from holdfast import EmbeddingError, FilterError, InputError, Memory
from langchain_holdfast import HoldfastRetriever
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says
from tests.support.fakes import HashEmbedder


@pytest.fixture
def stocked(memory: Memory) -> Memory:
    for number in range(6):
        memory.add(
            f"Owns tea cup {number}.", user_id="alice", infer=False, metadata={"even": number % 2 == 0}
        )
    memory.add("Owns a coffee mug.", user_id="bob", infer=False)
    memory.add("I drink tea.", user_id="alice", session_id="s")
    return memory


def contents(documents: list[Any]) -> list[str]:
    return [document.page_content for document in documents]


def test_documents_carry_scores_and_where_they_come_from(stocked: Memory, run: Runner) -> None:
    [document] = run(HoldfastRetriever(memory=stocked, user_id="alice", k=1), "I drink tea.")
    item = stocked.get(document.id)
    assert item is not None
    assert document.page_content == "I drink tea."
    assert 0 < document.metadata["score"] <= 1
    assert document.metadata["memory_id"] == document.id
    assert document.metadata["user_id"] == "alice"
    assert document.metadata["created_at"] == item.created_at.isoformat()
    [source] = document.metadata["sources"]
    assert source in {said.id for said in stocked.messages(user_id="alice", session_id="s")}


def test_own_metadata_cannot_hide_where_a_document_comes_from(memory: Memory, run: Runner) -> None:
    memory.add("Likes tea.", user_id="alice", infer=False, metadata={"score": 7, "topic": "drinks"})
    [document] = run(HoldfastRetriever(memory=memory, user_id="alice"), "tea")
    assert document.metadata["score"] <= 1
    assert document.metadata["topic"] == "drinks"


def test_arguments_of_a_call_come_before_those_of_the_retriever(stocked: Memory, run: Runner) -> None:
    retriever = HoldfastRetriever(memory=stocked, user_id="alice", k=2)
    assert len(run(retriever, "tea cup")) == 2
    assert len(run(retriever, "tea cup", k=3)) == 3
    odd = run(retriever, "tea cup", k=10, filters={"even": False})
    assert sorted(contents(odd)) == ["Owns tea cup 1.", "Owns tea cup 3.", "Owns tea cup 5."]
    assert contents(run(retriever, "mug", user_id="bob")) == ["Owns a coffee mug."]
    assert run(retriever, "tea cup", threshold=1.0) == []


def test_the_user_is_configurable(stocked: Memory, run: Runner) -> None:
    retriever = HoldfastRetriever(memory=stocked).configurable_fields(user_id=ConfigurableField(id="user_id"))
    bob: Any = {"configurable": {"user_id": "bob"}}
    assert contents(run(retriever, "mug", config=bob)) == ["Owns a coffee mug."]
    chain = {"documents": retriever, "question": RunnablePassthrough()} | RunnablePassthrough()
    assert contents(run(chain, "mug", config=bob)["documents"]) == ["Owns a coffee mug."]


def test_the_user_comes_from_the_config(stocked: Memory, run: Runner) -> None:
    retriever = HoldfastRetriever(memory=stocked)
    bob: Any = {"configurable": {"user_id": "bob"}}
    assert contents(run(retriever, "mug", config=bob)) == ["Owns a coffee mug."]
    chain = {"documents": retriever} | RunnablePassthrough()
    assert contents(run(chain, "mug", config=bob)["documents"]) == ["Owns a coffee mug."]
    tool = create_retriever_tool(retriever, "memory", "What they told")
    assert "coffee mug" in run(tool, {"query": "mug"}, config=bob)


def test_the_user_comes_from_the_context_of_the_agent_that_it_serves(stocked: Memory, run: Runner) -> None:
    tool = create_retriever_tool(HoldfastRetriever(memory=stocked), "look_up", "What they told")
    model = ScriptedChat(calls("look_up", query="mug"), "ok")
    agent = create_agent(model, tools=[tool], context_schema=User)
    result = run(agent, says("Go."), context=User("bob"))
    assert "coffee mug" in result["messages"][-2].text


def test_a_client_s_config_does_not_override_a_bound_user(stocked: Memory, run: Runner) -> None:
    retriever = HoldfastRetriever(memory=stocked, user_id="alice", k=10)
    found = run(retriever, "coffee mug", config={"configurable": {"user_id": "bob"}})
    assert "Owns a coffee mug." not in contents(found)
    assert found


def test_an_anonymous_user_finds_nothing(stocked: Memory, run: Runner) -> None:
    assert run(HoldfastRetriever(memory=stocked, user_id=lambda runtime: None), "mug") == []
    assert run(HoldfastRetriever(memory=stocked), "mug", config={"configurable": {"user_id": None}}) == []


class Down(HashEmbedder):
    def embed_query(self, text: str) -> Any:
        raise ConnectionError("no route to host")


def test_a_memory_that_cannot_be_reached_finds_nothing_or_is_raised(run: Runner) -> None:
    with Memory(":memory:", llm=None, embedder=Down()) as memory:
        assert run(HoldfastRetriever(memory=memory, user_id="alice"), "tea") == []
        with pytest.raises(EmbeddingError):
            run(HoldfastRetriever(memory=memory, user_id="alice", on_error="raise"), "tea")


def test_wrong_arguments_of_a_call_are_raised_whatever_becomes_of_failures(
    stocked: Memory, run: Runner
) -> None:
    with pytest.raises(FilterError):
        run(HoldfastRetriever(memory=stocked, user_id="alice"), "tea", filters={"a": {"approximately": 1}})


@pytest.mark.parametrize(
    "options",
    [
        {"filters": {"a": {"approximately": 1}}},
        {"threshold": 2},
        {"user_id": " "},
        {"on_error": "no"},
        {"k": 0},
    ],
)
def test_arguments_are_checked_when_it_is_made(memory: Memory, options: Any) -> None:
    with pytest.raises(ValidationError):
        HoldfastRetriever(memory=memory, **options)


def test_without_a_user_it_is_refused(stocked: Memory, run: Runner) -> None:
    with pytest.raises(InputError, match="HoldfastRetriever"):
        run(HoldfastRetriever(memory=stocked), "tea")


def test_an_empty_query_finds_nothing(stocked: Memory, run: Runner) -> None:
    assert run(HoldfastRetriever(memory=stocked, user_id="alice"), " ") == []


def test_it_serves_a_retriever_tool(stocked: Memory, run: Runner) -> None:
    tool = create_retriever_tool(HoldfastRetriever(memory=stocked, user_id="bob"), "memory", "What bob told")
    assert "coffee mug" in run(tool, {"query": "mug"})


def test_the_store_is_no_part_of_what_is_serialised(stocked: Memory) -> None:
    retriever = HoldfastRetriever(memory=stocked, user_id="alice")
    assert "memory" not in retriever.model_dump()
    assert "Memory" not in repr(retriever)


def test_something_else_than_a_memory_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"no holdfast\.Memory"):
        HoldfastRetriever(memory=object(), user_id="alice")  # type: ignore[arg-type]
