"""A memory at work: two people, several days, two languages. `python -m holdfast.demo` tells it.

The conversation and a model's replies to it are data of this package; the notebooks use them too.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files

from .recorded import RecordedModel

__all__ = ["Person", "RecordedModel", "Session", "Story", "StoryClock", "story"]


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation: whose, when, and what was said, as role and content."""

    user_id: str
    at: datetime
    messages: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Person:
    """What is asked about one person when the days are over.

    prompt: what an agent is about to answer. earlier: a question, and the instant as of which it is asked.
    """

    user_id: str
    questions: tuple[str, ...]
    prompt: str
    earlier: tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Story:
    """sessions: in the order in which they took place."""

    sessions: tuple[Session, ...]
    people: tuple[Person, ...]


class StoryClock:
    """The `now` of a `Memory` that lives through the story: runs on from wherever it was set last."""

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def set(self, at: datetime) -> None:
        self._at, self._since = at, time.monotonic()

    def __call__(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since)


def story() -> Story:
    """The conversation that ships with the package."""
    data = json.loads((files(__package__) / "conversation.json").read_text(encoding="utf-8"))
    return Story(
        sessions=tuple(
            Session(each["user_id"], datetime.fromisoformat(each["at"]), tuple(each["messages"]))
            for each in data["sessions"]
        ),
        people=tuple(
            Person(
                each["user_id"],
                tuple(each["questions"]),
                each["prompt"],
                (each["earlier"]["question"], datetime.fromisoformat(each["earlier"]["at"])),
            )
            for each in data["people"]
        ),
    )
