"""Work that goes on after `add` has returned: durable, in order, patient, and given up in the open."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Memory, ModelError
from tests.support import inside
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, facts, updating_nearest


class Now:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def opened(path: Any = ":memory:", **options: Any) -> Memory:
    return Memory(path, **{"llm": None, "embedder": HashEmbedder(), "model_size": "large", **options})


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_an_add_in_the_background_returns_before_the_model_answers() -> None:
    answer = threading.Event()

    def slowly(_: Any) -> Any:
        assert answer.wait(20)
        return facts("Lives in Lisbon")

    with opened(llm=ScriptedModel([slowly])) as memory:
        result = memory.add("I live in Lisbon", user_id="alice", background=True)
        assert result.state == "pending"
        assert len(result.messages) == 1
        assert [job.id for job in memory.jobs.pending()] == [result.id]
        assert not memory.flush(timeout=0.1)
        answer.set()
        assert memory.flush(20)
        assert [item.text for item in memory.get_all(user_id="alice")] == ["Lives in Lisbon"]


def test_a_failing_model_is_retried_with_growing_patience_and_then_given_up() -> None:
    now = Now()
    model = ScriptedModel([ConnectionError(f"down {at}") for at in range(6)])
    with opened(llm=model, now=now) as memory:
        result = memory.add("I live in Lisbon", user_id="alice", background=True)
        waits: list[float] = []
        for attempt in range(1, 6):
            until(lambda: [job.attempts for job in memory.jobs.pending()] == [len(waits) + 1])
            [job] = memory.jobs.pending()
            assert job.error is not None
            assert f"down {attempt - 1}" in job.error
            assert job.retry_at is not None
            waits.append((job.retry_at - now.at).total_seconds())
            assert len(model.prompts) == attempt, "it waits for its time"
            now.pass_(waits[-1] + 1)
            memory._worker.start()
        until(lambda: bool(memory.jobs.failed()))
        assert waits == sorted(waits)
        assert waits[0] < 10 < 600 < waits[-1]
        assert [job.id for job in memory.jobs.failed()] == [result.id]
        assert memory.jobs.pending() == []
        assert memory.flush(1), "what was given up is not waited for"
        assert len(memory.messages(user_id="alice")) == 1
        model.replies = [facts("Lives in Lisbon")]
        assert memory.jobs.retry() == 1
        assert memory.flush(20)
        assert memory.jobs.failed() == []
        assert [item.text for item in memory.get_all(user_id="alice")] == ["Lives in Lisbon"]


def test_jobs_of_a_scope_are_done_in_their_order_whatever_comes_between() -> None:
    first = threading.Event()
    order: list[str] = []

    def reply(prompts: Any) -> Any:
        text = prompts[-1].content
        number = max(number for number in "01234" if f"saying number {number}" in text)  # the rest is context
        if number == "0":
            first.wait(10)
        order.append(number)
        return facts(f"Said number {number}")

    with opened(llm=ScriptedModel([reply] * 5), merger=ScriptedMerger(updating_nearest)) as memory:
        for at in range(4):
            memory.add(f"I am saying number {at} now", user_id="alice", background=True)
        threading.Timer(0.2, first.set).start()
        memory.add("I am saying number 4 now", user_id="alice")
        assert memory.flush(20)
    assert order == list("01234")


def test_a_job_that_waits_for_its_retry_does_not_keep_other_users_waiting() -> None:
    model = ScriptedModel([ConnectionError("down"), facts("Lives in Rome")])
    with opened(llm=model, now=Now()) as memory:
        memory.add("I live in Lisbon", user_id="alice", background=True)
        until(lambda: [job.attempts for job in memory.jobs.pending()] == [1])
        memory.add("I live in Rome", user_id="bob", background=True)
        until(lambda: memory.count(user_id="bob") == 1)
        assert [job.scope.user_id for job in memory.jobs.pending()] == ["alice"]


def test_an_error_that_is_nobodys_does_not_end_the_background() -> None:
    class Broken:
        def ask(self, facts: Any, answers: Any = ()) -> Any:
            raise KeyError("a bug in somebody's strategy")

        def decide(self, facts: Any, answers: Any) -> Any:
            raise KeyError("a bug in somebody's strategy")

    with opened(merger=Broken()) as memory:
        memory.add("I live in Porto", user_id="alice", infer=False)
        memory.add("I live in Lisbon", user_id="alice", background=True)
        until(lambda: [job.attempts for job in memory.jobs.pending()] == [1])
        memory.add("as it is", user_id="bob", infer=False, background=True)
        until(lambda: memory.count(user_id="bob") == 1)
        [job] = memory.jobs.pending()
        assert job.error is not None
        assert "KeyError" in job.error


@pytest.mark.parametrize(
    "thrown", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), StopIteration()]
)
def test_the_background_outlives_whatever_comes_out_of_a_model(thrown: BaseException) -> None:
    def throwing(_: Any) -> Any:
        raise thrown

    with opened(llm=ScriptedModel([throwing, facts("Lives in Rome")]), now=Now()) as memory:
        memory.add("I live in Lisbon", user_id="alice", background=True)
        until(lambda: [job.attempts for job in memory.jobs.pending()] == [1])
        [job] = memory.jobs.pending()
        assert job.state == "pending"
        assert job.error is not None
        assert type(thrown).__name__ in job.error
        memory.add("I live in Rome", user_id="bob", background=True)
        until(lambda: memory.count(user_id="bob") == 1)


def test_the_background_outlives_a_listener_that_wants_to_exit() -> None:
    def leaving(_: Any) -> None:
        raise SystemExit(3)

    with opened() as memory:
        unsubscribe = memory.subscribe(leaving)
        memory.add("fact", user_id="alice", infer=False, background=True)
        until(lambda: not inside.store_of(memory).ledger.jobs.listed("pending", "running"))
        unsubscribe()
        memory.add("fact", user_id="bob", infer=False, background=True)
        until(lambda: memory.count(user_id="bob") == 1)


def test_jobs_of_several_scopes_are_done_side_by_side_up_to_a_limit() -> None:
    """Each answer waits until as many have been asked for as there may be at a time."""
    together = threading.Barrier(3)
    at_once = Counted()

    def reply(prompts: Any) -> Any:
        with at_once:
            together.wait(20)
            return facts("Likes tea")

    with opened(llm=ScriptedModel([reply] * 6), merger=ScriptedMerger(updating_nearest), workers=3) as memory:
        for at in range(6):
            memory.add("I like tea", user_id=f"user {at}", background=True)
        assert memory.flush(20)
        assert [memory.count(user_id=f"user {at}") for at in range(6)] == [1] * 6
    assert at_once.most == 3


class Counted:
    """How many are inside at a time, at most."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._inside = self.most = 0

    def __enter__(self) -> None:
        with self._guard:
            self._inside += 1
            self.most = max(self.most, self._inside)

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._inside -= 1


