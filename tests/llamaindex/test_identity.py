"""Whose conversation it is: fixed when an object is made, and never guessed from ids that were joined."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import InputError, Memory, Scope
from llama_index.memory.holdfast import (
    HoldfastAsyncChatStore,
    HoldfastChatStore,
    HoldfastMemory,
    HoldfastMemoryBlock,
    HoldfastRetriever,
    HoldfastToolSpec,
)
from tests.llamaindex.conftest import Counted, Remembers
from tests.llamaindex.fakes import Face, assistant, user
from tests.support.fakes import HashEmbedder

Makes = Callable[..., Any]
KINDS: list[Makes] = [HoldfastMemory, HoldfastMemoryBlock, HoldfastChatStore]


def said_by(engine: Counted, **ids: str) -> list[str]:
    return [said.message.content for said in engine.memory.messages(**ids)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"user_id": "org", "agent_id": "a/b"}, {"user_id": "org/a", "agent_id": "b"}),
        ({"user_id": "alice"}, {"user_id": "alice", "agent_id": "None"}),
    ],
)
async def test_blocks_whose_ids_would_join_to_the_same_text_are_two(
    engine: Counted, one: dict[str, str], other: dict[str, str]
) -> None:
    first = HoldfastMemoryBlock(memory=engine.memory, **one)
    second = HoldfastMemoryBlock(memory=engine.memory, **other)
    await first.aget([user("I like cheese.")], session_id="s")
    await second.aget([user("I own a boat.")], session_id="s")
    said = {said.message.content: said.scope for said in engine.memory.messages(user_id=one["user_id"])}
    said |= {said.message.content: said.scope for said in engine.memory.messages(user_id=other["user_id"])}
    assert said == {"I like cheese.": Scope(**one), "I own a boat.": Scope(**other)}


async def test_sessions_of_a_block_whose_names_hold_a_slash_are_two(engine: Counted) -> None:
    block = HoldfastMemoryBlock(user_id="alice", memory=engine.memory)
    await block.aget([user("I like cheese.")], session_id="s/1")
    await block.aget([user("I own a boat.")], session_id="s")
    assert [said.session_id for said in engine.memory.messages(user_id="alice")] == ["s/1", "s"]


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_owner_cannot_be_assigned(kind: Makes, field: str, engine: Counted) -> None:
    made = kind(user_id="alice", memory=engine.memory)
    with pytest.raises(InputError, match=rf"{field}='bob'.*model_copy"):
        setattr(made, field, "bob")
    assert made.user_id == "alice"


def test_another_session_cannot_be_assigned(remembers: Remembers) -> None:
    memory = remembers(session_id="a")
    with pytest.raises(InputError, match=r"session_id='b'.*model_copy"):
        memory.session_id = "b"
    assert memory.session_id == "a"


def test_a_copy_for_another_user_is_another_conversation(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    alice = remembers()
    face(alice, "put_messages", [user("I like cheese."), assistant("Noted.")])
    bob = alice.model_copy(update={"user_id": "bob"})
    assert face(bob, "get_all") == []
    face(bob, "put_messages", [user("I own a boat."), assistant("Nice.")])
    assert said_by(engine, user_id="bob") == ["I own a boat.", "Nice."]
    assert said_by(engine, user_id="alice") == ["I like cheese.", "Noted."]


def test_a_copy_for_another_session_is_another_conversation(face: Face, remembers: Remembers) -> None:
    one = remembers(session_id="a")
    face(one, "put", user("I like cheese."))
    other = one.model_copy(update={"session_id": "b"})
    assert face(other, "get_all") == []
    assert other.model_copy(update={"session_id": "a"}).get_all() == [user("I like cheese.")]


async def test_a_copy_of_a_block_for_another_user_is_another_conversation(engine: Counted) -> None:
    alice = HoldfastMemoryBlock(user_id="alice", memory=engine.memory)
    await alice.aget([user("I like cheese.")], session_id="s")
    bob = alice.model_copy(update={"user_id": "bob"})
    await bob.aget([user("I own a boat.")], session_id="s")
    assert said_by(engine, user_id="bob") == ["I own a boat."]
    assert said_by(engine, user_id="alice") == ["I like cheese."]


def test_a_copy_of_a_chat_store_for_another_user_has_its_own_histories(face: Face, engine: Counted) -> None:
    alice = HoldfastChatStore(user_id="alice", memory=engine.memory)
    face(alice, "set_messages", "a", [user("Hello")])
    bob = alice.model_copy(update={"user_id": "bob"})
    assert face(bob, "get_messages", "a") == []


def test_a_copy_without_an_owner_is_refused(remembers: Remembers) -> None:
    with pytest.raises(InputError, match="whose memory"):
        remembers().model_copy(update={"user_id": None}).put(user("Hello"))


def test_a_copy_on_another_engine_writes_there(remembers: Remembers, engine: Counted) -> None:
    memory = remembers()
    memory.put(user("Hello"))
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as other:
        moved = memory.model_copy(update={"memory": other})
        assert moved.get_all() == []
        moved.put(user("Bye"))
        assert [said.message.content for said in other.messages(user_id="alice")] == ["Bye"]
    assert said_by(engine, user_id="alice") == ["Hello"]


def test_two_objects_of_one_session_are_one_conversation(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    """As a web application makes one for each request."""
    one, two = remembers(session_id="s"), remembers(session_id="s")
    face(one, "put_messages", [user("I like cheese."), assistant("Noted.")])
    face(two, "put", user("I own a boat."))
    face(one, "put", assistant("Nice."))
    assert sorted(engine.texts()) == ["I like cheese.", "I own a boat."]


# -- arguments, dumps, pickles ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_argument_is_refused(kind: Makes, engine: Counted) -> None:
    with pytest.raises(InputError, match=r"no argument 'filter'; it takes .*memory"):
        kind(user_id="alice", memory=engine.memory, filter={"topic": "work"})


@pytest.mark.parametrize("kind", [HoldfastMemory, HoldfastMemoryBlock])
def test_a_bad_value_is_named(kind: Makes, engine: Counted) -> None:
    for name, value in (("on_error", "ignore"), ("recall_tokens", -1), ("patience", "long"), ("metadata", 3)):
        with pytest.raises(InputError, match=rf"{name}={value!r} of a {kind.__name__}"):
            kind(user_id="alice", memory=engine.memory, **{name: value})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"filters": {"topic": {"like": "w"}}}, "like"),
        ({"metadata": {"user_id": "bob"}}, "scope key"),
        ({"threshold": 2.0}, "threshold=2.0"),
        ({"similarity_top_k": 0}, "limit=0"),
    ],
)
@pytest.mark.parametrize("kind", [HoldfastMemory, HoldfastMemoryBlock, HoldfastRetriever, HoldfastToolSpec])
def test_what_would_fail_in_a_turn_fails_when_the_object_is_made(
    kind: Makes, setting: dict[str, Any], message: str, engine: Counted
) -> None:
    known = {*getattr(kind, "model_fields", ()), *inspect.signature(kind).parameters}
    if setting.keys() <= known:
        with pytest.raises(InputError, match=message):
            kind(user_id="alice", memory=engine.memory, **setting)


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_passed_for_the_store_that_is_opened_or_not_at_all(
    kind: Makes, engine: Counted, tmp_path: Any
) -> None:
    embedder = HashEmbedder()
    made = kind(user_id="alice", path=str(tmp_path), llm=None, embed_model=embedder)
    assert made.engine.embedder.name == embedder.name
    with pytest.raises(InputError, match="not both"):
        kind(user_id="alice", memory=engine.memory, embed_model=embedder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dump_and_a_pickle_come_back_to_the_same_engine(kind: Makes, engine: Counted) -> None:
    made = kind(user_id="alice", memory=engine.memory)
    for other in (
        type(made).model_validate(made.model_dump()),
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
    ):
        assert other.engine is engine.memory
        assert other.model_dump() == made.model_dump()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dump_whose_engine_is_gone_is_no_new_store(kind: Makes, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    with Memory(":memory:", llm=None) as gone:
        dump = kind(user_id="alice", memory=gone).model_dump()
    restored = kind.model_validate(dump)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="without its store"):
        restored.engine  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_a_view_of_one_user_s_memory_serves_that_user(face: Face, engine: Counted) -> None:
    alice = engine.memory.scoped(user_id="alice")
    memory = HoldfastMemory.from_defaults("alice", memory=alice, background=False)
    face(memory, "put_messages", [user("I own a boat."), assistant("Nice.")])
    assert engine.texts() == ["I own a boat."]
    for other in (pickle.loads(pickle.dumps(memory)), copy.deepcopy(memory)):
        assert other.engine is alice
    bob = HoldfastMemory.from_defaults("bob", memory=alice)
    with pytest.raises(InputError, match="bob"):
        face(bob, "put", user("Hello"))


def test_a_view_says_whose_memory_it_is(engine: Counted) -> None:
    engine.memory.add("I own a boat.", user_id="alice")
    engine.memory.add("I own a yacht.", user_id="bob")
    alice = engine.memory.scoped(user_id="alice")
    for made in (HoldfastMemory(memory=alice), HoldfastMemoryBlock(memory=alice)):
        assert made.user_id == "alice"
    assert "boat" in HoldfastMemory(memory=alice).recall("a boat or a yacht?").text
    assert [node.text for node in HoldfastRetriever(memory=alice).retrieve("yacht")] == ["I own a boat."]
    assert "yacht" not in HoldfastToolSpec(memory=alice).search_memories("yacht")
    with pytest.raises(InputError, match="bound to user_id='alice'"):
        HoldfastToolSpec("bob", memory=alice).search_memories("yacht")


def test_a_view_of_one_user_s_memory_is_not_found_for_another(tmp_path: Any) -> None:
    with Memory(tmp_path, llm=None, embedder=HashEmbedder()) as engine:
        view = HoldfastMemory.from_defaults("bob", memory=engine.scoped(user_id="bob"))
        dump = HoldfastMemory.from_defaults("alice", memory=engine).to_dict()
        other = HoldfastMemory.from_dict(dump | {"engine_id": "of another process"})
        assert other.engine is engine
        assert view.engine is not engine


def test_a_chat_store_for_llama_index_s_memory_needs_the_whole(engine: Counted) -> None:
    with pytest.raises(InputError, match="documents"):
        HoldfastAsyncChatStore(user_id="alice", memory=engine.memory.scoped(user_id="alice"))


# -- two messages at once -----------------------------------------------------------------------------------


async def test_two_messages_put_at_once_are_both_remembered(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    await asyncio.gather(memory.aput(user("I like cheese.")), memory.aput(user("I own a boat.")))
    await memory.aput(assistant("Noted."))
    assert sorted(engine.texts()) == ["I like cheese.", "I own a boat."]


async def test_flush_finds_all_that_was_put_at_once(engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    facts = [f"I own boat number {number}." for number in range(12)]
    await asyncio.gather(*(memory.aput(user(fact)) for fact in facts))
    assert await memory.aflush(30)
    assert sorted(engine.texts()) == sorted(facts)


def test_threads_that_put_at_once_lose_nothing(engine: Counted, remembers: Remembers) -> None:
    from concurrent.futures import ThreadPoolExecutor

    memory = remembers()
    facts = [f"I own boat number {number}." for number in range(12)]

    def turn(fact: str) -> None:
        memory.put(user(fact))
        memory.put(assistant("Noted."))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(turn, facts))
    assert memory.flush(30)
    assert sorted(engine.texts()) == sorted(facts)
    assert len(memory.get_all()) == 24


def test_flush_finds_what_another_process_left_long_ago(engine: Counted, remembers: Remembers) -> None:
    memory = remembers(session_id="s")
    memory.put(user("I like cheese."))
    memory.set([*memory.get_all(), *(assistant(f"Step {number}") for number in range(300))])
    assert remembers(session_id="s").flush(30)
    assert engine.texts() == ["I like cheese."]
