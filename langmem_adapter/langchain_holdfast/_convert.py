"""Messages between LangChain and Holdfast. The direction is in the names."""

from __future__ import annotations

import base64
import math
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
from holdfast.types import Role

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


def convert_message_to_holdfast(message: BaseMessage) -> Message:
    """The message as the journal takes it; whatever text, role, name and id do not say goes to `data`."""
    whole = message_chunk_to_message(message)
    return Message(
        content=storable(whole.text),
        role=_role_of(whole),
        name=_name_of(whole),
        id=storable(whole.id).strip() or None if whole.id else None,
        data={DATA_KEY: _plain(message_to_dict(whole))},
    )


def convert_messages_to_holdfast(messages: Iterable[BaseMessage]) -> list[Message]:
    """As `convert_message_to_holdfast`. A RemoveMessage says nothing and is left out."""
    return [
        convert_message_to_holdfast(message) for message in messages if not isinstance(message, RemoveMessage)
    ]


def convert_journal_to_langchain(said: Sequence[JournaledMessage]) -> list[BaseMessage]:
    """Journaled messages as LangChain's own. Those that came from LangChain are equal to what was given.

    A tool's message without LangChain's data is left out: no chat model takes a result without its call.
    """
    restored = (_restored(one.message) for one in said)
    return [message for message in restored if message is not None]


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
    if message.type == "chat":
        # A role that nobody knows speaks for nobody: it is journaled, and nothing is extracted from it.
        return _CHAT_ROLES.get(str(getattr(message, "role", "")).lower(), "system")
    return _ROLES.get(message.type, "user")


def _name_of(message: BaseMessage) -> str | None:
    """The speaker. A tool's name is nobody's."""
    if message.type in ("tool", "function") or not (message.name or "").strip():
        return None
    return storable(message.name or "")


def storable(text: str) -> str:
    """`text` as databases hold it: tools return NUL characters and halves of surrogate pairs, too."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """JSON, whatever a provider or a tool put into a message."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return storable(str(value))
