"""What becomes of facts: the model decides, and code guards what is certain in any language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import MemoryItem, ModelReplyError
from holdfast.decisions.merging import (
    Decide,
    Decision,
    Neighbour,
    NewFact,
    Working,
    batches,
    guarded,
    known,
    with_known,
)
from holdfast.decisions.merging.batches import MOST_FACTS
from holdfast.decisions.merging.examination import PAPERS, marked, papers
from holdfast.decisions.merging.strategy import MOST_SHOWN, shown
from holdfast.decisions.question import Unreadable
from holdfast.decisions.text.equal import normalised
from holdfast.models.tokens import count_tokens
from tests.conftest import Opener
from tests.support.fakes import ScriptedModel, Ticking, facts

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def item(text: str, number: int = 1, *, speakers: tuple[str, ...] = ()) -> MemoryItem:
    at = DAY + timedelta(days=number)
    return MemoryItem(
        f"m{number}",
        text,
        "alice",
        None,
        None,
        {},
        at,
        at,
        at,
        valid_from=at,
        valid_to=None,
        speakers=speakers,
    )


def near(*items: MemoryItem) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(one, 0.5) for one in items)


BERLIN, SINGLE, REX = item("Lives alone in Berlin", 1), item("Is single", 2), item("Has a dog, Rex", 3)
NEW = [
    NewFact("Moved in with Ben in Lisbon", near(BERLIN, SINGLE, REX)),
    NewFact("Rex is three", near(REX, BERLIN)),
]


def decided(rows: list[dict[str, Any]], new: Sequence[NewFact] = NEW) -> list[list[tuple[Any, ...]]]:
    strategy = Decide()
    [question] = strategy.ask(new)
    decisions = guarded(new, strategy.decide(new, [question.read({"decisions": rows})]))
    return [[(one.operation, one.target and one.target.id, one.text) for one in own] for own in decisions]


def row(fact: Any, operation: Any, memory: Any = 0, text: Any = "") -> dict[str, Any]:
    return {"fact": fact, "operation": operation, "memory": memory, "text": text}


ADDED = [[("ADD", None, "Moved in with Ben in Lisbon")], [("ADD", None, "Rex is three")]]


def test_memories_are_shown_newest_last_and_facts_with_their_dates() -> None:
    [question] = Decide().ask([replace(NEW[0], happened_at=DAY, speakers=("Anna",))])
    assert question.messages[1].content == (
        "Memories, newest last:\n[1] (2026-01-06) Lives alone in Berlin\n[2] (2026-01-07) Is single\n"
        "[3] (2026-01-08) Has a dog, Rex\n\nNew facts:\n[1] (2026-01-05, Anna) Moved in with Ben in Lisbon"
    )
    assert question.schema.name == "decisions"


def test_a_fact_may_change_several_memories_and_the_models_text_is_taken_as_it_is() -> None:
    rows = [
        row(1, "UPDATE", 2, "Lives with Ben"),
        row(1, "DELETE", 1),
        row(2, "update", "3", "Has a dog, Rex, 3"),
    ]
    assert decided(rows) == [
        [("UPDATE", "m2", "Lives with Ben"), ("DELETE", "m1", "Moved in with Ben in Lisbon")],
        [("UPDATE", "m3", "Has a dog, Rex, 3")],
    ]


def test_an_update_without_a_text_has_the_facts_own() -> None:
    rows = [row(1, "UPDATE", 1), row(2, "UPDATE", 3, "  ")]
    assert decided(rows) == [
        [("UPDATE", "m1", "Moved in with Ben in Lisbon")],
        [("UPDATE", "m3", "Rex is three")],
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(1, "UPDATE", 4, "x"), row(2, "DELETE", 99)],
        [row(1, "NOOP"), row(2, "DELETE", 0)],
        [row(3, "DELETE", 1), row(0, "DELETE", 1), row(-1, "DELETE", 2), row(None, "DELETE", 1)],
        [row(1, "FORGET", 1), row(2, None, 2)],
        [row(1, "UPDATE", 1.5, "x"), row(2, "UPDATE", True, "x")],
        [{"fact": 1}, {}],
    ],
)
def test_what_cannot_be_used_adds_the_fact(rows: list[dict[str, Any]]) -> None:
    assert decided(rows) == ADDED


def test_the_last_row_about_a_memory_stands() -> None:
    rows = [row(1, "UPDATE", 1, "one"), row(1, "UPDATE", 1, "two"), row(2, "UPDATE", 1, "three")]
    assert decided(rows) == [[("UPDATE", "m1", "two")], [("UPDATE", "m1", "three")]]


def test_a_memory_that_is_brought_up_to_date_is_not_deleted_nor_deleted_twice() -> None:
    assert decided([row(1, "UPDATE", 1, "x"), row(2, "DELETE", 1)])[1] == ADDED[1]
    assert decided([row(1, "DELETE", 2), row(2, "DELETE", 2)]) == [
        [("DELETE", "m2", "Moved in with Ben in Lisbon")],
        ADDED[1],
    ]


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "NOOP"])
def test_another_named_speakers_memory_is_never_touched(operation: str) -> None:
    anna = item("Likes pizza", 4, speakers=("Anna",))
    fact = NewFact("Likes pizza a lot", near(anna), speakers=("Ben",))
    assert decided([row(1, operation, 1, "x")], [fact]) == [[("ADD", None, "Likes pizza a lot")]]
    own = replace(fact, speakers=("Anna", "Ben"))
    assert decided([row(1, operation, 1, "x")], [own])[0][0][0] == operation


def test_an_unreadable_reply_adds_every_fact() -> None:
    decisions = Decide().decide(NEW, [ModelReplyError("no JSON")])
    assert [own[0].operation for own in decisions] == ["ADD", "ADD"]
    assert "no JSON" in decisions[0][0].reason


def test_function_calls_say_the_same_as_rows() -> None:
    [question] = Decide().ask(NEW)
    calls = [
        {"name": "update_memory", "arguments": {"fact": 1, "memory": 1, "text": "x"}},
        {"name": "delete_memory", "arguments": {"fact": 1, "memory": 2}},
        {"name": "none", "arguments": {"fact": 2, "memory": 3}},
        {"name": "add_memory", "arguments": {"fact": 9}},
        {"name": "drop_table", "arguments": {"fact": 2}},
    ]
    rows = [row(1, "UPDATE", 1, "x"), row(1, "DELETE", 2), row(2, "NOOP", 3)]
    strategy = Decide()
    assert strategy.decide(NEW, [question.read({"calls": calls})]) == strategy.decide(
        NEW, [question.read({"decisions": rows})]
    )
    assert [one.name for one in question.schema.calls] == [
        "add_memory",
        "update_memory",
        "delete_memory",
        "none",
    ]
    for broken in (
        {"calls": [{"name": "none", "arguments": "{"}]},
        {},
        {"decisions": "x"},
        {"decisions": [1]},
    ):
        with pytest.raises(Unreadable):
            question.read(broken)


def test_at_most_thirty_memories_are_shown_the_nearest_of_each_fact_first() -> None:
    first = near(*(item(f"first {at}", at) for at in range(40)))
    second = near(*(item(f"second {at}", 100 + at) for at in range(40)))
    seen = shown([NewFact("a", first), NewFact("b", second)])
    assert len(seen) == MOST_SHOWN == 30
    assert [one.memory.text for one in seen] == [f"first {at}" for at in range(15)] + [
        f"second {at}" for at in range(15)
    ]


def test_equal_texts_are_known_without_a_model() -> None:
    new = [
        NewFact("has a dog, Rex.", near(BERLIN, REX)),
        NewFact("Likes tea", near(REX)),
        NewFact("likes  TEA!", near(REX)),
        NewFact("Has a dog, Rex", near(replace(REX, speakers=("Anna",))), speakers=("Ben",)),
    ]
    settled = known(new)
    assert {
        at: (one.operation, one.target and one.target.id, one.repeats) for at, one in settled.items()
    } == {
        0: ("NOOP", "m3", None),
        2: ("NOOP", None, 1),
    }


def test_a_repeat_of_what_a_fact_before_it_removed_is_kept(open_memory: Opener) -> None:
    told = facts("The dog died", "Has a dog, Rex")
    model = ScriptedModel([facts("Has a dog, Rex"), told, {"decisions": [row(1, "DELETE", 1)]}])
    memory = open_memory(llm=model)
    memory.add("I have a dog, Rex", user_id="alice")
    result = memory.add("The dog died. I have a dog, Rex, again.", user_id="alice")
    assert [change.operation for change in result] == ["DELETE", "ADD"]
    assert [item.text for item in memory.get_all(user_id="alice")] == ["Has a dog, Rex"]


def test_what_repeats_a_fact_that_left_nothing_is_added() -> None:
    new = [NewFact("Dog died", near(REX)), NewFact("dog died", near(REX))]
    deleted = (Decision("DELETE", "Dog died", REX, "x"),)
    assert [own[0].operation for own in with_known(new, known(new), {0: deleted})] == ["DELETE", "ADD"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PIN 1 2 3 4", "PIN 4 3 2 1"),
        ("221b", "221a"),
        ("C#", "C"),
        ("1.5 km", "15 km"),
        ("-3 °C", "3 °C"),
        ("a b", "b a"),
    ],
)
def test_texts_that_differ_in_a_sign_a_number_or_their_order_are_not_equal(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_facts_that_do_not_fit_into_one_question_see_what_the_ones_before_changed(
    open_memory: Opener,
) -> None:
    texts = [f"Owns boat number {at}" for at in range(MOST_FACTS)]
    assert [len(run) for run in batches([NewFact(text) for text in [*texts, "one more"]])] == [MOST_FACTS, 1]

    def second(prompts: Any) -> dict[str, Any]:
        lines = prompts[1].content.splitlines()
        [number] = [line.split("]")[0][1:] for line in lines if line.endswith("Boat 7 is called Argo")]
        assert not any(line.endswith("Owns boat number 7") for line in lines)
        return {"decisions": [row(1, "UPDATE", int(number), "Sold boat 7, called Argo")]}

    def first(prompts: Any) -> dict[str, Any]:
        return {
            "decisions": [
                row(8, "UPDATE", 1, "Boat 7 is called Argo"),
                *(row(at, "ADD") for at in range(1, 51) if at != 8),
            ]
        }

    model = ScriptedModel([facts("Owns boat 7"), facts(*texts, "Sold boat 7"), first, second])
    memory = open_memory(llm=model)
    memory.add("I own boat 7", user_id="alice")
    result = memory.add("I own boats", user_id="alice")
    assert len(model.prompts) == 4
    assert [(one.operation, one.after) for one in result if one.operation != "ADD"] == [
        ("UPDATE", "Boat 7 is called Argo"),
        ("UPDATE", "Sold boat 7, called Argo"),
    ]
    assert memory.count(user_id="alice") == MOST_FACTS


def test_a_fact_that_an_earlier_question_added_can_be_brought_up_to_date(open_memory: Opener) -> None:
    texts = [f"Owns boat number {at}" for at in range(MOST_FACTS)]

    def second(prompts: Any) -> dict[str, Any]:
        [number] = [
            line.split("]")[0][1:]
            for line in prompts[1].content.splitlines()
            if line.endswith("boat number 9")
        ][:1]
        return {"decisions": [row(1, "UPDATE", int(number), "Boat 9 is sold")]}

    model = ScriptedModel(
        [facts("Is called Al"), facts(*texts, "Sold boat number 9 today"), {"decisions": []}, second]
    )
    memory = open_memory(llm=model)
    memory.add("I am Al", user_id="alice")
    result = memory.add("I own boats", user_id="alice")
    [update] = [one for one in result if one.operation == "UPDATE"]
    assert update.before == "Owns boat number 9"
    assert [change.operation for change in memory.history(update.memory_id)] == ["ADD", "UPDATE"]


def test_what_is_gone_or_changed_is_seen_so_by_later_questions() -> None:
    working = Working()
    working.apply(
        0, [Decision("DELETE", "x", REX, ""), Decision("UPDATE", "Lives in Rome", BERLIN, "")], item("x", 9)
    )
    working.apply(1, [Decision("ADD", "new", None, "")], item("new", 8))
    seen = working.seen_by(NEW[1], lambda others: [0.9] * len(others))
    assert [(one.memory.id, one.memory.text) for one in seen.neighbours] == [
        ("m8", "new"),
        ("m1", "Lives in Rome"),
    ]


def rightly(paper: int) -> dict[str, Any]:
    """The right answers of a paper."""
    _, expected = PAPERS[paper]
    return {
        "decisions": [
            row(
                at, one.operations[0], one.memory, " ".join(one.keep) if one.operations[0] == "UPDATE" else ""
            )
            for at, one in enumerate(expected, 1)
        ]
    }


def examined(open_memory: Opener, replies: list[Any]) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel(replies)
    memory = open_memory(llm=model, model_size="auto", now=Ticking())
    return memory, model


def test_a_model_that_decides_rightly_is_examined_once_and_asked_all_at_once(open_memory: Opener) -> None:
    replies = [
        rightly(0),
        rightly(1),
        facts("Likes tea"),
        facts("Likes rice"),
        {"decisions": [row(1, "ADD")]},
    ]
    memory, model = examined(open_memory, replies)
    assert memory.memory.llm_examined is None
    first = memory.add("I like tea", user_id="alice")
    assert first.usage.calls == 3
    told = memory.memory.llm_examined
    assert (told.model, told.right, told.asked, told.tokens, told.passed) == (
        "test/scripted",
        12,
        12,
        220,
        True,
    )
    assert memory.add("I like rice", user_id="alice").usage.calls == 2
    assert not model.replies


def test_a_model_that_fails_is_asked_with_care(open_memory: Opener) -> None:
    everything_known = {"decisions": [row(at, "NOOP", 1) for at in range(1, 8)]}
    memory, _ = examined(
        open_memory, [everything_known, everything_known, facts(), facts("Likes tea"), facts()]
    )
    said = [f"I say {at}" for at in range(5)]
    assert memory.add(said, user_id="alice").usage.calls == 5, (
        "two of examination, then a question for two messages"
    )
    assert not memory.memory.llm_examined.passed


def test_a_small_model_is_not_shown_what_was_said_before(open_memory: Opener) -> None:
    for size, shown_before in (("small", False), ("large", True)):
        model = ScriptedModel([facts("Lives in Berlin"), facts()])
        memory = open_memory(size, llm=model, model_size=size)
        memory.add("I live in Berlin", user_id="alice", session_id="s")
        memory.add("I eat fish now", user_id="alice", session_id="s")
        assert ("I live in Berlin" in model.prompts[-1][1].content) is shown_before


def test_one_slip_is_forgiven_and_two_are_not() -> None:
    strategy = Decide()
    total = 0
    for number, ((asked, [question]), paper) in enumerate(zip(papers(strategy), PAPERS, strict=True)):
        answer = rightly(number)
        assert marked(paper, strategy.decide(asked, [question.read(answer)])) == len(paper[1])
        answer["decisions"][0]["operation"], answer["decisions"][0]["memory"] = "NOOP", 1
        total += marked(paper, strategy.decide(asked, [question.read(answer)])) - len(paper[1])
    assert total == -2


def test_an_examination_stays_under_2000_tokens() -> None:
    spent = 0
    for facts_, [question] in papers(Decide()):
        spent += sum(count_tokens(prompt.content) for prompt in question.messages) + 40 * len(facts_)
    assert spent < 2_000


def test_a_size_that_is_none_is_refused(open_memory: Opener) -> None:
    with pytest.raises(ValueError, match="model_size='huge'"):
        open_memory(llm=ScriptedModel(), model_size="huge")
