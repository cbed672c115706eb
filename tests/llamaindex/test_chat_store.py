"""`HoldfastChatStore`: LlamaIndex's chat stores' behaviour, on the journal, shared with `HoldfastMemory`."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store import SimpleChatStore

from holdfast import InputError, Memory
from llama_index.memory.holdfast import HoldfastChatStore, close_engines
from tests.llamaindex.conftest import Counted, Remembers
from tests.llamaindex.fakes import Face, assistant, called, pairs, returned, user

HISTORY = [user("Hello"), called("look", at="x"), returned("y"), assistant("Hi")]


@pytest.fixture(params=["ours", "llama_index"])
def store(request: pytest.FixtureRequest, engine: Counted) -> Any:
    """Ours beside LlamaIndex's own: the tests say what both do."""
    return (
        HoldfastChatStore(user_id="alice", memory=engine.memory)
        if request.param == "ours"
        else SimpleChatStore()
    )


def add(face: Face, store: Any, key: str, message: Any) -> None:
    if face.is_async:
        import asyncio

        asyncio.run(store.async_add_message(key, message))
    else:
        store.add_message(key, message)


def test_messages_come_back_in_order_by_key(face: Face, store: Any) -> None:
    for message in HISTORY:
        add(face, store, "a", message)
    add(face, store, "b", user("Bye"))
    assert face(store, "get_messages", "a") == HISTORY
    assert face(store, "get_messages", "b") == [user("Bye")]
    assert face(store, "get_messages", "c") == []
    assert sorted(face(store, "get_keys")) == ["a", "b"]


def test_setting_replaces(face: Face, store: Any) -> None:
    face(store, "set_messages", "a", HISTORY)
    face(store, "set_messages", "a", [user("Anew")])
    assert face(store, "get_messages", "a") == [user("Anew")]


def test_deleting_returns_what_was_there(face: Face, store: Any) -> None:
    face(store, "set_messages", "a", list(HISTORY))
    assert face(store, "delete_message", "a", 1) == HISTORY[1]
    assert face(store, "delete_last_message", "a") == HISTORY[3]
    assert face(store, "get_messages", "a") == [HISTORY[0], HISTORY[2]]
    assert face(store, "delete_message", "a", 9) is None
    assert face(store, "delete_messages", "a") == [HISTORY[0], HISTORY[2]]
    assert face(store, "delete_messages", "a") is None
    assert face(store, "get_messages", "a") == []
    assert face(store, "get_keys") == []


def test_what_is_stored_is_not_remembered(engine: Counted) -> None:
    store = HoldfastChatStore(user_id="alice", memory=engine.memory)
    store.set_messages("a", [user("I like cheese."), assistant("Noted.")])
    store.add_message("a", user("I own a boat."))
    assert engine.texts() == []


def test_a_key_is_a_session_of_holdfast_memory(engine: Counted, remembers: Remembers) -> None:
    store = HoldfastChatStore(user_id="alice", memory=engine.memory)
    store.set_messages("a", [user("I like cheese."), assistant("Noted.")])
    memory = remembers(session_id="a")
    memory.put_messages([user("I own a boat."), assistant("Nice.")])
    assert len(store.get_messages("a")) == 4
    assert engine.texts() == ["I own a boat."]
    assert pairs(memory.get())[0] == ("user", "I like cheese.")


def test_copies_share_the_engine(engine: Counted) -> None:
    store = HoldfastChatStore(user_id="alice", memory=engine.memory)
    store.set_messages("a", HISTORY)
    for other in (
        copy.deepcopy(store),
        pickle.loads(pickle.dumps(store)),
        HoldfastChatStore.from_json(store.to_json()),
    ):
        assert other.memory is engine.memory
        assert other.get_messages("a") == HISTORY


def test_a_history_survives_a_restart(tmp_path: Path) -> None:
    store = HoldfastChatStore(user_id="alice", path=str(tmp_path))
    store.set_messages("a", HISTORY)
    dump = store.to_json()
    close_engines()
    assert HoldfastChatStore.from_json(dump).get_messages("a") == HISTORY


def test_a_dump_whose_store_is_gone_says_what_to_do() -> None:
    with Memory(":memory:", llm=None) as engine:
        dump = HoldfastChatStore(user_id="alice", memory=engine).to_dict()
    with pytest.raises(InputError, match="pass memory="):
        HoldfastChatStore.from_dict(dump).get_messages("a")


def test_somebody_has_to_own_the_histories(engine: Counted) -> None:
    with pytest.raises(InputError, match="whose memory"):
        HoldfastChatStore(memory=engine.memory)


@pytest.mark.parametrize(("idx", "removed"), [(0, 0), (-1, 3), (-2, 2), (-4, 0)])
def test_a_message_is_deleted_by_its_place_from_either_end(
    face: Face, store: Any, idx: int, removed: int
) -> None:
    face(store, "set_messages", "a", list(HISTORY))
    assert face(store, "delete_message", "a", idx) == HISTORY[removed]
    assert face(store, "get_messages", "a") == [*HISTORY[:removed], *HISTORY[removed + 1 :]]


def test_an_old_history_keeps_its_dates(face: Face, engine: Counted) -> None:
    store = HoldfastChatStore(user_id="alice", memory=engine.memory)
    third = datetime(2023, 1, 3, tzinfo=UTC)
    dated = [
        ChatMessage(role="user", content="Hello", additional_kwargs={"happened_at": "2023-01-02"}),
        ChatMessage(
            role="assistant",
            content="Hi",
            additional_kwargs={"happened_at": third},
        ),
    ]
    for _ in range(2):
        face(store, "set_messages", "a", dated)
    assert [said.happened_at.day for said in engine.memory.messages(user_id="alice")] == [2, 3]
    assert face(store, "get_messages", "a") == [user("Hello"), assistant("Hi")]
    odd = ChatMessage(role="user", content="Hello", additional_kwargs={"happened_at": "yesterday"})
    with pytest.raises(InputError, match="'yesterday'"):
        add(face, store, "a", odd)
