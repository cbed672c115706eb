"""The retriever in chains, with configurable users and per-call arguments."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from pydantic import ValidationError

from holdfast import InputError, Memory
from langchain_holdfast import HoldfastRetriever
from tests.langchain.fakes import Runner


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
