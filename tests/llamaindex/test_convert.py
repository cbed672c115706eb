"""Chat messages survive the journal, whatever they carry; what could be remembered of them is told apart."""

from __future__ import annotations

import base64
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel

from holdfast import Memory
from holdfast.types import storable
from llama_index.memory.holdfast._convert import (
    from_journal,
    is_answer,
    remembered_text,
    same,
    to_holdfast_messages,
    to_journal,
    to_llamaindex_messages,
    together,
)
from tests.llamaindex.conftest import Counted
from tests.llamaindex.fakes import Face, assistant, called, returned, user
from tests.support.fakes import HashEmbedder

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def journaled(message: ChatMessage) -> ChatMessage:
    """The message after a trip through a real journal."""
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        [said] = memory.record([to_journal(message)], user_id="alice", session_id="s")
        [found] = memory.messages(user_id="alice", session_id="s")
        assert found == said
        return from_journal(found)


@pytest.mark.parametrize("role", list(MessageRole))
def test_every_role_comes_back(role: MessageRole) -> None:
    message = ChatMessage(role=role, content="hello")
    assert journaled(message) == message


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [TextBlock(text="")],
        [TextBlock(text="one"), TextBlock(text="two")],
        [TextBlock(text="look"), ImageBlock(image=PIXEL)],
        [ImageBlock(url="https://example.org/cat.png", detail="low")],
        [AudioBlock(audio=base64.b64encode(b"RIFFxxxxWAVE"), format="wav")],
        [DocumentBlock(data=b"%PDF-1.4", title="a.pdf", document_mimetype="application/pdf")],
        [ThinkingBlock(content="hm"), TextBlock(text="42")],
        [ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1, "b": [2, None]})],
        [TextBlock(text="cached"), CachePoint(cache_control=CacheControl(type="ephemeral"))],
    ],
    ids=lambda blocks: "+".join(block.block_type for block in blocks) or "nothing",
)
def test_blocks_come_back(blocks: list[ContentBlock]) -> None:
    message = ChatMessage(role="assistant", blocks=blocks)
    once = journaled(message)
    assert once == message
    assert journaled(once) == message


def test_additional_arguments_come_back() -> None:
    calls = [{"id": "1", "function": {"name": "add", "arguments": '{"a": 1}'}, "type": "function"}]
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": calls, "n": 1.5, "none": None})
    assert journaled(message) == message


def test_arguments_that_are_no_json_are_kept_as_text_and_never_fail() -> None:
    class Call(BaseModel):
        name: str

    kwargs: dict[str, Any] = {"call": Call(name="add"), "odd": object, "bad": float("nan"), "raw": b"\xff"}
    restored = journaled(ChatMessage(role="tool", content="x", additional_kwargs=kwargs))
    assert restored.additional_kwargs["call"] == {"name": "add"}
    assert restored.additional_kwargs["bad"] == "nan"
    assert restored.additional_kwargs["odd"] == "<class 'object'>"


def test_a_text_that_talks_of_a_nul_character_is_none() -> None:
    said = ChatMessage(role="assistant", content=r"write \u0000", additional_kwargs={"why": r"C:\u0000"})
    assert journaled(said) == said


def test_what_no_database_stores_is_shown_as_unreadable_and_nothing_else() -> None:
    assert journaled(user("a\x00b\ud800c 我喜欢🎾")).content == "a\ufffdb\ufffdc 我喜欢🎾"
    assert journaled(returned("a\x00b")).content == "a\ufffdb"


def test_a_plain_message_is_journaled_without_a_second_copy_of_its_text() -> None:
    assert to_journal(user("hello")).data is None
    assert to_journal(user("hello")).id != to_journal(user("hello")).id


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(max_size=60),
    role=st.sampled_from(["user", "assistant", "system", "tool"]),
    kwargs=st.dictionaries(
        st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=9), max_size=2
    ),
)
def test_any_text_and_arguments_come_back_but_for_what_no_database_stores(
    text: str, role: str, kwargs: dict[str, Any]
) -> None:
    said = to_journal(ChatMessage(role=role, content=text, additional_kwargs=kwargs))
    json.dumps(said.data, allow_nan=False).encode()
    assert said.content == storable(text)
    if said.data and "llama_index" in said.data:
        restored = ChatMessage.model_validate(said.data["llama_index"])
        assert restored.content == storable(text)
        assert len(restored.additional_kwargs) <= len(kwargs)


