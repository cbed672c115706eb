"""Damaged indexes, full disks, folders that cannot be written: a clear error, and nothing lost."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from holdfast import Memory, StorageError
from tests.support import children, inside
from tests.support.fakes import HashEmbedder
from tests.support.processes import Child

FACTS = [f"fact {at} about topic {at % 7}" for at in range(60)]


def opened(folder: Path) -> Memory:
    return Memory(folder, llm=None, embedder=HashEmbedder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed store with some memories, past versions among them."""
    with opened(tmp_path / "store") as memory:
        added = memory.add(FACTS, user_id="alice", infer=False)
        memory.update(added[0].memory_id, "fact 0 was changed")
        memory.delete(added[1].memory_id)
    return tmp_path / "store"


def expect_everything(folder: Path) -> None:
    with opened(folder) as memory:
        assert memory.index.verify()
        assert {item.text for item in memory.get_all(user_id="alice")} == {*FACTS[2:], "fact 0 was changed"}
        assert memory.search("fact 33", user_id="alice")[0].text == FACTS[33]


def remove(shard: Path) -> None:
    shutil.rmtree(shard)


def remove_segments(shard: Path) -> None:
    shutil.rmtree(shard / "segments")


def truncate_everything(shard: Path) -> None:
    for path in shard.rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)


def empty_the_log(shard: Path) -> None:
    shutil.rmtree(shard / "wal", ignore_errors=True)


def scribble_on_the_configuration(shard: Path) -> None:
    for path in shard.glob("*.json"):
        path.write_bytes(b"\x00not what it was\xff" * 20)
    for path in shard.rglob("segment.json"):
        path.write_bytes(b"{")


def replace_by_a_file(shard: Path) -> None:
    shutil.rmtree(shard)
    shard.write_text("not a shard")


@pytest.mark.parametrize(
    "damage",
    [
        remove,
        remove_segments,
        truncate_everything,
        empty_the_log,
        scribble_on_the_configuration,
        replace_by_a_file,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_index_is_rebuilt_from_the_ledger(
    folder: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder / "index-0")
    with caplog.at_level(logging.WARNING, "holdfast"):
        expect_everything(folder)
    assert damage is empty_the_log or caplog.records, "a rebuilt index is worth a warning"
    expect_everything(folder)


def test_an_index_that_lost_and_gained_points_is_repaired(folder: Path) -> None:
    with opened(folder) as memory:
        from holdfast.io import Inline, run_inline

        index = inside.store_of(memory).index
        some = sorted(run_inline(index.ids(Inline())))[:5]
        run_inline(index.delete(Inline(), some))
        agreement = memory.index.verify()
        assert not agreement
        assert agreement.missing == 5
        assert memory.index.repair()
    expect_everything(folder)


@pytest.mark.parametrize("table", ["versions", "evidence"])
def test_a_ledger_that_fails_under_a_search_gives_a_clear_error(folder: Path, table: str) -> None:
    with opened(folder) as memory:
        with closing(sqlite3.connect(folder / "ledger.db")) as other:
            other.execute(f"ALTER TABLE {table} RENAME TO gone")
        with pytest.raises(StorageError, match="the ledger failed: no such table"):
            memory.search("fact 33", user_id="alice")
        with closing(sqlite3.connect(folder / "ledger.db")) as other:
            other.execute(f"ALTER TABLE gone RENAME TO {table}")
    expect_everything(folder)


def test_a_ledger_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is something else entirely" * 100)
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(StorageError, match="not a database"):
        opened(tmp_path)
    assert (tmp_path / "ledger.db").read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a full disk needs a small file system, which only root may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("room", [3_000_000, 400_000])
def test_a_full_disk_gives_a_clear_error_and_loses_nothing(small_disk: Path, room: int) -> None:
    store = small_disk / "store"
    with Child(children.fills, store, room, printing=True) as child:
        answered = child.said(120).splitlines()
        assert child.returncode == 0
    assert "disk is full" in answered[-1]
    (small_disk / "ballast").unlink()
    with opened(store) as memory:
        assert memory.flush(30)
        found = [item.text.split(" x")[0] for item in memory.get_all(user_id="alice")]
        assert set(answered[:-1]) <= set(found)
        assert len(set(found)) == len(found)
        assert memory.index.verify()


@pytest.mark.parametrize("room", [44_000_000, 38_000_000, 6_000_000, 0])
def test_short_facts_on_a_full_disk_give_a_clear_error_and_lose_nothing(small_disk: Path, room: int) -> None:
    """The engine maps its files: a page without a place on the disk would end the process."""
    subprocess.run(["mount", "-o", "remount,size=160M", str(small_disk)], check=True)
    store = small_disk / "store"
    with Child(children.fills_with_short_facts, store, room, printing=True) as child:
        answered = child.said(240).splitlines()
        assert child.returncode == 0
    assert any("disk is full" in line for line in answered)
    (small_disk / "ballast").unlink()
    with opened(store) as memory:
        assert memory.flush(30)
        found = [item.text for item in memory.get_all(user_id="alice")]
        assert {line for line in answered if not line.startswith("full")} <= set(found)
        assert len(set(found)) == len(found)
        assert memory.index.verify()


@pytest.mark.parametrize("room", [0, 300_000, 8_000_000, 20_000_000, 41_000_000, 43_000_000])
@pytest.mark.parametrize("known", [False, True])
def test_a_store_on_a_small_disk_opens_or_says_why_not(small_disk: Path, room: int, known: bool) -> None:
    subprocess.run(["mount", "-o", "remount,size=160M", str(small_disk)], check=True)
    if known:
        with opened(small_disk / "store") as memory:
            memory.add("I like tea", user_id="alice")
    with Child(children.is_opened, small_disk / "store", room, printing=True) as child:
        said = child.said(120)
        assert child.returncode == 0
    assert said.startswith((f"opened {int(known)}", "refused: "))
    assert said.startswith("opened") or room < 43_000_000
    (small_disk / "ballast").unlink()
    with opened(small_disk / "store") as memory:
        assert memory.count() == int(known)
        assert memory.index.verify()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_what_has_no_room_is_refused_before_it_is_begun(
    folder: Path, face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(folder)
    with opened(folder) as memory:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
        if face == "sync":
            add = partial(memory.add, user_id="bob", infer=False)
        else:
            add = lambda text: asyncio.run(memory.aadd(text, user_id="bob", infer=False))  # noqa: E731
        with pytest.raises(StorageError, match=r"disk is full: 1,048,576 bytes"):
            add("I like tea")
        assert memory.messages(user_id="bob") == ()
        assert memory.search("fact 33", user_id="alice")[0].text == FACTS[33]
        with pytest.raises(StorageError, match="disk is full"):
            memory.index.optimize()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        memory.add("I like tea", user_id="bob", infer=False)
        assert memory.count(user_id="bob") == 1
    expect_everything(folder)


def test_a_store_on_a_read_only_file_system_gives_a_clear_error(small_disk: Path) -> None:
    with opened(small_disk / "store") as memory:
        memory.add("I like tea", user_id="alice")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StorageError, match="cannot be written"):
        opened(small_disk / "store")
    with pytest.raises(StorageError, match="cannot be made"):
        opened(small_disk / "other")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with opened(small_disk / "store") as memory:
        assert memory.count(user_id="alice") == 1


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere; see the read-only file system")
def test_a_folder_without_permission_gives_a_clear_error(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            opened(folder)
    finally:
        folder.chmod(0o700)
    expect_everything(folder)
