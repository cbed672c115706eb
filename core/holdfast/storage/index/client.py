"""Qdrant behind qdrant-client: a server, a cluster or the cloud; and qdrant-client's own local mode.

Local mode serves `:memory:`, and a folder where qdrant-edge has no wheel. It is blocking, so it runs under a
lock, in a thread in the async face. A server is reached by the sync client in the sync face, and by an async
client per event loop in the async face. Searches take one round trip, or two where candidates of one
ranking lack the score of the other. Every request is idempotent, so transient failures are retried.
"""

from __future__ import annotations

import os
import random
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from ...decisions.retrieval.candidates import Candidate, Candidates
from ...errors import ClosedError, StorageError, StoreLockedError
from ...io import IO, Inline, PerLoop, run_inline
from ..points import Point
from .base import IndexQuery, ServerOptions
from .payload import unpacked
from .qdrant_filters import FACETS
from .union import missing

if TYPE_CHECKING:
    from qdrant_client.client_base import QdrantBase

SLICE = 128  # points per request: some 400 KB of JSON at 768 dimensions, far below servers' 32 MB
PAGE = 2_000  # ids per scroll
ATTEMPTS = 4  # 0.2 + 0.4 + 0.8 s of waiting: rides out a restarting node, not an outage
FIRST_WAIT = 0.2


