"""`HoldfastMemoryBlock` in LlamaIndex's `Memory`: each turn is remembered when it happens, once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import ContextChatEngine, SimpleChatEngine
from llama_index.core.memory import InsertMethod, Memory

from holdfast import InputError
from llama_index.memory.holdfast import HoldfastMemoryBlock
from llama_index.memory.holdfast.block import _stretch
from tests.llamaindex.conftest import Counted, told
from tests.llamaindex.fakes import (
    Calling,
    Face,
    Listening,
    adding_tool,
    assistant,
    pairs,
    roles,
    text_of,
    user,
)
from tests.llamaindex.test_chat_engines import index

pytestmark = [
    # LlamaIndex's own agents, not ours, still speak pydantic's old names.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
]

FACT = "I'm allergic to peanuts."


def block(engine: Counted, **options: Any) -> HoldfastMemoryBlock:
    return HoldfastMemoryBlock(user_id="alice", memory=engine.memory, **options)


Makes = Callable[..., Memory]


@pytest.fixture
def memory_with() -> Iterator[Makes]:
    """Makes LlamaIndex memories, and closes the databases that they leave open."""
    made: list[Memory] = []

    def make(*blocks: HoldfastMemoryBlock, **options: Any) -> Memory:
        made.append(Memory.from_defaults(memory_blocks=list(blocks), **options))
        return made[-1]

    yield make
    for memory in made:
        database = memory.sql_store._async_engine  # type: ignore[attr-defined]
        if database is not None:
            asyncio.run(database.dispose())


def test_a_message_is_remembered_in_the_turn_in_which_it_is_said(
    face: Face, engine: Counted, memory_with: Makes
) -> None:
    """With the default limits LlamaIndex never puts anything into a block."""
    chat = SimpleChatEngine.from_defaults(llm=Listening("Noted."), memory=memory_with(block(engine)))
    face(chat, "chat", FACT)
    assert engine.texts() == [FACT]


def test_its_memories_expire_when_they_are_to(face: Face, engine: Counted, memory_with: Makes) -> None:
    remembering = block(engine, expires_at="2999-01-31")
    face(
        SimpleChatEngine.from_defaults(llm=Listening("Noted."), memory=memory_with(remembering)), "chat", FACT
    )
    assert engine.texts() == [FACT]
    assert [str(item.expires_at)[:10] for item in engine.memory.get_all(user_id="alice")] == ["2999-01-31"]


def test_what_is_remembered_is_recalled_in_another_conversation(
    face: Face, engine: Counted, memory_with: Makes
) -> None:
    told(engine, FACT)
    llm = Listening("An apple.")
    chat = SimpleChatEngine.from_defaults(llm=llm, memory=memory_with(block(engine)))
    face(chat, "chat", "A snack, peanuts?")
    assert FACT in text_of(llm.shown[0])
    assert roles(llm.shown[0]) == ["system", "user"]


def test_every_turn_is_remembered_once(face: Face, engine: Counted, memory_with: Makes) -> None:
    memory = memory_with(block(engine))
    chat = SimpleChatEngine.from_defaults(llm=Listening("Noted."), memory=memory)
    for message in ("I like cheese.", "I own a boat.", "I play chess."):
        face(chat, "chat", message)
    said = engine.memory.messages(user_id="alice")
    assert [message.message.content for message in said] == [
        "I like cheese.",
        "Noted.",
        "I own a boat.",
        "Noted.",
        "I play chess.",
    ]
    assert engine.adds() == 3
    assert engine.count("recall") == 3


def test_what_overflows_later_is_not_remembered_again(
    face: Face, engine: Counted, memory_with: Makes
) -> None:
    memory = memory_with(block(engine), token_limit=40, token_flush_size=1, chat_history_token_ratio=0.5)
    chat = SimpleChatEngine.from_defaults(llm=Listening("Noted, my friend."), memory=memory)
    for number in range(6):
        face(chat, "chat", f"I own exactly {number} boats in harbour {number}.")
    said = [message.message.content for message in engine.memory.messages(user_id="alice")]
    assert len([text for text in said if "boats" in text]) == 6
    assert len(said) == 11


async def test_what_overflows_unseen_is_remembered(engine: Counted) -> None:
    one = block(engine)
    await one.aput([user(FACT), assistant("Noted.")], from_short_term_memory=True, session_id="s")
    await one.aput([user(FACT), assistant("Noted.")], from_short_term_memory=True, session_id="s")
    assert engine.texts() == [FACT]
    assert len(engine.memory.messages(user_id="alice", session_id="s")) == 2


def test_a_context_engine_s_input_is_remembered_and_recalled_for(
    face: Face, engine: Counted, memory_with: Makes
) -> None:
    told(engine, FACT)
    llm = Listening("Noted.")
    chat = ContextChatEngine.from_defaults(
        retriever=index().as_retriever(), llm=llm, memory=memory_with(block(engine))
    )
    face(chat, "chat", "I like peanuts in theory.")
    assert FACT in text_of(llm.shown[0])
    assert [message.message.content for message in engine.memory.messages(user_id="alice")] == [
        FACT,
        "I like peanuts in theory.",
    ]


async def test_an_agent_s_turn_is_remembered_whole_and_once(engine: Counted, memory_with: Makes) -> None:
    llm = Calling(("add", {"a": 1, "b": 2}), "It is 3.")
    agent = FunctionAgent(llm=llm, tools=[adding_tool()], streaming=False)
    await agent.run("I like sums. What is 1+2?", memory=memory_with(block(engine)))
    said = engine.memory.messages(user_id="alice")
    assert [message.message.content for message in said] == ["I like sums. What is 1+2?", "It is 3."]
    assert engine.texts() == ["I like sums."]
    assert engine.count("recall") == 1


def test_it_can_be_inserted_into_the_user_message(engine: Counted, memory_with: Makes) -> None:
    told(engine, FACT)
    memory = memory_with(block(engine), insert_method=InsertMethod.USER)
    memory.put(user("Peanuts?"))
    shown = memory.get()
    assert roles(pairs(shown)) == ["user"]
    assert FACT in text_of(pairs(shown))
    memory.put(assistant("No."))
    memory.get()
    assert engine.texts() == [FACT]


async def test_recall_keeps_to_its_share_and_truncation_to_the_best(engine: Counted) -> None:
    told(engine, *(f"I keep {n} red bicycles in shed number {n}." for n in range(2, 12)), FACT)
    one = block(engine, recall_tokens=200)
    content = await one.aget([user("What about peanuts and my allergic reaction?")], session_id="s")
    [talk] = one.conversations.values()
    assert 100 < talk.last_recalled.tokens <= 200
    best = talk.last_recalled.memories[0].text
    shorter = await one.atruncate(content, 100)
    assert shorter is not None
    assert best in shorter
    assert len(shorter) < len(content)
    assert await one.atruncate(content, 10_000) is None


def test_a_tight_limit_truncates_and_does_not_drop(engine: Counted, memory_with: Makes) -> None:
    told(engine, *(f"I keep {n} red bicycles in shed number {n}." for n in range(2, 12)))
    memory = memory_with(block(engine), token_limit=160)
    memory.put(user("Where are my red bicycles?"))
    shown = text_of(pairs(memory.get()))
    assert "red bicycles in shed" in shown
    assert len(shown) < 900


def test_two_blocks_keep_two_users_apart(engine: Counted, memory_with: Makes) -> None:
    told(engine, FACT, user_id="bob")
    memory = memory_with(block(engine))
    memory.put(user("Peanuts?"))
    assert pairs(memory.get()) == [("user", "Peanuts?")]


def test_a_deep_copy_shares_the_engine(engine: Counted) -> None:
    one = block(engine)
    assert copy.deepcopy(one).memory is engine.memory
    assert "memory" not in one.model_dump()


def test_somebody_has_to_own_the_memory(engine: Counted) -> None:
    with pytest.raises(InputError, match="whose memory"):
        HoldfastMemoryBlock(memory=engine.memory)


@pytest.mark.parametrize(
    ("known", "window", "news"),
    [
        ("", "ab", 0),
        ("ab", "ab", 2),
        ("ab", "abc", 2),
        ("abc", "bcd", 2),
        ("abcdef", "bc", 2),
        ("aba", "bac", 2),
        ("abc", "xyz", 0),
        ("aa", "aaa", 2),
        ("abc", "", 0),
    ],
)
def test_news_is_what_follows_the_end_of_what_is_known(known: str, window: str, news: int) -> None:
    def lines(text: str) -> list[tuple[str, str]]:
        return [("user", letter) for letter in text]

    assert _stretch(lines(known), lines(window))[1] == news
