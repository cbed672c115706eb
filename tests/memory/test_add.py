"""What `add` keeps, merges and reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Memory, Message, ModelError, ModelReplyError, StorageError
from holdfast.decisions.merging import Decision, NewFact, WithoutModel
from holdfast.models import defaults
from holdfast.ports import Prompt
from tests.conftest import Face, Opener
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, Ticking, facts, updating_nearest


def texts(memory: Face, **scope: str) -> list[str]:
    return [item.text for item in memory.get_all(**scope)]


def test_without_a_model_statements_are_kept_word_for_word(memory: Face) -> None:
    result = memory.add(
        "I live in Lisbon. What should I cook tonight? Thanks!", user_id="alice", metadata={"a": 1}
    )
    assert [change.text for change in result] == ["I live in Lisbon."]
    assert result.state == "done"
    assert result.usage.calls == 0
    [item] = memory.get_all(user_id="alice")
    assert item.metadata == {"a": 1}
    assert item.sources == result.messages


def test_without_a_model_statements_of_any_language_are_kept_and_questions_are_not(memory: Face) -> None:
    memory.add("我正在提高我的网球技能。有在线课程吗？", user_id="alice")
    memory.add("मैं दिल्ली में रहता हूँ। आप कैसे हैं?", user_id="alice")
    memory.add("Soy celíaca. ¿Qué puedo comer?", user_id="alice")
    kept = ["我正在提高我的网球技能。", "मैं दिल्ली में रहता हूँ।", "Soy celíaca."]
    assert texts(memory, user_id="alice") == kept
    assert memory.search("网球", user_id="alice")[0].text == "我正在提高我的网球技能。"


def test_without_a_model_each_of_several_statements_is_folded_into_its_equal_of_the_same_ids(
    memory: Face,
) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    memory.add("I like tea.", user_id="alice", agent_id="helper")
    memory.add("I like tea.", user_id="bob")
    said = "I LIVE in Lisbon! I like tea. My dog is called Rex. I like tea."
    result = memory.add(said, user_id="alice")
    assert [change.operation for change in result] == ["NOOP", "ADD", "ADD", "NOOP"]
    assert memory.count(user_id="bob") == 1
    again = memory.add(said, user_id="alice")
    assert [change.operation for change in again] == ["NOOP"] * 4


def test_without_a_model_what_another_speaker_said_is_not_folded(memory: Face) -> None:
    said = "I live in Lisbon. I like tea."
    memory.add(Message(said, name="Ana"), user_id="alice")
    result = memory.add(Message(said, name="Ben"), user_id="alice")
    assert [change.operation for change in result] == ["ADD", "ADD"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I like tea and not coffee", "I like coffee and not tea"),
        ("Tom beat Anna", "Anna beat Tom"),
        ("My PIN is 1 2 3 4", "My PIN is 4 3 2 1"),
        ("I live at 221b Baker Street", "I live at 221a Baker Street"),
        ("I live in Berlin", "I live in Lisbon now"),
        ("I write C#", "I write C"),
        ("房租每月四千元", "房租每月四千二百元"),
    ],
)
def test_without_a_model_nothing_that_differs_is_folded_replaced_or_joined(
    memory: Face, before: str, after: str
) -> None:
    memory.add(before, user_id="alice")
    result = memory.add(after, user_id="alice")
    assert [change.operation for change in result] == ["ADD"]
    assert texts(memory, user_id="alice") == [before, after]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I live in Berlin.", "i live  in berlin"),
        ("I like tea, and coffee!", "I like tea and coffee"),
        ("我住在上海，喜欢网球。", "我住在上海喜欢网球"),
        ("Ｉ ｌｉｖｅ ｉｎ Ｒｏｍｅ", "I live in Rome"),
    ],
)
def test_equal_texts_are_folded_whatever_their_case_space_and_punctuation(
    memory: Face, before: str, after: str
) -> None:
    memory.add(before, user_id="alice")
    assert [change.operation for change in memory.add(after, user_id="alice")] == ["NOOP"]
    assert texts(memory, user_id="alice") == [before]


def test_a_repeated_statement_is_folded_and_gains_a_source(memory: Face) -> None:
    first = memory.add("I play tennis on Sundays.", user_id="alice")
    second = memory.add("i play tennis on sundays", user_id="alice")
    assert [change.operation for change in second] == ["NOOP"]
    [item] = memory.get_all(user_id="alice")
    assert item.sources == (*first.messages, *second.messages)


def test_a_statement_repeated_within_one_add_is_folded(memory: Face) -> None:
    result = memory.add(["I own a red bicycle.", "I own a red bicycle."], user_id="alice")
    assert [change.operation for change in result] == ["ADD", "NOOP"]
    assert result[0].memory_id == result[1].memory_id


def test_texts_are_kept_as_they_are_without_inference(memory: Face) -> None:
    said = [
        "Is this a question?",
        {"role": "assistant", "content": "hello"},
        Message("hello", role="tool", name="clock"),
    ]
    result = memory.add(said, user_id="alice", infer=False)
    assert [change.operation for change in result] == ["ADD", "ADD", "ADD"]
    assert texts(memory, user_id="alice") == ["Is this a question?", "hello", "hello"]


def test_a_model_s_facts_are_stored_with_the_messages_behind_them(open_memory: Opener) -> None:
    model = ScriptedModel([facts((1, "Lives in Berlin"), (3, "Has a dog named Rex"))])
    memory = open_memory(llm=model, window_tokens=2000)
    said = [
        Message("I live in Berlin"),
        Message("Nice!", role="assistant"),
        Message("My dog Rex says hi"),
    ]
    result = memory.add(said, user_id="alice")
    assert [change.text for change in result] == ["Lives in Berlin", "Has a dog named Rex"]
    assert [change.sources for change in result] == [result.messages[:1], result.messages[2:]]
    assert (result.usage.calls, result.usage.input_tokens, result.usage.output_tokens) == (1, 100, 10)


def test_an_update_keeps_what_it_replaced(open_memory: Opener) -> None:
    memory = open_memory(
        llm=ScriptedModel([facts("Lives in Berlin"), facts("Lives in Lisbon")]),
        merger=ScriptedMerger(updating_nearest),
    )
    first = memory.add("I live in Berlin", user_id="alice", metadata={"city": True})
    second = memory.add("I've moved, I live in Lisbon", user_id="alice", metadata={"moved": True})
    [change] = second
    assert (change.operation, change.before, change.after) == ("UPDATE", "Lives in Berlin", "Lives in Lisbon")
    assert change.memory_id == first[0].memory_id
    [item] = memory.get_all(user_id="alice")
    assert item.text == "Lives in Lisbon"
    assert item.version == 2
    assert item.metadata == {"city": True, "moved": True}
    assert item.sources == (*first.messages, *second.messages)
    assert [hit.text for hit in memory.search("Berlin", user_id="alice")] == ["Lives in Lisbon"]


def test_one_fact_may_replace_one_memory_and_remove_another(open_memory: Opener) -> None:
    def decide(fact: NewFact) -> tuple[Decision, ...]:
        if "No longer" not in fact.text:
            return (Decision("ADD", fact.text, None, "new"),)
        first, second = (near.memory for near in fact.neighbours[:2])
        return (
            Decision("UPDATE", fact.text, first, "replaces"),
            Decision("DELETE", fact.text, second, "contradicted"),
        )

    memory = open_memory(
        llm=ScriptedModel([facts("Eats beef", "Eats pork"), facts("No longer eats meat")]),
        merger=ScriptedMerger(decide),
    )
    memory.add("I eat beef and pork", user_id="alice")
    result = memory.add("I no longer eat meat", user_id="alice")
    assert [change.operation for change in result] == ["UPDATE", "DELETE"]
    assert texts(memory, user_id="alice") == ["No longer eats meat"]


def test_a_repeated_fact_of_one_add_follows_what_became_of_the_first(open_memory: Opener) -> None:
    memory = open_memory(merger=ScriptedMerger(updating_nearest))
    memory.add("Tom is my brother.", user_id="alice")
    told = ["Tom, my brother, is a doctor in Leeds.", "Tom, my brother, is a doctor in Leeds."]
    result = memory.add(told, user_id="alice")
    assert [change.operation for change in result] == ["UPDATE", "NOOP"]
    [item] = memory.get_all(user_id="alice")
    assert item.text == told[0]
    assert len(item.sources) == 3


def test_what_is_told_again_around_its_change_names_the_version_of_its_moment(open_memory: Opener) -> None:
    def decide(fact: NewFact) -> tuple[Decision, ...]:
        if not fact.neighbours:
            return (Decision("ADD", fact.text, None, "new"),)
        operation = "NOOP" if "still" in fact.text else "UPDATE"
        return (Decision(operation, fact.text, fact.neighbours[0].memory, "told"),)

    told = ["I still keep bees", "I still keep two bees", "I keep ten bees", "I still keep ten bees"]
    memory = open_memory(
        llm=ScriptedModel([facts("I keep bees"), facts(*told)]), merger=ScriptedMerger(decide)
    )
    memory.add("I keep bees", user_id="alice")
    result = memory.add("My bees, year by year", user_id="alice")
    assert [(change.operation, change.before) for change in result] == [
        ("NOOP", "I keep bees"),
        ("NOOP", "I keep bees"),
        ("UPDATE", "I keep bees"),
        ("NOOP", "I keep ten bees"),
    ]
    assert texts(memory, user_id="alice") == ["I keep ten bees"]


def test_a_decision_about_a_version_that_is_not_there_fails_once_and_loses_nothing(
    open_memory: Opener,
) -> None:
    def decide(fact: NewFact) -> tuple[Decision, ...]:
        if not fact.neighbours:
            return (Decision("ADD", fact.text, None, "new"),)
        known = fact.neighbours[0].memory
        return (Decision("UPDATE", fact.text, replace(known, version=known.version + 1), "replaces"),)

    memory = open_memory(merger=ScriptedMerger(decide))
    memory.add("I live in Berlin.", user_id="alice")
    with pytest.raises(StorageError, match="conflicts with itself"):
        memory.add("I live in Lisbon.", user_id="alice")
    assert texts(memory, user_id="alice") == ["I live in Berlin."]
    assert [job.state for job in memory.jobs.pending()] == ["pending"]


def test_a_model_is_shown_the_memories_of_one_add_in_the_order_in_which_they_were_told(
    open_memory: Opener,
) -> None:
    told = [f"Owns {number} bicycles" for number in range(12)]
    model = ScriptedModel([facts(*told), facts("Owns a car"), {"decisions": []}])
    memory = open_memory(llm=model)
    memory.add("I own bicycles, and more and more of them", user_id="alice")
    memory.add("I own a car", user_id="alice")
    asked = model.prompts[-1][-1].content
    assert [line[-len(text) :] for line, text in zip(asked.splitlines()[1:], told, strict=False)] == told


def test_memories_of_another_scope_are_no_neighbours(open_memory: Opener) -> None:
    memory = open_memory(
        llm=ScriptedModel([facts("Lives in Berlin"), facts("Lives in Lisbon"), facts("Lives in Rome")]),
        merger=ScriptedMerger(updating_nearest),
    )
    memory.add("I live in Berlin", user_id="alice")
    memory.add("I live in Lisbon", user_id="bob")
    memory.add("I live in Rome", user_id="alice", agent_id="guide")
    assert texts(memory, user_id="alice") == ["Lives in Berlin", "Lives in Rome"]
    assert texts(memory, user_id="bob") == ["Lives in Lisbon"]


def test_messages_with_known_ids_are_remembered_once(memory: Face) -> None:
    said = [Message("I own a kayak.", id="m1"), Message("I own a canoe.", id="m2")]
    first = memory.add(said, user_id="alice", session_id="s")
    again = memory.add([*said, Message("I own a raft.", id="m3")], user_id="alice", session_id="s")
    assert len(first) == 2
    assert [change.text for change in again] == ["I own a raft."]
    assert memory.add(said, user_id="alice", session_id="s").changes == ()
    assert len(texts(memory, user_id="alice")) == 3
    assert len(memory.messages(user_id="alice", session_id="s")) == 3
    memory.add(said[:1], user_id="bob", session_id="s")
    assert texts(memory, user_id="bob") == ["I own a kayak."]


def test_a_failing_model_loses_nothing_and_resume_finishes(open_memory: Opener) -> None:
    model = ScriptedModel([TimeoutError("too slow"), facts("Lives in Berlin")])
    memory = open_memory(llm=model)
    with pytest.raises(ModelError, match="too slow") as failure:
        memory.add("I live in Berlin", user_id="alice")
    [job] = memory.jobs.pending()
    assert job.id == failure.value.add_id
    assert "too slow" in job.error
    assert [said.message.content for said in memory.messages(user_id="alice")] == ["I live in Berlin"]
    [result] = memory.resume()
    assert result.id == job.id
    assert texts(memory, user_id="alice") == ["Lives in Berlin"]
    assert memory.jobs.pending() == []


def test_saying_the_same_messages_again_finishes_a_failed_add(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([OSError("down"), facts("Lives in Berlin")]))
    said = Message("I live in Berlin", id="m1")
    with pytest.raises(ModelError):
        memory.add(said, user_id="alice")
    result = memory.add(said, user_id="alice")
    assert [change.text for change in result] == ["Lives in Berlin"]
    assert memory.jobs.pending() == []


@pytest.mark.parametrize(
    "reply", ["no idea", "{{{", '{"facts": [{"mess', "[]", '{"facts": "none"}', "", "null", '{"other": 1}']
)
def test_an_unreadable_reply_is_asked_for_once_more_then_raised(open_memory: Opener, reply: str) -> None:
    memory = open_memory(llm=ScriptedModel([reply, reply, facts("Lives in Berlin")]))
    with pytest.raises(ModelReplyError) as failure:
        memory.add("I live in Berlin", user_id="alice")
    assert failure.value.reply == reply
    assert len(memory.memory.llm.prompts) == 2
    assert texts(memory, user_id="alice") == []
    memory.resume()
    assert texts(memory, user_id="alice") == ["Lives in Berlin"]


def test_a_reply_in_prose_and_code_fences_is_read(open_memory: Opener) -> None:
    reply = 'Sure!\n```json\n{"facts": [{"message": 1, "speaker": "User", "fact": "Lives in Berlin",}]}\n```'
    memory = open_memory(llm=ScriptedModel([reply]))
    assert [change.text for change in memory.add("I live in Berlin", user_id="alice")] == ["Lives in Berlin"]


def test_recalled_text_is_never_remembered_again(memory: Face) -> None:
    memory.add("I live in Lisbon.", user_id="alice")
    recalled = str(memory.recall("home", user_id="alice"))
    memory.add(f"{recalled}\nI own a parrot.", user_id="alice")
    assert texts(memory, user_id="alice") == ["I live in Lisbon.", "I own a parrot."]


def test_happened_at_dates_what_was_said(memory: Face) -> None:
    memory.add("I moved to Lisbon.", user_id="alice", happened_at="2023-05-08T10:00:00+02:00")
    [item] = memory.get_all(user_id="alice")
    assert item.happened_at == datetime(2023, 5, 8, 8, tzinfo=UTC)
    assert item.created_at.year == 2026


def test_named_speakers_are_kept_with_the_memory(memory: Face) -> None:
    memory.add([Message("I paint sunrises.", name="Melanie")], user_id="group")
    [item] = memory.get_all(user_id="group")
    assert item.speakers == ("Melanie",)
    assert memory.search("What does Melanie paint?", user_id="group")[0].id == item.id


def test_recording_journals_without_remembering(memory: Face) -> None:
    data = {"tool_calls": [{"id": "1", "name": "clock"}]}
    written = memory.record(
        [Message("hi"), Message("", role="assistant", data=data)], user_id="alice", session_id="s1"
    )
    assert [said.position for said in written] == [1, 2]
    assert written[1].message.data == data
    assert memory.count(user_id="alice") == 0
    assert [said.id for said in memory.messages(user_id="alice", session_id="s1")] == [s.id for s in written]
    assert memory.messages(user_id="alice", session_id="s2") == ()
    assert memory.clear_messages(user_id="alice", session_id="s1") == 2
    assert memory.messages(user_id="alice", session_id="s1") == ()


def test_background_work_is_done_after_flush(memory: Face) -> None:
    result = memory.add("I live in Lisbon.", user_id="alice", background=True)
    assert result.state == "pending"
    assert memory.flush(timeout=20)
    assert texts(memory, user_id="alice") == ["I live in Lisbon."]
    assert memory.jobs.pending() == []


BOATS = [
    Message(f"I own the boat called Boat{number}, which is painted in a fine colour.") for number in range(6)
]


def owns_the_boat(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Answers for the window that is asked about, in whatever order the windows are."""
    return facts((1, f"Owns {re.findall(r'Boat[0-9]', prompts[-1].content)[-1]}"))


