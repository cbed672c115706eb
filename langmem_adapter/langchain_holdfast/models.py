"""LangChain's models for the engine: any chat model as its `LanguageModel`, any embeddings as its `Embedder`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig

from holdfast import Completion, InputError, ModelRefusedError, Prompt, Schema, Usage
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.models.dialect import called, functions, with_schema
from holdfast.models.likelihoods import MOST_ALTERNATIVES, likelihoods

Structure = Literal["json_schema", "tool", "text"]
LADDER: tuple[Structure, ...] = get_args(Structure)

_METHODS = {"json_schema": "json_schema", "tool": "function_calling"}
# How providers say that they do not do what was asked for; anything else is a failure of the request.
_REFUSED = re.compile(
    r"response_format|json_schema|structured|grammar|guided|schema|\btools?\b|tool_choice|function|not supported",
    re.IGNORECASE,
)
# What chat models call the length at which a reply is cut off, and how one says that it was too short.
_LIMITS = ("max_tokens", "num_predict", "max_output_tokens")
_LENGTH = re.compile(r"length limit|max_(?:completion_|output_)?tokens|num_predict", re.IGNORECASE)
_log = logging.getLogger("holdfast")


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a model is asked: for the form of a reply, whether for how likely its choice was, and whether it is cut off
    at the length of its form."""

    structure: Structure
    tells: bool = True
    brief: bool = True


class LangChainModel:
    """A LangChain chat model as the engine's language model.

    model: a chat model, or a runnable around one (`with_retry`, `with_fallbacks`, `bind`). A chat model with the
        settings `logprobs` and `top_logprobs` (ChatOpenAI and its kin, ChatOllama, ChatHuggingFace) is asked for
        them where a reply is a choice, as merging is better with them, until it refuses; with `logprobs=False`
        it is not. One whose `max_tokens` (or `num_predict`) is not set is cut off where the form of a reply cannot
        be longer, as small models may repeat themselves without end; models that think before they answer are not
        any more once a reply shows it.
    name: by default the model's own.
    structured: how the form of a reply is asked for. "auto" takes the first of "json_schema", "tool" and "text"
        that the model does not refuse, and remembers it for the life of this object.
    callbacks: called for every request. Those of a surrounding chain or agent are not: what memory asks its
        model is not part of the conversation, and shows in no stream.
    config: further parts of the `RunnableConfig`, metadata or tags.
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        *,
        name: str | None = None,
        structured: Literal["auto"] | Structure = "auto",
        callbacks: Sequence[BaseCallbackHandler] = (),
        config: RunnableConfig | None = None,
    ) -> None:
        if not isinstance(model, Runnable):
            raise InputError(f"model={model!r} is no chat model of LangChain")
        if structured != "auto" and structured not in LADDER:
            raise InputError(f"structured={structured!r}: choose one of auto, {', '.join(LADDER)}")
        self._model = model
        self._name = name or _model_name(model)
        self._fixed = structured != "auto"
        self._manner = _Manner(_first(model) if structured == "auto" else structured)
        self._config: RunnableConfig = {
            "run_name": "holdfast",
            **(config or {}),
            "tags": [
                *(config or {}).get("tags", []),
                "nostream",
            ],  # LangGraph leaves such calls out of its streams
            "callbacks": list(callbacks),  # given, even if empty: else the surrounding chain's are inherited
        }

    def __repr__(self) -> str:
        return f"LangChainModel({self._name!r}, structured={self._manner.structure!r})"

    @property
    def name(self) -> str:
        return self._name

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """The reply to `messages`, as an object where the model gave one and `schema` asked for it."""
        return run_inline(self._complete(Inline(), messages, schema))

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """Async `complete`."""
        return await self._complete(Asyncio(), messages, schema)

    async def _complete(self, io: IO, messages: Sequence[Prompt], schema: Schema | None) -> Completion:
        while True:
            manner = self._manner
            try:
                asked, given = self._request(manner, messages, schema)
                reply = await io.call(asked.invoke, asked.ainvoke, given, self._config)
                completion = _completion(reply, schema)
            except Exception as error:
                if cut_off := _cut_off(error):
                    return cut_off
                narrower = self._narrowed(manner, schema, error)
                if narrower is None:
                    raise
                self._learn(manner, narrower)
            else:
                if completion.content or not (manner.brief and schema and schema.max_tokens):
                    return completion
                self._learn(manner, replace(manner, brief=False))

    def _request(
        self, manner: _Manner, messages: Sequence[Prompt], schema: Schema | None
    ) -> tuple[Runnable[Any, Any], list[BaseMessage]]:
        if schema is None:
            return self._model, convert_prompts_to_langchain(messages)
        model: Any = _telling(self._model) if schema.choice and manner.tells else self._model
        if manner.brief and schema.max_tokens:
            model = _limited(model, schema.max_tokens)
        if manner.structure == "text":
            return model, convert_prompts_to_langchain(with_schema(messages, schema))
        if manner.structure == "tool" and schema.calls:
            tools = [{"type": "function", "function": function} for function in functions(schema)]
            return model.bind_tools(tools, tool_choice="any"), convert_prompts_to_langchain(messages)
        form = {"title": schema.name, "description": schema.description, **schema.json}
        method = _METHODS[manner.structure]
        asked = model.with_structured_output(form, method=method, include_raw=True)
        return asked, convert_prompts_to_langchain(messages)

    def _narrowed(self, tried: _Manner, schema: Schema | None, error: Exception) -> _Manner | None:
        """The next way of asking that is worth a try; None where the error speaks of something else."""
        if schema is None:
            return None
        if tried.tells and schema.choice and "logprobs" in str(error):
            return replace(tried, tells=False)
        if tried.brief and schema.max_tokens and _LENGTH.search(str(error)):
            return replace(tried, brief=False)
        if self._fixed or tried.structure == "text" or isinstance(error, ModelRefusedError):
            return None
        if not isinstance(error, (NotImplementedError, AttributeError)) and not _REFUSED.search(str(error)):
            return None
        return replace(tried, structure=LADDER[LADDER.index(tried.structure) + 1])

    def _learn(self, tried: _Manner, narrower: _Manner) -> None:
        _log.debug("%s did not answer to %s; trying %s", self._name, tried, narrower)
        if self._manner == tried:  # else a request that ran beside this one has learned it already
            self._manner = narrower


def as_language_model(model: Runnable[Any, Any], **options: Any) -> LangChainModel:
    """A LangChain chat model as the engine's: `Memory(llm=as_language_model(chat_model))`."""
    return LangChainModel(model, **options)


