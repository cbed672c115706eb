"""Wrong clocks, ours and other people's: nobody else's memories are dated by them, and nothing waits for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import InputError, Memory, ModelError
from holdfast.storage.ledger.commit import first_ordinal
from holdfast.storage.times import Clock, to_micros
from tests.conftest import Opener
from tests.support import inside
from tests.support.fakes import HashEmbedder, ScriptedModel

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
AHEAD = datetime(2050, 1, 1, tzinfo=UTC)


class Settable:
    """A clock that says what it was set to, and a millisecond more each time."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def ahead_by_years(path: Path) -> Path:
    """An export in which a user's memory is dated 2050."""
    with Memory(":memory:", llm=None, embedder=HashEmbedder(), now=Settable(AHEAD)) as memory:
        memory.add("I live in the future", user_id="mallory", infer=False)
        memory.export(path, everything=True)
    return path


def test_an_import_dated_ahead_is_refused_by_line_and_changes_nothing(
    open_memory: Opener, tmp_path: Path
) -> None:
    memory = open_memory(now=Settable())
    with pytest.raises(InputError, match=r"line 2: created_at='2050-01-01.*ahead"):
        memory.import_(ahead_by_years(tmp_path / "file"))
    assert memory.count() == 0
    assert memory.messages(user_id="mallory") == ()
    [change] = memory.add("I like tea", user_id="alice", infer=False)
    assert change.at.year == 2026


def test_an_import_may_tell_of_what_is_to_come(open_memory: Opener, tmp_path: Path) -> None:
    memory = open_memory(now=Settable())
    memory.add("The conference is on 1 May", user_id="alice", infer=False)
    memory.export(tmp_path / "file", everything=True)
    lines = [json.loads(line) for line in (tmp_path / "file").read_text().splitlines()]
    for row in lines:
        if row.get("kind") == "version":
            row["happened_at"] = "2026-05-01T00:00:00+00:00"
    (tmp_path / "file").write_text("".join(json.dumps(row) + "\n" for row in lines))
    other = open_memory("other", now=Settable())
    other.import_(tmp_path / "file")
    [item] = other.get_all(user_id="alice")
    assert item.happened_at == datetime(2026, 5, 1, tzinfo=UTC)


def test_a_clock_that_was_ahead_dates_nothing_after_it_is_set_right(open_memory: Opener) -> None:
    clock = Settable(AHEAD)
    memory = open_memory(now=clock)
    [wrong] = memory.add("I like tea", user_id="mallory", infer=False)
    assert wrong.at.year == 2050
    clock.at = NOW
    [right] = memory.add("I like coffee", user_id="alice", infer=False)
    assert right.at.year == 2026
    assert [it.text for it in memory.get_all(user_id="alice", as_of=clock())] == ["I like coffee"]
    added = memory.add(["I like rum", "I like gin"], user_id="mallory", infer=False)
    assert {change.at.year for change in added} == {2026}

    rewritten = memory.update(wrong.memory_id, "I like green tea")
    assert rewritten.at > wrong.at  # of one memory, what comes later is dated later
    [other] = memory.add("I like milk", user_id="alice", infer=False)
    assert other.at.year == 2026
    assert {it.text for it in memory.get_all(user_id="mallory")} == {
        "I like rum", "I like gin", "I like green tea",
    }  # fmt: skip
    assert memory.index.verify()


def test_a_store_that_was_written_ahead_is_opened_at_the_right_time(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder(), now=Settable(AHEAD)) as memory:
        memory.add("I like tea", user_id="mallory", infer=False)
    with Memory(tmp_path, llm=None, embedder=HashEmbedder(), now=Settable()) as memory:
        [change] = memory.add("I like coffee", user_id="alice", infer=False)
        assert change.at.year == 2026


