"""`holdfast reindex`: the index anew, with another embedder, or the whole memory in another place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.app.embedders import embedder_of
from holdfast.errors import InputError
from tests.app.test_command import Command
from tests.support.postgres import Cluster


@pytest.fixture
def holdfast(tmp_path: Path) -> Command:
    made = Command(tmp_path / "home")
    made.done("add", "I live in Berlin", "-u", "alice", "--no-infer")
    memory_id = made.done("list", "-u", "alice")["items"][0]["id"]
    made.done("update", memory_id, "I live in Porto")
    return made


def told(command: Command, *more: str) -> Any:
    [item] = command.done("list", "-u", "alice", *more)["items"]
    return (
        item,
        command.done("history", item["id"], *more),
        command.done("search", "Porto", "-u", "alice", *more),
    )


def test_the_index_is_built_anew(holdfast: Command) -> None:
    before = told(holdfast)
    assert holdfast.done("reindex")["points"] == 2
    assert holdfast.done("verify")["agree"] is True
    assert told(holdfast) == before


def test_another_embedder_is_named_from_then_on(holdfast: Command) -> None:
    done = holdfast.done("reindex", "--to-embedder", "wordllama")
    assert done == {"points": 2, "embedder": embedder_of("wordllama").name}  # type: ignore[union-attr]
    assert "--embedder" in holdfast.refused("list", "-u", "alice", code=4)
    hits = holdfast.done("search", "Porto", "-u", "alice", "--embedder", "wordllama")["hits"]
    assert hits[0]["memory"]["text"] == "I live in Porto"
    assert holdfast.done("reindex", "--embedder", "wordllama", "--to-embedder", "bundled")["points"] == 2
    assert holdfast.done("list", "-u", "alice")["items"]


def test_a_folder_is_copied_and_stays(holdfast: Command, tmp_path: Path) -> None:
    before = told(holdfast)
    done = holdfast.done("reindex", "--to", str(tmp_path / "other"))
    assert (done["versions"], done["changes"], done["written"] > 0) == (2, 2, True)
    assert holdfast.done("reindex", "--to", str(tmp_path / "other"))["written"] == 0
    assert told(holdfast) == before
    assert told(Command(tmp_path / "other")) == before


@pytest.mark.postgres
def test_a_memory_moves_to_a_database_and_back(holdfast: Command, tmp_path: Path, pgvector: Cluster) -> None:
    before, url = told(holdfast), pgvector.ledger()
    there = ("--ledger", url, "--index", "pgvector")
    assert holdfast.done("reindex", "--to", url)["versions"] == 2
    assert told(holdfast, *there)[:2] == before[:2]
    assert holdfast.done("verify", *there)["agree"] is True
    holdfast.done("reindex", "--to", str(tmp_path / "back"), *there)
    assert told(Command(tmp_path / "back")) == before


def test_a_place_that_holds_another_memory_is_refused(holdfast: Command, tmp_path: Path) -> None:
    other = Command(tmp_path / "other")
    other.done("add", "I live in Rome", "-u", "bob", "--no-infer")
    assert "another store" in holdfast.refused("reindex", "--to", str(other.home))
    assert [item["text"] for item in other.done("list", "-u", "bob")["items"]] == ["I live in Rome"]


def test_what_a_server_has_open_is_not_reindexed(holdfast: Command, serve: Callable[..., Any]) -> None:
    serve(home=holdfast.home)
    assert "stop it" in holdfast.refused("reindex")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--to-embedder", "magic"], "no embedder"),
        (["--to-index", "pgvector"], "--to-index goes with"),
        (["--to", "http://example.org"], "is no URL of a database"),
    ],
)
def test_a_wrong_way_to_go_is_refused(holdfast: Command, options: list[str], reason: str) -> None:
    before = told(holdfast)
    assert reason in holdfast.refused("reindex", *options)
    assert told(holdfast) == before


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("bundled", "universal-sentence-encoder-multilingual/3"),
        ("openai/text-embedding-3-small", "text-embedding-3-small"),
        ("openai/text-embedding-3-small@256", "text-embedding-3-small@256"),
        ("openai/org/model", "org/model"),
    ],
)
def test_embedders_have_names(name: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    made = embedder_of(name)
    assert made is not None
    assert made.name == known
    assert embedder_of(None) is None


@pytest.mark.parametrize("name", ["", "fastembed/", "openai/", "openai/x@", "openai/x@y", "Bundled"])
def test_other_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(InputError, match="no embedder"):
        embedder_of(name)
