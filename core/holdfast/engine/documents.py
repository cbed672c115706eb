"""The document store of a `Memory`: documents found by key, by filter, or by meaning.

What frameworks keep besides memories: profiles, settings, an agent's notes. Documents are written and read as they
are; nothing is extracted from them and nothing merges. Operations are data: a batch of them is one transaction, in
which every read sees the state before the batch's writes.

Search is exact: it compares the query with every vector under the prefix, in the process. `python
bench/cost/documents.py` shows where that stops being fast; memories, which have an index, are the place for more.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..errors import InputError
from ..io import IO, operation
from ..storage.ledger.document_values import Vectors, dump_value, plain_value
from ..storage.store import Store
from ..types.documents import DocumentOperation as Operation
from ..types.documents import DocumentResult as Result
from ..types.documents import Find, Namespaces, Put
from ..types.storable import storable
from .arguments import limit_of
from .embed import embed_documents, embed_query
from .masking import Masking

LONGEST_TTL = timedelta(days=366_000)  # a thousand years


class Documents:
    """The document store of a `Memory`: `memory.documents`. Thread-safe; closed with the memory.

    The memory's embedder embeds its texts. `Memory.reset` removes documents. `erase` does not, because they carry no
    user's id.
    """

    def __init__(self, store: Store, masking: Masking) -> None:
        self._store = store
        self._masking = masking

    @operation
    async def batch(self, io: IO, operations: Sequence[Operation]) -> list[Result]:
        """The results, in the order of the operations; None for a `Put`.

        If several operations write one key, the last one counts.
        Raises InputError, EmbeddingError, StorageError, ClosedError; then nothing is changed.
        """
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

    abatch = batch.twin

    @operation
    async def sweep(self, io: IO) -> int:
        """Delete the documents that have expired. Returns how many. Raises StorageError, ClosedError."""
        self._store.check()
        swept: int = await io.run(self._store.ledger.documents.sweep)
        return swept

    asweep = sweep.twin

    @staticmethod
    def plain(value: Mapping[str, Any]) -> dict[str, Any]:
        """A value as it comes back from the store: JSON objects, lists, texts, numbers. Raises InputError."""
        return plain_value(value)

    def filter(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A filter with its keys as the store has them.

        Raises FilterError if it compares with a text that the redactor masks, which could find nothing.
        """
        masked = self._masking.filters(given)
        return given if masked is None else masked

    async def _reembed(self, io: IO) -> None:
        """Give texts written before the store's embedder changed its vectors."""
        embedder = self._store.basis.embedder
        while rows := await io.run(self._store.ledger.documents.foreign, embedder.name, 256):
            vectors = await embed_documents(io, embedder, [text for _, _, text in rows])
            await io.run(self._store.ledger.documents.set_vectors, embedder.name, rows, vectors)


def _checked(operation: Operation) -> Operation:
    """The operation, with search terms that databases and embedders accept. Raises InputError."""
    match operation:
        case Put():
            if not operation.namespace:
                raise InputError(f"the document {operation.key!r} needs a namespace of at least one label")
            if operation.ttl is not None and not timedelta() <= operation.ttl <= LONGEST_TTL:
                raise InputError(f"ttl={operation.ttl} is not between 0 and {LONGEST_TTL.days} days")
            return dataclasses.replace(
                operation, texts={path: storable(text) for path, text in operation.texts.items()}
            )
        case Find():
            limit_of(operation.limit, least=0)
            limit_of(operation.offset, "offset", least=0)
            query = operation.query
            return dataclasses.replace(operation, query=None if query is None else storable(query))
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


def _texts(operations: Sequence[Operation]) -> list[str]:
    """Every text to embed, once."""
    written = (op for op in operations if isinstance(op, Put) and op.value is not None)
    return list(dict.fromkeys(text for op in written for text in op.texts.values() if text.strip()))
