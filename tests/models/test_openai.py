"""The OpenAI-compatible model and embedder, against a server on this machine that plays the endpoint."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast.errors import EmbeddingError, InputError, ModelError, ModelRefusedError
from holdfast.models import (
    FastEmbedEmbedder,
    OpenAIEmbedder,
    OpenAIModel,
    default_embedder,
    default_model,
    defaults,
)
from holdfast.models.defaults import FROM_ENVIRONMENT, model_of
from holdfast.ports import Completion, Embedder, LanguageModel, Prompt, Schema
from holdfast.types import Usage
from tests.support.endpoint import RELATION, Answer, Endpoint, chat, refused, spoken

KEY = "sk-very-secret-key"
FACTS = Schema(
    "facts",
    "The facts in the conversation.",
    {
        "type": "object",
        "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
        "required": ["facts"],
        "additionalProperties": False,
    },
)
ASK = [Prompt("system", "Extract facts."), Prompt("user", "我喜欢打网球")]
OBJECT = {"facts": ["喜欢打网球"]}


@pytest.fixture
def endpoint(endpoint: Endpoint) -> Endpoint:
    endpoint.answer = lambda body: chat(json.dumps(OBJECT))
    return endpoint


def tool_call(arguments: str) -> Answer:
    call = {"id": "c", "type": "function", "function": {"name": "facts", "arguments": arguments}}
    return chat(None, finish="tool_calls", tool_calls=[call])


Complete = Callable[..., Completion]


@pytest.fixture(params=["sync", "async"])
def complete(request: pytest.FixtureRequest) -> Complete:
    """`complete` in both faces, with connections closed."""

    def sync_face(model: OpenAIModel, *args: Any, **kwargs: Any) -> Completion:
        try:
            return model.complete(*args, **kwargs)
        finally:
            model.close()

    def async_face(model: OpenAIModel, *args: Any, **kwargs: Any) -> Completion:
        async def go() -> Completion:
            try:
                return await model.acomplete(*args, **kwargs)
            finally:
                await model.aclose()

        return asyncio.run(go())

    return sync_face if request.param == "sync" else async_face


def small(endpoint: Endpoint, **options: Any) -> OpenAIModel:
    return OpenAIModel("small", base_url=endpoint.url, api_key=KEY, max_retries=0, **options)


# -- replies -----------------------------------------------------------------------------------------------


def test_a_reply_comes_back_parsed_with_its_usage(endpoint: Endpoint, complete: Complete) -> None:
    model = small(endpoint)
    assert isinstance(model, LanguageModel)
    assert complete(model, ASK, schema=FACTS) == Completion(OBJECT, Usage(1, 30, 7))
    [body] = endpoint.bodies
    assert body["model"] == "small"
    assert body["temperature"] == 0
    assert body["max_tokens"] == 4096
    assert body["messages"][1] == {"role": "user", "content": "我喜欢打网球"}
    assert body["response_format"]["json_schema"]["schema"] == FACTS.json
    assert body["response_format"]["json_schema"]["strict"] is True
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"


def test_without_a_schema_a_reply_is_text(endpoint: Endpoint, complete: Complete) -> None:
    assert complete(small(endpoint), ASK).content == json.dumps(OBJECT)
    assert endpoint.structures == ["text"]


def test_prose_and_half_replies_come_back_as_text(endpoint: Endpoint, complete: Complete) -> None:
    endpoint.answer = lambda body: chat('{"facts": ["a", "b', finish="length")
    assert complete(small(endpoint), ASK, schema=FACTS).content == '{"facts": ["a", "b'


def test_a_missing_usage_counts_as_one_call(endpoint: Endpoint, complete: Complete) -> None:
    status, reply = chat("{}")
    del reply["usage"]
    endpoint.answer = lambda body: (status, reply)
    assert complete(small(endpoint), ASK).usage == Usage(1, 0, 0)


def test_one_model_serves_several_event_loops(endpoint: Endpoint) -> None:
    model = small(endpoint)

    async def ask() -> Completion:
        try:
            return await model.acomplete(ASK, schema=FACTS)
        finally:
            await model.aclose()

    assert asyncio.run(ask()) == asyncio.run(ask())


# -- the ladder --------------------------------------------------------------------------------------------


def accepting(*structures: str) -> Callable[[dict[str, Any]], Answer]:
    """An endpoint that knows only these ways to ask for structure."""

    def answer(body: dict[str, Any]) -> Answer:
        if "tools" in body:
            return (
                tool_call(json.dumps(OBJECT)) if "tool" in structures else refused("tools are not supported")
            )
        kind = body["response_format"]["type"] if "response_format" in body else "text"
        if kind in structures:
            return chat(json.dumps(OBJECT))
        return refused(f"response_format type {kind!r} is not available", 422)

    return answer


@pytest.mark.parametrize(
    ("accepted", "tried"),
    [
        ("json_schema", ["json_schema"]),
        ("tool", ["json_schema", "tool"]),
        ("json_object", ["json_schema", "tool", "json_object"]),
        ("text", ["json_schema", "tool", "json_object", "text"]),
    ],
)
def test_the_structure_that_the_endpoint_accepts_is_found_and_remembered(
    endpoint: Endpoint, complete: Complete, accepted: str, tried: list[str]
) -> None:
    endpoint.answer = accepting(accepted)
    model = small(endpoint)
    assert complete(model, ASK, schema=FACTS).content == OBJECT
    assert complete(model, ASK, schema=FACTS).content == OBJECT
    assert endpoint.structures == [*tried, tried[-1]]
    system = endpoint.bodies[-1]["messages"][0]["content"]
    assert system.startswith("Extract facts.")
    assert ("JSON Schema" in system) == (accepted in {"json_object", "text"})


def test_a_chosen_structure_is_not_given_up(endpoint: Endpoint, complete: Complete) -> None:
    endpoint.answer = accepting("text")
    with pytest.raises(ModelError, match="tools are not supported"):
        complete(small(endpoint, structured="tool"), ASK, schema=FACTS)
    assert endpoint.structures == ["tool"]


def test_an_endpoint_that_refuses_every_structure_raises_in_the_end(
    endpoint: Endpoint, complete: Complete
) -> None:
    endpoint.answer = lambda body: refused("bad schema, temperature, max_tokens")
    with pytest.raises(ModelError, match="bad schema"):
        complete(small(endpoint), ASK, schema=FACTS)
    assert endpoint.structures[-1] == "text"


def test_nothing_is_learned_from_a_request_that_failed_in_every_way(
    endpoint: Endpoint, complete: Complete
) -> None:
    answers = endpoint.answer
    endpoint.answer = lambda body: refused("this function is down, as is every tool and schema", 500)
    model = small(endpoint)
    with pytest.raises(ModelError, match="is down"):
        complete(model, ASK, schema=FACTS)
    endpoint.answer = answers
    assert complete(model, ASK, schema=FACTS).content == OBJECT
    assert endpoint.structures == ["json_schema", "tool", "json_object", "text", "json_schema"]


@pytest.mark.parametrize("parameter", ["temperature", "max_tokens"])
def test_a_parameter_that_the_model_refuses_is_left_out_from_then_on(
    endpoint: Endpoint, complete: Complete, parameter: str
) -> None:
    says = {
        "temperature": "Unsupported value: 'temperature' does not support 0 with this model.",
        "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    }
    endpoint.answer = lambda body: refused(says[parameter]) if parameter in body else chat("{}")
    model = small(endpoint)
    complete(model, ASK)
    complete(model, ASK)
    assert [parameter in body for body in endpoint.bodies] == [True, False, False]


BEGINS: list[tuple[str, dict[str, float]]] = [('{"', {}), ("relation", {}), ('":', {})]


@pytest.mark.parametrize(
    ("tokens", "likely"),
    [
        (
            [*BEGINS, (' "', {}), ("same", {"same": 0.6, "add": 0.2, "ch": 0.2, "other": 0.1}), ('"}', {})],
            {"same": 0.6, "adds": 0.2, "changes": 0.2},
        ),
        (
            [*BEGINS, (' "ad', {' "ad': 0.5, ' "same': 0.5, "ad": 0.4}), ('ds"}', {})],
            {"same": 0.5, "adds": 0.5},
        ),
        ([("I", {}), (" refuse", {})], {}),
        ([*BEGINS, (' "', {}), ("same", {"none": 1.0})], {}),
        ([], {}),
    ],
)
def test_how_likely_each_value_of_a_choice_was_comes_with_the_reply(
    endpoint: Endpoint,
    complete: Complete,
    tokens: list[tuple[str, dict[str, float]]],
    likely: dict[str, float],
) -> None:
    endpoint.answer = lambda body: chat('{"relation": "same"}', logprobs=spoken(*tokens))
    completion = complete(small(endpoint), ASK, schema=RELATION)
    assert completion.content == {"relation": "same"}
    assert {k: v for k, v in completion.likelihoods.items() if v} == pytest.approx(likely)
    assert endpoint.bodies[-1]["logprobs"] is True


BRIEF = replace(RELATION, max_tokens=64)


def test_a_reply_is_cut_off_where_its_form_cannot_be_longer(endpoint: Endpoint, complete: Complete) -> None:
    endless = '{"relation": "' + "same " * 60
    endpoint.answer = lambda body: chat(endless, finish="length")
    assert complete(small(endpoint), ASK, schema=BRIEF).content == endless
    complete(small(endpoint, max_tokens=16), ASK, schema=BRIEF)
    complete(small(endpoint, max_tokens=None), ASK, schema=BRIEF)
    assert [body.get("max_tokens") for body in endpoint.bodies] == [64, 16, None]


def test_a_model_that_thinks_first_is_given_room_from_then_on(endpoint: Endpoint, complete: Complete) -> None:
    endpoint.answer = lambda body: (
        chat("", finish="length", reasoning_content="Let me see ...")
        if body["max_tokens"] == 64
        else chat('{"relation": "same"}', reasoning_content="Let me see ...")
    )
    model = small(endpoint)
    for _ in range(2):
        assert complete(model, ASK, schema=BRIEF).content == {"relation": "same"}
    assert [body["max_tokens"] for body in endpoint.bodies] == [64, 4096, 4096]


def test_nobody_is_asked_how_likely_where_there_is_no_choice(endpoint: Endpoint, complete: Complete) -> None:
    assert complete(small(endpoint), ASK, schema=FACTS).likelihoods == {}
    assert "logprobs" not in endpoint.bodies[-1]


@pytest.mark.parametrize("status", [400, 403])
def test_an_endpoint_that_does_not_tell_how_likely_answers_all_the_same(
    endpoint: Endpoint, complete: Complete, status: int
) -> None:
    says = refused("You are not allowed to request logprobs from this model", status)
    endpoint.answer = lambda body: says if "logprobs" in body else chat('{"relation": "adds"}')
    model = small(endpoint)
    for _ in range(2):
        assert complete(model, ASK, schema=RELATION).content == {"relation": "adds"}
    assert ["logprobs" in body for body in endpoint.bodies] == [True, False, False]
    assert set(endpoint.structures) == {"json_schema"}


def test_requests_side_by_side_step_down_once(endpoint: Endpoint) -> None:
    endpoint.answer = accepting("tool")
    model = small(endpoint)

    async def both() -> None:
        await asyncio.gather(*(model.acomplete(ASK, schema=FACTS) for _ in range(4)))
        await model.aclose()

    asyncio.run(both())
    assert set(endpoint.structures) == {"json_schema", "tool"}


# -- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (refused(f"Incorrect API key provided: {KEY}", 401), ModelError, "refused the API key"),
        (refused("no", 403), ModelError, "refused the API key"),
        (refused("quota", 429), ModelError, "rate limit or quota"),
        (refused("The model does not exist", 404), ModelError, "OPENAI_MODEL"),
        (refused("overloaded", 503), ModelError, r"failed \(503\)"),
        (refused("This model's context length is 100"), ModelError, "context length"),
        (refused(f"echo {KEY}"), ModelError, r"echo \*\*\*"),
        (refused("flagged", code="content_filter"), ModelRefusedError, "declined"),
        (chat(None, refusal="I will not."), ModelRefusedError, "I will not"),
        (chat("", finish="content_filter"), ModelRefusedError, "content filter"),
        (chat("", finish="length"), ModelError, "max_tokens=4096"),
        ((200, {"error": "upstream gone"}), ModelError, "upstream gone"),
    ],
)
def test_each_failure_is_one_clear_error_without_the_key(
    endpoint: Endpoint, complete: Complete, answer: Answer, error: type[ModelError], says: str
) -> None:
    endpoint.answer = lambda body: answer
    with pytest.raises(error, match=says) as caught:
        complete(small(endpoint), ASK)
    assert type(caught.value) is error
    shown = "".join(traceback.format_exception(caught.value))
    assert f"small at {endpoint.url}" in shown
    assert KEY not in shown


def test_a_server_that_is_not_there_is_named(complete: Complete) -> None:
    model = OpenAIModel(
        "small", base_url="http://user:password@127.0.0.1:9/v1?a=b", api_key=KEY, max_retries=0
    )
    with pytest.raises(ModelError, match=r"Cannot reach small at http://127.0.0.1:9/v1:.*OPENAI_BASE_URL"):
        complete(model, ASK)
    assert "password" not in repr(model)


def test_a_slow_server_is_given_up(endpoint: Endpoint, complete: Complete) -> None:
    hold = threading.Event()

    def slow(body: dict[str, Any]) -> Answer:
        hold.wait(10)
        return chat("{}")

    endpoint.answer = slow
    try:
        with pytest.raises(ModelError, match=r"within 0\.1 s"):
            complete(small(endpoint, timeout=0.1), ASK)
    finally:
        hold.set()


def test_openai_without_a_key_says_where_to_put_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        OpenAIModel("gpt-4o-mini")
    assert OpenAIModel("small", base_url="http://localhost:11434/v1").name == "small"


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"holdfast\[openai\]"):
        OpenAIModel("small", api_key=KEY)
    with pytest.raises(InputError, match=r"holdfast\[openai\]"):
        OpenAIEmbedder("small", api_key=KEY)


@pytest.mark.parametrize("bad", [{"model": ""}, {"model": "m", "structured": "yaml"}])
def test_bad_settings_are_refused_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        OpenAIModel(**bad, api_key=KEY)


# -- the environment ---------------------------------------------------------------------------------------


def test_the_default_model_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert default_model() is None
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:11434/v1")
    monkeypatch.setenv("OPENAI_MODEL", "qwen3")
    assert repr(default_model()) == "OpenAIModel('qwen3', base_url='http://localhost:11434/v1')"
    monkeypatch.delenv("OPENAI_MODEL")
    model = default_model()
    assert model is not None
    assert model.name == defaults.MODEL


def test_a_key_without_the_package_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setitem(sys.modules, "openai", None)
    defaults._say_once.cache_clear()
    caplog.set_level(logging.WARNING, logger="holdfast")
    assert default_model() is None
    assert model_of(FROM_ENVIRONMENT) is None
    assert model_of(FROM_ENVIRONMENT) is None
    assert caplog.text.count("holdfast[openai]") == 1
    assert KEY not in caplog.text


def test_the_default_embedder_is_the_bundled_one() -> None:
    assert default_embedder().name == "universal-sentence-encoder-multilingual/3"


# -- embeddings --------------------------------------------------------------------------------------------


def vectors(size: int = 4, *, shuffled: bool = True) -> Callable[[dict[str, Any]], Answer]:
    """Each text's vector begins with its length; rows come in the wrong order."""

    def answer(body: dict[str, Any]) -> Answer:
        rows = [
            {"object": "embedding", "index": index, "embedding": [float(len(text))] + [1.0] * (size - 1)}
            for index, text in enumerate(body["input"])
        ]
        data = rows[::-1] if shuffled else rows
        return 200, {
            "object": "list",
            "model": "m",
            "data": data,
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }

    return answer