def test_a_long_conversation_is_worked_off_window_by_window(open_memory: Opener) -> None:
    model = ScriptedModel([owns_the_boat] * 6)
    memory = open_memory(llm=model, window_tokens=30, merger=WithoutModel())
    result = memory.add(BOATS, user_id="alice")
    assert [change.text for change in result] == [f"Owns Boat{number}" for number in range(6)]
    assert len(model.prompts) == result.usage.calls == 6
    assert [change.sources for change in result] == [(message,) for message in result.messages]


@pytest.mark.parametrize("infer", [True, "merge"])
def test_a_message_longer_than_a_window_is_taken_once_without_a_model(memory: Face, infer: Any) -> None:
    said = " ".join(f"I own boat number {at}." for at in range(700))
    result = memory.add(
        [Message("I like tea."), Message(said), Message("I like rice.")], user_id="alice", infer=infer
    )
    own = [f"I own boat number {at}." for at in range(700)] if infer is True else [said]
    assert [change.operation for change in result] == ["ADD"] * (len(own) + 2)
    assert texts(memory, user_id="alice") == ["I like tea.", *own, "I like rice."]


def test_a_model_that_fails_in_the_middle_keeps_the_windows_before(open_memory: Opener) -> None:
    model = ScriptedModel([owns_the_boat] * 4 + [OSError("down")] * 2)
    memory = open_memory(llm=model, window_tokens=30, merger=WithoutModel())
    with pytest.raises(ModelError):
        memory.add(BOATS, user_id="alice")
    assert len(texts(memory, user_id="alice")) == 4
    model.replies = [owns_the_boat] * 2
    [result] = memory.resume()
    assert [change.text for change in result] == ["Owns Boat4", "Owns Boat5"]
    assert len(texts(memory, user_id="alice")) == 6


