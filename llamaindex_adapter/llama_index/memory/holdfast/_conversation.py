"""One conversation in the journal: its history, its remembered turns, what is recalled for a turn.

Written once, as coroutines over the engine's `IO`, for the sync and the async face of everything that uses it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from holdfast import Context, HoldfastError, InputError, JournaledMessage, Message, ScopedMemory
from holdfast.io import IO
from holdfast.types import Expiry

from ._convert import GIVEN, from_journal, is_answer, same, together
from ._window import message_tokens

log = logging.getLogger("holdfast")

OnError = Literal["raise", "log"]
Tokenizer = Callable[[str], Sized]

# The messages that a first look at the journal reads; further ones take more. A turn with tools has about five.
FIRST_LOOK = 64
COUNTED = 10_000  # messages whose length is kept; a prompt holds far fewer
BRIEF = 2.0  # seconds; what the engine waits by default


@dataclass(frozen=True, slots=True)
class Settled:
    """What the messages of a conversation are remembered with.

    remember: False keeps them in the history only, for good. answers: the assistant's are remembered, too.
    on_error: what happens if remembering fails; the history's own failures are always raised.
    """

    metadata: Mapping[str, Any] | None = None
    instructions: str | None = None
    background: bool = True
    answers: bool = True
    remember: bool = True
    on_error: OnError = "raise"
    expires_at: Expiry | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is recalled for a turn.

    patience: seconds that the first recall of a conversation waits for what others are adding; later waits are brief.
    """

    tokens: int
    filters: Mapping[str, Any] | None = None
    threshold: float | None = None
    patience: float = 0.0
    on_error: OnError = "raise"


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn by the id of its user message, or by the message it follows while that one is not in the journal yet."""

    query: str
    user: str | None
    after: str | None


@dataclass(slots=True)
class _Recalled:
    turn: Turn
    wanted: Wanted
    shown: Collection[str]
    context: Context


@contextmanager
def surviving(on_error: OnError, what: str, *, journaled: bool = False) -> Iterator[None]:
    """With "log", a failure of store or models is logged and the block left. A wrong call always raises.

    journaled: survive only what is in the journal and will be taken up.
    """
    try:
        yield
    except InputError:
        raise
    except HoldfastError as error:
        if on_error == "raise" or (journaled and error.add_id is None):
            raise
        log.exception("%s failed; the conversation goes on without it", what)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Conversation:
    """A session in an engine's journal, within a view of it.

    Shared by all objects of the process that work on it.

    What is still to be remembered is only in the journal, so that threads, tasks and other processes may put
    messages at the same time.
    """

    memory: ScopedMemory
    session_id: str
    _recalled: _Recalled | None = None
    _waited: bool = False
    _lengths: dict[str, tuple[Tokenizer, int]] = field(
        default_factory=dict
    )  # by the id of a journaled message
    _guard: threading.Lock = field(default_factory=threading.Lock)

    # -- the history --------------------------------------------------------------------------------------------

    async def journaled(self, io: IO, limit: int | None = None) -> tuple[JournaledMessage, ...]:
        """The history as it is in the journal, oldest first; with a limit, only its newest messages."""
        memory = self.memory
        return await io.call(memory.messages, memory.amessages, session_id=self.session_id, limit=limit)

    async def newest(
        self, io: IO, enough: int, tokenizer: Tokenizer
    ) -> tuple[list[JournaledMessage], list[ChatMessage], list[int]]:
        """The newest messages, oldest first: at least as many as fill `enough` tokens. As they are in the journal, as
        LlamaIndex knows them, and how long each is."""
        limit = FIRST_LOOK
        while True:
            found = list(await self.journaled(io, limit))
            messages = [from_journal(message) for message in found]
            lengths = [
                self._length(said, message, tokenizer) for said, message in zip(found, messages, strict=True)
            ]
            if len(found) < limit or sum(lengths) >= enough:
                return found, messages, lengths
            limit *= 4

    def _length(self, said: JournaledMessage, message: ChatMessage, tokenizer: Tokenizer) -> int:
        """A journaled message never changes, so each tokenizer counts it once."""
        with self._guard:
            known = self._lengths.get(said.id)
        if known is not None and known[0] is tokenizer:
            return known[1]
        length = message_tokens(message, lambda text: len(tokenizer(text)))
        with self._guard:
            if len(self._lengths) >= COUNTED:
                self._lengths.clear()
            self._lengths[said.id] = tokenizer, length
        return length

    async def put(self, io: IO, messages: Sequence[ChatMessage], settled: Settled) -> None:
        """Journal messages. With the answer that ends a turn, the turn is remembered."""
        waiting: list[Message] = []
        for said in together(messages, given=not settled.remember):
            if said.role == "user":
                self._claim(said)
            if not is_answer(said):
                waiting.append(said)
                continue
            await self.write(io, waiting)
            waiting = []
            await self._answered(io, said, settled)
        await self.write(io, waiting)

    async def replace(self, io: IO, messages: Sequence[ChatMessage]) -> None:
        """Make `messages` the history. What it has already stays as it is and is not remembered again.

        What is new is context, as it was said elsewhere. A user message at the end is the turn that is
        about to be answered, and is remembered with its answer.
        """
        known = await self.journaled(io)
        kept = _common(known, messages)
        keep = [message.id for message in known[:kept]] if kept < len(known) else None
        new = messages[kept:]
        given = together(new, given=True)
        if new and new[-1].role == MessageRole.USER:
            given = [*together(new[:-1], given=True), *together(new[-1:])]
        await self.write(io, given, keep)

    async def record(self, io: IO, messages: Sequence[ChatMessage]) -> None:
        """Only add messages to the history."""
        await self.write(io, together(messages, given=True))

    async def finish(self, io: IO, settled: Settled) -> None:
        """Remember what users said and nobody answered, however long ago."""
        if settled.remember:
            await self.remember(io, await self._untold(io, whole=True), settled)

    async def remember(self, io: IO, said: Sequence[Message], settled: Settled) -> None:
        """Add messages to the long-term memory; those that are journaled already are taken up, each once."""
        told = [message for message in said if settled.answers or message.role == "user"]
        if len(told) < len(said):
            await self.write(io, said)
        if not told:
            return
        for message in told:
            if message.role == "user":
                self._claim(message)
        memory = self.memory
        with surviving(settled.on_error, "remembering", journaled=True):
            await io.call(
                memory.add,
                memory.aadd,
                told,
                session_id=self.session_id,
                metadata=settled.metadata,
                instructions=settled.instructions,
                background=settled.background,
                expires_at=settled.expires_at,
            )

    async def write(self, io: IO, said: Sequence[Message], keep: Sequence[str] | None = None) -> None:
        """Only journal messages. With `keep`, everything except these leaves the history."""
        if said:
            memory = self.memory
            await io.call(memory.record, memory.arecord, list(said), session_id=self.session_id, keep=keep)
        elif keep is not None:
            await self.clear(io, keep)

    async def clear(self, io: IO, keep: Sequence[str] = ()) -> None:
        """Remove everything from the history except the journaled messages with these ids."""
        memory = self.memory
        await io.call(
            memory.clear_messages,
            memory.aclear_messages,
            session_id=self.session_id,
            keep=keep,
        )

    async def _answered(self, io: IO, answer: Message, settled: Settled) -> None:
        """Remember this answer and what users said since the last one."""
        if settled.remember:
            await self.remember(io, [*await self._untold(io), answer], settled)
        else:
            await self.write(io, [answer])

    async def _untold(self, io: IO, *, whole: bool = False) -> list[Message]:
        """What users said that is not remembered yet, including in earlier runs of this session.

        Each answer takes up all of it, so looking back ends where everything was taken up; with `whole` it ends
        where the session begins.
        """
        limit = None if whole else FIRST_LOOK
        while True:
            found = await self.journaled(io, limit)
            if limit is None or len(found) < limit or _taken_up(found[: limit // 2]):
                return [message.message for message in found if _is_untold(message)]
            limit *= 2

    # -- recalling ----------------------------------------------------------------------------------------------

    async def recall(
        self,
        io: IO,
        turn: Turn,
        wanted: Wanted,
        *,
        shown: Collection[str],
    ) -> Context:
        """What is known that matters for the turn, looked up once per turn.

        shown: the ids of the messages of this conversation that the prompt shows; what is known only from these
            is not recalled.
        """
        with self._guard:
            cached = self._recalled
        if cached is not None and cached.turn == turn and cached.wanted == wanted:
            return cached.context
        context = Context("")
        with surviving(wanted.on_error, "recalling"):
            wait = min(wanted.patience, BRIEF) if self._waited else wanted.patience
            context = await self._asked(io, turn.query, wanted, shown, wait)
            self._waited = True
        with self._guard:
            self._recalled = _Recalled(turn, wanted, shown, context)
        return context

    @property
    def last_recalled(self) -> Context:
        """What the last `recall` found."""
        with self._guard:
            return self._recalled.context if self._recalled is not None else Context("")

    async def recalled_again(self, io: IO, tokens: int) -> Context:
        """The best of what the last `recall` asked for, within fewer tokens."""
        with self._guard:
            last = self._recalled
        if last is None:
            return Context("")
        return await self._asked(io, last.turn.query, replace(last.wanted, tokens=tokens), last.shown, 0.0)

    async def _asked(
        self, io: IO, query: str, wanted: Wanted, shown: Collection[str], wait: float
    ) -> Context:
        memory = self.memory
        return await io.call(
            memory.recall,
            memory.arecall,
            query,
            max_tokens=wanted.tokens,
            filters=wanted.filters,
            threshold=wanted.threshold,
            session_id=self.session_id,
            wait=wait,
            shown=shown,
        )

    def _claim(self, said: Message) -> None:
        """Some engines recall first and put the user message afterwards; the recall then belongs to that message."""
        with self._guard:
            recalled = self._recalled
            if recalled is None:
                return
            turn = recalled.turn
            if turn.user == said.id:
                return  # recorded before, and remembered now
            if turn.user is None and turn.query.strip() == said.content.strip():
                recalled.turn = Turn(turn.query, said.id, None)
            else:
                self._recalled = None


def turn_of(asked: str | None, history: Sequence[JournaledMessage]) -> Turn | None:
    """The turn that is being answered, or that `asked` is about to begin."""
    at = next((at for at in reversed(range(len(history))) if history[at].message.role == "user"), None)
    user = history[at].message if at is not None else None
    if asked is None or not asked.strip():
        return Turn(user.content, user.id, None) if user and user.content.strip() else None
    if user is not None and at is not None and user.content.strip() == asked.strip():
        answered = any(is_answer(message.message) for message in history[at + 1 :])
        if not answered:
            return Turn(user.content, user.id, None)
    return Turn(asked, None, history[-1].id if history else None)


def _is_untold(journaled: JournaledMessage) -> bool:
    said = journaled.message
    return (
        journaled.add_id is None
        and said.role == "user"
        and said.id is not None
        and bool(said.content.strip())
        and not (said.data or {}).get(GIVEN)
    )


def _taken_up(older: Sequence[JournaledMessage]) -> bool:
    """Whether everything to be remembered in a stretch was; False if nobody spoke."""
    users = [message for message in older if message.message.role == "user"]
    return bool(users) and not any(_is_untold(message) for message in users)


def _common(known: Sequence[JournaledMessage], messages: Sequence[ChatMessage]) -> int:
    """How many messages at the start the two histories have in common."""
    count = 0
    for journaled, message in zip(known, messages, strict=False):
        if not same(from_journal(journaled), message):
            break
        count += 1
    return count