def convert_prompts_to_langchain(prompts: Sequence[Prompt]) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "assistant": AIMessage}
    return [kinds.get(prompt.role, HumanMessage)(content=prompt.content) for prompt in prompts]


def _telling(model: Any) -> Any:
    """The model, set to tell how likely its tokens were; as it is where it has no such setting or one was made."""
    settings = getattr(type(model), "model_fields", {})
    if "logprobs" not in settings or "top_logprobs" not in settings:
        return model
    if model.logprobs is False or model.top_logprobs:
        return model
    return model.model_copy(update={"logprobs": True, "top_logprobs": MOST_ALTERNATIVES})


def _limited(model: Any, most: int) -> Any:
    """The model, cut off at so many tokens, where it has a setting for that and none was made."""
    settings = getattr(type(model), "model_fields", {})
    unset = (name for name in _LIMITS if name in settings and getattr(model, name) is None)
    limit = next(unset, None)
    return model.model_copy(update={limit: most}) if limit else model


def _cut_off(error: Exception) -> Completion | None:
    """What there is of a reply that was cut off: ChatOpenAI raises an error that holds it."""
    reply = getattr(error, "completion", None)
    choices = getattr(reply, "choices", None)
    text = choices[0].message.content if choices else None
    if not text:
        return None
    usage = getattr(reply, "usage", None)
    told = (getattr(usage, key, None) or 0 for key in ("prompt_tokens", "completion_tokens"))
    return Completion(text, Usage(1, *told))


def _first(model: Any) -> Structure:
    """What the model says that it can do; "json_schema" where it says nothing."""
    if not hasattr(model, "with_structured_output"):
        return "text"
    profile = getattr(model, "profile", None)
    if not isinstance(profile, Mapping):
        return "json_schema"
    if profile.get("structured_output", True):
        return "json_schema"
    return "tool" if profile.get("tool_calling", True) else "text"


