"""`HoldfastAsyncChatStore`: the journal as the database of LlamaIndex's own `Memory`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from holdfast import JournaledMessage, Memory, Message
from holdfast.io import ASYNCIO
from holdfast.types import Document, Get, Put

from ._bound import Bound
from ._conversation import Conversation
from ._convert import to_llamaindex_messages, together
from ._registry import shared_conversation
from .chat_store import keys_of, one

ARCHIVED = "archived"  # key of a message's `data`: it was archived when it came here


class HoldfastAsyncChatStore(Bound, AsyncDBChatStore):
    """Histories by key in the engine's journal, for `Memory.from_defaults(chat_store=...)`.

    What is stored here is history and is not remembered; a `HoldfastMemoryBlock` of the same owner in the same
    memory remembers it, and finds it in the journal instead of writing it a second time. A key is a session, as
    for `HoldfastChatStore` and `HoldfastMemory`. Messages are counted from 0, or from the end below 0.

    user_id, agent_id, run_id: whose histories; at least one, unless `memory` is bound to one.
    memory: the engine; by default the one that `open_engine` opens with `path`, `llm`, `embed_model` and
        `model_size`.

    Messages leave `Memory`'s queue oldest first. A document of the engine, under ("llama_index", a hash of owner
    and key), says how far: a `ScopedMemory`, which has no documents, is refused. Raises InputError if no id is
    given, and for unknown arguments.
    """

    @classmethod
    def class_name(cls) -> str:
        return "HoldfastAsyncChatStore"

    def _check(self, memory: Memory) -> None:
        _ = memory.documents  # raises for a view that has none

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """The messages of a key, oldest first; None for those of every status."""
        found = (await self._listed(key, status))[offset or 0 :]
        return to_llamaindex_messages(found if limit is None else found[:limit])

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages `get_messages` returns."""
        return len(await self._listed(key, status))

    async def add_message(
        self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add a message to a key."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages to a key."""
        await self._talk(key).write(ASYNCIO, _with_status(together(messages, given=True), status))

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Make `messages` all that a key has. Those it has already, from the beginning, stay as they are."""
        talk = self._talk(key)
        flagged = any(map(_is_flagged, await talk.journaled(ASYNCIO)))
        if flagged or status == MessageStatus.ARCHIVED:
            await talk.write(ASYNCIO, _with_status(together(messages, given=True), status), keep=())
        else:
            await talk.replace(ASYNCIO, messages)
        await self._mark(key, None)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove one message. Returns it, or None if there is none."""
        removed = await self._remove(key, (await self._listed(key, None))[one(idx)])
        return removed[0] if removed else None

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Remove all messages with a status, or with any."""
        await self._remove(key, await self._listed(key, status))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Remove the oldest active messages. Returns them."""
        return await self._remove(key, (await self._listed(key, MessageStatus.ACTIVE))[: max(0, n)])

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest active messages. Returns them."""
        oldest = (await self._listed(key, MessageStatus.ACTIVE))[: max(0, n)]
        if oldest:
            await self._mark(key, oldest[-1].id)
        return to_llamaindex_messages(oldest)

    async def get_keys(self) -> list[str]:
        """The keys that have a history, the oldest first."""
        return await keys_of(ASYNCIO, self._view)

    # -- status -------------------------------------------------------------------------------------------------

    def _talk(self, key: str) -> Conversation:
        return shared_conversation(self.engine, self._scope, key)

    async def _listed(self, key: str, status: MessageStatus | None) -> list[JournaledMessage]:
        known = await self._talk(key).journaled(ASYNCIO)
        if status is None:
            return list(known)
        archived = await self._archived(key, known)
        return [
            message for message in known if (message.id in archived) == (status == MessageStatus.ARCHIVED)
        ]

    async def _archived(self, key: str, known: Sequence[JournaledMessage]) -> set[str]:
        """The ids of the archived ones: up to the mark, if that message is still there."""
        [found] = await self.engine.documents.abatch([Get(self._place(key), ARCHIVED)])
        through = found.value["through"] if isinstance(found, Document) else None
        ids = [message.id for message in known]
        up_to = ids.index(through) + 1 if through in ids else 0
        return {*ids[:up_to], *(message.id for message in known if _is_flagged(message))}

    async def _mark(self, key: str, through: str | None) -> None:
        value = None if through is None else {"through": through}
        await self.engine.documents.abatch([Put(self._place(key), ARCHIVED, value)])

    async def _remove(self, key: str, gone: Sequence[JournaledMessage]) -> list[ChatMessage]:
        talk = self._talk(key)
        known, removed = await talk.journaled(ASYNCIO), {message.id for message in gone}
        archived = await self._archived(key, known)
        left = [message for message in known if message.id not in removed]
        before = [message.id for message in left if message.id in archived and not _is_flagged(message)]
        if removed:
            await talk.clear(ASYNCIO, keep=[message.id for message in left])
            await self._mark(key, before[-1] if before else None)
        return to_llamaindex_messages(gone)

    def _place(self, key: str) -> tuple[str, str]:
        """A namespace that names nobody: an erasure leaves documents alone."""
        named = json.dumps([*self._scope.to_dict().values(), key])
        return "llama_index", hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


def _is_flagged(message: JournaledMessage) -> bool:
    return bool((message.message.data or {}).get(ARCHIVED))


def _with_status(said: Sequence[Message], status: MessageStatus) -> list[Message]:
    if status == MessageStatus.ACTIVE:
        return list(said)
    return [replace(message, data={**(message.data or {}), ARCHIVED: True}) for message in said]
