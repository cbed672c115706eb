"""Deterministic stand-ins for what lies outside: a model that follows a script, an embedder of words, a clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.decisions.merging import Decision, Decisions, NewFact
from holdfast.decisions.question import Question
from holdfast.decisions.text.lexical import terms
from holdfast.ports import Completion, Prompt, Schema
from holdfast.types import Usage

Matrix = npt.NDArray[np.float32]


class HashEmbedder:
    """A text's vector is the sum of its terms' random directions: shared words make texts near, nothing else."""

    def __init__(self, dimensions: int = 64, name: str = "test/hash") -> None:
        self.name = name
        self.dimensions = dimensions

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Matrix:
        total = np.zeros(self.dimensions, np.float32)
        for term in terms(text) or [text]:
            seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        unit: Matrix = total / np.linalg.norm(total)
        return unit

    async def aembed_documents(self, texts: Sequence[str]) -> Matrix:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> Matrix:
        return self.embed_query(text)


Reply = Mapping[str, Any] | str | Exception | Callable[[Sequence[Prompt]], Any]


class ScriptedModel:
    """Gives its replies in order; an exception among them is raised. Keeps the prompts it was shown."""

    name = "test/scripted"

    def __init__(self, replies: Iterable[Reply] = ()) -> None:
        self.replies = list(replies)
        self.prompts: list[tuple[Prompt, ...]] = []

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        self.prompts.append(tuple(messages))
        reply = self.replies.pop(0)
        if callable(reply):
            reply = reply(messages)
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, Usage(calls=1, input_tokens=100, output_tokens=10))

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)

    def shown(self) -> str:
        """Everything that it was ever shown."""
        return "\n".join(prompt.content for prompts in self.prompts for prompt in prompts)


def facts(*texts: str | tuple[int, str], speaker: str = "User") -> dict[str, Any]:
    """An extraction reply: facts of the first message, or of the numbered ones."""
    pairs = [(1, item) if isinstance(item, str) else item for item in texts]
    return {"facts": [{"message": number, "speaker": speaker, "fact": text} for number, text in pairs]}


Decide = Callable[[NewFact], tuple[Decision, ...]]


class ScriptedMerger:
    """A merge strategy that decides by a function and asks nothing."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide

    def ask(self, new: Sequence[NewFact], answers: Sequence[Any] = ()) -> Sequence[Question]:
        return ()

    def decide(self, new: Sequence[NewFact], answers: Sequence[Any]) -> Decisions:
        return tuple(self._decide(fact) for fact in new)


def updating_nearest(fact: NewFact) -> tuple[Decision, ...]:
    """The nearest memory is replaced; without one the fact is added."""
    if not fact.neighbours:
        return (Decision("ADD", fact.text, None, "new"),)
    return (Decision("UPDATE", fact.text, fact.neighbours[0].memory, "replaces"),)


class Ticking:
    """A clock that starts on a Wednesday and gains a second each time it is read."""

    def __init__(self, start: datetime = datetime(2026, 3, 4, 12, tzinfo=UTC)) -> None:
        self.at = start

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at