class Masker:
    """Masks one number wherever it stands."""

    def redact(self, text: str) -> str:
        return text.replace("555-0100", "<phone>")


def test_a_redactor_masks_everything_that_is_stored_or_sent(open_memory: Opener) -> None:
    model = ScriptedModel([facts("Phone number is <phone>")])
    memory = open_memory(llm=model, redactor=Masker())
    said = Message("My phone number is 555-0100", data={"parts": ["555-0100"]})
    [change] = memory.add(said, user_id="alice", metadata={"phone": "555-0100"})
    memory.update(change.memory_id, "Phone: 555-0100", metadata={"phone": ["555-0100"]})
    [hit] = memory.search("whose is 555-0100?", user_id="alice")
    everything = [*memory.messages(user_id="alice"), hit.memory, *memory.history(change.memory_id)]
    assert "555-0100" not in model.shown() + "".join(str(item.to_dict()) for item in everything)
    assert hit.memory.metadata == {"phone": ["<phone>"]}


def test_work_for_a_model_is_not_done_without_one(tmp_path: Path) -> None:
    said = Message("I live in Berlin")
    with Memory(
        tmp_path, llm=ScriptedModel([OSError("down")]), embedder=HashEmbedder(), model_size="large"
    ) as memory:
        with pytest.raises(ModelError):
            memory.add(said, user_id="alice")
    with Memory(
        tmp_path, llm=None, embedder=HashEmbedder(), model_size="large", resume_on_open=False
    ) as memory:
        with pytest.raises(ModelError, match="test/scripted"):
            memory.resume()
        assert memory.count() == 0
    model = ScriptedModel([facts("Lives in Berlin")])
    with Memory(
        tmp_path, llm=model, embedder=HashEmbedder(), model_size="large", resume_on_open=False
    ) as memory:
        assert [change.text for result in memory.resume() for change in result] == ["Lives in Berlin"]


def test_an_opened_store_finishes_what_was_begun(tmp_path: Path) -> None:
    with Memory(
        tmp_path, llm=ScriptedModel([OSError("down")]), embedder=HashEmbedder(), model_size="large"
    ) as memory:
        with pytest.raises(ModelError):
            memory.add("I live in Berlin", user_id="alice")
        due = memory.jobs.pending()[0].retry_at
    later = Ticking(due + timedelta(seconds=1))
    model = ScriptedModel([facts("Lives in Berlin")])
    with Memory(tmp_path, llm=model, embedder=HashEmbedder(), model_size="large", now=later) as memory:
        assert memory.flush(20)
        assert texts(Face(memory, None), user_id="alice") == ["Lives in Berlin"]


def test_the_missing_model_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    defaults._say_once.cache_clear()
    for name in ("one", "two"):
        Memory(tmp_path / name, embedder=HashEmbedder(), model_size="large").close()
    assert sum("no model" in record.message for record in caplog.records) == 1
