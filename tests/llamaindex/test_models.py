"""LlamaIndex's models and embeddings serve as the engine's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.llms.openai_like import OpenAILike
from openai import AuthenticationError

from holdfast import Embedder, InputError, LanguageModel, Memory, ModelError, Prompt, Schema, Usage
from holdfast.decisions.extraction.prompts import schema as extraction_schema
from llama_index.memory.holdfast import (
    HoldfastMemory,
    LlamaIndexEmbedder,
    LlamaIndexModel,
    as_embedder,
    as_language_model,
)
from llama_index.memory.holdfast.models import _tools, _usage
from tests.llamaindex.fakes import Calling, Face, HashEmbedding, Listening, assistant, text_of, user
from tests.support.endpoint import RELATION, Endpoint, chat, refused, telling
from tests.support.fakes import HashEmbedder, ScriptedModel

EXTRACTION = extraction_schema()

FORM = Schema("answer", "An answer", {"type": "object", "properties": {"text": {"type": "string"}}})
ASKED = [Prompt("system", "Be brief."), Prompt("user", "Hello")]
FACTS = {"facts": [{"message": 1, "speaker": "user", "fact": "Is allergic to peanuts"}]}


def test_they_are_the_engine_s_ports() -> None:
    assert isinstance(LlamaIndexModel(MockLLM()), LanguageModel)
    assert isinstance(LlamaIndexEmbedder(HashEmbedding()), Embedder)


def test_a_model_that_calls_functions_replies_with_the_arguments_of_its_call(face: Face) -> None:
    llm = Calling(("answer", {"text": "Hi"}))
    reply = face(LlamaIndexModel(llm), "complete", ASKED, schema=FORM)
    assert reply.content == {"text": "Hi"}
    assert llm.shown == [[("system", "Be brief."), ("user", "Hello")]]


def test_the_function_s_parameters_are_the_reply_s_schema_as_it_stands() -> None:
    seen: list[Any] = []

    def respond(messages: Any, **kwargs: Any) -> ChatMessage:
        seen.extend(kwargs["tools"])
        return assistant("{}")

    llm = Calling()
    llm._response_generator = respond
    LlamaIndexModel(llm).complete(ASKED, schema=EXTRACTION)
    [tool] = seen
    assert tool.metadata.to_openai_tool()["function"]["parameters"] == dict(EXTRACTION.json)
    assert tool.metadata.name == EXTRACTION.name


def test_the_model_is_made_to_call() -> None:
    """LlamaIndex's mock models ignore it; real ones may answer in prose without."""
    assert _tools(FORM)["tool_required"] is True


def test_a_call_that_a_model_writes_as_text_is_its_text(face: Face) -> None:
    reply = face(LlamaIndexModel(Calling('{"text": "Hi"}')), "complete", ASKED, schema=FORM)
    assert reply.content == '{"text": "Hi"}'


def test_other_models_are_shown_the_form_in_the_prompt(face: Face) -> None:
    llm = Listening('{"text": "Hi"}')
    reply = face(LlamaIndexModel(llm), "complete", ASKED, schema=FORM)
    assert reply.content == '{"text": "Hi"}'
    assert '"properties": {"text"' in llm.shown[0][0][1]
    assert llm.shown[0][1] == ("user", "Hello")


def test_without_a_form_the_messages_are_shown_as_they_are(face: Face) -> None:
    for llm in (Calling("Hi"), Listening("Hi")):
        assert face(LlamaIndexModel(llm), "complete", ASKED).content == "Hi"
        assert llm.shown == [[("system", "Be brief."), ("user", "Hello")]]


@pytest.mark.parametrize("kind", [Calling, Listening])
def test_an_engine_extracts_with_a_llama_index_model(kind: type, face: Face) -> None:
    script: list[Any] = [("facts", FACTS)] if kind is Calling else [str(FACTS).replace("'", '"')]
    model = LlamaIndexModel(kind(*script))
    with Memory(":memory:", llm=model, model_size="large", embedder=HashEmbedder()) as memory:
        result = face(memory, "add", "I'm allergic to peanuts, you know.", user_id="alice")
        assert [change.text for change in result] == ["Is allergic to peanuts"]


