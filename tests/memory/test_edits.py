"""A known id with the same text is a repeat; with another text it is an edit."""

from __future__ import annotations

from holdfast import Message
from tests.conftest import Face, Opener
from tests.support.fakes import ScriptedModel, facts


def texts(memory: Face, user: str = "alice") -> list[str]:
    return [item.text for item in memory.get_all(user_id=user)]


def told(memory: Face, content: str, message_id: str = "m1", user: str = "alice", session: str | None = "s"):  # type: ignore[no-untyped-def]
    return memory.add(Message(content, id=message_id), user_id=user, session_id=session)


def test_an_edited_message_replaces_what_only_its_former_text_supported(memory: Face) -> None:
    first = told(memory, "I live in Berlin. I like tea.")
    memory.add("I like tea.", user_id="alice", session_id="other")
    edited = told(memory, "I live in Bern. I play chess.")
    assert [(one.operation, one.text) for one in edited] == [
        ("ADD", "I live in Bern."),
        ("ADD", "I play chess."),
        ("DELETE", "I live in Berlin."),
    ]
    assert edited[2].reason == "the message that it came from was edited"
    assert texts(memory) == ["I like tea.", "I live in Bern.", "I play chess."]
    assert memory.history(first[0].memory_id)[-1].add_id == edited.id


def test_an_edited_message_keeps_its_place_and_what_it_said_stays_as_evidence(memory: Face) -> None:
    first = told(memory, "I live in Berlin.")
    told(memory, "I have a dog.", "m2")
    edited = told(memory, "I live in Bern.")
    log = memory.messages(user_id="alice", session_id="s")
    assert [one.message.content for one in log] == ["I live in Bern.", "I have a dog."]
    assert [one.message.id for one in log] == ["m1", "m2"]
    assert edited.messages == first.messages == (log[0].id,)
    [source] = memory.history(first[0].memory_id)[0].sources
    assert source != log[0].id
    told(memory, "I live in Basel.")
    assert texts(memory) == ["I have a dog.", "I live in Basel."]


def test_the_same_text_again_is_a_repeat(memory: Face) -> None:
    told(memory, "I live in Berlin.")
    again = told(memory, "I live in Berlin.")
    assert again.changes == ()
    assert len(memory.messages(user_id="alice", session_id="s")) == 1


def test_an_edit_that_is_only_recorded_is_remembered_by_the_next_add(memory: Face) -> None:
    told(memory, "I live in Berlin.")
    memory.record(Message("I live in Bern.", id="m1"), user_id="alice", session_id="s")
    assert texts(memory) == ["I live in Berlin."]
    told(memory, "I live in Bern.")
    assert texts(memory) == ["I live in Bern."]


def test_a_model_that_brings_the_former_fact_up_to_date_keeps_the_memory(open_memory: Opener) -> None:
    update = {"decisions": [{"fact": 1, "operation": "UPDATE", "memory": 1, "text": "Lives in Bern"}]}
    model = ScriptedModel([facts("Lives in Berlin"), facts("Lives in Bern"), update])
    memory = open_memory(llm=model)
    first = told(memory, "I live in Berlin.")
    edited = told(memory, "I live in Bern.")
    assert [(one.operation, one.memory_id) for one in edited] == [("UPDATE", first[0].memory_id)]
    assert "Berlin." not in model.prompts[1][1].content, "the former text is no context of the new one"


def test_one_users_edit_touches_no_other_user_and_no_other_session(memory: Face) -> None:
    for user, session in (("alice", "s"), ("alice", "t"), ("bob", "s")):
        told(memory, f"I live in {user} {session}.", user=user, session=session)
    told(memory, "I live in Bern.")
    assert texts(memory) == ["I live in alice t.", "I live in Bern."]
    assert texts(memory, "bob") == ["I live in bob s."]


def test_without_a_session_ids_name_messages_within_one_call_only(memory: Face) -> None:
    told(memory, "I live in Berlin.", "1", session=None)
    second = told(memory, "I have a dog.", "1", session=None)
    assert [one.operation for one in second] == ["ADD"]
    twice = [Message("I like tea.", id="2"), Message("I like tea.", id="2")]
    assert len(memory.add(twice, user_id="alice")) == 1
    assert texts(memory) == ["I live in Berlin.", "I have a dog.", "I like tea."]
    assert len(memory.messages(user_id="alice")) == 3


def test_without_a_session_a_recorded_message_is_remembered_by_its_id(memory: Face) -> None:
    memory.record(Message("I like tea.", id="1"), user_id="alice")
    told(memory, "I like tea.", "1", session=None)
    assert texts(memory) == ["I like tea."]
    assert len(memory.messages(user_id="alice")) == 1


def test_without_a_session_work_that_is_not_done_yet_is_not_told_twice(memory: Face) -> None:
    said = [Message("I like tea.", id="1")]
    memory.add(said, user_id="alice", background=True, after_seconds=60)
    result = memory.add([*said, Message("Noted.", "assistant", id="2")], user_id="alice", background=True)
    assert memory.flush(20)
    assert [one.message.content for one in memory.messages(user_id="alice")] == ["I like tea.", "Noted."]
    assert texts(memory) == ["I like tea."]
    assert result.state == "pending"


def test_an_erasure_leaves_nothing_of_an_edited_message(memory: Face) -> None:
    told(memory, "I live in Berlin.")
    told(memory, "I live in Bern.")
    memory.erase(user_id="alice")
    assert memory.count() == 0
    assert memory.messages(user_id="alice") == ()


def test_no_turn_behind_a_deleted_memory_is_recalled(memory: Face) -> None:
    added = memory.add(
        [Message("I live at 12 Elm Road. My sister Mia plays the violin in an orchestra.")], user_id="alice"
    )
    address, _ = added
    assert "Elm Road" in str(memory.recall("sister Mia violin", user_id="alice"))
    memory.delete(address.memory_id)
    recalled = memory.recall("sister Mia violin", user_id="alice")
    assert "Elm Road" not in str(recalled)
    assert "Mia" in str(recalled)
    memory.undo(memory.history(address.memory_id)[-1].id)
    assert "Elm Road" in str(memory.recall("sister Mia violin", user_id="alice"))
