"""Documents: JSON objects under namespaces and keys, found by key, by filter, or by meaning.

What frameworks keep beside memories: profiles, settings, an agent's notes. Documents are written and read as they
are; nothing is extracted from them and nothing merges. Operations are data: a batch of them is one transaction, in
which every read sees the state before the batch's writes.

Search is exact: it compares the query with every vector under the prefix, in the process. `python
bench/documents.py` shows where that ends to be fast; memories, which have an index, are the place for more.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import UUID

import numpy as np
from pydantic import BaseModel

from ..errors import InputError
from ..io import IO, Asyncio, Inline, run_inline
from .arguments import limit_of
from .embed import Matrix, embed_documents, embed_query

if TYPE_CHECKING:
    from ..storage.store import Store
    from .masking import Masking

Namespace: TypeAlias = tuple[str, ...]
Matches = Callable[[Mapping[str, Any]], bool]

_INLINE = Inline()
_ASYNCIO = Asyncio()


@dataclass(frozen=True, slots=True)
class Document:
    """One document. score: with a query, its cosine with the nearest of the document's texts."""

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """The document of a key, or None. refresh: its time to live begins anew. expired: see it even if expired."""

    namespace: Namespace
    key: str
    refresh: bool = False
    expired: bool = True


@dataclass(frozen=True, slots=True)
class Put:
    """Write a document whole, or with the value None delete it.

    texts: path -> what the document is found by; embedded unless blank.
    ttl: after which it expires.
    """

    namespace: Namespace
    key: str
    value: Mapping[str, Any] | None
    texts: Mapping[str, str] = field(default_factory=dict)
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Find:
    """Documents in and below a namespace: with a query the nearest first, else the last written first."""

    prefix: Namespace
    query: str | None = None
    matches: Matches | None = None
    limit: int = 10
    offset: int = 0
    refresh: bool = False
    expired: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on a namespace: how it begins or ends; "*" stands for any one label."""

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


Operation: TypeAlias = Get | Put | Find | Namespaces
Result: TypeAlias = "Document | list[Document] | list[Namespace] | None"


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a batch needs of the embedder. texts, queries: text -> float32[dimensions], L2-normalised."""

    embedder: str
    texts: Mapping[str, Matrix]
    queries: Mapping[str, Matrix]


class Documents:
    """The document store of a `Memory`: `memory.documents`. Thread-safe; closed with the memory.

    Its texts are embedded by the memory's embedder. `Memory.reset` removes documents, `erase` does not: they
    carry no user's id.
    """

    def __init__(self, store: Store, masking: Masking) -> None:
        self._store = store
        self._masking = masking

    def batch(self, operations: Sequence[Operation]) -> list[Result]:
        """The results, in the order of the operations; None for a `Put`. Of several to one key the last counts.

        Raises InputError, EmbeddingError, StorageError; then nothing was changed.
        """
        return run_inline(self._batch(_INLINE, operations))

    async def abatch(self, operations: Sequence[Operation]) -> list[Result]:
        """Async `batch`."""
        return await self._batch(_ASYNCIO, operations)

    def sweep(self) -> int:
        """Delete what has expired. Returns how many."""
        return run_inline(self._sweep(_INLINE))

    async def asweep(self) -> int:
        """Async `sweep`."""
        return await self._sweep(_ASYNCIO)

    async def _batch(self, io: IO, operations: Sequence[Operation]) -> list[Result]:
        self._store.check()
        operations = [_masked(_checked(operation), self._masking) for operation in operations]
        embedder = self._store.basis.embedder
        texts = _texts(operations)
        embedded = await embed_documents(io, embedder, texts)
        queries = dict.fromkeys(op.query for op in operations if isinstance(op, Find) and op.query)
        if queries:
            await self._reembed(io)
        found = {query: await embed_query(io, embedder, query) for query in queries}
        vectors = Vectors(embedder.name, dict(zip(texts, embedded, strict=True)), found)
        return await io.run(self._store.ledger.documents.batch, operations, vectors)

    async def _reembed(self, io: IO) -> None:
        """The store's embedder was changed since some texts were written: give them its vectors."""
        embedder = self._store.basis.embedder
        while rows := await io.run(self._store.ledger.documents.foreign, embedder.name, 256):
            vectors = await embed_documents(io, embedder, [text for _, _, text in rows])
            await io.run(self._store.ledger.documents.set_vectors, embedder.name, rows, vectors)

    async def _sweep(self, io: IO) -> int:
        self._store.check()
        swept: int = await io.run(self._store.ledger.documents.sweep)
        return swept


