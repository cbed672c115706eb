"""LlamaIndex's language models and embeddings as the engine's."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.core.tools import FunctionTool, ToolMetadata

from holdfast import Completion, Embedder, InputError, LanguageModel, Prompt, Schema, Usage
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.models.dialect import Dialect, called, functions, with_schema
from holdfast.models.likelihoods import likelihoods
from holdfast.ports import Vector, Vectors

_log = logging.getLogger("holdfast")
_INPUT_KEYS = ("prompt_tokens", "input_tokens")
_OUTPUT_KEYS = ("completion_tokens", "output_tokens")
_REFUSED = re.compile(r"logprobs|response_format|json_schema|structured|grammar|guided", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a model is asked: whether for how likely its choice was, and whether a reply is cut off at the length of
    its form."""

    tells: bool
    brief: bool


class LlamaIndexModel:
    """Any LlamaIndex `LLM` as the engine's `LanguageModel`.

    A model that calls functions is made to call one whose arguments are the reply; others are shown the form of
    the reply in the prompt. A chat model with the settings `logprobs` and `top_logprobs` (OpenAI and its kin) is
    asked for them where a reply is a choice, as merging is better with them, until it refuses. One whose `max_tokens`
    is not set is cut off where the form of a reply cannot be longer, as small models may repeat themselves without
    end; models that think before they answer are not any more once a reply shows it. Whatever else the model raises
    reaches the engine, which wraps it in ModelError.
    """

    def __init__(self, llm: LLM) -> None:
        self.llm = llm
        settings = type(llm).model_fields.keys()
        self._manner = _Manner(
            tells={"logprobs", "top_logprobs"} <= settings,
            brief="max_tokens" in settings and getattr(llm, "max_tokens", 0) is None,
        )

    def __repr__(self) -> str:
        return f"LlamaIndexModel({self.name!r})"

    @property
    def name(self) -> str:
        """Class and model, as in "OpenAI:gpt-4o-mini"."""
        return f"{self.llm.class_name()}:{self.llm.metadata.model_name}"

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """The reply: the arguments of the function it called, else its text."""
        return run_inline(self._complete(Inline(), messages, schema))

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """Async `complete`."""
        return await self._complete(Asyncio(), messages, schema)

    async def _complete(self, io: IO, messages: Sequence[Prompt], schema: Schema | None) -> Completion:
        while True:
            manner = self._manner
            limit = schema.max_tokens if schema and manner.brief else None
            options: dict[str, Any] = {"max_tokens": limit} if limit else {}
            try:
                completion = await self._asked(io, messages, schema, manner, options)
            except Exception as error:
                narrower = _narrowed(manner, error)
                if narrower is None:
                    raise
                self._learn(manner, narrower)
            else:
                if completion.content or not limit:
                    return completion
                self._learn(manner, replace(manner, brief=False))

    async def _asked(
        self,
        io: IO,
        messages: Sequence[Prompt],
        schema: Schema | None,
        manner: _Manner,
        options: Mapping[str, Any],
    ) -> Completion:
        llm = self.llm
        if schema and schema.choice and manner.tells and llm.metadata.is_chat_model:
            form = Dialect().form(schema)
            return _told(await io.call(llm.chat, llm.achat, _chat(messages, None), **form, **options), schema)
        if schema and isinstance(llm, FunctionCallingLLM) and llm.metadata.is_function_calling_model:
            call = _call(messages, schema)
            reply = await io.call(llm.chat_with_tools, llm.achat_with_tools, **call, **options)
            return _completion(reply, schema, _selected(llm, reply))
        return _completion(await io.call(llm.chat, llm.achat, _chat(messages, schema), **options), schema, [])

    def _learn(self, tried: _Manner, narrower: _Manner) -> None:
        _log.debug("%s did not answer to %s; trying %s", self.name, tried, narrower)
        if self._manner == tried:  # else a request that ran beside this one has learned it already
            self._manner = narrower


def _narrowed(tried: _Manner, error: Exception) -> _Manner | None:
    """The next way of asking that is worth a try; None where the error speaks of something else."""
    if tried.brief and "max_tokens" in str(error):
        return replace(tried, brief=False)
    if tried.tells and _REFUSED.search(str(error)):
        return replace(tried, tells=False)
    return None


