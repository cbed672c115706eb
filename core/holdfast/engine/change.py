"""Changes that a caller asks for by name: update, delete, undo, erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ..decisions.retrieval.ranking import indexed_text
from ..errors import NotFoundError, UndoError
from ..io import IO, holding
from ..storage.filters import Filter
from ..storage.generation import Basis
from ..storage.ledger.commit import Write
from ..storage.ledger.erasure import erase
from ..storage.store import Store
from ..storage.times import to_micros
from ..types import Change, Changes, Erasure, MemoryItem, Metadata, Scope
from .arguments import UNCHANGED, Unchanged, text_of
from .embed import embed_documents
from .events import Listeners

BY_REQUEST = "by request"


class Changing:
    def __init__(self, store: Store, *, listeners: Listeners) -> None:
        self._store = store
        self._listeners = listeners

    async def update(
        self,
        io: IO,
        memory_id: str,
        text: str | None,
        metadata: Metadata | None,
        scope: Scope,
        expires_at: int | Unchanged | None = UNCHANGED,
    ) -> Change:
        """text, metadata: None leaves them as they are. expires_at: microseconds, or None for never."""
        item = await self._current(io, memory_id, scope)
        with self._listeners.observing("update", item.scope) as seen:
            seen.concern(memory_id, text)

            async def attempt(basis: Basis) -> Changes:
                current = await self._current(io, memory_id, scope)
                write = await self._rewritten(io, basis, current, text, metadata)
                if not isinstance(expires_at, str):
                    write = replace(write, expires_at=expires_at)
                return await self._commit(io, basis, current.scope, [write])

            async with holding(io, self._store.locks, item.scope):
                [change] = await self._store.committed(io, attempt)
        return change

    async def delete(self, io: IO, memory_id: str, scope: Scope) -> Change:
        item = await self._current(io, memory_id, scope)
        with self._listeners.observing("delete", item.scope) as seen:
            seen.concern(memory_id)

            async def attempt(basis: Basis) -> Changes:
                current = await self._current(io, memory_id, scope)
                return await self._commit(io, basis, current.scope, [_removal(current)])

            async with holding(io, self._store.locks, item.scope):
                [change] = await self._store.committed(io, attempt)
        return change

    async def delete_all(self, io: IO, scope: Scope, filters: Filter | None) -> Changes:
        """Every memory that matches, one transaction per exact scope."""
        changes = Changes()
        page = await io.run(self._store.ledger.memories.page, scope, filters=filters)
        with self._listeners.observing("delete_all", scope) as seen:
            for exact in dict.fromkeys(item.scope for item in page):
                changes += await self._delete_within(io, exact, filters)
            seen.count("DELETE", len(changes))
            for change in changes:
                seen.concern(change.memory_id)
        return changes

    async def _delete_within(self, io: IO, exact: Scope, filters: Filter | None) -> Changes:
        async def attempt(basis: Basis) -> Changes:
            page = await io.run(self._store.ledger.memories.page, exact, filters=filters)
            writes = [_removal(item) for item in page if item.scope == exact]
            return await self._commit(io, basis, exact, writes)

        async with holding(io, self._store.locks, exact):
            return await self._store.committed(io, attempt)

    async def undo(self, io: IO, change_or_add_id: str, scope: Scope) -> Changes:
        wanted = await self._undoable(io, change_or_add_id, scope)
        exact = await self._scope_of(io, wanted[0])
        with self._listeners.observing("undo", exact) as seen:

            async def attempt(basis: Basis) -> Changes:
                wanted = await self._undoable(io, change_or_add_id, scope)
                undo = self._store.ledger.memories.undo
                return await io.run(undo, exact, wanted, embedder=basis.embedder.name)

            async with holding(io, self._store.locks, exact):
                changes = await self._store.committed(io, attempt)
            seen.count("changes", len(changes))
            for change in changes:
                seen.concern(change.memory_id, change.text)
        return changes

    async def erase(self, io: IO, scope: Scope, *, dry_run: bool) -> Erasure:
        self._store.check()
        ledger = self._store.ledger
        with self._listeners.observing("erase", scope) as seen:
            erasure = await io.run(erase, ledger.database, ledger.outbox, scope, dry_run=dry_run)
            if not dry_run:
                await self._store.projection.finish_erasing(io)
            seen.count("memories", erasure.memories)
            seen.count("messages", erasure.messages)
        return erasure

    # -- parts --------------------------------------------------------------------------------------------------

    async def _current(self, io: IO, memory_id: str, scope: Scope) -> MemoryItem:
        self._store.check()
        text_of("memory_id", memory_id)
        item = await io.run(self._store.ledger.memories.get, memory_id)
        if item is None or not within(item, scope):
            raise NotFoundError(f"there is no memory {memory_id!r}{_in(scope)}")
        return item

    async def _rewritten(
        self, io: IO, basis: Basis, item: MemoryItem, text: str | None, metadata: Metadata | None
    ) -> Write:
        text = item.text if text is None else text
        episode, position = await io.run(self._store.ledger.memories.place, item.id)
        [vector] = await embed_documents(io, basis.embedder, [indexed_text(text, item.speakers)])
        return Write(
            "UPDATE",
            BY_REQUEST,
            text,
            target=item.id,
            expected=item.version,
            metadata=item.metadata if metadata is None else metadata,
            vector=vector,
            happened_at=_micros(item.happened_at),
            speakers=item.speakers,
            episode=episode,
            position=position,
            expires_at=_micros(item.expires_at),
        )

    async def _commit(self, io: IO, basis: Basis, exact: Scope, writes: Sequence[Write]) -> Changes:
        """Raises `Conflict`."""
        return await io.run(self._store.ledger.memories.commit, exact, writes, embedder=basis.embedder.name)

    async def _undoable(self, io: IO, change_or_add_id: str, scope: Scope) -> list[Change]:
        """The changes of that id that did something and are not undone yet. Raises if there is none."""
        self._store.check()
        memories = self._store.ledger.memories
        found = await io.run(memories.changes_of, text_of("change_or_add_id", change_or_add_id))
        for change in found:
            item, _ = await io.run(memories.last_version, change.memory_id)
            if not within(item, scope):
                found = Changes()
        if not found:
            raise NotFoundError(f"there is no change or add {change_or_add_id!r}{_in(scope)} to undo")
        undone = await io.run(memories.undone, [change.id for change in found])
        left = [change for change in found if change.operation != "NOOP" and change.id not in undone]
        if not left:
            raise UndoError(f"{change_or_add_id!r} changed nothing, or was undone already")
        return left

    async def _scope_of(self, io: IO, change: Change) -> Scope:
        item, _ = await io.run(self._store.ledger.memories.last_version, change.memory_id)
        return item.scope


def within(item: MemoryItem, scope: Scope) -> bool:
    """Whether a memory carries every id that is given."""
    return item.scope.within(scope)


def _in(scope: Scope) -> str:
    return f" of {', '.join(f'{name}={value!r}' for name, value in scope.ids().items())}" if scope else ""


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _removal(item: MemoryItem) -> Write:
    return Write("DELETE", BY_REQUEST, target=item.id, expected=item.version)
