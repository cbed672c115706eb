"""Memories that expire: found until then, listed afterwards, and still there for `as_of` and for undo."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast import InputError
from holdfast.decisions.merging import Decision, NewFact
from tests.conftest import Face, Opener
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, Ticking, facts, updating_nearest

START = datetime(2026, 3, 4, 12, tzinfo=UTC)
CODE = "The gate code is 4411."


class Clock(Ticking):
    """A ticking clock that can be set forward."""

    def __init__(self) -> None:
        super().__init__(START)

    def forward(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(open_memory: Opener, clock: Clock) -> Face:
    return open_memory(now=clock)


def kept(memory: Face, text: str = CODE, **options: Any) -> str:
    """One memory of alice, and its id."""
    [change] = memory.add(text, user_id="alice", infer=False, **options)
    return str(change.memory_id)


def found(memory: Face, query: str = "gate code", **options: Any) -> list[str]:
    return [hit.text for hit in memory.search(query, user_id="alice", **options)]


def test_an_expired_memory_is_neither_searched_nor_recalled(memory: Face, clock: Clock) -> None:
    kept(memory, expires_at=timedelta(hours=1))
    kept(memory, "The gate is green.")
    assert found(memory) == [CODE, "The gate is green."]
    assert "4411" in str(memory.recall("gate code", user_id="alice"))
    clock.forward(hours=1)
    assert found(memory) == ["The gate is green."]
    assert "4411" not in str(memory.recall("gate code", user_id="alice"))


def test_it_is_listed_with_its_end_and_keeps_its_history(memory: Face, clock: Clock) -> None:
    memory_id = kept(memory, expires_at="2026-03-05")
    clock.forward(days=3)
    [item] = memory.get_all(user_id="alice")
    assert (item.text, item.expires_at, item.valid_to) == (CODE, datetime(2026, 3, 5, tzinfo=UTC), None)
    assert memory.get(memory_id) == item
    assert memory.count(user_id="alice") == 1
    assert [change.operation for change in memory.history(memory_id)] == ["ADD"]


def test_as_of_sees_what_had_not_expired_then(memory: Face, clock: Clock) -> None:
    kept(memory, expires_at=timedelta(hours=1))
    before = clock.at
    end = clock.forward(hours=2) - timedelta(minutes=1)
    assert found(memory) == []
    assert found(memory, as_of=before) == [CODE]
    assert "4411" in str(memory.recall("gate code", user_id="alice", as_of=before))
    assert found(memory, as_of=end) == []


def test_an_end_is_a_time_or_a_duration(memory: Face) -> None:
    for form in ("2026-03-05T12:00:00+00:00", "P1D", "PT24H", "P0DT1440M", timedelta(days=1)):
        item = memory.get(kept(memory, expires_at=form))
        assert abs(item.expires_at - (START + timedelta(days=1))) < timedelta(minutes=1)


NO_TIME_TO_COME: list[Any] = [
    "2026-03-04", timedelta(0), timedelta(days=-1), timedelta.max, "P999999999W", "P", "PT", "1D", "soon", "", 60,
    True, START,
]  # fmt: skip


def test_what_is_no_time_to_come_is_refused_and_changes_nothing(memory: Face) -> None:
    memory_id = kept(memory)
    for value in NO_TIME_TO_COME:
        with pytest.raises(InputError, match="expires_at"):
            memory.add("x", user_id="alice", infer=False, expires_at=value)
        with pytest.raises(InputError, match="expires_at"):
            memory.update(memory_id, expires_at=value)
    assert [item.text for item in memory.get_all(user_id="alice")] == [CODE]
    assert len(memory.history(memory_id)) == 1
    with pytest.raises(InputError, match=r"expires_at='soon' is neither a time nor a duration: .* 'P30D'"):
        memory.update(memory_id, expires_at="soon")


def test_update_sets_moves_and_takes_away_an_end(memory: Face, clock: Clock) -> None:
    memory_id = kept(memory)
    memory.update(memory_id, expires_at=timedelta(hours=1))
    memory.update(memory_id, "The gate code is 5522.", metadata={"place": "home"})
    assert memory.get(memory_id).expires_at is not None  # other updates leave it
    clock.forward(hours=2)
    assert found(memory) == []
    memory.update(memory_id, expires_at=timedelta(days=1))
    assert found(memory) == ["The gate code is 5522."]
    memory.update(memory_id, expires_at=None)
    clock.forward(days=100)
    assert found(memory) == ["The gate code is 5522."]
    item = memory.get(memory_id)
    assert (item.expires_at, item.metadata) == (None, {"place": "home"})


def test_undo_brings_the_earlier_end_back(memory: Face, clock: Clock) -> None:
    memory_id = kept(memory, expires_at=timedelta(hours=1))
    first = memory.get(memory_id).expires_at
    memory.undo(memory.update(memory_id, expires_at=None).id)
    assert memory.get(memory_id).expires_at == first
    memory.undo(memory.delete(memory_id).id)
    assert memory.get(memory_id).expires_at == first
    assert found(memory) == [CODE]
    clock.forward(hours=1)
    assert found(memory) == []


def test_a_deleted_memory_stays_deleted_whatever_its_end(memory: Face) -> None:
    memory_id = kept(memory, expires_at=timedelta(days=1))
    kept(memory, "The gate code of tomorrow is 1.", expires_at=timedelta(days=1))
    memory.delete(memory_id)
    memory.update(kept(memory, expires_at=timedelta(days=1)), "The gate code is 7.")
    assert sorted(found(memory)) == ["The gate code is 7.", "The gate code of tomorrow is 1."]


def test_of_several_scopes_each_sees_its_own_that_has_not_expired(memory: Face, clock: Clock) -> None:
    for scope in ({"user_id": "alice"}, {"user_id": "bob"}, {"user_id": "alice", "agent_id": "guide"}):
        memory.add(CODE, infer=False, expires_at=timedelta(hours=1), **scope)
        memory.add("The gate is green.", infer=False, **scope)
    assert len(found(memory)) == 4
    hits = memory.search("gate code", user_id="alice", agent_id="guide")
    assert {(hit.text, hit.memory.scope.agent_id) for hit in hits} == {
        (CODE, "guide"),
        ("The gate is green.", "guide"),
    }
    assert memory.search("gate code", agent_id="other") == []


def test_every_fact_of_an_add_carries_its_end_also_in_the_background(open_memory: Opener) -> None:
    clock = Clock()
    memory = open_memory(llm=ScriptedModel([facts("Is in Rome", "Has a rented bike")]), now=clock)
    end = clock.at + timedelta(days=2)
    memory.add("I am in Rome and rented a bike", user_id="alice", expires_at=end, background=True)
    assert memory.flush(30)
    assert [item.expires_at for item in memory.get_all(user_id="alice")] == [end, end]


def test_a_merged_memory_keeps_its_end_unless_the_add_gives_one(open_memory: Opener) -> None:
    clock = Clock()
    memory = open_memory(
        llm=ScriptedModel([facts("Works at Acme")] * 3), merger=ScriptedMerger(updating_nearest), now=clock
    )
    first, second = clock.at + timedelta(days=5), clock.at + timedelta(days=9)
    memory.add("I work at Acme", user_id="alice", expires_at=first)
    memory.add("now at Acme in Rome", infer="merge", user_id="alice")
    [item] = memory.get_all(user_id="alice")
    assert (item.version, item.expires_at) == (2, first)
    memory.add("now at Acme in Oslo", infer="merge", user_id="alice", expires_at=second)
    [item] = memory.get_all(user_id="alice")
    assert (item.version, item.expires_at) == (3, second)


def test_an_expired_memory_is_not_merged_with(open_memory: Opener) -> None:
    clock = Clock()
    seen: list[int] = []

    def decide(fact: NewFact) -> tuple[Decision, ...]:
        seen.append(len(fact.neighbours))
        return updating_nearest(fact)

    memory = open_memory(llm=ScriptedModel(), merger=ScriptedMerger(decide), now=clock)
    memory.add(CODE, infer="merge", user_id="alice", expires_at=timedelta(hours=1))
    clock.forward(hours=1)
    for text in (CODE, "The gate code is 5522."):
        memory.add(text, infer="merge", user_id="alice")
    assert [item.version for item in memory.get_all(user_id="alice")] == [1, 2]
    assert seen == [1]


def test_however_many_have_expired_they_push_nothing_out(open_memory: Opener) -> None:
    clock = Clock()
    shown: list[list[str]] = []

    def decide(fact: NewFact) -> tuple[Decision, ...]:
        shown.append([neighbour.memory.text for neighbour in fact.neighbours])
        return updating_nearest(fact)

    memory = open_memory(llm=ScriptedModel(), merger=ScriptedMerger(decide), now=clock)
    codes = [f"The gate code is {number}." for number in range(300)]
    memory.add(codes, infer=False, user_id="alice", expires_at=timedelta(hours=1))
    kept(memory, "Tea is in the green box behind the gate.")
    kept(memory, "The visitor leaves.", expires_at=timedelta(days=1))
    clock.forward(hours=1)
    assert found(memory, "The gate code is 7.") == [
        "Tea is in the green box behind the gate.",
        "The visitor leaves.",
    ]
    memory.add("The gate code is 7.", infer="merge", user_id="alice")
    [neighbours] = shown
    assert sorted(neighbours) == ["Tea is in the green box behind the gate.", "The visitor leaves."]


def test_what_is_told_again_with_a_later_end_is_kept_for_longer(memory: Face, clock: Clock) -> None:
    def tell(**options: Any) -> str:
        [change] = memory.add(CODE, infer="merge", user_id="alice", **options)
        return str(change.operation)

    memory_id = kept(memory, expires_at=timedelta(hours=2))
    assert tell() == tell(expires_at=timedelta(minutes=1)) == "NOOP"
    assert tell(expires_at=timedelta(hours=5)) == "UPDATE"
    clock.forward(hours=3)
    assert found(memory) == [CODE]
    memory.update(memory_id, expires_at=None)
    assert tell(expires_at=timedelta(days=1)) == "NOOP"  # what never expires does not begin to
    assert memory.get(memory_id).expires_at is None


def test_the_turn_behind_what_expired_is_not_shown_either(open_memory: Opener) -> None:
    clock = Clock()
    memory = open_memory(llm=ScriptedModel([facts("The gate code is 4411", "Has a garden gate")]), now=clock)
    added = memory.add("The code of my garden gate is 4411", user_id="alice")
    memory.update(added[0].memory_id, expires_at=timedelta(hours=1))
    before = clock.at
    clock.forward(hours=1)
    assert found(memory) == ["Has a garden gate"]
    assert "4411" not in str(memory.recall("garden gate", user_id="alice"))
    assert "4411" in str(memory.recall("garden gate", user_id="alice", as_of=before))


def test_an_end_survives_reindexing_repair_and_opening_again(open_memory: Opener, clock: Clock) -> None:
    memory = open_memory(now=clock)
    kept(memory, expires_at=timedelta(hours=1))
    memory.memory.index.rebuild(HashEmbedder(32, "test/other"))
    assert memory.memory.index.repair()
    assert found(memory) == [CODE]
    clock.forward(hours=1)
    assert found(memory) == []
    memory.memory.index.rebuild()
    assert found(memory) == []


def test_export_and_import_carry_the_end(open_memory: Opener, clock: Clock) -> None:
    source, target = open_memory("one", now=clock), open_memory("two", now=clock)
    memory_id = kept(source, expires_at=timedelta(hours=1))
    source.update(memory_id, expires_at=timedelta(hours=3))
    file = io.StringIO()
    source.export(file, user_id="alice")
    file.seek(0)
    target.import_(file)
    assert target.get_all(user_id="alice").items == source.get_all(user_id="alice").items
    clock.forward(hours=2)
    assert found(target) == [CODE]
    clock.forward(hours=2)
    assert found(target) == []
    file.seek(0)
    assert target.import_(file).skipped > 0


def test_an_export_of_the_first_format_is_read_as_never_expiring(memory: Face, open_memory: Opener) -> None:
    kept(memory)
    file = io.StringIO()
    memory.export(file, user_id="alice")
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    rows[0]["version"] = 1
    for row in rows[1:]:
        row.pop("expires_at", None)
    old = io.StringIO("".join(json.dumps(row) + "\n" for row in rows))
    target = open_memory("two")
    target.import_(old)
    assert [item.expires_at for item in target.get_all(user_id="alice")] == [None]


def test_a_retried_add_with_a_duration_is_not_remembered_twice(open_memory: Opener) -> None:
    model = ScriptedModel([ConnectionError("down"), facts("Lives in Rome")])
    memory = open_memory(llm=model)
    for attempt in range(2):
        try:
            memory.add("I live in Rome", user_id="alice", expires_at=timedelta(days=1))
        except Exception:
            assert attempt == 0
    assert memory.count(user_id="alice") == 1
    assert len(memory.messages(user_id="alice")) == 1


def test_a_memory_that_expires_is_found_after_searches_that_knew_of_none(memory: Face) -> None:
    memory.add("I live in Lisbon.", user_id="alice", infer=False)
    for _ in range(2):
        assert [hit.text for hit in memory.search("Lisbon", user_id="alice")] == ["I live in Lisbon."]
    memory.add("I am in Lisbon for a day.", user_id="alice", infer=False, expires_at="P1D")
    found = {hit.text for hit in memory.search("Lisbon", user_id="alice")}
    assert found == {"I live in Lisbon.", "I am in Lisbon for a day."}


def test_filters_know_what_expires_when(memory: Face, clock: Clock) -> None:
    kept(memory, "The gate code is 1.", expires_at=timedelta(hours=1))
    kept(memory, "The gate code is 2.", expires_at=timedelta(days=30))
    kept(memory, "The gate is green.")
    soon = {"expires_at": {"lt": clock.at + timedelta(days=7)}}
    never = {"NOT": {"expires_at": {"gte": "1970-01-01"}}}
    assert found(memory, filters=soon) == ["The gate code is 1."]
    assert found(memory, filters=never) == ["The gate is green."]
    assert "green" not in str(memory.recall("gate", user_id="alice", filters=soon))
    memory.update(memory.get_all(user_id="alice").items[0].id, "The gate code is 9.")
    assert found(memory, filters=soon) == ["The gate code is 9."]
    assert found(memory, filters=soon, as_of=clock.at - timedelta(seconds=1)) != []
    clock.forward(hours=2)
    over = {"expires_at": {"lte": clock.at}}
    assert [item.text for item in memory.get_all(user_id="alice", filters=over)] == ["The gate code is 9."]
    assert memory.count(user_id="alice", filters=never) == 1
    [gone] = memory.delete_all(user_id="alice", filters=over)
    assert gone.before == "The gate code is 9."
