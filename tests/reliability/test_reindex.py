"""Another embedder, another index: while everything goes on, and all or nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast import EmbedderMismatchError, EmbeddingError, InputError, Memory
from tests.support import inside
from tests.support.fakes import HashEmbedder, Matrix

OLD, NEW = HashEmbedder(64, "test/old"), HashEmbedder(24, "test/new")
FACTS = [f"fact number {at}" for at in range(300)]


class Watched(HashEmbedder):
    """Counts the texts that it embeds, and does something at each call."""

    def __init__(self, name: str = "test/new", then: Callable[[int], Any] = lambda texts: None) -> None:
        super().__init__(24, name)
        self.texts = 0
        self._then = then

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        self._then(self.texts)
        self.texts += len(texts)
        return super().embed_documents(texts)


def opened(path: Any, embedder: Any = OLD, **options: Any) -> Memory:
    return Memory(path, llm=None, embedder=embedder, **options)


def filled(path: Any) -> Memory:
    memory = opened(path)
    added = memory.add(FACTS, user_id="alice", infer=False)
    memory.update(added[0].memory_id, "fact number zero")
    memory.delete(added[1].memory_id)
    return memory


@pytest.mark.parametrize("place", ["folder", ":memory:"])
def test_a_store_changes_its_embedder(tmp_path: Path, place: str) -> None:
    path = tmp_path / "store" if place == "folder" else place
    with filled(path) as memory:
        told: list[tuple[int, int]] = []
        when = memory.history(memory.get_all(user_id="alice").items[0].id)[0].at
        assert memory.index.rebuild(NEW, progress=lambda *now: told.append(now)) == 301
        assert told[-1] == (301, 301)
        assert memory.index.verify()
        assert memory.embedder is NEW
        assert memory.search("fact number 77", user_id="alice")[0].text == "fact number 77"
        assert memory.search("fact number 0", user_id="alice", as_of=when)[0].text == "fact number 0"
        memory.add("fact number 1000", user_id="alice", infer=False)
        assert memory.search("fact number 1000", user_id="alice")[0].text == "fact number 1000"
    if place == "folder":
        with pytest.raises(EmbedderMismatchError, match="test/new"):
            opened(path)
        with opened(path, NEW) as memory:
            assert memory.index.verify()
            assert [it.name for it in (tmp_path / "store").glob("index*") if it.is_dir()] == ["index-1"]
            with inside.store_of(memory).ledger.database.reading() as db:
                kept = db.exec_driver_sql("SELECT embedder, count(*) FROM vectors GROUP BY 1").all()
        assert [tuple(row) for row in kept] == [("test/new", 302)]


def test_every_memory_of_the_process_changes_with_it(tmp_path: Path) -> None:
    with filled(tmp_path) as memory, opened(tmp_path) as other:
        memory.index.rebuild(NEW)
        assert other.embedder is NEW
        assert other.search("fact number 5", user_id="alice")[0].text == "fact number 5"
        other.add("fact number 2000", user_id="alice", infer=False)
        assert memory.search("fact number 2000", user_id="alice")[0].text == "fact number 2000"
        with opened(tmp_path, NEW) as third:
            assert third.index.verify()


def test_searches_and_changes_go_on_meanwhile(tmp_path: Path) -> None:
    """Readers and writers, in both faces, all the while the embedder changes back and forth."""
    with filled(tmp_path) as memory:
        failures: list[BaseException] = []
        ended = threading.Event()

        def watched(work: Callable[[int], Any]) -> threading.Thread:
            def run() -> None:
                for turn in range(10_000):
                    if ended.is_set():
                        return
                    try:
                        work(turn)
                    except BaseException as error:
                        failures.append(error)
                        return

            return threading.Thread(target=run)

        def search(turn: int) -> None:
            at = 2 + turn % 290
            assert memory.search(f"fact number {at}", user_id="alice", limit=3)[0].text == FACTS[at]

        def asearch(turn: int) -> None:
            asyncio.run(memory.asearch(f"fact number {turn}", user_id="alice"))

        def write(turn: int) -> None:
            added = memory.add(f"meanwhile {turn}", user_id="alice", infer=False)
            memory.update(added[0].memory_id, f"meanwhile {turn} changed")

        threads = [watched(search), watched(asearch), watched(write)]
        for thread in threads:
            thread.start()
        for embedder in (NEW, OLD, NEW):
            memory.index.rebuild(embedder)
        ended.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert memory.index.verify()
        written = [it.text for it in memory.get_all(user_id="alice") if it.text.startswith("meanwhile")]
        assert written
        for text in written[-3:]:
            assert memory.search(text, user_id="alice")[0].text == text


def test_what_was_embedded_is_not_embedded_again(tmp_path: Path) -> None:
    """A reindexing that fails halfway leaves the old store at work, and is taken up where it stopped."""

    def fail_late(texts: int) -> None:
        if texts >= 256:
            raise ConnectionError("the provider is down")

    failing = Watched(then=fail_late)
    with filled(tmp_path) as memory:
        with pytest.raises(EmbeddingError, match="provider is down"):
            memory.index.rebuild(failing)
        assert memory.embedder is OLD
        assert memory.index.verify()
        assert memory.search("fact number 9", user_id="alice")[0].text == FACTS[9]
    with opened(tmp_path) as memory:
        working = Watched()
        memory.index.rebuild(working)
        assert working.texts == 301 - 256
        assert memory.index.verify()


def test_vectors_of_an_abandoned_change_do_no_harm(tmp_path: Path) -> None:
    with filled(tmp_path) as memory:
        with pytest.raises(EmbeddingError):
            memory.index.rebuild(Watched(then=lambda texts: 1 / 0 if texts else None))
        memory.index.rebuild(HashEmbedder(16, "test/third"))
        assert memory.index.verify()
        memory.erase(user_id="alice")
        assert memory.count(user_id="alice") == 0


def test_a_broken_embedder_changes_nothing(tmp_path: Path) -> None:
    class Wrong(HashEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Matrix:
            return super().embed_documents(texts)[:, :3]

    with filled(tmp_path) as memory:
        with pytest.raises(EmbeddingError, match="shape"):
            memory.index.rebuild(Wrong(24, "test/wrong"))
        with pytest.raises(InputError, match="different names"):
            memory.index.rebuild(HashEmbedder(24, OLD.name))
        with pytest.raises(InputError, match="Embedder"):
            memory.index.rebuild("openai")  # type: ignore[arg-type]
        assert memory.embedder is OLD
        assert memory.index.verify()


async def test_the_async_face_reindexes_without_holding_the_loop(tmp_path: Path) -> None:
    memory = filled(tmp_path)
    async with memory:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        await memory.index.arebuild(NEW)
        ticking.cancel()
        assert ticks > 5
        assert (await memory.asearch("fact number 3", user_id="alice"))[0].text == FACTS[3]
        assert await memory.index.averify()


async def test_a_cancelled_reindex_leaves_the_old_store(tmp_path: Path) -> None:
    async with filled(tmp_path) as memory:
        work = asyncio.ensure_future(memory.index.arebuild(NEW))
        await asyncio.sleep(0.02)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert memory.embedder is OLD
        assert await memory.index.averify()
        assert await memory.index.arebuild(NEW) == 301


def test_an_index_that_a_search_still_holds_outlives_several_reindexings(tmp_path: Path) -> None:
    """Its files go when the search has ended, whatever was reindexed meanwhile."""

    class Held(HashEmbedder):
        def embed_query(self, text: str) -> Matrix:
            if text == "slowly":
                asked.set()
                assert go_on.wait(20)
            return super().embed_query(text)

    asked, go_on = threading.Event(), threading.Event()
    held = Held(64, "test/held")
    with opened(tmp_path, held) as memory:
        memory.add("slowly does it", user_id="alice", infer=False)
        found: list[str] = []
        searching = threading.Thread(
            target=lambda: found.extend(hit.text for hit in memory.search("slowly", user_id="alice"))
        )
        searching.start()
        assert asked.wait(20)
        for embedder in (NEW, OLD, NEW):
            memory.index.rebuild(embedder)
        assert (tmp_path / "index-0").exists()
        go_on.set()
        searching.join()
        assert found == ["slowly does it"]
        assert [it.name for it in tmp_path.glob("index-*") if it.is_dir()] == ["index-3"]
        assert memory.index.verify()
