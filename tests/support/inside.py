"""The one way into a `Memory`, for tests that look at its store or stop its work at a step."""

from __future__ import annotations

from collections.abc import Callable

from holdfast import Memory
from holdfast.storage.store import Store


def store_of(memory: Memory) -> Store:
    """The ledger with its index behind a memory."""
    return memory._store


def idle(memory: Memory) -> None:
    """End the memory's background: what is left to it stays pending."""
    memory._worker.stop(drain=False)


def at(memory: Memory, step: str, then: Callable[[], object]) -> None:
    """Call `then` at a step of the memory's work, from now on; see `Store.at`."""

    def reached(here: str) -> None:
        if here == step:
            then()

    memory._store.at = reached  # type: ignore[method-assign]
