"""Export and import: everything, identically, or nothing."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import InputError, Memory, Message, StorageError
from holdfast.engine.transfer_rows import VERSION
from holdfast.types import Find, Get, Put
from tests.support.fakes import HashEmbedder, ScriptedModel, Ticking, facts

Row = dict[str, Any]


def opened(path: Any = ":memory:", **options: Any) -> Memory:
    return Memory(
        path, **{"llm": None, "model_size": "large", "embedder": HashEmbedder(), "now": Ticking(), **options}
    )


def lived_in(path: Any = ":memory:") -> Memory:
    """A store with a bit of everything."""
    memory = opened(path)
    added = memory.add(
        [
            Message("I live in Lisbon. 我喜欢打网球。", id="m1", name="Ana"),
            Message("Noted.", role="assistant"),
        ],
        user_id="alice",
        session_id="s",
        metadata={"list": [1, 2.5, None, {"深": "é"}], "flag": True},
        happened_at="2026-01-02T03:04:05+08:00",
    )
    memory.undo(memory.update(added[0].memory_id, "Lives in Porto").id)
    memory.undo(memory.delete(added[1].memory_id).id)
    memory.delete(memory.add("I have a car", user_id="alice", agent_id="guide")[0].memory_id)
    memory.record(Message("", data={"call": {"id": 1}}), user_id="alice", run_id="r")
    memory.add([Message("I like tea", id="m2")], user_id="alice", session_id="s")
    memory.add([Message("I like coffee", id="m2")], user_id="alice", session_id="s")  # an edit
    memory.add("I am Bob", user_id="bob")
    for user in ("alice", "bob"):
        create = {"command": "create", "path": f"/memories/{user}.md", "file_text": f"# Of {user}"}
        memory.memory_tool(user_id=user).run(create)
    value = {"list": [1, None], "text": "a cello\x00\ud800"}
    memory.documents.batch(
        [Put(("notes", "a/b"), "%", value, {"text": "a cello"}, ttl=timedelta(days=400_000) / 2)]
    )
    return memory


def exported(memory: Memory, **scope: Any) -> list[Row]:
    file = io.StringIO()
    memory.export(file, **(scope or {"everything": True}))
    return [json.loads(line) for line in file.getvalue().splitlines()]


def text(rows: list[Row]) -> io.StringIO:
    return io.StringIO("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def seen(memory: Memory, **scope: Any) -> Any:
    """What the public face shows of a scope, at several instants."""
    items = memory.get_all(**scope)
    histories = {item.id: [change.to_dict() for change in memory.history(item.id)] for item in items}
    moments = {change["at"] for history in histories.values() for change in history}
    past = {at: [item.to_dict() for item in memory.get_all(as_of=at, **scope)] for at in moments}
    messages = [message.to_dict() for message in memory.messages(**scope)]
    files = memory.memory_tool(**scope).run({"command": "view", "path": "/memories"})
    return [item.to_dict() for item in items], histories, past, messages, files


def test_an_import_is_identical_to_what_was_exported(tmp_path: Path) -> None:
    with lived_in(tmp_path / "one") as source, opened(embedder=HashEmbedder(24, "test/other")) as target:
        path = tmp_path / "all.jsonl"
        written = source.export(path, everything=True)
        assert target.import_(path) == written
        assert target.index.verify()
        for user in ("alice", "bob"):
            assert seen(target, user_id=user) == seen(source, user_id=user)
        assert exported(target)[1:] == exported(source)[1:]
        assert (
            target.search("网球", user_id="alice")[0].text == source.search("网球", user_id="alice")[0].text
        )


def test_documents_are_found_in_the_store_that_they_came_to() -> None:
    with lived_in() as source, opened(embedder=HashEmbedder(24, "test/other")) as target:
        assert target.import_(text(exported(source))).documents == 5
        asked = [Get(("notes", "a/b"), "%"), Find(("notes",), query="cello")]
        (document, found), (there, _) = target.documents.batch(asked), source.documents.batch(asked)
        assert (document.value, document.created_at) == (there.value, there.created_at)
        assert [one.key for one in found] == ["%"]
        assert target.import_(text(exported(source))).documents == 0


def test_the_files_of_a_user_go_with_the_user() -> None:
    with lived_in() as source, opened() as target:
        rows = exported(source, user_id="bob")
        assert {row["key"] for row in rows if row.get("kind") == "document"} == {
            "%2f;memories%2f;bob.md",
            "1",
        }
        assert "alice" not in json.dumps(rows)
        target.import_(text(rows), user_id="bob")
        assert seen(target, user_id="bob") == seen(source, user_id="bob")
        with pytest.raises(InputError, match="only"):
            target.import_(text([rows[0], *filter(is_document, exported(source)), rows[-1]]), user_id="bob")


def is_document(row: Row) -> bool:
    return row.get("kind") == "document"


def test_an_edited_message_is_edited_elsewhere() -> None:
    """What only a former text supports is closed once the edit is remembered, wherever that happens."""
    with opened() as source, opened() as target:
        source.add([Message("I live in Rome", id="m")], user_id="alice", session_id="s")
        source.record([Message("I live in Oslo", id="m")], user_id="alice", session_id="s")
        target.import_(text(exported(source)))
        for memory in (source, target):
            memory.add([Message("I live in Oslo", id="m")], user_id="alice", session_id="s")
            assert [it.text for it in memory.get_all(user_id="alice")] == ["I live in Oslo"]


def test_an_export_of_an_earlier_format_is_read() -> None:
    with lived_in() as source, opened() as target:
        rows = [row for row in exported(source) if row.get("kind") not in ("edit", "document")]
        rows[0]["version"], rows[-1]["rows"] = 2, len(rows) - 2
        assert target.import_(text(rows)).documents == 0
        assert target.index.verify()


def test_the_async_face_exports_and_imports_alike(tmp_path: Path) -> None:
    async def there_and_back() -> None:
        async with lived_in() as source, opened() as target:
            written = await source.aexport(tmp_path / "x.jsonl", user_id="alice")
            told: list[tuple[int, int]] = []
            read = await target.aimport_(tmp_path / "x.jsonl", progress=lambda *now: told.append(now))
            assert read == written
            assert told[-1] == (written.versions, written.versions)
            assert (await target.aget_all(user_id="alice")).items == (
                await source.aget_all(user_id="alice")
            ).items

    asyncio.run(there_and_back())


def test_an_import_goes_on_as_if_it_had_never_moved() -> None:
    with lived_in() as source, opened() as target:
        target.import_(text(exported(source)))
        for memory in (source, target):
            again = memory.add(
                [Message("I live in Lisbon. 我喜欢打网球。", id="m1")], user_id="alice", session_id="s"
            )
            assert not again.changes, "a message is remembered once per id, wherever its store came from"
            memory.add("I have a dog", user_id="alice")
        places = [[m.position for m in memory.messages(user_id="alice")] for memory in (source, target)]
        assert places[0] == places[1]
        last = target.history(target.get_all(user_id="alice").items[0].id)[-1]
        assert target.undo(last.id)


def test_importing_twice_changes_nothing() -> None:
    with lived_in() as source, opened() as target:
        rows = exported(source)
        target.import_(text(rows))
        before = exported(target)[1:]
        again = target.import_(text(rows))
        assert (again.messages, again.versions, again.changes, again.jobs) == (0, 0, 0, 0)
        assert again.skipped == len(rows) - 2
        assert exported(target)[1:] == before


def test_an_import_into_a_scope_with_other_memories_keeps_both() -> None:
    with lived_in() as source, opened() as target:
        target.add("I was here before", user_id="alice")
        rows = exported(source, user_id="alice")
        target.import_(text(rows))
        assert target.import_(text(rows)).versions == 0
        assert {"I was here before"} < {item.text for item in target.get_all(user_id="alice")}
        own = [
            m.position for m in target.messages(user_id="alice") if m.scope.agent_id is m.scope.run_id is None
        ]
        assert own == list(range(1, len(own) + 1))


def test_a_scope_is_exported_without_its_neighbours() -> None:
    with lived_in() as source:
        rows = exported(source, user_id="bob")
        assert {row.get("user_id", "bob") for row in rows[1:-1]} == {"bob"}
        with opened() as target:
            with pytest.raises(InputError, match="line 2: it belongs to"):
                target.import_(text(exported(source)), user_id="bob")
            assert target.import_(text(rows), user_id="bob").versions == 1


def test_unfinished_work_is_exported_and_finished_elsewhere() -> None:
    failing = ScriptedModel([RuntimeError("down")] * 2)
    with opened(llm=failing) as source:
        with pytest.raises(Exception, match="down"):
            source.add("I live in Lisbon", user_id="alice")
        rows = exported(source)
        failing.replies = [facts("Lives in Lisbon"), facts("Lives in Lisbon")]
        with opened(llm=ScriptedModel([facts("Lives in Lisbon")]), resume_on_open=False) as target:
            target.import_(text(rows))
            target.resume()
            assert target.flush(5)
            assert [item.text for item in target.get_all(user_id="alice")] == ["Lives in Lisbon"]


def first(rows: list[Row], kind: str) -> Row:
    return next(row for row in rows if row.get("kind") == kind)


def last(rows: list[Row], kind: str) -> Row:
    return [row for row in rows if row.get("kind") == kind][-1]


BROKEN: dict[str, Callable[[list[Row]], Any]] = {
    "no header": lambda rows: rows.pop(0),
    "another format": lambda rows: rows[0].update(format="mem0"),
    "a newer format": lambda rows: rows[0].update(version=VERSION + 1),
    "cut short": lambda rows: rows.pop(),
    "a row is missing": lambda rows: rows.pop(2),
    "a row too many": lambda rows: rows.insert(2, dict(rows[2])),
    "something after the end": lambda rows: rows.append(dict(rows[-1])),
    "an unknown kind": lambda rows: rows[2].update(kind="secret"),
    "a missing field": lambda rows: first(rows, "version").pop("text"),
    "an unknown field": lambda rows: first(rows, "message").update(seq=1),
    "an empty text": lambda rows: first(rows, "version").update(text=" "),
    "a NUL": lambda rows: first(rows, "version").update(text="a\x00b"),
    "a lone surrogate": lambda rows: first(rows, "message").update(content="\ud800"),
    "an id that is no UUID": lambda rows: first(rows, "version").update(id="x"),
    "a time that is none": lambda rows: first(rows, "version").update(valid_from="yesterday"),
    "a number that is text": lambda rows: first(rows, "message").update(position="1"),
    "a number that is true": lambda rows: first(rows, "message").update(position=True),
    "a number too large": lambda rows: first(rows, "message").update(position=2**80),
    "an unknown role": lambda rows: first(rows, "message").update(role="root"),
    "an unknown operation": lambda rows: first(rows, "change").update(operation="DROP"),
    "a scope key in metadata": lambda rows: first(rows, "version").update(metadata={"user_id": "bob"}),
    "a blank scope": lambda rows: first(rows, "version").update(user_id=" "),
    "no scope": lambda rows: first(rows, "version").update(user_id=None, agent_id=None, run_id=None),
    "evidence of another scope": lambda rows: last(rows, "change").update(
        evidence=[first(rows, "message")["id"]]
    ),
    "evidence of nobody": lambda rows: first(rows, "change").update(evidence=["nobody"]),
    "a change of no memory": lambda rows: first(rows, "change").update(memory_id="nobody"),
    "a change to no version": lambda rows: first(rows, "change").update(after=None),
    "two current versions": lambda rows: first(rows, "version").update(valid_to=None),
    "a version before its time": lambda rows: first(rows, "version").update(
        valid_to=first(rows, "version")["valid_from"]
    ),
    "a jump of versions": lambda rows: first(rows, "version").update(version=3),
    "a job of another scope": lambda rows: last(rows, "message").update(add_id=first(rows, "job")["id"]),
    "a memory that moves": lambda rows: last(
        [row for row in rows if row.get("version", 1) > 1], "version"
    ).update(user_id="mallory"),
    "an edit of nobody": lambda rows: first(rows, "edit").update(message_id="nobody"),
    "an edit of itself": lambda rows: first(rows, "edit").update(message_id=first(rows, "edit")["replaces"]),
    "an edit twice": lambda rows: rows.insert(rows.index(first(rows, "edit")), dict(first(rows, "edit"))),
    "a document's value that is none": lambda rows: last(rows, "document").update(value="[]"),
    "a document's value that is no JSON": lambda rows: last(rows, "document").update(value="{"),
    "a document in no namespace": lambda rows: last(rows, "document").update(namespace=""),
    "a document's namespace of another kind": lambda rows: last(rows, "document").update(namespace="a%"),
    "a document's key of another kind": lambda rows: last(rows, "document").update(key="a/b"),
    "a document's texts that are none": lambda rows: last(rows, "document").update(texts=["a"]),
    "a document's text that is blank": lambda rows: last(rows, "document").update(texts={"a": " "}),
    "a document in the future": lambda rows: last(rows, "document").update(updated_at="2999-01-01"),
    "an order upside down": lambda rows: rows.__setitem__(slice(1, -1), rows[-2:0:-1]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused_and_changes_nothing(how: str) -> None:
    with lived_in() as source, opened() as target:
        target.add("I was here before", user_id="alice")
        before = exported(target)[1:]
        rows = exported(source)
        BROKEN[how](rows)
        with pytest.raises(InputError):
            target.import_(text(rows))
        assert exported(target)[1:] == before
        assert target.index.verify()


def test_a_line_that_is_no_json_is_named() -> None:
    with lived_in() as source, opened() as target:
        lines = text(exported(source)).getvalue().splitlines()
        lines[4] = lines[4][:-3]
        with pytest.raises(InputError, match="line 5"):
            target.import_(io.StringIO("\n".join(lines)))
        for number in ("NaN", "Infinity", "1e999"):
            with pytest.raises(InputError):
                target.import_(io.StringIO(f'{lines[0]}\n{{"kind": "end", "rows": {number}}}'))


def test_an_id_with_other_content_is_refused() -> None:
    with lived_in() as source, opened() as target:
        target.import_(text(exported(source)))
        before = exported(target)[1:]
        rows = exported(source)
        last(rows, "version")["text"] = "I am Mallory"
        with pytest.raises(InputError, match=r"line \d+: version .* is here already, with text"):
            target.import_(text(rows))
        assert exported(target)[1:] == before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with opened() as memory:
        with pytest.raises(InputError, match=r"nowhere\.jsonl"):
            memory.import_(tmp_path / "nowhere.jsonl")
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match="UTF-8"):
            memory.import_(tmp_path / "binary")
        with pytest.raises(StorageError, match="nowhere"):
            memory.export(tmp_path / "nowhere" / "x.jsonl", everything=True)
        with (tmp_path / "binary").open("rb") as file, pytest.raises(InputError, match="text"):
            memory.import_(file)  # type: ignore[arg-type]


def test_an_export_that_fails_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lived_in() as memory:
        path = tmp_path / "x.jsonl"
        memory.export(path, everything=True)
        before = path.read_bytes()

        def full(*_: Any, **__: Any) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("holdfast.engine.transfer.json.dumps", full)
        with pytest.raises(StorageError, match="No space"):
            memory.export(path, everything=True)
        assert path.read_bytes() == before
        assert [it.name for it in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.fixture(scope="module")
def rows_of_a_store() -> str:
    with lived_in() as source:
        return json.dumps(exported(source))


@pytest.fixture(scope="module")
def empty() -> Iterator[Memory]:
    with opened() as memory:
        yield memory


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_damage_to_a_file_gets_in_halfway(rows_of_a_store: str, data: st.DataObject) -> None:
    """Any damage to any line either is refused, or left the file a whole export of something."""
    chance = random.Random(data.draw(st.integers(0, 10**6)))
    rows = json.loads(rows_of_a_store)
    values: list[Any] = [None, "", " ", "x", 0, -1, 1.5, True, [], {}, ["a"], {"a": 1}, "2026-01-01", 10**30]
    for _ in range(chance.randint(1, 3)):
        row = rows[chance.randrange(len(rows))]
        row[chance.choice(sorted(row))] = chance.choice(values)
    with opened(now=Ticking(Ticking().at + timedelta(days=1))) as target:
        try:
            target.import_(text(rows))
        except InputError:
            assert target.export(io.StringIO(), everything=True).messages == 0
        assert target.index.verify()
        target.search("where", user_id="alice")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=40), st.just('{"kind": "end", "rows": 0}'), st.binary().map(repr)))
)
def test_no_file_crashes_an_import(empty: Memory, lines: list[str]) -> None:
    with suppress(InputError):
        empty.import_(io.StringIO("\n".join(['{"format": "holdfast-export", "version": 1}', *lines])))
    assert empty.export(io.StringIO(), everything=True).messages == 0
