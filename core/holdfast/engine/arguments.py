"""Checks of what callers pass. Whatever is wrong raises InputError, before anything is changed."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from ..errors import InputError
from ..ports import Embedder, LanguageModel, Reranker
from ..storage.ledger.owners import BY, By
from ..storage.times import FOREVER, to_micros
from ..types import OPERATIONS, ROLES, Message, Messages, Metadata, Operation, Scope
from ..types.storable import UNSTORABLE

Filters = Mapping[str, Any] | None
Infer = bool | Literal["merge"]
Unchanged = Literal["unchanged"]

UNCHANGED: Unchanged = "unchanged"

AHEAD = timedelta(minutes=10)  # how far the clock that a given time comes from may differ from ours
LARGEST_LIMIT = 2**31 - 1
# Bytes in UTF-8. Anything larger is a file rather than a message: keep it elsewhere, and a reference to it
# here.
TEXT_BYTES = 16 * 2**20
QUERY_BYTES = 2**20
INSTRUCTIONS_BYTES = 2**16
METADATA_BYTES = 2**18
ID_BYTES = 4096  # PostgreSQL takes some 2,700 for all ids of a row together, and says so
SHOWN = 200  # characters of a value in a message
SCOPE_KEYS = ("user_id", "agent_id", "run_id")
LONGEST_DELAY = 3600  # seconds; work that waits longer counts as dated by a wrong clock
# ISO 8601, limited to units whose length does not depend on the start.
_DURATION = re.compile(r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape in JSON, not a text that talks of it
_MESSAGE_KEYS = {field.name for field in fields(Message)}


def scope_of(user_id: str | None, agent_id: str | None, run_id: str | None) -> Scope:
    """The scope that a call names."""
    for name, value in zip(SCOPE_KEYS, (user_id, agent_id, run_id), strict=True):
        if value is not None:
            id_of(name, value)
    return Scope(user_id, agent_id, run_id)


def id_of(name: str, value: Any) -> str:
    """A caller's id: text that is not blank, of `ID_BYTES` at most in UTF-8."""
    if not isinstance(value, str):
        raise InputError(f"{name}={shown(value)} is not a string")
    if not value.strip():
        raise InputError(f"{name}={shown(value)} is blank")
    return _within(name, _storable(name, value), ID_BYTES)


def text_of(name: str, value: Any, most: int = TEXT_BYTES) -> str:
    """Text that is not blank, of `most` bytes at most in UTF-8."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}, not a string")
    if not value.strip():
        raise InputError(f"{name} is empty")
    return _within(name, _storable(name, value), most)


def _within(name: str, value: str, most: int) -> str:
    size = len(value.encode())
    if size > most:
        raise InputError(f"{name} has {size:,} bytes, and at most {most:,} are taken: {shown(value)}")
    return value


def _storable(name: str, value: str) -> str:
    """Text that both databases can hold."""
    if (found := UNSTORABLE.search(value)) is not None:
        kind = "NUL character" if found[0] == "\x00" else "lone surrogate"
        raise InputError(
            f"{name} contains a {kind} at {found.start()}, which no database stores; remove it, or pass what "
            "holdfast.types.storable makes of the text"
        )
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
    checked: dict[str, Any] = json_of("metadata", dict(value), METADATA_BYTES)
    return checked


def json_of(name: str, value: Any, most: int) -> Any:
    """A value that JSON and both databases can hold, of `most` bytes at most when it is written out."""
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} has keys that are not strings: {shown(value)}")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    if _NUL.search(text):
        raise InputError(f"{name} contains a NUL character, which no database stores; remove it")
    _within(name, _storable(name, text), most)
    return json.loads(text)


def moment_of(name: str, value: Any) -> datetime:
    """An aware datetime in UTC, from a datetime, a date or ISO 8601; without a zone it is taken as UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"{name}={shown(value)} is not a date in ISO 8601") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise InputError(f"{name}={shown(value)} is neither a datetime nor ISO 8601")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{name}={shown(value)} is out of range in UTC") from error


