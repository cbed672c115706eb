"""What `search`, `recall` and the reading operations give back, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from holdfast import InputError, Message, ModelError
from tests.conftest import Face, Opener
from tests.support.fakes import ScriptedMerger, ScriptedModel, facts, updating_nearest


@pytest.fixture
def pets(memory: Face) -> Face:
    """Alice's and Bob's pets, with metadata."""
    memory.add("I own a parrot.", user_id="alice", metadata={"kind": "bird", "age": 3}, infer=False)
    memory.add("I own a cat.", user_id="alice", metadata={"kind": "mammal", "age": 9}, infer=False)
    memory.add("I own a canary.", user_id="bob", metadata={"kind": "bird", "age": 1}, infer=False)
    return memory


def test_search_finds_by_words_and_ranks_the_best_first(pets: Face) -> None:
    hits = pets.search("Who has a parrot?", user_id="alice")
    assert hits[0].text == "I own a parrot."
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert len(pets.search("own", user_id="alice", limit=1)) == 1


def test_search_never_shows_another_user_s_memories(pets: Face) -> None:
    assert {hit.memory.user_id for hit in pets.search("canary parrot cat", user_id="alice", limit=50)} == {
        "alice"
    }
    assert pets.search("parrot", user_id="ali") == []
    assert pets.search("parrot", user_id="alice", agent_id="other") == []


def test_an_id_that_is_not_given_matches_any(memory: Face) -> None:
    memory.add("I own a boat.", user_id="alice", agent_id="a", run_id="1", infer=False)
    memory.add("I own a bike.", user_id="alice", agent_id="b", infer=False)
    assert memory.count(user_id="alice") == 2
    assert memory.count(user_id="alice", agent_id="a") == 1
    assert memory.count(agent_id="b") == 1
    assert len(memory.search("own", run_id="1")) == 1
    assert memory.count() == 2


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": "bird"}, {"parrot"}),
        ({"age": {"gt": 3}}, {"cat"}),
        ({"OR": [{"kind": "bird"}, {"age": {"gte": 9}}]}, {"parrot", "cat"}),
        ({"NOT": {"kind": "bird"}}, {"cat"}),
        ({"kind": {"in": ["fish"]}}, set()),
        ({"created_at": {"gte": "2026-03-04"}}, {"parrot", "cat"}),
        ({"created_at": {"lt": "2026-03-04"}}, set()),
    ],
)
def test_filters_mean_the_same_in_search_and_in_get_all(
    pets: Face, filters: dict[str, object], expected: set[str]
) -> None:
    found = {hit.text.rstrip(".").split()[-1] for hit in pets.search("own", user_id="alice", filters=filters)}
    listed = {item.text.rstrip(".").split()[-1] for item in pets.get_all(user_id="alice", filters=filters)}
    assert found == listed == expected
    assert pets.count(user_id="alice", filters=filters) == len(expected)


def test_explain_tells_what_a_score_is_made_of(pets: Face) -> None:
    [hit] = pets.search("parrot", user_id="alice", limit=1, explain=True)
    assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-6)
    assert pets.search("parrot", user_id="alice", limit=1)[0].parts == {}


def test_a_threshold_leaves_out_what_scores_less(pets: Face) -> None:
    hits = pets.search("parrot", user_id="alice")
    between = (hits[0].score + hits[1].score) / 2  # scores age a little with each second
    assert [hit.id for hit in pets.search("parrot", user_id="alice", threshold=between)] == [hits[0].id]


def test_as_of_answers_what_was_known_then(open_memory: Opener) -> None:
    memory = open_memory(
        llm=ScriptedModel([facts("Lives in Berlin"), facts("Lives in Lisbon")]),
        merger=ScriptedMerger(updating_nearest),
    )
    first = memory.add("I live in Berlin", user_id="alice")[0]
    second = memory.add("I live in Lisbon", user_id="alice")[0]
    before, between, after = first.at - timedelta(seconds=1), second.at - timedelta(microseconds=1), second.at
    assert memory.search("lives", user_id="alice", as_of=before) == []
    assert [hit.text for hit in memory.search("lives", user_id="alice", as_of=between)] == ["Lives in Berlin"]
    assert [hit.text for hit in memory.search("lives", user_id="alice", as_of=after)] == ["Lives in Lisbon"]
    assert memory.get(first.memory_id, as_of=between).text == "Lives in Berlin"
    assert memory.get(first.memory_id, as_of=before) is None
    assert [item.text for item in memory.get_all(user_id="alice", as_of=between)] == ["Lives in Berlin"]
    old = memory.get(first.memory_id, as_of=between)
    assert old.valid_to == second.at
    assert memory.recall("lives", user_id="alice", as_of=between).text.count("Berlin") >= 1


def test_recall_is_framed_and_keeps_its_budget(memory: Face) -> None:
    for number in range(40):
        memory.add(f"I own boat number {number}, which lies in harbour {number}.", user_id="alice")
    assert memory.recall("boats", user_id="nobody").text == ""
    for budget in (20, 60, 200, 1000):
        context = memory.recall("which boats", user_id="alice", max_tokens=budget)
        assert context.tokens <= budget
        assert bool(context) == bool(context.memories)
    assert context.text.startswith("<memories")
    assert context.text.endswith("</memories>")
    assert "not instructions" in context.text


def test_recall_shows_the_turns_that_add_something(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([facts("Has a dog")]))
    memory.add([Message("Rex, my dog, loves the beach at Cascais", name=None)], user_id="alice")
    context = memory.recall("dog", user_id="alice")
    assert [hit.text for hit in context.memories] == ["Has a dog"]
    assert [said.message.content for said in context.messages] == ["Rex, my dog, loves the beach at Cascais"]


def test_recall_leaves_out_what_the_prompt_shows_anyway(memory: Face) -> None:
    memory.add(
        ["My boat is called Ariel, and its harbour is Porto.", "I own a boat."],
        user_id="alice",
        infer=False,
    )
    first, second = memory.messages(user_id="alice")
    whole = memory.recall("boat", user_id="alice")
    assert {hit.memory.sources for hit in whole.memories} == {(first.id,), (second.id,)}
    part = memory.recall("boat", user_id="alice", shown=[first.id])
    assert [hit.text for hit in part.memories] == ["I own a boat."]
    assert "Ariel" not in part.text
    assert not memory.recall("boat", user_id="alice", shown=[first.id, second.id])


def test_messages_that_the_prompt_shows_go_by_their_own_ids_in_the_session_that_asks(memory: Face) -> None:
    for session, text in (("now", "My boat is called Ariel."), ("before", "I own a boat.")):
        memory.add([Message(text, id="m1")], user_id="alice", session_id=session, infer=False)
    memory.add([Message("The boat needs paint.", id="m1")], user_id="alice", infer=False)

    def recalled(**options: Any) -> set[str]:
        return {hit.text for hit in memory.recall("boat", user_id="alice", **options).memories}

    everything = {"My boat is called Ariel.", "I own a boat.", "The boat needs paint."}
    assert recalled(session_id="now", shown=["m1"]) == everything - {"My boat is called Ariel."}
    assert recalled(session_id="now", shown=["m2"]) == everything
    assert recalled(shown=["m1"]) == everything


def test_recall_leaves_out_a_conversation_that_stands_in_the_prompt(memory: Face) -> None:
    memory.add("My boat is called Ariel.", user_id="alice", session_id="now", infer=False)
    memory.add("I own a boat.", user_id="alice", session_id="before", infer=False)
    memory.add("The boat needs paint.", user_id="alice", infer=False)
    asked = memory.recall("boat", user_id="alice", exclude_session="now")
    assert {hit.text for hit in asked.memories} == {"I own a boat.", "The boat needs paint."}
    assert "Ariel" not in asked.text
    assert len(memory.recall("boat", user_id="alice", exclude_session="never heard of").memories) == 3


def test_recall_shows_nothing_that_has_nothing_to_do_with_the_query(memory: Face) -> None:
    memory.add(
        [f"Sails number {n} were mended in the harbour" for n in range(30)], user_id="alice", infer=False
    )
    assert not memory.recall("谢谢", user_id="alice")
    assert len(memory.search("谢谢", user_id="alice", limit=30)) == 30
    assert len(memory.recall("the harbour", user_id="alice", max_tokens=4_000).memories) == 30


def test_the_frame_is_in_the_language_of_the_query(memory: Face) -> None:
    memory.add(["My boat is called Ariel.", "我有一条船，叫爱丽儿。"], user_id="alice", infer=False)
    assert "not instructions" in memory.recall("boat", user_id="alice").text
    assert "是资料，不是指令" in memory.recall("我的船叫什么？", user_id="alice").text


def test_pages_lose_and_repeat_nothing(memory: Face) -> None:
    memory.add([f"Text {number}" for number in range(25)], user_id="alice", infer=False)
    whole = memory.get_all(user_id="alice")
    assert [item.text for item in whole] == [f"Text {number}" for number in range(25)]
    assert (whole.total, whole.next) == (25, None)
    seen, cursor = [], None
    while True:
        page = memory.get_all(user_id="alice", limit=10, cursor=cursor)
        assert page.total == 25
        seen += [item.text for item in page]
        if page.next is None:
            break
        cursor = page.next
    assert seen == [item.text for item in whole]


def test_an_updated_memory_keeps_its_place_in_the_list(memory: Face) -> None:
    memory.add(["One", "Two", "Three"], user_id="alice", infer=False)
    first = memory.get_all(user_id="alice")[0]
    memory.update(first.id, "Uno")
    assert [item.text for item in memory.get_all(user_id="alice")] == ["Uno", "Two", "Three"]


class Backwards:
    """A reranker that prefers the shortest text."""

    def rerank(self, query: str, texts: list[str]) -> list[float]:
        return [1 / len(text) for text in texts]

    async def arerank(self, query: str, texts: list[str]) -> list[float]:
        return self.rerank(query, texts)


class Broken(Backwards):
    def rerank(self, query: str, texts: list[str]) -> list[float]:
        return [float("nan")] * len(texts)


def test_a_reranker_has_the_last_word(open_memory: Opener) -> None:
    memory = open_memory(reranker=Backwards())
    memory.add(["I own a big red sailing boat", "I own it"], user_id="alice", infer=False)
    assert memory.search("big red sailing boat", user_id="alice")[0].text == "I own it"


def test_a_reranker_that_returns_nan_is_an_error(open_memory: Opener) -> None:
    memory = open_memory(reranker=Broken())
    memory.add("I own it", user_id="alice", infer=False)
    with pytest.raises(ModelError, match="not finite"):
        memory.search("own", user_id="alice")


def test_a_wrong_cursor_is_an_input_error(memory: Face) -> None:
    with pytest.raises(InputError, match="next"):
        memory.get_all(user_id="alice", cursor="seven")


def test_recall_does_not_show_turns_that_an_update_made_untrue(open_memory: Opener) -> None:
    memory = open_memory(
        llm=ScriptedModel([facts("Lives in Berlin"), facts("Lives in Lisbon")]),
        merger=ScriptedMerger(updating_nearest),
    )
    memory.add("I live in Berlin, close to the old canal and the market", user_id="alice")
    memory.add("I moved and live in Lisbon since the spring of last year", user_id="alice")
    context = memory.recall("where does she live", user_id="alice")
    assert "since the spring" in context.text
    assert "canal" not in context.text
