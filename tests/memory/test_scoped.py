"""Views that reach one scope, and memories that refuse to be read without one."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import ClosedError, InputError, Memory, NotFoundError, Scope, ScopedMemory
from tests.conftest import Face, Opener
from tests.support.fakes import ScriptedModel


def bound(memory: Face, **ids: str) -> Face:
    return Face(memory.memory.scoped(**ids), memory._loop)


def test_a_view_adds_and_finds_without_naming_its_ids(memory: Face) -> None:
    alice = bound(memory, user_id="alice")
    alice.add("I live in Berlin.")
    alice.add("I like tea.", agent_id="guide")
    memory.add("I live in Rome.", user_id="bob")
    assert [item.text for item in alice.get_all()] == ["I live in Berlin.", "I like tea."]
    assert {hit.text for hit in alice.search("where do I live?")} == {"I live in Berlin.", "I like tea."}
    assert "Rome" not in str(alice.recall("where do I live?"))
    assert [item.scope for item in alice.get_all(agent_id="guide")] == [Scope("alice", "guide")]
    assert alice.count() == 2


OTHERS: dict[str, Callable[[Face, str, str], Any]] = {
    "history": lambda view, memory_id, add_id: view.history(memory_id),
    "update": lambda view, memory_id, add_id: view.update(memory_id, "I live nowhere."),
    "delete": lambda view, memory_id, add_id: view.delete(memory_id),
    "undo": lambda view, memory_id, add_id: view.undo(add_id),
}


@pytest.mark.parametrize("operation", OTHERS)
def test_no_operation_of_a_view_reaches_anothers_memory(memory: Face, operation: str) -> None:
    added = memory.add("I live in Rome.", user_id="bob")
    alice = bound(memory, user_id="alice")
    alice.add("I live in Berlin.")
    with pytest.raises(NotFoundError):
        OTHERS[operation](alice, added[0].memory_id, added.id)
    assert alice.get(added[0].memory_id) is None
    assert [item.text for item in memory.get_all(user_id="bob")] == ["I live in Rome."]
    assert len(memory.history(added[0].memory_id)) == 1


def test_a_view_exports_erases_and_deletes_its_own_only(memory: Face) -> None:
    alice = bound(memory, user_id="alice")
    for view in (alice, bound(memory, user_id="bob")):
        view.add("I live in Berlin.", session_id="s")
    written = io.StringIO()
    alice.export(written)
    rows = [json.loads(line) for line in written.getvalue().splitlines()[1:]]
    assert rows
    assert "bob" not in written.getvalue()
    assert [message.scope.user_id for message in alice.messages()] == ["alice"]
    assert len(alice.delete_all()) == 1
    assert alice.erase().memories == 1
    assert memory.count(user_id="bob") == len(memory.messages(user_id="bob")) == 1


def test_a_view_refuses_other_ids_and_what_concerns_the_whole_store(memory: Face) -> None:
    alice = bound(memory, user_id="alice")
    for call in (
        lambda: alice.search("x", user_id="bob"),
        lambda: alice.add("I like tea.", user_id="bob"),
        lambda: alice.erase(user_id="bob"),
    ):
        with pytest.raises(InputError, match="bound to user_id='alice'"):
            call()
    for call in (
        lambda: alice.memory.index,
        lambda: alice.reset(confirm=True),
        lambda: alice.import_(io.StringIO("")),
        lambda: alice.export(io.StringIO(), everything=True),
        lambda: alice.memory.documents,
        lambda: alice.memory.subscribe(print),
        lambda: memory.memory.scoped(),
        lambda: alice.memory.scoped(user_id="bob"),
        ScopedMemory,
    ):
        with pytest.raises(InputError):
            call()
    assert memory.count() == 0
    assert repr(alice.memory.scoped(run_id="r")) == "ScopedMemory(user_id='alice', run_id='r')"


def test_a_view_sees_and_retries_its_own_jobs_only(
    open_memory: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.leases.RETRY_SECONDS", (0,))
    memory = open_memory(llm=ScriptedModel([ConnectionError("down")] * 20))
    ids = {
        user: memory.add("I live in Berlin.", user_id=user, background=True).id for user in ("alice", "bob")
    }
    deadline = time.monotonic() + 30
    while len(memory.jobs.failed()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    alice, bob = bound(memory, user_id="alice"), bound(memory, user_id="bob")
    assert [job.id for job in alice.jobs.failed()] == [ids["alice"]]
    assert alice.jobs.retry(ids["bob"]) == 0
    assert alice.jobs.retry() == 1
    assert [job.id for job in bob.jobs.failed()] == [ids["bob"]]


def test_jobs_and_index_of_a_closed_memory_say_so(open_memory: Opener) -> None:
    memory = open_memory()
    jobs, index = memory.jobs, memory.index
    memory.close()
    for call in (
        jobs.pending,
        jobs.failed,
        jobs.retry,
        index.verify,
        index.repair,
        index.rebuild,
        index.optimize,
    ):
        with pytest.raises(ClosedError):
            call()


def test_closing_a_view_closes_nothing(memory: Face) -> None:
    view = bound(memory, user_id="alice")
    view.close()
    assert not view.memory.closed
    view.add("I live in Berlin.")
    assert memory.count(user_id="alice") == 1


def test_a_memory_may_refuse_to_be_read_without_a_scope(open_memory: Opener) -> None:
    memory = open_memory(require_scope=True)
    added = memory.add("I live in Berlin.", user_id="alice")
    memory_id = added[0].memory_id
    for call in (
        lambda: memory.get(memory_id),
        lambda: memory.count(),
        lambda: memory.history(memory_id),
        lambda: memory.update(memory_id, "x y"),
        lambda: memory.delete(memory_id),
        lambda: memory.undo(added.id),
        lambda: memory.export(io.StringIO()),
    ):
        with pytest.raises(InputError, match="whose memory"):
            call()
    assert memory.get(memory_id, user_id="alice").text == "I live in Berlin."
    assert memory.memory.scoped(user_id="alice").count() == 1


def test_everything_is_exported_only_by_name(memory: Face) -> None:
    memory.add("I live in Berlin.", user_id="alice")
    with pytest.raises(InputError, match="whose memory"):
        memory.export(io.StringIO())
    with pytest.raises(InputError, match="not both"):
        memory.export(io.StringIO(), user_id="alice", everything=True)
    assert memory.export(io.StringIO(), everything=True).versions == 1


def test_a_view_is_a_memory_for_whoever_takes_one() -> None:
    async def used() -> list[str]:
        async with Memory(":memory:", llm=None) as memory:
            view = memory.scoped(user_id="alice")
            assert isinstance(view, Memory)
            async with view:
                await view.aadd("I live in Berlin.")
            return [item.text for item in await memory.aget_all(user_id="alice")]

    assert asyncio.run(used()) == ["I live in Berlin."]
