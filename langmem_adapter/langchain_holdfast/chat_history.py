"""`HoldfastChatMessageHistory`: a session's messages, out of the journal that memories come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from holdfast import InputError, Memory

from ._convert import to_holdfast_messages, to_langchain_messages


class HoldfastChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session: for `RunnableWithMessageHistory`, and as a plain log.

    memory: the store.
    session_id: the conversation. With `HoldfastMiddleware` it is the thread's id, and the two share one log.
    user_id, agent_id, run_id: whose conversation it is; at least one.
    remember: also extract memories from what is added, in the background.
    limit: `messages` gives the newest so many; None for all.

    Every kind of message comes back equal to what was added: names, ids, tool calls, content blocks.
    Messages with an id are kept once. `clear` empties the log; memories, and the messages as their evidence,
    stay until they are erased (`Memory.erase`).
    """

    def __init__(
        self,
        memory: Memory,
        session_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        remember: bool = False,
        limit: int | None = None,
    ) -> None:
        if not (user_id or agent_id or run_id):
            raise InputError("whose conversation? pass at least one of user_id=, agent_id=, run_id=")
        self._memory = memory
        self._ids: dict[str, Any] = {
            "user_id": user_id,
            "agent_id": agent_id,
            "run_id": run_id,
            "session_id": session_id,
        }
        self._remember = remember
        self._limit = limit

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The session's messages, oldest first."""
        return to_langchain_messages(self._memory.messages(**self._ids, limit=self._limit))

    async def aget_messages(self) -> list[BaseMessage]:
        """Async `messages`."""
        return to_langchain_messages(await self._memory.amessages(**self._ids, limit=self._limit))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append to the log, in one transaction."""
        said: Any = to_holdfast_messages(messages)
        if not said:
            return
        if self._remember:
            self._memory.add(said, **self._ids, background=True)
        else:
            self._memory.record(said, **self._ids)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async `add_messages`."""
        said: Any = to_holdfast_messages(messages)
        if not said:
            return
        if self._remember:
            await self._memory.aadd(said, **self._ids, background=True)
        else:
            await self._memory.arecord(said, **self._ids)

    def clear(self) -> None:
        """Empty the log."""
        self._memory.clear_messages(**self._ids)

    async def aclear(self) -> None:
        """Async `clear`."""
        await self._memory.aclear_messages(**self._ids)
