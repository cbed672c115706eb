"""Turns that break off: what the user said is journaled before anything can fail, and remembered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError

from holdfast import Memory
from langchain_holdfast import HoldfastMiddleware
from tests.langchain.fakes import Runner, ScriptedChat, User, calls, says, thread
from tests.support.fakes import HashEmbedder

ALICE = User("alice")
SAID = "I live in Lisbon. Look it up."

Break = Callable[[Memory, Runner], None]


def agent_of(memory: Memory, model: ScriptedChat, *tools: Any) -> Any:
    ours = HoldfastMiddleware(memory, background=False)
    return create_agent(
        model, tools=tools, middleware=[ours], context_schema=User, checkpointer=InMemorySaver()
    )


@tool
def broken() -> str:
    """Broken."""
    raise RuntimeError("out of order")


@tool
def look() -> str:
    """Look."""
    return "nothing yet"


def tool_raises(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(calls("broken")), broken)
    with pytest.raises(RuntimeError, match="out of order"):
        run(agent, says(SAID), config=thread("one"), context=ALICE)


def model_raises(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(RuntimeError("no network")))
    with pytest.raises(RuntimeError, match="no network"):
        run(agent, says(SAID), config=thread("one"), context=ALICE)


def recursion_limit(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(*[calls("look", str(at)) for at in range(20)]), look)
    with pytest.raises(GraphRecursionError):
        run(agent, says(SAID), config={**thread("one"), "recursion_limit": 8}, context=ALICE)


def consumer_leaves(memory: Memory, run: Runner) -> None:
    agent = agent_of(memory, ScriptedChat(calls("look"), "Nothing."), look)
    options: Any = {"config": thread("one"), "context": ALICE, "stream_mode": "updates"}

    def listen() -> None:
        stream = agent.stream(says(SAID), **options)
        for update in stream:
            if "model" in update:
                break
        stream.close()

    async def alisten() -> None:
        stream = agent.astream(says(SAID), **options)
        async for update in stream:
            if "model" in update:
                break
        await stream.aclose()

    listen() if run.face == "sync" else asyncio.run(alisten())


def task_is_cancelled(memory: Memory, run: Runner) -> None:
    if run.face == "sync":
        pytest.skip("threads cannot be cancelled")
    started = asyncio.Event()

    @tool
    async def slow() -> str:
        """Slow."""
        started.set()
        await asyncio.sleep(60)
        return "late"

    agent = agent_of(memory, ScriptedChat(calls("slow")), slow)

    async def disconnect() -> None:
        task = asyncio.create_task(agent.ainvoke(says(SAID), config=thread("one"), context=ALICE))
        await asyncio.wait_for(started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(disconnect())


BREAKS = [tool_raises, model_raises, recursion_limit, consumer_leaves, task_is_cancelled]
broken_off = pytest.mark.parametrize("break_off", BREAKS)


def texts(memory: Memory) -> list[str]:
    return sorted(item.text for item in memory.get_all(user_id="alice"))


@broken_off
def test_what_was_said_is_journaled_at_once(memory: Memory, run: Runner, break_off: Break) -> None:
    break_off(memory, run)
    said = memory.messages(user_id="alice", session_id="one")
    assert (said[0].message.role, said[0].message.content) == ("user", SAID)


@broken_off
def test_the_user_s_next_turn_in_another_thread_picks_it_up(
    memory: Memory, run: Runner, break_off: Break
) -> None:
    break_off(memory, run)
    agent = agent_of(memory, ScriptedChat("Hello."))
    run(agent, says("I like tea."), config=thread("two"), context=ALICE)
    assert {"I live in Lisbon.", "I like tea."} <= set(texts(memory))


@broken_off
def test_the_next_turn_of_the_thread_picks_it_up(memory: Memory, run: Runner, break_off: Break) -> None:
    break_off(memory, run)
    agent = agent_of(memory, ScriptedChat("Hello."))
    run(agent, says("I like tea."), config=thread("one"), context=ALICE)
    assert {"I live in Lisbon.", "I like tea."} <= set(texts(memory))
    users = [said.message.content for said in memory.messages(user_id="alice") if said.message.role == "user"]
    assert users == [SAID, "I like tea."]


@broken_off
def test_another_user_s_turn_leaves_it_alone(memory: Memory, run: Runner, break_off: Break) -> None:
    break_off(memory, run)
    agent = agent_of(memory, ScriptedChat("Hello."))
    run(agent, says("I like tea."), config=thread("one"), context=User("bob"))
    assert texts(memory) == []
    assert [item.text for item in memory.get_all(user_id="bob")] == ["I like tea."]


def test_a_turn_that_nobody_goes_on_with_is_remembered_by_a_later_process(
    tmp_path: Path, run: Runner
) -> None:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        tool_raises(memory, run)
        assert texts(memory) == []
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        assert [job.state for job in memory.jobs.pending()] == ["pending"]
        memory.flush(60)
        assert "I live in Lisbon." in texts(memory)


def test_a_turn_that_goes_on_after_all_is_remembered_once(memory: Memory, run: Runner) -> None:
    model = ScriptedChat(RuntimeError("no network"), "Found.")
    agent = agent_of(memory, model)
    with pytest.raises(RuntimeError, match="no network"):
        run(agent, says(SAID), config=thread("one"), context=ALICE)
    run(agent, None, config=thread("one"), context=ALICE)
    assert [said.message.content for said in memory.messages(user_id="alice")] == [SAID, "Found."]
    assert len({said.add_id for said in memory.messages(user_id="alice")}) == 1
