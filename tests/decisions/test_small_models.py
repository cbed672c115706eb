"""Merging with small models: what is asked, what follows from the answers, and what no answer can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.merging import Decision, MergeStrategy, Neighbour, NewFact
from holdfast.decisions.question import Question, Unreadable
from holdfast.decisions.small_models import Careful
from holdfast.decisions.small_models.careful import LONGEST
from holdfast.decisions.small_models.odds import RELATIONS, WEIGHTS, odds
from holdfast.decisions.small_models.texts import exchanged, joined, numbers, tells_apart, unsaid
from holdfast.errors import ModelReplyError
from holdfast.types import MemoryItem
from tests.conftest import Opener
from tests.support.fakes import ScriptedModel

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def memory(text: str, *speakers: str) -> MemoryItem:
    return MemoryItem(text, text, "alice", None, None, {}, NOW, NOW, None, NOW, None, speakers=speakers)


def fact(text: str, *known: str, similarity: float = 0.6) -> NewFact:
    return NewFact(text, tuple(Neighbour(memory(one), similarity) for one in known))


def sure(relation: str) -> dict[str, float]:
    """The likelihoods of a model that is certain."""
    return {one: 0.97 if one == relation else 0.01 for one in RELATIONS}


def run(facts: Sequence[NewFact], *replies: Any) -> tuple[list[Decision], list[Question]]:
    """The decisions, one for each fact, and what was asked; `replies` answer in order."""
    strategy: MergeStrategy = Careful()
    answers: list[Any] = []
    asked: list[Question] = []
    while questions := strategy.ask(facts, answers):
        asked += questions
        answers += replies[len(answers) : len(answers) + len(questions)]
    assert answers == list(replies), "other questions than replies"
    return [one for (one,) in strategy.decide(facts, answers)], asked


def decide(one: NewFact, *replies: Any) -> tuple[str, str, str | None]:
    """Operation, text and target of a fact's decision."""
    ((decision,), _) = run([one], *replies)
    return decision.operation, decision.text, decision.target.text if decision.target else None


# What is asked


def test_nothing_is_asked_where_nothing_is_known() -> None:
    decisions, asked = run([fact("Likes tea")])
    assert decisions[0].operation == "ADD"
    assert not asked


def test_one_question_is_asked_for_each_fact_about_the_memory_with_most_in_common() -> None:
    near = Neighbour(memory("Has a red kite from Ulm"), 0.5)
    nearer = Neighbour(memory("Sings alto"), 0.55)
    _, asked = run([NewFact("The kite from Ulm is blue", (nearer, near))], sure("different"))
    assert [one.messages[-1].content for one in asked] == [
        "Memory: Has a red kite from Ulm\nFact: The kite from Ulm is blue"
    ]


def test_a_fact_that_has_nothing_in_common_with_any_memory_is_added_unasked() -> None:
    decisions, asked = run([fact("Likes tea", "Flies to Rome", similarity=-0.1)])
    assert decisions[0].operation == "ADD"
    assert not asked


def test_a_reply_without_a_relation_is_unreadable_and_names_those_there_are() -> None:
    _, (question,) = run([fact("Likes tea", "Likes green tea")], sure("different"))
    with pytest.raises(Unreadable, match="same, adds, changes, different"):
        question.read({"relation": "other"})
    assert question.read({"relation": "same"}) == {"same": 1.0}
    assert question.weigh is not None
    assert question.weigh({"same": 1.0}, sure("same")) == sure("same")
    assert question.weigh({"same": 1.0}, {}) == {"same": 1.0}


def test_which_words_give_way_is_read_from_two_texts_and_from_nothing_else() -> None:
    moved = fact("Noor works as a midwife", "Noor lives in Cardiff with two boys and works as a nurse")
    _, (_, question) = run([moved], sure("changes"), ("nurse", "midwife"))
    assert question.read({"old": "nurse", "new": "midwife"}) == ("nurse", "midwife")
    for reply in ({}, {"old": "nurse"}, {"old": 1, "new": "x"}):
        with pytest.raises(Unreadable):
            question.read(reply)


