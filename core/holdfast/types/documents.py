"""Documents, and the operations on them as data: a batch of them is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

Namespace: TypeAlias = tuple[str, ...]
Matches = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    score: if a query was asked, its cosine with the nearest of the document's texts.
    """

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """The document of a key, or None.

    refresh: start its time to live anew.
    expired: return it even if it has expired.
    """

    namespace: Namespace
    key: str
    refresh: bool = False
    expired: bool = True


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole document, or delete it if the value is None.

    texts: path -> a text by which the document is found; embedded unless blank.
    ttl: how long until it expires; None for never.
    new: only if there is none; else nothing of the batch is written, and it raises InputError.
    """

    namespace: Namespace
    key: str
    value: Mapping[str, Any] | None
    texts: Mapping[str, str] = field(default_factory=dict)
    ttl: timedelta | None = None
    new: bool = False


@dataclass(frozen=True, slots=True)
class Find:
    """Documents in and below a namespace: with a query, the nearest first; else the last written first.

    matches: whether a document's value is wanted.
    refresh, expired: as for `Get`.
    """

    prefix: Namespace
    query: str | None = None
    matches: Matches | None = None
    limit: int = 10
    offset: int = 0
    refresh: bool = False
    expired: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on a namespace: how it begins, or how it ends. "*" stands for any one label."""

    kind: Literal["prefix", "suffix"]
    path: Namespace

    def __call__(self, namespace: Namespace) -> bool:
        if len(namespace) < len(self.path):
            return False
        part = namespace[: len(self.path)]
        if self.kind == "suffix":
            part = namespace[len(namespace) - len(self.path) :]
        return all(wanted in ("*", label) for wanted, label in zip(self.path, part, strict=True))


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespaces that hold documents, cut to `max_depth` labels, each once, in alphabetical order."""

    matches: tuple[Match, ...] = ()
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0
    expired: bool = True


DocumentOperation: TypeAlias = Get | Put | Find | Namespaces
DocumentResult: TypeAlias = Document | list[Document] | list[Namespace] | None
