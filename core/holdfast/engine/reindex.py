"""Rebuilding the index, with the same embedder or another one, while searches and changes continue.

The new one grows beside the old: vectors first, which are the expensive part and are kept if the work is cut short;
then an index of the next generation; then one transaction makes them the store's, and the new index is told what the
old one was told meanwhile. Until that transaction the old index is the store's, after it the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, StorageError
from ..io import IO, holding
from ..ports import Embedder
from ..storage.generation import Basis
from ..storage.index import Index
from ..storage.projection import WHOLE_INDEX, Progress, drop_retired, fill
from ..storage.store import Store
from .embed import fill_vectors

ROUNDS = (
    1_000  # attempts to embed what was written meanwhile; each has only the last one's time to catch up with
)


@dataclass(frozen=True, slots=True)
class _Building:
    """An index being filled, not in use yet. last, since: the place and the time after which it may lack changes."""

    basis: Basis
    last: int
    since: int


async def reindex(store: Store, io: IO, embedder: Embedder | None, progress: Progress | None) -> int:
    """Returns the number of versions in the new index. Raises InputError, EmbeddingError, StorageError."""
    store.check()
    async with holding(io, store.locks, WHOLE_INDEX):
        old = store.basis
        wanted = embedder or old.embedder
        _check(old, wanted)
        await io.run(_clear_away, store, old)
        await drop_retired(store.ledger, io, keep=wanted.name)
        if wanted.name != old.embedder.name:
            await fill_vectors(store.ledger.outbox, io, wanted, progress)
        built = await _built(store, io, old, wanted, progress)
        if built.basis.index is old.index:
            return await store.projection.rebuild(io, progress)
        try:
            await _switch(store, io, built, progress)
        except BaseException:
            if store.basis is old:
                await io.run(_abandon, store, built.basis)
            raise
        await _remove(store, io, old)
        return (await store.projection.repair(io)).versions


def _check(old: Basis, wanted: Embedder) -> None:
    if wanted.name == old.embedder.name and wanted.dimensions != old.embedder.dimensions:
        raise InputError(
            f"the embedder {wanted.name!r} has {wanted.dimensions} dimensions here and {old.embedder.dimensions} "
            "in the store: vectors of different kinds need different names"
        )


def _clear_away(store: Store, old: Basis) -> None:
    """Remove what an earlier attempt left half built. Its vectors stay, as they are still valid."""
    store.ledger.outbox.expect_current()  # else the following generation is the one in use
    left = {_following(old.generation), *store.indexes.others(old.generation)}
    for generation in left - store.ending:
        store.indexes.remove(generation)


def _following(generation: str) -> str:
    return str(int(generation) + 1)


async def _built(
    store: Store, io: IO, old: Basis, embedder: Embedder, progress: Progress | None
) -> _Building:
    generation = _following(old.generation)
    since = store.ledger.clock()
    index, fresh = await io.run(_opened, store, embedder, generation)
    basis = Basis(embedder, index, generation, joined=store.indexes.joined)
    if index is old.index:
        if embedder.name != old.embedder.name:
            raise InputError(
                "this index was made by the caller, for its embedder; open a store with another one"
            )
        return _Building(basis, 0, since)
    try:
        if not fresh:
            await index.clear(io)
        last, _ = await fill(store.ledger, basis, io, progress)
    except BaseException:
        await io.run(_abandon, store, basis)
        raise
    return _Building(basis, last, since)


def _opened(store: Store, embedder: Embedder, generation: str) -> tuple[Index, bool]:
    return store.indexes.open(embedder.dimensions, generation)


def _abandon(store: Store, basis: Basis) -> None:
    basis.index.close()
    store.indexes.remove(basis.generation)


async def _switch(store: Store, io: IO, built: _Building, progress: Progress | None) -> None:
    """Make it the store's. Versions that were written meanwhile get their vectors first."""
    embedder = built.basis.embedder
    for _ in range(ROUNDS):
        await fill_vectors(store.ledger.outbox, io, embedder)
        if await store.projection.writing(io, lambda io: io.run(_switched, store, built)):
            break
    else:
        raise StorageError(
            "changes are written faster than their texts are embedded; try again in a quieter hour"
        )
    await store.projection.project(io)


def _switched(store: Store, built: _Building) -> bool:
    """One transaction, and then this process: commits in between are told to look again."""
    basis = built.basis
    store.switching = True
    try:
        if not store.ledger.outbox.switch(
            basis.followed, basis.embedder.dimensions, last=built.last, since=built.since
        ):
            return False
        store.projection.follow(basis)
    finally:
        store.switching = False
    return True


async def _remove(store: Store, io: IO, old: Basis) -> None:
    """Remove the old embedder's vectors now, and the old index when the last search in it has ended."""

    def ending() -> None:
        old.index.close()
        store.indexes.remove(old.generation)
        store.ending.discard(old.generation)

    store.ending.add(old.generation)
    await io.run(old.end, ending)
    await drop_retired(store.ledger, io)
