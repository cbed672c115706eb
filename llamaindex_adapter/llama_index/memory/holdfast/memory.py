"""`HoldfastMemory`: the memory of a chat engine or an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from datetime import date, timedelta
from math import ceil
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import BeforeValidator, Field
from llama_index.core.memory.memory import InsertMethod
from llama_index.core.memory.types import BaseMemory

from holdfast import FROM_ENVIRONMENT, Context, Flushed, Memory
from holdfast.io import ASYNCIO, INLINE, IO, run_inline
from holdfast.models.tokens import count_tokens
from holdfast.types import Expiry

from ._bound import Bound
from ._conversation import Conversation, OnError, Settled, Wanted, turn_of
from ._convert import from_journal
from ._filters import Filters, engine_filters
from ._registry import Model, ModelSize, Path_, shared_conversation
from ._window import RECALL_SHARE, fitting, inserted

TOKEN_LIMIT = 30_000  # the limit of LlamaIndex's own `Memory`
RECALL_TOKENS = 1_000  # the engine's default
# Seconds. Extraction of a turn takes a hosted model one or two, a small local one five to ten.
PATIENCE = 10.0


def tokens_of(text: str) -> Sized:
    """Something as long as the text has tokens: what LlamaIndex expects of a tokenizer."""
    return range(count_tokens(text))


Insert = Literal["user", "system"]
EngineFilters = Annotated[dict[str, Any] | None, BeforeValidator(engine_filters)]


def _written(expires_at: Any) -> Any:
    """A time or a duration in ISO 8601, as a dump can hold it."""
    if isinstance(expires_at, timedelta):
        return f"PT{max(0, ceil(expires_at.total_seconds()))}S"
    return expires_at.isoformat() if isinstance(expires_at, date) else expires_at


End = Annotated[str | None, BeforeValidator(_written)]


def _insert_method(method: Any) -> Any:
    """LlamaIndex's `InsertMethod` by its value."""
    return method.value if isinstance(method, InsertMethod) else method


