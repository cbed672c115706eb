"""`MemoryToolMiddleware`: Claude's memory tool, or any model's, on the files that a `Memory` keeps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, ToolException
from langgraph.prebuilt import ToolRuntime
from langgraph.typing import ContextT
from pydantic import BaseModel, Field

from holdfast import HoldfastError, InputError, Memory
from holdfast.io import ASYNCIO, INLINE, IO, run_inline

from ._options import OnError, checked, one_of
from ._scope import IdSource, Scoping

NAME = "memory"
TYPE = "memory_20250818"

_log = logging.getLogger("holdfast")

_NOBODY = "nobody is signed in: there is no memory in this conversation"
_FAILED = "the memory cannot be reached at the moment; go on without it"

_DESCRIPTION = """Your memory of this user: a directory of text files, /memories, which is kept across conversations.
view: a directory, or the lines of a file (view_range: [first, last]). create: a new file (file_text). str_replace: \
old_str, which stands in the file once, by new_str. insert: insert_text after the line insert_line. delete: a file \
or a directory. rename: old_path to new_path."""

_INSTRUCTIONS = """View your memory directory before you do anything else: it holds what earlier conversations left. \
As you learn what will matter later, write it there. What is not written there is lost when this conversation ends."""


class MemoryCommand(BaseModel):
    """The arguments of the memory tool."""

    command: Literal["view", "create", "str_replace", "insert", "delete", "rename"]
    path: str | None = Field(default=None, description="Below /memories; of every command but rename")
    view_range: list[int] | None = None
    file_text: str | None = None
    old_str: str | None = None
    new_str: str | None = None
    insert_line: int | None = None
    insert_text: str | None = None
    old_path: str | None = None
    new_path: str | None = None


class MemoryToolMiddleware(AgentMiddleware[AgentState[Any], ContextT, Any], Generic[ContextT]):
    """Gives an agent Anthropic's memory tool, on the user's files in the memory's own database.

    memory: the store, or a view of it that is bound to ids, `memory.scoped(...)`.
    user_id, agent_id, run_id: whose files they are, as for `HoldfastMiddleware`; never the model's choice.
    native: True offers it as Claude knows it, `memory_20250818`; False as an ordinary function, for other models.
    instructions: what the system prompt says about it; None for nothing. Claude knows the tool, but reads its files
        before it answers only if told to.
    on_error: "log" logs a failure of the memory and tells the model; "raise" ends the turn with it.

    Every version is kept: `memory.memory_tool(user_id=...)` has `history` and `undo`, and works outside agents.

    Raises InputError, when it is made, for invalid arguments.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: IdSource = None,
        agent_id: IdSource = None,
        run_id: IdSource = None,
        native: bool = True,
        instructions: str | None = _INSTRUCTIONS,
        on_error: OnError = "log",
    ) -> None:
        super().__init__()
        checked(memory, "MemoryToolMiddleware")
        one_of("on_error", on_error, OnError)
        if instructions is not None and not (isinstance(instructions, str) and instructions.strip()):
            raise InputError(f"instructions={instructions!r} is no text; pass None for none")
        self._scoping = Scoping("MemoryToolMiddleware", memory, user_id, agent_id, run_id)
        self._native, self._instructions, self._on_error = native, instructions, on_error
        self.tools = [self._tool()]

    # -- around the model ---------------------------------------------------------------------------------------

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Offer the tool in the form the model knows, and say what it is for."""
        return handler(self._offered(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Async `wrap_model_call`."""
        return await handler(self._offered(request))

    def _offered(self, request: ModelRequest[ContextT]) -> ModelRequest[ContextT]:
        changed: dict[str, Any] = {}
        if self._native:
            others = [tool for tool in request.tools if getattr(tool, "name", None) != NAME]
            changed["tools"] = [*others, {"type": TYPE, "name": NAME}]
        if self._instructions is not None:
            before = [] if request.system_message is None else request.system_message.content_blocks
            text = f"\n\n{self._instructions}" if before else self._instructions
            said: list[Any] = [*before, {"type": "text", "text": text}]
            changed["system_message"] = SystemMessage(content=said)
        return request.override(**changed)

    # -- the tool -----------------------------------------------------------------------------------------------

    def _tool(self) -> StructuredTool:
        def memory(
            *,
            config: RunnableConfig,
            runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
            **command: Any,
        ) -> str:
            return run_inline(self._run(INLINE, runtime, config, command))

        async def amemory(
            *,
            config: RunnableConfig,
            runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
            **command: Any,
        ) -> str:
            return await self._run(ASYNCIO, runtime, config, command)

        return StructuredTool.from_function(
            func=memory,
            coroutine=amemory,
            name=NAME,
            description=_DESCRIPTION,
            args_schema=MemoryCommand,
            handle_tool_error=True,
        )

    async def _run(self, io: IO, runtime: Any, config: Any, command: dict[str, Any]) -> str:
        """The reply. Raises ToolException with what the model is told about its mistake, and InputError."""
        scope = self._scoping.scope(runtime, config)
        if scope is None:
            raise ToolException(_NOBODY)
        try:
            tool = self._scoping.view(scope).memory_tool()
            reply = await io.call(tool.run, tool.arun, command)
        except HoldfastError as error:
            if self._on_error == "raise":
                raise
            _log.error("the memory tool failed; the model is told so", exc_info=error)
            raise ToolException(_FAILED) from error
        if reply.is_error:
            raise ToolException(reply.text)
        return reply.text
