"""Whose memory it is, decided here for all parts of this package.

For `user_id` and `agent_id`, the first of these that names one:

1. the constructor's argument, if it is a function: it is called with the runtime and decides alone
2. for `user_id`, the user authenticated by LangGraph Server
3. the constructor's argument, if it is a string, or the id that a view, `memory.scoped(...)`, is bound to: what is
   bound stays bound, whatever a client sends
4. the runtime context: its attribute or key of that name
5. the config: `{"configurable": {"user_id": ...}}`; `langgraph_user_id` is understood as well

`run_id` only comes from the constructor: contexts and configs carry the ids of traced runs under that name, and a
memory of one run is forgotten with it.

If a function, the context or the config gives None for `user_id`, and none of them names a user, the user is
anonymous and memory is left out: an agent's id alone would show what every user told it. If nothing gives any id,
that is a mistake, and an InputError.

The result is a view, `memory.scoped(...)`, which reaches nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast
from uuid import UUID

from langgraph.config import get_config
from langgraph.runtime import get_runtime

from holdfast import InputError, Memory, Scope, ScopedMemory
from holdfast.errors import whose_memory

IdSource: TypeAlias = str | Callable[[Any], str | None] | None

_CONTEXT = {"user_id": "user_id", "agent_id": "agent_id"}
_CONFIG = {"user_id": ("user_id", "langgraph_user_id"), "agent_id": ("agent_id",)}
_NAMES = ("user_id", "agent_id", "run_id")


@dataclass(frozen=True, slots=True)
class Scoping:
    """Where one of our parts gets its ids.

    owner: its name, for the error.
    memory: the store, or a view of it.
    user_id, agent_id, run_id: the constructor's.
    """

    owner: str
    memory: Memory
    user_id: IdSource = None
    agent_id: IdSource = None
    run_id: IdSource = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            if not callable(source := getattr(self, name)):
                _text(name, source)

    def scope(self, runtime: Any, config: Mapping[str, Any] | None) -> Scope | None:
        """The ids of this call; None if there is no user. Raises InputError if nothing says."""
        configurable = (config or {}).get("configurable") or {}
        found = {name: _first(self._said(name, runtime, configurable)) for name in _NAMES}
        ids = {name: one for name, one in found.items() if isinstance(one, str)}
        if ids and found["user_id"] is not None:
            return Scope(**ids)
        if None in found.values():
            return None
        raise whose_memory(
            self.owner,
            'pass user_id= to its constructor, context with a user_id, or config={"configurable": {"user_id": ...}}. '
            "Where the user_id is None, the user is anonymous and memory is left out",
        )

    def bound(self) -> ScopedMemory:
        """The view of a part that is bound when it is made. Raises InputError if it names nobody."""
        scope = self.scope(None, None)
        return self.view(Scope() if scope is None else scope)

    def view(self, scope: Scope) -> ScopedMemory:
        """The view of the memory with these ids."""
        return self.memory.scoped(**scope.ids())

    def _said(self, name: str, runtime: Any, configurable: Mapping[str, Any]) -> Iterator[str | None]:
        """The values given for an id, the most trusted first: an id, or None for nobody."""
        own = self.memory.scope.ids() if isinstance(self.memory, ScopedMemory) else {}
        bound: IdSource = getattr(self, name) or own.get(name)
        if callable(bound):
            yield _text(name, bound(runtime))
            return
        if name == "user_id" and (identity := _authenticated(runtime, configurable)):
            yield identity
        if bound is not None:
            yield _text(name, bound)
        context = getattr(runtime, "context", None)
        if name in _CONTEXT and _has(context, name):
            yield _text(name, _member(context, name))
        for key in _CONFIG.get(name, ()):
            if key in configurable:
                yield _text(name, configurable[key])


def session_of(runtime: Any, config: Mapping[str, Any] | None) -> str | None:
    """The conversation: LangGraph's thread."""
    thread = ((config or {}).get("configurable") or {}).get("thread_id")
    if thread is None:
        thread = _member(getattr(runtime, "execution_info", None), "thread_id")
    return None if thread is None else str(thread)


def running_config() -> Mapping[str, Any]:
    """The config of the running graph; empty outside one."""
    try:
        return cast("Mapping[str, Any]", get_config())
    except RuntimeError:
        return {}


def running_runtime() -> Any:
    """The runtime of the running graph; None outside one."""
    try:
        return get_runtime()
    except (RuntimeError, KeyError):
        return None


class _Silence:
    """Nothing was given."""


def _first(said: Iterator[str | None]) -> str | type[_Silence] | None:
    """The first id; None if only None is given."""
    silent: str | type[_Silence] | None = _Silence
    for one in said:
        if one is not None:
            return one
        silent = None
    return silent


def _has(holder: Any, name: str) -> bool:
    return name in holder if isinstance(holder, Mapping) else hasattr(holder, name)


def _member(holder: Any, name: str) -> Any:
    """An attribute of an object, or a key of a mapping; None if there is neither."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _authenticated(runtime: Any, configurable: Mapping[str, Any]) -> str | None:
    """The user authenticated by LangGraph Server. In a config it is an object, which no client can send."""
    identity = _member(_member(getattr(runtime, "server_info", None), "user"), "identity")
    if identity is None:
        identity = getattr(configurable.get("langgraph_auth_user"), "identity", None)
    return identity if isinstance(identity, str) and identity else None


def _text(name: str, value: Any) -> str | None:
    """Ids are text; numbers and UUIDs, as databases hand them out, are written as such."""
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise InputError(f"{name}={value!r} is no id: it is a string, a number or a UUID")
