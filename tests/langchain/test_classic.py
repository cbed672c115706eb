"""`HoldfastMemory` in the chains of langchain-classic, which warn of themselves and not of us."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest
from langchain_core._api.deprecation import LangChainDeprecationWarning
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from pydantic import ValidationError

from holdfast import EmbeddingError, InputError, Memory
from langchain_holdfast import HoldfastMemory
from tests.langchain.fakes import Runner, ScriptedChat
from tests.support.fakes import HashEmbedder


def built(make: Any) -> Any:
    """A chain, made with the framework's own deprecation warnings, which are what they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainDeprecationWarning)
        return make()


def conversation(memory: HoldfastMemory, *replies: str) -> tuple[Any, ScriptedChat]:
    from langchain_classic.chains import ConversationChain

    model = ScriptedChat(*replies)
    return built(lambda: ConversationChain(llm=model, memory=memory)), model


def prompt_of(model: ScriptedChat, call: int = -1) -> str:
    return "\n".join(message.text for message in model.seen[call])


def test_a_conversation_chain_recalls_what_another_was_told(memory: Memory, run: Runner) -> None:
    first, _ = conversation(HoldfastMemory(memory=memory, user_id="alice"), "Noted.")
    run(first, {"input": "I'm allergic to peanuts."})
    second, model = conversation(HoldfastMemory(memory=memory, user_id="alice"), "An apple?")
    result = run(second, {"input": "Any snack without peanuts?"})
    assert result["response"] == "An apple?"
    assert "I'm allergic to peanuts." in prompt_of(model)
    assert memory.count(user_id="alice") == 1


def test_a_plain_string_is_an_input_too(memory: Memory, run: Runner) -> None:
    chain, _ = conversation(HoldfastMemory(memory=memory, user_id="alice"), "Noted.")
    run(chain, "I live in Lisbon.")
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I live in Lisbon."]


def test_its_memories_expire_when_they_are_to(memory: Memory, run: Runner) -> None:
    chain, _ = conversation(HoldfastMemory(memory=memory, user_id="alice", expires_at="2999-01-31"), "Noted.")
    run(chain, "I live in Lisbon.")
    assert [str(item.expires_at)[:10] for item in memory.get_all(user_id="alice")] == ["2999-01-31"]


def test_what_was_recalled_is_not_said_by_the_user(memory: Memory, run: Runner) -> None:
    memory.add("I'm allergic to peanuts.", user_id="alice")
    chain, _ = conversation(HoldfastMemory(memory=memory, user_id="alice"), "An apple?")
    run(chain, {"input": "Any snack without peanuts?"})
    said = [one.message.content for one in memory.messages(user_id="alice")]
    assert said == ["I'm allergic to peanuts.", "Any snack without peanuts?", "An apple?"]


def test_recent_turns_are_shown_on_request(memory: Memory, run: Runner) -> None:
    ours = HoldfastMemory(memory=memory, user_id="alice", turns=1, human_prefix="用户", ai_prefix="助手")
    chain, model = conversation(ours, "a", "b", "c")
    for text in ("one?", "two?", "three?"):
        run(chain, {"input": text})
    assert "用户: two?\n助手: b" in prompt_of(model)
    assert "one?" not in prompt_of(model)


def test_a_turn_that_is_shown_is_not_recalled_beside(memory: Memory, run: Runner) -> None:
    ours = HoldfastMemory(memory=memory, user_id="alice", turns=2)
    run.call(ours, "save_context", {"input": "I live in Lisbon."}, {"output": "Nice."})
    history = run.call(ours, "load_memory_variables", {"input": "Who lives in Lisbon?"})["history"]
    assert history.count("I live in Lisbon.") == 1


def test_it_fills_a_place_for_messages(memory: Memory, run: Runner) -> None:
    from langchain_classic.chains import LLMChain

    memory.add("I'm allergic to peanuts.", user_id="alice")
    ours = HoldfastMemory(memory=memory, user_id="alice", memory_key="known", return_messages=True, turns=2)
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("known"), ("human", "{question}")])
    model = ScriptedChat("An apple?", "A pear?")
    chain = built(lambda: LLMChain(llm=model, prompt=prompt, memory=ours))
    run(chain, {"question": "Any snack without peanuts?"})
    run(chain, {"question": "Another without peanuts?"})
    kinds = [type(message) for message in model.seen[1]]
    assert kinds == [SystemMessage, HumanMessage, AIMessage, HumanMessage]
    assert "I'm allergic to peanuts." in model.seen[1][0].text


def test_it_stands_beside_another_memory(memory: Memory, run: Runner) -> None:
    from langchain_classic.chains import ConversationChain
    from langchain_classic.memory import CombinedMemory, ConversationBufferMemory

    memory.add("I'm allergic to peanuts.", user_id="alice")
    ours = HoldfastMemory(memory=memory, user_id="alice", memory_key="memories", input_key="input")
    prompt = PromptTemplate.from_template("{memories}\n{history}\nHuman: {input}\nAI:")
    model = ScriptedChat("An apple?", "A pear?")

    def make() -> Any:
        buffer = ConversationBufferMemory(memory_key="history", input_key="input")
        return ConversationChain(llm=model, prompt=prompt, memory=CombinedMemory(memories=[buffer, ours]))

    chain = built(make)
    run(chain, {"input": "Any snack without peanuts?"})
    run(chain, {"input": "Another without peanuts?"})
    assert "AI: An apple?" in prompt_of(model)
    assert "I'm allergic to peanuts." in prompt_of(model)


