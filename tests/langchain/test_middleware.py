"""`HoldfastMiddleware` in real agents with scripted models, sync and async."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    dynamic_prompt,
)
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.messages.notification import add_notification_metadata
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from holdfast import EmbeddingError, InputError, Memory
from langchain_holdfast import HoldfastMiddleware
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says, thread
from tests.support import inside
from tests.support.fakes import HashEmbedder, Ticking

ALICE = User("alice")


class Authenticated:
    """A user as LangGraph Server puts one into the config."""

    is_authenticated = True
    permissions = ()

    def __init__(self, identity: str) -> None:
        self.identity = self.display_name = identity

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __contains__(self, key: str) -> bool:
        return hasattr(self, key)

    def __iter__(self) -> Any:
        return iter(("identity",))


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}"


def agent_of(memory: Memory, model: ScriptedChat, **options: Any) -> Any:
    """An agent with a checkpointer and our middleware, remembering before the turn ends."""
    ours = HoldfastMiddleware(memory, background=False, **options.pop("ours", {}))
    around = options.pop("around", [])
    options.setdefault("checkpointer", InMemorySaver())
    return create_agent(model, middleware=[ours, *around], context_schema=User, **options)


def texts(memory: Memory, user: str = "alice") -> list[str]:
    return sorted(item.text for item in memory.get_all(user_id=user))


def journal(memory: Memory, user: str = "alice") -> list[tuple[str, str]]:
    return [(said.message.role, said.message.content) for said in memory.messages(user_id=user)]


# -- recall and remember -----------------------------------------------------------------------------------------


def test_another_thread_recalls_what_was_said_in_the_first(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Noted.", "An apple?")
    agent = agent_of(memory, model, system_prompt="You are helpful.")
    run(agent, says("I'm allergic to peanuts."), config=thread("monday"), context=ALICE)
    run(agent, says("Suggest a snack without peanuts"), config=thread("tuesday"), context=ALICE)
    assert [message.text for message in model.seen[0]] == ["You are helpful.", "I'm allergic to peanuts."]
    assert model.system(1) == "You are helpful."
    assert model.seen[1][-1].text.endswith("</memories>\n\nSuggest a snack without peanuts")
    assert "I'm allergic to peanuts." in model.recalled(1)


def test_what_the_thread_shows_is_not_recalled(memory: Memory, run: Runner) -> None:
    memory.add("My sister sells peanuts.", user_id="alice")
    model = ScriptedChat("Noted.", "An apple?", "A pear?")
    agent = agent_of(memory, model)
    run(agent, says("I'm allergic to peanuts."), config=thread("a"), context=ALICE)
    run(agent, says("A snack without peanuts?"), config=thread("a"), context=ALICE)
    assert "allergic" in "".join(message.text for message in model.seen[1])
    assert "sister sells peanuts" in model.recalled(1)
    assert "allergic" not in model.recalled(1)
    run(agent, says("A snack without peanuts?"), config=thread("b"), context=ALICE)
    assert "allergic" in model.recalled(2)


def test_what_left_the_thread_is_recalled(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Noted.", "An apple?")
    agent = agent_of(memory, model)
    run(agent, says("I'm allergic to peanuts.", id="m1"), config=thread("a"), context=ALICE)
    gone = {"messages": [RemoveMessage(id="m1"), HumanMessage("A snack without peanuts?")]}
    run(agent, gone, config=thread("a"), context=ALICE)
    assert "allergic" in model.recalled()


def test_without_a_thread_recall_goes_by_what_is_known(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Noted.", "An apple?")
    agent = agent_of(memory, model, checkpointer=None)
    first = run(agent, says("I'm allergic to peanuts."), context=ALICE)
    run(agent, {"messages": [*first["messages"], HumanMessage("A snack without peanuts?")]}, context=ALICE)
    assert "allergic" in model.recalled()


def test_another_user_recalls_nothing_of_it(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Noted.", "An apple?")
    agent = agent_of(memory, model)
    run(agent, says("I'm allergic to peanuts."), config=thread("a"), context=ALICE)
    run(agent, says("Suggest a snack without peanuts"), config=thread("b"), context=User("bob"))
    assert model.recalled(1) == ""


def test_recalled_text_goes_after_the_blocks_of_a_system_message(memory: Memory, run: Runner) -> None:
    memory.add("I'm allergic to peanuts.", user_id="alice")
    model = ScriptedChat("An apple?")
    prompt = SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}])
    agent = agent_of(memory, model, system_prompt=prompt, ours={"inject": "system"})
    run(agent, says("Suggest a snack without peanuts"), config=thread("a"), context=ALICE)
    blocks = model.seen[0][0].content
    assert blocks[0] == {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    assert "peanuts" in blocks[1]["text"]  # type: ignore[index]
    assert len(prompt.content) == 1


def test_recalled_text_keeps_to_its_budget(memory: Memory, run: Runner) -> None:
    for number in range(40):
        memory.add(f"I own peanut plant number {number}.", user_id="alice")
    model = ScriptedChat("ok")
    agent = agent_of(memory, model, ours={"max_tokens": 120})
    run(agent, says("What about my peanut plant?"), config=thread("a"), context=ALICE)
    assert 1 <= model.recalled().count("peanut plant number") < 12


def test_the_user_s_turn_is_journaled_with_the_thread_as_its_session(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(calls("weather", city="Lisbon"), "Sunny."), tools=[weather])
    run(agent, says("I live in Lisbon. How is the weather?"), config=thread("t1"), context=ALICE)
    said = memory.messages(user_id="alice", session_id="t1")
    assert [(one.message.role, one.message.content) for one in said] == [
        ("user", "I live in Lisbon. How is the weather?"),
        ("assistant", ""),
        ("tool", "Sunny in Lisbon"),
        ("assistant", "Sunny."),
    ]
    assert texts(memory) == ["I live in Lisbon."]


def test_every_turn_of_a_thread_is_remembered_once(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat("a", "b", "c"))
    for text in ("I live in Lisbon.", "I like tea.", "I own a boat."):
        run(agent, says(text), config=thread("t"), context=ALICE)
    assert journal(memory) == [
        ("user", "I live in Lisbon."), ("assistant", "a"),
        ("user", "I like tea."), ("assistant", "b"),
        ("user", "I own a boat."), ("assistant", "c"),
    ]  # fmt: skip


def test_a_client_that_sends_its_history_every_time_is_remembered_once(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat("a", "b"), checkpointer=None)
    first = run(agent, says("I live in Lisbon."), context=ALICE)
    plain = [{"role": m.type, "content": m.content} for m in first["messages"]]
    run(agent, {"messages": [*plain, {"role": "user", "content": "I like tea."}]}, context=ALICE)
    assert [text for _, text in journal(memory)] == ["I live in Lisbon.", "a", "I like tea.", "b"]


def test_several_messages_of_the_user_at_once_are_all_remembered(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat("a"))
    given = {"messages": [HumanMessage("I live in Lisbon."), HumanMessage("I like tea.")]}
    run(agent, given, config=thread("t"), context=ALICE)
    assert texts(memory) == ["I like tea.", "I live in Lisbon."]


def test_a_message_without_text_recalls_nothing_and_is_journaled(memory: Memory, run: Runner) -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    agent = agent_of(memory, ScriptedChat("A picture."))
    run(agent, {"messages": [HumanMessage(picture)]}, config=thread("t"), context=ALICE)
    assert journal(memory) == [("user", ""), ("assistant", "A picture.")]


def test_what_tools_return_is_never_a_memory(memory: Memory, run: Runner) -> None:
    @tool
    def notes() -> str:
        """Notes."""
        return "I am the tool and I live in Paris.\x00"

    agent = agent_of(memory, ScriptedChat(calls("notes"), "ok"), tools=[notes])
    run(agent, says("What do my notes say?"), config=thread("t"), context=ALICE)
    assert texts(memory) == []
    assert ("tool", "I am the tool and I live in Paris.\ufffd") in journal(memory)


def test_recalled_text_that_the_model_repeats_is_not_remembered_again(memory: Memory, run: Runner) -> None:
    memory.add("I'm allergic to peanuts.", user_id="alice")
    model = ScriptedChat("ok")
    agent = agent_of(memory, model)
    frame = memory.recall("peanuts", user_id="alice").text
    run(agent, says(f"You wrote: {frame}\nI like tea."), config=thread("t"), context=ALICE)
    assert len([text for text in texts(memory) if "peanuts" in text]) == 1


def test_recall_and_remembering_can_be_left_out(memory: Memory, run: Runner) -> None:
    memory.add("I'm allergic to peanuts.", user_id="alice")
    model = ScriptedChat("a", "b")
    run(agent_of(memory, model, ours={"recall": False}), says("Peanuts?"), config=thread("t"), context=ALICE)
    assert model.recalled() == ""
    silent = agent_of(memory, model, ours={"remember": False})
    run(silent, says("I like peanuts now."), config=thread("u"), context=ALICE)
    assert "peanuts" in model.recalled()
    assert texts(memory) == ["I'm allergic to peanuts."]


def test_background_remembering_is_done_after_flush(memory: Memory, run: Runner) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, user_id="alice")])
    run(agent, says("I live in Lisbon."))
    assert memory.flush(30)
    assert texts(memory) == ["I live in Lisbon."]


def test_metadata_reaches_the_memories(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat("a"), ours={"metadata": {"channel": "web"}})
    run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert memory.get_all(user_id="alice", filters={"channel": "web"}).total == 1


@pytest.mark.parametrize("end", ["2999-01-31", lambda runtime: datetime(2999, 1, 31, tzinfo=UTC)])
def test_its_memories_expire_when_they_are_to(memory: Memory, run: Runner, end: Any) -> None:
    agent = agent_of(memory, ScriptedChat("a", "b"), ours={"expires_at": end})
    for said in ("I live in Lisbon.", "I have a dog."):
        run(agent, says(said), config=thread("t"), context=ALICE)
    assert [item.expires_at for item in memory.get_all(user_id="alice")] == [
        datetime(2999, 1, 31, tzinfo=UTC)
    ] * 2


def test_a_duration_counts_from_each_turn(run: Runner) -> None:
    clock = Ticking()
    with Memory(":memory:", llm=None, embedder=HashEmbedder(), now=clock) as memory:
        agent = agent_of(memory, ScriptedChat("a", "b"), ours={"expires_at": "P1D"})
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
        clock.at += timedelta(hours=23)
        run(agent, says("I have a dog."), config=thread("t"), context=ALICE)
        clock.at += timedelta(hours=2)
        assert [hit.text for hit in memory.search("Lisbon dog", user_id="alice")] == ["I have a dog."]


# -- whose memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [User("alice"), {"user_id": "alice"}])
def test_the_user_comes_from_the_context_before_the_config(memory: Memory, run: Runner, context: Any) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), config=thread("t", user_id="bob"), context=context)
    assert texts(memory, "alice") == ["I live in Lisbon."]
    assert texts(memory, "bob") == []


@pytest.mark.parametrize("key", ["user_id", "langgraph_user_id"])
def test_the_user_comes_from_the_config(memory: Memory, run: Runner, key: str) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), config=thread("t", **{key: "bob"}))
    assert texts(memory, "bob") == ["I live in Lisbon."]


@pytest.mark.parametrize("context", [None, User("mallory")])
def test_nothing_that_a_client_sends_overrides_a_bound_user(
    memory: Memory, run: Runner, context: Any
) -> None:
    ours = HoldfastMiddleware(memory, user_id="carol", background=False)
    agent = create_agent(ScriptedChat("a"), middleware=[ours])
    run(agent, says("I live in Lisbon."), config=thread("t", user_id="bob"), context=context)
    assert texts(memory, "carol") == ["I live in Lisbon."]


@pytest.mark.parametrize("bound", [None, "carol"])
def test_the_authenticated_user_comes_before_context_config_and_constructor(
    memory: Memory, run: Runner, bound: str | None
) -> None:
    ours = HoldfastMiddleware(memory, user_id=bound, background=False)
    agent = create_agent(ScriptedChat("a"), middleware=[ours])
    config = thread("t", user_id="bob", langgraph_auth_user=Authenticated("alice"))
    run(agent, says("I live in Lisbon."), config=config, context=User("mallory"))
    assert texts(memory, "alice") == ["I live in Lisbon."]


def test_nobody_poses_as_authenticated_by_a_config(memory: Memory, run: Runner) -> None:
    ours = HoldfastMiddleware(memory, user_id="carol", background=False)
    agent = create_agent(ScriptedChat("a"), middleware=[ours])
    config = thread("t", langgraph_auth_user={"identity": "alice"})
    run(agent, says("I live in Lisbon."), config=config)
    assert texts(memory, "alice") == []
    assert texts(memory, "carol") == ["I live in Lisbon."]


def test_an_anonymous_user_has_no_memory(memory: Memory, run: Runner) -> None:
    memory.add("I am allergic to peanuts.", user_id="alice", agent_id="bot")
    for ours, context in (
        ({"user_id": lambda runtime: None}, None),
        ({}, {"user_id": None}),
        ({"agent_id": "bot"}, {"user_id": None}),
    ):
        model = ScriptedChat("a")
        agent = create_agent(model, middleware=[HoldfastMiddleware(memory, **ours)])
        run(agent, says("Am I allergic to peanuts? I live in Lisbon."), context=context)
        assert model.recalled() == ""
    memory.flush(30)
    assert [item.text for item in memory.get_all(agent_id="bot")] == ["I am allergic to peanuts."]
    assert memory.count() == 1
    assert len(memory.messages(agent_id="bot")) == 1


def test_a_function_of_the_runtime_decides_alone(memory: Memory, run: Runner) -> None:
    ours = HoldfastMiddleware(
        memory, user_id=lambda runtime: f"tenant/{runtime.context['user']}", background=False
    )
    agent = create_agent(ScriptedChat("a"), middleware=[ours])
    run(agent, says("I live in Lisbon."), config=thread("t", user_id="bob"), context={"user": 7})
    assert texts(memory, "tenant/7") == ["I live in Lisbon."]


def test_a_run_id_in_the_config_is_not_a_scope(memory: Memory, run: Runner) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), config=thread("t", user_id="bob", run_id="run-1"))
    [item] = memory.get_all(user_id="bob")
    assert item.run_id is None


def test_a_run_id_in_the_context_is_a_scope_only_where_it_is_asked_for(memory: Memory, run: Runner) -> None:
    context = {"user_id": "bob", "run_id": "traced-1"}
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), context=context)
    per_run = HoldfastMiddleware(memory, run_id=lambda runtime: runtime.context["run_id"], background=False)
    run(create_agent(ScriptedChat("a"), middleware=[per_run]), says("I like tea."), context=context)
    assert [(item.text, item.run_id) for item in memory.get_all(user_id="bob")] == [
        ("I live in Lisbon.", None),
        ("I like tea.", "traced-1"),
    ]


def test_numbers_serve_as_user_ids(memory: Memory, run: Runner) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), context={"user_id": 42})
    assert texts(memory, "42") == ["I live in Lisbon."]


@pytest.mark.parametrize("context", [None, {"user": "alice"}, {"user_id": " "}, {"user_id": True}])
def test_without_an_id_the_turn_fails_before_the_model_is_called(
    memory: Memory, run: Runner, context: Any
) -> None:
    model = ScriptedChat("a")
    agent = create_agent(model, middleware=[HoldfastMiddleware(memory)])
    with pytest.raises(InputError, match="user_id"):
        run(agent, says("I live in Lisbon."), context=context)
    assert model.seen == []


# -- interrupts, failures, summaries -----------------------------------------------------------------------------


def approving() -> Any:
    return HumanInTheLoopMiddleware(interrupt_on={"weather": True})


def test_an_interrupted_turn_is_recalled_for_again_and_remembered_once(memory: Memory, run: Runner) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    model = ScriptedChat(calls("weather", city="Lisbon"), "Sunny.")
    agent = agent_of(memory, model, tools=[weather], around=[approving()])
    run(agent, says("How is the weather in Lisbon? I like sun."), config=thread("t"), context=ALICE)
    assert [role for role, _ in journal(memory)[1:]] == ["user"]
    assert texts(memory) == ["I live in Lisbon."]
    resumed = Command(resume={"decisions": [{"type": "approve"}]})
    run(agent, resumed, config=thread("t"), context=ALICE)
    assert "I live in Lisbon." in model.recalled(0)
    assert "I live in Lisbon." in model.recalled(1)
    assert [role for role, _ in journal(memory)[1:]] == ["user", "assistant", "tool", "assistant"]
    assert texts(memory) == ["I like sun.", "I live in Lisbon."]


def test_after_an_interrupt_it_recalls_once_for_all_further_calls(
    memory: Memory, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls: list[str] = []
    for name in ("recall", "arecall"):
        original = getattr(memory, name)
        monkeypatch.setattr(
            memory,
            name,
            lambda original=original, **given: (recalls.append(given["query"]), original(**given))[1],
        )
    model = ScriptedChat(calls("weather", city="a"), calls("look"), calls("look"), "Sunny.")

    @tool
    def look() -> str:
        """Look."""
        return "seen"

    agent = agent_of(memory, model, tools=[weather, look], around=[approving()])
    run(agent, says("How is it?"), config=thread("t"), context=ALICE)
    assert len(recalls) == 1
    run(agent, Command(resume={"decisions": [{"type": "approve"}]}), config=thread("t"), context=ALICE)
    assert len(recalls) == 2
    assert len(model.seen) == 4


def test_a_turn_broken_off_at_an_interrupt_is_remembered_with_the_next(memory: Memory, run: Runner) -> None:
    model = ScriptedChat(calls("weather", city="Lisbon"), "All right.")
    agent = agent_of(memory, model, tools=[weather], around=[approving()])
    run(agent, says("I live in Lisbon. The weather?"), config=thread("t"), context=ALICE)
    run(agent, says("Never mind. I like tea."), config=thread("t"), context=ALICE)
    users = [text for role, text in journal(memory) if role == "user"]
    assert users == ["I live in Lisbon. The weather?", "Never mind. I like tea."]


def test_nothing_recalled_is_in_any_checkpoint(memory: Memory, run: Runner) -> None:
    memory.add("My secret word is xylophone.", user_id="alice")
    saver = InMemorySaver()
    model = ScriptedChat(calls("weather", city="Lisbon"), "ok", "ok")
    agent = agent_of(memory, model, tools=[weather], around=[approving()], checkpointer=saver)
    run(agent, says("What is my secret word?"), config=thread("t"), context=ALICE)
    run(agent, Command(resume={"decisions": [{"type": "approve"}]}), config=thread("t"), context=ALICE)
    run(agent, says("And my secret word again?"), config=thread("t"), context=ALICE)
    assert all("xylophone" in model.recalled(call) for call in range(3))
    stored = repr(saver.storage) + repr(saver.writes) + repr(saver.blobs)
    for state in agent.get_state_history(thread("t")):
        stored += repr(state.values)
    assert "xylophone" not in stored
    assert "secret word" in stored


def test_private_state_is_not_in_the_result(memory: Memory, run: Runner) -> None:
    result = run(agent_of(memory, ScriptedChat("a")), says("Hi."), config=thread("t"), context=ALICE)
    assert list(result) == ["messages"]


def test_what_was_said_before_the_model_failed_is_remembered(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(RuntimeError("no network"), "a"))
    with pytest.raises(RuntimeError, match="no network"):
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert memory.flush(30)
    assert texts(memory) == ["I live in Lisbon."]
    run(agent, says("I like tea."), config=thread("t"), context=ALICE)
    assert journal(memory) == [("user", "I live in Lisbon."), ("user", "I like tea."), ("assistant", "a")]


def test_a_model_that_is_tried_again_doubles_nothing(memory: Memory, run: Runner) -> None:
    agent = create_agent(
        ScriptedChat(RuntimeError("busy"), RuntimeError("busy"), "a"),
        middleware=[
            ModelRetryMiddleware(max_retries=2, initial_delay=0, backoff_factor=0, jitter=False),
            HoldfastMiddleware(memory, user_id="alice", background=False),
        ],
    )
    run(agent, says("I live in Lisbon."))
    assert journal(memory) == [("user", "I live in Lisbon."), ("assistant", "a")]


def test_a_turn_whose_tool_failed_is_remembered_with_the_next(memory: Memory, run: Runner) -> None:
    @tool
    def broken() -> str:
        """Broken."""
        raise RuntimeError("out of order")

    agent = agent_of(memory, ScriptedChat(calls("broken"), "a"), tools=[broken])
    with pytest.raises(RuntimeError, match="out of order"):
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    run(agent, says("I like tea."), config=thread("t"), context=ALICE)
    assert texts(memory) == ["I like tea.", "I live in Lisbon."]


@pytest.mark.parametrize("first", [True, False])
def test_a_summary_takes_nothing_from_memory_and_adds_nothing(
    memory: Memory, run: Runner, first: bool
) -> None:
    summary = SummarizationMiddleware(
        ScriptedChat(*(["I am the summary and I live in Paris."] * 9)),
        trigger=("messages", 3), keep=("messages", 1),
    )  # fmt: skip
    ours = HoldfastMiddleware(memory, user_id="alice", background=False)
    model = ScriptedChat(
        AIMessage("Let me look.", tool_calls=[{"name": "weather", "args": {"city": "a"}, "id": "1"}]),
        calls("weather", "2", city="b"),
        "Sunny.",
        "Good.",
    )
    agent = create_agent(
        model,
        tools=[weather],
        middleware=[ours, summary] if first else [summary, ours],
        checkpointer=InMemorySaver(),
    )
    result = run(agent, says("I live in Lisbon. The weather?"), config=thread("t"))
    assert "I live in Lisbon. The weather?" not in [message.text for message in result["messages"]]
    run(agent, says("I like tea."), config=thread("t"))
    spoken = [text for role, text in journal(memory) if role in ("user", "assistant") and text]
    assert spoken == ["I live in Lisbon. The weather?", "Let me look.", "Sunny.", "I like tea.", "Good."]
    assert texts(memory) == ["I like tea.", "I live in Lisbon."]


# -- in company --------------------------------------------------------------------------------------------------


def test_two_of_them_in_one_agent_keep_apart(memory: Memory, run: Runner) -> None:
    memory.add("Our office is in Lisbon.", agent_id="team")
    memory.add("I sit in the office kitchen.", user_id="alice")
    model = ScriptedChat("ok", "ok")
    agent = create_agent(
        model,
        middleware=[
            HoldfastMiddleware(memory, user_id="alice", background=False),
            HoldfastMiddleware(memory, agent_id="team", name="TeamMemory", remember=False),
        ],
        checkpointer=InMemorySaver(),
    )
    run(agent, says("Where is my office? I like tea."), config=thread("t"))
    assert model.recalled().count("<memories") == 2
    assert "Lisbon" in model.recalled()
    assert "kitchen" in model.recalled()
    assert memory.count(agent_id="team") == 1
    assert "I like tea." in texts(memory)


def test_two_of_one_name_are_refused_by_the_framework(memory: Memory) -> None:
    twice = [HoldfastMiddleware(memory, user_id="a"), HoldfastMiddleware(memory, user_id="b")]
    with pytest.raises(AssertionError, match="duplicate middleware"):
        create_agent(ScriptedChat(), middleware=twice)


@pytest.mark.parametrize("name", ["", "a:b", "a|b"])
def test_a_name_that_no_graph_takes_is_refused(memory: Memory, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        HoldfastMiddleware(memory, name=name)


def test_the_async_face_does_not_block_the_event_loop(memory: Memory) -> None:
    threads: set[str] = set()
    inside.at(memory, "journal", lambda: threads.add(threading.current_thread().name))
    agent = agent_of(memory, ScriptedChat("a"))
    asyncio.run(agent.ainvoke(says("I live in Lisbon."), config=thread("t"), context=ALICE))
    assert threads
    assert threading.main_thread().name not in threads


def test_it_changes_nothing_else_that_middleware_sees(memory: Memory, run: Runner) -> None:
    seen: list[Any] = []

    class Spy(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request)
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request)
            return await handler(request)

    memory.add("I live in Lisbon.", user_id="alice")
    agent = agent_of(memory, ScriptedChat("a"), around=[Spy()], ours={"inject": "system"})
    run(agent, says("Where do I live in Lisbon?"), config=thread("t"), context=ALICE)
    [request] = seen
    assert [message.text for message in request.messages] == ["Where do I live in Lisbon?"]
    assert "I live in Lisbon." in request.system_message.text


# -- where recalled text stands ----------------------------------------------------------------------------------


@dynamic_prompt
def briefly(request: Any) -> str:
    return "Be brief."


@pytest.mark.parametrize("first", [True, False])
def test_recalled_text_survives_a_dynamic_prompt_on_either_side(
    memory: Memory, run: Runner, first: bool
) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    model = ScriptedChat("a")
    ours = HoldfastMiddleware(memory, user_id="alice")
    agent = create_agent(model, middleware=[ours, briefly] if first else [briefly, ours])
    run(agent, says("Where do I live in Lisbon?"))
    assert model.system() == "Be brief."
    assert "I live in Lisbon." in model.recalled()
    assert model.seen[0][-1].text.endswith("</memories>\n\nWhere do I live in Lisbon?")


def test_in_the_system_message_recalled_text_follows_a_dynamic_prompt_that_comes_first(
    memory: Memory, run: Runner
) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    model = ScriptedChat("a")
    ours = HoldfastMiddleware(memory, user_id="alice", inject="system")
    run(create_agent(model, middleware=[briefly, ours]), says("Where do I live in Lisbon?"))
    assert model.system().startswith("Be brief.\n\n<memories")


class Caching(AgentMiddleware):
    """Marks the system prompt for the provider's cache, as the providers' middleware does."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(system_message=self._marked(request.system_message)))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(system_message=self._marked(request.system_message)))

    def _marked(self, system: SystemMessage) -> SystemMessage:
        blocks: list[Any] = [{"type": "text", "text": system.text, "cache_control": {"type": "ephemeral"}}]
        return SystemMessage(blocks)


