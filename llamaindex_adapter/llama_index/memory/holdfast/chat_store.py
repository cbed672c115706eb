"""`HoldfastChatStore`: the journal as the chat store of other memories, such as `ChatMemoryBuffer`."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field
from llama_index.core.storage.chat_store.base import BaseChatStore

from holdfast import InputError, Memory, Scope
from holdfast.faces import IO, run_inline
from holdfast.memory import ASYNCIO, INLINE

from ._conversation import Conversation
from ._convert import from_journal
from ._registry import alive, check_owner, engine_on, keep_alive, open_engine


class HoldfastChatStore(BaseChatStore):
    """Histories by key in the engine's journal: no second database beside the memory's.

    What is stored here is history and is not remembered; `HoldfastMemory` does both. A key is a session: a
    `HoldfastMemory` of the same owner with `session_id=key` goes on with what was stored, and the other way round.

    user_id, agent_id, run_id: whose histories; at least one.
    memory: the engine; by default the one at `path`, opened once per process, as `open_engine` does it.

    Raises InputError where no id is given.
    """

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    path: str | None = None
    live_id: str = ""
    memory: Any = Field(default=None, exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        return "HoldfastChatStore"

    def __init__(self, **fields: Any) -> None:
        check_owner(**fields)
        super().__init__(**fields)

    def model_post_init(self, context: Any, /) -> None:
        if self.memory is None:
            self.memory = alive(self.live_id) if self.live_id else open_engine(self.path)
        if self.memory is None and self.path is not None:
            self.memory = engine_on(self.path)
        if self.memory is not None:
            self.path = None if self.memory.folder is None else str(self.memory.folder)
            self.live_id = keep_alive(self.memory)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> HoldfastChatStore:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)

    # -- the store, in both faces -------------------------------------------------------------------------------

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Make `messages` the history of a key."""
        run_inline(self._talk(key).replace(INLINE, messages))

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Async `set_messages`."""
        await self._talk(key).replace(ASYNCIO, messages)

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The history of a key, empty where there is none."""
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
        """Empty the history of a key. Returns what it was, None where there was none."""
        return run_inline(self._delete(INLINE, key, slice(None))) or None

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """Async `delete_messages`."""
        return await self._delete(ASYNCIO, key, slice(None)) or None

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove one message, counted from 0. Returns it, or None where there is none."""
        return _only(run_inline(self._delete(INLINE, key, slice(idx, idx + 1))))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Async `delete_message`."""
        return _only(await self._delete(ASYNCIO, key, slice(idx, idx + 1)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the newest message. Returns it, or None where there is none."""
        return _only(run_inline(self._delete(INLINE, key, slice(-1, None))))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """Async `delete_last_message`."""
        return _only(await self._delete(ASYNCIO, key, slice(-1, None)))

    def get_keys(self) -> list[str]:
        """The keys that have a history, the oldest first."""
        return run_inline(self._keys(INLINE))

    async def aget_keys(self) -> list[str]:
        """Async `get_keys`."""
        return await self._keys(ASYNCIO)

    # -- the bodies that both faces share -----------------------------------------------------------------------

    @property
    def _scope(self) -> Scope:
        return Scope(self.user_id, self.agent_id, self.run_id)

    def _engine(self) -> Memory:
        if self.memory is None:
            raise InputError(
                "this HoldfastChatStore was restored without its store, which has no folder of its own and is not "
                "open in this process; pass memory=: HoldfastChatStore.from_dict(data, memory=...)"
            )
        engine: Memory = self.memory
        return engine

    def _talk(self, key: str) -> Conversation:
        return Conversation(self._engine(), self._scope, key)

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
        engine = self._engine()
        ids: dict[str, Any] = dict(self._scope.ids())
        listed = await io.call(engine.messages, engine.amessages, **ids)
        return list(dict.fromkeys(message.session_id for message in listed if message.session_id))


def _only(removed: list[ChatMessage]) -> ChatMessage | None:
    return removed[0] if removed else None
