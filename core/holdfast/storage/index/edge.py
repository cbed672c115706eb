"""The embedded index: Qdrant's engine in this process (qdrant-edge), one shard for all users.

Every call into the engine holds the interpreter throughout, so calls are kept small, run in a thread in
the async face, and take turns under a lock, which also keeps `close` and `compact` from pulling the shard
away under a search. The folder must be locked by the caller (`FolderLock`) before it is opened: a second
opener fails, and damages what the first one wrote.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import qdrant_edge as q

from ...decisions.retrieval.candidates import TABLE, Candidates, Facets, columns
from ...errors import ClosedError, StorageError, StoreLockedError
from ...io import IO
from ..places import ROOM_TO_INDEX, ROOM_TO_LOAD, expect_room, free_at
from ..points import Point
from .base import IndexQuery
from .edge_requests import NAME, Requests, number_of, retrieve, sparse
from .edge_shard import beside, create, damaged, fields, load, set_aside, translated
from .qdrant_filters import stored_payload
from .union import missing

_log = logging.getLogger("holdfast")

SLICE = 256  # points per update: the engine holds the interpreter for the length of a call
PAGE = 2_000  # ids per scroll
KNOWN = 200_000  # points whose names and facets are kept in memory, some 260 bytes each

_SCORE = attrgetter("id", "score")


class _Known:
    """The names and facets read last, as columns, and where in them each point is. Begins anew when it is full."""

    def __init__(self) -> None:
        self.clear()

    def clear(self, room: int = 0) -> None:
        self._places: dict[int, int] = {}
        self._names: list[str] = []
        self._seen = np.empty(max(KNOWN, room), TABLE)
        self._speakers: list[tuple[str, ...]] = []

    def of(
        self, numbers: Sequence[int], read: Callable[[Sequence[int]], Mapping[int, tuple[str, Facets]]]
    ) -> tuple[list[str], npt.NDArray[np.void], list[tuple[str, ...]]]:
        """The names of these points, what ranking reads of them, their speakers. read: tells of those not known."""
        places: list[Any] = list(map(self._places.get, numbers))
        if None in places:
            unknown = [number for number, at in zip(numbers, places, strict=True) if at is None]
            if len(self._names) + len(unknown) > len(self._seen):
                self.clear(len(numbers))
                unknown = list(numbers)
            self._keep(read(unknown))
            places = [self._places[number] for number in numbers]
        names, speakers = self._names, self._speakers
        return [names[at] for at in places], self._seen[places], [speakers[at] for at in places]

    def _keep(self, read: Mapping[int, tuple[str, Facets]]) -> None:
        names, facets = zip(*read.values(), strict=True)
        start, end = len(self._names), len(self._names) + len(names)
        self._seen[start:end], speakers = columns(facets)
        self._names += names
        self._speakers += speakers
        self._places.update(zip(read, range(start, end), strict=True))

    def forget(self, number: int) -> None:
        self._places.pop(number, None)


class EdgeIndex:
    """An `Index` in a folder. Make it with `open`."""

    def __init__(self, path: Path, dimensions: int, shard: q.EdgeShard) -> None:
        self._path = path
        self._dimensions = dimensions
        self._shard: q.EdgeShard | None = shard
        self._known = _Known()
        self._written: set[int] | None = None  # numbers that changed since `compact` began to copy
        self._lock = threading.RLock()
        self._process = os.getpid()

    @classmethod
    def open(cls, path: str | os.PathLike[str], dimensions: int) -> tuple[Self, bool]:
        """The index in a folder, and whether it is new and has to be filled.

        A shard that does not load, or has other dimensions, is moved to `<name>.damaged-<n>` beside it; one that
        an earlier version laid out is removed. Raises StorageError where the folder cannot be written.
        """
        folder = Path(path)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            for left_over in (beside(folder, "compacting"), beside(folder, "replaced")):
                shutil.rmtree(left_over, ignore_errors=True)
            if folder.exists() and any(folder.iterdir()):
                shard = load(folder, dimensions)
                if shard is None:
                    set_aside(folder)
                elif set(shard.info().payload_schema) == {name for name, _ in fields()}:
                    index = cls(folder, dimensions, shard)
                    index._finish_optimizing()
                    return index, False
                else:
                    _log.warning("the index in %s is of an earlier version", folder)
                    shard.close()
                    shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(f"the index folder {folder} cannot be used: {error}") from error
        return cls(folder, dimensions, create(folder, dimensions)), True

    async def upsert(self, io: IO, points: Sequence[Point]) -> None:
        for start in range(0, len(points), SLICE):
            await io.run(self._upsert, points[start : start + SLICE])

    async def delete(self, io: IO, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), SLICE):
            await io.run(self._delete, ids[start : start + SLICE])

    async def query(self, io: IO, queries: Sequence[IndexQuery]) -> list[Candidates]:
        return await io.run(self._query, queries) if queries else []

    async def count(self, io: IO) -> int:
        return await io.run(self._count)

    async def ids(self, io: IO) -> set[str]:
        found: set[str] = set()
        offset: Any = None
        while True:
            page, offset = await io.run(self._ids, offset)
            found.update(page)
            if offset is None:
                return found

    async def clear(self, io: IO) -> None:
        await io.run(self._clear)

    async def compact(self, io: IO) -> None:
        """Copy what is left into a new shard, so that deleted points' bytes are gone from segments and write-ahead
        log alike. Damaged shards that were set aside go too. Searches and changes continue; one caller at a time."""
        copy = await io.run(self._begin_copy)
        try:
            offset = await io.run(self._copy_page, copy, None)
            while offset is not None:
                offset = await io.run(self._copy_page, copy, offset)
            await io.run(self._put_in_place, copy)
        finally:
            await io.run(self._end_copy, copy)

    async def optimize(self, io: IO) -> bool:
        return await io.run(self._optimize)

    async def flush(self, io: IO) -> None:
        await io.run(self._flush)

    def close(self) -> None:
        """Idempotent. In a forked child it only forgets the shard, which is the parent's."""
        if os.getpid() != self._process:
            self._shard = None
            return
        with self._lock:
            shard, self._shard = self._shard, None
            if shard is not None:
                with translated("closing the index"):
                    shard.close()

    # -- the blocking halves

    @contextmanager
    def _using(self, doing: str, room: int = 0) -> Iterator[q.EdgeShard]:
        """room: bytes that must be free on the disk."""
        if os.getpid() != self._process:
            raise StoreLockedError(
                f"the index in {self._path} belongs to process {self._process}; this one is a fork of it: "
                "open a Memory after forking, or keep the store on a server"
            )
        with self._lock:
            if self._shard is None:
                raise ClosedError("the index was closed")
            if room:
                expect_room(self._path, room, doing)
            with translated(doing):
                yield self._shard

    def _upsert(self, points: Sequence[Point]) -> None:
        numbers = [number_of(point.id) for point in points]
        made = [
            q.Point(
                number,
                {"dense": point.vector.tolist(), "terms": sparse(point.sparse)},
                stored_payload(point) | {NAME: point.id},
            )
            for number, point in zip(numbers, points, strict=True)
        ]
        with self._using("writing to the index", ROOM_TO_INDEX) as shard:
            self._changing(numbers)
            shard.update(q.UpdateOperation.upsert_points(made))

    def _delete(self, ids: Sequence[str]) -> None:
        numbers = [number_of(name) for name in ids]
        with self._using("deleting from the index", ROOM_TO_INDEX) as shard:
            self._changing(numbers)
            shard.update(q.UpdateOperation.delete_points(list(numbers)))

    def _changing(self, numbers: Iterable[int]) -> None:
        """Forget what is cached of these points, and have a copy under way take them again."""
        for number in numbers:
            self._known.forget(number)
            if self._written is not None:
                self._written.add(number)

    def _query(self, queries: Sequence[IndexQuery]) -> list[Candidates]:
        # Not as a batch: a batch of two is slower than two calls, and holds the interpreter for longer.
        return [self._query_one(query) for query in queries]

    def _query_one(self, query: IndexQuery) -> Candidates:
        asked = Requests(query)
        with self._using("searching the index") as shard:

            def scores(request: q.QueryRequest | None) -> dict[int, float]:
                return {} if request is None else dict(map(_SCORE, shard.query(request)))

            cosine, shared = scores(asked.dense()), scores(asked.terms())
            without_cosine, without_terms = missing(query, cosine, shared)
            if without_cosine:
                cosine |= scores(asked.dense(without_cosine))
            if without_terms:
                shared |= scores(asked.terms(without_terms))
            # Reading payloads is the larger part of a search, so the last ones read are kept.
            names, seen, speakers = self._known.of(list(cosine), partial(retrieve, shard))
        return Candidates(
            names,
            np.array(list(cosine.values()), np.float64),
            np.array([shared.get(number, 0.0) for number in cosine], np.float64),
            seen,
            speakers,
        )

    def _count(self) -> int:
        with self._using("counting the index") as shard:
            return shard.count(q.CountRequest(exact=True))

    def _ids(self, offset: Any) -> tuple[list[str], Any]:
        with self._using("listing the index") as shard:
            page, following = shard.scroll(
                q.ScrollRequest(
                    offset=offset,
                    limit=PAGE,
                    with_payload=q.PayloadSelector.Include([NAME]),
                    with_vector=False,
                )
            )
        return [(record.payload or {})[NAME] for record in page], following

    def _clear(self) -> None:
        with self._using("clearing the index") as shard:
            self._known.clear()
            self._written = None  # a copy under way holds what is gone
            shard.close()
            self._shard = None
            shutil.rmtree(self._path)
            self._shard = create(self._path, self._dimensions)

    def _begin_copy(self) -> q.EdgeShard:
        fresh = beside(self._path, "compacting")
        with self._using("compacting the index", ROOM_TO_LOAD + self._size()):
            shutil.rmtree(fresh, ignore_errors=True)
            copy = create(fresh, self._dimensions)
            self._written = set()
            return copy

    def _copy_page(self, copy: q.EdgeShard, offset: Any) -> Any:
        """Where the next page begins; None after the last."""
        with self._using("compacting the index") as shard:
            page, following = shard.scroll(
                q.ScrollRequest(offset=offset, limit=SLICE, with_payload=True, with_vector=True)
            )
            _put(copy, page)
        if following is None:
            with translated("compacting the index"):
                copy.flush()  # now rather than while searches wait
        return following

    def _put_in_place(self, copy: q.EdgeShard) -> None:
        """Bring the copy up to date, and switch to it."""
        with self._using("compacting the index") as shard:
            if self._written is None:
                return  # cleared meanwhile, and with it every byte to be removed
            changed = sorted(self._written)
            for start in range(0, len(changed), SLICE):
                numbers = changed[start : start + SLICE]
                copy.update(q.UpdateOperation.delete_points(list(numbers)))
                _put(copy, shard.retrieve(list(numbers), True, True))
            copy.flush()
            copy.close()
            shard.close()
            self._shard = None
            self._path.rename(beside(self._path, "replaced"))
            beside(self._path, "compacting").rename(self._path)
            self._shard = load(self._path, self._dimensions)
            if self._shard is None:
                raise StorageError(f"the compacted index in {self._path} does not open; it will be rebuilt")
        for superseded in (beside(self._path, "replaced"), *damaged(self._path)):
            shutil.rmtree(superseded)

    def _end_copy(self, copy: q.EdgeShard) -> None:
        """Close the copy, whether it was put in place or not."""
        with self._lock:
            self._written = None
            with translated("compacting the index"):
                copy.close()
            if self._shard is not None:  # else another process may have the folder by now
                shutil.rmtree(beside(self._path, "compacting"), ignore_errors=True)

    def _optimize(self) -> bool:
        with self._using("optimizing the index", ROOM_TO_INDEX + self._size()) as shard:
            return shard.optimize()

    def _finish_optimizing(self) -> None:
        """A process that dies while it optimizes can leave points in the old and in the new segment. Each is found
        once, but counts twice in how common a term is, until they are merged."""
        with self._using("opening the index") as shard:
            doubled = shard.info().points_count > shard.count(q.CountRequest(exact=True))
            if not doubled:
                return
            if free_at(self._path) < ROOM_TO_INDEX + self._size():
                _log.warning(
                    "the index in %s counts points twice until there is room to optimize it", self._path
                )
                return
            shard.optimize()

    def _size(self) -> int:
        """The shard's bytes on the disk: the most that a copy of it may take."""
        return sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file())

    def _flush(self) -> None:
        with self._using("flushing the index") as shard:
            shard.flush()


def _put(shard: q.EdgeShard, records: Sequence[q.Record]) -> None:
    points: list[q.Point] = [q.Point(r.id, r.vector, r.payload) for r in records]  # type: ignore[arg-type]
    if points:
        shard.update(q.UpdateOperation.upsert_points(points))
