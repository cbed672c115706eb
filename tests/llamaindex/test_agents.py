"""`HoldfastMemory` in LlamaIndex's agents and workflows: calls, contexts used again, copies, what is kept."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.workflow import Context

from llama_index.memory.holdfast import HoldfastMemory
from tests.llamaindex.conftest import Counted, Remembers, told
from tests.llamaindex.fakes import (
    Calling,
    Listening,
    adding_tool,
    assistant,
    pairs,
    roles,
    text_of,
    user,
)
from tests.support import inside

# LlamaIndex's own agents, not ours, still speak pydantic's old names and their workflows' old ways.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

FACT = "I'm allergic to peanuts."
REASONING = 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 1, "b": 2}'
CONCLUSION = "Thought: I can answer.\nAnswer: it is 3"


def function_agent(llm: Calling, **options: Any) -> FunctionAgent:
    return FunctionAgent(llm=llm, tools=[adding_tool()], streaming=False, **options)


def react_agent(llm: Listening, **options: Any) -> ReActAgent:
    return ReActAgent(llm=llm, tools=[adding_tool()], streaming=False, **options)


async def test_a_function_agent_recalls_what_it_was_told_in_another_session(
    engine: Counted, remembers: Remembers
) -> None:
    await function_agent(Calling("Noted.")).run(FACT, memory=remembers())
    assert engine.texts() == [FACT]
    llm = Calling("An apple.")
    answer = await function_agent(llm).run("Suggest a snack, peanuts?", memory=remembers())
    assert str(answer) == "An apple."
    assert FACT in text_of(llm.shown[0])


async def test_the_next_session_waits_for_what_the_last_one_is_still_adding(engine: Counted) -> None:
    """As in the README: the second agent runs at once after the first one. Patient, as machines may be busy."""
    await function_agent(Calling("Noted.")).run(
        FACT, memory=HoldfastMemory.from_defaults("alice", memory=engine.memory)
    )
    llm = Calling("An apple.")
    await function_agent(llm).run(
        "Suggest a snack, peanuts?",
        memory=HoldfastMemory.from_defaults("alice", memory=engine.memory, patience=60),
    )
    assert FACT in text_of(llm.shown[0])


async def test_a_system_prompt_stays_the_only_system_message(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    llm = Calling("An apple.")
    await function_agent(llm, system_prompt="Be brief.").run("A snack, peanuts?", memory=remembers())
    assert roles(llm.shown[0]) == ["system", "user"]
    assert llm.shown[0][0] == ("system", "Be brief.")
    assert FACT in llm.shown[0][1][1]


async def test_a_turn_with_tools_costs_one_recall_and_one_add(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    llm = Calling(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 3}), "I make it 6.")
    await function_agent(llm).run("I like sums. What is 1+2+3?", memory=memory)
    assert engine.count("recall") == 1
    assert engine.texts() == ["I like sums."]
    assert engine.adds() == 1


async def test_tool_messages_are_history_and_not_memories(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    llm = Calling(("add", {"a": 1, "b": 2}), "It is 3.")
    await function_agent(llm).run("I like sums. What is 1+2?", memory=memory)
    history = memory.get_all()
    assert roles(pairs(history)) == ["user", "assistant", "tool", "assistant"]
    assert history[1].blocks[0].tool_name == "add"  # type: ignore[union-attr]
    assert history[2].content == "3"
    assert engine.texts() == ["I like sums."]


async def test_a_react_agent_keeps_its_steps_in_the_history_and_out_of_the_memory(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    await react_agent(Listening(REASONING, CONCLUSION)).run("I like sums. What is 1+2?", memory=memory)
    [_, kept] = memory.get_all()
    assert "Observation: 3" in (kept.content or "")
    assert (kept.content or "").endswith("Answer: it is 3")
    said = engine.memory.messages(user_id="alice", session_id=memory.session_id)
    assert [message.message.content for message in said] == ["I like sums. What is 1+2?", "it is 3"]
    assert engine.count("recall") == 1
    assert engine.adds() == 1


async def test_a_react_agent_sees_one_system_message(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    llm = Listening("Thought: I can answer.\nAnswer: an apple")
    await react_agent(llm, system_prompt="Be brief.").run("A snack, peanuts?", memory=remembers())
    assert roles(llm.shown[0]).count("system") == 1
    assert FACT in text_of(llm.shown[0])


async def test_an_agent_workflow_hands_over_with_one_memory(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers()
    first = Calling(("handoff", {"to_agent": "cook", "reason": "it is about food"}))
    second = Calling("An apple.")
    workflow = AgentWorkflow(
        agents=[
            FunctionAgent(
                name="host", description="Greets", llm=first, can_handoff_to=["cook"], streaming=False
            ),
            FunctionAgent(name="cook", description="Cooks", llm=second, streaming=False),
        ],
        root_agent="host",
    )
    answer = await workflow.run("A snack, peanuts?", memory=memory)
    assert str(answer) == "An apple."
    assert FACT in text_of(first.shown[0])
    assert FACT in text_of(second.shown[0])
    assert engine.adds() == 2  # what was told before, and this turn


async def test_a_context_that_is_used_again_keeps_the_live_engine(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    agent = function_agent(Calling("Noted."))
    ctx: Context[Any] = Context(agent)
    for turn, message in enumerate(["I like cheese.", "I like apples.", "I own a boat."], 1):
        await agent.run(message, ctx=ctx, memory=memory)
        held = await ctx.store.get("memory")
        assert held.engine is engine.memory
        assert len(held.get_all()) == 2 * turn
        assert pairs(memory.get_all()) == pairs(held.get_all())
    assert sorted(engine.texts()) == ["I like apples.", "I like cheese.", "I own a boat."]


async def test_a_context_restored_from_json_keeps_the_live_engine(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    agent = function_agent(Calling("Noted."))
    ctx: Context[Any] = Context(agent)
    await agent.run("I like cheese.", ctx=ctx, memory=memory)
    restored: Context[Any] = Context.from_dict(agent, ctx.to_dict())
    await agent.run("I like apples.", ctx=restored)
    held = await restored.store.get("memory")
    assert isinstance(held, HoldfastMemory)
    assert held.engine is engine.memory
    assert len(memory.get_all()) == 4


async def test_editing_the_state_keeps_the_live_engine(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    agent = function_agent(Calling("Noted."))
    ctx: Context[Any] = Context(agent)
    await ctx.store.set("memory", memory)
    async with ctx.store.edit_state() as state:
        state["seen"] = True
    held = await ctx.store.get("memory")
    assert held.engine is engine.memory
    await agent.run("I like cheese.", ctx=ctx)
    assert engine.texts() == ["I like cheese."]


async def test_an_empty_memory_is_not_replaced(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    assert memory
    await function_agent(Calling("Noted.")).run("I like cheese.", memory=memory)
    assert len(memory.get_all()) == 2


async def test_an_agent_s_state_is_not_written_into_the_history(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    llm = Calling("Noted.")
    workflow = AgentWorkflow(agents=[function_agent(llm, name="host")], initial_state={"mood": "calm"})
    await workflow.run("I like cheese.", memory=memory)
    assert "calm" in text_of(llm.shown[0])
    assert pairs(memory.get_all()) == [("user", "I like cheese."), ("assistant", "Noted.")]


async def test_a_run_that_is_given_a_history_remembers_only_what_is_new(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    history = [user("I own a boat."), assistant("Nice.")]
    await function_agent(Calling("Noted.")).run("I like cheese.", chat_history=history, memory=memory)
    assert engine.texts() == ["I like cheese."]
    assert len(memory.get_all()) == 4


async def test_a_run_whose_message_ends_the_history_remembers_that_message(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    history = [user("I own a boat."), assistant("Nice."), user("I like cheese.")]
    await function_agent(Calling("Noted.")).run(chat_history=history, memory=memory)
    assert engine.texts() == ["I like cheese."]


async def test_what_nobody_answered_is_remembered_with_the_next_turn(
    engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    await memory.aput(user("I like cheese."))  # and then the model failed
    await function_agent(Calling("Noted.")).run("I own a boat.", memory=memory)
    assert sorted(engine.texts()) == ["I like cheese.", "I own a boat."]


async def test_what_nobody_answered_is_remembered_by_flush(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    await memory.aput(user("I like cheese."))
    assert await memory.aflush(10)
    assert engine.texts() == ["I like cheese."]


async def test_the_sync_methods_work_inside_a_running_loop(engine: Counted, remembers: Remembers) -> None:
    """As in a notebook."""
    told(engine, FACT)
    memory = remembers()
    memory.put(user("A snack, peanuts?"))
    assert FACT in text_of(pairs(memory.get()))
    memory.put(assistant("An apple."))
    assert len(memory.get_all()) == 2


def test_one_memory_serves_several_loops(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    for message in ("I like cheese.", "I own a boat."):
        asyncio.run(memory.aput(user(message)))
        asyncio.run(memory.aput(assistant("Noted.")))
    assert sorted(engine.texts()) == ["I like cheese.", "I own a boat."]


@pytest.mark.parametrize("kind", ["function", "react"])
async def test_chinese_turns_are_remembered_and_recalled(
    kind: str, engine: Counted, remembers: Remembers
) -> None:
    def agent(*replies: str) -> tuple[Any, Any]:
        if kind == "function":
            calling = Calling(*replies)
            return calling, function_agent(calling)
        listening = Listening(*(f"Thought: 我可以回答。\nAnswer: {reply}" for reply in replies))
        return listening, react_agent(listening)

    await agent("好的。")[1].run("我对花生过敏。", memory=remembers())
    assert engine.texts() == ["我对花生过敏。"]
    llm, second = agent("苹果。")
    await second.run("推荐一种零食，花生可以吗？", memory=remembers())
    assert "我对花生过敏" in text_of(llm.shown[0])


async def test_what_another_session_committed_while_this_one_looked_is_recalled(
    engine: Counted,
) -> None:
    """The last add is done in the ledger, and whoever did it has not told the index yet."""
    memory, committed, go_on = engine.memory, threading.Event(), threading.Event()

    def late() -> None:
        committed.set()
        assert go_on.wait(60)

    inside.at(memory, "committed", late)
    adding = threading.Thread(target=lambda: memory.add(FACT, user_id="alice", infer=False))
    adding.start()
    assert await asyncio.to_thread(committed.wait, 60)
    threading.Timer(0.3, go_on.set).start()
    llm = Calling("An apple.")
    await function_agent(llm).run(
        "Suggest a snack, peanuts?", memory=HoldfastMemory.from_defaults("alice", memory=memory, patience=60)
    )
    adding.join()
    assert FACT in text_of(llm.shown[0])