@pytest.mark.parametrize("first", [True, False])
def test_what_a_provider_caches_holds_nothing_recalled(memory: Memory, run: Runner, first: bool) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    model = ScriptedChat("a")
    ours = HoldfastMiddleware(memory, user_id="alice")
    around = [ours, Caching()] if first else [Caching(), ours]
    run(create_agent(model, system_prompt="Be brief.", middleware=around), says("Where is Lisbon?"))
    [cached] = [block for block in model.seen[0][0].content if "cache_control" in block]
    assert cached["text"] == "Be brief."
    assert "I live in Lisbon." in model.recalled()


def test_recalled_text_stands_in_the_same_place_in_every_call_of_a_turn(memory: Memory, run: Runner) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    model = ScriptedChat(calls("weather", city="Lisbon"), "Sunny.")
    agent = agent_of(memory, model, tools=[weather], system_prompt="Be brief.")
    run(agent, says("How is the weather in Lisbon?"), config=thread("t"), context=ALICE)
    assert [message.text for message in model.seen[1][:2]] == [message.text for message in model.seen[0]]


def test_recalled_text_stands_before_a_question_of_several_parts(memory: Memory, run: Runner) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    model = ScriptedChat("a")
    asked = HumanMessage([{"type": "text", "text": "Is this Lisbon?"}, picture])
    run(agent_of(memory, model), {"messages": [asked]}, config=thread("t"), context=ALICE)
    content: Any = model.seen[0][0].content
    assert "I live in Lisbon." in content[0]["text"]
    assert content[1:] == [{"type": "text", "text": "Is this Lisbon?"}, picture]


