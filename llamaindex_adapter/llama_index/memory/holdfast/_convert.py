"""Chat messages of LlamaIndex as messages of the journal, and back.

A journaled message carries what may be remembered in `content`; what else LlamaIndex needs to restore its own
object (blocks, tool calls, additional arguments) lies in `data`, as JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock, ToolCallBlock

from holdfast import JournaledMessage, Message
from holdfast.types import Role

MESSAGE = "llama_index"  # key of `data`: the message as LlamaIndex dumps it
GIVEN = "given"  # key of `data`: the message was given as history; it is not this session's to remember

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
# What the ReAct agent writes into its memory: steps, each headed by one of these words.
_STEP = re.compile(r"\A\s*(?:Thought|Action|Observation):", re.IGNORECASE)
_LAST_THOUGHT = re.compile(r"^[ \t]*Thought:(?!.*^[ \t]*Thought:)", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t]*Answer(?: \(Starts With\))?:[ \t]*", re.MULTILINE | re.IGNORECASE)


def to_journal(message: ChatMessage, *, given: bool = False) -> Message:
    """The message for the journal, under a new id.

    given: it was handed over as history, and is not to be remembered again.
    """
    role = _ROLES.get(message.role, "user")
    content = remembered_text(message)
    data: dict[str, Any] = {}
    if not _plain(message, role, content):
        data[MESSAGE] = _dumped(message)
    if given:
        data[GIVEN] = True
    # The journal takes a message without text only where it carries data.
    return Message(content, role, id=uuid4().hex, data=data if data or not content.strip() else None)


def from_journal(journaled: JournaledMessage) -> ChatMessage:
    """A message of the journal as LlamaIndex knew it; a new object at every call."""
    said = journaled.message
    dump = (said.data or {}).get(MESSAGE)
    if isinstance(dump, dict):
        return ChatMessage.model_validate(dump)
    return ChatMessage(role=MessageRole(said.role), content=said.content)


def remembered_text(message: ChatMessage) -> str:
    """What a message says that could be worth remembering: its text, of a ReAct agent only the answer."""
    text = clean(message.content or "")
    if _ROLES.get(message.role) == "assistant" and _STEP.match(text):
        return _answer(text)
    return text


def is_answer(message: ChatMessage) -> bool:
    """Whether the message ends a turn: the assistant says something and calls no tool."""
    return (
        _ROLES.get(message.role) == "assistant"
        and not calls_tools(message)
        and bool(remembered_text(message).strip())
    )


def calls_tools(message: ChatMessage) -> bool:
    in_blocks = any(isinstance(block, ToolCallBlock) for block in message.blocks)
    return in_blocks or bool(message.additional_kwargs.get("tool_calls"))


def same(one: ChatMessage, other: ChatMessage) -> bool:
    """Whether two messages say the same in the same role, whatever they carry beside it."""
    return one.role == other.role and _dumped(one) == _dumped(other)


def clean(text: str) -> str:
    """The text without what no database stores: NUL characters and lone surrogates."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")


def _answer(steps: str) -> str:
    """The text after "Answer:" of the last thought; empty while the agent is still reasoning."""
    thought = _LAST_THOUGHT.search(steps)
    found = _ANSWER.search(steps, thought.end() if thought else 0)
    return steps[found.end() :].strip() if found else ""


def _plain(message: ChatMessage, role: Role, content: str) -> bool:
    """Whether role and content say it all."""
    if message.additional_kwargs or message.role.value != role or len(message.blocks) != 1:
        return False
    block = message.blocks[0]
    return type(block) is TextBlock and block == TextBlock(text=content)


def _dumped(message: ChatMessage) -> Any:
    """The message as JSON. What is not JSON is kept as text: a history must never fail for an attachment."""
    text = json.dumps(message.model_dump(), default=_as_text, ensure_ascii=False)
    return json.loads(clean(text.replace("\\u0000", "")), parse_constant=lambda _: None)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
