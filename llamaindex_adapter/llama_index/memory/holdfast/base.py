"""`HoldfastMemory`: the memory of a chat engine or an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Literal, Self
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field
from llama_index.core.memory.types import BaseMemory

from holdfast import FROM_ENVIRONMENT, Context, Flushed, InputError, Memory, Scope
from holdfast.faces import IO, run_inline
from holdfast.memory import ASYNCIO, INLINE
from holdfast.tokens import count_tokens

from ._conversation import Conversation, Settled, Wanted
from ._convert import from_journal
from ._registry import Model, Path_, check_owner, engine_on, open_engine, shared_conversation
from ._window import fitting, inserted, message_tokens

TOKEN_LIMIT = 30_000  # the limit of LlamaIndex's own `Memory`
RECALL_TOKENS = 1_000  # the engine's default
# Seconds. Extraction of a turn takes a hosted model one or two, a small local one five to ten.
PATIENCE = 10.0


def tokens_of(text: str) -> Sized:
    """Something as long as the text has tokens: what LlamaIndex expects of a tokenizer."""
    return range(count_tokens(text))


class HoldfastMemory(BaseMemory):
    """Short-term history within a token limit, plus what is known from earlier conversations.

    What is put is journaled at once: the journal is the history, and a session resumes after a restart. A turn is
    remembered with the answer that ends it. What is recalled is merged into a copy of one message of what `get`
    returns; it is never part of the history and never remembered again.

    Make it with `from_defaults`. Copies, pickles and objects rebuilt from `to_dict` share the store and the
    conversation of the original while the process lives; later they open the store at `path` again.
    """

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    session_id: str = Field(default_factory=lambda: uuid4().hex)
    token_limit: int = Field(default=TOKEN_LIMIT, gt=0)
    recall_tokens: int = Field(default=RECALL_TOKENS, ge=0)
    insert_method: Literal["user", "system"] = "user"
    background: bool = True
    remember_answers: bool = True
    patience: float = Field(default=PATIENCE, ge=0)
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    filters: dict[str, Any] | None = None
    threshold: float | None = None
    path: str | None = None
    live_id: str = Field(default_factory=lambda: uuid4().hex)
    # Not private attributes, which a deep copy would copy: fields that no dump contains.
    memory: Any = Field(default=None, exclude=True, repr=False)
    conversation: Any = Field(default=None, exclude=True, repr=False)
    tokenizer_fn: Callable[[str], Sized] = Field(default=tokens_of, exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        return "HoldfastMemory"

    @classmethod
    def from_defaults(  # type: ignore[override]
        cls,
        user_id: str | None = None,
        *,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        memory: Memory | None = None,
        path: Path_ | None = None,
        llm: Model | Any = FROM_ENVIRONMENT,
        embed_model: Any = None,
        chat_history: Sequence[ChatMessage] | None = None,
        token_limit: int = TOKEN_LIMIT,
        recall_tokens: int = RECALL_TOKENS,
        insert_method: Literal["user", "system"] = "user",
        background: bool = True,
        remember_answers: bool = True,
        patience: float = PATIENCE,
        instructions: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        tokenizer_fn: Callable[[str], Sized] | None = None,
    ) -> Self:
        """A memory for one conversation.

        user_id, agent_id, run_id: whose memory it is; at least one.
        session_id: the conversation. Pass the one of an earlier conversation to go on with it; by default a new one.
        memory: the engine. By default one is opened at `path`, once per process:
        path, llm, embed_model: as `open_engine` takes them; not together with `memory`.
        chat_history: what the conversation begins with: context, which is not remembered.
        token_limit: how long what `get` returns may be; at least the latest user message is kept.
        recall_tokens: how much of that recalled memories may take; 0 recalls nothing.
        insert_method: "user" merges recalled memories into the latest user message, which leaves a system prompt
            the only system message and a provider's cache of the earlier messages good; "system" merges them into
            the system message that leads the history, or makes one.
        background: remember while the conversation goes on; False waits until each turn is remembered.
        remember_answers: False keeps what the assistant says in the history only. Small models, asked to extract
            from both, tend to take the assistant's general knowledge for facts.
        patience: seconds that recalling waits for what earlier conversations are still adding.
        instructions: what to remember or leave out, in words, for the model that extracts.
        metadata: what memories of this conversation carry. filters, threshold: which ones are recalled.
        tokenizer_fn: text -> tokens, to count the history with.

        Raises InputError where no id is given, and what opening the store raises.
        """
        check_owner(user_id, agent_id, run_id)
        if memory is not None and (
            path is not None or embed_model is not None or llm is not FROM_ENVIRONMENT
        ):
            raise InputError("pass memory=, or path=, llm= and embed_model= to open one, not both")
        engine = memory if memory is not None else open_engine(path, llm=llm, embed_model=embed_model)
        made = cls(
            user_id=user_id,
            agent_id=agent_id,
            run_id=run_id,
            session_id=session_id or uuid4().hex,
            token_limit=token_limit,
            recall_tokens=recall_tokens,
            insert_method=insert_method,
            background=background,
            remember_answers=remember_answers,
            patience=patience,
            instructions=instructions,
            metadata=None if metadata is None else dict(metadata),
            filters=None if filters is None else dict(filters),
            threshold=threshold,
            memory=engine,
            tokenizer_fn=tokenizer_fn or tokens_of,
        )
        if chat_history:
            made.set(list(chat_history))
        return made

    def __init__(self, **fields: Any) -> None:
        check_owner(**fields)
        super().__init__(**fields)

    def model_post_init(self, context: Any, /) -> None:
        if self.memory is not None:
            self.path = None if self.memory.folder is None else str(self.memory.folder)
            self.conversation = shared_conversation(self.live_id, self._new_conversation)

    # -- copies -------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)

    # -- reading ------------------------------------------------------------------------------------------------

    def get(
        self,
        input: str | ChatMessage | None = None,  # noqa: A002 - LlamaIndex calls it by this name
        **kwargs: Any,
    ) -> list[ChatMessage]:
        """The newest part of the history, with what is recalled for `input` or for the last user message.

        initial_token_count (as chat engines pass it): how many tokens of the limit a prompt takes already.
        """
        return run_inline(self._get(INLINE, input, **kwargs))

    async def aget(
        self,
        input: str | ChatMessage | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[ChatMessage]:
        """Async `get`."""
        return await self._get(ASYNCIO, input, **kwargs)

    def get_all(self) -> list[ChatMessage]:
        """The whole history, without what is recalled."""
        return run_inline(self._get_all(INLINE))

    async def aget_all(self) -> list[ChatMessage]:
        """Async `get_all`."""
        return await self._get_all(ASYNCIO)

    def recall(self, query: str) -> Context:
        """What is known that matters for `query`, as `get` would show it."""
        return self.engine.recall(
            query,
            **self._scope.ids(),
            max_tokens=max(1, self.recall_tokens),
            filters=self.filters,
            threshold=self.threshold,
            session_id=self.session_id,
            wait=self.patience,
        )

    # -- writing ------------------------------------------------------------------------------------------------

    def put(self, message: ChatMessage) -> None:
        """Add a message to the history. An answer ends the turn, which is then remembered."""
        run_inline(self._talk().put(INLINE, [message], self._settled))

    async def aput(self, message: ChatMessage) -> None:
        """Async `put`."""
        await self._talk().put(ASYNCIO, [message], self._settled)

    def put_messages(self, messages: list[ChatMessage]) -> None:
        """`put` several messages."""
        run_inline(self._talk().put(INLINE, messages, self._settled))

    async def aput_messages(self, messages: list[ChatMessage]) -> None:
        """Async `put_messages`."""
        await self._talk().put(ASYNCIO, messages, self._settled)

    def set(self, messages: list[ChatMessage]) -> None:
        """Replace the history. Memories stay, and what is handed over as history is not remembered again."""
        run_inline(self._talk().replace(INLINE, messages))

    async def aset(self, messages: list[ChatMessage]) -> None:
        """Async `set`."""
        await self._talk().replace(ASYNCIO, messages)

    def reset(self) -> None:
        """Empty the history. Memories stay; `engine.delete_all` or `engine.erase` removes them."""
        run_inline(self._talk().clear(INLINE))

    async def areset(self) -> None:
        """Async `reset`."""
        await self._talk().clear(ASYNCIO)

    def flush(self, timeout: float | None = None) -> Flushed:
        """Remember what is left of the conversation and wait for what can be done, as `holdfast.Memory.flush` does.

        Returns what is still pending, and why: false where that is anything.
        """
        return run_inline(self._flush(INLINE, timeout))

    async def aflush(self, timeout: float | None = None) -> Flushed:
        """Async `flush`."""
        return await self._flush(ASYNCIO, timeout)

    # -- the engine behind --------------------------------------------------------------------------------------

    @property
    def engine(self) -> Memory:
        """The engine: everything that it can do beyond a chat's memory.

        Raises InputError where this object came from another process and does not know its store's folder.
        """
        return self._talk().memory

    @property
    def _scope(self) -> Scope:
        return Scope(self.user_id, self.agent_id, self.run_id)

    @property
    def _settled(self) -> Settled:
        return Settled(self.metadata, self.instructions, self.background, self.remember_answers)

    @property
    def _wanted(self) -> Wanted:
        return Wanted(min(self.recall_tokens, self.token_limit), self.filters, self.threshold, self.patience)

    def _talk(self) -> Conversation:
        if self.conversation is None:
            self.conversation = shared_conversation(self.live_id, self._new_conversation)
        talk: Conversation = self.conversation
        return talk

    def _new_conversation(self) -> Conversation:
        return Conversation(self.memory or self._reopened(), self._scope, self.session_id)

    def _reopened(self) -> Memory:
        if self.path is None:
            raise InputError(
                "this HoldfastMemory was restored without its store, which has no folder of its own and is not open "
                "in this process; pass memory=: HoldfastMemory.from_dict(data, memory=...), or make it anew with "
                f"HoldfastMemory.from_defaults(user_id={self.user_id!r}, session_id={self.session_id!r}, memory=...)"
            )
        return engine_on(self.path)

    # -- the bodies that both faces share -----------------------------------------------------------------------

    def _count(self, text: str) -> int:
        return len(self.tokenizer_fn(text))

    def _length(self, message: ChatMessage) -> int:
        return message_tokens(message, self._count)

    async def _get(
        self, io: IO, asked: str | ChatMessage | None, *, initial_token_count: int = 0, **_: Any
    ) -> list[ChatMessage]:
        talk, limit = self._talk(), max(0, self.token_limit - initial_token_count)
        query = asked.content if isinstance(asked, ChatMessage) else asked

        newest, history, lengths = await talk.newest(io, limit, self._length)
        known = await talk.recall(io, query, newest, self._wanted) if self.recall_tokens else Context("")
        shown = fitting(history, lengths, limit - self._count(known.text))
        return inserted(shown, known.text, self.insert_method)

    async def _get_all(self, io: IO) -> list[ChatMessage]:
        return [from_journal(message) for message in await self._talk().journaled(io)]

    async def _flush(self, io: IO, seconds: float | None) -> Flushed:
        talk = self._talk()
        await talk.finish(io, self._settled)
        return await io.call(talk.memory.flush, talk.memory.aflush, seconds)