def test_nothing_is_remembered_where_the_chain_fails(memory: Memory, run: Runner) -> None:
    chain, model = conversation(HoldfastMemory(memory=memory, user_id="alice"))
    model.replies.append(RuntimeError("no network"))
    with pytest.raises(RuntimeError):
        run(chain, {"input": "I live in Lisbon."})
    assert memory.messages(user_id="alice") == ()


def test_clear_empties_the_session_and_keeps_memories(memory: Memory, run: Runner) -> None:
    ours = HoldfastMemory(memory=memory, user_id="alice", turns=3)
    run.call(ours, "save_context", {"input": "I live in Lisbon."}, {"output": "Nice."})
    assert "Nice." in run.call(ours, "load_memory_variables", {"input": "hm?"})["history"]
    run.call(ours, "clear")
    assert "Nice." not in run.call(ours, "load_memory_variables", {"input": "hm?"})["history"]
    assert memory.count(user_id="alice") == 1


def test_without_an_input_only_turns_are_loaded(memory: Memory, run: Runner) -> None:
    ours = HoldfastMemory(memory=memory, user_id="alice")
    assert run.call(ours, "load_memory_variables", {}) == {"history": ""}


def test_several_inputs_need_a_key(memory: Memory, run: Runner) -> None:
    ours = HoldfastMemory(memory=memory, user_id="alice")
    with pytest.raises(ValueError, match="One input key expected"):
        run.call(ours, "save_context", {"a": "x", "b": "y"}, {"output": "z"})
    keyed = HoldfastMemory(memory=memory, user_id="alice", input_key="b")
    run.call(keyed, "save_context", {"a": "x", "b": "I like tea."}, {"output": "z"})
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I like tea."]


@pytest.mark.parametrize(
    ("outputs", "key"), [({"output": "z", "more": 1}, None), ({"x": "z"}, None), ({"x": "z", "y": 1}, "x")]
)
def test_the_answer_among_outputs(memory: Memory, outputs: dict[str, Any], key: str | None) -> None:
    HoldfastMemory(memory=memory, user_id="alice", output_key=key).save_context({"input": "hm?"}, outputs)
    assert memory.messages(user_id="alice")[-1].message.content == "z"


def test_an_unclear_answer_is_refused(memory: Memory) -> None:
    with pytest.raises(InputError, match="output_key"):
        HoldfastMemory(memory=memory, user_id="alice").save_context({"input": "hm?"}, {"x": 1, "y": 2})


@pytest.mark.parametrize("wrong", [{}, {"user_id": "alice", "memory": object()}])
def test_without_an_owner_or_a_memory_it_is_refused(memory: Memory, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HoldfastMemory(**{"memory": memory, **wrong})


class Down(HashEmbedder):
    def embed_query(self, text: str) -> Any:
        raise ConnectionError("no route to host")

    def embed_documents(self, texts: Any) -> Any:
        raise ConnectionError("no route to host")


def test_a_memory_that_cannot_be_reached_does_not_take_the_answer_away(run: Runner) -> None:
    with Memory(":memory:", llm=None, embedder=Down()) as memory:
        lenient = HoldfastMemory(memory=memory, user_id="alice")
        assert run.call(lenient, "load_memory_variables", {"input": "Where?"}) == {"history": ""}
        run.call(lenient, "save_context", {"input": "I live in Lisbon."}, {"output": "Noted."})
        assert len(memory.messages(user_id="alice")) == 2
        strict = HoldfastMemory(memory=memory, user_id="alice", on_error="raise")
        with pytest.raises(EmbeddingError):
            run.call(strict, "load_memory_variables", {"input": "Where?"})
        with pytest.raises(EmbeddingError):
            run.call(strict, "save_context", {"input": "I live in Porto."}, {"output": "Noted."})


@pytest.mark.parametrize(
    "options",
    [
        {"filters": {"a": {"approximately": 1}}},
        {"metadata": {"user_id": "x"}},
        {"expires_at": "soon"},
        {"on_error": "no"},
        {"user_id": ""},
    ],
)
def test_its_arguments_are_checked_when_it_is_made(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HoldfastMemory(**{"memory": memory, "user_id": "alice", **options})


def test_importing_the_package_does_not_import_langchain_classic() -> None:
    code = (
        "import sys, langchain_holdfast; langchain_holdfast.HoldfastMiddleware; "
        "assert not any(m.startswith('langchain_classic') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_it_brings_no_deprecation_warning_of_its_own() -> None:
    code = "from langchain_holdfast import HoldfastMemory"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