Embed = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Embed:
    def sync_face(embedder: OpenAIEmbedder, texts: list[str]) -> Any:
        try:
            return embedder.embed_documents(texts)
        finally:
            embedder.close()

    def async_face(embedder: OpenAIEmbedder, texts: list[str]) -> Any:
        async def go() -> Any:
            try:
                return await embedder.aembed_documents(texts)
            finally:
                await embedder.aclose()

        return asyncio.run(go())

    return sync_face if request.param == "sync" else async_face


def embedder_at(endpoint: Endpoint, model: str = "nomic", **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(model, base_url=endpoint.url, api_key=KEY, max_retries=0, **options)


def test_texts_are_embedded_in_batches_and_in_order(endpoint: Endpoint, embed: Embed) -> None:
    endpoint.answer = vectors()
    embedder = embedder_at(endpoint, batch_size=2)
    result = embed(embedder, ["a", "bb", "ccc", "dddd", ""])
    assert result[:, 0].tolist() == [1, 2, 3, 4, 1]
    assert result.dtype == np.float32
    assert [len(body["input"]) for body in endpoint.bodies] == [2, 2, 1]
    assert "dimensions" not in endpoint.bodies[0]


def test_no_texts_ask_nothing(endpoint: Endpoint, embed: Embed) -> None:
    assert len(embed(embedder_at(endpoint), [])) == 0
    assert not endpoint.bodies


def test_the_size_of_an_unknown_model_is_found_out_once(endpoint: Endpoint) -> None:
    endpoint.answer = vectors(6)
    embedder = embedder_at(endpoint)
    assert (embedder.dimensions, embedder.dimensions, embedder.name) == (6, 6, "nomic")
    assert isinstance(embedder, Embedder)
    assert len(endpoint.bodies) == 1
    embedder.close()


def test_openais_models_shorten_their_vectors_and_are_named_for_it(endpoint: Endpoint, embed: Embed) -> None:
    endpoint.answer = vectors(8)
    shortened = embedder_at(endpoint, "text-embedding-3-small", dimensions=8)
    assert shortened.name == "text-embedding-3-small@8"
    assert embed(shortened, ["a"]).shape == (1, 8)
    assert endpoint.bodies[0]["dimensions"] == 8
    full = embedder_at(endpoint, "text-embedding-3-small")
    assert (full.name, full.dimensions) == ("text-embedding-3-small", 1536)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "0 vectors for 1"),
        ([{"index": 0, "embedding": [1.0]}], "length 1, where 4"),
        ([{"index": 0, "embedding": [1.0, 1.0, 1.0, float("nan")]}], "not finite"),
    ],
)
def test_wrong_vectors_are_refused(
    endpoint: Endpoint, embed: Embed, data: list[dict[str, Any]], says: str
) -> None:
    endpoint.answer = lambda body: (200, {"object": "list", "model": "m", "data": data})
    with pytest.raises((EmbeddingError, ModelError), match=says):
        embed(embedder_at(endpoint, dimensions=4), ["a"])


