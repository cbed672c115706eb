"""Updating, deleting, undoing, erasing: what changes, what stays, what comes back."""

from __future__ import annotations

import pytest

from holdfast import InputError, NotFoundError, UndoError
from tests.conftest import Face, Opener
from tests.support.fakes import ScriptedMerger, ScriptedModel, facts, updating_nearest


def only(memory: Face, text: str = "I play tennis.", **scope: str) -> str:
    """One memory, and its id."""
    [change] = memory.add(text, infer=False, **(scope or {"user_id": "alice"}))
    return change.memory_id


def known(memory: Face, user_id: str = "alice") -> list[str]:
    return [item.text for item in memory.get_all(user_id=user_id)]


def test_update_replaces_the_text_and_keeps_the_old_one_in_history(memory: Face) -> None:
    memory_id = only(memory)
    change = memory.update(memory_id, "Likes to play tennis on weekends")
    assert (change.operation, change.before, change.after) == (
        "UPDATE",
        "I play tennis.",
        "Likes to play tennis on weekends",
    )
    assert [(c.operation, c.before, c.after) for c in memory.history(memory_id)] == [
        ("ADD", None, "I play tennis."),
        ("UPDATE", "I play tennis.", "Likes to play tennis on weekends"),
    ]
    assert memory.search("weekends", user_id="alice")[0].id == memory_id
    assert len(memory.search("tennis", user_id="alice")) == 1


def test_update_of_metadata_alone_keeps_the_text(memory: Face) -> None:
    memory_id = only(memory)
    memory.update(memory_id, metadata={"sport": True})
    item = memory.get(memory_id)
    assert (item.text, item.metadata) == ("I play tennis.", {"sport": True})
    assert len(memory.search("tennis", user_id="alice", filters={"sport": True})) == 1


def test_a_deleted_memory_is_not_recalled_and_its_history_stays(memory: Face) -> None:
    memory_id = only(memory)
    change = memory.delete(memory_id)
    assert (change.before, change.after) == ("I play tennis.", None)
    assert memory.get(memory_id) is None
    assert memory.search("tennis", user_id="alice") == []
    assert memory.recall("tennis", user_id="alice").text == ""
    assert [c.operation for c in memory.history(memory_id)] == ["ADD", "DELETE"]
    with pytest.raises(NotFoundError):
        memory.delete(memory_id)
    with pytest.raises(NotFoundError):
        memory.update(memory_id, "again")


def test_undo_of_a_deletion_brings_the_memory_back(memory: Face) -> None:
    memory_id = only(memory)
    deletion = memory.delete(memory_id)
    [change] = memory.undo(deletion.id)
    assert change.undoes == deletion.id
    assert memory.get(memory_id).text == "I play tennis."
    assert memory.search("tennis", user_id="alice")[0].id == memory_id


def test_undo_of_an_add_restores_what_was_before(open_memory: Opener) -> None:
    memory = open_memory(
        llm=ScriptedModel([facts("Lives in Berlin"), facts("Lives in Lisbon")]),
        merger=ScriptedMerger(updating_nearest),
    )
    memory.add("I live in Berlin", user_id="alice")
    moved = memory.add("I live in Lisbon", user_id="alice")
    only(memory, "I own a kite.")
    memory.undo(moved.id)
    assert known(memory) == ["Lives in Berlin", "I own a kite."]
    assert memory.search("Berlin", user_id="alice")[0].text == "Lives in Berlin"


def test_undo_takes_back_everything_an_add_did(memory: Face) -> None:
    result = memory.add(["I own a kite.", "I own a bike."], user_id="alice")
    assert len(known(memory)) == 2
    assert len(memory.undo(result.id)) == 2
    assert known(memory) == []


def test_undo_refuses_where_later_changes_depend_on_it(memory: Face) -> None:
    [added] = memory.add("I play tennis.", user_id="alice", infer=False)
    changed = memory.update(added.memory_id, "I play squash.")
    with pytest.raises(UndoError, match="changed again"):
        memory.undo(added.id)
    assert known(memory) == ["I play squash."]
    memory.undo(changed.id)
    memory.undo(added.id)
    assert known(memory) == []


def test_an_undo_can_be_undone_and_nothing_is_undone_twice(memory: Face) -> None:
    memory_id = only(memory)
    changed = memory.update(memory_id, "I play squash.")
    [undone] = memory.undo(changed.id)
    with pytest.raises(UndoError, match="already"):
        memory.undo(changed.id)
    memory.undo(undone.id)
    assert known(memory) == ["I play squash."]


def test_delete_all_takes_what_matches_and_can_be_undone(memory: Face) -> None:
    memory.add(["One", "Two"], user_id="alice", metadata={"n": 1}, infer=False)
    memory.add("Three", user_id="alice", agent_id="x", metadata={"n": 2}, infer=False)
    only(memory, "Four", user_id="bob")
    assert len(memory.delete_all(user_id="alice", filters={"n": 2})) == 1
    assert known(memory) == ["One", "Two"]
    deleted = memory.delete_all(user_id="alice")
    assert known(memory) == []
    assert known(memory, "bob") == ["Four"]
    for change in deleted:
        memory.undo(change.id)
    assert known(memory) == ["One", "Two"]


def test_erase_removes_everything_of_a_user_and_nothing_else(memory: Face) -> None:
    memory_id = only(memory)
    memory.update(memory_id, "I play squash.")
    only(memory, "I own a kite.", user_id="bob")
    preview = memory.erase(user_id="alice", dry_run=True)
    assert (preview.memories, preview.versions, preview.changes, preview.messages) == (1, 2, 2, 1)
    assert known(memory) == ["I play squash."]
    done = memory.erase(user_id="alice")
    assert done.to_dict() | {"dry_run": True} == preview.to_dict()
    assert known(memory) == []
    assert memory.messages(user_id="alice") == ()
    with pytest.raises(NotFoundError):
        memory.history(memory_id)
    assert known(memory, "bob") == ["I own a kite."]
    assert memory.index.verify()


def test_reset_needs_confirmation(memory: Face) -> None:
    only(memory)
    with pytest.raises(InputError, match="confirm=True"):
        memory.reset()
    assert memory.count() == 1
    memory.reset(confirm=True)
    assert memory.count() == 0
    assert only(memory)


def test_ids_guard_operations_on_one_memory(memory: Face) -> None:
    memory_id = only(memory)
    assert memory.get(memory_id, user_id="bob") is None
    for attempt in (
        lambda: memory.update(memory_id, "mine now", user_id="bob"),
        lambda: memory.delete(memory_id, user_id="bob"),
        lambda: memory.history(memory_id, user_id="bob"),
        lambda: memory.undo(memory.memory.history(memory_id)[0].id, user_id="bob"),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert known(memory) == ["I play tennis."]


def test_ledger_and_index_agree_after_everything(memory: Face) -> None:
    memory_id = only(memory)
    memory.update(memory_id, "I play squash.")
    memory.undo(memory.delete(memory_id).id)
    agreement = memory.index.verify()
    assert agreement
    assert agreement.versions == 3
    assert memory.index.repair()
