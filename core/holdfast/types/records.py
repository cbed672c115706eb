"""The data that goes in and comes out: frozen, typed, and plain enough to print, compare and store.

Times are aware datetimes in UTC. Ids are strings. Metadata is a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

if TYPE_CHECKING:
    import pandas as pd

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Metadata: TypeAlias = Mapping[str, JsonValue]
Role = Literal["user", "assistant", "system", "tool"]
Operation = Literal["ADD", "UPDATE", "DELETE", "NOOP"]
JobState = Literal["pending", "running", "done", "failed"]
# When a memory expires: at a time, or after a duration from now; as text, either in ISO 8601 ("2027-01-31", "P30D").
Expiry: TypeAlias = datetime | timedelta | str

ROLES: tuple[Role, ...] = get_args(Role)
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


class Record:
    """`to_dict()` for frozen dataclasses: JSON-ready, datetimes as ISO 8601."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class Tabular:
    """`to_frame()` for sequences of records."""

    __slots__ = ()

    def to_frame(self: Iterable[Record]) -> pd.DataFrame:
        """A pandas DataFrame: a row for each element, a column for each field, times as timestamps.

        A hit's columns are its score, its parts ("parts.dense") and its memory's fields.

        Raises ImportError if pandas is not installed.
        """
        from .frame import frame

        return frame(self)


@dataclass(frozen=True, slots=True)
class Scope(Record):
    """Whose memory it is. A read matches every id that is given; a write needs at least one.

    The scope of a memory is the exact triple that it was written with. Memories merge only within it.
    """

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None

    def ids(self) -> dict[str, str]:
        """The ids that are given, by name."""
        pairs = (("user_id", self.user_id), ("agent_id", self.agent_id), ("run_id", self.run_id))
        return {name: value for name, value in pairs if value is not None}

    def within(self, other: Scope) -> bool:
        """Whether it carries every id that the other names."""
        return other.ids().items() <= self.ids().items()

    def __bool__(self) -> bool:
        return bool(self.ids())


@dataclass(frozen=True, slots=True)
class Message(Record):
    """One turn of a conversation.

    content: what was said.
    role: user, assistant, system or tool.
    name: the speaker, if the role is not enough ("Caroline").
    id: the caller's own id. Within a scope and session a message is remembered once per id.
    happened_at: when it was said; by default the `happened_at` of `add`, else the time of the call.
    data: what else a framework needs to restore its own message object, as JSON.
    """

    content: str
    role: Role = "user"
    name: str | None = None
    id: str | None = None
    happened_at: datetime | None = None
    data: Metadata | None = None


@dataclass(frozen=True, slots=True)
class JournaledMessage(Record):
    """A message in the journal: what was passed, and where and when it was recorded.

    id: the message's own, or one made for it.
    message: what was passed.
    session_id: the conversation it belongs to.
    add_id: the `add` that recorded it; None if `record` did.
    position: its number within its scope, from 1, without gaps at the time of writing.
    episode: the number, within its scope, of the uninterrupted stretch of conversation that it belongs to.
    happened_at: when it was said.
    created_at: when it was recorded.
    """

    id: str
    message: Message
    scope: Scope
    session_id: str | None
    add_id: str | None
    position: int
    episode: int
    happened_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MemoryItem(Record):
    """One version of a memory.

    text: the fact itself, short and self-contained.
    user_id, agent_id, run_id: whose memory it is.
    metadata: the JSON object that it carries.
    created_at: when the memory was first recorded.
    updated_at: when this version of it was recorded.
    happened_at: when what it says happened, or was said, if that is known.
    valid_from, valid_to: the span in which this version was what was known; `valid_to` is None for the current one.
    version: its number, from 1.
    speakers: the names of those who said it, if messages carry names.
    sources: ids of the journaled messages that it came from, oldest first.
    expires_at: when it is no longer found; None for never.
    """

    id: str
    text: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    metadata: Metadata
    created_at: datetime
    updated_at: datetime
    happened_at: datetime | None
    valid_from: datetime
    valid_to: datetime | None
    version: int = 1
    speakers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    expires_at: datetime | None = None

    @property
    def scope(self) -> Scope:
        """Whose memory it is."""
        return Scope(self.user_id, self.agent_id, self.run_id)

    def _repr_html_(self) -> str:
        from .html import table

        return table([self])


@dataclass(frozen=True, slots=True)
class SearchHit(Record):
    """A memory that answers a query.

    score: in [0, 1], comparable within one result.
    parts: with `explain=True`, what the score is made of (signal -> contribution); else empty.
    """

    memory: MemoryItem
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The memory's id."""
        return self.memory.id

    @property
    def text(self) -> str:
        """The memory's text."""
        return self.memory.text