# What follows


def test_what_is_different_is_added() -> None:
    known = fact("Likes blueberries", "Likes strawberries")
    assert decide(known, sure("different")) == ("ADD", "Likes blueberries", None)


def test_another_wording_of_the_same_is_known() -> None:
    said = fact("Home is in the city of Toronto", "Lives in Toronto, Canada")
    assert decide(said, sure("same"))[0] == "NOOP"


def test_what_adds_to_a_memory_stands_beside_it() -> None:
    boat = fact("The boat lies in Kiel and is called Marlin", "Has a sailing boat.")
    expected = "Has a sailing boat; The boat lies in Kiel and is called Marlin"
    assert decide(boat, sure("adds")) == ("UPDATE", expected, "Has a sailing boat.")


def test_a_fact_that_begins_with_the_memory_takes_its_place() -> None:
    assert joined("Has a dog.", "Has a dog named Rex") == "Has a dog named Rex"
    assert joined("Drinks tea", "Never drinks tea") == "Drinks tea; Never drinks tea"
    assert joined("喜欢茶", "不喜欢茶") == "喜欢茶；不喜欢茶"


def test_a_short_memory_that_changed_is_replaced_in_one_question() -> None:
    decisions, asked = run([fact("Lives in Bristol now", "Lives in Leeds")], sure("changes"))
    assert [(one.operation, one.text) for one in decisions] == [("UPDATE", "Lives in Bristol now")]
    assert len(asked) == 1


def test_a_memory_that_says_more_changes_in_the_words_that_no_longer_hold() -> None:
    known = "Noor lives in Cardiff with two boys and works as a nurse"
    expected = "Noor lives in Cardiff with two boys and works as a midwife"
    changed = decide(fact("Noor works as a midwife", known), sure("changes"), ("nurse", "midwife"))
    assert changed == ("UPDATE", expected, known)


def test_what_a_fact_says_besides_the_words_that_take_the_place_of_others_is_kept() -> None:
    known, new = "Standup is at 9:15 in room Oak with Kim", "Standup moved to 10:30 as Kim starts late"
    (_, text, _) = decide(fact(new, known), sure("changes"), ("9:15", "10:30"))
    assert text == f"Standup is at 10:30 in room Oak with Kim; {new}"


def test_what_has_ended_is_taken_out_of_a_memory_and_said_after_it() -> None:
    known, new = "Has a bike, a canoe and a tent", "The canoe was sold in May"
    (_, text, _) = decide(fact(new, known), sure("changes"), ("a canoe", ""))
    assert text == f"Has a bike, and a tent; {new}"


def test_chinese_words_give_way_without_spaces_between_them() -> None:
    known, new = "博客架在WordPress上，每月访问量约两万", "博客整个迁到Ghost了"
    (_, text, _) = decide(fact(new, known), sure("changes"), ("WordPress", "Ghost"))
    assert text.startswith("博客架在Ghost上，每月访问量约两万")
    assert text.endswith(new)


# What no answer can do

LONG = "Theo was born in Utrecht on 2 February and weighed 3.4 kilos"
CORRECTED = "Theo was born on 11 February, not as said before"


@pytest.mark.parametrize(
    "words",
    [
        ("Rotterdam", "11 February"),  # not of the memory
        ("2 February", "12 March"),  # not of the fact
        ("Utre", "11 February"),  # within a word
        ("", "11 February"),
        ("Utrecht", CORRECTED),  # the whole fact amid the memory
        ("2 February", "February"),  # no other word
        ("3.4 kilos", "not as said before"),  # a number for none
        ("in Utrecht on 2 February and weighed 3.4 kilos", "11 February"),  # nearly all of the memory
        ModelReplyError("no object"),
    ],
)
def test_words_that_cannot_be_exchanged_to_the_letter_leave_both_texts(words: Any) -> None:
    (operation, text, _) = decide(fact(CORRECTED, LONG), sure("changes"), words)
    assert (operation, text) == ("UPDATE", f"{LONG}; {CORRECTED}")


