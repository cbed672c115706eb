"""`HoldfastMemory` by itself: history, limits, where memories are shown, copies, restarts, bad input."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import InsertMethod

from holdfast import InputError, Memory, StorageError
from holdfast.models import BundledEmbedder
from llama_index.memory.holdfast import HoldfastMemory, LlamaIndexModel, close_engines, open_engine
from llama_index.memory.holdfast._window import inserted
from tests.llamaindex.conftest import Counted, Remembers, told
from tests.llamaindex.fakes import (
    Face,
    HashEmbedding,
    assistant,
    called,
    pairs,
    returned,
    roles,
    system,
    text_of,
    user,
)

FACT = "I'm allergic to peanuts."


# -- what get returns ---------------------------------------------------------------------------------------


def test_without_memories_get_returns_the_history_as_it_is(face: Face, remembers: Remembers) -> None:
    memory = remembers()
    history = [user("Hello"), assistant("Hi")]
    face(memory, "put_messages", history)
    assert face(memory, "get") == history


def test_an_empty_conversation_has_nothing_to_recall(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    assert face(remembers(), "get") == []
    assert face(remembers(), "get", input="   ") == []


def test_memories_are_recalled_for_the_input_or_for_the_last_user_message(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT, "I own a boat.")
    memory = remembers(recall_tokens=60)
    assert FACT in text_of(pairs(face(memory, "get", input="peanuts?")))
    face(memory, "put", user("What about my boat?"))
    shown = text_of(pairs(face(memory, "get")))
    assert shown.index("I own a boat.") < shown.index("What about my boat?")


def test_what_get_returns_can_be_changed_without_changing_the_history(remembers: Remembers) -> None:
    memory = remembers()
    memory.put(user("Hello"))
    for _ in range(2):
        shown = memory.get()
        assert pairs(shown) == [("user", "Hello")]
        shown[-1].content = "Current state: {} Current message: Hello"
        memory.get_all()[-1].additional_kwargs["seen"] = True
    assert memory.get_all() == [user("Hello")]


def test_memories_go_before_the_latest_user_message_in_it(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers()
    memory.put_messages([system("Be brief."), user("Hi"), assistant("Hello"), user("Peanuts?")])
    shown = memory.get()
    assert roles(pairs(shown)) == ["system", "user", "assistant", "user"]
    assert shown[:3] == memory.get_all()[:3]
    assert (shown[3].content or "").startswith('<memories source="holdfast">')
    assert (shown[3].content or "").endswith("Peanuts?")


def test_memories_are_merged_into_the_system_message_that_leads_the_history(
    engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers(insert_method="system")
    memory.put_messages([system("Be brief."), user("Peanuts?")])
    shown = memory.get()
    assert roles(pairs(shown)) == ["system", "user"]
    assert (shown[0].content or "").startswith("Be brief.\n\n<memories")
    assert shown[1].content == "Peanuts?"


def test_llama_index_s_own_insert_methods_are_taken(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers(insert_method=InsertMethod.SYSTEM)
    memory.put(user("Peanuts?"))
    assert roles(pairs(memory.get())) == ["system", "user"]
    assert memory.to_dict()["insert_method"] == "system"
    assert remembers(insert_method=InsertMethod.USER).insert_method == "user"


def test_a_history_to_begin_with_keeps_its_dates(face: Face, engine: Counted, remembers: Remembers) -> None:
    memory = remembers()
    said = ChatMessage(
        role="user", content="I moved to Porto.", additional_kwargs={"happened_at": "2024-05-01"}
    )
    face(memory, "put_messages", [said, assistant("Nice.")])
    engine.texts()
    [item] = engine.memory.get_all(user_id="alice")
    assert item.happened_at is not None
    assert str(item.happened_at.date()) == "2024-05-01"


def test_memories_become_a_system_message_where_there_is_none(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers(insert_method="system")
    memory.put(user("Peanuts?"))
    assert roles(pairs(memory.get())) == ["system", "user"]


def test_recall_can_be_switched_off(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers(recall_tokens=0)
    memory.put(user("Peanuts?"))
    assert memory.get() == [user("Peanuts?")]
    assert engine.count("recall") == 0


def test_recall_keeps_to_filters_and_new_memories_carry_metadata(
    engine: Counted, remembers: Remembers
) -> None:
    work = remembers(metadata={"topic": "work"}, background=False)
    work.put_messages([user("I review the budget on Mondays."), assistant("Noted.")])
    told(engine, "I play chess on Mondays.")
    memory = remembers(filters={"topic": "work"})
    memory.put(user("What do I do on Mondays?"))
    shown = text_of(pairs(memory.get()))
    assert "budget" in shown
    assert "chess" not in shown


@pytest.mark.parametrize("end", ["2999-01-31", datetime(2999, 1, 31, tzinfo=UTC)])
def test_its_memories_expire_when_they_are_to(face: Face, remembers: Remembers, end: Any) -> None:
    memory = remembers(expires_at=end, background=False)
    face(memory, "put_messages", [user("I live in Lisbon."), assistant("Noted.")])
    assert {str(item.expires_at)[:10] for item in memory.engine.get_all(user_id="alice")} == {"2999-01-31"}


def test_a_dump_keeps_how_long_memories_last(remembers: Remembers) -> None:
    for given, kept in ((timedelta(days=1), "PT86400S"), ("P30D", "P30D"), (None, None)):
        memory = remembers(expires_at=given)
        assert HoldfastMemory.from_json(memory.to_json()).expires_at == memory.expires_at == kept
    for wrong in ("soon", timedelta(0), "2020-01-01", 3):
        with pytest.raises(InputError, match="expires_at"):
            remembers(expires_at=wrong)


def test_the_same_question_is_recalled_anew_in_the_next_turn(engine: Counted, remembers: Remembers) -> None:
    memory = remembers(background=False)
    memory.get(input="Where do I live?")
    memory.put_messages([user("Where do I live?"), assistant("You have not told me.")])
    told(engine, "I live in Lisbon.")
    assert "Lisbon" in text_of(pairs(memory.get(input="Where do I live?")))
    assert engine.count("recall") == 2


def test_a_recall_that_came_before_the_message_is_that_message_s(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers()
    first = face(memory, "get", input="Peanuts?")
    face(memory, "put", user("Peanuts?"))
    assert FACT in text_of(pairs(first))
    assert FACT in text_of(pairs(face(memory, "get")))
    assert engine.count("recall") == 1


def test_answers_can_be_kept_out_of_the_memory(face: Face, engine: Counted, remembers: Remembers) -> None:
    memory = remembers(remember_answers=False)
    face(
        memory,
        "put_messages",
        [user("I like cheese."), assistant("Noted."), user("I own a boat."), assistant("Nice.")],
    )
    assert sorted(engine.texts()) == ["I like cheese.", "I own a boat."]
    said = engine.memory.messages(user_id="alice")
    assert [message.add_id is not None for message in said] == [True, False, True, False]
    assert roles(pairs(memory.get_all())) == ["user", "assistant", "user", "assistant"]


def test_what_a_redactor_masks_is_in_no_part_of_the_history(face: Face) -> None:
    class Masks:
        def redact(self, text: str) -> str:
            return text.replace("4929 1234", "<card>")

    with Memory(":memory:", llm=None, redactor=Masks()) as masked:
        memory = HoldfastMemory.from_defaults("alice", memory=masked)
        said = [
            user("My card is 4929 1234."),
            called("pay", card="4929 1234"),
            returned("paid by 4929 1234"),
            assistant("Ok."),
        ]
        face(memory, "put_messages", said)
        assert masked.flush(60)
        kept = f"{memory.get_all()} {masked.messages(user_id='alice')} {masked.get_all(user_id='alice')}"
        assert "4929" not in kept
        assert kept.count("<card>") >= 3


def test_the_past_of_other_users_is_not_recalled(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT, user_id="bob")
    memory = remembers()
    memory.put(user("Peanuts?"))
    assert memory.get() == [user("Peanuts?")]


# -- the token limit ----------------------------------------------------------------------------------------


def words(count: int) -> str:
    return " ".join(["word"] * count)


def test_the_oldest_turns_leave_first_and_turns_stay_whole(remembers: Remembers) -> None:
    memory = remembers(token_limit=100, recall_tokens=0)
    first = [user(words(40)), called("look", at="1"), returned(words(20)), assistant(words(10))]
    second = [user(words(30)), called("look", at="2"), returned(words(20)), assistant(words(10))]
    memory.put_messages([*first, *second])
    assert memory.get() == second
    assert memory.get_all() == [*first, *second]


def test_no_turn_is_left_out_of_the_middle(remembers: Remembers) -> None:
    memory = remembers(token_limit=60, recall_tokens=0)
    memory.put_messages([user("Hello"), assistant("Hi"), user(words(80)), assistant("Yes."), user("Bye")])
    assert pairs(memory.get()) == [("user", "Bye")]


def test_memories_are_shown_in_a_copy() -> None:
    history = [system("Be brief."), user("Hello")]
    for method in ("user", "system"):
        assert inserted(history, "known", method, history[1]) != history
    assert history == [system("Be brief."), user("Hello")]


def test_leading_system_messages_stay(remembers: Remembers) -> None:
    memory = remembers(token_limit=100, recall_tokens=0)
    memory.put_messages([system("Be brief."), user(words(80)), assistant("Yes."), user(words(50))])
    assert pairs(memory.get()) == [("system", "Be brief."), ("user", words(50))]


def test_a_turn_that_is_too_long_loses_its_oldest_tool_calls_with_their_results(remembers: Remembers) -> None:
    memory = remembers(token_limit=60, recall_tokens=0)
    calls = [part for n in "123" for part in (called("look", at=n), returned(words(20)))]
    memory.put_messages([user("Find it"), *calls])
    shown = memory.get()
    assert shown == [user("Find it"), *calls[-4:]] or shown == [user("Find it"), *calls[-2:]]
    assert len(shown) < 1 + len(calls)


def test_the_latest_user_message_is_kept_however_long_it_is(remembers: Remembers) -> None:
    memory = remembers(token_limit=20, recall_tokens=0)
    memory.put_messages([user("Hello"), assistant("Hi"), user(words(200))])
    assert pairs(memory.get()) == [("user", words(200))]


def test_recalled_memories_and_the_engine_s_prompt_count_against_the_limit(
    engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers(token_limit=300, recall_tokens=80)
    memory.put_messages([user(words(150)), assistant("Yes."), user("Peanuts?")])
    shown = memory.get()
    assert FACT in text_of(pairs(shown))
    assert len(shown) == 3
    assert len(memory.get(initial_token_count=100)) == 1


def test_a_long_history_is_read_from_its_end(remembers: Remembers) -> None:
    memory = remembers(token_limit=10_000, recall_tokens=0)
    messages = [message for n in range(150) for message in (user(f"I say {n}"), assistant(f"I hear {n}"))]
    memory.set(messages)
    assert memory.get() == messages
    assert len(memory.get_all()) == 300


def test_a_tokenizer_of_one_s_own_counts(remembers: Remembers) -> None:
    memory = remembers(token_limit=4, recall_tokens=0, tokenizer_fn=str.split)
    memory.put_messages([user("one two"), assistant("three"), user("four five")])
    assert pairs(memory.get()) == [("user", "four five")]


# -- set and reset ------------------------------------------------------------------------------------------


def test_setting_a_history_keeps_what_is_in_it_already(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    face(memory, "put_messages", [user("I like cheese."), assistant("Noted.")])
    before = engine.memory.messages(user_id="alice")
    longer = [*memory.get_all(), user("Hello"), assistant("Hi")]
    for _ in range(2):
        face(memory, "set", longer)
    assert memory.get_all() == longer
    assert engine.memory.messages(user_id="alice")[:2] == before
    assert engine.texts() == ["I like cheese."]
    assert engine.adds() == 1


def test_setting_a_history_replaces_what_differs(face: Face, remembers: Remembers) -> None:
    memory = remembers()
    face(memory, "set", [user("a"), assistant("b"), user("c")])
    face(memory, "set", [user("a"), assistant("x")])
    assert memory.get_all() == [user("a"), assistant("x")]
    face(memory, "set", [])
    assert memory.get_all() == []


def test_a_history_to_begin_with_is_context_and_not_remembered(engine: Counted, remembers: Remembers) -> None:
    memory = remembers(chat_history=[user("I own a boat."), assistant("Nice.")])
    assert len(memory.get_all()) == 2
    assert engine.texts() == []


def test_resetting_empties_the_history_and_keeps_the_memories(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    face(memory, "put_messages", [user("I like cheese."), assistant("Noted.")])
    face(memory, "reset")
    assert memory.get_all() == []
    assert engine.texts() == ["I like cheese."]


# -- copies and restarts ------------------------------------------------------------------------------------


def copies(memory: HoldfastMemory) -> dict[str, HoldfastMemory]:
    return {
        "copy": copy.copy(memory),
        "deepcopy": copy.deepcopy(memory),
        "model_copy": memory.model_copy(deep=True),
        "pickle": pickle.loads(pickle.dumps(memory)),
        "dict": HoldfastMemory.from_dict(json.loads(json.dumps(memory.to_dict()))),
        "json": HoldfastMemory.from_json(memory.to_json()),
    }


def test_copies_share_the_engine_and_the_conversation(engine: Counted, remembers: Remembers) -> None:
    memory = remembers(token_limit=123, filters={"a": 1}, metadata={"b": 2})
    for name, other in copies(memory).items():
        other.put(user(f"Hello, {name}"))
        assert other.engine is engine.memory, name
        assert memory.get_all() == other.get_all(), name
        assert memory.to_dict() == other.to_dict(), name
    assert len(memory.get_all()) == 6


def test_copies_share_what_was_recalled_for_the_turn(engine: Counted, remembers: Remembers) -> None:
    told(engine, FACT)
    memory = remembers()
    memory.put(user("Peanuts?"))
    expected = memory.get()
    for other in copies(memory).values():
        assert other.get() == expected
    assert engine.count("recall") == 1


def test_a_dump_names_no_engine_and_is_json(remembers: Remembers) -> None:
    dump = remembers().to_dict()
    assert json.loads(json.dumps(dump)) == dump
    assert not {"memory", "conversation", "tokenizer_fn"} & set(dump)


def test_a_dump_opens_the_same_folder_in_another_process(tmp_path: Path) -> None:
    memory = HoldfastMemory.from_defaults("alice", path=tmp_path, llm=None)
    memory.put_messages([user("My boat is called Ariel."), assistant("Noted.")])
    assert memory.flush(60)
    dump = memory.to_json()
    close_engines()
    code = (
        "import sys; from llama_index.memory.holdfast import HoldfastMemory, close_engines\n"
        "memory = HoldfastMemory.from_json(sys.argv[1])\n"
        "print(len(memory.get_all()), memory.recall('boat').memories[0].text)\n"
        "close_engines()"
    )
    done = subprocess.run([sys.executable, "-c", code, dump], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 My boat is called Ariel."


def test_a_dump_whose_store_is_gone_says_what_to_do() -> None:
    engine = Memory(":memory:", llm=None)
    dump = HoldfastMemory.from_defaults("alice", memory=engine).to_dict()
    engine.close()
    restored = HoldfastMemory.from_dict(dump)
    with pytest.raises(InputError, match=r"HoldfastMemory\(\*\*data, memory=...\)"):
        restored.get_all()
    with Memory(":memory:", llm=None) as other:
        assert HoldfastMemory.from_dict(dump, memory=other).get_all() == []


def test_a_memory_made_with_the_constructor_works_as_well(engine: Counted) -> None:
    memory = HoldfastMemory(user_id="alice", memory=engine.memory)
    memory.put(user("Hello"))
    assert memory.get() == [user("Hello")]


# -- opening the store --------------------------------------------------------------------------------------


def test_a_folder_is_opened_once_for_the_same_models(tmp_path: Path) -> None:
    one = HoldfastMemory.from_defaults("alice", path=tmp_path, llm=None)
    two = HoldfastMemory.from_defaults("bob", path=tmp_path, llm=None)
    assert one.engine is two.engine
    assert one.session_id != two.session_id
    close_engines()
    assert one.engine.closed
    assert not HoldfastMemory.from_defaults("alice", path=tmp_path, llm=None).engine.closed


def test_settings_are_used_where_nothing_is_passed(tmp_path: Path) -> None:
    Settings.llm = MockLLM()
    Settings.embed_model = HashEmbedding()
    engine = open_engine(tmp_path)
    assert engine.llm is not None
    assert engine.llm.name == "MockLLM:unknown"
    assert (engine.embedder.name, engine.embedder.dimensions) == ("HashEmbedding:hash-64", 64)


def test_settings_that_nobody_set_are_not_asked(tmp_path: Path) -> None:
    """They would make an OpenAI client, which raises without a key."""
    engine = open_engine(tmp_path)
    assert engine.llm is None
    assert engine.embedder.name == BundledEmbedder().name
    assert Settings._llm is None


def test_a_model_that_is_passed_goes_before_settings(tmp_path: Path) -> None:
    Settings.llm = MockLLM()
    assert open_engine(tmp_path / "a", llm=None).llm is None
    own = MockLLM(max_tokens=3)
    model = open_engine(tmp_path / "b", llm=own).llm
    assert isinstance(model, LlamaIndexModel)
    assert model.llm is own


def test_a_model_of_another_size_is_asked_by_another_engine(tmp_path: Path) -> None:
    own = MockLLM()
    large = HoldfastMemory.from_defaults("alice", path=tmp_path, llm=own, model_size="large")
    assert large.engine is open_engine(tmp_path, llm=own, model_size="large")
    assert large.engine is not open_engine(tmp_path, llm=own)
    assert large.to_dict()["model_size"] == "large"
    with pytest.raises(InputError, match="model_size='huge'"):
        open_engine(tmp_path, llm=own, model_size="huge")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not both"):
        HoldfastMemory.from_defaults("alice", memory=large.engine, model_size="small")


def test_a_store_keeps_its_bundled_embedder_whatever_settings_say_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_engine(tmp_path, llm=None).close()
    Settings.embed_model = HashEmbedding()
    assert open_engine(tmp_path, llm=None).embedder.name == BundledEmbedder().name
    assert "Settings.embed_model (HashEmbedding:hash-64) is not used" in caplog.text


def test_an_embedder_that_is_named_for_a_store_of_another_is_refused(tmp_path: Path) -> None:
    open_engine(tmp_path, llm=None).close()
    with pytest.raises(StorageError, match="HashEmbedding:hash-64"):
        open_engine(tmp_path, llm=None, embed_model=HashEmbedding())


def test_a_store_in_memory_is_new_at_every_call() -> None:
    one, two = open_engine(":memory:", llm=None), open_engine(":memory:", llm=None)
    assert one is not two
    one.close()
    two.close()


@pytest.mark.parametrize("owner", [{}, {"user_id": None}])
def test_somebody_has_to_own_a_memory(owner: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="whose memory"):
        HoldfastMemory.from_defaults(**owner)


def test_an_engine_and_the_way_to_open_one_exclude_each_other(engine: Counted) -> None:
    with pytest.raises(InputError, match="not both"):
        HoldfastMemory.from_defaults("alice", memory=engine.memory, path="somewhere")
    with pytest.raises(InputError, match="neither a LlamaIndex LLM"):
        HoldfastMemory.from_defaults("alice", path=":memory:", llm="gpt-4o")


def test_a_model_that_cannot_extract_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The first lines that a newcomer tries, with LlamaIndex's model for tests."""
    try:
        memory = HoldfastMemory.from_defaults(user_id="alice", path=str(tmp_path), llm=MockLLM())
        engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=memory)
        start = time.monotonic()
        engine.chat("I'm allergic to peanuts.")
        tomorrow = HoldfastMemory.from_defaults(user_id="alice", path=str(tmp_path), llm=MockLLM())
        engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=tomorrow)
        engine.chat("Suggest a snack. No peanuts?")
        left = tomorrow.flush()
        assert time.monotonic() - start < 120
        assert not left
        assert left.pending[0].error
    finally:
        close_engines()
