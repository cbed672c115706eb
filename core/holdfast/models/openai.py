"""Language models and embedders behind OpenAI-compatible endpoints: OpenAI, Ollama, llama.cpp, vLLM ..."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import EmbeddingError, InputError, ModelError, ModelRefusedError
from ..io import IO, operation
from ..ports import Completion, Prompt, Schema
from ..types import Usage
from .dialect import Dialect, Ladder, Reply, Structure, rungs
from .endpoint import Endpoint
from .likelihoods import spoken

log = logging.getLogger("holdfast")

MAX_TOKENS = 4096  # of a reply: room for some 100 facts; ends a small model that repeats itself
KNOWN_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


class OpenAIModel:
    """A chat model behind an OpenAI-compatible endpoint. Needs the extra `openai`.

    model: as the endpoint names it. `name` is the same.
    base_url, api_key: if None, OPENAI_BASE_URL and OPENAI_API_KEY are read, now and not later.
    timeout: seconds for one request. max_retries: after time-outs, lost connections, rate limits, 5xx.
    temperature: 0 for repeatable memories; with None, or a model that refuses it, the endpoint's own.
    max_tokens: of one reply, at most; None for the endpoint's own limit. Replies whose longest form is known are cut
        off sooner, unless the model turns out to think before it answers.
    structured: how the form of a reply is asked for. "auto" begins with "json_schema" and moves on to "tool",
        "json_object" and "text" as the endpoint refuses, and remembers it for the life of this object.
    extra_body: further fields of the request, as the endpoint knows them.

    Raises InputError if the `openai` package or OpenAI's key is missing. Requests raise ModelRefusedError
    for refusals and content filters, ModelError for everything else. A reply cut off at `max_tokens` is
    returned as text, for the reader to save what is whole.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        max_retries: int = 2,
        temperature: float | None = 0.0,
        max_tokens: int | None = MAX_TOKENS,
        structured: Literal["auto"] | Structure = "auto",
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = _model_name(model)
        self._endpoint = Endpoint(base_url, api_key, timeout, max_retries)
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._extra_body = dict(extra_body) if extra_body else None
        self._ladder = Ladder(self._model, Dialect(rungs(structured)))

    def __repr__(self) -> str:
        return f"OpenAIModel({self._model!r}, base_url={self._endpoint.shown!r})"

    @property
    def name(self) -> str:
        return self._model

    @operation
    async def complete(
        self, io: IO, messages: Sequence[Prompt], *, schema: Schema | None = None
    ) -> Completion:
        """The reply to `messages`, as an object if it is one and `schema` asked for it, else as text."""
        import openai

        async def asked(dialect: Dialect) -> Reply:
            arguments = dialect.request(
                messages, schema, temperature=self._temperature, limit=self._max_tokens
            )
            reply = await self._endpoint.request(
                io,
                lambda client: client.chat.completions.create,
                model=self._model,
                extra_body=self._extra_body,
                **arguments,
            )
            return self._read(reply, schema, dialect)

        try:
            return await self._ladder.ask(schema, asked)
        except openai.OpenAIError as error:
            self._endpoint.raise_failure(error, self._model)

    acomplete = complete.twin

    def close(self) -> None:
        """Close the connections of the sync face."""
        self._endpoint.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._endpoint.aclose()

    def _read(self, reply: Any, schema: Schema | None, dialect: Dialect) -> Reply:
        """The reply. Raises ModelRefusedError, and ModelError if there is none."""
        where = f"{self._model} at {self._endpoint.shown}"
        if not getattr(reply, "choices", None):
            raise ModelError(
                f"{where} returned no choices: {getattr(reply, 'error', None) or 'an empty reply'}"
            )
        choice = reply.choices[0]
        message = choice.message
        refusal = getattr(message, "refusal", None)
        if refusal or choice.finish_reason == "content_filter":
            raise ModelRefusedError(
                f"{where} declined to answer: {refusal or 'its content filter stopped it'}"
            )
        text, cut_off = message.content or "", choice.finish_reason == "length"
        parsed = None if schema is None else _object(text)
        said = Reply(text, parsed, _calls(message), _usage(reply), spoken(choice), cut_off)
        if cut_off and said.unanswered and not text.strip() and not dialect.most_tokens(schema):
            raise ModelError(
                f"{where} spent max_tokens={self._max_tokens} without an answer. Raise max_tokens=."
            )
        if cut_off:
            log.debug("%s was cut off at its limit of tokens", where)
        return said