class LlamaIndexEmbedder:
    """Any LlamaIndex `BaseEmbedding` as the engine's `Embedder`.

    The length of its vectors is found out by embedding one word, when it is first asked for.
    """

    def __init__(self, embed_model: BaseEmbedding) -> None:
        self.embed_model = embed_model
        self._dimensions: int | None = None
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"LlamaIndexEmbedder({self.name!r})"

    @property
    def name(self) -> str:
        """Class and model, as in "OpenAIEmbedding:text-embedding-3-small": the identity in the store."""
        return f"{self.embed_model.class_name()}:{self.embed_model.model_name}"

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""
        with self._guard:
            if self._dimensions is None:
                self._dimensions = len(self.embed_model.get_text_embedding("dimensions"))
            return self._dimensions

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float[len(texts), dimensions]"""
        return self.embed_model.get_text_embedding_batch(list(texts))

    async def aembed_documents(self, texts: Sequence[str]) -> Vectors:
        """Async `embed_documents`."""
        return await self.embed_model.aget_text_embedding_batch(list(texts))

    def embed_query(self, text: str) -> Vector:
        """float[dimensions]"""
        return self.embed_model.get_query_embedding(text)

    async def aembed_query(self, text: str) -> Vector:
        """Async `embed_query`."""
        return await self.embed_model.aget_query_embedding(text)


def as_language_model(llm: LLM | LanguageModel) -> LanguageModel:
    """The engine's `LanguageModel` for what a user passes: a LlamaIndex model, or one of the engine's own.

    Raises InputError for anything else.
    """
    if isinstance(llm, LLM):
        return LlamaIndexModel(llm)
    if isinstance(llm, LanguageModel):
        return llm
    raise InputError(f"llm={llm!r} is neither a LlamaIndex LLM nor a holdfast.LanguageModel")


def as_embedder(embed_model: BaseEmbedding | Embedder) -> Embedder:
    """The engine's `Embedder` for what a user passes. Raises InputError for anything else."""
    if isinstance(embed_model, BaseEmbedding):
        return LlamaIndexEmbedder(embed_model)
    if isinstance(embed_model, Embedder):
        return embed_model
    raise InputError(
        f"embed_model={embed_model!r} is neither a LlamaIndex BaseEmbedding nor a holdfast.Embedder"
    )


class _ReplyMetadata(ToolMetadata):
    """A tool whose parameters are a function's as they stand, not what pydantic derives."""

    def __init__(self, function: Mapping[str, Any]) -> None:
        super().__init__(description=function["description"], name=function["name"])
        self._form = dict(function["parameters"])

    def get_parameters_dict(self) -> dict[str, Any]:
        return self._form


def _call(messages: Sequence[Prompt], schema: Schema) -> dict[str, Any]:
    """The arguments of `chat_with_tools` that make the reply a call of functions."""
    tools = [FunctionTool(fn=_never_called, metadata=_ReplyMetadata(one)) for one in functions(schema)]
    several: dict[str, Any] = {"allow_parallel_tool_calls": True} if schema.calls else {}
    return {"tools": tools, "chat_history": _chat(messages, None), "tool_required": True, **several}


def _told(reply: ChatResponse, schema: Schema) -> Completion:
    """The choice, and how likely each was, from the provider's own reply: LlamaIndex leaves out the tokens."""
    [choice, *_] = getattr(reply.raw, "choices", None) or [None]
    tokens = getattr(getattr(choice, "logprobs", None), "content", None) or []
    told = likelihoods([token.model_dump() for token in tokens], schema)
    return Completion(reply.message.content or "", _usage(reply), told)


def _never_called(**reply: Any) -> None:
    raise AssertionError("the reply is the call's arguments; the function itself does nothing")


def _chat(messages: Sequence[Prompt], schema: Schema | None) -> list[ChatMessage]:
    shown = messages if schema is None else with_schema(messages, schema)
    return [ChatMessage(role=prompt.role, content=prompt.content) for prompt in shown]


def _selected(llm: FunctionCallingLLM, reply: ChatResponse) -> list[ToolSelection]:
    return llm.get_tool_calls_from_response(reply, error_on_no_tool_call=False) or []


def _completion(reply: ChatResponse, schema: Schema | None, calls: Sequence[ToolSelection]) -> Completion:
    said = called(schema, [(call.tool_name, call.tool_kwargs) for call in calls]) if calls else ""
    return Completion(said or reply.message.content or "", _usage(reply))


def _usage(reply: ChatResponse) -> Usage:
    """Tokens where the integration says: in `additional_kwargs`, or as the provider's own `usage`."""
    raw = reply.raw
    told = [
        reply.additional_kwargs,
        _plain(raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)),
    ]
    return Usage(1, _first(told, _INPUT_KEYS), _first(told, _OUTPUT_KEYS))


def _plain(usage: Any) -> Mapping[str, Any]:
    if isinstance(usage, Mapping):
        return usage
    return {key: getattr(usage, key, None) for key in (*_INPUT_KEYS, *_OUTPUT_KEYS)}


def _first(places: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> int:
    found = (place.get(key) for place in places for key in keys)
    return next((value for value in found if isinstance(value, int)), 0)
