"""Where a store lies is where its caller said: a path is a path, and nothing in it is taken for anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import InputError, Memory
from holdfast.storage.index import edge_probe
from tests.support.fakes import HashEmbedder

HOSTILE = (
    "tenant?id=1", "tenant?id=2", "tenant", "alice%40example.com", "alice@example.com", "x%2F..%2Fbob", "a#b", "a;b",
    "a&uri=true", "file:x", "a b", "[a-z]*", "日本", "sqlite:x", ":memory:x",
)  # fmt: skip


def opened(path: Path | str) -> Memory:
    return Memory(path, llm=None, embedder=HashEmbedder())


def test_stores_whose_names_look_like_urls_or_patterns_are_stores_of_their_own(tmp_path: Path) -> None:
    for name in HOSTILE:
        with opened(tmp_path / name) as memory:
            memory.add(f"I live in {name}", user_id="u", infer=False)
    for name in HOSTILE:
        with opened(tmp_path / name) as memory:
            assert [item.text for item in memory.get_all(user_id="u")] == [f"I live in {name}"]
            assert memory.index.verify()
    assert sorted(os.listdir(tmp_path)) == sorted(HOSTILE)
    for name in HOSTILE:
        assert (tmp_path / name / "ledger.db").is_file()


@pytest.mark.parametrize("path", ["postgresql://me:secret@host/db", "http://host:6333", "sqlite:///x"])
def test_a_url_is_no_path(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="ledger=") as refused:
        opened(path)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("HOLDFAST_HOME", path)
    with pytest.raises(InputError, match="HOLDFAST_HOME"):
        Memory(llm=None, embedder=HashEmbedder())
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "~nobody-of-that-name/x", 7])
def test_what_names_no_folder_is_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="path="):
        opened(path)
    assert not os.listdir(tmp_path)


def test_a_ledger_that_is_no_url_is_refused_without_being_shown() -> None:
    with pytest.raises(InputError, match="ledger=") as refused:
        Memory(ledger="postgresql:me:secret@host", index=":memory:", llm=None, embedder=HashEmbedder())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("index", ["", "some/folder", "qdrant.example.com:6333"])
def test_an_index_that_is_no_url_is_refused(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="index="):
        Memory(tmp_path / "store", index=index, llm=None, embedder=HashEmbedder())
    with opened(tmp_path / "store"):
        pass  # and its folder is free
    assert os.listdir(tmp_path) == ["store"]


def test_nothing_is_run_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that was left open is tried in a process of its own, which is ours wherever it is started."""
    with opened(tmp_path / "store") as memory:
        memory.add("I like tea", user_id="u", infer=False)
    [shard] = (tmp_path / "store").glob("index-*")
    planted, ran = tmp_path / "planted", tmp_path / "ran"
    for module in ("holdfast", "subprocess", "logging", "qdrant_edge", "numpy", "sitecustomize", "encodings"):
        (planted / module).mkdir(parents=True)
        (planted / module / "__init__.py").write_text(f"open({str(ran)!r}, 'w')")
    monkeypatch.chdir(planted)
    monkeypatch.setenv("PYTHONPATH", str(planted))
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    assert edge_probe.loads(shard, HashEmbedder().dimensions)
    assert not ran.exists()
    shutil.rmtree(shard / "segments")
    (shard / "edge_config.json").write_text("{")
    assert not edge_probe.loads(shard, HashEmbedder().dimensions + 1)
    assert not ran.exists()


def test_the_probe_is_started_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def started(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", started)
    assert edge_probe.loads(tmp_path, 8)
    [command] = commands
    script = next(at for at, part in enumerate(command) if part.endswith(".py"))
    assert {"-P", "-I"} <= set(command[1:script])
    assert "-m" not in command
    assert all(os.path.isabs(root) for root in command[script + 3 :])