def test_a_turn_is_remembered_with_the_model_that_answers() -> None:
    llm = Calling(("facts", FACTS))
    memory = HoldfastMemory.from_defaults(
        "alice", path=":memory:", llm=llm, model_size="large", background=False
    )
    memory.put_messages([user("I'm allergic to peanuts."), assistant("Noted.")])
    assert len(llm.shown) == 1  # a large model is not examined
    assert "allergic" in text_of(llm.shown[-1])
    assert "Noted." in text_of(llm.shown[-1])
    assert [item.text for item in memory.engine.get_all(user_id="alice")] == ["Is allergic to peanuts"]
    memory.engine.close()


def like_openai(endpoint: Endpoint, **options: Any) -> LlamaIndexModel:
    kind = {"is_chat_model": True, "max_retries": 0, **options}
    return LlamaIndexModel(OpenAILike(model="small", api_base=endpoint.url, api_key="k", **kind))


@pytest.mark.parametrize("calls_functions", [False, True])
def test_a_model_that_can_tell_how_likely_its_choice_was_is_asked(
    endpoint: Endpoint, face: Face, calls_functions: bool
) -> None:
    endpoint.answer = telling
    model = like_openai(endpoint, is_function_calling_model=calls_functions)
    reply = face(model, "complete", ASKED, schema=RELATION)
    assert reply.content == '{"relation": "adds"}'
    assert reply.likelihoods["adds"] == pytest.approx(0.7)
    assert reply.usage == Usage(1, 30, 7)
    face(model, "complete", ASKED, schema=FORM)
    assert ["logprobs" in body for body in endpoint.bodies] == [True, False]


@pytest.mark.parametrize(
    ("calls_functions", "accepted", "tried"),
    [
        (True, "json_schema", ["json_schema"]),
        (True, "tool", ["json_schema", "tool"]),
        (True, "text", ["json_schema", "tool", "text"]),
        (False, "text", ["json_schema", "text"]),
    ],
)
def test_structure_is_asked_for_as_the_model_supports_it_and_remembered(
    endpoint: Endpoint, face: Face, calls_functions: bool, accepted: str, tried: list[str]
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "answer", "arguments": '{"text": "Hi"}'}}

    def answer(body: dict[str, Any]) -> Any:
        asked = "tool" if "tools" in body else "json_schema" if "response_format" in body else "text"
        if asked != accepted:
            return refused(f"{asked} is not supported: no tools, no response_format")
        return (
            chat(None, finish="tool_calls", tool_calls=[call]) if asked == "tool" else chat('{"text": "Hi"}')
        )

    endpoint.answer = answer
    model = like_openai(endpoint, is_function_calling_model=calls_functions)
    for _ in range(2):
        assert face(model, "complete", ASKED, schema=FORM).content in ({"text": "Hi"}, '{"text": "Hi"}')
    assert endpoint.structures == [*tried, tried[-1]]
    system = endpoint.bodies[-1]["messages"][0]["content"]
    assert ("JSON Schema" in system) == (accepted == "text")


def test_a_model_that_refuses_to_tell_is_asked_as_ever(endpoint: Endpoint, face: Face) -> None:
    says = refused("You are not allowed to request logprobs from this model", 403)
    endpoint.answer = lambda body: says if "logprobs" in body else chat('{"relation": "adds"}')
    model = like_openai(endpoint)
    for _ in range(2):
        assert face(model, "complete", ASKED, schema=RELATION).content == '{"relation": "adds"}'
    assert ["logprobs" in body for body in endpoint.bodies] == [True, False, False]


LIMITED = replace(FORM, max_tokens=50)


@pytest.mark.parametrize("calls_functions", [False, True])
def test_a_reply_is_cut_off_where_its_form_ends(
    endpoint: Endpoint, face: Face, calls_functions: bool
) -> None:
    endpoint.answer = lambda body: chat('{"text": "on and on and', finish="length")
    for options, limit in (({}, 50), ({"max_tokens": 900}, 900)):
        model = like_openai(endpoint, is_function_calling_model=calls_functions, **options)
        assert face(model, "complete", ASKED, schema=LIMITED).content == '{"text": "on and on and'
        assert endpoint.bodies[-1]["max_tokens"] == limit
    face(like_openai(endpoint), "complete", ASKED)
    assert "max_tokens" not in endpoint.bodies[-1]