def _checked(operation: Operation) -> Operation:
    """The operation, with what it is searched by as databases and embedders take it. Raises InputError."""
    match operation:
        case Put():
            if not operation.namespace:
                raise InputError(f"the document {operation.key!r} needs a namespace of at least one label")
            if operation.ttl is not None and not timedelta() <= operation.ttl <= LONGEST_TTL:
                raise InputError(f"ttl={operation.ttl} is not between 0 and {LONGEST_TTL.days} days")
            return dataclasses.replace(
                operation, texts={path: _searchable(text) for path, text in operation.texts.items()}
            )
        case Find():
            limit_of(operation.limit, least=0)
            limit_of(operation.offset, "offset", least=0)
            query = operation.query
            return dataclasses.replace(operation, query=None if query is None else _searchable(query))
        case Namespaces():
            limit_of(operation.limit, least=0)
            limit_of(operation.offset, "offset", least=0)
    return operation


def _masked(operation: Operation, masking: Masking) -> Operation:
    """The operation, with its texts as a redactor leaves them."""
    match operation:
        case Put() if masking and operation.value is not None:
            value = masking.json(json.loads(dump_value(operation.value)))
            texts = {path: masking.text(text) for path, text in operation.texts.items()}
            return dataclasses.replace(operation, value=value, texts=texts)
        case Find() if operation.query is not None:
            return dataclasses.replace(operation, query=masking.text(operation.query))
    return operation


def _searchable(text: str) -> str:
    """What neither databases nor embedders take is shown as unreadable; the document's value has it as it was."""
    return _UNREADABLE.sub("\ufffd", text)


def _texts(operations: Sequence[Operation]) -> list[str]:
    """Every text to embed, once."""
    written = (op for op in operations if isinstance(op, Put) and op.value is not None)
    return list(dict.fromkeys(text for op in written for text in op.texts.values() if text.strip()))


# -- as the ledger keeps them ------------------------------------------------------------------------------------

LONGEST_TTL = timedelta(days=366_000)  # a thousand years
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_UNSAFE = re.compile("[%/\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"%([0-9a-f]+);")


def encode(label: str) -> str:
    """A label without the separator, and without what databases refuse. `decode` is its inverse."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):x};", label)


def decode(label: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), label)


def encode_namespace(namespace: Namespace) -> str:
    """Every label followed by "/": a prefix of labels is a prefix of the text, and nothing else is."""
    return "".join(f"{encode(label)}/" for label in namespace)


def decode_namespace(text: str) -> Namespace:
    return tuple(decode(label) for label in text.split("/")[:-1])


def plain_value(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as it comes back: JSON objects, lists, texts, numbers. Raises InputError."""
    plain: dict[str, Any] = json.loads(dump_value(value))
    return plain


def dump_value(value: Mapping[str, Any]) -> str:
    """JSON. Dates, UUIDs, enums, dataclasses and pydantic models are written as they are usually written.

    Raises InputError.
    """
    try:
        text = json.dumps(_checked_keys(dict(value)), ensure_ascii=False, allow_nan=False, default=_usual)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, default=_usual)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the document is not JSON: {error}") from error
    return text


def _checked_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a string")
            _checked_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _checked_keys(item)
    return value


def _usual(value: Any) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def nearest(query: Matrix, seqs: Sequence[int], vectors: Sequence[bytes]) -> list[tuple[int, float]]:
    """(document, cosine of its nearest text), best first; ties by the order of writing."""
    if not seqs:
        return []
    matrix = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(seqs), -1)
    best: dict[int, float] = {}
    for seq, score in zip(seqs, (matrix @ query).tolist(), strict=True):
        best[seq] = max(score, best.get(seq, -2.0))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))