# -- failures of the memory --------------------------------------------------------------------------------------


class Down(HashEmbedder):
    """An embedder whose server cannot be reached."""

    def embed_query(self, text: str) -> Any:
        raise ConnectionError("no route to host")

    def embed_documents(self, texts: Any) -> Any:
        raise ConnectionError("no route to host")


@pytest.fixture
def down() -> Iterator[Memory]:
    with Memory(":memory:", llm=None, embedder=Down()) as opened:
        yield opened


def test_an_embedder_that_is_down_does_not_take_the_answer_away(
    down: Memory, run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    agent = agent_of(down, ScriptedChat("Hello."))
    result = run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert result["messages"][-1].text == "Hello."
    assert [text for _, text in journal(down)] == ["I live in Lisbon.", "Hello."]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "HoldfastMiddleware: recall failed; the conversation goes on without it",
        "HoldfastMiddleware: remembering failed; the conversation goes on without it",
    ]


def test_an_embedder_that_is_down_ends_the_turn_where_that_is_wanted(down: Memory, run: Runner) -> None:
    model = ScriptedChat("Hello.")
    agent = agent_of(down, model, ours={"on_error": "raise"})
    with pytest.raises(EmbeddingError, match="no route"):
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert model.seen == []
    assert journal(down) == [("user", "I live in Lisbon.")]


