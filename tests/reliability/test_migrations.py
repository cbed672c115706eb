"""Older stores are brought forward, newer ones are left alone."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast import Memory, StoreVersionError
from holdfast.storage.ledger.migrations import NEWEST
from holdfast.storage.points import FORM
from tests.support.fakes import HashEmbedder, ScriptedModel, Ticking, facts

STORED = sorted((Path(__file__).parents[1] / "data").glob("ledger-v*.db"))


EXPIRES = {"ledger-v3": datetime(2190, 1, 1, tzinfo=UTC)}


def opened(folder: Path, replies: int = 1) -> Memory:
    model = ScriptedModel([facts("Has a dog")] * replies)
    return Memory(
        folder, llm=model, model_size="large", embedder=HashEmbedder(8), now=Ticking(), resume_on_open=False
    )


def test_every_schema_version_up_to_this_one_is_kept() -> None:
    assert [path.stem for path in STORED] == [f"ledger-v{number}" for number in range(1, NEWEST + 1)]


def schema(path: Path) -> dict[str, set[object]]:
    """The columns of every table, and the statements of the indexes."""
    with sqlite3.connect(path) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: {row[1:] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
        indexes = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        found = columns | {"indexes": {sql for (sql,) in indexes}}
    db.close()
    return found


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_an_older_store_is_brought_to_what_a_new_one_is(stored: Path, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    shutil.copy(stored, tmp_path / "old" / "ledger.db")
    for name in ("old", "new"):
        opened(tmp_path / name).close()
    new = schema(tmp_path / "new" / "ledger.db")
    assert {"memories", "since", "changed_at"} <= {column[0] for column in new["scopes"]}  # type: ignore[index]
    assert schema(tmp_path / "old" / "ledger.db") == new


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_an_older_store_is_opened_and_used(stored: Path, tmp_path: Path) -> None:
    shutil.copy(stored, tmp_path / "ledger.db")
    with opened(tmp_path) as memory:
        assert memory.index.verify()
        items = {item.text: item for item in memory.get_all(user_id="alice")}
        assert set(items) == {"Lives in Porto", "Ana喜欢打网球"}
        home = items["Lives in Porto"]
        assert home.metadata == {"kind": ["home", 1.5, None]}
        assert [change.operation for change in memory.history(home.id)] == ["ADD", "UPDATE"]
        assert memory.search("Porto", user_id="alice")[0].text == "Lives in Porto"
        assert {owner.user_id: owner.memories for owner in memory.users()} == {"alice": 2}
        assert [change.operation for change in memory.changes(user_id="alice")][-2:] == ["ADD", "ADD"]
        before = memory.history(home.id)[0].at
        assert memory.get(home.id, as_of=before).text == "Ana lives in Lisbon"  # type: ignore[union-attr]
        assert [message.message.name for message in memory.messages(user_id="alice", session_id="s")] == [
            "Ana",
            None,
        ]
        assert memory.messages(agent_id="guide")[0].message.data == {"call": 1}
        memory.update(home.id, expires_at="2199-01-01")
        assert memory.search("Porto", user_id="alice")[0].id == home.id
        memory.undo(memory.history(home.id)[-1].id)
        assert memory.get(home.id).expires_at == EXPIRES.get(stored.stem)  # type: ignore[union-attr]
        memory.undo(memory.history(home.id)[1].id)
        assert len(memory.resume()) == 1
        assert [item.text for item in memory.get_all(user_id="bob")] == ["Has a dog"]
        assert memory.erase(user_id="alice").memories == 2
        assert memory.index.verify()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == (str(NEWEST),)
    db.close()


def test_an_index_of_an_older_form_is_filled_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def keywords(memory: Memory) -> float:
        [hit] = memory.search("Häuser", user_id="alice", explain=True)
        return hit.parts.get("keyword", 0.0)

    with opened(tmp_path) as memory, pytest.MonkeyPatch.context() as before:
        before.setattr("holdfast.storage.projection.terms", str.split)
        memory.add("Wir haben ein Haus in den Bergen gekauft", user_id="alice", infer=False)
        assert keywords(memory) == 0
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'form'").fetchone() == (str(FORM),)
        db.execute("DELETE FROM meta WHERE key = 'form'")
    db.close()
    with opened(tmp_path) as memory:
        assert "older form" in caplog.text
        assert keywords(memory) > 0
    caplog.clear()
    with opened(tmp_path):
        assert "older form" not in caplog.text


@pytest.mark.parametrize("version", [str(NEWEST + 1), "99"])
def test_a_newer_store_is_refused_and_not_a_byte_of_it_changes(tmp_path: Path, version: str) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(STORED[-1], path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
    db.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreVersionError, match=f"schema version {version}"):
            opened(tmp_path)
    assert path.read_bytes() == before
    assert {it.name for it in tmp_path.iterdir()} <= {"ledger.db", "lock", "lock.pid"}


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.storage.ledger import migrations

    path = tmp_path / "ledger.db"
    shutil.copy(STORED[-1], path)

    def breaks(db: object) -> None:
        db.exec_driver_sql("DROP TABLE outbox")  # type: ignore[attr-defined]
        raise RuntimeError("a bug in the next step")

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "STEPS", (*migrations.STEPS, breaks))
        patched.setattr(migrations, "NEWEST", NEWEST + 1)
        with pytest.raises(RuntimeError, match="a bug"):
            opened(tmp_path)
    with opened(tmp_path) as memory:
        assert memory.index.verify()
        assert memory.count(user_id="alice") == 2
