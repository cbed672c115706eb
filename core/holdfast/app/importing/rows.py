"""Items as an export of Holdfast, which `Memory.import_` reads: with the source's ids, times and history.

Every id follows from the source's own, so that the same item is the same row whenever it is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from typing import Any
from uuid import UUID, uuid5

from ..plain import JsonObject
from .items import IDS, Conversation, Item, Remembered, Said

HEADER = {"format": "holdfast-export", "version": 2}
SPACE = UUID("6f1d3a52-5f0e-5c0b-9a63-0d7f2c1f7a11")  # of all ids that are made here
TICK = timedelta(microseconds=1)
PAUSE = timedelta(hours=1)  # after which the journal begins an episode, too


def made(*parts: Any) -> str:
    return str(uuid5(SPACE, json.dumps(parts, ensure_ascii=True)))


def memory_id(source: str, item: Remembered) -> str:
    return item.id or made(source, item.ids, "memory", *item.key)


def message_id(source: str, talk: Conversation, said: Said) -> str:
    return made(source, talk.ids, "message", talk.key, said.key)


@dataclass(slots=True)
class Export:
    """The content of an import. source: the format's name. pending: whether conversations are to be worked on."""

    source: str
    memories: list[Remembered]
    conversations: list[Conversation]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    pending: bool = True

    def lines(self) -> Iterator[tuple[Item | None, str]]:
        """Each line with its item; the first and the last have none."""
        rows = 0
        yield None, _line({**HEADER, "exported_at": self.now.isoformat(), "scope": {}})
        for item, row in chain(self._jobs(), self._messages(), self._versions(), self._changes()):
            rows += 1
            yield item, _line(row)
        yield None, _line({"kind": "end", "rows": rows})

    def drop(self, item: Item) -> None:
        """Leave an item out."""
        if isinstance(item, Remembered):
            self.memories.remove(item)
        else:
            self.conversations.remove(item)

    def job_id(self, talk: Conversation) -> str:
        """An id for a conversation's new part, as it may have gone on since it was imported."""
        return made(self.source, talk.ids, "job", talk.key, *(said.key for said in talk.messages))

    def adds(self) -> dict[str, str]:
        """The id of the add that the memories of each scope come with; `undo` takes all of them back by it."""
        named: dict[str, list[str]] = {}
        for item in self.memories:
            named.setdefault(_key(item.ids), []).append(memory_id(self.source, item))
        return {scope: made(self.source, "add", scope, *names) for scope, names in named.items()}

    def _jobs(self) -> Iterator[tuple[Item | None, JsonObject]]:
        for scope, name in self.adds().items():
            yield None, self._job(name, json.loads(scope), infer=False, done=True)
        for talk in self.conversations:
            row = self._job(self.job_id(talk), _scope(talk.ids), infer=True, done=not self.pending)
            yield talk, row | {"session_id": talk.key, "metadata": dict(talk.metadata)}

    def _job(self, name: str, scope: JsonObject, *, infer: bool, done: bool) -> JsonObject:
        return {
            **dict.fromkeys(("session_id", "instructions", "retry_at", "error", "expires_at")),
            **dict.fromkeys(("windows_done", "attempts", "calls", "input_tokens", "output_tokens"), 0),
            "kind": "job",
            "id": name,
            **scope,
            "state": "done" if done else "pending",
            "infer": infer,
            "extract": infer,
            "metadata": {},
            "model": "",
            "window_tokens": 4000,
            "created_at": self.now.isoformat(),
            "finished_at": self.now.isoformat() if done else None,
        }

    def _messages(self) -> Iterator[tuple[Item, JsonObject]]:
        """Numbered within their scope; the import puts them after what is there."""
        places: dict[str, _Place] = {}
        for talk in self.conversations:
            place = places.setdefault(_key(talk.ids), _Place())
            for said, at in zip(talk.messages, dated(talk, self.now), strict=True):
                place.step(talk.key, at)
                row = {
                    "kind": "message",
                    "id": message_id(self.source, talk, said),
                    **_scope(talk.ids),
                    "session_id": talk.key,
                    "add_id": self.job_id(talk),
                    "position": place.position,
                    "episode": place.episode,
                    "role": said.role,
                    "name": said.name,
                    "external_id": said.id,
                    "content": said.content,
                    "data": None,
                    "happened_at": at.isoformat(),
                    "created_at": self.now.isoformat(),
                    "cleared_at": None,
                }
                yield talk, row

    def _versions(self) -> Iterator[tuple[Item, JsonObject]]:
        for told in self._told():
            for number, (text, (since, until)) in enumerate(
                zip(told.texts, pairwise([*told.times, told.ends]), strict=True), 1
            ):
                row = {
                    "kind": "version",
                    "id": told.version(number),
                    "memory_id": told.id,
                    "version": number,
                    "ordinal": None,
                    **_scope(told.item.ids),
                    "text": text,
                    "metadata": dict(told.item.metadata),
                    "speakers": [],
                    "created_at": told.times[0].isoformat(),
                    "happened_at": _iso(told.item.happened_at),
                    "valid_from": _iso(since),
                    "valid_to": _iso(until),
                    "episode": None,
                    "position": None,
                    "restores": None,
                    "expires_at": _iso(told.item.expires_at),
                }
                yield told.item, row

    def _changes(self) -> Iterator[tuple[Item, JsonObject]]:
        adds = self.adds()
        for told in self._told():
            versions = [told.version(number) for number in range(1, len(told.texts) + 1)]
            steps: list[tuple[str, str | None, str | None, datetime]] = [
                ("ADD", None, versions[0], told.times[0])
            ]
            steps += [
                ("UPDATE", before, after, at)
                for (before, after), at in zip(pairwise(versions), told.times[1:], strict=True)
            ]
            if told.ends is not None:
                steps.append(("DELETE", versions[-1], None, told.ends))
            for number, (operation, before, after, at) in enumerate(steps):
                row: JsonObject = {
                    "kind": "change",
                    "id": made(told.id, "change", number),
                    "memory_id": told.id,
                    "add_id": adds[_key(told.item.ids)],
                    "operation": operation,
                    "before": before,
                    "after": after,
                    "reason": f"imported from {self.source}",
                    "at": at.isoformat(),
                    "undoes": None,
                    "evidence": [],
                }
                yield told.item, row

    def _told(self) -> Iterator[_Told]:
        for number, item in enumerate(self.memories):
            yield _Told.of(memory_id(self.source, item), item, self.now + number * TICK)


