"""LlamaIndex's language models and embeddings as the engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import FunctionTool, ToolMetadata

from holdfast import Completion, Embedder, InputError, LanguageModel, Prompt, Schema, Usage
from holdfast.io import IO, operation
from holdfast.models.borrowed import BorrowedEmbedder
from holdfast.models.dialect import Dialect, Ladder, Reply, Rungs, functions
from holdfast.models.likelihoods import spoken

_INPUT_KEYS = ("prompt_tokens", "input_tokens")
_OUTPUT_KEYS = ("completion_tokens", "output_tokens")


class LlamaIndexModel:
    """Any LlamaIndex `LLM` as the engine's `LanguageModel`.

    A chat model with the settings `logprobs` and `top_logprobs` (OpenAI and its kin) is asked for replies that keep
    to a JSON Schema, and, if a reply is a choice, for how likely each value was, as merging is better with it.
    One that refuses, or has no such settings, is made to call a function whose arguments are the reply, if it calls
    functions; the others are shown the form of the reply in the prompt. What a model answered to is remembered for
    the life of this object.

    A model whose `max_tokens` is not set is cut off at the longest reply that the form allows, as small models may
    repeat themselves without end; this stops once a reply shows that the model thinks before it answers.

    llm: any `LLM`.
    """

    def __init__(self, llm: LLM) -> None:
        self.llm = llm
        ways, unlimited = _rungs(llm), getattr(llm, "max_tokens", 0) is None
        dialect = Dialect(
            ways, temperature=False, limit=False, likelihoods="json_schema" in ways, brief=unlimited
        )
        self._ladder = Ladder(self.name, dialect)

    def __repr__(self) -> str:
        return f"LlamaIndexModel({self.name!r})"

    @property
    def name(self) -> str:
        """Class and model, as in "OpenAI:gpt-4o-mini"."""
        return f"{self.llm.class_name()}:{self.llm.metadata.model_name}"

    @operation
    async def complete(
        self, io: IO, messages: Sequence[Prompt], *, schema: Schema | None = None
    ) -> Completion:
        """The reply: the arguments of the function that the model called, else its text. Raises whatever the
        model raises; the engine wraps it in ModelError.
        """
        llm: Any = self.llm

        async def asked(dialect: Dialect) -> Reply:
            shown = dialect.shown(messages, schema)
            chat = [ChatMessage(role=prompt.role, content=prompt.content) for prompt in shown]
            most = dialect.most_tokens(schema)
            options: dict[str, Any] = {"max_tokens": most} if most else {}
            if schema is not None and dialect.structure == "tool":
                options |= {"chat_history": chat, **_tools(schema)}
                return _reply(await io.call(llm.chat_with_tools, llm.achat_with_tools, **options), llm)
            return _reply(await io.call(llm.chat, llm.achat, chat, **options, **dialect.form(schema)))

        return await self._ladder.ask(schema, asked)

    acomplete = complete.twin


class LlamaIndexEmbedder(BorrowedEmbedder):
    """Any LlamaIndex `BaseEmbedding` as the engine's `Embedder`.

    Its name is class and model, as in "OpenAIEmbedding:text-embedding-3-small". The length of its vectors is
    determined by embedding one word, when first needed.
    """

    def __init__(self, embed_model: BaseEmbedding) -> None:
        super().__init__(
            f"{embed_model.class_name()}:{embed_model.model_name}",
            (embed_model.get_text_embedding_batch, embed_model.aget_text_embedding_batch),
            (embed_model.get_query_embedding, embed_model.aget_query_embedding),
        )


def as_language_model(llm: LLM | LanguageModel) -> LanguageModel:
    """The engine's `LanguageModel` for what a user passes: a LlamaIndex model or one of the engine's.

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
    """A tool whose parameters are a function's own, not what pydantic derives."""

    def __init__(self, function: Mapping[str, Any]) -> None:
        super().__init__(description=function["description"], name=function["name"])
        self._form = dict(function["parameters"])

    def get_parameters_dict(self) -> dict[str, Any]:
        return self._form


def _rungs(llm: LLM) -> Rungs:
    """How a model can be asked for structure, according to itself."""
    told = llm.metadata
    kin = told.is_chat_model and {"logprobs", "top_logprobs"} <= type(llm).model_fields.keys()
    calls = isinstance(llm, FunctionCallingLLM) and told.is_function_calling_model
    return (*(("json_schema",) if kin else ()), *(("tool",) if calls else ()), "text")


def _tools(schema: Schema) -> dict[str, Any]:
    """The arguments of `chat_with_tools` that make the reply a call of functions."""
    tools = [FunctionTool(fn=_never_called, metadata=_ReplyMetadata(one)) for one in functions(schema)]
    several: dict[str, Any] = {"allow_parallel_tool_calls": True} if schema.calls else {}
    return {"tools": tools, "tool_required": True, **several}


def _never_called(**reply: Any) -> None:
    raise AssertionError("the reply is the call's arguments; the function itself does nothing")


def _reply(said: ChatResponse, caller: FunctionCallingLLM | None = None) -> Reply:
    """caller: the model, if it was given functions to call.

    Only the provider's own reply says how likely the tokens were, and whether they were cut off."""
    calls = caller.get_tool_calls_from_response(said, error_on_no_tool_call=False) if caller else ()
    [choice, *_] = getattr(said.raw, "choices", None) or [None]
    return Reply(
        said.message.content or "",
        calls=[(call.tool_name, call.tool_kwargs) for call in calls or ()],
        usage=_usage(said),
        tokens=spoken(choice),
        cut_off=getattr(choice, "finish_reason", None) == "length",
    )


def _usage(reply: ChatResponse) -> Usage:
    """Tokens, if the integration reports them: in `additional_kwargs`, or as the provider's own `usage`."""
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
