"""LoCoMo (Maharana et al., 2024, "Evaluating Very Long-Term Conversational Memory of LLM Agents") as entries
and questions. The data (CC BY-NC 4.0) is no part of this project: every bench takes its path as an argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["turns", "observations"]
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}
ADVERSARIAL = 5

_DIALOGUE_ID = re.compile(r"D\d+:\d+")


@dataclass(frozen=True)
class Entry:
    """A turn or an observation. ids: the turns it covers. text: what was embedded, without the speaker."""

    ids: tuple[str, ...]
    speaker: str
    text: str
    session: int
    said_at: datetime

    @property
    def spoken(self) -> str:
        return f"{self.speaker}: {self.text}"


@dataclass(frozen=True)
class Asked:
    """evidence: dialogue ids of the turns that answer it. answer: "" for adversarial questions."""

    question: str
    answer: str
    evidence: tuple[str, ...]
    category: int


@dataclass(frozen=True)
class Conversation:
    name: str
    speakers: tuple[str, str]
    turns: tuple[Entry, ...]
    observations: tuple[Entry, ...]
    questions: tuple[Asked, ...]

    def entries(self, kind: Kind) -> tuple[Entry, ...]:
        return self.turns if kind == "turns" else self.observations

    @property
    def answerable(self) -> tuple[Asked, ...]:
        """The questions that retrieval is measured on: categories 1 to 4, with evidence."""
        return tuple(asked for asked in self.questions if asked.category != ADVERSARIAL and asked.evidence)


def load(path: str | Path) -> list[Conversation]:
    return [_conversation(sample) for sample in json.loads(Path(path).read_text(encoding="utf-8"))]


def covered(asked: Asked, entries: Sequence[Entry]) -> float:
    """The share of a question's evidence that some entries cover."""
    found = {turn for entry in entries for turn in entry.ids}
    return sum(turn in found for turn in asked.evidence) / len(asked.evidence)


class StoredVectors:
    """An embedder that looks its vectors up: MiniLM's for every text of LoCoMo. What it does not know it
    refuses, so that no figure rests on a made-up vector."""

    name = "all-MiniLM-L6-v2 (stored)"

    def __init__(self, path: str | Path) -> None:
        stored = np.load(path)
        self._rows = {str(text): row for row, text in enumerate(stored["texts"])}
        self._vectors = stored["vectors"].astype(np.float32)
        self.dimensions = int(self._vectors.shape[1])

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        unknown = [text for text in texts if text not in self._rows]
        if unknown:
            raise KeyError(f"no stored vector for {unknown[0]!r}")
        return np.asarray(self._vectors[[self._rows[text] for text in texts]], dtype=np.float32)

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        return np.asarray(self.embed_documents([text])[0], dtype=np.float32)

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        return self.embed_query(text)


# --- reading ----------------------------------------------------------------------------------------------


def _conversation(sample: dict[str, Any]) -> Conversation:
    dialogue = sample["conversation"]
    numbers = sorted(int(key[8:]) for key in dialogue if re.fullmatch(r"session_\d+", key) and dialogue[key])
    turns = [entry for number in numbers for entry in _turns(dialogue, number)]
    observations = [entry for number in numbers for entry in _observations(sample, number)]
    return Conversation(
        name=sample["sample_id"],
        speakers=(dialogue["speaker_a"], dialogue["speaker_b"]),
        turns=tuple(turns),
        observations=tuple(observations),
        questions=tuple(_asked(question) for question in sample["qa"]),
    )


def _turns(dialogue: dict[str, Any], number: int) -> list[Entry]:
    said_at = _time(dialogue[f"session_{number}_date_time"])
    return [
        Entry((turn["dia_id"],), turn["speaker"], _with_caption(turn), number, said_at)
        for turn in dialogue[f"session_{number}"]
    ]


def _with_caption(turn: dict[str, Any]) -> str:
    caption = turn.get("blip_caption")
    return f"{turn['text']} [shares a photo: {caption}]" if caption else str(turn["text"])


def _observations(sample: dict[str, Any], number: int) -> list[Entry]:
    said_at = _time(sample["conversation"][f"session_{number}_date_time"])
    by_speaker = sample["observation"].get(f"session_{number}_observation") or {}
    return [
        Entry(tuple(_DIALOGUE_ID.findall(str(evidence))), speaker, text, number, said_at)
        for speaker, facts in by_speaker.items()
        for text, evidence in facts
    ]


def _asked(question: dict[str, Any]) -> Asked:
    turns = re.split(r"[;\s]+", " ".join(question["evidence"]))
    evidence = tuple(dict.fromkeys(turn for turn in turns if turn))
    return Asked(question["question"], str(question.get("answer", "")), evidence, question["category"])


def _time(text: str) -> datetime:
    """ "1:56 pm on 8 May, 2023", which carries no zone: UTC."""
    return datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
