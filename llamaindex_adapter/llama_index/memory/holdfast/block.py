"""`HoldfastMemoryBlock`: long-term memory as a block of LlamaIndex's own `Memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.bridge.pydantic import Field
from llama_index.core.memory import BaseMemoryBlock

from holdfast import Context, JournaledMessage, Scope
from holdfast.memory import ASYNCIO

from ._conversation import Conversation, Settled, Wanted
from ._convert import is_answer, remembered_text, to_journal
from ._registry import check_owner, open_engine, shared_conversation
from .base import PATIENCE, RECALL_TOKENS

LOOK_BACK = 400  # messages of the journal that overflowing ones are looked for in; 30,000 tokens hold fewer


class HoldfastMemoryBlock(BaseMemoryBlock[str]):
    """Remembers what passes through a `Memory`, and recalls what matters for the message that is to be answered.

    `Memory` gives a block only what overflows its token limit. This one reads along whenever it is asked for its
    content: a user message is remembered in the turn in which it is said, an answer at the latest with the next
    message, each of them once, whatever overflows later.

    user_id, agent_id, run_id: whose memory it is; at least one.
    memory: the engine; by default the one at `path`, opened once per process, as `open_engine` does it.
    recall_tokens: how much of the prompt recalled memories may take.
    priority: 0 is never shortened; others give way, the highest number first, and keep their best memories.
    background, remember_answers, patience, instructions, metadata, filters, threshold: as for
        `HoldfastMemory.from_defaults`.

    Raises InputError where no id is given.
    """

    name: str = "holdfast"
    description: str | None = "What is known from earlier conversations."
    priority: int = 1
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    path: str | None = None
    recall_tokens: int = Field(default=RECALL_TOKENS, gt=0)
    background: bool = True
    remember_answers: bool = True
    patience: float = Field(default=PATIENCE, ge=0)
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    filters: dict[str, Any] | None = None
    threshold: float | None = None
    # Fields rather than private attributes: those would be copied deeply with the block.
    memory: Any = Field(default=None, exclude=True, repr=False)
    conversations: Any = Field(default_factory=dict, exclude=True, repr=False)

    def __init__(self, **fields: Any) -> None:
        check_owner(**fields)
        super().__init__(**fields)

    def model_post_init(self, context: Any, /) -> None:
        if self.memory is None:
            self.memory = open_engine(self.path)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> HoldfastMemoryBlock:
        return self.model_copy()

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        """Remember what is new in `messages`, and recall for the last of them that a user said.

        session_id: the conversation, as `Memory` passes it. Whatever else it passes is ignored.
        """
        shown = _without_repeats(messages or [])
        talk = self._conversation(block_kwargs.get("session_id"))
        query = next(
            (
                remembered_text(m)
                for m in reversed(shown)
                if m.role == MessageRole.USER and remembered_text(m)
            ),
            None,
        )
        context = await self._recalled(talk, query, shown)
        await self._read_along(talk, shown, look_back=max(1, len(shown)))
        return context.text

    async def _aput(self, messages: list[ChatMessage]) -> None:
        """Remember what overflows the history, where it was not read along before."""
        session = next((m.additional_kwargs.get("session_id") for m in messages), None)
        await self._read_along(self._conversation(session), _without_repeats(messages), look_back=LOOK_BACK)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The best of what was recalled, `tokens_to_truncate` tokens shorter; None where nothing would be left."""
        for talk in self.conversations.values():
            context = talk.last_recalled
            if context.text == content and context.tokens > tokens_to_truncate:
                shorter = await talk.recalled_again(ASYNCIO, context.tokens - tokens_to_truncate)
                return shorter.text or None
        return None

    # -- the engine behind --------------------------------------------------------------------------------------

    @property
    def _scope(self) -> Scope:
        return Scope(self.user_id, self.agent_id, self.run_id)

    def _conversation(self, session_id: str | None) -> Conversation:
        """The conversation of a session: the same one for all copies of this block."""
        session = session_id or "default"
        key = "/".join(("block", str(id(self.memory)), *map(str, self._scope.to_dict().values()), session))
        talk = shared_conversation(key, lambda: Conversation(self.memory, self._scope, session))
        self.conversations[session] = talk
        return talk

    async def _recalled(self, talk: Conversation, query: str | None, shown: Sequence[ChatMessage]) -> Context:
        if query is None:
            return Context("")
        wanted = Wanted(self.recall_tokens, self.filters, self.threshold, self.patience)
        return await talk.recall(ASYNCIO, query, await talk.journaled(ASYNCIO, 1), wanted)

    async def _read_along(self, talk: Conversation, shown: Sequence[ChatMessage], *, look_back: int) -> None:
        known = await talk.journaled(ASYNCIO, look_back)
        new = _news([_line(message) for message in known], [_said(message) for message in shown])
        settled = Settled(self.metadata, self.instructions, self.background, self.remember_answers)
        await talk.remember(ASYNCIO, [to_journal(message) for message in shown[new:]], settled)


Line = tuple[str, str]


def _line(journaled: JournaledMessage) -> Line:
    return journaled.message.role, journaled.message.content


def _said(message: ChatMessage) -> Line:
    said = to_journal(message)
    return said.role, said.content


def _news(known: Sequence[Line], window: Sequence[Line]) -> int:
    """Where in the window the news begins: the window is a stretch of a conversation whose past is `known`.

    A window that lies within what is known has none. Else its beginning, as long as it can be, is the end of
    what is known.
    """
    length = len(window)
    if any(list(known[at : at + length]) == list(window) for at in range(len(known) - length + 1)):
        return length
    for overlap in range(min(len(known), length), 0, -1):
        if list(known[-overlap:]) == list(window[:overlap]):
            return overlap
    return 0


def _without_repeats(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """What users said and assistants answered. An agent hands over the message at hand twice: once is enough."""
    kept: list[ChatMessage] = []
    for message in messages:
        told = message.role == MessageRole.USER and bool(remembered_text(message).strip())
        if not told and not is_answer(message):
            continue
        if not (kept and kept[-1].role == message.role and kept[-1].content == message.content):
            kept.append(message)
    return kept
