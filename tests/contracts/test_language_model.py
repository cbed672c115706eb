"""What any language model has to do, in both faces. The implementations are listed in `implementations.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import Completion, LanguageModel, Memory, ModelError, Prompt, Schema
from holdfast.decisions.extraction.prompts import schema as extraction_schema
from holdfast.decisions.reply import read_object
from tests.contracts.implementations import MODELS, Answers, Place

ANSWER = Schema(
    "answer",
    "An answer.",
    {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
)
FORMS = {
    "plain": ANSWER,
    "bounded": Schema(ANSWER.name, ANSWER.description, ANSWER.json, max_tokens=50),
    "a choice": Schema(
        "answer",
        "An answer.",
        {**ANSWER.json, "properties": {"word": {"type": "string", "enum": ["hello", "goodbye"]}}},
        choice="word",
    ),
    "the engine's own": extraction_schema(),
}
ASKED = (
    Prompt("system", "Be brief."),
    Prompt("user", "one"),
    Prompt("assistant", "two"),
    Prompt("user", "three"),
)
FACT = {"facts": [{"message": 1, "speaker": "user", "fact": "Lives in Lisbon", "when": ""}]}

Made = Callable[[Answers], LanguageModel]
Complete = Callable[..., Completion]


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def made(request: pytest.FixtureRequest, place: Place) -> Made:
    """A language model whose provider answers as it is told to."""
    return lambda answers: request.param(place, answers)


@pytest.fixture(params=["sync", "async"])
def complete(request: pytest.FixtureRequest) -> Complete:
    """`complete` of a model, or its awaited twin."""

    def called(model: LanguageModel, *args: Any, **options: Any) -> Completion:
        if request.param == "sync":
            return model.complete(*args, **options)
        return asyncio.run(_awaited(model, *args, **options))

    return called


async def _awaited(model: LanguageModel, *args: Any, **options: Any) -> Completion:
    completion = await model.acomplete(*args, **options)
    if closing := getattr(model, "aclose", None):
        await closing()
    return completion


def test_it_has_a_name(made: Made) -> None:
    model = made(lambda _: "hello")
    assert isinstance(model, LanguageModel)
    assert isinstance(model.name, str)
    assert model.name.strip()


def test_without_a_form_the_reply_is_its_text(made: Made, complete: Complete) -> None:
    said = "你好, hello 🎾\nand {no: object}"
    reply = complete(made(lambda shown: f"{said} {shown}"), ASKED)
    assert reply.content == f"{said} three"
    assert reply.usage.calls == 1


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_with_a_form_the_reply_is_an_object_or_the_text_of_one(
    made: Made, complete: Complete, form: Schema
) -> None:
    said = {"word": "hello", "更多": ["你好", 1, None]}
    reply = complete(made(lambda _: json.dumps(said, ensure_ascii=False)), ASKED, schema=form)
    assert isinstance(reply.content, (str, Mapping))
    assert read_object(reply.content) == said
    assert set(reply.likelihoods) <= {"hello", "goodbye"}
    assert all(0 <= likely <= 1 for likely in reply.likelihoods.values())


def test_what_breaks_its_form_comes_as_it_was_said(made: Made, complete: Complete) -> None:
    """To read it, to ask once more, to say what is wrong with it: all that is the engine's."""
    assert (
        complete(made(lambda _: "I would rather not."), ASKED, schema=ANSWER).content == "I would rather not."
    )


def test_several_requests_at_once_get_their_own_replies(made: Made) -> None:
    model = made(lambda shown: f"to {shown[:8]}")
    asked = [(Prompt("user", f"number {at}"),) for at in range(8)]
    expected = [f"to number {at}" for at in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert [reply.content for reply in pool.map(model.complete, asked)] == expected

    async def together() -> list[Completion]:
        replies = await asyncio.gather(*(model.acomplete(one) for one in asked))
        if closing := getattr(model, "aclose", None):
            await closing()
        return replies

    assert [reply.content for reply in asyncio.run(together())] == expected


def test_a_provider_that_fails_is_an_error_and_loses_nothing(made: Made) -> None:
    def fails(_: str) -> str:
        raise OSError("the provider is on fire")

    with Memory(":memory:", llm=made(fails), model_size="large") as memory:
        with pytest.raises(ModelError, match="on fire"):
            memory.add("I live in Lisbon.", user_id="alice")
        assert [said.message.content for said in memory.messages(user_id="alice")] == ["I live in Lisbon."]


def test_the_engine_remembers_with_it(made: Made) -> None:
    with Memory(":memory:", llm=made(lambda _: json.dumps(FACT)), model_size="large") as memory:
        result = memory.add("I live in Lisbon.", user_id="alice")
        assert [change.after for change in result] == ["Lives in Lisbon"]
