"""LangChain's models for the engine: any chat model as its `LanguageModel`, any embeddings as its `Embedder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig

from holdfast import Completion, InputError, ModelRefusedError, Prompt, Schema, Usage
from holdfast.io import IO, operation
from holdfast.models.borrowed import BorrowedEmbedder
from holdfast.models.dialect import Dialect, Ladder, Reply, Rungs, functions, rungs
from holdfast.models.likelihoods import MOST_ALTERNATIVES

Structure = Literal["json_schema", "tool", "text"]
STRUCTURES: Rungs = ("json_schema", "tool", "text")

# Chat models' names for the length at which a reply is cut off.
_LIMITS = ("max_tokens", "num_predict", "max_output_tokens")
# How they report that it was: OpenAI, Ollama, Anthropic, Google.
_CUT_OFF = {
    ("finish_reason", "length"),
    ("done_reason", "length"),
    ("stop_reason", "max_tokens"),
    ("finish_reason", "MAX_TOKENS"),
}


class LangChainModel:
    """A LangChain chat model as the engine's language model.

    A chat model with the settings `logprobs` and `top_logprobs` (ChatOpenAI and its kin, ChatOllama, ChatHuggingFace)
    is asked for them if a reply is a choice, as merging is better with them, until it refuses; with
    `logprobs=False` it is not. One whose `max_tokens` (or `num_predict`) is not set is cut off at the longest reply
    that the form allows, as small models may repeat themselves without end; this stops once a reply shows that the
    model thinks before it answers.

    model: a chat model, or a runnable around one (`with_retry`, `with_fallbacks`, `bind`).
    name: by default the model's own.
    structured: how the form of a reply is asked for. "auto" takes the first of "json_schema", "tool" and "text"
        that the model does not refuse, and remembers it for the life of this object.
    callbacks: called for every request. Those of a surrounding chain or agent are not: memory's requests
        to its model are not part of the conversation, and appear in no stream.
    config: further parts of the `RunnableConfig`, metadata or tags.

    Raises InputError if `model` is not a runnable, or `structured` none of these.
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
        self._model = model
        self._name = name or _model_name(model)
        ways = rungs(structured, STRUCTURES, first=_first(model))
        self._ladder = Ladder(self._name, Dialect(ways, temperature=False, limit=False))
        self._config: RunnableConfig = {
            "run_name": "holdfast",
            **(config or {}),
            # LangGraph leaves such calls out of its streams.
            "tags": [*(config or {}).get("tags", []), "nostream"],
            "callbacks": list(
                callbacks
            ),  # passed even if empty: otherwise the surrounding chain's are inherited
        }

    def __repr__(self) -> str:
        return f"LangChainModel({self._name!r}, structured={self._ladder.dialect.structure!r})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @operation
    async def complete(
        self, io: IO, messages: Sequence[Prompt], *, schema: Schema | None = None
    ) -> Completion:
        """The reply to `messages`, as an object if the model gave one and `schema` asked for it.

        Raises ModelRefusedError if the model or its content filter declined to answer, and whatever else the
        model raises.
        """

        async def asked(dialect: Dialect) -> Reply:
            model = _asking(self._model, schema, dialect)
            shown = convert_prompts_to_langchain(dialect.shown(messages, schema))
            try:
                return _reply(await io.call(model.invoke, model.ainvoke, shown, self._config))
            except Exception as error:
                if (begun := _begun(error)) is None:
                    raise
                return begun

        return await self._ladder.ask(schema, asked)

    acomplete = complete.twin


def as_language_model(model: Runnable[Any, Any], **options: Any) -> LangChainModel:
    """A LangChain chat model as the engine's: `Memory(llm=as_language_model(chat_model))`.

    model: a chat model, or a runnable around one.
    options: as for `LangChainModel`.

    Raises InputError as it does.
    """
    return LangChainModel(model, **options)


def convert_prompts_to_langchain(prompts: Sequence[Prompt]) -> list[BaseMessage]:
    """The engine's prompts as LangChain's messages."""
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "assistant": AIMessage}
    return [kinds.get(prompt.role, HumanMessage)(content=prompt.content) for prompt in prompts]


def _asking(model: Any, schema: Schema | None, dialect: Dialect) -> Any:
    """The model, made to reply in this form if it has settings for it."""
    if schema is None:
        return model
    model = model.model_copy(update=changed) if (changed := _changed(model, schema, dialect)) else model
    match dialect.structure:
        case "json_schema":
            form = {"title": schema.name, "description": schema.description, **schema.json}
            return model.with_structured_output(form, method="json_schema", include_raw=True)
        case "tool":
            tools = [{"type": "function", "function": function} for function in functions(schema)]
            return model.bind_tools(tools, tool_choice="any")
        case _:
            return model