class OpenAIEmbedder:
    """Embeddings of an OpenAI-compatible endpoint. Needs the extra `openai`.

    model: as the endpoint names it. The store records `name`, which is the model and, if vectors are
        shortened, their length; the same model elsewhere has the same name.
    dimensions: the length of the vectors. If None, it is known for OpenAI's models, and for others found
        by embedding one word when first needed. OpenAI's text-embedding-3 models shorten their vectors
        to it; from others it is only expected.
    base_url, api_key, timeout, max_retries: as for `OpenAIModel`.
    batch_size: texts per request.

    Raises EmbeddingError for vectors of a wrong number, size or value, and ModelError as `OpenAIModel` does.
    """

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        *,
        dimensions: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        max_retries: int = 2,
        batch_size: int = 128,
    ) -> None:
        if (dimensions is not None and dimensions < 1) or batch_size < 1:
            raise InputError(f"dimensions={dimensions} and batch_size={batch_size} must be at least 1")
        self._model = _model_name(model)
        self._endpoint = Endpoint(base_url, api_key, timeout, max_retries)
        native = KNOWN_DIMENSIONS.get(model)
        self._shortened = native is not None and dimensions not in (None, native)
        self._dimensions = dimensions or native
        self._batch_size = batch_size

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self._model!r}, base_url={self._endpoint.shown!r})"

    @property
    def name(self) -> str:
        return f"{self._model}@{self._dimensions}" if self._shortened else self._model

    @property
    def dimensions(self) -> int:
        if self._dimensions is None:
            self._dimensions = len(self.embed_query("dimensions"))
        return self._dimensions

    @operation
    async def embed_documents(self, io: IO, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32[len(texts), dimensions], one row per text."""
        parts = [await self._embed_batch(io, batch) for batch in _batches(texts, self._batch_size)]
        if not parts:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        return np.concatenate(parts)

    aembed_documents = embed_documents.twin

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """float32[dimensions]."""
        return self.embed_documents([text])[0]  # type: ignore[no-any-return]

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Async `embed_query`."""
        return (await self.aembed_documents([text]))[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connections of the sync face."""
        self._endpoint.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._endpoint.aclose()

    async def _embed_batch(self, io: IO, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import openai

        arguments: dict[str, Any] = {"dimensions": self._dimensions} if self._shortened else {}
        try:
            reply = await self._endpoint.request(
                io,
                lambda client: client.embeddings.create,
                model=self._model,
                input=[text if text.strip() else "-" for text in texts],  # OpenAI refuses empty inputs
                encoding_format="float",  # base64, the package's own choice, is not understood everywhere
                **arguments,
            )
        except openai.OpenAIError as error:
            self._endpoint.raise_failure(error, self._model)
        return self._checked(reply, len(texts))

    def _checked(self, reply: Any, expected: int) -> npt.NDArray[np.float32]:
        where = f"{self._model} at {self._endpoint.shown}"
        rows = sorted(getattr(reply, "data", None) or [], key=lambda row: row.index)
        if len(rows) != expected:
            raise EmbeddingError(f"{where} returned {len(rows)} vectors for {expected} texts")
        sizes = {len(row.embedding) for row in rows}
        if self._dimensions is None and len(sizes) == 1:
            self._dimensions = next(iter(sizes))
        if sizes != {self._dimensions}:
            raise EmbeddingError(
                f"{where} returned vectors of length {', '.join(map(str, sorted(sizes)))}, "
                f"where {self._dimensions} were expected. Is dimensions= right?"
            )
        vectors = np.asarray([row.embedding for row in rows], dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise EmbeddingError(f"{where} returned vectors with values that are not finite")
        return vectors


def _model_name(model: str) -> str:
    if not isinstance(model, str) or not model.strip():
        raise InputError(f"model={model!r}: name a model of the endpoint")
    return model


def _batches(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _calls(message: Any) -> list[tuple[str, Any]]:
    """The functions that the model called: names and arguments, as an object if they are one."""
    functions = (getattr(call, "function", None) for call in getattr(message, "tool_calls", None) or [])
    return [(one.name, _object(one.arguments) or one.arguments) for one in functions if one and one.arguments]


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _usage(reply: Any) -> Usage:
    usage = getattr(reply, "usage", None)
    return Usage(
        calls=1,
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
    )
