"""Arguments of our parts, checked when they are made; and what happens if memory fails during a turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from holdfast import HoldfastError, InputError, Memory
from holdfast.types import Expiry

T = TypeVar("T")

Given: TypeAlias = T | Callable[[Any], T]  # a value, or a function of the runtime that gives it
Filters: TypeAlias = Mapping[str, Any] | None
Metadata: TypeAlias = Mapping[str, Any] | None
End: TypeAlias = Expiry | None
OnError: TypeAlias = Literal["raise", "log"]

_log = logging.getLogger("holdfast")


def given(value: Given[T], runtime: Any) -> T:
    """The value, or what its function returns for this runtime."""
    return value(runtime) if callable(value) else value


def checked(memory: Any, owner: str, **arguments: Any) -> Memory:
    """The memory. Raises InputError if it is not one, or would refuse an argument later, in a turn.

    A function's result is only known, and checked, in a turn.
    """
    if not isinstance(memory, Memory):
        raise InputError(f"{owner}: memory={memory!r} is no holdfast.Memory")
    memory.check(**{name: value for name, value in arguments.items() if not callable(value)})
    return memory


def one_of(name: str, value: Any, choices: Any) -> None:
    """Raises InputError if `value` is not among the choices of a Literal."""
    if value not in get_args(choices):
        raise InputError(f"{name}={value!r}: choose among {', '.join(map(repr, get_args(choices)))}")


@contextmanager
def failing_open(on_error: OnError, what: str) -> Iterator[None]:
    """With "log", a failure of the memory ends here, in the log; with "raise" it is the caller's."""
    try:
        yield
    except HoldfastError:
        if on_error == "raise":
            raise
        _log.exception("%s failed; the conversation goes on without it", what)
