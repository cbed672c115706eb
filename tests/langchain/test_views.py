"""Parts that are given a view of a memory, `memory.scoped(...)`, work on what it reaches and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent

from holdfast import FilterError, InputError, Memory
from holdfast.models.redaction import PersonalDataRedactor
from langchain_holdfast import (
    HoldfastChatMessageHistory,
    HoldfastMemory,
    HoldfastMiddleware,
    HoldfastRetriever,
    HoldfastStore,
    create_memory_tools,
)
from tests.langchain.fakes import Runner, ScriptedChat, says
from tests.support.fakes import HashEmbedder

BOB = {"configurable": {"user_id": "bob"}}


@pytest.fixture
def known(memory: Memory) -> Memory:
    memory.add("I own a red bicycle.", user_id="alice")
    memory.add("I own a blue bicycle.", user_id="bob")
    return memory


def test_a_view_says_whose_memory_it_is(known: Memory, run: Runner) -> None:
    alice = known.scoped(user_id="alice")
    [document] = run(HoldfastRetriever(memory=alice), "bicycle")
    assert document.page_content == "I own a red bicycle."
    search, manage = create_memory_tools(alice)
    assert "red" in run(search, {"query": "bicycle"})
    run(manage, {"content": "Likes tea"})
    history = HoldfastChatMessageHistory(alice, "s")
    history.add_user_message("Hello")
    assert "red" in HoldfastMemory(memory=alice).load_memory_variables({"input": "bicycle"})["history"]
    agent = create_agent(ScriptedChat("Hi"), middleware=[HoldfastMiddleware(alice, background=False)])
    run(agent, says("I like cheese."))
    assert {item.text for item in alice.get_all()} == {"I own a red bicycle.", "Likes tea", "I like cheese."}
    assert len(known.messages(user_id="bob")) == 1
    assert known.count(user_id="bob") == 1


def test_what_a_client_sends_does_not_override_a_view(known: Memory, run: Runner) -> None:
    [document] = run(HoldfastRetriever(memory=known.scoped(user_id="alice")), "bicycle", config=BOB)
    assert document.page_content == "I own a red bicycle."


def test_another_s_id_beside_a_view_is_refused(known: Memory, run: Runner) -> None:
    alice: Any = known.scoped(user_id="alice")
    with pytest.raises(InputError, match="bound to user_id='alice'"):
        run(HoldfastRetriever(memory=alice, user_id="bob", on_error="raise"), "bicycle")
    for bound in (
        lambda: HoldfastChatMessageHistory(alice, "s", user_id="bob"),
        lambda: HoldfastMemory(memory=alice, user_id="bob"),
    ):
        with pytest.raises(ValueError, match="bound to user_id='alice'"):
            bound()


def test_a_filter_on_what_the_redactor_masks_is_an_error_and_not_nothing(run: Runner) -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder(), redactor=PersonalDataRedactor()) as memory:
        store = HoldfastStore(memory, index=False)
        run.call(store, "put", ("users",), "1", {"mail": "ann@example.com", "plan": "free"})
        with pytest.raises(FilterError, match=r"masked before it is stored, '\[email\]'"):
            run.call(store, "search", ("users",), filter={"mail": "ann@example.com"})
        [found] = run.call(store, "search", ("users",), filter={"plan": "free"})
        assert found.value == {"mail": "[email]", "plan": "free"}
        assert [one.key for one in run.call(store, "search", ("users",), filter={"mail": "[email]"})] == ["1"]
