"""How pure code asks a language model without calling it: a question, and how its reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..ports import Prompt, Schema


class Unreadable(Exception):
    """A reply that does not say what was asked. The message tells the model what to do better."""


@dataclass(frozen=True, slots=True)
class Question:
    """messages: what is asked; what never changes comes first, so that providers can cache it.
    schema: the form of the reply.
    read: the parsed JSON object -> the answer; raises `Unreadable`.
    weigh: the answer and how likely the model found each value of `schema.choice` -> the answer; for models that
        report it and questions that can use it.
    """

    messages: tuple[Prompt, ...]
    schema: Schema
    read: Callable[[Mapping[str, Any]], Any]
    weigh: Callable[[Any, Mapping[str, float]], Any] | None = None
