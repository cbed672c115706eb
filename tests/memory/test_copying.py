"""A store copied to another place: everything, once, and equal; the source as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast import InputError, Memory, Message, StorageError, StoreLockedError
from holdfast.storage.ledger import copying
from holdfast.types import Put
from tests.support.fakes import HashEmbedder, ScriptedModel, facts
from tests.support.files import content
from tests.support.lives import lived_in, opened, rows, seen
from tests.support.postgres import Cluster


class Counting(HashEmbedder):
    """Counts the texts that it embeds."""

    texts = 0

    def embed_documents(self, texts: Any) -> Any:
        self.texts += len(texts)
        return super().embed_documents(texts)


@dataclass
class Places:
    """Folders and databases of a test, by name."""

    folder: Path
    cluster: Cluster | None
    made: dict[str, dict[str, Any]]

    def __call__(self, name: str) -> dict[str, Any]:
        if name not in self.made:
            if name.startswith("server"):
                assert self.cluster is not None
                self.made[name] = {"ledger": self.cluster.ledger(), "index": "pgvector"}
            else:
                self.made[name] = {"path": self.folder / name}
        return self.made[name]


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    needs_server = request.node.get_closest_marker("postgres") is not None
    return Places(tmp_path, request.getfixturevalue("pgvector") if needs_server else None, {})


@pytest.fixture(params=["sync", "async"])
def copy(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Copies a memory in one of the faces."""
    if request.param == "sync":
        yield lambda memory, **place: memory.copy_to(**place)
    else:
        yield lambda memory, **place: asyncio.run(memory.acopy_to(**place))


def test_a_copy_is_equal_and_embeds_nothing(places: Places, copy: Callable[..., Any]) -> None:
    embedder = Counting()
    with lived_in(places("here"), embedder=embedder) as memory:
        before, embedder.texts = rows(memory), 0
        steps: list[tuple[int, int]] = []
        done = copy(memory, **places("there"), progress=lambda *step: steps.append(step))
        assert embedder.texts == 0
        assert rows(memory) == before
        assert done.written == sum(map(len, before.values()))
        assert (done.versions, done.messages, done.documents) == (
            len(before["versions"]), len(before["messages"]), len(before["documents"]),
        )  # fmt: skip
        assert steps[-1] == (done.versions, done.versions)
        with opened(places("there")) as copied:
            assert copied.index.verify()
            assert rows(copied) == before
            assert seen(copied) == seen(memory)


@pytest.mark.postgres
def test_a_store_comes_back_from_a_server_as_it_went(places: Places, copy: Callable[..., Any]) -> None:
    with lived_in(places("here")) as memory:
        copy(memory, **places("server"))
        with opened(places("server")) as served:
            assert served.index.verify()
            assert seen(served) == seen(memory)
            copy(served, **places("back"))
        with opened(places("back")) as back:
            assert rows(back) == rows(memory)
            assert seen(back) == seen(memory)


@pytest.mark.postgres
@pytest.mark.parametrize("where", ["there", "server"])
def test_life_goes_on_in_a_copy(places: Places, where: str) -> None:
    with lived_in(places("here")) as memory:
        memory.copy_to(**places(where))
        with opened(places(where)) as copied:
            for one in (memory, copied):
                assert not one.add(
                    [Message("Noted.", role="assistant", id="m2")], user_id="alice", session_id="s"
                ).changes
                one.add("I have a dog", user_id="alice", infer=False)
                last = one.changes(user_id="alice", operation="DELETE").items[0]
                one.undo(last.id)
                one.add([Message("I like milk.", id="m3")], user_id="alice", session_id="s")
            places_of = [
                [(it.message.content, it.position) for it in one.messages(user_id="alice")]
                for one in (memory, copied)
            ]
            assert places_of[0] == places_of[1]
            texts = [sorted(it.text for it in one.get_all(user_id="alice")) for one in (memory, copied)]
            assert texts[0] == texts[1]
            assert copied.index.verify()
            assert copied.erase(user_id="bob").files == 1


def test_a_second_run_writes_nothing(places: Places, copy: Callable[..., Any]) -> None:
    with lived_in(places("here")) as memory:
        first = copy(memory, **places("there"))
        again = copy(memory, **places("there"))
        assert again.written == 0
        assert again.versions == first.versions


def test_another_store_is_not_overwritten(places: Places, copy: Callable[..., Any]) -> None:
    with opened(places("there")) as other:
        other.add("I was here before", user_id="carol", infer=False)
        before = rows(other)
    with lived_in(places("here")) as memory:
        with pytest.raises(InputError, match="empty place"):
            copy(memory, **places("there"))
    with opened(places("there")) as other:
        assert rows(other) == before


