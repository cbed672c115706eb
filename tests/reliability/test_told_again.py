"""What an error says is true: what was journaled before it is named, and telling it again tells it once."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from holdfast import HoldfastError, Memory, Message, ModelError, StorageError
from tests.conftest import Face, Opener
from tests.support import inside
from tests.support.fakes import HashEmbedder, ScriptedModel


class Failing:
    """Lets an embedder, and a ledger, fail when it is told to."""

    def __init__(self, memory: Face) -> None:
        self.statement: str | None = None
        self.times = 1
        engine = inside.store_of(memory.memory).ledger.database._engine
        event.listen(engine, "before_cursor_execute", self._before)

    def _before(self, _: Any, cursor: Any, statement: str, *__: Any) -> None:
        if self.statement is not None and statement.startswith(self.statement):
            self.times -= 1
            self.statement = self.statement if self.times else None
            cursor.execute("SELECT * FROM no_such_table")


def texts(memory: Face, user: str = "alice") -> list[str]:
    return [item.text for item in memory.get_all(user_id=user)]


def test_a_failure_after_the_journal_names_the_add_and_the_same_again_finishes_it(
    open_memory: Opener,
) -> None:
    memory = open_memory()
    failing = Failing(memory)
    failing.statement = "INSERT INTO versions"
    with pytest.raises(StorageError, match="journaled as add") as told:
        memory.add("I like tea", user_id="alice", infer=False)
    add_id = told.value.add_id
    assert [job.id for job in memory.jobs.pending()] == [add_id]
    assert len(memory.messages(user_id="alice")) == 1

    again = memory.add("I like tea", user_id="alice", infer=False)
    assert again.id == add_id
    assert again.state == "done"
    assert [change.after for change in again] == ["I like tea"]
    assert texts(memory) == ["I like tea"]
    assert len(memory.messages(user_id="alice")) == 1
    assert memory.jobs.pending() == []


def test_a_failure_before_the_journal_names_no_add_and_stores_nothing(open_memory: Opener) -> None:
    memory = open_memory()
    failing = Failing(memory)
    failing.statement = "INSERT INTO messages"
    with pytest.raises(StorageError) as told:
        memory.add("I like tea", user_id="alice", infer=False)
    assert told.value.add_id is None
    assert "journaled" not in str(told.value)
    assert memory.messages(user_id="alice") == ()
    assert memory.jobs.pending() == []
    memory.add("I like tea", user_id="alice", infer=False)
    assert texts(memory) == ["I like tea"]


def test_an_add_that_cannot_look_what_comes_before_it_is_raised_and_kept(open_memory: Opener) -> None:
    memory = open_memory()
    failing = Failing(memory)

    def fail() -> None:
        failing.statement, failing.times = "SELECT jobs", 20

    inside.at(memory.memory, "leased", fail)
    with pytest.raises(StorageError, match="journaled as add"):
        memory.add("I like tea", user_id="alice", infer=False)
    assert failing.statement is not None, "the ledger still fails: it was not tried until it worked"
    failing.statement = None
    inside.at(memory.memory, "leased", lambda: None)
    memory.resume()
    assert texts(memory) == ["I like tea"]


def test_a_model_that_failed_is_asked_about_the_same_messages_once(open_memory: Opener) -> None:
    memory = open_memory(llm=ScriptedModel([ModelError("down"), ModelError("down")]))
    said = [Message("I like tea"), Message("Noted", role="assistant")]
    with pytest.raises(ModelError) as first:
        memory.add(said, user_id="alice", session_id="s")
    with pytest.raises(ModelError) as second:
        memory.add(said, user_id="alice", session_id="s")
    assert first.value.add_id == second.value.add_id
    assert f"journaled as add {first.value.add_id!r}" in str(second.value)
    assert len(memory.messages(user_id="alice")) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"messages": "I like coffee"},
        {"messages": ["I like tea", "I like tea"]},
        {"messages": Message("I like tea", role="assistant")},
        {"messages": Message("I like tea", id="7")},
        {"messages": Message("I like tea", happened_at="2026-01-01")},
        {"user_id": "bob"},
        {"run_id": "r"},
        {"session_id": "t"},
        {"metadata": {"k": 1}},
        {"background": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_is_said_anew(open_memory: Opener, other: dict[str, Any]) -> None:
    memory = open_memory()
    failing = Failing(memory)
    failing.statement = "INSERT INTO versions"
    told = {"messages": "I like tea", "user_id": "alice", "session_id": "s", "infer": False}
    with pytest.raises(StorageError) as first:
        memory.add(told["messages"], **{key: told[key] for key in told if key != "messages"})
    second = told | other
    result = memory.add(second["messages"], **{key: second[key] for key in second if key != "messages"})
    assert result.id != first.value.add_id


def test_what_was_remembered_may_be_said_again(open_memory: Opener) -> None:
    memory = open_memory()
    first = memory.add("I like tea", user_id="alice", infer=False)
    second = memory.add("I like tea", user_id="alice", infer=False)
    assert first.id != second.id
    assert len(memory.messages(user_id="alice")) == 2


def test_an_add_that_was_given_up_is_taken_up_by_telling_it_again(open_memory: Opener) -> None:
    memory = open_memory()
    failing = Failing(memory)
    failing.statement = "INSERT INTO versions"
    with pytest.raises(StorageError) as told:
        memory.add(Message("I like tea", id="1"), user_id="alice", infer=False)
    jobs = inside.store_of(memory.memory).ledger.jobs
    add_id = told.value.add_id
    assert jobs.lease_one("worker", add_id)
    jobs.give_back(add_id, "worker", "down", retry_at=jobs._clock(), failed=True)
    assert memory.add(Message("I like tea", id="1"), user_id="alice", infer=False).state == "done"
    assert texts(memory) == ["I like tea"]
    assert memory.jobs.failed() == []


def test_a_log_is_replaced_as_a_whole_or_not_at_all(open_memory: Opener) -> None:
    memory = open_memory()
    old = memory.record(["one", "two", "three"], user_id="alice", session_id="s")
    failing = Failing(memory)
    failing.statement = "INSERT INTO messages"
    with pytest.raises(StorageError):
        memory.record(["four"], user_id="alice", session_id="s", keep=[old[0].id])
    log = memory.messages(user_id="alice", session_id="s")
    assert [message.message.content for message in log] == ["one", "two", "three"]
    memory.record(["four"], user_id="alice", session_id="s", keep=[old[0].id])
    log = memory.messages(user_id="alice", session_id="s")
    assert [message.message.content for message in log] == ["one", "four"]


def test_any_number_of_messages_may_be_kept(open_memory: Opener) -> None:
    memory = open_memory()
    memory.record(["one", "two"], user_id="alice", session_id="s")
    first = memory.messages(user_id="alice")[0].id
    keep = [*(f"nothing {at}" for at in range(70_000)), first]
    assert memory.clear_messages(user_id="alice", session_id="s", keep=keep) == 1
    assert [message.id for message in memory.messages(user_id="alice")] == [first]


def opened(folder: Path) -> Memory:
    return Memory(folder, llm=None, embedder=HashEmbedder())


def test_closing_a_store_whose_folder_is_gone_frees_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    memory = opened(folder)
    memory.add("I like tea", user_id="alice", infer=False)
    shutil.rmtree(folder)
    with pytest.raises(StorageError):
        memory.close()
    memory.close()
    with opened(folder) as fresh:
        assert fresh.count() == 0


@pytest.mark.parametrize("loss", ["removed", "emptied", "another"])
def test_an_index_without_its_ledger_is_refused_and_stays(tmp_path: Path, loss: str) -> None:
    folder = tmp_path / "store"
    with opened(folder) as memory:
        memory.add("I like tea", user_id="alice", infer=False)
    saved = (folder / "ledger.db").read_bytes()
    for path in folder.glob("ledger.db-*"):
        path.unlink()
    if loss == "removed":
        (folder / "ledger.db").unlink()
    elif loss == "emptied":
        (folder / "ledger.db").write_bytes(b"")
    else:
        with opened(tmp_path / "other"):
            pass
        shutil.copy(tmp_path / "other" / "ledger.db", folder)
    for _ in range(2):  # the second time, too
        with pytest.raises(StorageError, match="ledger"):
            opened(folder)
    (folder / "ledger.db").write_bytes(saved)
    with opened(folder) as memory:
        assert [item.text for item in memory.get_all(user_id="alice")] == ["I like tea"]
        assert memory.index.verify()


def test_every_error_can_carry_an_add() -> None:
    error = HoldfastError("it failed")
    assert str(error) == "it failed"
    error.add_id = "7"
    assert "resume()" in str(error)


def test_what_was_cancelled_and_is_told_again_is_remembered_once(tmp_path: Path) -> None:
    class Hanging(HashEmbedder):
        hangs = True

        async def aembed_documents(self, texts: Any) -> Any:
            if self.hangs:
                await asyncio.sleep(60)
            return self.embed_documents(texts)

    embedder = Hanging()

    async def twice(memory: Memory) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(memory.aadd("I like tea", user_id="alice", infer=False), 0.2)
        embedder.hangs = False
        assert (await memory.aadd("I like tea", user_id="alice", infer=False)).state == "done"

    with Memory(tmp_path, llm=None, embedder=embedder) as memory:
        asyncio.run(twice(memory))
        assert [item.text for item in memory.get_all(user_id="alice")] == ["I like tea"]
        assert len(memory.messages(user_id="alice")) == 1
        assert memory.jobs.pending() == []
