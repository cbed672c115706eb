"""Ranking: what makes one candidate answer a query better than another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.retrieval.candidates import Candidate, Candidates
from holdfast.decisions.retrieval.ranking import (
    ALONE,
    Ranked,
    RankQuery,
    indexed_text,
    known_speakers,
    understand,
)
from holdfast.decisions.retrieval.ranking import rank as rank_columns
from holdfast.decisions.text.dates import Dates
from holdfast.storage.index.payload import facets


def candidate(name: str, dense: float = 0.3, sparse: float = 1.0, **payload: Any) -> Candidate:
    return Candidate(name, dense, sparse, facets({"u": "alice", "a": "", "r": "", **payload}))


def rank(query: RankQuery, candidates: list[Candidate], **options: Any) -> list[Ranked]:
    return rank_columns(query, Candidates.of(candidates), **options)


def microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def order(candidates: list[Candidate], query: RankQuery | None = None) -> list[str]:
    return [hit.id for hit in rank(query or RankQuery(), candidates, limit=99)]


# --- scores ---


def test_nothing_ranks_to_nothing() -> None:
    assert rank(RankQuery(), [], limit=5) == []
    assert rank(RankQuery(), [candidate("a")], limit=0) == []


def test_the_sum_of_meaning_and_words_decides() -> None:
    assert order([candidate("c", 0.1, 1), candidate("b", 0.8, 1), candidate("a", 0.8, 4)]) == ["a", "b", "c"]


def test_of_equal_candidates_the_one_that_was_written_last_is_first() -> None:
    assert order([candidate("b"), candidate("a"), candidate("c")]) == ["c", "b", "a"]  # ids count the time


def test_the_limit_holds() -> None:
    assert len(rank(RankQuery(), [candidate(str(n)) for n in range(9)], limit=4)) == 4


def test_a_hit_below_the_threshold_is_dropped() -> None:
    candidates = [candidate("near", 0.9, 3.0), candidate("far", 0.0, 0.0)]
    hits = rank(RankQuery(), candidates, limit=9, threshold=0.2)
    assert [hit.id for hit in hits] == ["near"]


def test_one_unrelated_memory_does_not_score_like_an_answer() -> None:
    (unrelated,) = rank(RankQuery(), [candidate("a", 0.02, 0.0)], limit=1)
    (answer,) = rank(RankQuery(), [candidate("a", 0.6, 2.0)], limit=1)
    assert unrelated.score < 0.3 * answer.score


def test_the_parts_add_up_to_the_score() -> None:
    query = RankQuery(frozenset({"mel"}), Dates(years=frozenset({1970})))
    hits = rank(query, [candidate("a", s=["mel"], e=1, p=1, w=9, h=0), candidate("b")], limit=2)
    for hit in hits:
        assert hit.score == pytest.approx(sum(hit.parts.values()))


# --- the conversation around a candidate ---

ABOUT_ONE_THING = [0.1] * 30 + [0.5, 0.6, 0.7, 0.6, 0.5] + [0.1] * 30


def conversation(scores: list[float]) -> list[Candidate]:
    return [candidate(f"{at:02}", dense, 0.0, e=77, p=at) for at, dense in enumerate(scores)]


def among_turns(candidates: list[Candidate]) -> list[str]:
    """Their order, in a scope where turns next to each other are alike."""
    hits = rank(RankQuery(), [*conversation(ABOUT_ONE_THING), *candidates], limit=99)
    return [hit.id for hit in hits if not hit.id.isdigit()]


def test_a_turn_next_to_a_strong_one_is_lifted() -> None:
    strong = candidate("strong", 0.9, 9.0, e=1, p=10)
    turns = [candidate("next", 0.3, e=1, p=11), candidate("zero", 0.3, e=1, p=19)]
    assert among_turns([strong, *turns]) == ["strong", "next", "zero"]


def test_neighbours_count_as_far_as_turns_next_to_each_other_are_alike() -> None:
    def lift(scores: list[float]) -> float:
        """What being next to a strong turn gives, beside a conversation whose turns score so."""
        strong = candidate("strong", 0.7, 0.0, e=2, p=100)
        tested = [candidate("next", 0.3, 0.0, e=2, p=101), candidate("lonely", 0.3, 0.0, e=2, p=900)]
        hits = rank(RankQuery(), [*conversation(scores), strong, *tested], limit=99)
        found = {hit.id: hit.parts["nearby"] for hit in hits}
        return found["next"] - found["lonely"]

    of_which_one_speaks = [0.1] * 30 + [0.6, 0.1, 0.7, 0.1, 0.6] + [0.1] * 30
    unrelated = [0.1, 0.1, 0.6, 0.1, 0.1] * 13
    assert 0 <= lift(unrelated) < 0.5 * lift(of_which_one_speaks)
    assert lift(of_which_one_speaks) <= lift(ABOUT_ONE_THING)


def test_the_longer_a_text_the_less_its_neighbours_count() -> None:
    def lift(words: int) -> float:
        strong = candidate("strong", 0.9, 9.0, e=1, p=10)
        turns = [candidate("next", e=1, p=11, w=words), candidate("lonely", e=1, p=19, w=words)]
        hits = rank(RankQuery(), [*conversation(ABOUT_ONE_THING), strong, *turns], limit=99)
        scores = {hit.id: hit.score for hit in hits}
        return scores["next"] - scores["lonely"]

    assert 0 < lift(400) < 0.2 * lift(20)


def test_alone_a_candidate_is_ranked_by_its_own_text_only() -> None:
    strong = candidate("strong", 0.9, 9.0, e=1, p=10)
    turns = [candidate("next", 0.3, e=1, p=11), candidate("lonely", 0.4, e=2, p=19)]
    assert [hit.id for hit in rank(RankQuery(), [strong, *turns], limit=3, weights=ALONE)] == [
        "strong",
        "lonely",
        "next",
    ]


def test_positions_of_another_scope_are_no_neighbours() -> None:
    strong = candidate("strong", 0.9, 9.0, e=1, p=10)
    other = candidate("other", 0.3, e=1, p=11, u="bob")
    mine = candidate("mine", 0.3, e=1, p=11)
    assert among_turns([strong, other, mine])[1] == "mine"


def test_a_good_turn_lifts_the_others_of_its_episode() -> None:
    good = candidate("good", 0.8, 5.0, e=1, p=10)
    plain = [candidate("elsewhere", 0.3, e=2, p=500), candidate("here", 0.3, e=1, p=400)]
    assert order([good, *plain]) == ["good", "here", "elsewhere"]


def test_a_single_common_word_does_not_count_like_a_rare_one() -> None:
    def difference(sparse: float) -> float:
        hits = rank(RankQuery(), [candidate("with", 0.3, sparse), candidate("without", 0.3, 0.0)], limit=2)
        return hits[0].score - hits[1].score

    assert difference(0.5) < 0.2 * difference(5.0)


# --- who, when, and what kind of sentence ---


def test_what_the_named_speaker_said_is_lifted() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["caroline"])]
    assert order(said, RankQuery(speakers=frozenset({"caroline"}))) == ["b", "a"]


def test_two_named_speakers_lift_neither() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["caroline"])]
    assert order(said, RankQuery(speakers=frozenset({"caroline", "mel"}))) == ["b", "a"]


SAID = {
    "that day": (2023, 5, 7),
    "that month": (2023, 5, 9),
    "that year": (2023, 7, 1),
    "later": (2024, 1, 7),
}


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("What happened on 2023-05-07?", {"that day"}),
        ("What happened on 7 May 2023?", {"that day"}),
        ("2023年5月发生了什么？", {"that day", "that month"}),
        ("What happened in 2024?", {"later"}),
    ],
)
def test_what_happened_on_a_date_asked_about_is_lifted(query: str, best: set[str]) -> None:
    said = [candidate(k, h=microseconds(datetime(*day, tzinfo=UTC))) for k, day in SAID.items()]
    found = order([candidate("unknown"), *said], understand(query, []))
    assert set(found[: len(best)]) == best
    assert order([candidate("unknown"), *said])[0] == "unknown"


def test_a_month_in_words_brings_no_day_of_it_before_another() -> None:
    days = [candidate(f"{day}", h=microseconds(datetime(2024, 3, day, tzinfo=UTC))) for day in (10, 11, 28)]
    assert order(days, understand("What is planned for the end of March?", [])) == ["28", "11", "10"]


payloads = st.fixed_dictionaries(
    {},
    optional={
        "e": st.integers(1, 3),
        "p": st.integers(1, 6),
        "s": st.lists(st.sampled_from(["mel", "caroline", "小明"]), max_size=2),
        "h": st.integers(-(2**55), 2**55),
        "w": st.integers(0, 500),
    },
)
floats = st.floats(-1, 1, allow_nan=False)
ASKED = understand("What did Mel do on 7 May 2023, and on 2023-05-09?", ["mel"])


@given(st.lists(st.tuples(floats, st.floats(0, 50), payloads), max_size=40), st.integers(0, 50))
def test_any_candidates_get_scores_between_0_and_1_in_falling_order(
    rows: list[tuple[float, float, dict[str, Any]]], limit: int
) -> None:
    candidates = [
        candidate(str(n), dense, sparse, **payload) for n, (dense, sparse, payload) in enumerate(rows)
    ]
    hits = rank(ASKED, candidates, limit=limit)
    assert len(hits) == min(limit, len(candidates))
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    again = rank(ASKED, candidates[::-1], limit=limit)
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
        ("Wie heißt Zoës Hund, und wie Zoë?", {"zoë"}),
        ("Где живёт Олег?", {"олег"}),
    ],
)
def test_the_speakers_a_query_names(query: str, named: set[str]) -> None:
    assert understand(query, ["Caroline", "Mel", "小明", "Anna Karenina", "Zoë", "Олег"]).speakers == named


# --- texts ---


@pytest.mark.parametrize(
    ("text", "speakers", "indexed"),
    [
        ("I like tea", ["Caroline"], "Caroline: I like tea"),
        ("Caroline likes tea", ["Caroline"], "Caroline likes tea"),
        ("caroline's tea", ["Caroline"], "caroline's tea"),
        ("I agree, Caroline. Tea!", ["Caroline"], "Caroline: I agree, Caroline. Tea!"),
        ("Mellow tea", ["Mel"], "Mel: Mellow tea"),
        ("Zoë mag Tee", ["Zoë"], "Zoë mag Tee"),
        ("Анна любит чай", ["Анна"], "Анна любит чай"),
        ("Я люблю чай", ["Анна"], "Анна: Я люблю чай"),
        ("I like Mellow tea", ["Mel"], "Mel: I like Mellow tea"),
        ("小明喜欢茶", ["小明"], "小明喜欢茶"),
        ("我喜欢茶", ["小明"], "小明: 我喜欢茶"),
        ("They like tea", ["Mel", "Caroline"], "They like tea"),
        ("Likes tea", [], "Likes tea"),
    ],
)
def test_the_text_that_is_indexed_names_its_one_speaker(text: str, speakers: list[str], indexed: str) -> None:
    assert indexed_text(text, speakers) == indexed


def test_the_known_speakers_are_those_of_the_candidates() -> None:
    said = [candidate("a", s=["mel"]), candidate("b", s=["caroline", "mel"]), candidate("c")]
    assert known_speakers(Candidates.of(said)) == {"mel", "caroline"}
