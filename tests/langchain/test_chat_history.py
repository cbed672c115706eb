"""The chat history as a log of its own, under RunnableWithMessageHistory, and beside the middleware."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core._api.deprecation import LangChainDeprecationWarning
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.notification import add_notification_metadata
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableFieldSpec
from langchain_core.runnables.history import RunnableWithMessageHistory

from holdfast import ClosedError, InputError, Memory
from holdfast.engine.arguments import messages_of
from holdfast.storage.times import now_utc
from langchain_holdfast import (
    HoldfastChatMessageHistory,
    HoldfastMiddleware,
    to_holdfast_messages,
    to_langchain_messages,
)
from tests.langchain.fakes import Runner, ScriptedChat, calls, says, thread

EVERY_KIND: list[BaseMessage] = [
    SystemMessage("Be brief.", id="s"),
    HumanMessage("hi", name="Caroline", id="h", additional_kwargs={"a": [1, {"b": None}]}),
    HumanMessage([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]),
    AIMessage(
        "",
        id="a",
        tool_calls=[{"name": "f", "args": {"x": 1, "城市": "里斯本"}, "id": "c1", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "g", "args": "{", "id": "c2", "error": "no", "type": "invalid_tool_call"}
        ],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "m"},
    ),
    ToolMessage("12 °C", tool_call_id="c1", name="f", artifact={"rows": [1, 2]}, status="error"),
    FunctionMessage("old", name="f"),
    ChatMessage("psst", role="narrator"),
    AIMessage([{"type": "reasoning", "reasoning": "well"}, {"type": "text", "text": "你好"}], name="bot"),
]


def history(memory: Memory, session: str = "s", **options: Any) -> HoldfastChatMessageHistory:
    return HoldfastChatMessageHistory(memory, session, user_id="alice", **options)


def test_every_kind_of_message_comes_back_equal(memory: Memory, run: Runner) -> None:
    log = history(memory)
    run.call(log, "add_messages", EVERY_KIND)
    assert log.messages == EVERY_KIND
    assert run.call(log, "get_messages") == EVERY_KIND if run.face == "async" else True


def test_a_streamed_message_comes_back_whole(memory: Memory) -> None:
    log = history(memory)
    log.add_message(AIMessageChunk("hi", id="a"))
    assert log.messages == [AIMessage("hi", id="a")]


def test_what_is_not_json_is_kept_as_far_as_it_can_be(memory: Memory) -> None:
    odd = AIMessage(
        "x\x00y", response_metadata={"at": now_utc(), "nan": float("nan"), "raw": b"\xff", 1: {2}}
    )
    log = history(memory)
    log.add_message(odd)
    [message] = log.messages
    assert message.content == "x\ufffdy"
    assert message.response_metadata["nan"] == "nan"
    assert message.response_metadata["1"] == [2]


@given(
    st.lists(
        st.builds(
            HumanMessage,
            content=st.text() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})),
            id=st.none() | st.text(),
            name=st.none() | st.text(),
            additional_kwargs=st.dictionaries(st.text(), st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5,
            )),
        ),
        min_size=1, max_size=3,
    )
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_langchain_can_hold_the_journal_takes(messages: list[HumanMessage]) -> None:
    now = now_utc()
    assert len(messages_of(to_holdfast_messages(messages), now, now)) == len(messages)


def test_messages_with_an_id_are_kept_once(memory: Memory, run: Runner) -> None:
    log = history(memory)
    for _ in range(2):
        run.call(log, "add_messages", [HumanMessage("hi", id="1"), HumanMessage("no id")])
    assert [message.content for message in log.messages] == ["hi", "no id", "no id"]


def test_sessions_and_users_do_not_see_each_other(memory: Memory, run: Runner) -> None:
    run.call(history(memory, "a"), "add_messages", [HumanMessage("one")])
    run.call(history(memory, "b"), "add_messages", [HumanMessage("two")])
    other = HoldfastChatMessageHistory(memory, "a", user_id="bob")
    assert [message.content for message in history(memory, "a").messages] == ["one"]
    assert other.messages == []


def test_clear_empties_the_session_and_no_other(memory: Memory, run: Runner) -> None:
    for session in ("a", "b"):
        run.call(history(memory, session), "add_messages", [HumanMessage("one", id="1")])
    run.call(history(memory, "a"), "clear")
    assert history(memory, "a").messages == []
    assert len(history(memory, "b").messages) == 1
    run.call(history(memory, "a"), "add_messages", [HumanMessage("anew", id="1")])
    assert [message.content for message in history(memory, "a").messages] == ["anew"]


def test_a_log_remembers_only_when_asked(memory: Memory, run: Runner) -> None:
    run.call(history(memory, "a"), "add_messages", [HumanMessage("I live in Lisbon.")])
    run.call(history(memory, "b", remember=True), "add_messages", [HumanMessage("I like tea.")])
    assert memory.flush(30)
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I like tea."]


def test_nothing_to_add_is_no_error(memory: Memory, run: Runner) -> None:
    run.call(history(memory), "add_messages", [])
    run.call(history(memory), "add_messages", [RemoveMessage("1")])
    assert history(memory).messages == []


def test_a_limit_gives_the_newest(memory: Memory) -> None:
    history(memory).add_messages([HumanMessage(str(number)) for number in range(5)])
    assert [message.content for message in history(memory, limit=2).messages] == ["3", "4"]


def test_what_it_remembers_expires_when_it_is_to(memory: Memory, run: Runner) -> None:
    log = history(memory, remember=True, expires_at="2999-01-31")
    run.call(log, "add_messages", [HumanMessage("I like tea.")])
    assert memory.flush(30)
    assert [str(item.expires_at)[:10] for item in memory.get_all(user_id="alice")] == ["2999-01-31"]


def test_without_an_owner_it_is_refused(memory: Memory) -> None:
    with pytest.raises(InputError, match="user_id"):
        HoldfastChatMessageHistory(memory, "s")


@pytest.mark.parametrize(
    "options",
    [
        {"session_id": " "},
        {"limit": 0},
        {"on_error": "no"},
        {"metadata": {"user_id": "x"}},
        {"expires_at": "soon"},
        {"after_seconds": -1},
        {"memory": "folder"},
        {"user_id": ""},
    ],
)
def test_its_arguments_are_checked_when_it_is_made(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        HoldfastChatMessageHistory(**{"memory": memory, "session_id": "s", "user_id": "alice", **options})


def test_what_cannot_be_added_is_raised_or_logged(memory: Memory, run: Runner) -> None:
    strict = HoldfastChatMessageHistory(memory, "s", user_id="alice")
    lenient = HoldfastChatMessageHistory(memory, "s", user_id="alice", on_error="log")
    memory.close()
    with pytest.raises(ClosedError):
        run.call(strict, "add_messages", [HumanMessage("Hi.")])
    run.call(lenient, "add_messages", [HumanMessage("Hi.")])
    with pytest.raises(ClosedError):
        _ = lenient.messages


def test_pictures_come_back_unless_they_are_left_out(memory: Memory, run: Runner) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "Look."}
    for name, media, back in (("whole", True, [text, picture]), ("light", False, [text])):
        log = HoldfastChatMessageHistory(memory, name, user_id="alice", media=media)
        run.call(log, "add_messages", [HumanMessage([text, picture])])
        assert log.messages[0].content == back


def test_memory_says_how_langchain_s_messages_are_added(memory: Memory, run: Runner) -> None:
    with pytest.raises(InputError, match="to_holdfast_messages"):
        run.call(memory, "add", [HumanMessage("I like tea.")], user_id="alice")
    said = to_holdfast_messages([HumanMessage("I like tea."), AIMessage("Noted.")])
    run.call(memory, "add", said, user_id="alice")
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I like tea."]
    assert to_langchain_messages(memory.messages(user_id="alice"))[1] == AIMessage("Noted.")


def test_a_framework_s_words_in_the_user_s_place_are_no_memory(memory: Memory, run: Runner) -> None:
    notice = add_notification_metadata(HumanMessage("I live in Paris."), source="background_task")
    log = HoldfastChatMessageHistory(memory, "s", user_id="alice", remember=True)
    run.call(log, "add_messages", [notice])
    memory.flush(30)
    assert log.messages == [notice]
    assert memory.count(user_id="alice") == 0


def test_runnable_with_message_history_reads_and_writes_it(memory: Memory, run: Runner) -> None:
    model = ScriptedChat("Hello Caroline.", "You are Caroline.")
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    with pytest.warns(LangChainDeprecationWarning, match="RunnableWithMessageHistory"):
        chain = RunnableWithMessageHistory(
            prompt | model,  # type: ignore[arg-type]
            lambda user_id, session_id: HoldfastChatMessageHistory(memory, session_id, user_id=user_id),
            input_messages_key="question",
            history_messages_key="history",
            history_factory_config=[
                ConfigurableFieldSpec(id="user_id", annotation=str),
                ConfigurableFieldSpec(id="session_id", annotation=str),
            ],
        )
    config = {"configurable": {"user_id": "alice", "session_id": "s"}}
    run(chain, {"question": "I'm Caroline."}, config=config)
    run(chain, {"question": "Who am I?"}, config=config)
    assert [message.text for message in model.seen[1]] == ["I'm Caroline.", "Hello Caroline.", "Who am I?"]
    assert len(history(memory).messages) == 4


def test_it_shows_what_the_middleware_journaled(memory: Memory, run: Runner) -> None:
    from tests.langchain.test_middleware import weather

    model = ScriptedChat(calls("weather", city="Lisbon"), "Sunny.")
    ours = HoldfastMiddleware(memory, user_id="alice", background=False)
    agent = create_agent(model, tools=[weather], middleware=[ours])
    result = run(agent, says("How is the weather?"), config=thread("s"))
    assert history(memory).messages == result["messages"]


def test_what_it_logged_first_the_middleware_remembers(memory: Memory, run: Runner) -> None:
    said = HumanMessage("I live in Lisbon.", id="m1")
    run.call(history(memory), "add_messages", [said])
    agent = create_agent(
        ScriptedChat("a"), middleware=[HoldfastMiddleware(memory, user_id="alice", background=False)]
    )
    run(agent, {"messages": [said]}, config=thread("s"))
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I live in Lisbon."]
    assert len(history(memory).messages) == 2


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (ChatMessage("x", role="user"), "user"),
        (ChatMessage("x", role="Assistant"), "assistant"),
        (ChatMessage("x", role="developer"), "system"),
        (ChatMessage("x", role="narrator"), "system"),
        (FunctionMessage("x", name="f"), "tool"),
        (ToolMessage("x", tool_call_id="1"), "tool"),
    ],
)
def test_roles_follow_the_kind_of_message(message: BaseMessage, role: str) -> None:
    [converted] = to_holdfast_messages([message])
    assert converted.role == role