def instant_of(as_of: datetime | str | None) -> int | None:
    """Microseconds. Current versions have no end, so the very last instant cannot be asked for."""
    return None if as_of is None else min(to_micros(moment_of("as_of", as_of)), FOREVER - 1)


def past_of(name: str, value: Any, now: datetime) -> datetime:
    """As `moment_of`, for what has happened: at most some minutes ahead, as clocks differ."""
    moment = moment_of(name, value)
    if moment - now > AHEAD:
        raise InputError(
            f"{name}={shown(value)} lies ahead of now, {now.isoformat()}, and tells what has happened: set the "
            "clock that gave it right, or pass Memory(now=...) where time is simulated"
        )
    return moment


def expiry_of(value: Any, now: datetime) -> int | None:
    """Microseconds since the epoch, from a future time or a duration from now; None for never."""
    if value is None:
        return None
    try:
        lasts = value if isinstance(value, timedelta) else _duration(value)
        moment = moment_of("expires_at", value) if lasts is None else now + lasts
    except OverflowError as error:
        raise InputError(
            f"expires_at={shown(value)} is beyond the last date there is; leave it out"
        ) from error
    except InputError as error:
        raise InputError(
            f"expires_at={shown(value)} is neither a time nor a duration: pass a datetime, a timedelta, or ISO 8601 "
            "like '2027-01-31' or 'P30D'"
        ) from error
    if moment <= now:
        raise InputError(
            f"expires_at={shown(value)} is not after now, {now.isoformat()}: pass a time to come, or `delete` what "
            "is to be forgotten"
        )
    return to_micros(moment)


def _duration(value: Any) -> timedelta | None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    names = ("weeks", "days", "hours", "minutes", "seconds")
    return timedelta(**{name: int(part) for name, part in zip(names, found.groups(), strict=True) if part})


def messages_of(said: Messages, happened_at: datetime, now: datetime) -> list[Message]:
    """Messages from a string, a message, a mapping, or a list of them. Each gets its `happened_at`."""
    if isinstance(said, (str, Message, Mapping)):
        said = [said]
    if not isinstance(said, Sequence) or isinstance(said, (bytes, bytearray)):
        raise InputError(f"messages is {shown(said)}; pass a string, a message, or a list of them")
    if not said:
        raise InputError("messages is an empty list; there is nothing to remember")
    return [_message(item, f"messages[{at}]", happened_at, now) for at, item in enumerate(said)]


def _message(item: Any, where: str, happened_at: datetime, now: datetime) -> Message:
    if isinstance(item, str):
        item = Message(item)
    elif isinstance(item, Mapping):
        item = _from_mapping(item, where)
    if not isinstance(item, Message):
        raise InputError(
            f"{where} is {shown(item)}; pass a string, a Message or a mapping with role and content. A framework's "
            "messages are converted first: to_holdfast_messages of langchain_holdfast or llama_index.memory.holdfast"
        )
    if item.role not in ROLES:
        raise InputError(f"{where} has role {shown(item.role)}; known roles are {', '.join(ROLES)}")
    if item.data is None:
        text_of(f"{where}.content", item.content)
    elif not isinstance(item.content, str):  # a framework's message may be all data: tool calls without text
        raise InputError(f"{where}.content is {shown(item.content)}, not a string")
    else:
        _within(f"{where}.content", _storable(f"{where}.content", item.content), TEXT_BYTES)
    for name in ("name", "id"):
        if getattr(item, name) is not None:
            id_of(f"{where}.{name}", getattr(item, name))
    at = happened_at if item.happened_at is None else past_of(f"{where}.happened_at", item.happened_at, now)
    data = None if item.data is None else json_of(f"{where}.data", dict(item.data), TEXT_BYTES)
    return replace(item, happened_at=at, data=data)


