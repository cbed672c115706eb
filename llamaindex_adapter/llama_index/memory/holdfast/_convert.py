"""Chat messages of LlamaIndex as messages of the journal, and back.

A journaled message carries what may be remembered in `content`; whatever else LlamaIndex needs to restore its own
object (blocks, tool calls, additional arguments) is in `data`, as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock

from holdfast import JournaledMessage, Message
from holdfast.types import Role, storable, storable_json

MESSAGE = "llama_index"  # key of `data`: the message as LlamaIndex dumps it
GIVEN = "given"  # key of `data`: the message was given as history; it is not this session's to remember
HAPPENED_AT = "happened_at"  # key of a message's additional arguments: when it was said

_ROLES: dict[MessageRole, Role] = {
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}
# How the ReAct agent's last step begins and continues, in the one message that holds its steps.
_THOUGHT, _ANSWER = "Thought: ", "\nAnswer: "
# What the CodeAct agent looks for in its model's replies, to execute the text between.
_CODE, _CODE_END = "<execute>", "</execute>"


def to_holdfast_messages(
    messages: Iterable[ChatMessage], *, happened_at: datetime | str | None = None
) -> list[Message]:
    """Messages of LlamaIndex as `Memory.add` and `Memory.record` of the engine take them.

    happened_at: when they were said; a "happened_at" in a message's `additional_kwargs` (a datetime, or ISO 8601)
        comes first. By default the time of the call that takes them.

    Only text is remembered: from a ReAct agent only the answer, from a CodeAct agent neither code nor output.
    What tools and the system say is kept in the log. `to_llamaindex_messages` restores all of it.
    """
    said = together(list(messages))
    at: Any = happened_at  # the engine takes and checks both kinds
    return [message if message.happened_at else replace(message, happened_at=at) for message in said]


def to_llamaindex_messages(journaled: Iterable[JournaledMessage]) -> list[ChatMessage]:
    """What `Memory.messages` returned, as LlamaIndex's messages; new objects at every call."""
    return [from_journal(message) for message in journaled]


def together(messages: Sequence[ChatMessage], *, given: bool = False) -> list[Message]:
    """Messages that were handed over together, for the journal.

    The CodeAct agent puts the output of its code in a user's name, after the code, in the one call that ends its
    run: what follows code in the same call is from a tool, and the code is a step rather than an answer.
    """
    said = [to_journal(message, given=given) for message in messages]
    for at, (code, output) in enumerate(pairwise(messages)):
        if _executes(code) and output.role == MessageRole.USER:
            said[at] = _as_step(code, said[at], "assistant", "")
            said[at + 1] = _as_step(output, said[at + 1], "tool", said[at + 1].content)
    return said


def _as_step(message: ChatMessage, said: Message, role: Role, content: str) -> Message:
    data = {**(said.data or {}), MESSAGE: _dumped(_undated(message))}
    return replace(said, role=role, content=content, data=data)


def to_journal(message: ChatMessage, *, given: bool = False) -> Message:
    """The message for the journal, under a new id.

    given: it was handed over as history, and must not be remembered again.
    """
    at = message.additional_kwargs.get(HAPPENED_AT)
    message = _undated(message)
    role = _ROLES.get(message.role, "user")
    content = remembered_text(message)
    data: dict[str, Any] = {}
    if not _plain(message, role, content):
        data[MESSAGE] = _dumped(message)
    if given:
        data[GIVEN] = True
    # The journal takes a message without text only where it carries data.
    kept = data if data or not content.strip() else None
    return Message(content, role, id=uuid4().hex, happened_at=at, data=kept)


def from_journal(journaled: JournaledMessage) -> ChatMessage:
    """A message of the journal as LlamaIndex knew it; a new object at every call."""
    said = journaled.message
    dump = (said.data or {}).get(MESSAGE)
    if isinstance(dump, dict):
        return ChatMessage.model_validate(dump)
    return ChatMessage(role=MessageRole(said.role), content=said.content)


def remembered_text(message: ChatMessage) -> str:
    """What a message says that could be worth remembering: its text, or from a ReAct agent only the answer."""
    text = storable(message.content or "")
    return _concluded(text) if _ROLES.get(message.role) == "assistant" else text


def is_answer(said: Message) -> bool:
    """Whether the message ends a turn: the assistant says something and calls no tool."""
    return said.role == "assistant" and bool(said.content.strip()) and not _calls_tools(said)


def _calls_tools(said: Message) -> bool:
    dump: Any = (said.data or {}).get(MESSAGE) or {}
    in_blocks = any(block.get("block_type") == "tool_call" for block in dump.get("blocks", ()))
    return in_blocks or bool(dump.get("additional_kwargs", {}).get("tool_calls"))


def _executes(message: ChatMessage) -> bool:
    text = (message.content or "") if _ROLES.get(message.role) == "assistant" else ""
    begin = text.find(_CODE)
    return begin >= 0 and text.find(_CODE_END, begin) >= 0


def same(one: ChatMessage, other: ChatMessage) -> bool:
    """Whether two messages say the same in the same role, whatever else they carry."""
    return one.role == other.role and _dumped(_undated(one)) == _dumped(_undated(other))


def _concluded(text: str) -> str:
    """The conclusion of a ReAct agent's steps; any other text as it is.

    Steps begin with a thought and end with a thought and its answer. A text that only begins so is not one.
    """
    end = text.rfind(_ANSWER)
    if not text.startswith(_THOUGHT) or end < 0:
        return text
    last = text.rfind(f"\n{_THOUGHT}", 0, end)
    return text[text.find(_ANSWER, max(0, last)) + len(_ANSWER) :].strip()


def _undated(message: ChatMessage) -> ChatMessage:
    """The message without the time it was said, which the journal keeps and providers do not know."""
    if HAPPENED_AT not in message.additional_kwargs:
        return message
    kept = {name: value for name, value in message.additional_kwargs.items() if name != HAPPENED_AT}
    return message.model_copy(update={"additional_kwargs": kept})


def _plain(message: ChatMessage, role: Role, content: str) -> bool:
    """Whether role and content are all there is."""
    if message.additional_kwargs or message.role.value != role or len(message.blocks) != 1:
        return False
    block = message.blocks[0]
    return type(block) is TextBlock and block == TextBlock(text=content)


def _dumped(message: ChatMessage) -> Any:
    """The message as JSON. What is not JSON is kept as text: a history must never fail for an attachment."""
    return storable_json(message.model_dump(), _as_text)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
