"""`HoldfastAsyncChatStore` beside LlamaIndex's own database, and under LlamaIndex's own `Memory`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from llama_index.core.memory import Memory
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from llama_index.memory.holdfast import HoldfastAsyncChatStore, HoldfastMemoryBlock
from tests.llamaindex.conftest import Counted, Remembers
from tests.llamaindex.fakes import assistant, called, pairs, returned, user

HISTORY = [user("Hello"), called("look", at="1"), returned("3"), assistant("Hi"), user("Bye")]
ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED


@pytest.fixture(params=["ours", "theirs"])
async def store(request: pytest.FixtureRequest, engine: Counted) -> AsyncIterator[Any]:
    """Ours, and the one that it stands in for: both do the same."""
    if request.param == "ours":
        yield HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
        return
    theirs = SQLAlchemyChatStore(table_name="messages")
    yield theirs
    if theirs._async_engine is not None:
        await theirs._async_engine.dispose()


async def test_messages_come_back_in_order_by_key(store: Any) -> None:
    await store.add_messages("a", HISTORY[:2])
    for message in HISTORY[2:]:
        await store.add_message("a", message)
    await store.add_message("b", user("Elsewhere"))
    assert await store.get_messages("a") == HISTORY
    assert await store.get_messages("a", limit=2) == HISTORY[:2]
    assert await store.get_messages("a", limit=2, offset=1) == HISTORY[1:3]
    assert await store.get_messages("c") == []
    assert await store.count_messages("a") == 5
    assert sorted(await store.get_keys()) == ["a", "b"]


async def test_the_oldest_are_archived_and_stay(store: Any) -> None:
    await store.add_messages("a", HISTORY)
    assert await store.archive_oldest_messages("a", 2) == HISTORY[:2]
    assert await store.archive_oldest_messages("a", 1) == HISTORY[2:3]
    assert await store.get_messages("a") == HISTORY[3:]
    assert await store.get_messages("a", status=ARCHIVED) == HISTORY[:3]
    assert await store.get_messages("a", status=None) == HISTORY
    assert await store.count_messages("a", status=ARCHIVED) == 3
    await store.add_message("a", user("More"))
    assert await store.get_messages("a") == [*HISTORY[3:], user("More")]
    assert await store.archive_oldest_messages("b", 3) == []


async def test_a_message_may_come_as_an_archived_one(store: Any) -> None:
    await store.add_message("a", HISTORY[0], ARCHIVED)
    await store.add_message("a", HISTORY[4])
    assert await store.get_messages("a") == HISTORY[4:]
    assert await store.get_messages("a", status=ARCHIVED) == HISTORY[:1]
    await store.set_messages("a", HISTORY[:2])
    assert await store.get_messages("a") == HISTORY[:2]
    assert await store.get_messages("a", status=ARCHIVED) == []


async def test_the_oldest_are_deleted(store: Any) -> None:
    await store.add_messages("a", HISTORY)
    await store.archive_oldest_messages("a", 1)
    assert await store.delete_oldest_messages("a", 2) == HISTORY[1:3]
    assert await store.get_messages("a", status=None) == [HISTORY[0], *HISTORY[3:]]
    assert await store.get_messages("a") == HISTORY[3:]


@pytest.mark.parametrize("status", [None, ACTIVE, ARCHIVED])
async def test_those_of_a_status_are_deleted(store: Any, status: MessageStatus | None) -> None:
    await store.add_messages("a", HISTORY)
    await store.archive_oldest_messages("a", 2)
    await store.delete_messages("a", status)
    assert await store.get_messages("a") == ([] if status in (None, ACTIVE) else HISTORY[2:])
    assert await store.get_messages("a", status=ARCHIVED) == (
        [] if status in (None, ARCHIVED) else HISTORY[:2]
    )


async def test_setting_replaces_and_all_of_it_is_active(store: Any) -> None:
    await store.add_messages("a", HISTORY)
    await store.archive_oldest_messages("a", 3)
    await store.set_messages("a", HISTORY[:2])
    assert await store.get_messages("a") == HISTORY[:2]
    await store.set_messages("a", HISTORY[:1], ARCHIVED)
    assert await store.get_messages("a") == []


async def test_one_message_is_deleted_by_its_place(engine: Counted) -> None:
    store = HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
    await store.add_messages("a", HISTORY)
    await store.archive_oldest_messages("a", 2)
    assert await store.delete_message("a", 1) == HISTORY[1]
    assert await store.get_messages("a", status=ARCHIVED) == HISTORY[:1]
    assert await store.delete_message("a", -1) == HISTORY[4]
    assert await store.get_messages("a") == HISTORY[2:4]
    assert await store.delete_message("a", 9) is None


async def test_two_users_keys_are_two_histories(engine: Counted) -> None:
    alice = HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
    bob = HoldfastAsyncChatStore(user_id="bob", memory=engine.memory)
    for store in (alice, bob):
        await store.add_messages("a", HISTORY)
    await alice.archive_oldest_messages("a", 3)
    assert await bob.get_messages("a") == HISTORY
    assert await bob.get_keys() == ["a"]


async def test_no_document_names_an_erased_user(engine: Counted) -> None:
    store = HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
    await store.add_messages("a", HISTORY)
    await store.archive_oldest_messages("a", 3)
    engine.memory.erase(user_id="alice")
    await store.add_messages("a", HISTORY)
    assert await store.get_messages("a") == HISTORY


async def test_a_memory_of_llama_index_keeps_its_history_in_the_journal(engine: Counted) -> None:
    def memory() -> Memory:
        store = HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
        return Memory.from_defaults(
            session_id="s",
            chat_store=store,
            token_limit=60,
            token_flush_size=10,
            chat_history_token_ratio=0.5,
        )

    said = [
        part for n in range(6) for part in (user(f"I own exactly {n} boats."), assistant("Noted, my friend."))
    ]
    for message in said:
        await memory().aput(message)
    shown = await memory().aget()
    assert shown == said[-len(shown) :]
    assert 0 < len(shown) < len(said)
    assert await memory().aget_all() == said
    assert engine.texts() == []


async def test_a_block_remembers_what_the_store_wrote_down_once(engine: Counted) -> None:
    memory = Memory.from_defaults(
        session_id="s",
        chat_store=HoldfastAsyncChatStore(user_id="alice", memory=engine.memory),
        memory_blocks=[HoldfastMemoryBlock(user_id="alice", memory=engine.memory)],
        token_limit=200,
        token_flush_size=10,
        chat_history_token_ratio=0.2,
    )
    for number in range(6):
        await memory.aput(user(f"I own exactly {number} boats."))
        await memory.aget()
        await memory.aput(assistant("Noted, my friend."))
    await memory.aget()
    journal = engine.memory.messages(user_id="alice")
    assert len(journal) == 12
    assert all(said.add_id for said in journal)
    assert len(engine.texts()) == 6


async def test_a_key_is_a_session_of_holdfast_memory(engine: Counted, remembers: Remembers) -> None:
    store = HoldfastAsyncChatStore(user_id="alice", memory=engine.memory)
    await store.add_messages("a", HISTORY)
    assert pairs(remembers(session_id="a").get_all()) == pairs(HISTORY)