def test_a_reply_that_cannot_be_read_adds_the_fact() -> None:
    ((decision,), _) = run([fact("Likes oat milk", "Likes milk")], ModelReplyError("no object"))
    assert decision.operation == "ADD"
    assert "no object" in decision.reason


@pytest.mark.parametrize(
    ("known", "new"),
    [
        ("Son Ethan plays soccer", "Son Noah plays soccer"),
        ("Prefers tabs over spaces", "Prefers spaces over tabs"),
        ("晚饭一般7点吃", "晚饭一般9点吃"),
        ("Has a dog", "Has a dog named Rex"),
    ],
)
def test_a_fact_that_tells_its_own_is_never_dropped_as_known(known: str, new: str) -> None:
    certain = {one: float(one == "same") for one in RELATIONS}
    (operation, text, _) = decide(fact(new, known), certain)
    assert operation != "NOOP"
    assert new in text


def test_a_text_that_says_all_of_another_and_more_tells_them_apart() -> None:
    assert tells_apart("Has a dog named Rex, three years old", "Has a dog")
    assert not tells_apart("Has a dog", "Has a dog named Rex, three years old")


def test_words_that_stand_in_a_memory_twice_are_not_exchanged() -> None:
    assert exchanged("Lives in Oslo, works in Oslo", "Moved to Bergen", "Oslo", "Bergen") is None


@pytest.mark.parametrize("answer", [{one: 1.0} for one in RELATIONS])
def test_of_a_model_that_only_answers_less_is_believed(answer: Mapping[str, float]) -> None:
    (said,) = answer
    pair = "Has moved to Chicago with her sister", "Lives in Denver"
    told, likely = odds(*pair, answer, WEIGHTS), odds(*pair, sure(said), WEIGHTS)
    assert sum(told.values()) == pytest.approx(1)
    assert max(likely, key=likely.__getitem__) == said
    assert told[said] < likely[said]  # type: ignore[index]


def test_equal_odds_add_the_fact() -> None:
    unsure = dict.fromkeys(RELATIONS, 0.25)
    assert decide(fact("Swims on Sundays", "Has knee pain"), unsure)[0] == "ADD"


def test_what_another_named_speaker_told_is_neither_asked_about_nor_changed() -> None:
    of_ben = Neighbour(memory("Lives in Leeds", "Ben"), 0.9)
    said = NewFact("Lives in Bristol", (of_ben,), speakers=("Ann",))
    decisions, asked = run([said, replace(said, text="Lives in Leeds")])
    assert [one.operation for one in decisions] == ["ADD", "ADD"]
    assert not asked
    assert decide(replace(said, speakers=("Ben",)), sure("changes"))[0] == "UPDATE"
    assert decide(replace(said, speakers=()), sure("changes"))[0] == "UPDATE"


def test_who_tells_two_facts_is_nothing_that_they_have_in_common() -> None:
    known = Neighbour(memory("Ann sings", "Ann"), 0.0)
    decisions, asked = run([NewFact("Ann swims", (known,), speakers=("Ann",))])
    assert decisions[0].operation == "ADD"
    assert not asked


