"""What happened on each day: changes by kind, the balance of memories, and what adds cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from holdfast import Day, InputError, Usage
from tests.conftest import Face, Opener
from tests.memory.test_scoped import bound
from tests.support.fakes import ScriptedModel, Ticking, facts

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def lived(open_memory: Opener) -> Face:
    clock = Ticking(FIRST)
    memory = open_memory(now=clock)
    rome = memory.add("I live in Rome", infer=False, user_id="alice")[0]
    tea = memory.add("I like tea", infer=False, user_id="bob", agent_id="guide")[0]
    clock.at = FIRST + DAY - timedelta(minutes=1)
    memory.update(rome.memory_id, "I live in Oslo")
    clock.at = FIRST + 2 * DAY
    gone = memory.delete(tea.memory_id)
    memory.undo(gone.id)
    memory.delete(tea.memory_id)
    memory.add("I live in Oslo", infer="merge", user_id="alice")
    return memory


def test_every_day_has_its_changes_and_their_balance(open_memory: Opener) -> None:
    memory = lived(open_memory)
    assert memory.activity() == (
        Day(FIRST, {"ADD": 2, "UPDATE": 1}, 2),
        Day(FIRST + 2 * DAY, {"ADD": 1, "DELETE": 2, "NOOP": 1}, -1),
    )
    assert sum(day.balance for day in memory.activity()) == memory.count()


def test_only_the_scope_and_the_time_that_are_asked_for(open_memory: Opener) -> None:
    memory = lived(open_memory)
    assert [day.operations for day in memory.activity(user_id="alice")] == [
        {"ADD": 1, "UPDATE": 1},
        {"NOOP": 1},
    ]
    assert bound(memory, agent_id="guide").activity() == memory.activity(user_id="bob")
    assert [day.at for day in memory.activity(since=FIRST + DAY)] == [FIRST + 2 * DAY]
    assert [day.at for day in memory.activity(until=FIRST + DAY)] == [FIRST]
    assert memory.activity(until=FIRST) == memory.activity(user_id="carol") == ()
    with pytest.raises(InputError, match="bound to"):
        bound(memory, user_id="bob").activity(user_id="alice")
    with pytest.raises(InputError, match="since"):
        memory.activity(since="yesterday")


def test_adds_cost_what_their_calls_cost_and_whoever_is_erased_cost_nothing(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([facts("Lives in Rome"), facts("Likes tea")]))
    cost = memory.add("I live in Rome", user_id="alice").usage
    other = memory.add("I like tea", user_id="bob").usage
    assert cost.calls == 1
    assert sum((day.usage for day in memory.activity()), Usage()) == cost + other
    [alone] = memory.activity(user_id="alice")
    assert alone.usage == cost
    memory.erase(user_id="alice")
    assert memory.activity(user_id="alice") == ()


def test_messages_are_read_by_the_ids_that_changes_name(memory: Face) -> None:
    first, second = (memory.add(text, infer=False, user_id="alice")[0] for text in ("one", "two"))
    sources = (*second.sources, *first.sources)
    memory.clear_messages(user_id="alice")
    assert memory.messages(user_id="alice") == ()
    read = memory.messages(user_id="alice", ids=[*sources, "unknown", *sources])
    assert [message.message.content for message in read] == ["two", "one"]
    assert bound(memory, user_id="bob").messages(ids=sources) == ()
    assert memory.messages(user_id="alice", ids=[]) == ()
    for wrong in ({"ids": "x"}, {"ids": [1]}, {"ids": [], "limit": 1}):
        with pytest.raises(InputError, match="ids"):
            memory.messages(user_id="alice", **wrong)
