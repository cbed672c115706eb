"""Carrying questions to the language model, and its answers back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..decisions.question import Question, Unreadable
from ..decisions.reply import read_object
from ..errors import HoldfastError, ModelError, ModelReplyError
from ..io import IO
from ..ports import Completion, LanguageModel, Prompt
from ..types import Usage

_QUOTED = 2_000  # characters of an unreadable reply that the model is shown again
_SHOWN = 500  # characters of an unreadable reply that an error quotes


class Asking:
    """One piece of work's conversation with a model. `usage` adds up what it cost."""

    def __init__(self, io: IO, model: LanguageModel) -> None:
        self._io = io
        self._model = model
        self._spent: list[Usage] = []  # appended to from several threads

    @property
    def usage(self) -> Usage:
        return sum(self._spent, Usage())

    async def answers(self, questions: Sequence[Question]) -> list[Any]:
        """One answer per question; a ModelReplyError for each that cannot be read even when asked once more.
        Raises ModelError if the model fails."""
        return await self._io.map(self._answer, questions)

    async def needed(self, questions: Sequence[Question]) -> list[Any]:
        """As `answers`, for questions whose answers are indispensable. Raises ModelReplyError too."""
        answers = await self.answers(questions)
        for answer in answers:
            if isinstance(answer, ModelReplyError):
                raise answer
        return answers

    async def _answer(self, question: Question) -> Any:
        """The answer; when it cannot be read even when asked once more, the error in its place."""
        reply = await self._complete(question)
        try:
            return _read(question, reply)
        except Unreadable as error:
            repeated = await self._complete(_asked_again(question, reply, str(error)))
        try:
            return _read(question, repeated)
        except Unreadable as error:
            text = _text(repeated)
            return ModelReplyError(
                f"the model {self._model.name!r} gave an unreadable reply twice ({error}): {text[:_SHOWN]!r}; "
                "a model that supports JSON schemas or tools does better",
                reply=text,
            )

    async def _complete(self, question: Question) -> Completion:
        model = self._model
        try:
            reply = await self._io.call(
                model.complete, model.acomplete, question.messages, schema=question.schema
            )
        except HoldfastError:
            raise
        except Exception as error:
            raise ModelError(f"the model {model.name!r} failed: {type(error).__name__}: {error}") from error
        if not isinstance(reply, Completion):
            raise ModelError(f"the model {model.name!r} returned {type(reply).__name__}, not a Completion")
        if not isinstance(reply.content, (str, Mapping)):
            raise ModelError(
                f"the model {model.name!r} returned {type(reply.content).__name__} as its content, "
                "neither a text nor an object"
            )
        self._spent.append(reply.usage)
        return reply


def _read(question: Question, reply: Completion) -> Any:
    answer = question.read(read_object(reply.content))
    return question.weigh(answer, reply.likelihoods) if question.weigh and reply.likelihoods else answer


def _asked_again(question: Question, reply: Completion, error: str) -> Question:
    """The same question with the unreadable reply and what is wrong with it."""
    correction = f"That reply cannot be used: {error}. Answer again, with the JSON object only."
    further = (Prompt("assistant", _text(reply)[:_QUOTED]), Prompt("user", correction))
    return replace(question, messages=(*question.messages, *further))


def _text(reply: Completion) -> str:
    if isinstance(reply.content, Mapping):
        import json

        return json.dumps(reply.content, ensure_ascii=False, default=str)
    return str(reply.content)