def _changed(model: Any, schema: Schema, dialect: Dialect) -> dict[str, Any]:
    """The settings for token likelihoods and for the cut-off, if it has them and they are not set."""
    has = set(getattr(type(model), "model_fields", ()))
    changed: dict[str, Any] = {}
    tells = schema.choice and dialect.likelihoods and {"logprobs", "top_logprobs"} <= has
    if tells and model.logprobs is not False and not model.top_logprobs:
        changed = {"logprobs": True, "top_logprobs": MOST_ALTERNATIVES}
    unset = [limit for limit in _LIMITS if limit in has and getattr(model, limit) is None]
    if unset and (most := dialect.most_tokens(schema)):
        changed[unset[0]] = most
    return changed


def _first(model: Any) -> Any:
    """What the model says it can do; "json_schema" if it says nothing."""
    if not hasattr(model, "with_structured_output"):
        return "text"
    profile = getattr(model, "profile", None)
    if not isinstance(profile, Mapping) or profile.get("structured_output", True):
        return "json_schema"
    return "tool" if profile.get("tool_calling", True) else "text"


def _reply(said: Any) -> Reply:
    """From a message, from `{"raw": message, "parsed": ...}`, or from the text of a plain language model."""
    parsed = None
    if isinstance(said, Mapping) and "raw" in said:
        said, parsed = said["raw"], said["parsed"]
    if not isinstance(said, BaseMessage):
        return Reply(str(said))
    told = said.response_metadata
    refusal = said.additional_kwargs.get("refusal")
    if refusal or told.get("finish_reason") == "content_filter":
        raise ModelRefusedError(f"the model declined to answer: {refusal or 'its content filter stopped it'}")
    # A call whose arguments are not JSON says something, too.
    calls = [*getattr(said, "tool_calls", []), *getattr(said, "invalid_tool_calls", [])]
    usage = getattr(said, "usage_metadata", None) or {}
    tokens = told.get("logprobs") or []  # a list, or OpenAI's object around one
    return Reply(
        said.text,
        dict(parsed) if isinstance(parsed, Mapping) else None,
        [(call["name"], call["args"]) for call in calls],
        Usage(1, usage.get("input_tokens", 0), usage.get("output_tokens", 0)),
        (tokens.get("content") or []) if isinstance(tokens, Mapping) else tokens,
        any(told.get(key) == value for key, value in _CUT_OFF),
    )


def _begun(error: Exception) -> Reply | None:
    """What there is of a truncated reply: ChatOpenAI raises an error that holds it."""
    whole = getattr(error, "completion", None)
    choices = getattr(whole, "choices", None)
    text = choices[0].message.content if choices else None
    if not text:
        return None
    usage = getattr(whole, "usage", None)
    told = (getattr(usage, key, None) or 0 for key in ("prompt_tokens", "completion_tokens"))
    return Reply(text, usage=Usage(1, *told), cut_off=True)


class LangChainEmbedder(BorrowedEmbedder):
    """LangChain embeddings as the engine's embedder.

    embeddings: any `Embeddings`.
    name: the identity under which the store records its vectors; by default made of the class and the model.
        Give one if two models would share it.
    dimensions: the length of the vectors; by default determined by embedding one word.

    Raises InputError if `embeddings` are not `Embeddings`.
    """

    def __init__(
        self, embeddings: Embeddings, *, name: str | None = None, dimensions: int | None = None
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise InputError(f"embeddings={embeddings!r} is no Embeddings of LangChain")
        super().__init__(
            name or _embedder_name(embeddings),
            (embeddings.embed_documents, embeddings.aembed_documents),
            (embeddings.embed_query, embeddings.aembed_query),
            dimensions,
        )


def as_embedder(embeddings: Embeddings, **options: Any) -> LangChainEmbedder:
    """LangChain embeddings as the engine's: `Memory(embedder=as_embedder(embeddings))`.

    embeddings: any `Embeddings`.
    options: as for `LangChainEmbedder`.

    Raises InputError as it does.
    """
    return LangChainEmbedder(embeddings, **options)


def _model_name(model: Any) -> str:
    for attribute in ("model_name", "model", "model_id"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__


def _embedder_name(embeddings: Any) -> str:
    """Class, model and, if it is chosen, the length of the vectors."""
    parts = [type(embeddings).__name__]
    for attribute in ("model", "model_name", "model_id", "deployment", "repo_id"):
        value = getattr(embeddings, attribute, None)
        if isinstance(value, str) and value:
            parts.append(value)
            break
    chosen = getattr(embeddings, "dimensions", None)
    return "/".join(parts) + (f"@{chosen}" if isinstance(chosen, int) else "")
