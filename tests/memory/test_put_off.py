"""`add(..., after_seconds=...)`: work that waits until a conversation is quiet."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import InputError
from holdfast.types import Message
from tests.conftest import Face, Opener
from tests.support import inside
from tests.support.fakes import ScriptedModel, facts

HOUR = 3600


def later(memory: Face, text: str, **options: Any) -> Any:
    options = {"user_id": "alice", "session_id": "s1", "after_seconds": HOUR, **options}
    return memory.add(text, background=True, **options)


def known(memory: Face, **ids: str) -> list[str]:
    return sorted(item.text for item in memory.get_all(**(ids or {"user_id": "alice"})))


def test_work_that_was_put_off_is_journaled_and_not_begun(memory: Face) -> None:
    assert later(memory, "I live in Lisbon.").state == "pending"
    [said] = memory.messages(user_id="alice")
    assert said.message.content == "I live in Lisbon."
    assert known(memory) == []


def test_flush_begins_what_was_put_off(memory: Face) -> None:
    later(memory, "I live in Lisbon.")
    memory.flush(60)
    assert known(memory) == ["I live in Lisbon."]


def test_resume_begins_what_was_put_off(memory: Face) -> None:
    later(memory, "I live in Lisbon.")
    memory.resume()
    assert known(memory) == ["I live in Lisbon."]


def test_it_begins_by_itself_once_it_is_due(open_memory: Opener) -> None:
    # The test's clock gains a second with every look at it, so that these are due at the second look.
    memory = open_memory()
    later(memory, "I live in Lisbon.", after_seconds=1)
    deadline = 200
    while not known(memory) and deadline:
        deadline -= 1
    assert known(memory) == ["I live in Lisbon."]


def test_a_later_call_of_the_session_takes_the_messages_along(open_memory: Opener) -> None:
    model = ScriptedModel([facts((1, "Lives in Lisbon"), (2, "Likes tea"))])
    memory = open_memory(llm=model)
    later(memory, "I live in Lisbon.")
    result = memory.add("I like tea.", user_id="alice", session_id="s1")
    assert "I live in Lisbon." in model.shown()
    assert "I like tea." in model.shown()
    assert len(result.messages) == 2
    assert memory.jobs.pending() == []


def test_the_same_message_again_answers_for_what_was_put_off(memory: Face) -> None:
    message = Message("I live in Lisbon.", id="m1")
    first = memory.add([message], user_id="alice", session_id="s1", background=True, after_seconds=HOUR)
    second = memory.add([message], user_id="alice", session_id="s1")
    assert second.messages == first.messages
    assert second.state == "done"
    assert known(memory) == ["I live in Lisbon."]
    assert len(memory.messages(user_id="alice")) == 1


def test_putting_off_again_is_one_job(memory: Face) -> None:
    for text in ("I live in Lisbon.", "I like tea.", "I own a boat."):
        later(memory, text)
    [job] = memory.jobs.pending()
    assert job.state == "pending"
    memory.flush(60)
    assert known(memory) == ["I like tea.", "I live in Lisbon.", "I own a boat."]


def test_another_session_of_the_user_begins_it(memory: Face) -> None:
    later(memory, "I live in Lisbon.")
    memory.add("I like tea.", user_id="alice", session_id="s2")
    assert known(memory) == ["I like tea.", "I live in Lisbon."]


def test_another_user_s_work_does_not_begin_it(memory: Face) -> None:
    later(memory, "I live in Lisbon.")
    memory.add("I like tea.", user_id="bob", session_id="s1")
    assert known(memory) == []
    assert known(memory, user_id="bob") == ["I like tea."]


def test_a_call_that_asks_for_something_else_does_not_take_it_along(memory: Face) -> None:
    later(memory, "I live in Lisbon.", metadata={"channel": "web"})
    memory.add("I like tea.", user_id="alice", session_id="s1")
    assert known(memory) == ["I like tea.", "I live in Lisbon."]
    assert memory.get_all(user_id="alice", filters={"channel": "web"}).total == 1


def test_a_fact_that_is_kept_beside_a_conversation_neither_begins_it_nor_waits_for_it(memory: Face) -> None:
    later(memory, "I live in Lisbon.")
    memory.add("Likes tea", user_id="alice", session_id="s1", infer="merge")
    memory.add("Owns a boat", user_id="alice", session_id="s2", infer="merge", background=True)
    deadline = 500
    while len(known(memory)) < 2 and deadline:
        deadline -= 1
    assert known(memory) == ["Likes tea", "Owns a boat"]
    memory.flush(60)
    assert known(memory) == ["I live in Lisbon.", "Likes tea", "Owns a boat"]


def test_a_store_that_is_opened_again_still_has_it(open_memory: Opener) -> None:
    memory = open_memory()
    if memory.memory.folder is None and inside.store_of(memory.memory).ledger.database.sqlite:
        pytest.skip("what is in memory does not outlive its process")
    later(memory, "I live in Lisbon.")
    memory.memory.close()
    again = open_memory()
    again.flush(60)
    assert known(again) == ["I live in Lisbon."]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, 10**9])
def test_a_delay_that_is_none_is_refused(memory: Face, seconds: Any) -> None:
    with pytest.raises(InputError, match="after_seconds"):
        later(memory, "I live in Lisbon.", after_seconds=seconds)
    assert memory.messages(user_id="alice") == ()


def test_a_delay_without_background_is_refused(memory: Face) -> None:
    with pytest.raises(InputError, match="background=True"):
        memory.add("I live in Lisbon.", user_id="alice", after_seconds=5)