def test_an_embedding_endpoint_that_fails_is_named(endpoint: Endpoint, embed: Embed) -> None:
    endpoint.answer = lambda body: refused("no such model", 404)
    with pytest.raises(ModelError, match=f"nomic at {endpoint.url}"):
        embed(embedder_at(endpoint), ["a"])


# -- fastembed, played by a stand-in: its models would have to be downloaded --------------------------------


class TextEmbedding:
    def __init__(self, model_name: str, cache_dir: str | None, local_files_only: bool) -> None:
        if local_files_only:
            raise ValueError("not downloaded")

    @staticmethod
    def list_supported_models() -> list[dict[str, Any]]:
        return [{"model": "BAAI/bge-small-en-v1.5", "dim": 3}, {"model": "broken", "dim": 4}]

    def embed(self, documents: list[str], batch_size: int) -> Iterator[Any]:
        return (np.array([len(text), 0, 0]) for text in documents)

    def query_embed(self, query: list[str]) -> Iterator[Any]:
        return (np.array([len(text), 1, 0]) for text in query)


@pytest.fixture
def _fastembed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", SimpleNamespace(TextEmbedding=TextEmbedding))


@pytest.mark.usefixtures("_fastembed")
async def test_fastembed_embeds_documents_and_queries_each_in_its_way() -> None:
    embedder = FastEmbedEmbedder()
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dimensions) == ("fastembed/BAAI/bge-small-en-v1.5", 3)
    assert embedder.embed_documents(["ab", "c"]).tolist() == [[2, 0, 0], [1, 0, 0]]
    assert (await embedder.aembed_documents(["ab"])).tolist() == [[2, 0, 0]]
    assert embedder.embed_query("ab").tolist() == (await embedder.aembed_query("ab")).tolist() == [2, 1, 0]
    assert embedder.embed_documents([]).shape == (0, 3)


@pytest.mark.usefixtures("_fastembed")
def test_fastembed_models_that_do_not_serve_are_refused() -> None:
    assert FastEmbedEmbedder("baai/BGE-small-en-v1.5").name == FastEmbedEmbedder().name
    with pytest.raises(InputError, match="bge-small-en"):
        FastEmbedEmbedder("unknown")
    with pytest.raises(ModelError, match="not downloaded"):
        FastEmbedEmbedder(local_files_only=True).embed_query("a")
    with pytest.raises(EmbeddingError, match="expected"):
        FastEmbedEmbedder("broken").embed_query("a")


def test_a_missing_fastembed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    with pytest.raises(InputError, match=r"holdfast\[fastembed\]"):
        FastEmbedEmbedder()