def test_jobs_of_one_scope_are_done_one_by_one_however_many_threads_there_are() -> None:
    at_once, order = Counted(), list[str]()

    def reply(prompts: Any) -> Any:
        with at_once:
            order.append(prompts[-1].content[-1:])
            time.sleep(0.01)
            return facts("Likes tea")

    class Reading(ScriptedModel):
        def complete(self, messages: Any, *, schema: Any = None) -> Any:
            return super().complete(messages, schema=schema)

    with opened(llm=Reading([reply] * 8), merger=ScriptedMerger(updating_nearest), workers=8) as memory:
        for at in range(8):
            memory.add(f"I like tea {at}", user_id="alice", background=True)
        assert memory.flush(20)
        said = [message.message.content for message in memory.messages(user_id="alice")]
        assert said == [f"I like tea {at}" for at in range(8)]
    assert at_once.most == 1


def test_what_waited_behind_an_add_in_the_foreground_is_done_when_that_is(tmp_path: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slowly(_: Any) -> Any:
        asked.set()
        assert answer.wait(20)
        return facts("Likes tea")

    model = ScriptedModel([slowly, facts("Likes figs")])
    with opened(llm=model, merger=ScriptedMerger(updating_nearest)) as memory:
        memory.add("warm up", user_id="bob", infer=False, background=True)
        adding = threading.Thread(target=lambda: memory.add("I like tea", user_id="alice"))
        adding.start()
        assert asked.wait(20)
        memory.add("I like figs", user_id="alice", background=True)
        time.sleep(0.3)  # the background looks, and finds that it has to wait
        answer.set()
        until(lambda: not memory.jobs.pending(), 15)
        adding.join()


def test_close_finishes_what_is_due(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        for at in range(30):
            memory.add(f"fact {at}", user_id="alice", infer=False, background=True)
    with opened(tmp_path, resume_on_open=False) as memory:
        assert memory.count(user_id="alice") == 30
        assert [it.text for it in memory.get_all(user_id="alice")] == [f"fact {at}" for at in range(30)]


def test_the_next_opening_takes_up_what_was_left(tmp_path: Path) -> None:
    with opened(tmp_path, resume_on_open=False) as memory:
        inside.idle(memory)
        memory.add("fact", user_id="alice", infer=False, background=True)
        assert len(memory.jobs.pending()) == 1
    with opened(tmp_path) as memory:
        until(lambda: memory.count(user_id="alice") == 1)
        assert memory.jobs.pending() == []


def test_a_model_that_fails_in_the_foreground_leaves_the_work_to_resume() -> None:
    model = ScriptedModel([ConnectionError("down"), facts("Lives in Lisbon")])
    with opened(llm=model, now=Now()) as memory:
        with pytest.raises(ModelError, match="down") as raised:
            memory.add("I live in Lisbon", user_id="alice")
        assert [job.id for job in memory.jobs.pending()] == [raised.value.add_id]
        [result] = memory.resume()
        assert result.id == raised.value.add_id
        assert memory.count(user_id="alice") == 1


def test_the_loop_is_never_held_for_long(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The longest stall is reported; what is asserted allows for a machine that is busy with other things."""

    async def stalls() -> float:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - before - 0.001)

        async with opened(tmp_path) as memory:
            await memory.aadd(["warm up"], user_id="alice", infer=False)
            await memory.asearch("warm", user_id="alice")
            watching = asyncio.ensure_future(watch())
            await asyncio.gather(
                *(memory.aadd(f"fact {at}", user_id=f"u{at % 3}", infer=False) for at in range(30)),
                *(memory.asearch(f"fact {at}", user_id="alice") for at in range(30)),
                memory.aadd([f"bulk {at}" for at in range(300)], user_id="bulk", infer=False),
            )
            watching.cancel()
        return longest

    longest = asyncio.run(stalls())
    record_property("longest_stall_ms", round(longest * 1000, 1))
    print(f"longest stall of the loop: {longest * 1000:.0f} ms")
    assert longest < 10.0
