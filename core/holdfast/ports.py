"""What a user can bring: a language model, an embedder, a reranker, a redactor.

Each is a Protocol: any object with these members will do. Every method has an `a…` twin that the async
face awaits; if there is nothing to await, the twin may simply return what the method returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .types import Role, Usage

Vectors = Sequence[Sequence[float]] | npt.NDArray[np.floating[Any]]
Vector = Sequence[float] | npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One message of a request to a language model."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The form that a reply should have.

    name: letters, digits and underscores, as providers require of tools and response formats.
    description: one line, for models that are given the schema as a tool.
    json: a JSON Schema of type object; every property is required, and no others are allowed.
    choice: a property with an `enum` of which it helps to know how likely the model found each value; else None.
    max_tokens: the length of the longest reply that makes sense, thoughts not included. A small model that repeats
        itself without end should be cut off there. None if there is no such length.
    calls: functions whose calls say the same, for models that call functions but do not keep to a form. The reply is
        then `{"calls": [{"name": ..., "arguments": {...}}]}`. Empty if the form itself serves as one function.
    """

    name: str
    description: str
    json: Mapping[str, Any]
    choice: str | None = None
    max_tokens: int | None = None
    calls: tuple[Schema, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A language model's reply.

    content: the parsed object if the provider parsed it, else the text as it came.
    usage: one call and its tokens; zero tokens if the provider does not say.
    likelihoods: for a schema with a `choice`, how likely each of its values was, in [0, 1]. Empty if the provider
        does not say.
    """

    content: str | Mapping[str, Any]
    usage: Usage = field(default_factory=lambda: Usage(calls=1))
    likelihoods: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class LanguageModel(Protocol):
    """Answers a prompt, in the form of `schema` as far as it can.

    name: its identity, under which the store keeps how the model did in its examination.

    Raises ModelError or a subclass if it fails. Whatever else it raises is wrapped in a ModelError.
    """

    @property
    def name(self) -> str: ...

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion: ...

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors: float[texts, dimensions], or float[dimensions] for a query, of any length.

    name: its identity, recorded in the store; another name means other vectors.
    dimensions: the number of components of a vector.

    Whatever it raises is wrapped in an EmbeddingError.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors: ...

    async def aembed_documents(self, texts: Sequence[str]) -> Vectors: ...

    def embed_query(self, text: str) -> Vector: ...

    async def aembed_query(self, text: str) -> Vector: ...


@runtime_checkable
class Reranker(Protocol):
    """Scores texts against a query: one finite number per text, higher for a better answer."""

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...

    async def arerank(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...


@runtime_checkable
class Redactor(Protocol):
    """Masks what must not be stored or sent to a model. Called once per text, before the journal."""

    def redact(self, text: str) -> str: ...
