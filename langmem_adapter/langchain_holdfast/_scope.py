"""Whose memory it is, said once for middleware, tools, retriever.

For `user_id` and `agent_id`, the first of these that is given:

1. the constructor's argument, where it is a function: it is called with the runtime and decides alone
2. the runtime context: its attribute or key of that name
3. the config: `{"configurable": {"user_id": ...}}`; `langgraph_user_id` is understood as well
4. for `user_id`, the user whom LangGraph Server authenticated
5. the constructor's argument, where it is a string

`run_id` is never read from the config: LangGraph Server puts the id of each run there, and a memory of one run
is forgotten with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from holdfast import InputError, Scope

IdSource: TypeAlias = str | Callable[[Any], str | None] | None

_CONFIG_KEYS = {"user_id": ("user_id", "langgraph_user_id"), "agent_id": ("agent_id",), "run_id": ()}


@dataclass(frozen=True, slots=True)
class Scoping:
    """Where a part of ours takes its ids from. `owner` is its name, for the error."""

    owner: str
    user_id: IdSource = None
    agent_id: IdSource = None
    run_id: IdSource = None

    def scope(self, runtime: Any, config: Mapping[str, Any] | None) -> Scope:
        """The ids of this call. Raises InputError where there is none."""
        configurable = (config or {}).get("configurable") or {}
        found = Scope(**{name: self._id(name, runtime, configurable) for name in _CONFIG_KEYS})
        if not found:
            raise InputError(
                f"{self.owner} does not know whose memory it is: pass context with a user_id, "
                'config={"configurable": {"user_id": ...}}, or user_id= to its constructor'
            )
        return found

    def _id(self, name: str, runtime: Any, configurable: Mapping[str, Any]) -> str | None:
        fixed: IdSource = getattr(self, name)
        if callable(fixed):
            return _text(name, fixed(runtime))
        given = _member(getattr(runtime, "context", None), name)
        for key in _CONFIG_KEYS[name]:
            given = configurable.get(key) if given is None else given
        if given is None and name == "user_id":
            given = _authenticated(runtime)
        return _text(name, fixed if given is None else given)


def session_of(runtime: Any, config: Mapping[str, Any] | None) -> str | None:
    """The conversation: LangGraph's thread."""
    thread = ((config or {}).get("configurable") or {}).get("thread_id")
    if thread is None:
        thread = _member(getattr(runtime, "execution_info", None), "thread_id")
    return None if thread is None else str(thread)


def ids_of(scope: Scope) -> dict[str, Any]:
    """The scope as keyword arguments of `Memory`'s operations."""
    return {"user_id": scope.user_id, "agent_id": scope.agent_id, "run_id": scope.run_id}


def _member(holder: Any, name: str) -> Any:
    """An attribute of an object, or a key of a mapping; None where there is neither."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _authenticated(runtime: Any) -> str | None:
    user = _member(getattr(runtime, "server_info", None), "user")
    identity = _member(user, "identity")
    return identity if isinstance(identity, str) and identity else None


def _text(name: str, value: Any) -> str | None:
    """Ids are text; numbers and UUIDs, as databases hand them out, are written as such."""
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise InputError(f"{name}={value!r} is no id: it is a string, a number or a UUID")
