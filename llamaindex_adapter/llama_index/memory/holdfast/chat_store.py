"""`HoldfastChatStore`: the journal as the chat store of other memories, such as `ChatMemoryBuffer`."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore

from holdfast import ScopedMemory
from holdfast.io import ASYNCIO, INLINE, IO, run_inline

from ._bound import Bound
from ._conversation import Conversation
from ._convert import from_journal


class HoldfastChatStore(Bound, BaseChatStore):
    """Histories by key in the engine's journal: no second database besides the memory's.

    What is stored here is history and is not remembered; `HoldfastMemory` does both. A key is a session: a
    `HoldfastMemory` of the same owner with `session_id=key` continues what was stored, and vice versa.

    user_id, agent_id, run_id: whose histories; at least one, unless `memory` is bound to one.
    memory: the engine; by default the one that `open_engine` opens with `path`, `llm`, `embed_model` and
        `model_size`.

    A message whose `additional_kwargs` hold a "happened_at" (a datetime, or ISO 8601) was said then. Raises
    InputError if no id is given, and for unknown arguments.
    """

    @classmethod
    def class_name(cls) -> str:
        return "HoldfastChatStore"

    # -- the store, in both faces -------------------------------------------------------------------------------

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Make `messages` the history of a key."""
        run_inline(self._talk(key).replace(INLINE, messages))

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Async `set_messages`."""
        await self._talk(key).replace(ASYNCIO, messages)

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The history of a key, empty if there is none."""
        return run_inline(self._get(INLINE, key))

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """Async `get_messages`."""
        return await self._get(ASYNCIO, key)

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Add a message to the history of a key."""
        run_inline(self._talk(key).record(INLINE, [message]))

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """Async `add_message`."""
        await self._talk(key).record(ASYNCIO, [message])

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Empty the history of a key. Returns what it was, None if there was none."""
        return run_inline(self._delete(INLINE, key, slice(None))) or None

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """Async `delete_messages`."""
        return await self._delete(ASYNCIO, key, slice(None)) or None

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove one message, counted from 0, or from the end below 0. Returns it, or None if there is none."""
        return _only(run_inline(self._delete(INLINE, key, one(idx))))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Async `delete_message`."""
        return _only(await self._delete(ASYNCIO, key, one(idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the newest message. Returns it, or None if there is none."""
        return _only(run_inline(self._delete(INLINE, key, one(-1))))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """Async `delete_last_message`."""
        return _only(await self._delete(ASYNCIO, key, one(-1)))

    def get_keys(self) -> list[str]:
        """The keys that have a history, the oldest first."""
        return run_inline(self._keys(INLINE))

    async def aget_keys(self) -> list[str]:
        """Async `get_keys`."""
        return await self._keys(ASYNCIO)

    # -- the bodies that both faces share -----------------------------------------------------------------------

    def _talk(self, key: str) -> Conversation:
        return Conversation(self._view, key)

    async def _get(self, io: IO, key: str) -> list[ChatMessage]:
        return [from_journal(message) for message in await self._talk(key).journaled(io)]

    async def _delete(self, io: IO, key: str, which: slice) -> list[ChatMessage]:
        talk = self._talk(key)
        known = await talk.journaled(io)
        removed = known[which]
        if removed:
            gone = {message.id for message in removed}
            await talk.clear(io, keep=[message.id for message in known if message.id not in gone])
        return [from_journal(message) for message in removed]

    async def _keys(self, io: IO) -> list[str]:
        return await keys_of(io, self._view)


async def keys_of(io: IO, memory: ScopedMemory) -> list[str]:
    """The sessions of an owner that have a history, the oldest first."""
    listed = await io.call(memory.messages, memory.amessages)
    return list(dict.fromkeys(message.session_id for message in listed if message.session_id))


def one(idx: int) -> slice:
    """The message at an index, counted from the end below 0; nothing if there is none."""
    return slice(idx, idx + 1 or None)


def _only(removed: list[ChatMessage]) -> ChatMessage | None:
    return removed[0] if removed else None
