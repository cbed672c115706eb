"""`optimize` changes how the index lies in its files, and nothing that is found in it."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast import Memory
from tests.support import children
from tests.support.fakes import HashEmbedder
from tests.support.processes import Child

DIMENSIONS, OTHERS, EACH = 1024, 28, 100  # 11 MB of vectors: the engine does nothing about less than 10
EMBEDDER = HashEmbedder(DIMENSIONS)
USERS = ("alice", "bob")  # with no more memories than a search takes for candidates: none is left to chance
QUERIES = ("number 7 on Monday", "what does alice like", "星期一", "fact of bob")
KILLS = 4


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was never optimized, to be copied."""
    folder = tmp_path_factory.mktemp("grown") / "store"
    with opened(folder) as memory:
        for user in (*USERS, *(f"other {number}" for number in range(OTHERS))):
            texts = [f"fact of {user}, number {at} on {day(at)}" for at in range(EACH)]
            added = memory.add(texts, user_id=user, agent_id="helper", infer=False)
            memory.update(added[3].memory_id, f"{user} likes something else")
            memory.delete(added[4].memory_id)
    return folder


@pytest.fixture
def store(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "store"))


def opened(folder: Path) -> Memory:
    return Memory(folder, llm=None, embedder=EMBEDDER)


def day(at: int) -> str:
    return ("Monday", "Tuesday", "星期一", "星期二")[at % 4]


def answers(memory: Memory) -> list[Any]:
    """Everything that searches find, now and in the past, with and without a filter."""
    found = []
    for user in USERS:
        past = min(item.created_at for item in memory.get_all(user_id=user))
        for query in QUERIES:
            for options in ({}, {"as_of": past}, {"filters": {"created_at": {"gte": past}}}):
                hits = memory.search(query, user_id=user, limit=20, **options)
                assert {hit.memory.user_id for hit in hits} == {user}
                found.append([(hit.id, round(hit.score, 5)) for hit in hits])
    text = "fact of other 7, number 50 on 星期一"
    assert memory.search(text, agent_id="helper")[0].text == text
    return found


@pytest.mark.parametrize("face", ["sync", "async"])
def test_an_optimized_store_answers_as_it_did(store: Path, face: str) -> None:
    with opened(store) as memory:
        before = answers(memory)
        assert memory.index.optimize() if face == "sync" else asyncio.run(memory.index.aoptimize())
        assert answers(memory) == before
        assert memory.index.verify()
        assert not memory.index.optimize()
    with opened(store) as memory:
        assert answers(memory) == before
        # and goes on: what is changed now lies in another part of the index than what it was
        [new] = memory.add("number 7 on Monday, again", user_id="alice", agent_id="helper", infer=False)
        assert memory.search("number 7 on Monday, again", user_id="alice")[0].id == new.memory_id
        gone = memory.search(QUERIES[0], user_id="bob")[0]
        memory.delete(gone.id)
        assert gone.id not in {hit.id for hit in memory.search(QUERIES[0], user_id="bob", limit=50)}
        assert memory.index.verify()
        memory.erase(user_id="bob")
        assert memory.search(QUERIES[0], user_id="bob") == []
        assert memory.index.verify()


def test_killed_while_optimizing_a_store_is_as_it_was(store: Path, tmp_path: Path) -> None:
    with opened(store) as memory:
        before = answers(memory)
    whole = optimizing_ends(shutil.copytree(store, tmp_path / "whole"), None)
    for number in range(KILLS):
        copy = shutil.copytree(store, tmp_path / str(number))
        optimizing_ends(copy, whole * (number + 0.5) / KILLS)
        with opened(copy) as memory:
            assert memory.index.verify()
            assert answers(memory) == before
            memory.index.optimize()
            assert answers(memory) == before
        assert not list(copy.glob("*damaged*"))


def test_points_that_lie_in_the_old_and_in_the_new_segment_count_once(store: Path, tmp_path: Path) -> None:
    """What a kill leaves between writing the new segment and removing the old one."""
    with opened(store) as memory:
        before = answers(memory)
    optimized = Path(shutil.copytree(store, tmp_path / "optimized"))
    optimizing_ends(optimized, None)
    [old], new = segments(store), segments(optimized)
    for segment in new:
        shutil.copytree(segment, old.parent / segment.name)
    assert len(segments(store)) > len(new)
    with opened(store) as memory:
        assert answers(memory) == before
        assert memory.index.verify()
    with opened(store) as memory:
        assert answers(memory) == before
    assert len(segments(store)) == len(new)


def segments(store: Path) -> list[Path]:
    return list(store.glob("index-*/segments/*"))


def optimizing_ends(folder: Path, kill_after: float | None) -> float:
    """Seconds that another process optimized for until it was done, or killed."""
    with Child(children.optimizes, folder, DIMENSIONS, printing=True) as child:
        assert child.stdout.readline() == "ready\n"
        began = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            child.kill()
        child.wait()
    assert kill_after is not None or child.returncode == 0
    return time.monotonic() - began


def test_a_small_store_and_one_without_files_have_nothing_to_do(tmp_path: Path) -> None:
    for place in (tmp_path / "store", ":memory:"):
        with Memory(place, llm=None, embedder=HashEmbedder()) as memory:
            memory.add("I like tea", user_id="alice")
            assert not memory.index.optimize()
            assert memory.search("tea", user_id="alice")
