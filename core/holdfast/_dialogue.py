"""How pure code talks to a language model without calling it.

A dialogue is a generator. It yields batches of questions, is sent the batch of answers (a `ModelReplyError`
in the place of an answer that could not be read, even when asked once more), and returns its result. The
engine carries the questions to the model; the dialogue never does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from .ports import Prompt, Schema

T = TypeVar("T")


class Unreadable(Exception):
    """A reply that does not say what was asked. The message tells the model what to do better."""


@dataclass(frozen=True, slots=True)
class Question:
    """messages: what is asked; what never changes comes first, so that providers can cache it.
    schema: the form of the reply.
    read: the parsed JSON object -> the answer; raises `Unreadable`.
    weigh: the answer and how likely the model found each value of `schema.choice` -> the answer; for models that
        tell, and for questions that can use it.
    """

    messages: tuple[Prompt, ...]
    schema: Schema
    read: Callable[[Mapping[str, Any]], Any]
    weigh: Callable[[Any, Mapping[str, float]], Any] | None = None


Dialogue: TypeAlias = Generator[Sequence[Question], Sequence[Any], T]
