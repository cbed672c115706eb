"""What is erased is gone: from every answer, from every table, and from the bytes of every file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Erasure, Memory, Message, StorageError
from tests.support import inside
from tests.support.fakes import HashEmbedder
from tests.support.files import content

MARKER = "Qwyjibo"
CHINESE = "魑魅魍魉"
EMBEDDER = HashEmbedder(64)


def opened(path: Any, **options: Any) -> Memory:
    return Memory(path, llm=None, embedder=EMBEDDER, **options)


def tell(memory: Memory, user: str, word: str) -> None:
    added = memory.add(
        [Message(f"I live near {word} street. I like {word} tea.", id=f"{word}-1", name=word)],
        user_id=user,
        session_id=f"session {word}",
        metadata={"note": f"{word} note", word: 1},
    )
    memory.update(added[0].memory_id, f"Lives near {word} square")
    memory.undo(memory.delete(added[1].memory_id).id)
    memory.record(Message("", data={"call": word}), user_id=user, session_id=word)
    memory.add(f"I have a {word} dog", user_id=user, instructions=f"about {word}", background=True)
    memory.flush()


def found_in(folder: Path, needles: list[bytes]) -> list[bytes]:
    """Those of the needles that are in any file's bytes."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            written = content(path)
            found |= {needle for needle in needles if needle in written}
    return sorted(found)


def needles_of(memory: Memory, user: str) -> list[bytes]:
    """Words, ids, and vectors of a user, as bytes."""
    items = memory.get_all(user_id=user)
    words = [MARKER.encode(), CHINESE.encode(), MARKER.lower().encode()]
    ids = [it.id.encode() for it in items] + [m.id.encode() for m in memory.messages(user_id=user)]
    with inside.store_of(memory).ledger.database.reading() as db:
        rows = db.exec_driver_sql(
            "SELECT vector FROM vectors JOIN versions ON versions.id = version_id WHERE user_id = ?", (user,)
        ).all()
    vectors = [np.frombuffer(row.vector, "<f4")[:8].tobytes() for row in rows]
    return [*words, *ids, *vectors, user.encode()]


def test_no_byte_of_an_erased_user_stays_in_any_file(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "mallory", MARKER)
        tell(memory, "mallory", CHINESE)
        tell(memory, "alice", "ordinary")
        needles = needles_of(memory, "mallory")
        assert len(needles) > 20
        inside.store_of(memory).index._flush()  # type: ignore[attr-defined]
        assert len(found_in(tmp_path, needles)) > len(set(needles)) * 0.8, "they have to be there to be found"
        before = [it.to_dict() for it in memory.get_all(user_id="alice")]
        preview = memory.erase(user_id="mallory", dry_run=True)
        erased = memory.erase(user_id="mallory")
        assert (erased.versions, erased.messages) == (preview.versions, preview.messages)
        assert found_in(tmp_path, needles) == []
        assert memory.index.verify()
        assert [it.to_dict() for it in memory.get_all(user_id="alice")] == before
        assert memory.search("ordinary tea", user_id="alice")
        assert not memory.search(MARKER, user_id="mallory")
    assert found_in(tmp_path, needles) == []
    with opened(tmp_path) as memory:
        assert memory.index.verify()
    assert found_in(tmp_path, needles) == []


def test_an_erasure_after_a_change_of_embedder_leaves_no_vector_of_the_old_one(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "mallory", MARKER)
        needles = needles_of(memory, "mallory")
        memory.index.rebuild(HashEmbedder(32, "test/other"))
        needles += needles_of(memory, "mallory")
        memory.erase(user_id="mallory")
        assert found_in(tmp_path, needles) == []


