"""Parts of longer lists: memories, who has them, what happened to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from .records import Change, MemoryItem, Operation, Record, Scope, Tabular, Usage


@dataclass(frozen=True, slots=True)
class Owner(Record):
    """Who has memories, and how many.

    user_id, agent_id, run_id: whose they are. With `users(by="user")` the user alone: None for all memories
        without one.
    memories: how many are known now, expired ones included. 0 if all were deleted; their history is still there.
    since: when the first one was recorded.
    changed_at: when one was last added, changed or deleted.
    """

    user_id: str | None
    agent_id: str | None
    run_id: str | None
    memories: int
    since: datetime
    changed_at: datetime

    @property
    def scope(self) -> Scope:
        """Whose memories they are."""
        return Scope(self.user_id, self.agent_id, self.run_id)


Listed = TypeVar("Listed", MemoryItem, Owner, Change)


class Listing(Record, Tabular, Generic[Listed]):
    """A page of a longer list, a sequence of what is on it."""

    __slots__ = ()
    items: tuple[Listed, ...]

    def __iter__(self) -> Iterator[Listed]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Listed:
        return self.items[position]

    def _repr_html_(self) -> str:
        from .html import table

        return table(self.items)


@dataclass(frozen=True, slots=True)
class Page(Listing[MemoryItem]):
    """Memories, oldest first, and where to go on.

    total: how many there are in all pages.
    next: pass it as `cursor=` for the following page; None on the last one.
    """

    items: tuple[MemoryItem, ...]
    total: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Owners(Listing[Owner]):
    """Who has memories, in the order of their ids, and where to go on: `total` and `next` as in `Page`."""

    items: tuple[Owner, ...]
    total: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Feed(Listing[Change]):
    """Changes, newest first, and where to go on: `next` as in `Page`."""

    items: tuple[Change, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Day(Record):
    """What happened on one day.

    at: its first instant, in UTC.
    operations: how many changes of each kind there were; none of a kind that is not named.
    balance: how many memories more were known at its end than at its beginning; without regard to expiry.
    usage: what the adds cost whose messages were journaled on that day.
    """

    at: datetime
    operations: Mapping[Operation, int]
    balance: int
    usage: Usage = field(default_factory=Usage)
