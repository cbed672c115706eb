"""`HoldfastRetriever`: nodes with scores and provenance, in query engines and fusion retrievers."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

from holdfast import InputError
from llama_index.memory.holdfast import (
    HoldfastMemory,
    HoldfastMemoryBlock,
    HoldfastRetriever,
    HoldfastToolSpec,
)
from tests.llamaindex.conftest import Counted, told
from tests.llamaindex.fakes import Face, Listening, text_of
from tests.llamaindex.test_chat_engines import index

FACT = "I'm allergic to peanuts."


def retriever(engine: Counted, **options: Any) -> HoldfastRetriever:
    return HoldfastRetriever("alice", memory=engine.memory, **options)


def test_a_memory_is_a_node_with_its_score_and_where_it_came_from(face: Face, engine: Counted) -> None:
    engine.memory.add(FACT, user_id="alice", session_id="s", metadata={"topic": "health"})
    [found] = face(retriever(engine), "retrieve", "peanuts?")
    [item] = engine.memory.get_all(user_id="alice")
    [said] = engine.memory.messages(user_id="alice")
    assert (found.node.node_id, found.node.get_content()) == (item.id, FACT)
    assert 0 < found.score <= 1
    assert found.node.metadata["topic"] == "health"
    assert found.node.metadata["user_id"] == "alice"
    assert found.node.metadata["sources"] == [said.id]
    assert found.node.metadata["created_at"] == item.created_at.isoformat()


def test_the_best_come_first_and_no_more_than_were_asked_for(face: Face, engine: Counted) -> None:
    told(engine, FACT, "I own a boat.", "I play chess.")
    found = face(retriever(engine, similarity_top_k=2), "retrieve", "my boat")
    assert found[0].node.get_content() == "I own a boat."
    assert len(found) == 2
    assert found[0].score >= found[1].score


def test_a_model_is_shown_the_text_and_when_it_was_said_and_no_ids(engine: Counted) -> None:
    engine.memory.add(FACT, user_id="alice", metadata={"topic": "health"}, happened_at="2026-03-04")
    [found] = retriever(engine).retrieve("peanuts")
    shown = found.node.get_content(metadata_mode=MetadataMode.LLM)
    assert "2026-03-04" in shown
    assert "topic: health" in shown
    assert found.node.node_id not in shown
    assert found.node.get_content(metadata_mode=MetadataMode.EMBED) == f"topic: health\n\n{FACT}"


def test_filters_thresholds_and_times_are_the_engine_s(engine: Counted) -> None:
    engine.memory.add(FACT, user_id="alice", metadata={"topic": "health"})
    told(engine, "I sell peanuts.")
    [found] = retriever(engine, filters={"topic": "health"}).retrieve("peanuts")
    assert found.node.get_content() == FACT
    assert retriever(engine, as_of="2020-01-01").retrieve("peanuts") == []
    assert len(retriever(engine, threshold=0.0).retrieve("peanuts")) == 2


def test_a_node_says_when_its_memory_expires(engine: Counted) -> None:
    engine.memory.add(FACT, user_id="alice", expires_at="2999-01-31")
    [found] = retriever(engine).retrieve("peanuts")
    assert found.node.metadata["expires_at"] == "2999-01-31T00:00:00+00:00"


def test_other_users_memories_are_not_found(engine: Counted) -> None:
    told(engine, FACT, user_id="bob")
    assert retriever(engine).retrieve("peanuts") == []


def test_a_query_engine_answers_from_memories(face: Face, engine: Counted) -> None:
    told(engine, FACT)
    llm = Listening("Peanuts.")
    query_engine = RetrieverQueryEngine.from_args(retriever(engine), llm=llm)
    answer = face(query_engine, "query", "What am I allergic to?")
    assert str(answer) == "Peanuts."
    assert FACT in text_of(llm.shown[0])
    assert [node.node.get_content() for node in answer.source_nodes] == [FACT]


@pytest.mark.parametrize("use_async", [False, True])
def test_memories_and_documents_are_fused(use_async: bool, engine: Counted) -> None:
    told(engine, FACT)
    fused = QueryFusionRetriever(
        [retriever(engine), index().as_retriever()],
        llm=Listening(),
        num_queries=1,
        use_async=use_async,
        mode="reciprocal_rerank",  # type: ignore[arg-type]
    )
    texts = [node.node.get_content() for node in fused.retrieve("peanuts")]
    assert sorted(texts) == [FACT, "The snack bar sells peanuts, apples and cheese."]


def test_it_can_be_a_tool(face: Face, engine: Counted) -> None:
    told(engine, FACT)
    tool = RetrieverTool.from_defaults(retriever(engine), description="What is known about Alice")
    assert FACT in face(tool, "call", "peanuts").content


def test_somebody_has_to_own_the_memory(engine: Counted) -> None:
    with pytest.raises(InputError, match="whose memory"):
        HoldfastRetriever(memory=engine.memory)


@pytest.mark.parametrize("query", ["", "  "])
def test_an_empty_query_finds_nothing(query: str, face: Face, engine: Counted) -> None:
    told(engine, FACT)
    assert face(retriever(engine), "retrieve", query) == []


def test_one_retriever_serves_the_user_of_each_run(face: Face, engine: Counted) -> None:
    told(engine, FACT)
    told(engine, "I sell peanuts.", user_id="bob")
    caller: ContextVar[str | None] = ContextVar("caller", default=None)
    found = HoldfastRetriever(caller.get, memory=engine.memory)
    assert face(found, "retrieve", "peanuts") == []
    caller.set("bob")
    assert [node.node.get_content() for node in face(found, "retrieve", "peanuts")] == ["I sell peanuts."]


def where(key: str, value: Any, operator: str = "==") -> MetadataFilter:
    return MetadataFilter(key=key, value=value, operator=FilterOperator(operator))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (MetadataFilters(filters=[where("topic", "work")]), {"a"}),
        (MetadataFilters(filters=[where("topic", "work", "!=")]), {"b", "c"}),
        (MetadataFilters(filters=[where("age", 2, ">="), where("age", 3, "<")]), {"b"}),
        (MetadataFilters(filters=[where("topic", ["work", "play"], "in")]), {"a", "b"}),
        (MetadataFilters(filters=[where("topic", ["work", "play"], "nin")]), {"c"}),
        (MetadataFilters(filters=[where("tags", "x", "contains")]), {"a", "b"}),
        (MetadataFilters(filters=[where("tags", ["y", "z"], "any")]), {"b", "c"}),
        (MetadataFilters(filters=[where("tags", ["x", "y"], "all")]), {"b"}),
        (MetadataFilters(filters=[where("age", 1), where("age", 3)], condition="or"), {"a", "c"}),
        (MetadataFilters(filters=[where("age", 1), where("age", 3)], condition="not"), {"b"}),
        (
            MetadataFilters(
                filters=[MetadataFilters(filters=[where("age", 3)]), where("tags", "z", "contains")]
            ),
            {"c"},
        ),
        (MetadataFilters(filters=[]), {"a", "b", "c"}),
    ],
)
def test_filters_of_llama_index_mean_the_same_here(
    filters: MetadataFilters, found: set[str], face: Face, engine: Counted
) -> None:
    for name, metadata in {
        "a": {"topic": "work", "age": 1, "tags": ["x"]},
        "b": {"topic": "play", "age": 2, "tags": ["x", "y"]},
        "c": {"topic": "rest", "age": 3, "tags": ["z"]},
    }.items():
        engine.memory.add(
            f"I own boat {name}.", user_id="alice", infer=False, metadata={**metadata, "name": name}
        )
    nodes = face(retriever(engine, filters=filters), "retrieve", "boat")
    assert {node.node.metadata["name"] for node in nodes} == found


def test_a_filter_that_memories_cannot_answer_is_refused_when_it_is_given(engine: Counted) -> None:
    filters = MetadataFilters(filters=[where("topic", "wor", "text_match")])
    for kind in (HoldfastRetriever, HoldfastToolSpec, HoldfastMemory, HoldfastMemoryBlock):
        with pytest.raises(InputError, match="'text_match'; memories know ==, !="):
            kind(user_id="alice", memory=engine.memory, filters=filters)  # type: ignore[operator]


def test_every_surface_takes_filters_of_llama_index(engine: Counted) -> None:
    engine.memory.add(FACT, user_id="alice", metadata={"topic": "health"}, infer=False)
    told(engine, "I sell peanuts.")
    filters = MetadataFilters(filters=[where("topic", "health")])
    memory = HoldfastMemory.from_defaults("alice", memory=engine.memory, filters=filters)
    spec = HoldfastToolSpec("alice", memory=engine.memory, filters=filters)
    for shown in (memory.recall("peanuts").text, spec.search_memories("peanuts")):
        assert FACT in shown
        assert "I sell" not in shown
    assert memory.to_dict()["filters"] == {"AND": [{"topic": {"eq": "health"}}]}