@dataclass(frozen=True, slots=True)
class Change(Record):
    """One thing that happened to one memory: a line of its history.

    before, after: its text before the change and after it; None if there is none.
    reason: why, in words.
    at: when it was recorded.
    sources: ids of the journaled messages behind it.
    add_id: the `add` that it belongs to.
    undoes: the id of the change that this one takes back.
    scope: whose memory it is.
    """

    id: str
    memory_id: str
    operation: Operation
    before: str | None
    after: str | None
    reason: str
    at: datetime
    sources: tuple[str, ...] = ()
    add_id: str | None = None
    undoes: str | None = None
    scope: Scope = field(default_factory=Scope)

    @property
    def text(self) -> str:
        """The text that this change is about."""
        return self.after if self.after is not None else self.before or ""

    def _repr_html_(self) -> str:
        from .html import table

        return table([self])


@dataclass(frozen=True, slots=True)
class Usage(Record):
    """What a piece of work cost, in calls to the language model and in tokens as the provider counts them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class AddResult(Record, Tabular):
    """What an `add` committed.

    A sequence of its changes.

    id: the name of this `add`; `undo(result.id)` takes all of it back.
    state: "done", or "pending" if the work continues in the background.
    changes: one per fact, in the order of the conversation.
    messages: ids of the messages that it journaled.
    usage: what it cost.
    """

    id: str
    state: JobState
    changes: tuple[Change, ...] = ()
    messages: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __bool__(self) -> bool:
        return True  # a result without changes is still a result

    def __getitem__(self, position: int) -> Change:
        return self.changes[position]

    def merged(self, other: AddResult) -> Self:
        """This result followed by a later part of the same `add`."""
        return replace(
            self,
            state=other.state,
            changes=self.changes + other.changes,
            messages=self.messages + other.messages,
            usage=self.usage + other.usage,
        )

    def _repr_html_(self) -> str:
        from .html import table

        return table(self.changes)


class Hits(Tabular, list[SearchHit]):
    """A list of hits, best first, that notebooks show as a table."""

    def _repr_html_(self) -> str:
        from .html import table

        return table(self)


class Changes(Tabular, list[Change]):
    """A list of changes, oldest first, that notebooks show as a table."""

    def _repr_html_(self) -> str:
        from .html import table

        return table(self)


@dataclass(frozen=True, slots=True)
class Context(Record):
    """What an agent should see before it answers.

    text: ready for a prompt, framed and marked as data; empty if nothing is known.
    memories: the hits that it shows, best first.
    messages: the turns behind them that it shows, in the order in which they were said.
    tokens: the length of `text`, counted as the budget was.
    """

    text: str
    memories: tuple[SearchHit, ...] = ()
    messages: tuple[JournaledMessage, ...] = ()
    tokens: int = 0

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)

    def _repr_html_(self) -> str:
        from .html import preformatted

        return preformatted(self.text)


@dataclass(frozen=True, slots=True)
class Job(Record):
    """An `add` whose work is not done yet, or was given up.

    id: the `add_id`.
    attempts: how often it was tried.
    error: why the last attempt failed; None if none has.
    created_at: when its messages were journaled.
    retry_at: when it is tried next, if that is set.
    """

    id: str
    state: JobState
    scope: Scope
    attempts: int
    error: str | None
    created_at: datetime
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flushed(Record):
    """What `flush` left undone. Truthy if nothing.

    pending: the adds that are journaled and not done. Each says how often it was tried, why that failed, and when it
        is tried again.
    """

    pending: tuple[Job, ...] = ()

    def __bool__(self) -> bool:
        return not self.pending


@dataclass(frozen=True, slots=True)
class Erasure(Record):
    """What an `erase` removed, or would remove with `dry_run=True`: how many rows of each kind.

    files: of the memory tool; they go with all of their versions.
    """

    memories: int
    versions: int
    changes: int
    messages: int
    jobs: int
    dry_run: bool
    files: int = 0


@dataclass(frozen=True, slots=True)
class Transfer(Record):
    """What an export wrote, or an import stored: how many rows of each kind.

    skipped: rows that an import found here already.
    """

    messages: int
    jobs: int
    versions: int
    changes: int
    skipped: int = 0
    documents: int = 0


@dataclass(frozen=True, slots=True)
class Copied(Record):
    """A whole store in another place: how many rows of each kind both have.

    written: rows of any kind that this run wrote there; 0 if all of them were there already.
    """

    messages: int
    jobs: int
    versions: int
    changes: int
    documents: int
    written: int


Messages: TypeAlias = str | Message | Mapping[str, Any] | Sequence[str | Message | Mapping[str, Any]]