@pytest.mark.parametrize("refuses", [False, True])
def test_a_model_that_thinks_past_the_limit_gets_its_room_back(
    endpoint: Endpoint, face: Face, refuses: bool
) -> None:
    too_short = (
        refused("max_tokens is not supported with this model") if refuses else chat("", finish="length")
    )
    endpoint.answer = lambda body: too_short if "max_tokens" in body else chat('{"text": "Hi"}')
    model = like_openai(endpoint)
    for _ in range(2):
        assert face(model, "complete", ASKED, schema=LIMITED).content == '{"text": "Hi"}'
    assert ["max_tokens" in body for body in endpoint.bodies] == [True, False, False]


def test_another_failure_to_tell_is_raised(endpoint: Endpoint, face: Face) -> None:
    endpoint.answer = lambda body: refused("the key is wrong", 401)
    with pytest.raises(AuthenticationError):
        face(like_openai(endpoint), "complete", ASKED, schema=RELATION)
    assert len(endpoint.bodies) == 1


def test_a_failing_model_raises_the_engine_s_error_and_loses_nothing() -> None:
    def fail(messages: Any, **kwargs: Any) -> ChatMessage:
        raise ConnectionError("no route")

    llm = Calling()
    llm._response_generator = fail
    memory = HoldfastMemory.from_defaults("alice", path=":memory:", llm=llm, background=False)
    with pytest.raises(ModelError, match="no route"):
        memory.put_messages([user("I'm allergic to peanuts."), assistant("Noted.")])
    assert len(memory.get_all()) == 2
    assert len(memory.engine.jobs.pending()) == 1
    memory.engine.jobs.retry()
    memory.engine.close()


@pytest.mark.parametrize(
    ("extra", "raw", "usage"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, None, Usage(1, 7, 3)),
        ({}, SimpleNamespace(usage=SimpleNamespace(prompt_tokens=7, completion_tokens=3)), Usage(1, 7, 3)),
        ({}, {"usage": {"input_tokens": 7, "output_tokens": 3}}, Usage(1, 7, 3)),
        ({}, {"usage": None}, Usage(1, 0, 0)),
        ({}, None, Usage(1, 0, 0)),
    ],
)
def test_tokens_are_counted_as_the_provider_tells_them(extra: Any, raw: Any, usage: Usage) -> None:
    assert _usage(ChatResponse(message=assistant("Hi"), additional_kwargs=extra, raw=raw)) == usage


def test_a_model_s_name_is_its_class_and_model() -> None:
    assert LlamaIndexModel(MockLLM()).name == "MockLLM:unknown"


def test_an_embedder_finds_out_its_dimensions_once_and_only_when_asked(face: Face) -> None:
    embedding = HashEmbedding()
    embedder = LlamaIndexEmbedder(embedding)
    assert embedder.name == "HashEmbedding:hash-64"
    assert embedding.embedded == 0
    assert (embedder.dimensions, embedder.dimensions) == (64, 64)
    assert embedding.embedded == 1
    assert len(face(embedder, "embed_documents", ["a", "b"])) == 2
    assert len(face(embedder, "embed_query", "a")) == 64


def test_an_engine_works_on_llama_index_embeddings(face: Face) -> None:
    with Memory(":memory:", llm=None, embedder=LlamaIndexEmbedder(HashEmbedding())) as memory:
        face(memory, "add", ["I own a red bicycle.", "I like cheese."], user_id="alice")
        assert face(memory, "search", "bicycle", user_id="alice")[0].text == "I own a red bicycle."


def test_a_mock_embedding_serves(face: Face) -> None:
    embedder = LlamaIndexEmbedder(MockEmbedding(embed_dim=8))
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        face(memory, "add", "I own a red bicycle.", user_id="alice")
        assert len(face(memory, "search", "bicycle", user_id="alice")) == 1


def test_the_engine_s_own_models_pass_through_and_others_are_refused() -> None:
    model, embedder = ScriptedModel(), HashEmbedder()
    assert as_language_model(model) is model
    assert as_embedder(embedder) is embedder
    with pytest.raises(InputError, match="neither a LlamaIndex LLM nor"):
        as_language_model("gpt-4o")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neither a LlamaIndex BaseEmbedding nor"):
        as_embedder(MockLLM())  # type: ignore[arg-type]