def test_a_failure_to_remember_is_raised_where_that_is_wanted(down: Memory, run: Runner) -> None:
    agent = agent_of(down, ScriptedChat("Hello."), ours={"on_error": "raise", "recall": False})
    with pytest.raises(EmbeddingError, match="no route"):
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)


def test_a_closed_memory_does_not_take_the_answer_away(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat("Hello."))
    memory.close()
    result = run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert result["messages"][-1].text == "Hello."


# -- what it is made with ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"threshold": 7}, "threshold=7"),
        ({"filters": {"a": {"$gt": 1}}}, "gt"),
        ({"metadata": {"user_id": "x"}}, "user_id"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"expires_at": "2020-01-01"}, "expires_at='2020-01-01'"),
        ({"instructions": ""}, "instructions"),
        ({"inject": "assistant"}, "inject='assistant'"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"query": "tea"}, "query='tea'"),
        ({"user_id": " "}, "user_id=' '"),
        ({"after_seconds": -1}, "after_seconds=-1"),
        ({"after_seconds": 60, "background": False}, "background=True"),
    ],
)
def test_arguments_are_checked_when_it_is_made(memory: Memory, options: Any, named: str) -> None:
    with pytest.raises(InputError, match=re.escape(named)):
        HoldfastMiddleware(memory, **options)