def test_a_memory_does_not_grow_without_end() -> None:
    known = "Has a boat, " + "a pier, " * (LONGEST // 8)
    assert decide(fact("The boat is called Marlin and lies in Kiel", known), sure("adds"))[0] == "ADD"


# Through a memory


def test_a_small_model_brings_a_memory_up_to_date_in_two_short_questions(open_memory: Opener) -> None:
    model = ScriptedModel([{"relation": "changes"}, {"old": "2 May", "new": "9 May"}])
    memory = open_memory(llm=model, model_size="small")
    memory.add("The rehearsal is on 2 May in the town hall, with Petra", user_id="alice", infer="merge")
    memory.add("The rehearsal is on 9 May", user_id="alice", infer="merge")
    (item,) = memory.get_all(user_id="alice")
    assert item.text == "The rehearsal is on 9 May in the town hall, with Petra"
    assert not model.replies


def test_what_a_small_model_cannot_say_is_kept_beside_what_is_known(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([{"relation": "?"}, {"relation": "?"}]), model_size="small")
    memory.add("The rehearsal is on 2 May", user_id="alice", infer="merge")
    memory.add("The rehearsal is on 9 May", user_id="alice", infer="merge")
    assert {item.text for item in memory.get_all(user_id="alice")} == {
        "The rehearsal is on 2 May",
        "The rehearsal is on 9 May",
    }


# Several facts at once


def test_the_second_of_two_facts_about_one_memory_builds_on_the_first() -> None:
    first = fact("Lives in Lisbon", "Lives in Berlin")
    second = fact("Lives in a flat with a terrace", "Lives in Berlin")
    decisions, _ = run([first, second], sure("changes"), sure("adds"))
    assert [one.operation for one in decisions] == ["UPDATE", "UPDATE"]
    assert decisions[1].text == f"{first.text}; {second.text}"


def test_a_second_change_does_not_wipe_out_the_first() -> None:
    first, second = fact("Lives in Lisbon", "Lives in Berlin"), fact("Lives alone", "Lives in Berlin")
    decisions, _ = run([first, second], sure("changes"), sure("changes"))
    assert decisions[1].text == "Lives in Lisbon; Lives alone"


def test_what_a_memory_no_longer_says_after_another_fact_is_not_known() -> None:
    first, second = fact("Lives in Lisbon", "Lives in Berlin"), fact("Berlin is home", "Lives in Berlin")
    decisions, _ = run([first, second], sure("changes"), sure("same"))
    assert [one.operation for one in decisions] == ["UPDATE", "ADD"]
    decisions, _ = run([second, first], sure("same"), sure("changes"))
    assert [one.operation for one in decisions] == ["NOOP", "UPDATE"]


answers = st.one_of(
    st.sampled_from(RELATIONS).map(lambda one: {one: 1.0}),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).map(
        lambda them: dict(zip(RELATIONS, them, strict=True))
    ),
    st.just(ModelReplyError("nonsense")),
)
words = st.sampled_from(
    ["Lives", "in", "Leeds", "Oslo", "9", "12.5", "爱", "茶", "，", "with", "two", "cats", "ñ", "."]
)
texts = st.lists(words, min_size=1, max_size=7).map(" ".join)
exchanges = st.one_of(st.tuples(texts, texts), st.just(ModelReplyError("nonsense")))


@given(st.lists(st.tuples(texts, st.lists(texts, max_size=3)), min_size=1, max_size=4), st.data())
def test_every_fact_is_said_afterwards_or_was_known_whatever_is_answered(
    given_facts: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    facts = [fact(text, *known) for text, known in given_facts]
    given_answers: list[Any] = []
    while questions := Careful().ask(facts, given_answers):
        given_answers += [data.draw(answers if q.schema.choice else exchanges) for q in questions]
    decisions = [one for (one,) in Careful().decide(facts, given_answers)]
    assert len(decisions) == len(facts)
    for one, decision in zip(facts, decisions, strict=True):
        known = {neighbour.memory.text for neighbour in one.neighbours}
        assert decision.operation in ("ADD", "UPDATE", "NOOP")
        assert decision.text
        assert decision.target is None or decision.target.text in known
        if decision.operation == "ADD":
            assert decision.text == one.text
        if decision.operation == "UPDATE":
            assert not unsaid(one.text, by=decision.text)
        if decision.operation == "NOOP":
            assert not numbers(one.text) - numbers(" ".join(known))


@given(texts, texts, texts, texts)
def test_an_exchange_writes_no_word_that_neither_the_memory_nor_the_fact_has(
    known: str, new: str, old: str, put: str
) -> None:
    text = exchanged(known, new, old, put)
    assert text is None or set(text) <= set(known + new) | set("；; ")
