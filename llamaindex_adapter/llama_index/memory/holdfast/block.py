"""`HoldfastMemoryBlock`: long-term memory as a block of LlamaIndex's own `Memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field
from llama_index.core.memory import BaseMemoryBlock

from holdfast import Context, JournaledMessage, Memory, Message
from holdfast.io import ASYNCIO

from ._bound import Bound
from ._conversation import Conversation, OnError, Settled, Wanted, turn_of
from ._convert import is_answer, together
from ._registry import shared_conversation
from .memory import PATIENCE, RECALL_TOKENS, End, EngineFilters

LOOK_BACK = 400  # how many journaled messages are searched for overflowing ones; 30,000 tokens hold fewer


class HoldfastMemoryBlock(Bound, BaseMemoryBlock[str]):
    """Remembers what passes through a `Memory`, and recalls what matters for the message to be answered.

    `Memory` gives a block only what overflows its token limit. This one reads along whenever it is asked for its
    content: a user message is remembered in the turn in which it is said, an answer at the latest with the next
    message, each only once, whatever overflows later.

    user_id, agent_id, run_id: whose memory it is; at least one, unless `memory` is bound to one.
    memory: the engine; by default the one that `open_engine` opens with `path`, `llm`, `embed_model` and
        `model_size`.
    recall_tokens: how much of the prompt recalled memories may take.
    priority: 0 is never shortened; others give way, the highest number first, and keep their best memories.
    background, remember, remember_answers, patience, on_error, instructions, metadata, expires_at, filters,
        threshold: as for `HoldfastMemory.from_defaults`.

    A dump or pickle finds its engine as that of a `HoldfastMemory` does. Raises InputError if no id is given,
    and for unknown arguments.
    """

    name: str = "holdfast"
    description: str | None = "What is known from before."
    priority: int = 1
    recall_tokens: int = Field(default=RECALL_TOKENS, gt=0)
    background: bool = True
    remember: bool = True
    remember_answers: bool = True
    patience: float = Field(default=PATIENCE, ge=0)
    on_error: OnError = "raise"
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    expires_at: End = None
    filters: EngineFilters = None
    threshold: float | None = None
    # A field for the same reason as `Bound.memory`.
    conversations: Any = Field(default_factory=dict, exclude=True, repr=False)

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        """Remember what is new in `messages`, and recall for the user's last one.

        session_id: the conversation, as `Memory` passes it. Whatever else it passes is ignored.
        """
        shown = _without_repeats(together(messages or []))
        talk = self._conversation(block_kwargs.get("session_id"))
        known = await talk.journaled(ASYNCIO, max(LOOK_BACK, len(shown)))
        context = await self._recalled(talk, known, shown)
        await self._read_along(talk, known, shown)
        return context.text

    async def _aput(self, messages: list[ChatMessage]) -> None:
        """Remember what overflows the history and was not read before."""
        session = next((m.additional_kwargs.get("session_id") for m in messages), None)
        talk = self._conversation(session)
        known = await talk.journaled(ASYNCIO, LOOK_BACK)
        await self._read_along(talk, known, _without_repeats(together(messages)))

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The best of what was recalled, `tokens_to_truncate` tokens shorter; None if nothing would be left."""
        for talk in self.conversations.values():
            context = talk.last_recalled
            if context.text == content and context.tokens > tokens_to_truncate:
                shorter = await talk.recalled_again(ASYNCIO, context.tokens - tokens_to_truncate)
                return shorter.text or None
        return None

    # -- the conversation behind --------------------------------------------------------------------------------

    def _check(self, memory: Memory) -> None:
        memory.check(
            filters=self.filters,
            threshold=self.threshold,
            metadata=self.metadata,
            instructions=self.instructions,
            expires_at=self.expires_at,
        )

    def _part(self) -> None:
        self.conversations = {}

    def _conversation(self, session_id: str | None) -> Conversation:
        """The conversation of a session: the same one for all copies of this block."""
        talk = shared_conversation(self.engine, self._scope, session_id or "default")
        self.conversations[talk.session_id] = talk
        return talk

    async def _recalled(
        self, talk: Conversation, known: Sequence[JournaledMessage], shown: Sequence[Message]
    ) -> Context:
        query = next((said.content for said in reversed(shown) if said.role == "user"), None)
        turn = None if query is None else turn_of(query, known[-1:])
        if turn is None:
            return Context("")
        lines = {_line(said) for said in shown}
        there = [said.id for said in known if _line(said.message) in lines]
        wanted = Wanted(self.recall_tokens, self.filters, self.threshold, self.patience, self.on_error)
        return await talk.recall(ASYNCIO, turn, wanted, shown=there)

    async def _read_along(
        self, talk: Conversation, known: Sequence[JournaledMessage], shown: Sequence[Message]
    ) -> None:
        """Remember what is new in `shown`, and what another object of this session has only recorded."""
        settled = Settled(
            self.metadata,
            self.instructions,
            self.background,
            self.remember_answers,
            self.remember,
            self.on_error,
            self.expires_at,
        )
        if self.remember:
            await talk.remember(ASYNCIO, _untold(known, shown, answers=self.remember_answers), settled)


Line = tuple[str, str]


def _line(said: Message) -> Line:
    return said.role, said.content


def _untold(known: Sequence[JournaledMessage], shown: Sequence[Message], *, answers: bool) -> list[Message]:
    """What is shown but not remembered yet, under its id in the journal if it is there."""
    spoken = [
        said for said in known if said.message.content.strip() and said.message.role in ("user", "assistant")
    ]
    at, length = _stretch([_line(said.message) for said in spoken], [_line(said) for said in shown])
    recorded = [
        said.message
        for said in spoken[at : at + length]
        if said.add_id is None and (answers or said.message.role == "user")
    ]
    return [*recorded, *shown[length:]]


def _stretch(known: Sequence[Line], window: Sequence[Line]) -> tuple[int, int]:
    """Where in `known` the window begins, and how much of the window it has: the window is a stretch of a
    conversation whose past is `known`.

    A window within what is known has nothing new. Otherwise its longest possible beginning is the end of what
    is known.
    """
    length = len(window)
    for at in reversed(range(len(known) - length + 1)):
        if list(known[at : at + length]) == list(window):
            return at, length
    for overlap in range(min(len(known), length), 0, -1):
        if list(known[-overlap:]) == list(window[:overlap]):
            return len(known) - overlap, overlap
    return len(known), 0


def _without_repeats(messages: Sequence[Message]) -> list[Message]:
    """What users said and assistants answered. An agent hands over the current message twice; once is enough."""
    kept: list[Message] = []
    for said in messages:
        told = said.role == "user" and bool(said.content.strip())
        if (told or is_answer(said)) and not (kept and _line(kept[-1]) == _line(said)):
            kept.append(said)
    return kept