def test_a_clock_that_is_set_back_a_little_still_dates_later_what_comes_later(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder(), now=Settable()) as memory:
        [first] = memory.add("I like tea", user_id="alice", infer=False)
    with Memory(
        tmp_path, llm=None, embedder=HashEmbedder(), now=Settable(NOW - timedelta(minutes=5))
    ) as memory:
        [second] = memory.add("I like coffee", user_id="alice", infer=False)
    assert second.at > first.at


def test_an_undo_of_what_a_wrong_clock_dated_leaves_one_version_an_instant(open_memory: Opener) -> None:
    clock = Settable(AHEAD)
    memory = open_memory(now=clock)
    [change] = memory.add("I like tea", user_id="alice", infer=False)
    gone = memory.delete(change.memory_id)
    clock.at = NOW
    [back] = memory.undo(gone.id)
    assert change.at < gone.at < back.at
    assert memory.get(change.memory_id).text == "I like tea"
    assert memory.get(change.memory_id, as_of=gone.at) is None


def test_a_retry_that_a_wrong_clock_put_off_for_years_is_due(open_memory: Opener) -> None:
    clock = Settable(AHEAD)
    replies: list[Any] = [ModelError("down")]
    memory = open_memory(llm=ScriptedModel(replies), now=clock, resume_on_open=False)
    memory.add("I like tea", user_id="alice", background=True)
    jobs = inside.store_of(memory.memory).ledger.jobs
    while not memory.jobs.pending()[0].attempts:
        pass
    clock.at = NOW
    assert memory.jobs.pending()[0].retry_at.year == 2050
    assert jobs.peek() is not None


def test_a_lease_that_a_wrong_clock_gave_for_years_is_over(open_memory: Opener) -> None:
    clock = Settable(AHEAD)
    memory = open_memory(llm=ScriptedModel([ModelError("down")]), now=clock, resume_on_open=False)
    with pytest.raises(ModelError):
        memory.add("I like tea", user_id="alice")
    jobs = inside.store_of(memory.memory).ledger.jobs
    [job] = memory.jobs.pending()
    assert jobs.lease_one("somebody", job.id) is not None
    assert jobs.lease_one("another", job.id) is None
    clock.at = NOW
    assert jobs.lease_one("another", job.id) is not None


@pytest.mark.parametrize("year", [1, 1969, 1970, 2041, 2050, 2250])
def test_memories_are_added_and_listed_in_order_in_any_year(open_memory: Opener, year: int) -> None:
    memory = open_memory(now=Settable(datetime(year, 6, 1, tzinfo=UTC)))
    texts = [f"fact {at}" for at in range(30)]
    for text in texts[:10]:
        memory.add(text, user_id="alice", infer=False)
    memory.add(texts[10:], user_id="alice", infer=False)
    page = memory.get_all(user_id="alice", limit=20)
    rest = memory.get_all(user_id="alice", limit=20, cursor=page.next)
    assert [item.text for item in (*page, *rest)] == texts
    assert memory.search("fact 3", user_id="alice")


def test_ordinals_grow_with_time_and_fit_the_database() -> None:
    moments = [datetime(year, month, 1, tzinfo=UTC) for year in range(1, 10_000, 7) for month in (1, 12)]
    moments += [datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    found = [first_ordinal(to_micros(moment)) for moment in sorted(moments)]
    assert found == sorted(set(found))
    assert found[0] >= -(2**63)
    assert found[-1] < 2**63 - 2**40


def test_commits_of_many_memories_in_one_instant_are_listed_in_order() -> None:
    instant = datetime(2030, 1, 1, tzinfo=UTC)
    with Memory(":memory:", llm=None, embedder=HashEmbedder(4), now=lambda: instant) as memory:
        texts = [f"fact {at}" for at in range(300)]
        for start in range(0, 300, 100):
            memory.add(texts[start : start + 100], user_id="alice", infer=False)
        assert [item.text for item in memory.get_all(user_id="alice")] == texts


def test_a_clock_never_gives_an_instant_twice() -> None:
    clock = Clock(lambda: NOW)
    given = [clock() for _ in range(100)]
    assert given == sorted(set(given))
