"""Events: what is told, to whom, and what never is."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from holdfast import otel_listener
from holdfast.engine.events import Event, Listeners
from holdfast.errors import InputError, ModelError
from holdfast.types import Scope, Usage
from tests.conftest import Opener

ALICE = Scope(user_id="alice")


def test_an_operation_reports_its_counts_usage_and_duration() -> None:
    listeners, seen = Listeners(), list[Event]()
    listeners.subscribe(seen.append)
    with listeners.observing("add", ALICE) as observation:
        observation.count("messages", 2)
        observation.count("messages")
        observation.spend(Usage(1, 100, 20))
        observation.spend(Usage(1, 10, 5))
        assert not seen
    [event] = seen
    assert (event.operation, event.scope, event.error) == ("add", ALICE, None)
    assert event.counts == {"messages": 3}
    assert event.usage == Usage(2, 110, 25)
    assert 0 <= event.seconds < 5
    assert abs((datetime.now(UTC) - event.started_at).total_seconds()) < 5
    assert event.to_dict()["scope"]["user_id"] == "alice"


@pytest.mark.parametrize("failure", [ModelError("no answer"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_failing_operation_reports_itself_and_still_fails(failure: BaseException) -> None:
    listeners, seen = Listeners(), list[Event]()
    listeners.subscribe(seen.append)
    with pytest.raises(type(failure)), listeners.observing("add", ALICE):
        raise failure
    assert [event.error for event in seen] == [type(failure).__name__]


def test_an_unsubscribed_listener_hears_nothing_more() -> None:
    listeners, seen = Listeners(), list[str]()

    def listener(event: Event) -> None:
        seen.append(event.operation)

    first = listeners.subscribe(listener)
    second = listeners.subscribe(listener)
    with listeners.observing("add", ALICE):
        pass
    assert seen == ["add", "add"]
    first()
    first()  # once more does no harm
    with listeners.observing("search", ALICE):
        pass
    second()
    with listeners.observing("recall", ALICE):
        pass
    assert seen == ["add", "add", "search"]


def test_a_listener_that_raises_breaks_neither_the_operation_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners, seen = Listeners(), list[Event]()

    def broken(event: Event) -> None:
        raise RuntimeError("observer")

    listeners.subscribe(broken)
    listeners.subscribe(seen.append)
    with listeners.observing("add", ALICE):
        pass
    assert len(seen) == 1
    assert "listener failed" in caplog.text


def test_a_listener_may_unsubscribe_itself_while_it_is_called() -> None:
    listeners, seen, unsubscribe = Listeners(), list[Event](), list[Callable[[], None]]()

    def once(event: Event) -> None:
        seen.append(event)
        unsubscribe[0]()

    unsubscribe.append(listeners.subscribe(once))
    for _ in range(2):
        with listeners.observing("add", ALICE):
            pass
    assert len(seen) == 1


def test_writing_is_logged_at_info_without_naming_anyone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    listeners = Listeners()
    with listeners.observing("add", ALICE) as observation:
        observation.count("ADD", 2)
        observation.spend(Usage(1, 100, 20))
    with listeners.observing("search", ALICE):
        pass
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "add" in caplog.text
    assert "ADD=2 calls=1 tokens=100+20" in caplog.text
    assert "alice" not in caplog.text


def test_reading_and_scopes_are_logged_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="holdfast")
    with Listeners().observing("search", ALICE) as observation:
        observation.count("hits", 3)
    assert caplog.records[0].levelname == "DEBUG"
    assert "hits=3 user_id=alice" in caplog.text


def test_failures_are_logged_by_class_and_not_by_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    with pytest.raises(ModelError), Listeners().observing("search", ALICE):
        raise ModelError("could not embed 'my secret'")
    assert "error=ModelError" in caplog.text
    assert "secret" not in caplog.text


# -- OpenTelemetry -----------------------------------------------------------------------------------------


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_each_operation_becomes_a_span_with_its_times(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    started_at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    listener = otel_listener(provider)
    listener(Event("add", ALICE, started_at, 1.5, {"messages": 2, "ADD": 1}, Usage(1, 100, 20)))
    [span] = exporter.get_finished_spans()
    assert span.name == "upsert_memory"
    assert span.start_time == 1772366400123456000
    assert span.end_time == 1772366401623456000
    assert attributes(span) == {
        "holdfast.operation": "add",
        "gen_ai.operation.name": "upsert_memory",
        "gen_ai.memory.record.count": 1,
        "holdfast.usage.calls": 1,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "holdfast.count.messages": 2,
        "holdfast.count.ADD": 1,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_spans_are_children_of_the_current_span(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    listeners = Listeners()
    listeners.subscribe(otel_listener(provider))
    with (
        provider.get_tracer("app").start_as_current_span("turn") as turn,
        listeners.observing("recall", ALICE),
    ):
        pass
    recall, outer = exporter.get_finished_spans()
    assert outer.name == "turn"
    assert recall.parent is not None
    assert recall.parent.span_id == turn.get_span_context().span_id
    assert attributes(recall)["gen_ai.operation.name"] == "search_memory"


def test_a_failure_marks_its_span(exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
    listeners = Listeners()
    listeners.subscribe(otel_listener(provider))
    with pytest.raises(ModelError), listeners.observing("add", ALICE):
        raise ModelError("no answer")
    [span] = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "ModelError"


def test_ids_are_written_to_spans_only_on_request(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    event = Event("add", ALICE, datetime.now(UTC), 0.1)
    otel_listener(provider)(event)
    otel_listener(provider, scope_ids=True)(event)
    without, with_ids = exporter.get_finished_spans()
    assert "alice" not in attributes(without).values()
    assert attributes(with_ids)["holdfast.user_id"] == "alice"


def test_every_operation_on_memories_is_named_and_counted_by_the_conventions(
    open_memory: Opener, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    memory = open_memory(listeners=[otel_listener(provider)])
    [tea] = memory.add("I drink tea", user_id="alice", infer=False)
    memory.add("I live in Lisbon", user_id="alice")
    memory.search("tea", user_id="alice", limit=1)
    memory.recall("tea", user_id="alice")
    memory.update(tea.memory_id, "I drink coffee", user_id="alice")
    [change] = [memory.delete(tea.memory_id, user_id="alice")]
    memory.undo(change.id, user_id="alice")
    memory.delete_all(user_id="alice")
    memory.erase(user_id="alice")
    told = [(span.name, attributes(span)) for span in exporter.get_finished_spans()]
    assert [name for name, _ in told] == [
        "create_memory", "upsert_memory", "search_memory", "search_memory", "update_memory", "delete_memory",
        "holdfast.undo", "delete_memory", "delete_memory",
    ]  # fmt: skip
    assert [found.get("gen_ai.memory.record.count") for _, found in told] == [1, 1, 1, 2, 1, 1, None, 2, 2]
    assert [found.get("gen_ai.memory.record.id") for _, found in told if found["holdfast.operation"] in
            ("update", "delete")] == [tea.memory_id] * 2  # fmt: skip
    assert told[0][1]["holdfast.memory.ids"] == (tea.memory_id,)
    said = str(told)
    assert "Lisbon" not in said
    assert "coffee" not in said
    assert "alice" not in said


def test_what_was_said_is_written_to_spans_only_on_request(
    open_memory: Opener, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    memory = open_memory(listeners=[otel_listener(provider, content=True)])
    [tea] = memory.add("I drink tea", user_id="alice", infer=False)
    [hit] = memory.search("my drink", user_id="alice")
    added, searched = (attributes(span) for span in exporter.get_finished_spans())
    assert json.loads(str(added["gen_ai.memory.records"])) == [
        {"id": tea.memory_id, "content": "I drink tea"}
    ]
    assert searched["gen_ai.memory.query.text"] == "my drink"
    [record] = json.loads(str(searched["gen_ai.memory.records"]))
    assert record == {"id": tea.memory_id, "content": "I drink tea", "score": hit.score}


def test_an_event_shows_ids_and_nothing_that_was_said(open_memory: Opener) -> None:
    seen: list[Event] = []
    memory = open_memory(listeners=[seen.append])
    [tea] = memory.add("I drink tea", user_id="alice", infer=False)
    memory.search("my drink", user_id="alice")
    for event in seen:
        assert event.memory_ids == (tea.memory_id,)
        assert event.to_dict()["memory_ids"] == [tea.memory_id]
        assert "drink" not in f"{event!r} {event.to_dict()}"
    assert seen[-1].query == "my drink"


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(InputError, match=r"holdfast\[otel\]"):
        otel_listener()
