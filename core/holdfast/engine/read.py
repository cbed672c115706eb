"""Reading by id, by scope, and in order: memories, their history, and what was said."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import NotFoundError
from ..io import IO
from ..storage.filters import Filter
from ..storage.ledger.activity import activity
from ..storage.ledger.feed import feed
from ..storage.ledger.owners import By, owners
from ..storage.store import Store
from ..types import Changes, Day, Feed, JournaledMessage, MemoryItem, Owners, Page, Scope


class Reading:
    """What the ledger holds, as it is; no ranking and no index."""

    def __init__(self, store: Store) -> None:
        self._ledger = store.ledger

    async def get(self, io: IO, memory_id: str, scope: Scope, as_of: int | None) -> MemoryItem | None:
        item = await io.run(self._ledger.memories.get, memory_id, as_of=as_of)
        return item if item is not None and item.scope.within(scope) else None

    async def page(
        self,
        io: IO,
        scope: Scope,
        filters: Filter | None,
        as_of: int | None,
        limit: int | None,
        cursor: str | None,
    ) -> Page:
        read = self._ledger.memories.page
        return await io.run(read, scope, filters=filters, as_of=as_of, limit=limit, cursor=cursor)

    async def count(self, io: IO, scope: Scope, filters: Filter | None, as_of: int | None) -> int:
        return await io.run(self._ledger.memories.count, scope, filters, as_of)

    async def users(self, io: IO, scope: Scope, by: By, limit: int | None, cursor: str | None) -> Owners:
        return await io.run(owners, self._ledger.database, scope, by, limit, cursor)

    async def changes(
        self,
        io: IO,
        scope: Scope,
        operations: Collection[str],
        since: int | None,
        until: int | None,
        limit: int | None,
        cursor: str | None,
    ) -> Feed:
        database = self._ledger.database
        return await io.run(feed, database, scope, operations, since, until, limit, cursor)

    async def activity(self, io: IO, scope: Scope, since: int | None, until: int | None) -> tuple[Day, ...]:
        return await io.run(activity, self._ledger.database, scope, since, until)

    async def history(self, io: IO, memory_id: str, scope: Scope) -> Changes:
        item, _ = await io.run(self._ledger.memories.last_version, memory_id)
        if not item.scope.within(scope):
            raise NotFoundError(f"there is no memory {memory_id!r}")
        return await io.run(self._ledger.memories.history, memory_id)

    async def messages(
        self, io: IO, scope: Scope, session_id: str | None, newest: int | None
    ) -> tuple[JournaledMessage, ...]:
        return await io.run(self._ledger.journal.listed, scope, session_id, limit=newest)

    async def said(self, io: IO, scope: Scope, ids: Sequence[str]) -> tuple[JournaledMessage, ...]:
        """Those of the scope among these messages, in the log or not, in the order of the ids."""
        found = await io.run(self._ledger.journal.by_ids, dict.fromkeys(ids))
        known = [found[one] for one in dict.fromkeys(ids) if one in found]
        return tuple(message for message in known if message.scope.within(scope))
