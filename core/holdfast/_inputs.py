"""What callers pass, checked once at the door. Whatever is wrong raises InputError, before anything is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

from .errors import InputError
from .types import ROLES, Message, Messages, Metadata, Scope

SCOPE_KEYS = ("user_id", "agent_id", "run_id")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape in JSON, not a text that talks of it
_MESSAGE_KEYS = {field.name for field in fields(Message)}


def scope_of(
    user_id: str | None, agent_id: str | None, run_id: str | None, *, required: bool = True
) -> Scope:
    """The scope that a call names. `required`: at least one id has to be given."""
    for name, value in zip(SCOPE_KEYS, (user_id, agent_id, run_id), strict=True):
        if value is not None:
            _id(name, value)
    scope = Scope(user_id, agent_id, run_id)
    if required and not scope:
        raise InputError("whose memory? pass at least one of user_id=, agent_id=, run_id=")
    return scope


def _id(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not a string")
    if not value.strip():
        raise InputError(f"{name}={value!r} is blank")
    return _storable(name, value)


def session_of(session_id: str | None) -> str | None:
    return None if session_id is None else _id("session_id", session_id)


def text_of(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {value!r}, not a string")
    if not value.strip():
        raise InputError(f"{name} is empty")
    return _storable(name, value)


def _storable(name: str, value: str) -> str:
    """Text that both databases can hold."""
    if "\x00" in value:
        raise InputError(f"{name} contains a NUL character, which no database stores; remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} contains a lone surrogate at {error.start}, which is not text") from error
    return value


def metadata_of(value: Any) -> Metadata:
    """A JSON object that does not name a scope key."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"metadata is {type(value).__name__}, not a mapping")
    for key in SCOPE_KEYS:
        if key in value:
            raise InputError(f"metadata names the scope key {key!r}; pass {key}= as an argument instead")
    checked: dict[str, Any] = _json("metadata", dict(value))
    return checked


def _json(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} has keys that are not strings: {value!r}")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    if _NUL.search(text):
        raise InputError(f"{name} contains a NUL character, which no database stores; remove it")
    _storable(name, text)
    return json.loads(text)


def moment_of(name: str, value: Any) -> datetime:
    """An aware datetime in UTC, from a datetime, a date or ISO 8601; without a zone it is taken as UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"{name}={value!r} is not a date in ISO 8601") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise InputError(f"{name}={value!r} is neither a datetime nor ISO 8601")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{name}={value!r} is out of range in UTC") from error


def messages_of(said: Messages, happened_at: datetime) -> list[Message]:
    """Messages from a string, a message, a mapping, or a list of them. Each gets its `happened_at`."""
    if isinstance(said, (str, Message, Mapping)):
        said = [said]
    if not isinstance(said, Sequence) or isinstance(said, (bytes, bytearray)):
        raise InputError(f"messages is {said!r}; pass a string, a message, or a list of them")
    if not said:
        raise InputError("messages is an empty list; there is nothing to remember")
    return [_message(item, f"messages[{at}]", happened_at) for at, item in enumerate(said)]


def _message(item: Any, where: str, happened_at: datetime) -> Message:
    if isinstance(item, str):
        item = Message(item)
    elif isinstance(item, Mapping):
        item = _from_mapping(item, where)
    if not isinstance(item, Message):
        raise InputError(f"{where} is {item!r}; pass a string, a Message or a mapping with role and content")
    if item.role not in ROLES:
        raise InputError(f"{where} has role {item.role!r}; known roles are {', '.join(ROLES)}")
    if item.data is None:
        text_of(f"{where}.content", item.content)
    elif not isinstance(item.content, str):  # a framework's message may be all data: tool calls without text
        raise InputError(f"{where}.content is {item.content!r}, not a string")
    else:
        _storable(f"{where}.content", item.content)
    for name in ("name", "id"):
        if getattr(item, name) is not None:
            _id(f"{where}.{name}", getattr(item, name))
    at = happened_at if item.happened_at is None else moment_of(f"{where}.happened_at", item.happened_at)
    data = None if item.data is None else _json(f"{where}.data", dict(item.data))
    return replace(item, happened_at=at, data=data)


def _from_mapping(item: Mapping[str, Any], where: str) -> Message:
    unknown = set(item) - _MESSAGE_KEYS
    if unknown:
        raise InputError(
            f"{where} has unknown keys {sorted(map(str, unknown))}; known are {', '.join(sorted(_MESSAGE_KEYS))}"
        )
    if "content" not in item:
        raise InputError(f"{where} has no content: {dict(item)!r}")
    return Message(**item)


def limit_of(value: Any, name: str = "limit") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name}={value!r} is not a positive integer")
    return value


def seconds_of(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise InputError(f"{name}={value!r} is not a number of seconds, 0 or more")
    return float(value)


def share_of(name: str, value: Any) -> float | None:
    """A number in [0, 1], or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"{name}={value!r} is not a number between 0 and 1")
    return float(value)