def test_what_is_no_memory_is_refused_when_it_is_made() -> None:
    with pytest.raises(InputError, match="no holdfast"):
        HoldfastMiddleware("./folder")  # type: ignore[arg-type]


def test_functions_of_the_runtime_say_what_is_recalled_and_how_it_is_kept(
    memory: Memory, run: Runner
) -> None:
    memory.add("I like green tea.", user_id="alice", metadata={"channel": "web"})
    memory.add("I like black tea.", user_id="alice", metadata={"channel": "app"})
    model = ScriptedChat("a")
    asked: list[str] = []

    def wanted(runtime: Any, messages: Any) -> str:
        asked.append(messages[-1].text)
        return "tea"

    ours = HoldfastMiddleware(
        memory,
        background=False,
        query=wanted,
        filters=lambda runtime: {"channel": runtime.context["channel"]},
        metadata=lambda runtime: {"channel": runtime.context["channel"]},
        instructions=lambda runtime: None,
    )
    agent = create_agent(model, middleware=[ours])
    run(agent, says("I live in Lisbon."), context={"user_id": "alice", "channel": "web"})
    assert asked == ["I live in Lisbon."]
    assert "green tea" in model.recalled()
    assert "black tea" not in model.recalled()
    assert [item.text for item in memory.get_all(user_id="alice", filters={"channel": "web"})] == [
        "I like green tea.",
        "I live in Lisbon.",
    ]