@dataclass(frozen=True, slots=True)
class _Told:
    """A memory with all its times: each later than the one before."""

    id: str
    item: Remembered
    texts: tuple[str, ...]
    times: tuple[datetime, ...]
    ends: datetime | None

    @classmethod
    def of(cls, id: str, item: Remembered, now: datetime) -> _Told:  # noqa: A002 - as in the tables
        times: list[datetime] = []
        asked = [at for _, at in item.texts] + ([item.forgotten_at] if item.forgotten else [])
        for at in asked:
            least = times[-1] + TICK if times else None
            times.append(max(filter(None, (at, least)), default=now))
        ends = times.pop() if item.forgotten else None
        return cls(id, item, tuple(text for text, _ in item.texts), tuple(times), ends)

    def version(self, number: int) -> str:
        return made(self.id, "version", number)


@dataclass(slots=True)
class _Place:
    """The place of a scope's last message."""

    position: int = 0
    episode: int = 0
    session: str | None = None
    at: datetime | None = None

    def step(self, session: str, at: datetime) -> None:
        self.position += 1
        if self.at is None or self.session != session or abs(at - self.at) > PAUSE:
            self.episode += 1
        self.session, self.at = session, at


def dated(talk: Conversation, now: datetime) -> list[datetime]:
    """When each message was said; one without a time has that of the one before, or else of the next one."""
    first = next((said.at for said in talk.messages if said.at is not None), now)
    times: list[datetime] = []
    for said in talk.messages:
        times.append(said.at or (times[-1] if times else first))
    return times


def in_order(talks: Iterable[Conversation], now: datetime) -> list[Conversation]:
    """The conversations in the order of their beginnings."""
    return sorted(talks, key=lambda talk: dated(talk, now)[0])


def _scope(ids: Mapping[str, str]) -> JsonObject:
    return {name: ids.get(name) for name in IDS}


def _key(ids: Mapping[str, str]) -> str:
    return json.dumps(_scope(ids))


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
