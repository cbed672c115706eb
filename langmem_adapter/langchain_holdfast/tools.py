"""Tools with which an agent searches and manages memory itself. The model never chooses whose memory it is.

What the model can correct (an unknown id, a missing argument, an empty filter) comes back to it as the tool's
message, and so does a failure of memory unless it is to be raised. A call without an id is the developer's mistake,
and raised.

Artifacts are plain dictionaries, the same before and after a checkpoint.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.prebuilt import ToolRuntime
from pydantic import BaseModel, Field, create_model

from holdfast import (
    AddResult,
    Change,
    FilterError,
    Hits,
    HoldfastError,
    InputError,
    Memory,
    Message,
    ModelError,
    NotFoundError,
)
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.types import storable

from ._options import End, Filters, Given, Metadata, OnError, checked, given, one_of
from ._scope import IdSource, Scoping, session_of

Action: TypeAlias = Literal["create", "update", "delete"]
ACTIONS: tuple[Action, ...] = get_args(Action)

Artifact: TypeAlias = list[dict[str, Any]]

_log = logging.getLogger("holdfast")
_INLINE, _ASYNCIO = Inline(), Asyncio()

_NOBODY = "nobody is signed in: there is no long-term memory in this conversation"
_FAILED = "long-term memory cannot be reached at the moment; go on without it"

_SEARCH = """Search your long-term memory of this user for what earlier conversations told. Use it whenever an \
answer may depend on who the user is, what they like, plan or did. Returns a JSON list of memories, best first."""

_MANAGE = """{verbs} in your long-term memory of this user, which is kept across conversations.
{instructions}
Memories are short, self-contained facts ("Is allergic to peanuts"). {ids}"""

_INSTRUCTIONS = """Call this tool when the user asks you to remember, correct or forget something, or tells you \
something about themselves that will matter later, or when you notice that a memory is wrong or out of date."""


class SearchMemory(BaseModel):
    """The arguments of `search_memory`."""

    query: str = Field(description="What you want to know, in words")
    limit: int = Field(default=10, ge=1, le=50, description="The most memories to return")
    offset: int = Field(default=0, ge=0, le=1000, description="How many of the best to skip")
    filter: dict[str, Any] | None = Field(
        default=None, description='Conditions on metadata, such as {"category": "work"}; usually left out'
    )


def create_memory_tools(
    memory: Memory,
    *,
    user_id: IdSource = None,
    agent_id: IdSource = None,
    run_id: IdSource = None,
    actions_permitted: Sequence[Action] = ACTIONS,
    instructions: str = _INSTRUCTIONS,
    metadata: Given[Metadata] = None,
    expires_at: Given[End] = None,
    filters: Given[Filters] = None,
    on_error: OnError = "log",
) -> list[BaseTool]:
    """`search_memory`, and unless `actions_permitted` is empty, `manage_memory`.

    user_id, agent_id, run_id: whose memory it is, as for `HoldfastMiddleware`.
    actions_permitted: what the model may do besides searching.
    instructions: when to use `manage_memory`, in words, for the model.
    metadata: what every memory created by the tool carries, or a function of the runtime.
    expires_at: when they expire, as for `Memory.add`, or a function of the runtime. A duration ("P30D") counts from
        each call.
    filters: conditions on what is found, besides the model's own, or a function of the runtime.
    on_error: "log" tells the model that memory cannot be reached; "raise" raises.

    Raises InputError for arguments that `add` or `search` would refuse later.
    """
    ids: dict[str, Any] = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id, "on_error": on_error}
    tools = [create_search_memory_tool(memory, **ids, filters=filters)]
    if actions_permitted:
        tools.append(
            create_manage_memory_tool(
                memory,
                **ids,
                actions_permitted=actions_permitted,
                instructions=instructions,
                metadata=metadata,
                expires_at=expires_at,
            )
        )
    return tools


def create_search_memory_tool(
    memory: Memory,
    *,
    user_id: IdSource = None,
    agent_id: IdSource = None,
    run_id: IdSource = None,
    filters: Given[Filters] = None,
    threshold: float | None = None,
    on_error: OnError = "log",
    name: str = "search_memory",
    description: str = _SEARCH,
) -> BaseTool:
    """`search_memory(query, limit, offset, filter)`. The artifact is the list of hits, as dictionaries.

    filters: conditions besides the model's own, or a function of the runtime. threshold: the lowest score
    of a hit. on_error: as for `create_memory_tools`. Raises InputError as it does.
    """
    checked(memory, name, filters=filters, threshold=threshold)
    one_of("on_error", on_error, OnError)
    scoping = Scoping(name, memory, user_id, agent_id, run_id)

    async def found(
        io: IO, runtime: Any, config: Any, query: str, limit: int, offset: int, own: Filters
    ) -> tuple[str, Artifact]:
        scope = scoping.scope(runtime, config)
        if not query.strip():
            raise ToolException("query is empty: say in words what you want to know")
        if scope is None:
            raise ToolException(_NOBODY)
        both = [part for part in (given(filters, runtime), own) if part]
        try:
            view = scoping.view(scope)
            hits = await io.call(
                view.search,
                view.asearch,
                query=storable(query),
                limit=limit + offset,
                filters={"AND": both} if len(both) > 1 else (both[0] if both else None),
                threshold=threshold,
            )
        except FilterError as error:
            raise ToolException(f"{error}; correct the filter, or leave it out") from error
        except InputError as error:
            raise ToolException(str(error)) from error
        except HoldfastError as error:
            if on_error == "raise":
                raise
            raise _unreachable(error, name) from error
        return _found(hits, offset)

    def search_memory(
        query: str,
        limit: int = 10,
        offset: int = 0,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the name that LangMem's users know
        *,
        config: RunnableConfig,
        runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
    ) -> tuple[str, Artifact]:
        return run_inline(found(_INLINE, runtime, config, query, limit, offset, filter))

    async def asearch_memory(
        query: str,
        limit: int = 10,
        offset: int = 0,
        filter: dict[str, Any] | None = None,  # noqa: A002
        *,
        config: RunnableConfig,
        runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
    ) -> tuple[str, Artifact]:
        return await found(_ASYNCIO, runtime, config, query, limit, offset, filter)

    return _tool(search_memory, asearch_memory, name, description, SearchMemory)


def create_manage_memory_tool(
    memory: Memory,
    *,
    user_id: IdSource = None,
    agent_id: IdSource = None,
    run_id: IdSource = None,
    actions_permitted: Sequence[Action] = ACTIONS,
    instructions: str = _INSTRUCTIONS,
    metadata: Given[Metadata] = None,
    expires_at: Given[End] = None,
    on_error: OnError = "log",
    name: str = "manage_memory",
    description: str | None = None,
) -> BaseTool:
    """`manage_memory(content, action, id)`. The artifact is the list of committed changes, as dictionaries.

    What the model creates is a fact already: it is merged with what is known, not extracted from again, so that
    a fact told twice is one memory. Updates and deletions reach the bound scope's memories only, and `undo`
    takes them back. metadata, expires_at, on_error: as for `create_memory_tools`. Raises InputError as it does.
    """
    allowed = _allowed(actions_permitted)
    checked(memory, name, metadata=metadata, expires_at=expires_at)
    one_of("on_error", on_error, OnError)
    scoping = Scoping(name, memory, user_id, agent_id, run_id)

    async def managed(
        io: IO,
        runtime: Any,
        config: Any,
        content: str | None,
        action: str,
        id: str | None,  # noqa: A002
    ) -> tuple[str, Artifact]:
        scope = scoping.scope(runtime, config)
        text, target = _checked(content, action, id)
        if scope is None:
            raise ToolException(_NOBODY)
        try:
            view = scoping.view(scope)
            if action == "create":
                return _created(await io.call(view.add, view.aadd, **creation(text, runtime, config)))
            if action == "update":
                return _changed("updated", await io.call(view.update, view.aupdate, target, text))
            return _changed("deleted", await io.call(view.delete, view.adelete, target))
        except NotFoundError as error:
            raise _unknown(target) from error
        except InputError as error:
            raise ToolException(str(error)) from error
        except HoldfastError as error:
            if isinstance(error, ModelError) and error.add_id is not None:
                return _noted(error)
            if on_error == "raise":
                raise
            raise _unreachable(error, name) from error

    def creation(content: str, runtime: Any, config: Any) -> dict[str, Any]:
        # With a tool's role it is not a turn of the conversation in the thread's journal.
        return {
            "messages": [Message(content, role="tool")],
            "session_id": session_of(runtime, config),
            "metadata": given(metadata, runtime),
            "expires_at": given(expires_at, runtime),
            "infer": "merge",
        }

    def manage_memory(
        content: str | None = None,
        action: str = allowed[0],
        id: str | None = None,  # noqa: A002 - the name that LangMem's users know
        *,
        config: RunnableConfig,
        runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
    ) -> tuple[str, Artifact]:
        return run_inline(managed(_INLINE, runtime, config, content, action, id))

    async def amanage_memory(
        content: str | None = None,
        action: str = allowed[0],
        id: str | None = None,  # noqa: A002
        *,
        config: RunnableConfig,
        runtime: ToolRuntime[Any, Any] = None,  # type: ignore[assignment]
    ) -> tuple[str, Artifact]:
        return await managed(_ASYNCIO, runtime, config, content, action, id)

    text = description or _described(allowed, instructions)
    return _tool(manage_memory, amanage_memory, name, text, _arguments(allowed))


def _tool(
    function: Callable[..., Any],
    twin: Callable[..., Any],
    name: str,
    description: str,
    schema: type[BaseModel],
) -> BaseTool:
    return StructuredTool.from_function(
        func=function,
        coroutine=twin,
        name=name,
        description=description,
        args_schema=schema,  # explicit: it hides `runtime` and `config` from the model
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


# -- searching ---------------------------------------------------------------------------------------------------


def _found(hits: Hits, offset: int) -> tuple[str, Artifact]:
    """What the model reads, and the hits themselves."""
    kept = list(hits[offset:])
    rows = [
        {
            "id": hit.id,
            "content": hit.text,
            "date": (hit.memory.happened_at or hit.memory.created_at).date().isoformat(),
            "score": round(hit.score, 2),
            **({"metadata": dict(hit.memory.metadata)} if hit.memory.metadata else {}),
        }
        for hit in kept
    ]
    return json.dumps(rows, ensure_ascii=False), [hit.to_dict() for hit in kept]


# -- managing ----------------------------------------------------------------------------------------------------


def _allowed(actions: Sequence[Action]) -> tuple[Action, ...]:
    unknown = [action for action in actions if action not in ACTIONS]
    if unknown or not actions:
        raise InputError(f"actions_permitted={tuple(actions)!r}: choose among {', '.join(ACTIONS)}")
    return tuple(dict.fromkeys(actions))


def _arguments(allowed: tuple[Action, ...]) -> type[BaseModel]:
    """The arguments of `manage_memory`; only permitted actions are offered."""
    fields: dict[str, Any] = {
        "content": (
            str | None,
            Field(default=None, description="The memory's text; not for delete"),
        ),
        "action": (Literal[allowed], Field(default=allowed[0], description="What to do")),
    }
    if set(allowed) != {"create"}:
        fields["id"] = (
            str | None,
            Field(default=None, description="The id of the memory to update or delete; not for create"),
        )
    model: type[BaseModel] = create_model(
        "ManageMemory", __doc__="The arguments of `manage_memory`.", **fields
    )
    return model


def _described(allowed: tuple[Action, ...], instructions: str) -> str:
    verbs = [action.capitalize() if at == 0 else action for at, action in enumerate(allowed)]
    listed = verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} or {verbs[-1]}"
    ids = "" if set(allowed) == {"create"} else "The ids of memories are in the results of a search."
    return _MANAGE.format(verbs=f"{listed} a fact", instructions=instructions, ids=ids).strip()


def _checked(content: str | None, action: str, id: str | None) -> tuple[str, str]:  # noqa: A002
    """Content and id of an action, or what is wrong with them, told to the model."""
    text, target = storable(content or "").strip(), storable(id or "").strip()
    if action == "create" and target:
        raise ToolException("id is for update and delete only; leave it out to create a memory")
    if action != "create" and not target:
        raise ToolException(f"{action} needs the id of a memory, as a search returns it")
    if action != "delete" and not text:
        raise ToolException(f"{action} needs content: the memory's text")
    return text, target


def _created(result: AddResult) -> tuple[str, Artifact]:
    said = {"ADD": "created", "UPDATE": "updated", "DELETE": "deleted", "NOOP": "already known:"}
    lines = [f"{said[change.operation]} memory {change.memory_id}: {change.text}" for change in result]
    return "\n".join(lines) or "already known", [change.to_dict() for change in result]


def _changed(verb: str, change: Change) -> tuple[str, Artifact]:
    return f"{verb} memory {change.memory_id}", [change.to_dict()]


def _unknown(target: str) -> ToolException:
    return ToolException(
        f"there is no memory with the id {target!r}; search for it and use the id that it has"
    )


def _unreachable(error: HoldfastError, name: str) -> ToolException:
    _log.error("%s failed; the model is told so", name, exc_info=error)
    return ToolException(_FAILED)


def _noted(error: ModelError) -> tuple[str, Artifact]:
    """The fact is journaled and merged later."""
    _log.warning("a memory is journaled and will be merged later (%s): %s", error.add_id, error)
    return "noted; it will be worked into memory later", []
