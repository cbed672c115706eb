"""`HoldfastChatMessageHistory`: a session's messages, from the journal that memories come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from holdfast import InputError, Memory
from holdfast.io import IO, Asyncio, Inline, run_inline

from ._convert import to_holdfast_messages, to_langchain_messages
from ._options import End, Metadata, OnError, checked, failing_open, one_of
from ._scope import Scoping

_INLINE, _ASYNCIO = Inline(), Asyncio()


class HoldfastChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session: for `RunnableWithMessageHistory`, and as a plain log.

    memory: the store, or a view of it.
    session_id: the conversation. With `HoldfastMiddleware` it is the thread's id, and the two share one log.
    user_id, agent_id, run_id: whose conversation it is; at least one, unless `memory` is bound to one.
    remember: also extract memories from what is added, in the background.
    limit: how many of the newest messages `messages` returns; None for all.
    metadata, instructions, after_seconds, expires_at: with `remember`, as for `Memory.add`.
    media: keep pictures, sounds and files that a message holds as base64. Without them the ledger stays small, and
        such messages come back without them.
    on_error: what happens if adding fails. "raise" is the default here, as the messages are the conversation itself.
        "log" lets the chain answer without them. A failure to read the history is always raised.

    Every kind of message comes back equal to what was added: names, ids, tool calls, content blocks.
    Messages with an id are kept once. `clear` empties the log; memories, and the messages as their evidence,
    stay until they are erased (`Memory.erase`).

    Raises InputError, when it is made, for arguments that `Memory` would refuse later, and without an owner.
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
        metadata: Metadata = None,
        instructions: str | None = None,
        expires_at: End = None,
        after_seconds: float = 0,
        media: bool = True,
        on_error: OnError = "raise",
    ) -> None:
        options: dict[str, Any] = {
            "metadata": metadata,
            "instructions": instructions,
            "expires_at": expires_at,
            "after_seconds": after_seconds,
        }
        checked(
            memory, "HoldfastChatMessageHistory", **options, **({} if limit is None else {"limit": limit})
        )
        one_of("on_error", on_error, OnError)
        self._memory = Scoping("HoldfastChatMessageHistory", memory, user_id, agent_id, run_id).bound()
        if not isinstance(session_id, str) or not session_id.strip():
            raise InputError(f"session_id={session_id!r} is no name of a conversation")
        self._session_id = session_id
        self._adding: dict[str, Any] = {**options, "session_id": session_id, "background": True}
        self._remember, self._limit, self._media, self._on_error = remember, limit, media, on_error

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The session's messages, oldest first."""
        return to_langchain_messages(self._memory.messages(session_id=self._session_id, limit=self._limit))

    async def aget_messages(self) -> list[BaseMessage]:
        """Async `messages`."""
        return to_langchain_messages(
            await self._memory.amessages(session_id=self._session_id, limit=self._limit)
        )

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append to the log, in one transaction."""
        run_inline(self._added(_INLINE, messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async `add_messages`."""
        await self._added(_ASYNCIO, messages)

    async def _added(self, io: IO, messages: Sequence[BaseMessage]) -> None:
        said: Any = to_holdfast_messages(messages, media=self._media)
        if not said:
            return
        with failing_open(self._on_error, "HoldfastChatMessageHistory: adding"):
            if self._remember:
                await io.call(self._memory.add, self._memory.aadd, said, **self._adding)
            else:
                await io.call(self._memory.record, self._memory.arecord, said, session_id=self._session_id)

    def clear(self) -> None:
        """Empty the log."""
        self._memory.clear_messages(session_id=self._session_id)

    async def aclear(self) -> None:
        """Async `clear`."""
        await self._memory.aclear_messages(session_id=self._session_id)
