"""One clear error for each kind of bad input, and nothing changed by any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import (
    ClosedError,
    EmbedderMismatchError,
    EmbeddingError,
    FilterError,
    InputError,
    Memory,
    Message,
    ModelError,
    ModelRefusedError,
    NotFoundError,
    StorageError,
)
from tests.conftest import FACES, Face, Opener
from tests.support.fakes import HashEmbedder, ScriptedModel

NAN = float("nan")

BAD_ADDS: list[tuple[str, Callable[[Face], Any], str]] = [
    ("empty text", lambda m: m.add("", user_id="a"), "empty"),
    ("blank text", lambda m: m.add(" \n", user_id="a"), "empty"),
    ("number", lambda m: m.add(7, user_id="a"), "7"),
    ("bytes", lambda m: m.add(b"hi", user_id="a"), "hi"),
    ("empty list", lambda m: m.add([], user_id="a"), "empty list"),
    ("None in list", lambda m: m.add(["hi", None], user_id="a"), r"messages\[1\]"),
    ("no content", lambda m: m.add({"role": "user"}, user_id="a"), "no content"),
    ("content not text", lambda m: m.add({"content": 1}, user_id="a"), r"messages\[0\].content"),
    ("unknown key", lambda m: m.add({"content": "x", "text": "y"}, user_id="a"), "text"),
    ("unknown role", lambda m: m.add({"role": "robot", "content": "x"}, user_id="a"), "robot"),
    ("blank name", lambda m: m.add(Message("x", name=" "), user_id="a"), "name"),
    ("NUL", lambda m: m.add("a\x00b", user_id="a"), "NUL"),
    ("lone surrogate", lambda m: m.add("a\ud800b", user_id="a"), "surrogate"),
    ("no scope", lambda m: m.add("hi"), "user_id"),
    ("blank id", lambda m: m.add("hi", user_id=" "), "blank"),
    ("id not text", lambda m: m.add("hi", user_id=5), "5"),
    ("metadata not a mapping", lambda m: m.add("hi", user_id="a", metadata=[1]), "list"),
    ("metadata not JSON", lambda m: m.add("hi", user_id="a", metadata={"d": datetime.now(UTC)}), "not JSON"),
    ("metadata NaN", lambda m: m.add("hi", user_id="a", metadata={"d": NAN}), "not JSON"),
    ("metadata names scope", lambda m: m.add("hi", user_id="a", metadata={"user_id": "b"}), "user_id="),
    ("bad date", lambda m: m.add("hi", user_id="a", happened_at="yesterday"), "ISO 8601"),
    ("long text", lambda m: m.add("é" * 2**23 + "x", user_id="a"), r"content has 16,777,217 bytes"),
    ("long data", lambda m: m.add(Message("x", data={"d": "x" * 2**24}), user_id="a"), "data has"),
    ("much metadata", lambda m: m.add("hi", user_id="a", metadata={"d": "x" * 2**18}), "metadata has"),
    ("long id", lambda m: m.add("hi", user_id="a", session_id="x" * 4097), "session_id has 4,097 bytes"),
    ("long wishes", lambda m: m.add("hi", user_id="a", instructions="x" * 65_537), "instructions has"),
    ("said later", lambda m: m.add("hi", user_id="a", happened_at="2050-01-01"), "happened_at=.*ahead"),
    ("one said later", lambda m: m.add(Message("x", happened_at="2050-01-01"), user_id="a"), r"\[0\].*ahead"),
    ("blank instructions", lambda m: m.add("hi", user_id="a", instructions=""), "instructions"),
]


@pytest.mark.parametrize("open_memory", FACES, indirect=True, ids="-".join)
@pytest.mark.parametrize(
    ("call", "says"), [case[1:] for case in BAD_ADDS], ids=[case[0] for case in BAD_ADDS]
)
def test_a_bad_add_changes_nothing(memory: Face, call: Callable[[Face], Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        call(memory)
    assert memory.count() == 0
    assert memory.messages(user_id="a") == ()


BAD_READS: list[tuple[str, Callable[[Face], Any], type[Exception], str]] = [
    ("empty query", lambda m: m.search("", user_id="a"), InputError, "query"),
    ("no scope", lambda m: m.search("x"), InputError, "user_id"),
    ("limit 0", lambda m: m.search("x", user_id="a", limit=0), InputError, "limit=0"),
    ("limit true", lambda m: m.search("x", user_id="a", limit=True), InputError, "limit"),
    ("threshold 2", lambda m: m.search("x", user_id="a", threshold=2), InputError, "threshold"),
    ("budget 0", lambda m: m.recall("x", user_id="a", max_tokens=0), InputError, "max_tokens"),
    ("as_of", lambda m: m.search("x", user_id="a", as_of="then"), InputError, "as_of"),
    ("operator", lambda m: m.search("x", user_id="a", filters={"k": {"like": "y"}}), FilterError, "like"),
    ("scope filter", lambda m: m.get_all(user_id="a", filters={"user_id": "b"}), FilterError, "user_id"),
    ("unbound list", lambda m: m.get_all(), InputError, "user_id"),
    ("unbound removal", lambda m: m.delete_all(), InputError, "user_id"),
    ("unbound erasure", lambda m: m.erase(), InputError, "user_id"),
    ("empty update", lambda m: m.update("x"), InputError, "none of them was given"),
    ("blank update", lambda m: m.update("x", " "), InputError, "text"),
    ("unknown memory", lambda m: m.update("nope", "text"), NotFoundError, "nope"),
    ("unknown history", lambda m: m.history("nope"), NotFoundError, "nope"),
    ("unknown undo", lambda m: m.undo("nope"), NotFoundError, "nope"),
    ("huge limit", lambda m: m.search("x", user_id="a", limit=10**5000), InputError, "limit=a number of"),
    ("huge page", lambda m: m.get_all(user_id="a", limit=2**31), InputError, "limit=2147483648"),
    ("huge log", lambda m: m.messages(user_id="a", limit=2**63), InputError, "limit"),
    ("huge budget", lambda m: m.recall("x", user_id="a", max_tokens=2**63), InputError, "max_tokens"),
    ("huge cursor", lambda m: m.get_all(user_id="a", cursor=f"{2**63}:x"), InputError, "cursor"),
    ("digits", lambda m: m.get_all(user_id="a", cursor="9" * 5000 + ":x"), InputError, "cursor"),
    ("cursor not text", lambda m: m.get_all(user_id="a", cursor=5), InputError, "cursor"),
    ("half a cursor", lambda m: m.get_all(user_id="a", cursor="1:\ud800"), InputError, "surrogate"),
    ("half an undo", lambda m: m.undo("\ud800"), InputError, "surrogate"),
    ("half a retry", lambda m: m.jobs.retry("\ud800"), InputError, "surrogate"),
    ("half a deletion", lambda m: m.delete("\ud800"), InputError, "surrogate"),
    ("half a keep", lambda m: m.clear_messages(user_id="a", keep=["\ud800"]), InputError, r"keep\[0\]"),
    ("one keep", lambda m: m.clear_messages(user_id="a", keep="abc"), InputError, "keep"),
    ("NUL in an undo", lambda m: m.undo("a\0"), InputError, "NUL"),
    ("undo not text", lambda m: m.undo(5), InputError, "change_or_add_id"),
    ("deletion not text", lambda m: m.delete(5), InputError, "memory_id"),
    ("export to NUL", lambda m: m.export("a\0b", everything=True), InputError, "NUL"),
    ("import from NUL", lambda m: m.import_("a\0b"), InputError, "NUL"),
    (
        "long query",
        lambda m: m.search("x" * (2**20 + 1), user_id="a"),
        InputError,
        "query has 1,048,577 bytes",
    ),
]


@pytest.mark.parametrize("open_memory", FACES, indirect=True, ids="-".join)
@pytest.mark.parametrize(
    ("call", "error", "says"), [case[1:] for case in BAD_READS], ids=[case[0] for case in BAD_READS]
)
def test_bad_arguments_are_named(
    memory: Face, call: Callable[[Face], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(memory)


@pytest.mark.parametrize("moment", ["0001-01-01", "0001-01-01T00:00+14:00", "1969-12-31", "9999-12-31"])
def test_any_moment_of_the_calendar_can_be_asked_about(memory: Face, moment: str) -> None:
    """Long ago nothing was known, and what will be known is what is."""
    if moment.startswith("0001-01-01T"):
        with pytest.raises(InputError, match="out of range"):
            memory.search("last week", user_id="a", as_of=moment)
        return
    [change] = memory.add("I play tennis", user_id="a", infer=False)
    known = ["I play tennis"] if moment > "2026" else []
    assert [hit.text for hit in memory.search("tennis last week", user_id="a", as_of=moment)] == known
    assert [it.text for it in memory.recall("tennis", user_id="a", as_of=moment).memories] == known
    assert [item.text for item in memory.get_all(user_id="a", as_of=moment)] == known
    assert (memory.get(change.memory_id, as_of=moment) is not None) is bool(known)


def test_the_largest_limits_are_limits(memory: Face) -> None:
    memory.add("I play tennis", user_id="a", infer=False)
    most = 2**31 - 1
    assert len(memory.search("tennis", user_id="a", limit=most)) == 1
    assert len(memory.get_all(user_id="a", limit=most)) == 1
    assert len(memory.messages(user_id="a", limit=most)) == 1


def test_a_message_of_the_largest_size_is_stored_and_travels(open_memory: Opener, tmp_path: Path) -> None:
    """Every character of it takes six in the file."""
    memory, text = open_memory(), "\x01" * 2**20 + "x" * (2**24 - 2**20)
    memory.record(Message(text, data={"d": "x" * (2**24 - 100)}), user_id="a")
    memory.export(tmp_path / "file", everything=True)
    other = open_memory("other")
    assert other.import_(tmp_path / "file").messages == 1
    assert other.messages(user_id="a")[0].message.content == text


class BrokenEmbedder(HashEmbedder):
    def __init__(self, vectors: Callable[[Sequence[str]], Any]) -> None:
        super().__init__()
        self._vectors = vectors

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return self._vectors(texts)


@pytest.mark.parametrize("open_memory", FACES, indirect=True, ids="-".join)
@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (lambda texts: np.full((len(texts), 64), NAN), "NaN"),
        (lambda texts: np.ones((len(texts), 63)), "63"),
        (lambda texts: np.ones((len(texts) + 1, 64)), "shape"),
        (lambda texts: [["a"] * 64 for _ in texts], "numbers"),
        (lambda texts: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_broken_vectors_never_reach_the_store(
    open_memory: Opener, vectors: Callable[[Sequence[str]], Any], says: str
) -> None:
    memory = open_memory(embedder=BrokenEmbedder(vectors))
    with pytest.raises(EmbeddingError, match=says):
        memory.add("I play tennis.", user_id="alice")
    assert memory.count() == 0
    assert len(memory.jobs.pending()) == 1


def test_another_embedder_than_the_store_s_is_refused(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        memory.add("I play tennis.", user_id="alice")
    with pytest.raises(EmbedderMismatchError, match=r"index\.rebuild"):
        Memory(tmp_path, llm=None, embedder=HashEmbedder(name="test/other"))
    with pytest.raises(EmbedderMismatchError, match="32"):
        Memory(tmp_path, llm=None, embedder=HashEmbedder(32))
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:
        assert memory.count() == 1


def test_a_refusal_and_a_time_out_keep_their_type(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([ModelRefusedError("no"), TimeoutError("late")]))
    with pytest.raises(ModelRefusedError):
        memory.add("I play tennis", user_id="alice")
    with pytest.raises(ModelError, match="late"):
        memory.add("I play squash", user_id="alice")
    assert len(memory.messages(user_id="alice")) == 2


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        Memory(tmp_path / "file", llm=None, embedder=HashEmbedder())


@pytest.mark.parametrize("name", ["lock", "lock.pid", "ledger.db"])
def test_a_file_that_cannot_be_written_is_a_storage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StorageError, match=name if name != "ledger.db" else "ledger"):
        Memory(tmp_path, llm=None, embedder=HashEmbedder())
    (tmp_path / name).rmdir()
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as memory:  # and the lock was given back
        assert memory.count() == 0


def test_objects_that_are_no_port_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="acomplete"):
        Memory(tmp_path, llm=object())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="aembed_documents"):
        Memory(tmp_path, llm=None, embedder=object())  # type: ignore[arg-type]


def test_a_closed_memory_says_so(open_memory: Opener) -> None:
    memory = open_memory()
    memory.close()
    memory.close()
    for call in (
        lambda: memory.add("I play tennis.", user_id="a"),
        lambda: memory.search("x", user_id="a"),
        lambda: memory.get_all(user_id="a"),
        lambda: memory.jobs.pending(),
    ):
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize(
    "refused",
    [
        {"llm": object()},
        {"embedder": object()},
        {"reranker": object()},
        {"model_size": "huge"},
        {"model_size": ["large"]},
        {"window_tokens": 0},
        {"workers": 0},
    ],
    ids=lambda refused: next(iter(refused)),
)
def test_a_memory_that_is_refused_opens_no_store(tmp_path: Path, refused: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="|".join(refused)):
        Memory(tmp_path / "store", **{"llm": None, **refused})
    assert not (tmp_path / "store").exists()
