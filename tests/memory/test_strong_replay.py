"""The engine takes nothing away from a strong model: what it told is stored, what it decided is carried out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast import Message
from tests.conftest import Opener
from tests.support import strong
from tests.support.fakes import ScriptedModel, Ticking, facts

OTHERS = os.environ.get("HOLDFAST_STRONG")  # read before the fixtures take such names out of the environment

faces = pytest.mark.parametrize(
    "open_memory",
    [("sync", "in-memory"), ("async", "in-memory")],
    indirect=True,
    ids=lambda pair: "-".join(pair),
)


@pytest.mark.parametrize(
    ("open_memory", "calls"),
    [(("sync", "in-memory"), False), (("async", "in-memory"), True)],
    ids=["objects, sync", "function calls, async"],
    indirect=["open_memory"],
)
def test_every_decision_of_the_model_is_carried_out_as_it_is(open_memory: Opener, calls: bool) -> None:
    model = strong.StrongModel(calls=calls)
    memory = open_memory(llm=model)
    done = [strong.merge(memory, model, told) for told in strong.merging()]
    assert len(done) == 115
    assert [one.outcome for one in done if not one.exact] == []
    assert sum(one.outcome.right for one in done) >= 0.98 * len(done)


@faces
def test_every_fact_of_the_model_is_stored_word_for_word_under_its_message(open_memory: Opener) -> None:
    _replayed(open_memory, strong.windows())


@faces
@pytest.mark.skipif(
    OTHERS is None, reason="HOLDFAST_STRONG names no folder with the windows of others' chats"
)
def test_facts_of_long_chats_are_stored_word_for_word_too(open_memory: Opener) -> None:
    assert OTHERS is not None
    _replayed(open_memory, strong.windows(Path(OTHERS)))


@faces
def test_an_add_of_forty_short_messages_takes_two_calls(open_memory: Opener) -> None:
    told = [(number, f"Has plan {number}") for number in range(1, 41)]
    model = ScriptedModel([facts(*told), {"decisions": []}])
    memory = open_memory(llm=model)
    memory.add("Has a cat named Tom", user_id="alice", infer=False)
    said = [Message(f"By the way, my plan number {number} is to walk to the sea.") for number in range(1, 41)]
    added = memory.add(said, user_id="alice")
    assert len(model.prompts) == added.usage.calls == 2
    assert memory.count(user_id="alice") == 41


def _replayed(open_memory: Opener, windows: list[strong.Told]) -> None:
    model = strong.StrongModel()
    memory = open_memory(llm=model, now=Ticking(strong.LATER))
    assert any(window["facts"] for window in windows)
    for at, window in enumerate(windows):
        missing, withheld = strong.extract(memory, model, {**window, "id": f"{at}: {window['id']}"})
        assert missing == [], window["id"]
        assert withheld == [], "a user's message is shown whole"