def _from_mapping(item: Mapping[str, Any], where: str) -> Message:
    unknown = set(item) - _MESSAGE_KEYS
    if unknown:
        known = ", ".join(sorted(_MESSAGE_KEYS))
        raise InputError(f"{where} has unknown keys {shown(sorted(map(str, unknown)))}; known are {known}")
    if "content" not in item:
        raise InputError(f"{where} has no content: {shown(dict(item))}")
    return Message(**item)


def most_of(limit: int | None) -> int | None:
    """How many entries of a list are wanted; None for all. Raises InputError."""
    return None if limit is None else limit_of(limit)


def limit_of(value: Any, name: str = "limit", *, least: int = 1) -> int:
    """A whole number from `least` to `LARGEST_LIMIT`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST_LIMIT:
        raise InputError(f"{name}={shown(value)} is not a whole number from {least} to {LARGEST_LIMIT}")
    return value


def cursor_of(value: Any) -> str | None:
    """The `next` of a page, or None: `memories.page` knows what is in it."""
    return None if value is None else text_of("cursor", value)


def ids_of(name: str, values: Any) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"{name}={shown(values)} is not a list of ids")
    return [text_of(f"{name}[{at}]", value) for at, value in enumerate(values)]


def shown(value: object) -> str:
    """A value in a message: its repr, cut."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write out thousands of digits
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def seconds_of(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise InputError(f"{name}={value!r} is not a number of seconds, 0 or more")
    return float(value)


def delay_of(after_seconds: Any, background: bool) -> int:
    """Microseconds."""
    if isinstance(after_seconds, bool) or not isinstance(after_seconds, (int, float)):
        raise InputError(f"after_seconds={shown(after_seconds)} is no number")
    if not 0 <= after_seconds <= LONGEST_DELAY:
        raise InputError(f"after_seconds={shown(after_seconds)}: pass 0 to {LONGEST_DELAY} (an hour)")
    if after_seconds and not background:
        raise InputError(
            f"after_seconds={shown(after_seconds)} puts off what is done in the background; pass background=True"
        )
    return int(after_seconds * 1_000_000)


def share_of(name: str, value: Any) -> float | None:
    """A number in [0, 1], or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"{name}={shown(value)} is not a number between 0 and 1")
    return float(value)


def infer_of(value: Any) -> Infer:
    if value not in (True, False, "merge"):
        raise InputError(f'infer={shown(value)}: pass True, False or "merge"')
    checked: Infer = value
    return checked


def by_of(value: Any) -> By:
    if value not in BY:
        raise InputError(f"by={shown(value)}: pass {' or '.join(map(repr, BY))}")
    checked: By = value
    return checked


def operations_of(value: Any) -> tuple[Operation, ...]:
    """The operations that one name, or several, ask for; none for all of them."""
    named = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(named, Collection) or not all(name in OPERATIONS for name in named):
        raise InputError(f"operation={shown(value)}: pass one or several of {', '.join(OPERATIONS)}")
    return tuple(named)


def micros_of(name: str, value: datetime | str | None) -> int | None:
    """Microseconds of a time, or None."""
    return None if value is None else to_micros(moment_of(name, value))


def confirmed(confirm: Any) -> None:
    if confirm is not True:
        raise InputError("reset erases every user's memory; pass confirm=True if that is what you want")


def check_ports(*, llm: object = None, embedder: object = None, reranker: object = None) -> None:
    """Refuse objects that lack a port's members now rather than during the first add."""
    for name, value, port in (
        ("llm", llm, LanguageModel),
        ("embedder", embedder, Embedder),
        ("reranker", reranker, Reranker),
    ):
        if value is None:
            continue
        missing = [member for member in sorted(_members(port)) if not _has(value, member)]
        if missing:
            raise InputError(f"{name}={value!r} is no {port.__name__}: it lacks {', '.join(missing)}")


def _has(value: object, member: str) -> bool:
    """Whether it exists, without reading it: a property may ask a server."""
    try:
        inspect.getattr_static(value, member)
    except AttributeError:
        return hasattr(type(value), "__getattr__") and hasattr(value, member)
    return True


def _members(port: type) -> set[str]:
    return {name for name in vars(port) if not name.startswith("_")}