def _completion(reply: Any, schema: Schema | None) -> Completion:
    """From a message, from `{"raw": message, "parsed": ...}`, or from the text of a plain language model."""
    parsed = None
    if isinstance(reply, Mapping) and "raw" in reply:
        reply, parsed = reply["raw"], reply["parsed"]
    if not isinstance(reply, BaseMessage):
        return Completion(str(reply))
    refusal = reply.additional_kwargs.get("refusal")
    if refusal or reply.response_metadata.get("finish_reason") == "content_filter":
        raise ModelRefusedError(f"the model declined to answer: {refusal or 'its content filter stopped it'}")
    told = likelihoods(_tokens(reply), schema)
    if isinstance(parsed, Mapping):
        return Completion(dict(parsed), _usage(reply), told)
    calls = [(call["name"], call["args"]) for call in _calls(reply)]
    return Completion(called(schema, calls) if calls else reply.text, _usage(reply), told)


def _calls(reply: BaseMessage) -> Sequence[Mapping[str, Any]]:
    """The functions that the model called, those among them whose arguments are no JSON."""
    return [*getattr(reply, "tool_calls", []), *getattr(reply, "invalid_tool_calls", [])]


def _tokens(message: BaseMessage) -> Sequence[Mapping[str, Any]]:
    """The tokens of a reply with their alternatives: as a list, or as OpenAI's object around one."""
    told = message.response_metadata.get("logprobs") or []
    return told.get("content") or [] if isinstance(told, Mapping) else told


def _usage(message: BaseMessage) -> Usage:
    usage = getattr(message, "usage_metadata", None) or {}
    return Usage(1, usage.get("input_tokens", 0), usage.get("output_tokens", 0))


class LangChainEmbedder:
    """LangChain embeddings as the engine's embedder.

    embeddings: any `Embeddings`.
    name: the identity under which the store records its vectors; by default made of the class and the model.
        Give one where two models would share it.
    dimensions: the length of the vectors; by default found out by embedding one word.
    """

    def __init__(
        self, embeddings: Embeddings, *, name: str | None = None, dimensions: int | None = None
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise InputError(f"embeddings={embeddings!r} is no Embeddings of LangChain")
        self._embeddings = embeddings
        self._name = name or _embedder_name(embeddings)
        self._dimensions = dimensions

    def __repr__(self) -> str:
        return f"LangChainEmbedder({self._name!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        if self._dimensions is None:
            self._dimensions = len(self._embeddings.embed_query("dimensions"))
        return self._dimensions

    def embed_documents(self, texts: Sequence[str]) -> Any:
        """float32[len(texts), dimensions]."""
        return np.asarray(self._embeddings.embed_documents(list(texts)), np.float32)

    async def aembed_documents(self, texts: Sequence[str]) -> Any:
        """Async `embed_documents`."""
        return np.asarray(await self._embeddings.aembed_documents(list(texts)), np.float32)

    def embed_query(self, text: str) -> Any:
        """float32[dimensions]."""
        return np.asarray(self._embeddings.embed_query(text), np.float32)

    async def aembed_query(self, text: str) -> Any:
        """Async `embed_query`."""
        return np.asarray(await self._embeddings.aembed_query(text), np.float32)


def as_embedder(embeddings: Embeddings, **options: Any) -> LangChainEmbedder:
    """LangChain embeddings as the engine's: `Memory(embedder=as_embedder(embeddings))`."""
    return LangChainEmbedder(embeddings, **options)


def _model_name(model: Any) -> str:
    for attribute in ("model_name", "model", "model_id"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__


def _embedder_name(embeddings: Any) -> str:
    """Class, model and, where it is chosen, the length of the vectors."""
    parts = [type(embeddings).__name__]
    for attribute in ("model", "model_name", "model_id", "deployment", "repo_id"):
        value = getattr(embeddings, attribute, None)
        if isinstance(value, str) and value:
            parts.append(value)
            break
    chosen = getattr(embeddings, "dimensions", None)
    return "/".join(parts) + (f"@{chosen}" if isinstance(chosen, int) else "")
