"""LangChain's models as the engine's, and what of their calls the user sees: nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from openai import LengthFinishReasonError
from pydantic import Field, SecretStr

from holdfast import InputError, Memory, ModelError, ModelRefusedError, Prompt, Schema, Usage
from holdfast.ports import Embedder, LanguageModel
from langchain_holdfast import (
    HoldfastMiddleware,
    LangChainEmbedder,
    LangChainModel,
    as_embedder,
    as_language_model,
)
from tests.langchain.fakes import Runner, ScriptedChat, says
from tests.support.endpoint import RELATION, Endpoint, chat, refused, telling
from tests.support.fakes import HashEmbedder

ASKED = [Prompt("system", "Reply in JSON."), Prompt("user", "Hello")]
SCHEMA = Schema(
    "answer",
    "An answer",
    {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
)
USAGE: Any = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
FACT = '{"facts": [{"message": 1, "speaker": "user", "fact": "Lives in Lisbon"}]}'


class Structured(ScriptedChat):
    """Supports what `supports` names, as providers do: one refuses when asked, another when called."""

    supports: tuple[str, ...] = ()
    asked: list[str] = Field(default_factory=list)

    def with_structured_output(self, schema: Any, **options: Any) -> Any:
        self.asked.append(options["method"])
        assert schema["title"] == "answer"
        if options["method"] not in self.supports:
            raise NotImplementedError("no such method here")
        return RunnableLambda(self._parsed)

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        self.asked.append("tools")
        assert tools[0]["function"]["name"] == "answer"
        assert options == {"tool_choice": "any"}
        return RunnableLambda(self._called if "tools" in self.supports else self._refused)

    def _parsed(self, messages: Any) -> Any:
        raw = self.invoke(messages)
        return {"raw": raw, "parsed": {"word": raw.text}, "parsing_error": None}

    def _called(self, messages: Any) -> Any:
        return AIMessage(
            "", tool_calls=[{"name": "answer", "args": {"word": self.invoke(messages).text}, "id": "1"}]
        )

    def _refused(self, _: Any) -> Any:
        raise ValueError("400: this model does not support tools")


@pytest.fixture
def chatty() -> Iterator[Memory]:
    model = as_language_model(ScriptedChat(*[AIMessage(FACT)] * 5), structured="text")
    with Memory(":memory:", llm=model, model_size="large", embedder=HashEmbedder()) as memory:
        yield memory


# -- the port ----------------------------------------------------------------------------------------------------


def test_they_fulfil_the_ports() -> None:
    model = as_language_model(ScriptedChat())
    assert isinstance(model, LangChainModel)
    assert isinstance(model, LanguageModel)
    embedder = as_embedder(DeterministicFakeEmbedding(size=8))
    assert isinstance(embedder, LangChainEmbedder)
    assert isinstance(embedder, Embedder)


def test_without_a_schema_the_reply_is_text_with_its_usage(run: Runner) -> None:
    chat = ScriptedChat(AIMessage("hi", usage_metadata=USAGE))
    reply = run.call(as_language_model(chat), "complete", ASKED)
    assert reply.content == "hi"
    assert (reply.usage.calls, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 7, 3)
    assert [(message.type, message.text) for message in chat.seen[0]] == [
        ("system", "Reply in JSON."), ("human", "Hello"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("supports", "tried"),
    [
        (("json_schema",), ["json_schema"]),
        (("tools",), ["json_schema", "tools"]),
        ((), ["json_schema", "tools"]),
    ],
)
def test_structure_is_asked_for_as_the_model_supports_it_and_remembered(
    run: Runner, supports: tuple[str, ...], tried: list[str]
) -> None:
    chat = Structured("hi", "ho", supports=supports, asked=[])
    model = as_language_model(chat)
    first = run.call(model, "complete", ASKED, schema=SCHEMA)
    run.call(model, "complete", ASKED, schema=SCHEMA)
    assert first.content == ({"word": "hi"} if supports else "hi")
    assert chat.asked == [*tried, *(tried[-1:] if supports else [])]
    assert ('"word"' in chat.seen[0][0].text) is (not supports)


def test_a_model_with_tools_only_answers_by_a_tool(run: Runner) -> None:
    call = AIMessage("", tool_calls=[{"name": "answer", "args": {"word": "hi"}, "id": "1"}])
    reply = run.call(as_language_model(ScriptedChat(call)), "complete", ASKED, schema=SCHEMA)
    assert reply.content == {"word": "hi"}


def test_a_model_without_tools_is_asked_in_words(run: Runner) -> None:
    model = as_language_model(FakeListChatModel(responses=['{"word": "hi"}']))
    assert run.call(model, "complete", ASKED, schema=SCHEMA).content == '{"word": "hi"}'


def test_a_profile_says_what_need_not_be_tried(run: Runner) -> None:
    chat = Structured("hi", supports=(), asked=[])
    chat.profile = {"structured_output": False, "tool_calling": False}
    run.call(as_language_model(chat), "complete", ASKED, schema=SCHEMA)
    assert chat.asked == []


def test_a_runnable_around_a_model_serves(run: Runner) -> None:
    model = as_language_model(
        ScriptedChat(RuntimeError("busy"), "hi").with_retry(wait_exponential_jitter=False)
    )
    assert run.call(model, "complete", ASKED, schema=SCHEMA).content == "hi"


def test_a_failure_that_is_no_refusal_of_structure_is_raised(run: Runner) -> None:
    model = as_language_model(ScriptedChat(ConnectionError("connection lost"), "hi"), structured="text")
    with pytest.raises(ConnectionError):
        run.call(model, "complete", ASKED, schema=SCHEMA)


@pytest.mark.parametrize(
    "reply",
    [
        AIMessage("", additional_kwargs={"refusal": "I won't"}),
        AIMessage("", response_metadata={"finish_reason": "content_filter"}),
    ],
)
def test_a_refusal_is_told_apart(run: Runner, reply: AIMessage) -> None:
    with pytest.raises(ModelRefusedError, match="declined"):
        run.call(as_language_model(ScriptedChat(reply)), "complete", ASKED)


@pytest.mark.parametrize("wrong", [{"model": object()}, {"model": ScriptedChat(), "structured": "xml"}])
def test_what_is_no_model_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        LangChainModel(**wrong)


def test_its_name_is_the_model_s() -> None:
    assert as_language_model(ScriptedChat()).name == "ScriptedChat"
    assert as_language_model(ScriptedChat(), name="mine").name == "mine"


# -- in the engine -----------------------------------------------------------------------------------------------


def test_the_engine_extracts_with_it_and_counts_what_it_cost(run: Runner) -> None:
    model = as_language_model(ScriptedChat(AIMessage(FACT, usage_metadata=USAGE)), structured="text")
    with Memory(":memory:", llm=model, model_size="large", embedder=HashEmbedder()) as memory:
        result = run.call(memory, "add", "I live in Lisbon.", user_id="alice")
        assert [change.text for change in result] == ["Lives in Lisbon"]
        assert result.usage.input_tokens == 7


def test_its_failures_are_the_engine_s_model_errors(run: Runner) -> None:
    model = as_language_model(ScriptedChat(ConnectionError("connection lost")), structured="text")
    with Memory(":memory:", llm=model, model_size="large", embedder=HashEmbedder()) as memory:
        with pytest.raises(ModelError, match="connection lost"):
            run.call(memory, "add", "I live in Lisbon.", user_id="alice")
        assert len(memory.jobs.pending()) == 1


# -- what the user sees ------------------------------------------------------------------------------------------


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.texts.append(response.generations[0][0].text)


@pytest.mark.parametrize("background", [False, True])
def test_what_memory_asks_its_model_is_in_no_stream(chatty: Memory, background: bool) -> None:
    ours = HoldfastMiddleware(chatty, user_id="alice", background=background)
    agent = create_agent(ScriptedChat("visible", "visible"), middleware=[ours])
    streamed = [chunk.text for chunk, _ in agent.stream(says("I live in Lisbon."), stream_mode="messages")]

    async def collect() -> list[str]:
        stream = agent.astream(says("I live in Porto."), stream_mode="messages")
        return [chunk.text async for chunk, _ in stream]

    streamed += asyncio.run(collect())
    assert chatty.flush(30)
    assert chatty.count(user_id="alice") >= 1
    assert {text for text in streamed if text} == {"visible"}


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_what_memory_asks_its_model_is_in_no_event(chatty: Memory) -> None:
    agent = create_agent(
        ScriptedChat("visible"), middleware=[HoldfastMiddleware(chatty, user_id="alice", background=False)]
    )
    events = [repr(event) for event in agent.stream_events(says("I live in Lisbon."), version="v3")]
    assert chatty.count(user_id="alice") == 1
    assert any("visible" in event for event in events)
    assert not any("facts" in event for event in events)


def test_an_agent_s_callbacks_do_not_hear_of_memory_s_calls(chatty: Memory, run: Runner) -> None:
    agent = create_agent(
        ScriptedChat("visible"), middleware=[HoldfastMiddleware(chatty, user_id="alice", background=False)]
    )
    recorder = Recorder()
    run(agent, says("I live in Lisbon."), config={"callbacks": [recorder]})
    assert recorder.texts == ["visible"]
    assert chatty.count(user_id="alice") == 1


def test_callbacks_of_its_own_hear_of_every_call(run: Runner) -> None:
    recorder = Recorder()
    model = as_language_model(ScriptedChat("hi"), callbacks=[recorder])
    run.call(model, "complete", ASKED)
    assert recorder.texts == ["hi"]


# -- embeddings --------------------------------------------------------------------------------------------------


def test_embeddings_serve_the_engine(run: Runner) -> None:
    embedder = as_embedder(DeterministicFakeEmbedding(size=16))
    assert embedder.dimensions == 16
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        run.call(memory, "add", "I live in Lisbon.", user_id="alice")
        assert run.call(memory, "search", "I live in Lisbon.", user_id="alice")[0].text == "I live in Lisbon."


def test_an_embedder_s_name_tells_models_apart() -> None:
    class Named(DeterministicFakeEmbedding):
        model: str = "m-1"
        dimensions: int | None = None

    assert as_embedder(Named(size=4)).name == "Named/m-1"
    assert as_embedder(Named(size=4, dimensions=4)).name == "Named/m-1@4"
    assert as_embedder(Named(size=4), name="mine").name == "mine"
    assert as_embedder(Named(size=4), dimensions=4).dimensions == 4


def test_what_are_no_embeddings_is_refused() -> None:
    with pytest.raises(InputError, match="no Embeddings"):
        LangChainEmbedder(HashEmbedder())  # type: ignore[arg-type]
    assert not issubclass(HashEmbedder, Embeddings)


@pytest.mark.parametrize("told", [True, False])
def test_a_model_that_tells_how_likely_its_answer_was_is_heard(run: Runner, told: bool) -> None:
    alternatives = [{"token": "yes", "logprob": -0.2231}, {"token": "no", "logprob": -1.6094}]
    tokens = [
        {"token": '{"word": "', "logprob": 0.0, "top_logprobs": []},
        {"token": "yes", "logprob": -0.2231, "top_logprobs": alternatives},
        {"token": '"}', "logprob": 0.0, "top_logprobs": []},
    ]
    form = {"type": "object", "properties": {"word": {"type": "string", "enum": ["yes", "no"]}}}
    message = AIMessage(
        '{"word": "yes"}', response_metadata={"logprobs": {"content": tokens} if told else None}
    )
    model = LangChainModel(ScriptedChat(message), structured="text")
    reply = run.call(model, "complete", ASKED, schema=Schema("answer", "", form, choice="word"))
    assert reply.likelihoods == (pytest.approx({"yes": 0.8, "no": 0.2}, abs=0.001) if told else {})


def small(endpoint: Endpoint, **options: Any) -> LangChainModel:
    return as_language_model(
        ChatOpenAI(model="small", base_url=endpoint.url, api_key=SecretStr("k"), max_retries=0, **options)
    )


def test_a_model_that_can_tell_how_likely_its_choice_was_is_asked(run: Runner, endpoint: Endpoint) -> None:
    endpoint.answer = telling
    model = small(endpoint)
    assert run.call(model, "complete", ASKED, schema=RELATION).likelihoods["adds"] == pytest.approx(0.7)
    assert run.call(model, "complete", ASKED, schema=SCHEMA).likelihoods == {}
    assert ["logprobs" in body for body in endpoint.bodies] == [True, False]
    off = small(endpoint, logprobs=False)
    assert run.call(off, "complete", ASKED, schema=RELATION).likelihoods == {}


def test_a_model_that_refuses_to_tell_answers_all_the_same(run: Runner, endpoint: Endpoint) -> None:
    says = refused("You are not allowed to request logprobs from this model", 403)
    endpoint.answer = lambda body: says if "logprobs" in body else chat('{"relation": "adds"}')
    model = small(endpoint)
    for _ in range(2):
        assert run.call(model, "complete", ASKED, schema=RELATION).content == {"relation": "adds"}
    assert ["logprobs" in body for body in endpoint.bodies] == [True, False, False]
    assert set(endpoint.structures) == {"json_schema"}


def test_refusals_to_tell_side_by_side_are_both_answered(endpoint: Endpoint) -> None:
    both = threading.Barrier(2)

    def answer(body: dict[str, Any]) -> Any:
        if "logprobs" not in body:
            return chat('{"relation": "adds"}')
        both.wait(10)
        return refused("You are not allowed to request logprobs from this model", 403)

    endpoint.answer = answer
    model = small(endpoint)

    async def go() -> list[Any]:
        return await asyncio.gather(*(model.acomplete(ASKED, schema=RELATION) for _ in range(2)))

    assert [reply.content for reply in asyncio.run(go())] == [{"relation": "adds"}] * 2


def test_what_the_user_s_own_model_tells_of_is_left_as_it_is(endpoint: Endpoint, run: Runner) -> None:
    endpoint.answer = telling
    chat_model = ChatOpenAI(model="small", base_url=endpoint.url, api_key=SecretStr("k"))
    run.call(as_language_model(chat_model), "complete", ASKED, schema=RELATION)
    chat_model.invoke("Hello")
    assert "logprobs" not in endpoint.bodies[-1]


FORM = replace(SCHEMA, max_tokens=50)


def test_a_reply_is_cut_off_where_its_form_ends(endpoint: Endpoint, run: Runner) -> None:
    endpoint.answer = lambda body: chat('{"word": "Hi"}')
    for options, limit in (({}, 50), ({"max_tokens": 900}, 900)):
        run.call(small(endpoint, **options), "complete", ASKED, schema=FORM)
        assert endpoint.bodies[-1]["max_completion_tokens"] == limit
    run.call(small(endpoint), "complete", ASKED)
    assert "max_completion_tokens" not in endpoint.bodies[-1]


def test_what_there_is_of_a_reply_that_was_cut_off_is_its_text(endpoint: Endpoint, run: Runner) -> None:
    endpoint.answer = lambda body: chat('{"word": "on and on and', finish="length")
    reply = run.call(small(endpoint), "complete", ASKED, schema=FORM)
    assert reply.content == '{"word": "on and on and'
    assert reply.usage == Usage(1, 30, 7)


def test_thoughts_that_fill_the_limit_are_no_answer(endpoint: Endpoint, run: Runner) -> None:
    endpoint.answer = lambda body: (
        chat("<think>Let me see", finish="length")
        if "max_completion_tokens" in body
        else chat('<think>Let me see</think>{"word": "Hi"}')
    )
    chat_model = ChatOpenAI(model="small", base_url=endpoint.url, api_key=SecretStr("k"), max_retries=0)
    model = LangChainModel(chat_model, structured="text")
    for _ in range(2):
        assert '{"word": "Hi"}' in str(run.call(model, "complete", ASKED, schema=FORM).content)
    assert ["max_completion_tokens" in body for body in endpoint.bodies] == [True, False, False]


@pytest.mark.parametrize("structured", ["json_schema", "tool", "text"])
def test_a_model_that_thinks_past_the_limit_gets_its_room_back(
    endpoint: Endpoint, run: Runner, structured: Any
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if "max_completion_tokens" in body:
            return chat("", finish="length")
        return chat('{"word": "Hi"}')

    endpoint.answer = answer
    chat_model = ChatOpenAI(model="small", base_url=endpoint.url, api_key=SecretStr("k"), max_retries=0)
    model = LangChainModel(chat_model, structured=structured)
    for _ in range(2):
        assert run.call(model, "complete", ASKED, schema=FORM).content in ({"word": "Hi"}, '{"word": "Hi"}')
    assert ["max_completion_tokens" in body for body in endpoint.bodies] == [True, False, False]


def test_no_answer_within_the_user_s_own_limit_is_an_error(endpoint: Endpoint, run: Runner) -> None:
    endpoint.answer = lambda body: chat("", finish="length")
    with pytest.raises(LengthFinishReasonError):
        run.call(small(endpoint, max_tokens=900), "complete", ASKED, schema=FORM)