@pytest.mark.parametrize("change", ["add", "erase"])
def test_what_changes_while_an_erasure_rewrites_the_index_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Between two of its pages others go on: they add, change and delete, or erase somebody else."""
    from holdfast.storage.index import edge

    monkeypatch.setattr(edge, "SLICE", 4)
    with opened(tmp_path) as memory:
        for user, word in (("alice", "ordinary"), ("mallory", MARKER), ("trudy", CHINESE)):
            tell(memory, user, word)
        memory.add([f"fact {at}" for at in range(20)], user_id="alice", infer=False)
        needles = needles_of(memory, "mallory") + needles_of(memory, "trudy")
        copied = edge.EdgeIndex._copy_page
        pages: list[Any] = []
        work: list[threading.Thread] = []

        def goes_on(index: Any, copy: Any, offset: Any) -> Any:
            found = copied(index, copy, offset)
            pages.append(found)
            if len(pages) == 3:
                if change == "erase":
                    work.append(threading.Thread(target=lambda: memory.erase(user_id="trudy")))
                    work[0].start()
                    for _ in range(1_000):
                        if not memory.count(user_id="trudy"):
                            break
                        time.sleep(0.01)
                else:
                    [new] = memory.add("a fact of the meantime", user_id="alice", infer=False)
                    assert memory.search("a fact of the meantime", user_id="alice")[0].id == new.memory_id
                    memory.update(memory.search("fact 1", user_id="alice")[0].id, "fact one, changed")
                    memory.delete(memory.search("fact 19", user_id="alice")[0].id)
            return found

        monkeypatch.setattr(edge.EdgeIndex, "_copy_page", goes_on)
        before = memory.count(user_id="alice")
        memory.erase(user_id="mallory")
        for thread in work:
            thread.join()
        assert len(pages) > 4
        assert memory.index.verify()
        assert memory.count(user_id="alice") == before
        if change == "erase":
            assert found_in(tmp_path, needles) == []
        else:
            assert (
                memory.search("a fact of the meantime", user_id="alice")[0].text == "a fact of the meantime"
            )
            assert memory.search("fact one, changed", user_id="alice")[0].text == "fact one, changed"
            assert "fact 19" not in {hit.text for hit in memory.search("fact 19", user_id="alice", limit=50)}


def test_an_erasure_beside_a_reindexing_leaves_nothing_in_the_new_index(tmp_path: Path) -> None:
    """The new index holds what is erased before it is the store's."""
    with opened(tmp_path) as memory:
        tell(memory, "alice", "ordinary")
        tell(memory, "mallory", MARKER)
        needles = needles_of(memory, "mallory")
        erasing = threading.Thread(target=lambda: memory.erase(user_id="mallory"))

        def erase_now(done: int, total: int) -> None:
            if done == total and not erasing.ident and inside.store_of(memory).indexes.others("0"):
                erasing.start()
                for _ in range(1_000):
                    if not memory.count(user_id="mallory"):
                        break
                    time.sleep(0.01)

        memory.index.rebuild(progress=erase_now)
        erasing.join()
        assert found_in(tmp_path, needles) == []
        assert memory.index.verify()
        assert memory.count(user_id="alice")


def test_erasing_nobody_rewrites_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "alice", "ordinary")
        shard = inside.store_of(memory).index._shard
        assert not memory.erase(user_id="nobody").messages
        assert inside.store_of(memory).index._shard is shard
        assert memory.erase(user_id="alice").messages
        assert inside.store_of(memory).index._shard is not shard


def test_an_index_that_is_closed_or_cleared_while_it_is_copied(tmp_path: Path) -> None:
    from holdfast.errors import ClosedError
    from holdfast.io import Inline, run_inline

    with opened(tmp_path) as memory:
        tell(memory, "alice", "ordinary")
        index = inside.store_of(memory).index
        copy = index._begin_copy()
        run_inline(inside.store_of(memory).projection.rebuild(Inline()))
        index._put_in_place(copy)
        index._end_copy(copy)
        assert memory.index.verify()
        copy = index._begin_copy()
        index.close()
        with pytest.raises(ClosedError):
            index._copy_page(copy, None)
        index._end_copy(copy)
    with opened(tmp_path) as memory:
        assert memory.index.verify()
        assert not list(tmp_path.glob("*compacting*"))


def test_a_preview_erases_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "alice", "ordinary")
        preview = memory.erase(user_id="alice", dry_run=True)
        assert preview.dry_run
        assert preview.memories == 3
        assert preview.messages == 3
        assert memory.count(user_id="alice") == 3
        assert memory.erase(user_id="alice") == Erasure(
            **{**{name: getattr(preview, name) for name in preview.__slots__}, "dry_run": False}
        )
        assert memory.erase(user_id="alice", dry_run=True).versions == 0


def test_bytes_that_a_killed_erasure_left_go_when_the_store_is_opened(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "mallory", MARKER)
        needles = needles_of(memory, "mallory")

        def killed() -> None:
            raise StorageError("killed here")

        inside.at(memory, "compact", killed)
        with pytest.raises(StorageError, match="killed"):
            memory.erase(user_id="mallory")
        assert memory.count(user_id="mallory") == 0
    with opened(tmp_path) as memory:
        assert found_in(tmp_path, needles) == []
        assert memory.index.verify()


def test_a_damaged_index_that_was_put_aside_is_erased_too(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        tell(memory, "mallory", MARKER)
        needles = needles_of(memory, "mallory")
    for path in (tmp_path / "index-0").rglob("*.json"):
        path.write_text("{")
    with opened(tmp_path) as memory:
        memory.erase(user_id="mallory")
        assert found_in(tmp_path, needles) == []


def test_work_under_way_for_an_erased_user_brings_nothing_back(tmp_path: Path) -> None:
    with opened(tmp_path, resume_on_open=False) as memory:
        inside.idle(memory)
        memory.add("I am Mallory", user_id="mallory", background=True)
        inside.at(memory, "leased", lambda: memory.erase(user_id="mallory"))
        [result] = memory.resume()
        assert not result.changes
        assert memory.count(user_id="mallory") == 0
        assert not memory.jobs.pending()


async def test_the_async_face_erases_alike(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.aadd(f"I like {MARKER}", user_id="mallory")
        await memory.aerase(user_id="mallory")
        assert found_in(tmp_path, [MARKER.encode()]) == []
        assert os.listdir(tmp_path)
