"""`HoldfastMemory` in LlamaIndex's own chat engines, sync and async: what they call, see and keep."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.schema import TextNode

from holdfast import InputError
from llama_index.memory.holdfast import HoldfastMemory
from tests.llamaindex.conftest import Counted, Remembers, told
from tests.llamaindex.fakes import Face, HashEmbedding, Listening, assistant, pairs, roles, text_of, user

MODES = ["simple", "context", "condense_plus_context", "condense_question"]
FACT = "I'm allergic to peanuts."


def index() -> VectorStoreIndex:
    nodes = [TextNode(text="The snack bar sells peanuts, apples and cheese.", id_="menu")]
    return VectorStoreIndex(nodes, embed_model=HashEmbedding())


def chat_engine(mode: str, llm: Listening, memory: HoldfastMemory, **options: Any) -> Any:
    if mode == "simple":
        return SimpleChatEngine.from_defaults(llm=llm, memory=memory, **options)
    if mode == "condense_question":
        query_engine = index().as_query_engine(llm=llm)
        return CondenseQuestionChatEngine.from_defaults(query_engine, llm=llm, memory=memory, **options)
    kind = ContextChatEngine if mode == "context" else CondensePlusContextChatEngine
    return kind.from_defaults(retriever=index().as_retriever(), llm=llm, memory=memory, **options)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_said_in_one_conversation_is_recalled_in_the_next(
    mode: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    first = chat_engine(mode, Listening("Noted."), remembers())
    face(first, "chat", FACT)
    assert engine.texts() == [FACT]

    llm = Listening("An apple.")
    second = chat_engine(mode, llm, remembers())
    answer = face(second, "chat", "Which snack is fine, peanuts?")
    assert answer.response == "An apple."
    assert FACT in text_of([pair for call in llm.shown for pair in call])


@pytest.mark.parametrize("mode", MODES)
def test_the_history_is_what_was_said_without_what_is_recalled(
    mode: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers()
    chat = chat_engine(mode, Listening("An apple."), memory)
    face(chat, "chat", "Any snack without peanuts?")
    expected = [("user", "Any snack without peanuts?"), ("assistant", "An apple.")]
    assert pairs(chat.chat_history) == expected
    assert pairs(face(memory, "get_all")) == expected


@pytest.mark.parametrize("mode", MODES)
def test_recalled_memories_are_not_remembered_again(
    mode: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    chat = chat_engine(mode, Listening("Sure."), remembers())
    face(chat, "chat", "I like cheddar cheese.")
    assert engine.texts() == [FACT, "I like cheddar cheese."]


@pytest.mark.parametrize("mode", MODES)
def test_one_turn_costs_one_recall(mode: str, face: Face, engine: Counted, remembers: Remembers) -> None:
    chat = chat_engine(mode, Listening("Sure."), remembers())
    for turn, message in enumerate(["I like cheese.", "I like apples.", "I like apples."], 1):
        face(chat, "chat", message)
        assert engine.count("recall") == turn


@pytest.mark.parametrize("mode", MODES)
def test_a_turn_is_remembered_by_one_add(
    mode: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    chat = chat_engine(mode, Listening("Sure."), remembers())
    face(chat, "chat", "I like cheese.")
    assert engine.texts() == ["I like cheese."]
    assert engine.adds() == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_streamed_answer_ends_its_turn(mode: str, engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    chat = chat_engine(mode, Listening("Noted."), memory)
    response = chat.stream_chat(FACT)
    assert "".join(response.response_gen) == "Noted."
    if response.write_response_to_history_thread is not None:
        response.write_response_to_history_thread.join()
    assert pairs(memory.get_all()) == [("user", FACT), ("assistant", "Noted.")]
    assert engine.texts() == [FACT]


@pytest.mark.parametrize("mode", MODES)
async def test_an_answer_streamed_on_the_loop_ends_its_turn(
    mode: str, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    chat = chat_engine(mode, Listening("Noted."), memory)
    response = await chat.astream_chat(FACT)
    assert "".join([token async for token in response.async_response_gen()]) == "Noted."
    for task in (response.awrite_response_to_history_task, *response_tasks(response)):
        if task is not None:
            await task
    assert pairs(memory.get_all()) == [("user", FACT), ("assistant", "Noted.")]
    assert engine.texts() == [FACT]


def response_tasks(response: Any) -> list[Any]:
    return []


@pytest.mark.parametrize("mode", MODES)
def test_resetting_the_engine_empties_the_history_and_keeps_the_memories(
    mode: str, engine: Counted, remembers: Remembers
) -> None:
    chat = chat_engine(mode, Listening("Noted."), remembers())
    chat.chat(FACT)
    chat.reset()
    assert chat.chat_history == []
    assert engine.texts() == [FACT]


@pytest.mark.parametrize("mode", ["simple", "context", "condense_plus_context"])
def test_a_history_that_is_passed_replaces_the_journal_s_and_is_not_remembered(
    mode: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    llm = Listening("Yes.")
    chat = chat_engine(mode, llm, memory)
    history = [user("I own a boat."), assistant("Nice.")]
    for _ in range(2):  # as clients do that send the whole history every time
        face(chat, "chat", "Does it float?", chat_history=history)
    assert pairs(memory.get_all()) == [*pairs(history), ("user", "Does it float?"), ("assistant", "Yes.")]
    assert ("user", "I own a boat.") in llm.shown[-1] or "I own a boat." in text_of(llm.shown[-1])
    assert engine.texts() == []


def test_simple_chat_sees_one_system_message(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    llm = Listening()
    chat = chat_engine("simple", llm, remembers(), system_prompt="Be brief.")
    chat.chat("Any snack, peanuts?")
    assert roles(llm.shown[0]) == ["system", "user"]
    assert FACT in text_of(llm.shown[0])


def test_a_context_engine_s_earlier_messages_stay_as_they_were_sent(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    """It asks before it puts the user's message: what is recalled is a message of its own, and in no earlier one."""
    told(engine, FACT)
    llm = Listening()
    chat = chat_engine("context", llm, remembers(), system_prompt="Be brief.")
    for message in ("Hello, how are you?", "Any snack, peanuts?", "And peanut butter?"):
        face(chat, "chat", message)
    assert roles(llm.shown[-1]) == ["system", "system", "user", "assistant", "user", "assistant", "user"]
    assert FACT in llm.shown[-1][1][1]
    assert [text for role, text in llm.shown[-1] if role == "user"] == [
        "Hello, how are you?",
        "Any snack, peanuts?",
        "And peanut butter?",
    ]


