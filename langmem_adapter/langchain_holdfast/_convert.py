"""Messages between LangChain and Holdfast. The direction is in the names."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.messages.utils import message_chunk_to_message

from holdfast import JournaledMessage, Message
from holdfast.types import Role, storable, storable_json

DATA_KEY = "langchain"  # where `Message.data` keeps the message as LangChain serialises it

_ROLES: Mapping[str, Role] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
_CHAT_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}


def to_holdfast_messages(messages: Iterable[BaseMessage], *, media: bool = False) -> list[Message]:
    """LangChain's messages as `Memory.add` and `Memory.record` take them.

    What text, role, name and id do not say goes to `data`, so that `to_langchain_messages` gives equal messages back.
    A RemoveMessage says nothing and is left out.

    media: keep pictures, sounds and files that a message holds as base64; otherwise their blocks are left out, and so
        is a tool's artifact that holds any.
    """
    return [_converted(message, media) for message in messages if not isinstance(message, RemoveMessage)]


def to_langchain_messages(said: Sequence[JournaledMessage]) -> list[BaseMessage]:
    """Journaled messages, as `Memory.messages` gives them, as LangChain's own.

    Those that came from LangChain are equal to what was given. A tool's message without LangChain's data is left out:
    no chat model takes a result without its call.
    """
    restored = (_restored(one.message) for one in said)
    return [message for message in restored if message is not None]


def is_framework_s(message: BaseMessage) -> bool:
    """Whether an agent's machinery wrote it, by LangChain's own mark: a user's message in form only (a summary, a
    notification)."""
    return isinstance(message.additional_kwargs.get("lc_source"), str)


def _converted(message: BaseMessage, media: bool) -> Message:
    whole = message_chunk_to_message(message)
    data = message_to_dict(whole)
    return Message(
        content=storable(whole.text),
        role=_role_of(whole),
        name=_name_of(whole),
        id=storable(whole.id).strip() or None if whole.id else None,
        data={DATA_KEY: storable_json(data if media else _without_media(data), _written)},
    )


def _without_media(data: dict[str, Any]) -> dict[str, Any]:
    """A serialised message without the content blocks and the artifact that hold base64."""
    fields = dict(data["data"])
    if isinstance(fields.get("content"), list):
        fields["content"] = [block for block in fields["content"] if not _is_media(block)]
    if _holds_base64(fields.get("artifact")):
        fields["artifact"] = None
    return {**data, "data": fields}


def _is_media(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") != "text" and _holds_base64(block)


# Shorter strings in this alphabet are ids and names, which would save nothing.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{512,}={0,2}")
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")


def _holds_base64(value: Any) -> bool:
    if isinstance(value, str):
        return _DATA_URL.match(value) is not None or _BASE64.fullmatch(value) is not None
    if isinstance(value, (bytes, bytearray)):
        return True
    if isinstance(value, Mapping):
        return any(_holds_base64(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_holds_base64(item) for item in value)


def _restored(message: Message) -> BaseMessage | None:
    data = (message.data or {}).get(DATA_KEY)
    if isinstance(data, dict):
        [restored] = messages_from_dict([data])
        return restored
    match message.role:
        case "user":
            return HumanMessage(message.content, id=message.id, name=message.name)
        case "assistant":
            return AIMessage(message.content, id=message.id, name=message.name)
        case "system":
            return SystemMessage(message.content, id=message.id, name=message.name)
        case _:
            return None


def _role_of(message: BaseMessage) -> Role:
    if is_framework_s(message):
        return "system"
    if message.type == "chat":
        # An unknown role speaks for nobody: it is journaled, but nothing is extracted from it.
        return _CHAT_ROLES.get(str(getattr(message, "role", "")).lower(), "system")
    return _ROLES.get(message.type, "user")


def _name_of(message: BaseMessage) -> str | None:
    """The speaker's name. A tool's name is not one."""
    if message.type in ("tool", "function") or not (message.name or "").strip():
        return None
    return storable(message.name or "")


def _written(value: Any) -> str:
    """A value that is not JSON, as text: bytes in their usual encoding."""
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)