# -- what is kept of a turn ---------------------------------------------------------------------------------------


def test_checkpoints_hold_one_id_of_ours_however_long_the_turn(memory: Memory, run: Runner) -> None:
    steps = [calls("weather", str(number), city="Lisbon") for number in range(6)]
    saver = InMemorySaver()
    agent = agent_of(memory, ScriptedChat(*steps, "Sunny."), tools=[weather], checkpointer=saver)
    run(agent, says("I live in Lisbon. The weather?"), config=thread("t"), context=ALICE)
    ours = {
        (channel, repr(value))
        for (_, _, channel, _), (kind, value) in saver.blobs.items()
        if channel.startswith("Holdfast") and kind != "empty"
    }
    assert {channel for channel, _ in ours} == {"HoldfastMiddleware_journaled"}
    assert max(len(value) for _, value in ours) < 100


PNG = "iVBORw0KGgo" + "A" * 4000


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    ],
)
def test_pictures_stay_out_of_the_journal_unless_they_are_wanted(
    memory: Memory, run: Runner, block: Any
) -> None:
    asked = HumanMessage([{"type": "text", "text": "I live here."}, block])
    for user, media in (("alice", False), ("bob", True)):
        agent = agent_of(memory, ScriptedChat("Nice."), ours={"media": media})
        run(agent, {"messages": [asked]}, config=thread(user), context=User(user))
    assert PNG not in str(memory.messages(user_id="alice"))
    assert PNG in str(memory.messages(user_id="bob"))
    assert journal(memory)[0] == ("user", "I live here.")


