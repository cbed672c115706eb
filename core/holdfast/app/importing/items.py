"""What readers give: memories and conversations of other stores, and what of a source could not be read.

A reader is a generator from a file to `Read`s. It knows its format and nothing of Holdfast's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ...types import Role
from ...types.storable import storable, storable_json

IDS = ("user_id", "agent_id", "run_id")
LONGEST_ID = 1000  # characters


class Unreadable(Exception):
    """A piece of a source that is left out, and why."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A memory.

    texts: what it said since when, oldest first; a time that the source does not give is None.
    ids: whose it is, if the source says.
    id: its id there, if it is a UUID used for nothing else; key: distinguishes it in its source otherwise.
    happened_at: the time it tells of. forgotten_at: when it was deleted there.
    where: its line or number in the source.
    """

    texts: tuple[tuple[str, datetime | None], ...]
    ids: Mapping[str, str]
    key: tuple[str, ...]
    id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    happened_at: datetime | None = None
    expires_at: datetime | None = None
    forgotten: bool = False
    forgotten_at: datetime | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A message. key: distinguishes it in its conversation. id: its id there, if it has one."""

    key: str
    content: str
    role: Role
    at: datetime | None = None
    name: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in their order. key: their session. metadata: for the resulting memories. where: as above."""

    messages: tuple[Said, ...]
    ids: Mapping[str, str]
    key: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


Item = Remembered | Conversation


@dataclass(frozen=True, slots=True)
class Read:
    """An item, or what is wrong with it. where: its line or number in the source."""

    where: str
    item: Item | Unreadable


def each(
    found: Iterable[tuple[str, Any]], one: Callable[[Any], Iterable[Item | Unreadable]]
) -> Iterator[Read]:
    """What `one` makes of each of the records; a record that it cannot read is reported, and the rest goes on."""
    for where, record in found:
        try:
            if isinstance(record, Unreadable):
                raise record
            for item in list(one(record)):
                yield Read(where, item)
        except Unreadable as error:
            yield Read(where, error)


# -- values ------------------------------------------------------------------------------------------------------


def mapping(value: Any, what: str = "it") -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{what} is {type(value).__name__}, not an object")
    return value


def sequence(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"{what} is {type(value).__name__}, not a list")
    return value


def text(value: Any, what: str) -> str:
    """A text that can be stored."""
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"{what} is {_shown(value)}, not a text")
    return storable(value)


def metadata(value: Any) -> dict[str, Any]:
    """What a memory carries besides its text, without its owner's ids."""
    carried = {} if value is None else mapping(value, "metadata")
    return stored({name: one for name, one in carried.items() if name not in IDS and one is not None})


def stored(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object as it can be stored."""
    try:
        found: dict[str, Any] = storable_json(value)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    return found


def ids(value: Mapping[str, Any]) -> dict[str, str]:
    """The ids of a value's owner, as far as it names them."""
    found = {name: text(str(value[name]), name) for name in IDS if value.get(name) not in (None, "")}
    for name, one in found.items():
        if len(one) > LONGEST_ID:
            raise Unreadable(f"{name} has {len(one):,} characters")
    return found


def moment(value: Any, what: str) -> datetime | None:
    """A time in ISO 8601, or seconds since 1970."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise Unreadable(f"{what} is {_shown(value)}, no time in ISO 8601") from error


def past(value: Any, what: str) -> datetime | None:
    """As `moment`, for what has happened; clocks differ by some minutes."""
    found = moment(value, what)
    if found is not None and found > datetime.now(UTC) + timedelta(minutes=5):
        raise Unreadable(f"{what} is {_shown(value)}, which lies ahead of now")
    return found


def uuid(value: Any) -> str | None:
    """The value as a UUID, if it is one."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}  # what frameworks and providers call them


def role(value: Any) -> Role:
    if not isinstance(value, str) or value not in ROLES:
        raise Unreadable(f"role {_shown(value)} is none of {', '.join(ROLES)}")
    return ROLES[value]


def spoken(
    found: Sequence[Any], one: Callable[[int, Mapping[str, Any]], Said | None]
) -> tuple[list[Said], list[Unreadable]]:
    """The messages of a conversation, and those that cannot be read. one: None for a message that says nothing."""
    heard: dict[str, Said] = {}
    wrong = []
    for number, message in enumerate(found, 1):
        try:
            said = one(number, mapping(message, "it"))
        except Unreadable as error:
            wrong.append(Unreadable(f"message {number}: {error}"))
            continue
        if said is not None:
            heard[said.key] = said
    return list(heard.values()), wrong


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
