"""Random sequences of operations against a plain model of what a memory should be, now and at every instant."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from holdfast import Memory, NotFoundError, UndoError
from tests.support.fakes import HashEmbedder, Ticking

TEXTS = st.sampled_from(
    ["tea", "coffee", "I live in Rome", "网球", "两只猫", "x" * 300, "a\nb", "' OR 1=1 --"]
)
USERS = st.sampled_from(["alice", "alice2", "bob"])
EMBEDDERS = (HashEmbedder(16, "test/a"), HashEmbedder(8, "test/b"))


class Life(RuleBasedStateMachine):
    """model: memory -> its texts since its beginning, None while deleted, with the instant of each change."""

    changes = Bundle("changes")

    @initialize(face=st.sampled_from(["sync", "async"]))
    def open(self, face: str) -> None:
        self.memory = Memory(":memory:", llm=None, embedder=EMBEDDERS[0], now=Ticking())
        self.loop = asyncio.new_event_loop() if face == "async" else None
        self.model: dict[str, list[tuple[datetime, str | None, str]]] = {}
        self.owner: dict[str, str] = {}
        self.undone: set[str] = set()

    def do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.call(self.memory, name, *args, **kwargs)

    def call(self, on: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if self.loop is None:
            return getattr(on, name)(*args, **kwargs)
        return self.loop.run_until_complete(getattr(on, f"a{name}")(*args, **kwargs))

    def note(self, change: Any) -> Any:
        past = self.model.setdefault(change.memory_id, [])
        before = past[-1][1] if past else None
        assert change.before == before
        past.append((change.at, change.after, change.id))
        return change

    @rule(target=changes, texts=st.lists(TEXTS, min_size=1, max_size=3), user=USERS)
    def add(self, texts: list[str], user: str) -> Any:
        result = self.do("add", texts, user_id=user, infer=False)
        assert [change.after for change in result] == texts
        for change in result:
            self.owner[change.memory_id] = user
            self.note(change)
        return multiple(*result)

    def current(self, change: Any) -> bool:
        if change.memory_id in self.model:
            return self.model[change.memory_id][-1][1] is not None
        with pytest.raises(NotFoundError):  # it was erased
            self.do("delete", change.memory_id)
        return False

    @rule(target=changes, change=changes, text=TEXTS)
    def update(self, change: Any, text: str) -> Any:
        if not self.current(change):
            return multiple()
        return self.note(self.do("update", change.memory_id, text))

    @rule(target=changes, change=changes)
    def delete(self, change: Any) -> Any:
        if not self.current(change):
            return multiple()
        return self.note(self.do("delete", change.memory_id))

    @rule(target=changes, user=USERS)
    def delete_all(self, user: str) -> Any:
        gone = self.do("delete_all", user_id=user)
        assert {it.memory_id for it in gone} == {
            name for name, past in self.model.items() if self.owner[name] == user and past[-1][1] is not None
        }
        return multiple(*[self.note(change) for change in gone])

    @rule(target=changes, change=consumes(changes))
    def undo(self, change: Any) -> Any:
        """It brings the text before back, exactly where nothing that still stands came after it."""
        if change.memory_id not in self.model:
            with pytest.raises(NotFoundError):
                self.do("undo", change.id)
            return multiple()
        past = self.model[change.memory_id]
        at = next(number for number, (_, _, name) in enumerate(past) if name == change.id)
        before = past[at - 1][1] if at else None
        try:
            [undo] = self.do("undo", change.id)
        except UndoError:
            assert change.id in self.undone or at < len(past) - 1
            return multiple()
        assert change.id not in self.undone
        self.undone.add(change.id)
        assert undo.undoes == change.id
        assert undo.after == before
        return self.note(undo)

    @rule(user=USERS)
    def erase(self, user: str) -> None:
        self.do("erase", user_id=user)
        self.model = {name: past for name, past in self.model.items() if self.owner[name] != user}
        self.owner = {name: other for name, other in self.owner.items() if other != user}

    @rule()
    def rebuild(self) -> None:
        self.call(self.memory.index, "rebuild", EMBEDDERS[self.memory.embedder is EMBEDDERS[0]])

    @invariant()
    def it_knows_what_the_model_knows(self) -> None:
        if not hasattr(self, "memory"):
            return
        for user in ("alice", "alice2", "bob"):
            known = {item.id: item.text for item in self.do("get_all", user_id=user)}
            assert known == {
                name: past[-1][1]
                for name, past in self.model.items()
                if self.owner[name] == user and past[-1][1] is not None
            }
        assert self.call(self.memory.index, "verify")

    @invariant()
    def it_remembers_what_it_knew_at_every_instant(self) -> None:
        moments = sorted({at for past in getattr(self, "model", {}).values() for at, _, _ in past})[-4:]
        for moment in moments:
            then = {
                item.id: item.text
                for user in ("alice", "alice2", "bob")
                for item in self.do("get_all", user_id=user, as_of=moment)
            }
            expected = {
                name: [text for at, text, _ in past if at <= moment] for name, past in self.model.items()
            }
            assert then == {
                name: texts[-1] for name, texts in expected.items() if texts and texts[-1] is not None
            }
        for user in ("alice", "bob"):
            for hit in self.do("search", "tea in Rome", user_id=user, as_of=moments[-1]) if moments else []:
                assert self.owner[hit.id] == user

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            if self.loop is not None:
                self.loop.close()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