class HoldfastMemory(Bound, BaseMemory):
    """Short-term history within a token limit, plus what is known from before.

    What is put is journaled at once: the journal is the history, and a session resumes after a restart. A turn is
    remembered with the answer that ends it. What is recalled is merged into a copy of one of the messages that
    `get` returns; it is never part of the history and never remembered again.

    Make it with `from_defaults`. Copies, pickles and objects rebuilt from `to_dict` share the engine and the
    conversation of the original while the process lives; in another process they find the engine as
    `register_engine` says. The conversation's owner cannot be changed.
    """

    fixed: ClassVar[frozenset[str]] = Bound.fixed | {"session_id"}

    session_id: str = Field(default_factory=lambda: uuid4().hex)
    token_limit: int = Field(default=TOKEN_LIMIT, gt=0)
    recall_tokens: int = Field(default=RECALL_TOKENS, ge=0)
    insert_method: Annotated[Insert, BeforeValidator(_insert_method)] = "user"
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
    # Fields for the same reason as `Bound.memory`.
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
        model_size: ModelSize = "auto",
        chat_history: Sequence[ChatMessage] | None = None,
        token_limit: int = TOKEN_LIMIT,
        recall_tokens: int = RECALL_TOKENS,
        insert_method: Insert | InsertMethod = "user",
        background: bool = True,
        remember: bool = True,
        remember_answers: bool = True,
        patience: float = PATIENCE,
        on_error: OnError = "raise",
        instructions: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_at: Expiry | None = None,
        filters: Filters = None,
        threshold: float | None = None,
        tokenizer_fn: Callable[[str], Sized] | None = None,
    ) -> Self:
        """A memory for one conversation.

        user_id, agent_id, run_id: whose memory it is; at least one, unless `memory` is bound to one.
        session_id: the conversation. Pass that of an earlier conversation to continue it; by default a new one.
        memory: the engine. By default one is opened at `path`, once per process:
        path, llm, embed_model, model_size: as `open_engine` takes them; not together with `memory`.
        chat_history: what the conversation begins with: context, which is not remembered. A message whose
            `additional_kwargs` hold a "happened_at" (a datetime, or ISO 8601) was said then.
        token_limit: the most that `get` returns; at least the latest user message is kept.
        recall_tokens: the share of that for recalled memories, at most 30 % of the limit; 0 recalls nothing.
        insert_method: "user" merges recalled memories into the user message that is being answered, which leaves a
            system prompt the only system message and a provider's cache of the earlier messages good; "system"
            merges them into the system message that leads the history, or makes one. LlamaIndex's `InsertMethod`
            is taken, too.
        background: remember while the conversation continues; False waits until each turn is remembered.
        remember: False keeps a history and recalls, but remembers nothing. For agents that take orders from another
            agent: what they are told in a user's name are not the user's words, and nothing marks them.
        remember_answers: False keeps what the assistant says in the history only. Small models, asked to extract
            from both, tend to take the assistant's general knowledge for facts.
        patience: seconds that the first recall of a conversation waits for what others are still adding, unless
            their model has failed.
        on_error: "log" lets the conversation continue if recalling or remembering fails, with the failure in the
            log of `holdfast`; what was to be remembered is journaled, and taken up later. A failure to read or
            write the history is always raised.
        instructions: what to remember or leave out, in words, for the model that extracts.
        metadata: what memories of this conversation carry.
        expires_at: when they expire, as for `holdfast.Memory.add`; a duration ("P30D") counts from each turn.
        filters, threshold: which ones are recalled; the engine's filters, or LlamaIndex's `MetadataFilters`.
        tokenizer_fn: text -> tokens, to count the history with.

        Raises InputError if no id is given, and what opening the store raises.
        """
        made = cls(
            user_id=user_id,
            agent_id=agent_id,
            run_id=run_id,
            session_id=session_id or uuid4().hex,
            memory=memory,
            path=path,
            llm=llm,
            embed_model=embed_model,
            model_size=model_size,
            token_limit=token_limit,
            recall_tokens=recall_tokens,
            insert_method=insert_method,
            background=background,
            remember=remember,
            remember_answers=remember_answers,
            patience=patience,
            on_error=on_error,
            instructions=instructions,
            metadata=None if metadata is None else dict(metadata),
            expires_at=_written(expires_at),
            filters=filters,
            threshold=threshold,
            tokenizer_fn=tokenizer_fn or tokens_of,
        )
        if chat_history:
            made.set(list(chat_history))
        return made

    def _check(self, memory: Memory) -> None:
        memory.check(
            filters=self.filters,
            threshold=self.threshold,
            metadata=self.metadata,
            instructions=self.instructions,
            expires_at=self.expires_at,
        )

    def _part(self) -> None:
        self.conversation = None

    # -- reading ------------------------------------------------------------------------------------------------

    def get(
        self,
        input: str | ChatMessage | None = None,  # noqa: A002 - LlamaIndex calls it by this name
        **kwargs: Any,
    ) -> list[ChatMessage]:
        """The newest part of the history, with what is recalled for `input` or for the last user message.

        What is known only from the messages shown is not recalled.
        initial_token_count (as chat engines pass it): how many tokens of the limit a prompt already takes.
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
        """What is known that matters for `query`, even if the history shows it."""
        return run_inline(self._recall(INLINE, query))

    async def arecall(self, query: str) -> Context:
        """Async `recall`."""
        return await self._recall(ASYNCIO, query)

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
        """Replace the history. Memories stay, and messages handed over as history are not remembered again."""
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

        Returns what is still pending, and why; falsy if anything is.
        """
        return run_inline(self._flush(INLINE, timeout))

    async def aflush(self, timeout: float | None = None) -> Flushed:
        """Async `flush`."""
        return await self._flush(ASYNCIO, timeout)

    # -- the conversation behind --------------------------------------------------------------------------------

    @property
    def _settled(self) -> Settled:
        return Settled(
            self.metadata,
            self.instructions,
            self.background,
            self.remember_answers,
            self.remember,
            self.on_error,
            self.expires_at,
        )

    def _talk(self) -> Conversation:
        # Held, so that it lives on between calls: the registry does not keep it alive.
        talk = self.conversation = shared_conversation(self.engine, self._scope, self.session_id)
        return talk

    # -- the bodies that both faces share -----------------------------------------------------------------------

    def _budget(self, limit: int) -> int:
        return min(self.recall_tokens, int(RECALL_SHARE * limit))

    async def _recall(self, io: IO, query: str) -> Context:
        memory, budget = self._view, self._budget(self.token_limit)
        if not budget:
            return Context("")
        return await io.call(
            memory.recall,
            memory.arecall,
            query,
            max_tokens=budget,
            filters=self.filters,
            threshold=self.threshold,
            session_id=self.session_id,
            wait=self.patience,
        )

    async def _get(
        self, io: IO, asked: str | ChatMessage | None, *, initial_token_count: int = 0, **_: Any
    ) -> list[ChatMessage]:
        talk, limit = self._talk(), max(0, self.token_limit - initial_token_count)
        budget = self._budget(limit)
        query = asked.content if isinstance(asked, ChatMessage) else asked

        newest, history, lengths = await talk.newest(io, limit, self.tokenizer_fn)
        turn = turn_of(query, newest)
        if turn is None or not budget:
            return fitting(history, lengths, limit)
        beside = fitting(history, lengths, limit - budget)
        kept = set(map(id, beside))
        shown = [said.id for said, message in zip(newest, history, strict=True) if id(message) in kept]
        wanted = Wanted(budget, self.filters, self.threshold, self.patience, self.on_error)
        known = await talk.recall(io, turn, wanted, shown=shown)
        if not known:
            return fitting(history, lengths, limit)
        by_id = {said.message.id: message for said, message in zip(newest, history, strict=True)}
        answering = by_id.get(turn.user) if turn.user is not None else None
        return inserted(beside, known.text, self.insert_method, answering)

    async def _get_all(self, io: IO) -> list[ChatMessage]:
        return [from_journal(message) for message in await self._talk().journaled(io)]

    async def _flush(self, io: IO, seconds: float | None) -> Flushed:
        talk = self._talk()
        await talk.finish(io, self._settled)
        return await io.call(talk.memory.flush, talk.memory.aflush, seconds)
