"""Ranking: what makes one candidate answer a query better than another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.retrieval.candidates import Candidate
from holdfast.decisions.retrieval.ranking import (
    RankQuery,
    indexed_text,
    is_question,
    known_speakers,
    rank,
    said_by,
    traits,
    understand,
)
from holdfast.storage.index.facets import facets

NOW = datetime(2024, 3, 1, tzinfo=UTC)


def candidate(name: str, dense: float = 0.3, sparse: float = 1.0, **payload: Any) -> Candidate:
    return Candidate(name, dense, sparse, facets({"u": "alice", "a": "", "r": "", **payload}))


def microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def order(candidates: list[Candidate], query: RankQuery | None = None) -> list[str]:
    return [hit.id for hit in rank(query or RankQuery(), candidates, limit=99, now=NOW)]


# --- scores ---


def test_nothing_ranks_to_nothing() -> None:
    assert rank(RankQuery(), [], limit=5, now=NOW) == []
    assert rank(RankQuery(), [candidate("a")], limit=0, now=NOW) == []


def test_the_sum_of_meaning_and_words_decides() -> None:
    assert order([candidate("c", 0.1, 1), candidate("b", 0.8, 1), candidate("a", 0.8, 4)]) == ["a", "b", "c"]


def test_equal_candidates_come_in_the_order_of_their_ids() -> None:
    assert order([candidate("b"), candidate("a"), candidate("c")]) == ["a", "b", "c"]


def test_the_limit_holds() -> None:
    assert len(rank(RankQuery(), [candidate(str(n)) for n in range(9)], limit=4, now=NOW)) == 4


def test_a_hit_below_the_threshold_is_dropped() -> None:
    candidates = [candidate("near", 0.9, 3.0), candidate("far", 0.0, 0.0)]
    hits = rank(RankQuery(), candidates, limit=9, now=NOW, threshold=0.2)
    assert [hit.id for hit in hits] == ["near"]


def test_one_unrelated_memory_does_not_score_like_an_answer() -> None:
    (unrelated,) = rank(RankQuery(), [candidate("a", 0.02, 0.0)], limit=1, now=NOW)
    (answer,) = rank(RankQuery(), [candidate("a", 0.6, 2.0)], limit=1, now=NOW)
    assert unrelated.score < 0.3 * answer.score


def test_the_parts_add_up_to_the_score() -> None:
    query = RankQuery(frozenset({"mel"}), ((0, microseconds(NOW)),), asks_when=True)
    hits = rank(query, [candidate("a", s=["mel"], e=1, p=1, w=9, t=1), candidate("b")], limit=2, now=NOW)
    for hit in hits:
        assert hit.score == pytest.approx(sum(hit.parts.values()))


# --- the conversation around a candidate ---


def test_a_turn_next_to_a_strong_one_is_lifted() -> None:
    strong = candidate("strong", 0.9, 9.0, e=1, p=10)
    turns = [candidate("next", 0.3, e=1, p=11), candidate("lonely", 0.3, e=1, p=19)]
    assert order([strong, *turns]) == ["strong", "next", "lonely"]


def test_the_answer_after_a_question_is_lifted_more_than_what_came_before_it() -> None:
    question = candidate("question", 0.9, 9.0, e=1, p=10, q=1)
    around = [candidate("a prior turn", 0.3, e=1, p=9), candidate("answer", 0.3, e=1, p=11)]
    assert order([question, *around]) == ["question", "answer", "a prior turn"]


def test_neighbours_count_for_less_among_facts_than_in_talk() -> None:
    def lift(**traits: int) -> float:
        strong = candidate("strong", 0.9, 9.0, e=1, p=10, **traits)
        turns = [candidate("next", 0.3, e=1, p=11, **traits), candidate("lonely", 0.3, e=1, p=19, **traits)]
        scores = {hit.id: hit.score for hit in rank(RankQuery(), [strong, *turns], limit=3, now=NOW)}
        return scores["next"] - scores["lonely"]

    assert 0 < lift() < 0.5 * lift(y=1)


def test_positions_of_another_scope_are_no_neighbours() -> None:
    strong = candidate("strong", 0.9, 9.0, e=1, p=10)
    other = candidate("other", 0.3, e=1, p=11, u="bob")
    mine = candidate("mine", 0.3, e=1, p=11)
    assert order([strong, other, mine])[1] == "mine"


def test_an_episode_with_several_good_turns_lifts_its_members() -> None:
    good = [candidate(f"good{n}", 0.8, 5.0, e=1, p=10 * n) for n in range(3)]
    plain = [candidate("elsewhere", 0.3, e=2, p=500), candidate("here", 0.3, e=1, p=400)]
    assert order([*good, *plain])[3:] == ["here", "elsewhere"]


# --- who, when, and what kind of sentence ---


def test_what_the_named_speaker_said_is_lifted() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["caroline"])]
    assert order(said, RankQuery(speakers=frozenset({"caroline"}))) == ["b", "a"]


def test_what_the_named_speaker_said_of_themselves_is_lifted_most() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["mel"], i=1), candidate("c", s=["caroline"], i=1)]
    assert order(said, RankQuery(speakers=frozenset({"mel"}))) == ["b", "a", "c"]


def test_two_named_speakers_lift_neither() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["caroline"])]
    assert order(said, RankQuery(speakers=frozenset({"caroline", "mel"}))) == ["a", "b"]


def test_what_was_said_in_the_period_asked_about_is_lifted() -> None:
    may = (microseconds(datetime(2023, 5, 1, tzinfo=UTC)), microseconds(datetime(2023, 6, 1, tzinfo=UTC)))
    days = {"before": (4, 28), "in": (5, 9), "after": (6, 4)}
    said = [candidate(k, h=microseconds(datetime(2023, *day, tzinfo=UTC))) for k, day in days.items()]
    asked = RankQuery(periods=(may,))
    assert order([candidate("unknown"), *said], asked) == ["in", "after", "before", "unknown"]


def test_a_text_that_tells_a_time_answers_when() -> None:
    told = [candidate("a", w=5), candidate("b", w=5, t=1)]
    assert order(told) == ["a", "b"]
    assert order(told, RankQuery(asks_when=True)) == ["b", "a"]


def test_a_statement_is_better_than_a_question() -> None:
    assert order([candidate("a", w=5, q=1), candidate("b", w=5)]) == ["b", "a"]


def test_of_two_equal_memories_the_newer_is_first() -> None:
    old, new = microseconds(NOW - timedelta(days=300)), microseconds(NOW - timedelta(days=3))
    assert order([candidate("a", h=old), candidate("b", h=new)]) == ["b", "a"]


payloads = st.fixed_dictionaries(
    {},
    optional={
        "e": st.integers(1, 3),
        "p": st.integers(1, 6),
        "s": st.lists(st.sampled_from(["mel", "caroline", "小明"]), max_size=2),
        "h": st.integers(0, 2**53),
        "w": st.integers(0, 500),
        "q": st.just(1),
        "t": st.just(1),
        "i": st.just(1),
        "y": st.just(1),
    },
)
floats = st.floats(-1, 1, allow_nan=False)


@given(st.lists(st.tuples(floats, st.floats(0, 50), payloads), max_size=40), st.integers(0, 50))
def test_any_candidates_get_scores_between_0_and_1_in_falling_order(
    rows: list[tuple[float, float, dict[str, Any]]], limit: int
) -> None:
    candidates = [
        candidate(str(n), dense, sparse, **payload) for n, (dense, sparse, payload) in enumerate(rows)
    ]
    hits = rank(RankQuery(frozenset({"mel"}), ((0, 10**15),), True), candidates, limit=limit, now=NOW)
    assert len(hits) == min(limit, len(candidates))
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    again = rank(RankQuery(frozenset({"mel"}), ((0, 10**15),), True), candidates[::-1], limit=limit, now=NOW)
    assert [hit.id for hit in again] == [hit.id for hit in hits]


# --- queries ---


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("What is Caroline's job?", {"caroline"}),
        ("what did caroline and MEL do", {"caroline", "mel"}),
        ("Who melted the ice?", set()),
        ("小明喜欢什么？", {"小明"}),
        ("Where does Anna live?", {"anna karenina"}),
    ],
)
def test_the_speakers_a_query_names(query: str, named: set[str]) -> None:
    assert understand(query, ["Caroline", "Mel", "小明", "Anna Karenina"], NOW).speakers == named


@pytest.mark.parametrize(
    ("query", "when"),
    [
        ("When did Mel paint?", True),
        ("How long have they been married?", True),
        ("Which month was the trip in?", True),
        ("他什么时候去了北京？", True),
        ("What did she do when she was young?", False),
        ("他喜欢什么？", False),
    ],
)
def test_a_query_that_wants_a_time_is_recognised(query: str, when: bool) -> None:
    assert understand(query, [], NOW).asks_when is when


def test_the_period_a_query_names_is_understood() -> None:
    august = (microseconds(datetime(2023, 8, 1, tzinfo=UTC)), microseconds(datetime(2023, 9, 1, tzinfo=UTC)))
    assert understand("What did Mel do in August 2023?", [], NOW).periods == (august,)
    assert understand("2023年8月小明做了什么？", [], NOW).periods == (august,)


def test_a_relative_time_beside_a_full_date_is_reckoned_from_that() -> None:
    query = "Where was John between August 11 and August 15 2023?"
    eleventh, fifteenth = understand(query, [], NOW + timedelta(days=700)).periods
    assert eleventh[0] == microseconds(datetime(2023, 8, 11, tzinfo=UTC))
    assert fifteenth[0] == microseconds(datetime(2023, 8, 15, tzinfo=UTC))


# --- texts ---


@pytest.mark.parametrize(
    ("text", "speakers", "indexed"),
    [
        ("I like tea", ["Caroline"], "Caroline: I like tea"),
        ("Caroline likes tea", ["Caroline"], "Caroline likes tea"),
        ("caroline's tea", ["Caroline"], "caroline's tea"),
        ("I agree, Caroline. Tea!", ["Caroline"], "Caroline: I agree, Caroline. Tea!"),
        ("Once a day, Caroline drinks tea.", ["Caroline"], "Once a day, Caroline drinks tea."),
        ("I like Mellow tea", ["Mel"], "Mel: I like Mellow tea"),
        ("小明喜欢茶", ["小明"], "小明喜欢茶"),
        ("我喜欢茶", ["小明"], "小明: 我喜欢茶"),
        ("They like tea", ["Mel", "Caroline"], "They like tea"),
        ("Likes tea", [], "Likes tea"),
    ],
)
def test_the_text_that_is_indexed_names_its_one_speaker(text: str, speakers: list[str], indexed: str) -> None:
    assert indexed_text(text, speakers) == indexed


@pytest.mark.parametrize(
    ("text", "speakers", "found"),
    [
        ("I like tea", ["Caroline"], ["caroline"]),
        ("Caroline: I like tea", [], ["caroline"]),
        ("Mary Ann Evans: I like tea", [], ["mary ann evans"]),
        ("小明：我喜欢茶", [], ["小明"]),
        ("Caroline: I like tea", ["Mel"], ["mel"]),
        ("we met at 5: then we left", [], []),
        ("I like tea", [], []),
        ("Caroline:", [], []),
    ],
)
def test_the_speaker_is_who_is_named_or_stands_in_front(
    text: str, speakers: list[str], found: list[str]
) -> None:
    assert said_by(text, speakers) == found


@pytest.mark.parametrize(
    "text", ["Why?", "really？", "你好吗", "他呢？", "See? [shares a photo: x]", 'He said "who?"']
)
def test_questions_are_recognised(text: str) -> None:
    assert is_question(text)
    assert traits(text)["q"] == 1


@pytest.mark.parametrize("text", ["Yes.", "Why? Because.", "我很好。", ""])
def test_statements_are_not_questions(text: str) -> None:
    assert "q" not in traits(text)


@pytest.mark.parametrize("text", ["I went yesterday", "two weeks ago", "in 2019", "上周去", "昨天", "3月5日"])
def test_texts_that_tell_a_time_are_recognised(text: str) -> None:
    assert traits(text)["t"] == 1


def test_a_text_without_a_time_tells_none() -> None:
    assert traits("Mel likes tea") == {"w": 3}


def test_the_known_speakers_are_those_of_the_candidates() -> None:
    assert known_speakers(
        [candidate("a", s=["mel"]), candidate("b", s=["caroline", "mel"]), candidate("c")]
    ) == {
        "mel",
        "caroline",
    }


@pytest.mark.parametrize("text", ["I like tea", "my tea", "Our dog!", "我喜欢茶", "咱们走吧"])
def test_texts_that_speak_of_oneself_are_recognised(text: str) -> None:
    assert traits(text)["i"] == 1
    assert traits(text)["y"] == 1


@pytest.mark.parametrize("text", ["Do you ski?", "Wow!", "Your dog is cute.", "你说得对"])
def test_talk_is_recognised(text: str) -> None:
    assert traits(text)["y"] == 1


@pytest.mark.parametrize("text", ["Mel adopted a dog in May.", "小明喜欢喝茶"])
def test_facts_are_no_talk(text: str) -> None:
    assert "y" not in traits(text)
