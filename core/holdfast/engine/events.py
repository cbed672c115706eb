"""What Holdfast did, reported as it happens to the `holdfast` logger and to subscribers.

    unsubscribe = memory.subscribe(print)

Nothing leaves the process by itself. Log lines hold numbers and never what was said: scopes appear at debug
level only. `otel_listener()` (extra `otel`, `tracing`) turns events into OpenTelemetry spans.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ..types import Record, Scope, Usage

log = logging.getLogger("holdfast")

READING = frozenset({"search", "recall", "get", "get_all", "count", "history", "export"})


@dataclass(frozen=True, slots=True)
class Concerned:
    """A memory that an operation found or changed.

    text, score: None if the operation knows none.
    """

    id: str
    text: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Event(Record):
    """One finished operation, successful or not.

    operation: "add", "search", "recall", "erase" ...
    started_at: when it began; seconds: how long it took, models included.
    counts: what it handled ("messages", "facts", "hits", "ADD" ...), by name.
    usage: calls to the language model and their tokens.
    error: the class name of what it raised; None if it succeeded.
    creates: whether it is an add of texts that are kept as they are.
    memory_ids: the memories it found or changed.
    query, memories: what was asked, and these memories with their texts. Neither is part of the event's `repr` and
        `to_dict`, which therefore contain nothing anybody said.
    """

    operation: str
    scope: Scope
    started_at: datetime
    seconds: float
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    usage: Usage = field(default_factory=lambda: Usage())
    error: str | None = None
    creates: bool = False
    query: str | None = field(default=None, repr=False)
    memories: tuple[Concerned, ...] = field(default=(), repr=False)

    @property
    def memory_ids(self) -> tuple[str, ...]:
        return tuple(one.id for one in self.memories)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, without what was said."""
        # Named, as dataclasses with slots are made twice, and `super()` only knows the first one.
        plain = Record.to_dict(self)
        del plain["query"], plain["memories"]
        return plain | {"memory_ids": list(self.memory_ids)}


Listener = Callable[[Event], object]


class Observation:
    """What the operation under way has done so far."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.usage = Usage()
        self.creates = False
        self.query: str | None = None
        self.memories: list[Concerned] = []

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number

    def concern(self, memory_id: str, text: str | None = None, score: float | None = None) -> None:
        """Name a memory that it found or changes."""
        self.memories.append(Concerned(memory_id, text, score))

    def spend(self, usage: Usage) -> None:
        """Add to the calls and tokens."""
        self.usage = self.usage + usage


class Listeners:
    """The listeners, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every operation, on the thread that ran it. Returns the function that ends this.

        No lock is held then, so the listener may use the `Memory` itself."""

        # Wrapped, so that a callable subscribed twice can also be removed twice.
        def subscription(event: Event) -> object:
            return listener(event)

        def unsubscribe() -> None:
            with self._guard:
                self._listeners = tuple(known for known in self._listeners if known is not subscription)

        with self._guard:
            self._listeners = (*self._listeners, subscription)
        return unsubscribe

    def emit(self, event: Event) -> None:
        """Log the event and pass it to every listener."""
        _log(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                # An observer must not break what it observes: the operation is over, and its result stands.
                log.exception("A listener failed on the event of %s", event.operation)

    @contextmanager
    def observing(self, operation: str, scope: Scope) -> Iterator[Observation]:
        """Time the block and emit its event when it ends, even if it raises."""
        with self.telling() as telling, telling.observing(operation, scope) as observation:
            yield observation

    @contextmanager
    def telling(self) -> Iterator[Telling]:
        """Report what happens in the block when it ends. Put it around locks: a listener may want what they guard."""
        telling = Telling()
        try:
            yield telling
        finally:
            for event in telling.events:
                self.emit(event)


class Telling:
    """Events waiting to be reported."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @contextmanager
    def observing(self, operation: str, scope: Scope) -> Iterator[Observation]:
        """Time the block and keep its event when it ends, even if it raises."""
        observation = Observation()
        started_at = datetime.now(UTC)
        start = time.perf_counter()
        error: str | None = None
        try:
            yield observation
        except BaseException as failure:  # cancellation too is reported, and raised again
            error = type(failure).__name__
            raise
        finally:
            self.events.append(
                Event(
                    operation=operation,
                    scope=scope,
                    started_at=started_at,
                    seconds=time.perf_counter() - start,
                    counts=MappingProxyType(dict(observation.counts)),
                    usage=observation.usage,
                    error=error,
                    creates=observation.creates,
                    query=observation.query,
                    memories=tuple(observation.memories),
                )
            )


def _log(event: Event) -> None:
    level = logging.DEBUG if event.operation in READING and event.error is None else logging.INFO
    if not log.isEnabledFor(level):
        return
    parts = [f"{name}={number}" for name, number in event.counts.items()]
    if event.usage.calls:
        usage = event.usage
        parts.append(f"calls={usage.calls} tokens={usage.input_tokens}+{usage.output_tokens}")
    if event.error is not None:
        parts.append(f"error={event.error}")
    if log.isEnabledFor(logging.DEBUG):
        parts.extend(f"{name}={value}" for name, value in event.scope.ids().items())
    log.log(level, "%s %.1f ms %s", event.operation, event.seconds * 1000, " ".join(parts))
