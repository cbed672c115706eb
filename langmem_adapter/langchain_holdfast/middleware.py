"""`HoldfastMiddleware`: an agent of `create_agent` that recalls before it answers and remembers afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Generic, NotRequired, TypedDict, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AnyMessage, BaseMessage
from langgraph.channels import UntrackedValue
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from langgraph.types import Command
from langgraph.typing import ContextT

from holdfast import HoldfastError, InputError, Memory

from ._convert import convert_messages_to_holdfast
from ._scope import IdSource, Scoping, ids_of, session_of
from ._turns import question, unremembered, with_recalled, worth_holding

Handler = Callable[[ModelRequest[ContextT]], ModelResponse[Any]]
AsyncHandler = Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]]
State = Mapping[str, Any]


class HoldfastMiddleware(AgentMiddleware[AgentState[Any], ContextT, Any], Generic[ContextT]):
    """Recalls what answers the user's message into the system message; remembers the turn when it is over.

    memory: the store.
    user_id, agent_id, run_id: whose memory it is, where neither the runtime context nor the config says so;
        or functions of the runtime, which then decide alone. The order is told in `langchain_holdfast._scope`.
        The thread is the session: it labels messages and does not divide memory.
    max_tokens: the budget of what is recalled.
    filters, threshold: as of `Memory.recall`.
    metadata, instructions: as of `Memory.add`.
    recall, remember: False leaves one of the two out.
    background: True remembers once the turn is journaled, while the user has the answer already; False only
        ends the turn when everything is merged, and raises ModelError where the memory's model fails.
    name: tells several of them in one agent apart.

    Recalled text is neither checkpointed nor remembered again. Every message is remembered once, by its id.
    Of a turn whose model fails, the messages so far are remembered at once; of a turn that is interrupted or
    broken off, with the next turn of its thread, also where a summary has replaced them meanwhile. What tools
    return is journaled where it is still there when the turn ends; nothing is extracted from it.

    Without a checkpointer the history that a client sends along is taken for remembered: only what follows its
    last question is.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: IdSource = None,
        agent_id: IdSource = None,
        run_id: IdSource = None,
        max_tokens: int = 1000,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        instructions: str | None = None,
        recall: bool = True,
        remember: bool = True,
        background: bool = True,
        name: str = "HoldfastMiddleware",
    ) -> None:
        super().__init__()
        if not name or set(name) & set(":|"):
            raise InputError(
                f"name={name!r}: a non-empty name without ':' and '|', which graphs do not allow"
            )
        self._memory = memory
        self._scoping = Scoping(name, user_id, agent_id, run_id)
        self._recalling = {"max_tokens": max_tokens, "filters": filters, "threshold": threshold}
        self._adding = {"metadata": metadata, "instructions": instructions}
        self._recalls, self._remembers, self._background = recall, remember, background
        self._name = name
        self._recalled = f"{name}_recalled"
        self._remembered = f"{name}_remembered"
        self._held = f"{name}_held"
        self.state_schema = cast("type[AgentState[Any]]", self._schema())
        self.tools = ()

    @property
    def name(self) -> str:
        """What the agent's graph calls it."""
        return self._name

    def _schema(self) -> Any:
        """Private state under keys of this instance's name, so that two of them do not share it.

        What was recalled is never checkpointed: what is deleted from memory must not live on in a thread.
        Ids and held messages are; the messages are in the thread's checkpoints anyway.
        """
        return TypedDict(  # type: ignore[operator]
            f"{self._name}State",
            {
                self._recalled: NotRequired[Annotated[str | None, UntrackedValue, PrivateStateAttr]],
                self._remembered: NotRequired[Annotated[str | None, PrivateStateAttr]],
                self._held: NotRequired[Annotated[list[AnyMessage] | None, PrivateStateAttr]],
            },
        )

    # -- the turn begins ----------------------------------------------------------------------------------------

    def before_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Recall for the user's message, and note what is to be remembered of the turn."""
        return self._begun(state, self._recall(state, runtime))

    async def abefore_agent(
        self, state: AgentState[Any], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Async `before_agent`."""
        return self._begun(state, await self._arecall(state, runtime))

    def _recall(self, state: Any, runtime: Any) -> str:
        asked = self._asked(state, runtime)
        return self._memory.recall(**asked).text if asked else ""

    async def _arecall(self, state: Any, runtime: Any) -> str:
        asked = self._asked(state, runtime)
        return (await self._memory.arecall(**asked)).text if asked else ""

    def _asked(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """The arguments of `recall`; None where there is nothing to recall for."""
        config = _config()
        scope = self._scoping.scope(runtime, config)
        query = question(state["messages"])
        if not self._recalls or not query:
            return None
        session = session_of(runtime, config)
        return {"query": query, "session_id": session, **ids_of(scope), **self._recalling}

    def _begun(self, state: Any, recalled: str) -> dict[str, Any]:
        return {self._recalled: recalled, self._held: worth_holding(self._said(state))}

    # -- around the model ---------------------------------------------------------------------------------------

    def wrap_model_call(self, request: ModelRequest[ContextT], handler: Handler[ContextT]) -> Any:
        """Show the model what was recalled; after an interrupt, recall anew."""
        recalled: str | None = request.state.get(self._recalled)  # type: ignore[assignment]
        if recalled is None:
            recalled = self._recall(request.state, request.runtime)
        try:
            response = handler(_shown(request, recalled))
        except GraphBubbleUp:
            raise  # an interrupt: the turn goes on later
        except Exception as error:
            # Perhaps nobody comes back to this thread: what was said so far is remembered now.
            try:
                self._remember(request.state, request.runtime, background=True)
            except HoldfastError as second:
                error.add_note(f"{self._name} could not remember the turn either: {second}")
            raise
        return self._answered(request, response, recalled)

    async def awrap_model_call(self, request: ModelRequest[ContextT], handler: AsyncHandler[ContextT]) -> Any:
        """Async `wrap_model_call`."""
        recalled: str | None = request.state.get(self._recalled)  # type: ignore[assignment]
        if recalled is None:
            recalled = await self._arecall(request.state, request.runtime)
        try:
            response = await handler(_shown(request, recalled))
        except GraphBubbleUp:
            raise
        except Exception as error:
            try:
                await self._aremember(request.state, request.runtime, background=True)
            except HoldfastError as second:
                error.add_note(f"{self._name} could not remember the turn either: {second}")
            raise
        return self._answered(request, response, recalled)

    def _answered(self, request: Any, response: ModelResponse[Any], recalled: str) -> Any:
        """The answer, with what a later step of the turn has to know."""
        for message in response.result:
            if message.id is None:
                message.id = str(uuid.uuid4())
        held = worth_holding([*self._said(request.state), *response.result])
        return ExtendedModelResponse(response, Command(update={self._recalled: recalled, self._held: held}))

    # -- the turn is over ---------------------------------------------------------------------------------------

    def after_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Remember what the thread says beyond what is remembered of it."""
        self._remember(state, runtime, background=self._background)
        return self._over(state)

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Async `after_agent`."""
        await self._aremember(state, runtime, background=self._background)
        return self._over(state)

    def _remember(self, state: Any, runtime: Any, *, background: bool) -> None:
        if adding := self._addition(state, runtime):
            self._memory.add(**adding, background=background)

    async def _aremember(self, state: Any, runtime: Any, *, background: bool) -> None:
        if adding := self._addition(state, runtime):
            await self._memory.aadd(**adding, background=background)

    def _addition(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """The arguments of `add`; None where there is nothing to remember."""
        said = convert_messages_to_holdfast(self._said(state)) if self._remembers else []
        if not said:
            return None
        config = _config()
        return {
            "messages": said,
            **ids_of(self._scoping.scope(runtime, config)),
            "session_id": session_of(runtime, config),
            **self._adding,
        }

    def _over(self, state: Any) -> dict[str, Any]:
        messages = state["messages"]
        last = messages[-1].id if messages else None
        return {self._remembered: last, self._held: None, self._recalled: None}

    def _said(self, state: Any) -> list[BaseMessage]:
        return unremembered(
            state["messages"], remembered=state.get(self._remembered), held=state.get(self._held) or ()
        )


def _shown(request: ModelRequest[ContextT], recalled: str) -> ModelRequest[ContextT]:
    if not recalled:
        return request
    return request.override(system_message=with_recalled(request.system_message, recalled))


def _config() -> Mapping[str, Any]:
    """The config of the running graph; empty outside of one."""
    try:
        return cast("Mapping[str, Any]", get_config())
    except RuntimeError:
        return {}