def test_a_copy_that_went_on_living_is_not_overwritten(places: Places) -> None:
    with lived_in(places("here")) as memory:
        memory.copy_to(**places("there"))
        with opened(places("there")) as copied:
            copied.add("I have a dog", user_id="alice", infer=False)
            before = rows(copied)
        with pytest.raises(InputError, match="changed since"):
            memory.copy_to(**places("there"))
        with opened(places("there")) as copied:
            assert rows(copied) == before


class Cut(Exception):
    pass


def cut_short(memory: Memory, place: dict[str, Any], after: int) -> None:
    """A copy that ends after that many steps."""
    steps = iter(range(after))

    def step(done: int, total: int) -> None:
        if next(steps, None) is None:
            raise Cut

    with pytest.raises(Cut):
        memory.copy_to(**place, progress=step)


@pytest.mark.parametrize("after", [0, 3, 9])
def test_a_copy_cut_short_cannot_be_opened_and_goes_on(
    places: Places, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK", 2)
    with lived_in(places("here")) as memory:
        cut_short(memory, places("there"), after)
        with pytest.raises(StorageError, match="cut short"):
            opened(places("there"))
        written = memory.copy_to(**places("there")).written
        assert written < sum(map(len, rows(memory).values())) or not after
        with opened(places("there")) as copied:
            assert rows(copied) == rows(memory)
            assert seen(copied) == seen(memory)


def test_what_the_source_erased_or_changed_since_is_not_in_the_copy(places: Places) -> None:
    with lived_in(places("here")) as memory:
        cut_short(memory, places("there"), 12)
        memory.erase(user_id="bob")
        memory.documents.batch([Put(("notes", "a/b"), "k%", None)])
        memory.documents.batch([Put(("notes", "a/b"), "k%", {"text": "the oboe"})])
        for item in memory.get_all(user_id="alice"):
            memory.update(item.id, f"{item.text}, still")
        memory.copy_to(**places("there"))
        with opened(places("there")) as copied:
            assert rows(copied) == rows(memory)
            assert copied.index.verify()
    for file in (places.folder / "there").rglob("*"):
        assert not file.is_file() or b"allergic to nuts" not in content(file)


def test_what_is_written_meanwhile_is_copied_too(places: Places) -> None:
    with lived_in(places("here")) as memory:
        late = iter(["I play the oboe"])

        def step(done: int, total: int) -> None:
            for text in late:
                memory.add(text, user_id="alice", infer=False)

        memory.copy_to(**places("there"), progress=step)
        with opened(places("there")) as copied:
            assert "I play the oboe" in [item.text for item in copied.get_all(user_id="alice")]
            assert rows(copied) == rows(memory)


def test_a_copy_with_another_embedder_is_embedded_anew(places: Places) -> None:
    other = Counting(24, "test/other")
    with lived_in(places("here")) as memory:
        done = memory.copy_to(**places("there"), embedder=other)
        assert other.texts == done.versions
        with opened(places("there"), embedder=other) as copied:
            assert copied.index.verify()
            assert (
                copied.search("tennis", user_id="alice")[0].text
                == memory.search("tennis", user_id="alice")[0].text
            )


def test_unfinished_work_is_finished_in_the_copy(places: Places) -> None:
    failing = ScriptedModel([RuntimeError("down")] * 2)
    with opened(places("here"), llm=failing) as memory:
        with pytest.raises(Exception, match="down"):
            memory.add("I live in Lisbon", user_id="alice")
        memory.copy_to(**places("there"))
        failing.replies = [facts("Lives in Lisbon")]
        with opened(
            places("there"), llm=ScriptedModel([facts("Lives in Lisbon")]), resume_on_open=False
        ) as copied:
            copied.resume()
            assert [item.text for item in copied.get_all(user_id="alice")] == ["Lives in Lisbon"]


def test_a_place_has_to_be_named_and_free(places: Places) -> None:
    with lived_in(places("here")) as memory:
        for place in ({}, {"path": ":memory:"}, {"path": "x", "ledger": "postgresql://h/d"}):
            with pytest.raises(InputError, match="pass the path of a folder"):
                memory.copy_to(**place)
        with pytest.raises(StoreLockedError):
            memory.copy_to(**places("here"))
        with pytest.raises(InputError, match="copy_to"):
            memory.scoped(user_id="alice").copy_to(**places("there"))