class ClientIndex:
    """An `Index`. Make it with `open`."""

    def __init__(
        self,
        sync: QdrantBase,
        clients: PerLoop | None,
        collection: str,
        dimensions: int,
        options: ServerOptions,
    ) -> None:
        from . import client_requests as _client_requests

        self._requests = _client_requests
        self._sync: QdrantBase | None = sync
        self._clients = clients
        self._collection = collection
        self._dimensions = dimensions
        self._options = options
        self._lock = threading.RLock()
        self._process = os.getpid()

    @classmethod
    def open(
        cls,
        location: str,
        dimensions: int,
        *,
        collection: str = "holdfast",
        api_key: str | None = None,
        options: ServerOptions | None = None,
    ) -> tuple[Self, bool]:
        """The index in a collection, and whether it is new and has to be filled.

        location: ":memory:", the URL of a server, or a folder for local mode.
        Raises StorageError if the server does not answer or the collection has other dimensions.
        """
        options = options or ServerOptions()
        with _Translated(f"opening the index at {location}"):
            sync, clients = _clients(location, api_key, options)
        index = cls(sync, clients, collection, dimensions, options)
        try:
            return index, run_inline(index._prepare(Inline()))
        except BaseException:
            index.close()
            raise

    @staticmethod
    def remove(location: str, collection: str, *, api_key: str | None = None) -> None:
        """Remove a collection of a server. Raises StorageError."""
        with _Translated(f"removing the collection {collection!r}"):
            client, _ = _clients(location, api_key, ServerOptions())
            try:
                client.delete_collection(collection)
            finally:
                client.close()

    async def upsert(self, io: IO, points: Sequence[Point]) -> None:
        for start in range(0, len(points), SLICE):
            made = self._requests.points(points[start : start + SLICE])
            await self._call(io, "upsert", points=made, **self._writing())

    async def delete(self, io: IO, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            chosen = self._requests.ids(ids[start : start + PAGE])
            await self._call(io, "delete", points_selector=chosen, **self._writing())

    async def query(self, io: IO, queries: Sequence[IndexQuery]) -> list[Candidates]:
        made = self._requests
        key = self._options.shard_key
        first = iter(await self._batch(io, [r for query in queries for r in made.first_requests(query, key)]))
        ranked = [(next(first), next(first) if query.sparse.indices else []) for query in queries]
        scores = [(_scores(dense), _scores(terms)) for dense, terms in ranked]
        gaps = [missing(query, *both) for query, both in zip(queries, scores, strict=True)]
        fills = [
            r for query, gap in zip(queries, gaps, strict=True) for r in made.fill_requests(query, gap, key)
        ]
        second = iter(await self._batch(io, fills))
        found = []
        for (dense, terms), (cosine, shared), gap in zip(ranked, scores, gaps, strict=True):
            more_cosine, more_shared = (_scores(next(second)) if ids else {} for ids in gap)
            facets = {str(hit.id): (hit.payload or {}).get(FACETS) for hit in (*dense, *terms)}
            shared |= more_shared
            # A point that was deleted between the two requests has no cosine any more, and is left out.
            found.append(
                Candidates.of(
                    Candidate(at, score, shared.get(at, 0.0), unpacked(facets[at]))
                    for at, score in (cosine | more_cosine).items()
                )
            )
        return found

    async def count(self, io: IO) -> int:
        return int((await self._call(io, "count", exact=True)).count)

    async def ids(self, io: IO) -> set[str]:
        found: set[str] = set()
        offset: Any = None
        while True:
            page, offset = await self._call(
                io, "scroll", limit=PAGE, offset=offset, with_payload=False, with_vectors=False
            )
            found.update(str(record.id) for record in page)
            if offset is None:
                return found

    async def clear(self, io: IO) -> None:
        await self._call(io, "delete", points_selector=self._requests.everything(), **self._writing())

    async def compact(self, io: IO) -> None:
        """A server removes deleted points' bytes by itself, when its optimizers next run."""

    async def optimize(self, io: IO) -> bool:
        """A server does it by itself."""
        return False

    async def flush(self, io: IO) -> None:
        """Writes wait until they are applied; there is nothing to flush."""

    def close(self) -> None:
        with self._lock:
            sync, self._sync = self._sync, None
        if sync is not None:
            with _Translated("closing the index"):
                sync.close()

    # -- sending requests

    def _writing(self) -> dict[str, Any]:
        given = {} if self._options.shard_key is None else {"shard_key_selector": self._options.shard_key}
        return {"wait": True, **given}

    async def _batch(self, io: IO, requests: list[Any]) -> list[Any]:
        if not requests:
            return []
        return [answer.points for answer in await self._call(io, "query_batch_points", requests=requests)]

    async def _prepare(self, io: IO) -> bool:
        """Create the collection and its payload indexes if they are missing. Returns whether it is new."""
        made = self._requests
        fresh = not await self._call(io, "collection_exists")
        if fresh:
            try:
                await self._call(io, "create_collection", **made.collection(self._dimensions, self._options))
            except StorageError:
                if not await self._call(io, "collection_exists"):
                    raise
                fresh = False  # another process was faster
        found = made.dimensions(await self._call(io, "get_collection"))
        if found != self._dimensions:
            raise StorageError(
                f"collection {self._collection!r} has vectors of {found} dimensions, not {self._dimensions}: "
                "give another collection name, or remove it"
            )
        if self._clients is not None:
            if fresh and self._options.shard_key is not None:
                await self._call(io, "create_shard_key", shard_key=self._options.shard_key)
            for name, kind in made.payload_indexes():
                await self._call(io, "create_payload_index", field_name=name, field_schema=kind, wait=True)
        return fresh

    async def _call(self, io: IO, method: str, /, **arguments: Any) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._call_once(io, method, arguments)
            except StorageError as error:
                if attempt == ATTEMPTS or not self._requests.is_transient(error.__cause__):
                    raise
            await io.sleep(FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))
        raise AssertionError("unreachable")

    async def _call_once(self, io: IO, method: str, arguments: dict[str, Any]) -> Any:
        arguments = {"collection_name": self._collection, **arguments}
        sync = self._open_client()
        if self._clients is None:
            return await io.run(self._locally, method, arguments)
        clients = self._clients

        async def asynchronously() -> Any:
            return await getattr(clients.get(), method)(**arguments)

        def synchronously() -> Any:
            return getattr(sync, method)(**arguments)

        with _Translated(f"{method} on the index"):
            return await io.call(synchronously, asynchronously)

    def _locally(self, method: str, arguments: dict[str, Any]) -> Any:
        with self._lock, _Translated(f"{method} on the index"):
            return getattr(self._open_client(), method)(**arguments)

    def _open_client(self) -> QdrantBase:
        if self._process != os.getpid():
            raise StoreLockedError(
                f"this index was opened by process {self._process}, of which this one is a fork: "
                "open a Memory after forking, not before"
            )
        if self._sync is None:
            raise ClosedError("the index was closed")
        return self._sync


class _Translated:
    """Everything that qdrant-client raises becomes a StorageError, once, with the cause attached."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, StorageError):
            raise StorageError(f"{self._doing} failed: {error}") from error


def _scores(hits: Sequence[Any]) -> dict[str, float]:
    return {str(hit.id): hit.score for hit in hits}


def _clients(location: str, api_key: str | None, options: ServerOptions) -> tuple[QdrantBase, PerLoop | None]:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.local.qdrant_local import QdrantLocal

    if location == ":memory:":
        # What `QdrantClient` would wrap, without the schemas of its inference, which take 20 ms to copy.
        return QdrantLocal(":memory:"), None
    if "://" not in location:
        warnings.warn(
            "qdrant-edge does not run on this machine; qdrant-client's local mode serves instead. It "
            "searches every memory of every user each time, which is slow beyond some thousand memories",
            stacklevel=3,
        )
        return QdrantClient(path=location), None

    given: dict[str, Any] = {
        "url": location,
        "api_key": api_key,
        "timeout": options.timeout,
        "prefer_grpc": options.prefer_grpc,
        "check_compatibility": False,  # it would ask the server at once, and warn instead of failing
    }
    return QdrantClient(**given), PerLoop(lambda: AsyncQdrantClient(**given))