STEPS = "Thought: I need a tool.\nAction: look\nAction Input: {'q': 'x'}\nObservation: Answer: 7\n"


@pytest.mark.parametrize(
    ("text", "remembered"),
    [
        ("Thought: I can answer.\nAnswer: it is 3", "it is 3"),
        (STEPS + "Thought: Now I know.\nAnswer: it is 3\nAnswer: or 4", "it is 3\nAnswer: or 4"),
        (STEPS + "Thought: done\nAnswer: first\nThought: second", "first\nThought: second"),
        ("Thought: 我可以回答。\nAnswer: 是3", "是3"),
        ("Here is a thought. Answer: 3", "Here is a thought. Answer: 3"),
        ("Thought: I would take the train.", "Thought: I would take the train."),
        ("Thought: x\n\nMy answer: y", "Thought: x\n\nMy answer: y"),
        ("Action: call your sister\nAnswer: no", "Action: call your sister\nAnswer: no"),
        ("Observation: it rains", "Observation: it rains"),
        ("", ""),
    ],
)
def test_of_a_react_agent_s_steps_only_the_answer_is_worth_remembering(text: str, remembered: str) -> None:
    assert remembered_text(assistant(text)) == remembered
    assert journaled(assistant(text)) == assistant(text)
    assert remembered_text(user(text)) == text


@pytest.mark.parametrize("text", ["Action: call your sister.", "Thought: I would take the train.", "Yes."])
def test_an_answer_says_something_whatever_it_begins_with(text: str) -> None:
    assert is_answer(to_journal(assistant(text)))
    assert is_answer(to_journal(ChatMessage(role="model", content=text)))
    assert not is_answer(to_journal(user(text)))


def test_an_answer_calls_nothing() -> None:
    assert not is_answer(to_journal(assistant(" ")))
    assert not is_answer(to_journal(called("look")))
    calling = ChatMessage(
        role="assistant", content="Let me look.", additional_kwargs={"tool_calls": [{"id": "1"}]}
    )
    assert not is_answer(to_journal(calling))


CODE = assistant("Let me see. <execute>print(6 * 7)</execute>")
OUTPUT = user("The standard output was: I own a yacht.")


def test_what_follows_code_in_one_call_is_its_output_and_no_user_s_word() -> None:
    said = together([CODE, OUTPUT, assistant("It is 42.")])
    assert [message.role for message in said] == ["assistant", "tool", "assistant"]
    assert [is_answer(message) for message in said] == [False, False, True]
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        memory.record(said, user_id="alice", session_id="s")
        restored = to_llamaindex_messages(memory.messages(user_id="alice"))
    assert restored == [CODE, OUTPUT, assistant("It is 42.")]


def test_what_a_user_says_by_himself_is_his_whatever_stood_before() -> None:
    [said] = together([OUTPUT])
    assert said.role == "user"
    assert [message.role for message in together([assistant("It is 42."), OUTPUT])] == ["assistant", "user"]
    assert is_answer(together([CODE])[0])


def test_messages_are_the_same_by_what_they_carry() -> None:
    assert same(user("a"), user("a"))
    assert not same(user("a"), assistant("a"))
    assert not same(called("look", at="1"), called("look", at="2"))


# -- for the engine by itself -------------------------------------------------------------------------------


def test_messages_are_added_to_an_engine_and_come_back(face: Face, engine: Counted) -> None:
    history = [user("I own a boat."), called("look"), returned("3"), assistant("Nice.")]
    said = to_holdfast_messages(history, happened_at="2024-05-01")
    face(engine.memory, "add", said, user_id="alice", session_id="s")
    journal = face(engine.memory, "messages", user_id="alice", session_id="s")
    assert to_llamaindex_messages(journal) == history
    assert {message.happened_at.date() for message in journal} == {date(2024, 5, 1)}
    assert engine.texts() == ["I own a boat."]


def test_a_message_that_knows_its_date_keeps_it_and_does_not_show_it() -> None:
    dated = ChatMessage(role="user", content="I own a boat.", additional_kwargs={"happened_at": "2023-01-02"})
    [said] = to_holdfast_messages([dated], happened_at="2024-05-01")
    assert (said.happened_at, said.data) == ("2023-01-02", None)
    assert same(dated, user("I own a boat."))
