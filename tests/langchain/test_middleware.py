"""`HoldfastMiddleware` in real agents with scripted models, sync and async."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from holdfast import InputError, Memory
from langchain_holdfast import HoldfastMiddleware
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says, thread

ALICE = User("alice")


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
    assert model.system(0) == "You are helpful."
    assert model.system(1).startswith("You are helpful.\n\n<memories")
    assert "I'm allergic to peanuts." in model.system(1)


def test_another_user_recalls_nothing_of_it(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Noted.", "An apple?")
    agent = agent_of(memory, model)
    run(agent, says("I'm allergic to peanuts."), config=thread("a"), context=ALICE)
    run(agent, says("Suggest a snack without peanuts"), config=thread("b"), context=User("bob"))
    assert model.system(1) == ""


def test_recalled_text_goes_after_the_blocks_of_a_system_message(memory: Memory, run: Runner) -> None:
    memory.add("I'm allergic to peanuts.", user_id="alice")
    model = ScriptedChat("An apple?")
    prompt = SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}])
    agent = agent_of(memory, model, system_prompt=prompt)
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
    assert 1 <= model.system().count("peanut plant number") < 12


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
    assert model.system() == ""
    silent = agent_of(memory, model, ours={"remember": False})
    run(silent, says("I like peanuts now."), config=thread("u"), context=ALICE)
    assert "peanuts" in model.system()
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


# -- whose memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [User("alice"), {"user_id": "alice"}])
def test_the_user_comes_from_the_context_before_the_config_and_the_constructor(
    memory: Memory, run: Runner, context: Any
) -> None:
    ours = HoldfastMiddleware(memory, user_id="carol", background=False)
    agent = create_agent(ScriptedChat("a"), middleware=[ours])
    run(agent, says("I live in Lisbon."), config=thread("t", user_id="bob"), context=context)
    assert texts(memory, "alice") == ["I live in Lisbon."]


@pytest.mark.parametrize("key", ["user_id", "langgraph_user_id"])
def test_the_user_comes_from_the_config_before_the_constructor(memory: Memory, run: Runner, key: str) -> None:
    agent = create_agent(
        ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, user_id="carol", background=False)]
    )
    run(agent, says("I live in Lisbon."), config=thread("t", **{key: "bob"}))
    assert texts(memory, "bob") == ["I live in Lisbon."]


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


def test_numbers_serve_as_user_ids(memory: Memory, run: Runner) -> None:
    agent = create_agent(ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, background=False)])
    run(agent, says("I live in Lisbon."), context={"user_id": 42})
    assert texts(memory, "42") == ["I live in Lisbon."]


@pytest.mark.parametrize("context", [None, {"user_id": " "}, {"user_id": True}])
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
    assert journal(memory) == [("user", "I live in Lisbon.")]
    resumed = Command(resume={"decisions": [{"type": "approve"}]})
    run(agent, resumed, config=thread("t"), context=ALICE)
    assert "I live in Lisbon." in model.system(0)
    assert "I live in Lisbon." in model.system(1)
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
    assert all("xylophone" in model.system(call) for call in range(3))
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


def test_a_failing_store_is_noted_on_the_model_s_error(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(RuntimeError("no network")), ours={"recall": False})
    memory.close()
    with pytest.raises(RuntimeError, match="no network") as caught:
        run(agent, says("I live in Lisbon."), config=thread("t"), context=ALICE)
    assert any("could not remember" in note for note in caught.value.__notes__)


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
    assert model.system().count("<memories") == 2
    assert "Lisbon" in model.system()
    assert "kitchen" in model.system()
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


def test_the_async_face_does_not_block_the_event_loop(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    append = memory._do.store.ledger.journal.append

    def spying(*args: Any, **options: Any) -> Any:
        threads.add(threading.current_thread().name)
        return append(*args, **options)

    monkeypatch.setattr(memory._do.store.ledger.journal, "append", spying)
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
    agent = agent_of(memory, ScriptedChat("a"), around=[Spy()])
    run(agent, says("Where do I live in Lisbon?"), config=thread("t"), context=ALICE)
    [request] = seen
    assert [message.text for message in request.messages] == ["Where do I live in Lisbon?"]
    assert "I live in Lisbon." in request.system_message.text
