"""Events as OpenTelemetry spans, by its conventions for generative AI (memory spans, of 2026, in development)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .events import Event

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What the conventions call an operation. `add` may create, update or delete as it sees fit: they call that an upsert.
_CONVENTION = {
    "search": "search_memory",
    "recall": "search_memory",
    "add": "upsert_memory",
    "update": "update_memory",
    "delete": "delete_memory",
    "delete_all": "delete_memory",
    "erase": "delete_memory",
}
_OF_ONE = ("update", "delete")  # operations on one memory, that the caller names
_RECORDS = ("ADD", "UPDATE", "DELETE", "hits", "memories")  # counts of memories, as operations have them


def otel_listener(
    tracer_provider: TracerProvider | None = None, *, scope_ids: bool = False, content: bool = False
) -> Callable[[Event], None]:
    """A listener that writes one span per operation, a child of the span that is current:
    `Memory(listeners=[otel_listener()])`.

    Spans that search, create, update and delete memories are named, and carry the attributes, as OpenTelemetry's
    conventions for generative AI say: `gen_ai.operation.name` (search_memory, create_memory, upsert_memory,
    update_memory, delete_memory), `gen_ai.memory.record.count`, `gen_ai.memory.record.id`, `gen_ai.usage.…`,
    `error.type`. The rest is `holdfast.…`: `holdfast.memory.ids`, `holdfast.count.…`.

    tracer_provider: the global one if None.
    scope_ids: also write user, agent and run ids, which may be personal data.
    content: also write what was asked and the texts of the memories (`gen_ai.memory.query.text`,
        `gen_ai.memory.records` as JSON), which are personal data.

    Raises InputError if OpenTelemetry (the extra `otel`) is not installed.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise InputError("otel_listener needs OpenTelemetry: pip install 'holdfast[otel]'") from error

    tracer = trace.get_tracer("holdfast", tracer_provider=tracer_provider)

    def listen(event: Event) -> None:
        start = (event.started_at - _EPOCH) // timedelta(microseconds=1) * 1000  # nanoseconds, no floats
        attributes = _attributes(event)
        if scope_ids:
            attributes |= {f"holdfast.{name}": value for name, value in event.scope.ids().items()}
        if content:
            attributes |= _content(event)
        name = _convention(event) or f"holdfast.{event.operation}"
        span = tracer.start_span(name, start_time=start, attributes=attributes)
        if event.error is not None:
            _mark_failed(span, event.error)
        span.end(end_time=start + int(event.seconds * 1e9))

    return listen


def _convention(event: Event) -> str | None:
    return "create_memory" if event.creates else _CONVENTION.get(event.operation)


def _attributes(event: Event) -> dict[str, Any]:
    attributes: dict[str, Any] = {"holdfast.operation": event.operation}
    if (name := _convention(event)) is not None:
        attributes["gen_ai.operation.name"] = name
        attributes["gen_ai.memory.record.count"] = (
            1 if event.operation in _OF_ONE else sum(event.counts.get(count, 0) for count in _RECORDS)
        )
    if event.operation in _OF_ONE and event.memory_ids:
        attributes["gen_ai.memory.record.id"] = event.memory_ids[0]
    elif event.memory_ids:
        attributes["holdfast.memory.ids"] = event.memory_ids
    if event.usage.calls:
        attributes["holdfast.usage.calls"] = event.usage.calls
        attributes["gen_ai.usage.input_tokens"] = event.usage.input_tokens
        attributes["gen_ai.usage.output_tokens"] = event.usage.output_tokens
    return attributes | {f"holdfast.count.{name}": number for name, number in event.counts.items()}


def _content(event: Event) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if event.query is not None:
        attributes["gen_ai.memory.query.text"] = event.query
    records = [
        {"id": one.id, "content": one.text} | ({} if one.score is None else {"score": one.score})
        for one in event.memories
        if one.text is not None
    ]
    if records:
        attributes["gen_ai.memory.records"] = json.dumps(records, ensure_ascii=False)
    return attributes


def _mark_failed(span: Span, error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR))
