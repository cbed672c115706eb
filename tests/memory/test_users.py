"""Who has memories: how many, since when, changed when."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest

from holdfast import InputError, Owner, Owners, Scope
from tests.conftest import Face, Opener
from tests.memory.test_scoped import bound

SCOPES: list[dict[str, str]] = [
    {"user_id": "alice"},
    {"user_id": "alice", "agent_id": "guide"},
    {"user_id": "bob"},
    {"agent_id": "guide"},
    {"run_id": "r"},
]


def filled(memory: Face) -> list[Any]:
    """Two memories of each scope."""
    return [
        memory.add(f"{word} of {number}", infer=False, **scope)[0]
        for number, scope in enumerate(SCOPES)
        for word in ("first", "second")
    ]


def counts(memory: Face, **options: Any) -> dict[Scope, int]:
    return {owner.scope: owner.memories for owner in memory.users(**options)}


def test_users_are_counted_over_all_their_scopes(memory: Face) -> None:
    filled(memory)
    assert counts(memory) == {Scope(): 4, Scope("alice"): 4, Scope("bob"): 2}
    assert memory.users().total == 3


def test_by_scope_every_combination_of_ids_is_counted_by_itself(memory: Face) -> None:
    filled(memory)
    found = memory.users(by="scope")
    assert {owner.scope for owner in found} == {Scope(**scope) for scope in SCOPES}
    assert all(owner.memories == 2 for owner in found)
    assert counts(memory, by="scope", user_id="alice") == {Scope("alice"): 2, Scope("alice", "guide"): 2}
    assert counts(memory, agent_id="guide") == {Scope(): 2, Scope("alice"): 2}


def test_counts_and_times_follow_every_change(memory: Face) -> None:
    def alice() -> Any:
        [owner] = memory.users(user_id="alice")
        return owner

    first = memory.add("I live in Rome", infer=False, user_id="alice")[0]
    assert (alice().memories, alice().since, alice().changed_at) == (1, first.at, first.at)
    second = memory.add("I like tea", infer=False, user_id="alice")[0]
    assert (alice().memories, alice().since, alice().changed_at) == (2, first.at, second.at)
    updated = memory.update(second.memory_id, "I like coffee")
    assert (alice().memories, alice().changed_at) == (2, updated.at)
    gone = memory.delete(second.memory_id)
    assert (alice().memories, alice().changed_at) == (1, gone.at)
    [back] = memory.undo(gone.id)
    assert (alice().memories, alice().changed_at) == (2, back.at)
    memory.add("I like coffee", infer="merge", user_id="alice")  # a repeat changes nothing
    assert (alice().memories, alice().changed_at) == (2, back.at)
    memory.delete_all(user_id="alice")
    assert (alice().memories, alice().since) == (0, first.at)
    memory.erase(user_id="alice")
    assert not memory.users().items


def test_expired_memories_are_counted_as_count_does(memory: Face) -> None:
    memory.add("I live in Rome", infer=False, user_id="alice", expires_at=timedelta(microseconds=1))
    assert counts(memory) == {Scope("alice"): memory.count(user_id="alice")} == {Scope("alice"): 1}


def test_messages_alone_make_no_owner(memory: Face) -> None:
    memory.record("hello", user_id="alice")
    assert memory.users() == Owners((), 0)


def pages(memory: Face, **options: Any) -> list[Owner]:
    """What all pages give together."""
    whole, found, cursor = memory.users(by=options["by"]), [], None
    while True:
        page = memory.users(**options, cursor=cursor)
        assert page.total == whole.total == len(whole)
        assert len(page) <= options["limit"]
        found += page.items
        if (cursor := page.next) is None:
            return found


def test_pages_give_every_owner_once(memory: Face) -> None:
    filled(memory)
    for name in ('a"b', "a,b", "[", "用户", "a' OR 1=1"):
        memory.add("x y", infer=False, user_id=name)
    for by in ("user", "scope"):
        whole = memory.users(by=by)
        for limit in (1, 2, 5, 99):
            assert tuple(pages(memory, by=by, limit=limit)) == whole.items


NONSENSE: list[dict[str, Any]] = [
    {"by": "agent"}, {"by": None}, {"limit": 0}, {"limit": "1"}, {"cursor": "x"}, {"cursor": "[1]"},
    {"cursor": '["a"]', "by": "scope"}, {"cursor": '["a","b","c"]'}, {"cursor": ""}, {"cursor": "[" * 9999},
    {"user_id": ""},
]  # fmt: skip


def test_what_makes_no_sense_is_refused(memory: Face) -> None:
    for options in NONSENSE:
        with pytest.raises(InputError):
            memory.users(**options)


def test_a_view_sees_its_own_ids_only(memory: Face) -> None:
    filled(memory)
    assert counts(bound(memory, user_id="alice")) == {Scope("alice"): 4}
    assert counts(bound(memory, user_id="alice", agent_id="guide"), by="scope") == {
        Scope("alice", "guide"): 2
    }
    assert counts(bound(memory, user_id="nobody")) == {}
    assert bound(memory, user_id="bob").users().total == 1
    with pytest.raises(InputError, match="bound to"):
        bound(memory, user_id="bob").users(user_id="alice")


def test_where_a_scope_is_required_only_a_named_one_is_listed(open_memory: Opener) -> None:
    memory = open_memory(require_scope=True)
    filled(memory)
    with pytest.raises(InputError, match="whose memory"):
        memory.users()
    assert counts(memory, user_id="bob") == {Scope("bob"): 2}


def test_imported_memories_are_counted(open_memory: Opener) -> None:
    source, target = open_memory("one"), open_memory("two")
    changes = filled(source)
    source.delete(changes[0].memory_id)
    file = io.StringIO()
    source.export(file, everything=True)
    for _ in range(2):
        file.seek(0)
        target.import_(file)
        assert target.users(by="scope") == source.users(by="scope")


def test_an_owner_is_shown_in_a_table(memory: Face) -> None:
    filled(memory)
    html = memory.users()._repr_html_()
    for part in ("user_id: alice", "memories", "since", "last change"):
        assert part in html