def test_a_link_to_a_picture_stays_in_the_journal(memory: Memory, run: Runner) -> None:
    link = {"type": "image_url", "image_url": {"url": "https://example.com/" + "a/" * 400}}
    agent = agent_of(memory, ScriptedChat("Nice."))
    run(agent, {"messages": [HumanMessage([link])]}, config=thread("t"), context=ALICE)
    assert link["image_url"]["url"] in str(memory.messages(user_id="alice"))  # type: ignore[index]


def test_what_the_framework_says_in_the_user_s_place_is_not_remembered(memory: Memory, run: Runner) -> None:
    notice = add_notification_metadata(
        HumanMessage("I am done and I live in Paris."), source="background_task"
    )
    agent = agent_of(memory, ScriptedChat("a"))
    run(agent, {"messages": [HumanMessage("I like tea."), notice]}, config=thread("t"), context=ALICE)
    assert texts(memory) == ["I like tea."]


def test_a_sub_agent_that_does_not_remember_recalls_and_leaves_its_orders_out(
    memory: Memory, run: Runner
) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    inner = ScriptedChat("Booked.")
    worker = create_agent(inner, middleware=[HoldfastMiddleware(memory, remember=False)], context_schema=User)

    @tool
    def delegate(order: str, runtime: ToolRuntime[User]) -> str:
        """Delegate."""
        return str(worker.invoke(says(order), context=runtime.context)["messages"][-1].text)

    @tool
    async def adelegate(order: str, runtime: ToolRuntime[User]) -> str:
        """Delegate."""
        return str((await worker.ainvoke(says(order), context=runtime.context))["messages"][-1].text)

    chosen = delegate if run.face == "sync" else adelegate
    model = ScriptedChat(calls(chosen.name, order="I am flying from Lisbon to Paris."), "Done.")
    agent = agent_of(memory, model, tools=[chosen])
    run(agent, says("I like window seats. Can you book a flight?"), config=thread("t"), context=ALICE)
    assert "I live in Lisbon." in inner.recalled()
    assert texts(memory) == ["I like window seats.", "I live in Lisbon."]


def test_a_thread_that_goes_on_is_remembered_as_one_conversation_when_it_is_quiet(
    memory: Memory, run: Runner
) -> None:
    agent = create_agent(
        ScriptedChat("a", "b"),
        middleware=[HoldfastMiddleware(memory, user_id="alice", after_seconds=3600)],
        checkpointer=InMemorySaver(),
    )
    run(agent, says("I live in Lisbon."), config=thread("t"))
    run(agent, says("I like tea."), config=thread("t"))
    assert texts(memory) == []
    assert len(memory.jobs.pending()) == 1
    assert memory.flush(30)
    assert texts(memory) == ["I like tea.", "I live in Lisbon."]
    assert len({one.add_id for one in memory.messages(user_id="alice")}) == 1
