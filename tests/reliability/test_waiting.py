"""Waiting for work that is under way: bounded by real time, and never for what cannot be done in it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast import InputError, Memory
from tests.conftest import Face
from tests.support import inside
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, facts, updating_nearest


@pytest.fixture(params=["sync", "async"])
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[..., Face]]:
    loop = asyncio.new_event_loop() if request.param == "async" else None
    memories: list[Memory] = []

    def opener(**options: Any) -> Face:
        given = {
            "llm": None,
            "embedder": HashEmbedder(),
            "merger": ScriptedMerger(updating_nearest),
            **options,
        }
        memories.append(Memory(":memory:", **given))
        return Face(memories[-1], loop)

    yield opener
    for memory in memories:
        memory.close()
    if loop is not None:
        loop.close()


class Gate:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()

    def __call__(self, _: Any) -> Any:
        self.asked.set()
        assert self.answer.wait(60)
        return facts("Likes tea")


def test_flush_does_not_wait_for_a_model_that_fails(opened: Callable[..., Face]) -> None:
    memory = opened(llm=ScriptedModel([ConnectionError("the model is down")] * 9))
    added = memory.add("I like tea", user_id="alice", background=True)
    memory.add("And figs", user_id="alice", background=True)
    start = time.monotonic()
    left = memory.flush()
    assert time.monotonic() - start < 60, "the first retry may come in time, the last comes after an hour"
    assert not left
    first, second = left.pending
    assert first.id == added.id
    assert first.error is not None
    assert "the model is down" in first.error
    assert first.retry_at is not None
    assert (second.attempts, second.error) == (0, None), "it waits for the one before it"


def test_flush_waits_for_retries_that_come_in_time(
    opened: Callable[..., Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.leases.RETRY_SECONDS", (0.2, 3600))
    memory = opened(llm=ScriptedModel([ConnectionError("down"), facts("Likes tea"), ConnectionError("down")]))
    memory.add("I like tea", user_id="alice", background=True)
    assert memory.flush(60)
    assert memory.count(user_id="alice") == 1


def test_flush_returns_at_once_where_no_retry_comes_in_time(
    opened: Callable[..., Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.leases.RETRY_SECONDS", (3600,))
    memory = opened(llm=ScriptedModel([ConnectionError("down")]))
    memory.add("I like tea", user_id="alice", background=True)
    start = time.monotonic()
    assert not memory.flush(600)
    assert time.monotonic() - start < 60


def test_a_time_limit_counts_real_time_and_not_the_sleeps(opened: Callable[..., Face]) -> None:
    """Each look takes a quarter of a second: a limit that counts only sleeps of 20 ms would take 13 times as long."""
    gate = Gate()
    memory = opened(llm=ScriptedModel([gate]))
    memory.add("I like tea", user_id="alice", background=True)
    assert gate.asked.wait(20)
    inside.at(memory.memory, "look", lambda: time.sleep(0.25))
    for waits in (lambda: memory.flush(1.5), lambda: memory.recall("tea", user_id="alice", wait=1.5)):
        start = time.monotonic()
        assert not waits()
        assert 1.5 <= time.monotonic() - start < 10
    gate.answer.set()


@pytest.mark.parametrize("wrong", [-1, float("nan"), "soon", True])
def test_a_time_limit_that_is_none_is_refused(opened: Callable[..., Face], wrong: Any) -> None:
    memory = opened()
    with pytest.raises(InputError, match="timeout"):
        memory.flush(wrong)
    with pytest.raises(InputError, match="wait"):
        memory.search("tea", user_id="alice", wait=wrong)


@pytest.mark.parametrize("operation", ["search", "recall"])
def test_what_was_said_a_moment_ago_is_found(opened: Callable[..., Face], operation: str) -> None:
    gate = Gate()
    memory = opened(llm=ScriptedModel([gate]))
    memory.add("I like tea", user_id="alice", background=True)
    threading.Timer(0.3, gate.answer.set).start()
    assert getattr(memory, operation)("tea", user_id="alice", wait=30)
    assert not memory.jobs.pending()


def test_what_others_say_is_not_waited_for(opened: Callable[..., Face]) -> None:
    gate = Gate()
    memory = opened(llm=ScriptedModel([gate]))
    memory.add("I like tea", user_id="alice", session_id="monday", background=True)
    assert gate.asked.wait(20)
    start = time.monotonic()
    assert not memory.search("tea", user_id="bob", wait=600)
    assert not memory.search("tea", user_id="alice", wait=600, session_id="monday"), "it knows what it says"
    assert not memory.search("tea", user_id="alice", wait=600, as_of="2020-01-01")
    assert not memory.search("tea", user_id="alice", wait=0)
    assert time.monotonic() - start < 60
    gate.answer.set()


def test_an_add_that_takes_longer_is_waited_for_once(opened: Callable[..., Face]) -> None:
    gate = Gate()
    memory = opened(llm=ScriptedModel([gate]))
    memory.add("I like tea", user_id="alice", background=True)
    assert gate.asked.wait(20)
    start = time.monotonic()
    assert not memory.search("tea", user_id="alice", wait=1)
    assert time.monotonic() - start >= 1
    assert not memory.search("tea", user_id="alice", wait=600)
    assert time.monotonic() - start < 60
    gate.answer.set()
    assert memory.flush(20)
    assert memory.search("tea", user_id="alice")


def test_while_the_model_fails_nothing_is_waited_for(opened: Callable[..., Face]) -> None:
    gate = Gate()
    memory = opened(llm=ScriptedModel([ConnectionError("down"), gate]))
    memory.add("I like figs", user_id="bob", background=True)
    assert not memory.flush()
    memory.add("I like tea", user_id="alice", background=True)
    assert gate.asked.wait(20)
    start = time.monotonic()
    assert not memory.search("tea", user_id="alice", wait=600)
    assert time.monotonic() - start < 60
    gate.answer.set()


def test_a_call_that_blocks_its_event_loop_does_not_wait_for_what_runs_on_it() -> None:
    class Slow(ScriptedModel):
        async def acomplete(self, messages: Any, *, schema: Any = None) -> Any:
            asked.set()
            await asyncio.sleep(0.3)
            return self.complete(messages, schema=schema)

    asked = asyncio.Event()

    async def mixed() -> None:
        model = Slow([facts("Likes tea")])
        merger = ScriptedMerger(updating_nearest)
        async with Memory(":memory:", llm=model, embedder=HashEmbedder(), merger=merger) as memory:
            adding = asyncio.ensure_future(memory.aadd("I like tea", user_id="alice"))
            await asked.wait()
            start = time.monotonic()
            assert not memory.search("tea", user_id="alice", wait=600)
            assert time.monotonic() - start < 60
            assert await memory.asearch("tea", user_id="alice", wait=60)
            await adding

    asyncio.run(asyncio.wait_for(mixed(), 60))


def test_the_first_failure_in_the_background_is_a_warning(
    opened: Callable[..., Face], caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    failing = ConnectionError("a secret that the provider repeats")
    memory = opened(llm=ScriptedModel([failing, failing, facts("Likes tea"), failing]))
    for user in ("alice", "bob"):
        memory.add("I like tea", user_id=user, background=True)
        assert not memory.flush()
    [said] = warnings()
    assert "ModelError" in said
    assert "memory.jobs.pending()" in said
    assert "secret" not in caplog.text
    memory.add("I like tea", user_id="carol", background=True)
    memory.flush()
    assert memory.count(user_id="carol") == 1
    memory.add("I like tea", user_id="dave", background=True)
    memory.flush()
    assert len(warnings()) == 2, "it worked in between"
