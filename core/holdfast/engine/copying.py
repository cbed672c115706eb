"""A whole store copied to another place: its ledger row by row, then an index of its own.

What the ledger keeps is copied as it is, with vectors, so that nothing is embedded again if the embedder stays the
same. The copy is marked until it is whole, and cannot be opened before; a run that was cut short continues where it
stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from ..errors import InputError, StorageError
from ..io import IO, Inline, run_inline
from ..ports import Embedder
from ..storage.index import Index
from ..storage.ledger.copying import Copying
from ..storage.ledger.outbox import Outbox
from ..storage.opening import open_store, opened_ledger
from ..storage.projection import Progress, point_of
from ..storage.store import OPEN_STORES, Store
from ..storage.times import Clock, now_utc
from ..types import Copied
from .embed import fill_vectors

ROUNDS = 20  # passes; each has only what was written during the last one to catch up with


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy goes, as `Memory` takes it."""

    path: str | PathLike[str] | None
    ledger: str | None
    index: str | Index | None


async def copy(
    store: Store, io: IO, place: Place, embedder: Embedder | None, progress: Progress | None
) -> Copied:
    """Raises InputError, EmbeddingError, StorageError; the source is only read."""
    store.check()
    return await io.run(_copied, store, place, embedder or store.embedder, progress or _nothing)


def _nothing(done: int, total: int) -> None:
    pass


def _copied(store: Store, place: Place, embedder: Embedder, progress: Progress) -> Copied:
    with opened_ledger(place.path, place.ledger) as target:
        copying = Copying(store.ledger.database, target, embedder.name)
        copying.begin()
        counts = _equal(copying, progress)
        if copying.unfinished:
            outbox = Outbox(target, Clock(), point_of, embedder.name)
            run_inline(fill_vectors(outbox, Inline(), embedder, progress))
            copying.finish(embedder.name, embedder.dimensions)
    _with_index(place, embedder, progress)
    return Copied(
        versions=counts["versions"],
        changes=counts["changes"],
        messages=counts["messages"],
        jobs=counts["jobs"],
        documents=counts["documents"],
        written=copying.written,
    )


def _equal(copying: Copying, progress: Progress) -> dict[str, int]:
    """Passes until one finds nothing to mend."""
    for _ in range(ROUNDS):
        written = copying.written
        counts = copying.compare(progress)
        if copying.written == written:
            return counts
    raise StorageError(
        "the store is written to faster than it is copied: stop what writes to it, and run this again"
    )


def _with_index(place: Place, embedder: Embedder, progress: Progress) -> None:
    """Open the copy once, which fills its index, and compare the two."""
    copy = open_store(place.path, embedder, place.ledger, place.index, now_utc, progress)
    try:
        agreement = run_inline(copy.projection.verify(Inline()))
    finally:
        OPEN_STORES.leave(copy)
    if not agreement:
        raise InputError(
            f"the copy's index does not fit its ledger: {agreement}. Points beyond it are another store's: "
            "pass an index that no store has"
        )