def test_a_session_goes_on_after_a_restart_from_the_journal_alone(tmp_path: Any) -> None:
    from llama_index.memory.holdfast import close_engines

    options: dict[str, Any] = {"path": tmp_path, "llm": None, "session_id": "tuesday"}
    chat = chat_engine("simple", Listening("Noted."), HoldfastMemory.from_defaults("alice", **options))
    chat.chat("My boat is called Ariel.")
    close_engines()

    llm = Listening("Ariel.")
    chat = chat_engine("simple", llm, HoldfastMemory.from_defaults("alice", **options))
    chat.chat("What is its name?")
    assert [text for _, text in llm.shown[0]][:2] == ["My boat is called Ariel.", "Noted."]
    assert len(chat.chat_history) == 4


def test_an_engine_that_makes_its_own_memory_is_told_to_be_given_one() -> None:
    with pytest.raises(InputError, match=r"memory=HoldfastMemory.from_defaults\(user_id=...\)"):
        SimpleChatEngine.from_defaults(llm=Listening(), memory_cls=HoldfastMemory)


def test_an_index_makes_a_chat_engine_with_it(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    llm = Listening("Cheese.")
    chat = index().as_chat_engine(memory=remembers(), llm=llm)
    assert str(chat.chat("Which snack has no peanuts?")) == "Cheese."
    assert FACT in text_of(llm.shown[-1])


def test_chinese_conversations_are_remembered_and_recalled(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    face(chat_engine("simple", Listening("好的。"), remembers()), "chat", "我对花生过敏。")
    assert engine.texts() == ["我对花生过敏。"]
    llm = Listening("苹果。")
    face(chat_engine("simple", llm, remembers()), "chat", "推荐一种零食，有花生的可以吗？")
    assert "我对花生过敏" in text_of(llm.shown[0])
