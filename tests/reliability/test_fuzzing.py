"""Replies that no schema would let through: no crash, no hang, no loss."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import HoldfastError, Memory
from holdfast.engine.paths import SIZES, ModelSize
from holdfast.ports import Completion
from tests.support.fakes import HashEmbedder, ScriptedModel

TEXT = st.text(max_size=30)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
FACT = st.fixed_dictionaries(
    {
        "message": st.one_of(st.integers(-3, 5), JSON),
        "speaker": st.one_of(TEXT, JSON),
        "fact": st.one_of(TEXT, JSON),
        "when": st.one_of(st.sampled_from(["", "2026-03", "2026-03-01/2026-13-40", "soon"]), JSON),
    }
)
DECISIONS = [
    "ADD",
    "UPDATE",
    "DELETE",
    "NOOP",
    "same",
    "adds",
    "changes",
    "different",
    "",
    "DROP",
]
DECISION = st.dictionaries(
    st.sampled_from(["fact", "id", "operation", "text", "relation", "old", "new", "memory", "event"]),
    st.one_of(st.integers(-2, 9), st.sampled_from(DECISIONS), JSON),
    max_size=6,
)
REPLY = st.one_of(
    st.fixed_dictionaries({"facts": st.lists(FACT, max_size=4)}),
    st.dictionaries(
        st.sampled_from(["facts", "decisions", "relations", "operations", "answers", "verdicts"]),
        st.one_of(st.lists(st.one_of(FACT, DECISION), max_size=4), JSON),
        max_size=3,
    ),
    JSON,
)


def spoiled(reply: Any, how: int) -> Any:
    """An object, or its text: whole, cut short, fenced, talked about, doubled."""
    if how == 0 and isinstance(reply, dict):
        return reply
    text = json.dumps(reply, ensure_ascii=how % 2 == 0)
    return [
        text,
        text[: max(1, len(text) * 2 // 3)],
        f"```json\n{text}\n```",
        f"<think>{{}}</think> Sure! Here it is: {text} Anything else?",
        text + text,
        text.replace('"', "'"),
    ][how % 6]


@settings(max_examples=50, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(
    replies=st.lists(st.tuples(REPLY, st.integers(0, 5)), min_size=8, max_size=8),
    size=st.sampled_from(SIZES),
)
def test_no_reply_crashes_hangs_or_loses_anything(replies: list[tuple[Any, int]], size: ModelSize) -> None:
    model = ScriptedModel()
    with Memory(
        ":memory:", llm=model, model_size=size, embedder=HashEmbedder(16), resume_on_open=False
    ) as memory:
        memory.add(["My neighbour has a red car", "The red car is old"], user_id="alice", infer=False)
        memory.add("The secret of Bob is a red car", user_id="bob", infer=False)
        before = {it.id: it.text for it in memory.get_all(user_id="alice")}
        model.replies = [spoiled(*reply) for reply in replies]
        said = ["My neighbour sold her red car and has a blue one now.", "I moved to Lisbon."]
        try:
            memory.add(said, user_id="alice")
        except HoldfastError:
            assert len(memory.jobs.pending()) == 1
        assert [message.message.content for message in memory.messages(user_id="alice")][-2:] == said
        assert memory.index.verify()
        assert memory.count(user_id="bob") == 1
        for memory_id, text in before.items():
            history = memory.history(memory_id)
            assert history[0].after == text, (
                "what was known can be read in its history, whatever a model says"
            )
        assert memory.recall("red car", user_id="alice") is not None


@settings(max_examples=25, deadline=None)
@given(content=st.one_of(JSON, st.binary(max_size=40), st.just(object())))
def test_no_completion_of_a_wrong_type_gets_out_as_anything_but_our_error(content: Any) -> None:
    model = ScriptedModel([lambda _: content] * 2)
    with Memory(
        ":memory:", llm=model, model_size="large", embedder=HashEmbedder(16), resume_on_open=False
    ) as memory:
        with suppress(HoldfastError):
            memory.add("I moved to Lisbon.", user_id="alice")
        assert len(memory.messages(user_id="alice")) == 1
        assert memory.index.verify()


def test_a_model_that_returns_no_completion_is_named() -> None:
    class Wrong(ScriptedModel):
        def complete(self, messages: Any, *, schema: Any = None) -> Completion:
            return "not a Completion"  # type: ignore[return-value]

    with Memory(":memory:", llm=Wrong(), embedder=HashEmbedder(16), resume_on_open=False) as memory:
        with pytest.raises(HoldfastError, match="returned str"):
            memory.add("I moved to Lisbon.", user_id="alice")
        assert len(memory.jobs.pending()) == 1
