"""Whose memory a tool or a retriever works on: ids, or functions that tell them for the run at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._registry import check_owner

Id = str | Callable[[], str | None] | None


@dataclass(frozen=True, slots=True)
class Owner:
    """user_id, agent_id, run_id: at least one, each a string or a function without arguments.

    Raises InputError where none is given.
    """

    user_id: Id = None
    agent_id: Id = None
    run_id: Id = None

    def __post_init__(self) -> None:
        check_owner(self.user_id, self.agent_id, self.run_id)

    def ids(self) -> dict[str, Any] | None:
        """The ids for this call; None where one of the functions tells nobody: that is not everybody."""
        given = {"user_id": self.user_id, "agent_id": self.agent_id, "run_id": self.run_id}
        told = {
            name: value() if callable(value) else value for name, value in given.items() if value is not None
        }
        return None if None in told.values() else told
