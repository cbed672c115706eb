"""`HoldfastMiddleware`: an agent of `create_agent` that recalls before it answers and remembers afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, NotRequired, TypedDict, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import BaseMessage
from langgraph.channels import UntrackedValue
from langgraph.runtime import Runtime
from langgraph.types import Command
from langgraph.typing import ContextT

from holdfast import InputError, Memory
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.types import storable

from ._convert import to_holdfast_messages
from ._options import End, Filters, Given, Metadata, OnError, checked, failing_open, given, one_of
from ._scope import IdSource, Scoping, running_config, session_of
from ._turns import Inject, goes_on, question, shown, unjournaled

Handler = Callable[[ModelRequest[ContextT]], ModelResponse[Any]]
AsyncHandler = Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]]
Query = Callable[[Any, Sequence[BaseMessage]], str]

_INLINE, _ASYNCIO = Inline(), Asyncio()

# A turn that is silent for this long has broken off. Longer turns are remembered in two parts.
BROKEN_OFF_SECONDS = 300.0


class HoldfastMiddleware(AgentMiddleware[AgentState[Any], ContextT, Any], Generic[ContextT]):
    """Recalls what answers the user's message and shows it to the model; remembers the turn when it is over.

    memory: the store, or a view of it that is bound to ids, `memory.scoped(...)`.
    user_id, agent_id, run_id: whose memory it is, or functions of the runtime, which then decide alone; see below.
        The thread is the session: it labels messages and does not divide memory.
    max_tokens: the budget of what is recalled, in tokens.
    filters, threshold: as for `Memory.recall`; `filters` may be a function of the runtime.
    query: what to recall for, a function of the runtime and the thread's messages; by default what the user said
        last. Nothing is recalled for an empty query.
    metadata, instructions: as for `Memory.add`, or functions of the runtime.
    expires_at: when memories of this agent expire, as for `Memory.add`, or a function of the runtime. A duration
        ("P30D") counts from each turn.
    recall, remember: False leaves one of the two out. A sub-agent that takes orders from another agent needs
        `remember=False`: its messages in the user's name are not the user's words.
    background: True remembers once the turn is journaled, when the user already has the answer; False only
        ends the turn when everything is merged.
    after_seconds: with `background`, remember once the thread has been quiet this long, all its turns at once.
    inject: where the model sees what was recalled. "user", the default, puts it ahead of the user's last message:
        other middleware that writes the system prompt does not remove it there, and what a provider caches stays
        the same. "system" puts it at the end of the system message: this middleware then comes last in the list,
        after `dynamic_prompt` and whatever marks the prompt for caching.
    media: also journal pictures, sounds and files that a message holds as base64.
    on_error: "log" logs a failure of the memory and lets the agent answer without it; "raise" ends the turn with it.
    name: distinguishes several of them in one agent.

    Whose memory it is: `user_id` and `agent_id` come from the first of these that names one: a function given here;
    for `user_id`, the user authenticated by LangGraph Server; a string given here, or the id that `memory` is bound
    to; the runtime context, its attribute or key of that name; the config, `{"configurable": {"user_id": ...}}` (or
    `langgraph_user_id`). `run_id` is only given here. A `user_id` of None leaves memory out; if no id
    is given anywhere, the turn fails with an InputError before the model is called.

    The user's message is journaled when the turn begins, further messages as they come, each once, by its id. A turn
    that breaks off (a tool raises, the task is cancelled, nobody resumes it) is remembered with the user's next turn
    in any thread, or at the latest five minutes later. Recalled text is neither checkpointed nor remembered
    again, and neither are messages that the thread shows anyway, nor memories that came from them alone. Nothing is
    extracted from what tools return.

    Without a checkpointer a client sends its whole history every time; all of it up to the user's last question
    counts as remembered.

    Raises InputError, when it is made, for arguments that `recall` or `add` would refuse later.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: IdSource = None,
        agent_id: IdSource = None,
        run_id: IdSource = None,
        max_tokens: int = 1000,
        filters: Given[Filters] = None,
        threshold: float | None = None,
        query: Query | None = None,
        metadata: Given[Metadata] = None,
        instructions: Given[str | None] = None,
        expires_at: Given[End] = None,
        recall: bool = True,
        remember: bool = True,
        background: bool = True,
        after_seconds: float = 0,
        inject: Inject = "user",
        media: bool = False,
        on_error: OnError = "log",
        name: str = "HoldfastMiddleware",
    ) -> None:
        super().__init__()
        if not name or set(name) & set(":|"):
            raise InputError(
                f"name={name!r}: a non-empty name without ':' and '|', which graphs do not allow"
            )
        checked(
            memory,
            name,
            max_tokens=max_tokens,
            filters=filters,
            threshold=threshold,
            metadata=metadata,
            instructions=instructions,
            expires_at=expires_at,
            background=background,
            after_seconds=after_seconds,
        )
        if query is not None and not callable(query):
            raise InputError(f"query={query!r} is no function of the runtime and the messages")
        one_of("inject", inject, Inject)
        one_of("on_error", on_error, OnError)
        self._scoping = Scoping(name, memory, user_id, agent_id, run_id)
        self._max_tokens, self._filters, self._threshold, self._query = max_tokens, filters, threshold, query
        self._metadata, self._instructions, self._expires_at = metadata, instructions, expires_at
        self._recalls, self._remembers = recall, remember
        self._background, self._after_seconds = background, after_seconds
        self._inject, self._media, self._on_error = inject, media, on_error
        self._name = name
        self._recalled = f"{name}_recalled"
        self._journaled = f"{name}_journaled"
        self.state_schema = cast("type[AgentState[Any]]", self._schema())
        self.tools = ()

    @property
    def name(self) -> str:
        """What the agent's graph calls it."""
        return self._name

    def _schema(self) -> Any:
        """Private state under keys of this instance's name, so that two of them do not share it.

        What was recalled is never checkpointed, as what is deleted from memory must not live on in a thread. Only one
        id is checkpointed.
        """
        return TypedDict(  # type: ignore[operator]
            f"{self._name}State",
            {
                self._recalled: NotRequired[Annotated[str | None, UntrackedValue, PrivateStateAttr]],
                self._journaled: NotRequired[Annotated[str | None, PrivateStateAttr]],
            },
        )

    # -- the turn begins ----------------------------------------------------------------------------------------

    def before_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Journal the user's message, and recall for it."""
        return run_inline(self._begun(_INLINE, state, runtime))

    async def abefore_agent(
        self, state: AgentState[Any], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Async `before_agent`."""
        return await self._begun(_ASYNCIO, state, runtime)

    async def _begun(self, io: IO, state: Any, runtime: Any) -> dict[str, Any]:
        journaled = await self._journal(io, state, runtime)
        return {**journaled, self._recalled: await self._recall(io, state, runtime)}

    async def _recall(self, io: IO, state: Any, runtime: Any) -> str:
        """The recalled text; empty if there is nothing to recall for."""
        config = running_config()
        scope = self._scoping.scope(runtime, config)
        if scope is None or not self._recalls:
            return ""
        messages = state["messages"]
        query = storable(question(messages) if self._query is None else self._query(runtime, messages))
        if not query.strip():
            return ""
        filters, session = given(self._filters, runtime), session_of(runtime, config)
        with failing_open(self._on_error, f"{self._name}: recall"):
            memory = self._scoping.view(scope)
            context = await io.call(
                memory.recall,
                memory.arecall,
                query=query,
                max_tokens=self._max_tokens,
                filters=filters,
                threshold=self._threshold,
                session_id=session,
                shown=[] if session is None else [message.id for message in messages if message.id],
            )
            return context.text
        return ""

    # -- around the model ---------------------------------------------------------------------------------------

    def wrap_model_call(self, request: ModelRequest[ContextT], handler: Handler[ContextT]) -> Any:
        """Show the model what was recalled; after an interrupt, recall anew."""
        known = self._known(request)
        recalled = (
            run_inline(self._recall(_INLINE, request.state, request.runtime)) if known is None else known
        )
        return self._answered(handler(shown(request, recalled, self._inject)), known, recalled)

    async def awrap_model_call(self, request: ModelRequest[ContextT], handler: AsyncHandler[ContextT]) -> Any:
        """Async `wrap_model_call`."""
        known = self._known(request)
        recalled = await self._recall(_ASYNCIO, request.state, request.runtime) if known is None else known
        return self._answered(await handler(shown(request, recalled, self._inject)), known, recalled)

    def _known(self, request: ModelRequest[ContextT]) -> str | None:
        """What was recalled in this turn; None after an interrupt."""
        return cast("Mapping[str, Any]", request.state).get(self._recalled)

    def _answered(self, response: ModelResponse[Any], known: str | None, recalled: str) -> Any:
        if known is not None:
            return response
        return ExtendedModelResponse(response, Command(update={self._recalled: recalled}))

    # -- the turn goes on, or is over -------------------------------------------------------------------------------

    def after_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Journal answers that come with tool calls, as a summary may remove them from the thread."""
        return run_inline(self._journal(_INLINE, state, runtime)) if goes_on(state["messages"]) else None

    async def aafter_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Async `after_model`."""
        return await self._journal(_ASYNCIO, state, runtime) if goes_on(state["messages"]) else None

    def after_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Remember the turn."""
        return run_inline(self._over(_INLINE, state, runtime))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Async `after_agent`."""
        return await self._over(_ASYNCIO, state, runtime)

    async def _over(self, io: IO, state: Any, runtime: Any) -> dict[str, Any]:
        return {**await self._journal(io, state, runtime, over=True), self._recalled: None}

    async def _journal(self, io: IO, state: Any, runtime: Any, *, over: bool = False) -> dict[str, Any]:
        """Journal the thread's messages that are not journaled yet. over: remember them without further waiting.

        Returns the update of the state: the last journaled message.
        """
        config = running_config()
        scope = self._scoping.scope(runtime, config)
        messages: Sequence[BaseMessage] = state["messages"]
        if scope is None or not self._remembers or not messages:
            return {self._journaled: messages[-1].id} if messages else {}
        said = unjournaled(messages, state.get(self._journaled))
        # If all are journaled, the last message again says that the turn is over; its id is known.
        told = to_holdfast_messages(said or (messages[-1:] if over else ()), media=self._media)
        if not told:
            return {}
        adding: dict[str, Any] = {
            "session_id": session_of(runtime, config),
            "metadata": given(self._metadata, runtime),
            "instructions": given(self._instructions, runtime),
            "expires_at": given(self._expires_at, runtime),
            "background": self._background or not over,
            "after_seconds": self._after_seconds if over else max(self._after_seconds, BROKEN_OFF_SECONDS),
        }
        with failing_open(self._on_error, f"{self._name}: remembering"):
            memory = self._scoping.view(scope)
            await io.call(memory.add, memory.aadd, told, **adding)
            return {self._journaled: messages[-1].id}
        return {}
