"""What `add` does with messages that were only recorded before, and with texts that are facts already."""

from __future__ import annotations

import pytest

from holdfast import InputError
from tests.conftest import Face, Opener
from tests.support.fakes import ScriptedModel


def test_a_recorded_message_is_remembered_when_it_is_added(memory: Face) -> None:
    said = {"content": "I live in Lisbon.", "id": "m1"}
    memory.record([said], user_id="alice", session_id="s")
    result = memory.add([said, {"content": "I like tea.", "id": "m2"}], user_id="alice", session_id="s")
    assert [change.text for change in result] == ["I live in Lisbon.", "I like tea."]
    assert len(memory.messages(user_id="alice")) == 2


def test_a_recorded_message_is_remembered_once(memory: Face) -> None:
    said = {"content": "I live in Lisbon.", "id": "m1"}
    memory.record([said], user_id="alice", session_id="s")
    memory.add([said], user_id="alice", session_id="s")
    assert len(memory.add([said], user_id="alice", session_id="s")) == 0
    assert memory.count() == 1


def test_a_remembered_message_is_not_recorded_again(memory: Face) -> None:
    said = {"content": "I live in Lisbon.", "id": "m1"}
    memory.add([said], user_id="alice", session_id="s")
    assert memory.record([said], user_id="alice", session_id="s") == ()


def test_given_facts_are_merged_without_extraction(open_memory: Opener) -> None:
    model = ScriptedModel()
    memory = open_memory(llm=model)
    first = memory.add("Vegetarian", user_id="alice", infer="merge")
    again = memory.add("Vegetarian", user_id="alice", infer="merge")
    assert [change.operation for change in (*first, *again)] == ["ADD", "NOOP"]
    assert model.prompts == []


def test_given_facts_are_kept_without_a_model_whatever_they_look_like(memory: Face) -> None:
    result = memory.add(["Remind me to breathe", "vegetarian"], user_id="alice", infer="merge")
    assert [change.text for change in result] == ["Remind me to breathe", "vegetarian"]


def test_an_unknown_way_to_infer_is_refused(memory: Face) -> None:
    with pytest.raises(InputError, match="infer"):
        memory.add("I like tea.", user_id="alice", infer="guess")
