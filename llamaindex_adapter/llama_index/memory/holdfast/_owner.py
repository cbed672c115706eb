"""Whose memory it is, decided here for all parts of this package.

For each of `user_id`, `agent_id` and `run_id`, the first of these:

1. the argument: a string or, for tools and retrievers, a function without arguments that is called every time
2. the id that `memory` is bound to, if that is a view, `memory.scoped(...)`

Nothing else can name an owner: no setting, no context. If nobody is named, that is a mistake, and an InputError; if a
function returns None, nothing is found or done.

The result is a view, `memory.scoped(...)`, which reaches nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast import Memory, Scope, ScopedMemory
from holdfast.errors import whose_memory

Id = str | Callable[[], str | None] | None

_NAMES = ("user_id", "agent_id", "run_id")
_WAYS = (
    "pass at least one of user_id=, agent_id=, run_id=. An engine that makes its own memory "
    "(memory_cls=HoldfastMemory) cannot know: pass memory=HoldfastMemory.from_defaults(user_id=...) instead"
)


def given_ids(memory: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The ids that say whose memory it is: those given, and those that the memory is bound to.

    memory: the engine, a view of it, or None if it is not open yet.
    given: arguments, including these three.

    Raises InputError if nobody is named.
    """
    bound = memory.scope.ids() if isinstance(memory, ScopedMemory) else {}
    named = {name: bound.get(name) if given.get(name) is None else given[name] for name in _NAMES}
    if all(one is None for one in named.values()):
        raise whose_memory(ways=_WAYS)
    return named


def view_of(memory: Memory, scope: Scope) -> ScopedMemory:
    """The view of the memory with these ids."""
    return memory.scoped(**scope.ids())


def view_now(memory: Memory, named: Mapping[str, Any]) -> ScopedMemory | None:
    """The memory as this call may see it; None if a function names nobody, which does not mean everybody.

    memory: the engine, or a view of it.
    named: what `given_ids` returned.
    """
    told = {name: one() if callable(one) else one for name, one in named.items() if one is not None}
    return None if None in told.values() else memory.scoped(**told)
