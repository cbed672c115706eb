"""Chat messages survive the journal, whatever they carry; what could be remembered of them is told apart."""

from __future__ import annotations

import base64
import json
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
from llama_index.memory.holdfast._convert import (
    clean,
    from_journal,
    is_answer,
    remembered_text,
    same,
    to_journal,
)
from tests.fakes import HashEmbedder
from tests.llamaindex.fakes import assistant, called, returned, user

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
    assert restored.additional_kwargs["bad"] is None
    assert restored.additional_kwargs["odd"] == "<class 'object'>"


def test_what_no_database_stores_is_taken_out_and_nothing_else() -> None:
    assert journaled(user("a\x00b\ud800c 我喜欢🎾")).content == "ab\ufffdc 我喜欢🎾"
    assert journaled(returned("a\x00b")).content == "ab"


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
    assert said.content == clean(text)
    if said.data and "llama_index" in said.data:
        restored = ChatMessage.model_validate(said.data["llama_index"])
        assert restored.content == clean(text)
        assert len(restored.additional_kwargs) <= len(kwargs)


STEPS = "Thought: I need a tool.\nAction: look\nAction Input: {'q': 'x'}\nObservation: Answer: 7\n"


@pytest.mark.parametrize(
    ("text", "remembered"),
    [
        ("Thought: I can answer.\nAnswer: it is 3", "it is 3"),
        (STEPS + "Thought: Now I know.\nAnswer: it is 3\nAnswer: or 4", "it is 3\nAnswer: or 4"),
        ("Thought: done\nAnswer (Starts With): it is ...", "it is ..."),
        (STEPS, ""),
        ("Thought: still thinking", ""),
        ("Thought: 我可以回答。\nAnswer: 是3", "是3"),
        ("Here is a thought. Answer: 3", "Here is a thought. Answer: 3"),
        ("  thought: x\n answer: y", "y"),
        ("", ""),
    ],
)
def test_of_a_react_agent_s_steps_only_the_answer_is_worth_remembering(text: str, remembered: str) -> None:
    assert remembered_text(assistant(text)) == remembered
    assert journaled(assistant(text)) == assistant(text)
    assert remembered_text(user(text)) == text


def test_an_answer_says_something_and_calls_nothing() -> None:
    assert is_answer(assistant("Yes."))
    assert is_answer(ChatMessage(role="model", content="Yes."))
    assert not is_answer(user("Yes."))
    assert not is_answer(assistant(" "))
    assert not is_answer(assistant("Thought: still thinking"))
    assert not is_answer(called("look"))
    assert not is_answer(
        ChatMessage(role="assistant", content="Let me look.", additional_kwargs={"tool_calls": [{"id": "1"}]})
    )


def test_messages_are_the_same_by_what_they_carry() -> None:
    assert same(user("a"), user("a"))
    assert not same(user("a"), assistant("a"))
    assert not same(called("look", at="1"), called("look", at="2"))
