"""The feed of changes: newest first, of whoever asks, of the kind and time that is asked for."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast import Feed, InputError, Scope
from tests.conftest import Face, Opener
from tests.memory.test_scoped import bound
from tests.support import inside


def lived(memory: Face) -> list[Any]:
    """What alice and bob did, in order."""
    rome = memory.add("I live in Rome", infer=False, user_id="alice")[0]
    tea = memory.add("I like tea", infer=False, user_id="bob", agent_id="guide")[0]
    oslo = memory.update(rome.memory_id, "I live in Oslo")
    gone = memory.delete(tea.memory_id)
    [back] = memory.undo(gone.id)
    [again] = memory.add("I live in Oslo", infer="merge", user_id="alice")
    return [rome, tea, oslo, gone, back, again]


def test_changes_come_newest_first_and_say_whose_they_are(memory: Face) -> None:
    done = lived(memory)
    feed = memory.changes()
    assert feed == Feed(tuple(reversed(done)))
    assert [change.operation for change in feed] == ["NOOP", "ADD", "DELETE", "UPDATE", "ADD", "ADD"]
    assert feed[1].undoes == done[3].id
    assert feed[-1].scope == Scope("alice")
    assert feed[-2].scope == Scope("bob", "guide")


def test_history_says_the_same(memory: Face) -> None:
    [rome, *_] = lived(memory)
    history = [change for change in memory.changes() if change.memory_id == rome.memory_id]
    assert memory.history(rome.memory_id) == history[::-1]


def test_only_the_scope_that_is_asked_for(memory: Face) -> None:
    rome, tea, oslo, gone, back, again = lived(memory)
    assert memory.changes(user_id="alice").items == (again, oslo, rome)
    assert memory.changes(agent_id="guide").items == (back, gone, tea)
    assert memory.changes(user_id="alice", agent_id="guide").items == ()
    assert bound(memory, user_id="bob").changes().items == (back, gone, tea)
    assert bound(memory, user_id="alice", run_id="r").changes().items == ()
    with pytest.raises(InputError, match="bound to"):
        bound(memory, user_id="bob").changes(user_id="alice")


def test_only_the_operations_and_times_that_are_asked_for(memory: Face) -> None:
    rome, tea, oslo, gone, back, again = lived(memory)
    assert memory.changes(operation="UPDATE").items == (oslo,)
    assert memory.changes(operation=["DELETE", "NOOP"]).items == (again, gone)
    assert memory.changes(since=gone.at).items == (again, back, gone)
    assert memory.changes(until=oslo.at).items == (tea, rome)
    assert memory.changes(since=tea.at, until=gone.at.isoformat(), user_id="alice").items == (oslo,)
    assert memory.changes(since=again.at + timedelta(days=1)).items == ()


def test_pages_give_every_change_once_while_more_come(memory: Face) -> None:
    lived(memory)
    for limit in (1, 2, 3, 99):
        known = list(memory.changes(limit=None))
        found, cursor = [], None
        while True:
            page = memory.changes(limit=limit, cursor=cursor)
            assert len(page) <= limit
            found += page.items
            memory.add("something new", infer=False, user_id="carol")  # ahead of the page, not in it
            if (cursor := page.next) is None:
                break
        assert found == known


def test_without_a_limit_there_are_fifty_and_a_next_page(memory: Face) -> None:
    for user in ("bob", "alice"):
        memory.add([f"fact {number} of {user}" for number in range(80)], infer=False, user_id=user)
    memory.add("last", infer=False, user_id="carol")
    for whose, count in (
        ({}, 161),
        ({"user_id": "alice"}, 80),
        ({"user_id": "bob"}, 80),
        ({"user_id": "carol"}, 1),
    ):
        page = memory.changes(**whose)
        assert len(page) == min(count, 50)
        assert len(memory.changes(**whose, limit=None)) == count
        if page.next is not None:
            following = memory.changes(**whose, cursor=page.next, limit=None)
            assert page.items + following.items == memory.changes(**whose, limit=None).items
    assert [change.text for change in memory.changes(user_id="bob", limit=2)] == [
        "fact 79 of bob",
        "fact 78 of bob",
    ]


def test_what_was_erased_never_shows(memory: Face) -> None:
    lived(memory)
    memory.erase(user_id="bob")
    assert {change.scope for change in memory.changes()} == {Scope("alice")}
    assert memory.changes(agent_id="guide").items == ()
    memory.reset(confirm=True)
    assert memory.changes() == Feed(())


def test_imported_changes_stand_where_their_time_puts_them(open_memory: Opener) -> None:
    early, late = open_memory("one"), open_memory("two")
    lived(early)
    file = io.StringIO()
    early.export(file, everything=True)
    inside.store_of(late.memory).ledger.clock.start_after(
        int(datetime(2026, 3, 4, 12, 5, tzinfo=UTC).timestamp() * 1e6)
    )
    own = late.add("I was here", infer=False, user_id="carol")[0]
    file.seek(0)
    late.import_(file)
    assert late.changes().items == (own, *early.changes())


NONSENSE: list[dict[str, Any]] = [
    {"operation": "add"}, {"operation": ["ADD", 1]}, {"operation": 7}, {"since": "yesterday"}, {"until": 5},
    {"limit": 0}, {"cursor": "1"}, {"cursor": "x:y"}, {"cursor": f"{2**63}:1"}, {"agent_id": " "},
]  # fmt: skip


def test_what_makes_no_sense_is_refused(memory: Face) -> None:
    for options in NONSENSE:
        with pytest.raises(InputError):
            memory.changes(**options)


def test_where_a_scope_is_required_only_a_named_one_is_shown(open_memory: Opener) -> None:
    memory = open_memory(require_scope=True)
    change = memory.add("I like tea", infer=False, user_id="bob")[0]
    with pytest.raises(InputError, match="whose memory"):
        memory.changes()
    assert memory.changes(user_id="bob").items == (change,)


def test_a_feed_is_shown_as_a_table(memory: Face) -> None:
    lived(memory)
    html = memory.changes()._repr_html_()
    for part in ("I live in Oslo", "user_id: bob", "(undo)"):
        assert part in html
