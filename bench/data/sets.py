"""The sets that retrieval is measured on, in one shape: memories of one scope, and questions with their evidence.

LoCoMo (CC BY-NC 4.0) and BEAM (CC BY-SA 4.0) are no part of this project: their paths are arguments. The others
are its own and lie here: `chinese.json` (Chinese with an English twin, see `chinese_set.py`) and
`six_languages.json` (24 short facts and 20 paraphrased questions in each of six languages, written by hand for this
bench before anything was tuned; two limits were set in sight of them since: what a keyword score counts in full
from, and what is shown for a greeting). So does `chats.json`: two short chats made up for the
guard, one with an assistant's long answers, one between friends in dated sessions.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path

from bench.data import chinese_set, locomo

CHATS = Path(__file__).with_name("chats.json")
SIX_LANGUAGES = Path(__file__).with_name("six_languages.json")
PAIRS = {
    "Chinese": ("zh", "zh"),
    "English": ("en", "en"),
    "English questions, Chinese memories": ("zh", "en"),
}
SOMETIME = datetime(2026, 3, 4, 12, tzinfo=UTC)
# That unrelated facts are told in: which of them are neighbours is chance, and worth .015 of recall@5.
ORDERS = 3


@dataclass(frozen=True)
class Entry:
    """One memory. ids: what it is evidence of. said_at: the same for all of a session."""

    text: str
    ids: tuple[str, ...]
    role: str = "user"
    speaker: str | None = None
    session: int = 0
    said_at: datetime = SOMETIME


@dataclass(frozen=True)
class Asked:
    """evidence: ids. newest: of a fact that changed, the ids of what was said last."""

    question: str
    evidence: tuple[str, ...]
    kind: str
    newest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What one user has said, in order, and what is asked of it."""

    name: str
    entries: tuple[Entry, ...]
    questions: tuple[Asked, ...]


def together(scenes: Sequence[Scene]) -> Scene:
    """All of them one after the other, as one user with more to remember: the others' memories are in the way."""

    def own(at: int, ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{at}:{one}" for one in ids)

    return Scene(
        "together",
        tuple(
            replace(one, ids=own(at, one.ids), session=1_000 * at + one.session)
            for at, scene in enumerate(scenes)
            for one in scene.entries
        ),
        tuple(
            replace(one, evidence=own(at, one.evidence), newest=own(at, one.newest))
            for at, scene in enumerate(scenes)
            for one in scene.questions
        ),
    )


def covered(asked: Asked, entries: Sequence[Entry]) -> float:
    """The share of a question's evidence that some entries cover."""
    found = {one for entry in entries for one in entry.ids}
    return sum(one in found for one in asked.evidence) / len(asked.evidence)


def turns(path: Path) -> list[Scene]:
    return [_of_locomo(conversation, "turns") for conversation in locomo.load(path)]


def observations(path: Path) -> list[Scene]:
    return [_of_locomo(conversation, "observations") for conversation in locomo.load(path)]


def beam(path: Path) -> list[Scene]:
    """Each message one memory, in order, in one session."""
    with gzip.open(path) as file:
        chats = json.load(file)
    return [
        Scene(
            str(chat["chat"]),
            tuple(Entry(one["content"], (str(one["id"]),), one["role"]) for one in chat["messages"]),
            tuple(
                Asked(
                    one["question"],
                    tuple(map(str, one["evidence"])),
                    one["ability"],
                    tuple(map(str, one["newest"])),
                )
                for one in chat["questions"]
                if one["evidence"]
            ),
        )
        for chat in chats
    ]


def chats() -> list[Scene]:
    return [
        Scene(
            chat["name"],
            tuple(_said(at, message) for at, message in enumerate(chat["messages"])),
            tuple(
                Asked(
                    one["question"],
                    tuple(map(str, one["evidence"])),
                    chat["name"],
                    tuple(map(str, one["newest"])),
                )
                for one in chat["questions"]
            ),
        )
        for chat in json.loads(CHATS.read_text(encoding="utf-8"))
    ]


def _said(at: int, message: dict[str, str]) -> Entry:
    day = date.fromisoformat(message["date"]) if "date" in message else SOMETIME.date()
    return Entry(
        message["text"],
        (str(at),),
        message["role"],
        message.get("speaker"),
        day.toordinal(),
        datetime.combine(day, time(12), UTC),
    )


def chinese() -> list[Scene]:
    data = json.loads(chinese_set.FILE.read_text(encoding="utf-8"))
    return [
        Scene(
            name,
            _shuffled([memory[of] for memory in data["memories"]], order),
            tuple(Asked(one[by], tuple(map(str, one["evidence"])), name) for one in data["questions"]),
        )
        for name, (of, by) in PAIRS.items()
        for order in range(ORDERS)
    ]


def six_languages() -> list[Scene]:
    data = json.loads(SIX_LANGUAGES.read_text(encoding="utf-8"))
    return [
        Scene(
            language,
            _shuffled(part["memories"], order),
            tuple(
                Asked(one["question"], tuple(map(str, one["evidence"])), language)
                for one in part["questions"]
            ),
        )
        for language, part in data.items()
        for order in range(ORDERS)
    ]


def _shuffled(texts: Sequence[str], order: int) -> tuple[Entry, ...]:
    """In one of the orders in which neighbours mean nothing."""
    told = list(range(len(texts)))
    random.Random(order).shuffle(told)
    return tuple(Entry(texts[at], (str(at),)) for at in told)


def _of_locomo(conversation: locomo.Conversation, kind: locomo.Kind) -> Scene:
    entries = sorted(conversation.entries(kind), key=lambda entry: entry.session)
    return Scene(
        conversation.name,
        tuple(
            Entry(
                one.text,
                one.ids,
                speaker=one.speaker if kind == "turns" else None,
                session=one.session,
                said_at=one.said_at,
            )
            for one in entries
        ),
        tuple(
            Asked(one.question, one.evidence, locomo.CATEGORIES[one.category])
            for one in conversation.answerable
        ),
    )
