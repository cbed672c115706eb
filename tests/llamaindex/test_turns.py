"""A turn's budget, what is shown beside it, who spoke, and what happens where models fail."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.agent.workflow import CodeActAgent
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
)
from llama_index.core.llms import MockLLM
from llama_index.core.memory import Memory as LlamaIndexMemory

from holdfast import HoldfastError, InputError, Memory, ModelError, StorageError
from llama_index.memory.holdfast import (
    HoldfastMemory,
    HoldfastMemoryBlock,
    HoldfastRetriever,
    HoldfastToolSpec,
    close_engines,
    open_engine,
    register_engine,
)
from llama_index.memory.holdfast._window import message_tokens
from tests.llamaindex.conftest import Counted, Remembers, told
from tests.llamaindex.fakes import Face, Listening, assistant, pairs, text_of, user
from tests.support import inside
from tests.support.fakes import HashEmbedder

pytestmark = [
    # LlamaIndex's own agents, not ours, still speak pydantic's old names.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

FACT = "I'm allergic to peanuts."


def words(count: int) -> str:
    return " ".join(["word"] * count)


# -- the share of a prompt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [500, 1000])
def test_memories_leave_most_of_a_small_limit_to_the_conversation(
    limit: int, face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(
        engine, *(f"I keep {n} red bicycles in shed number {n}, near the old harbour." for n in range(2, 80))
    )
    memory = remembers(token_limit=limit)
    turns = [part for n in range(20) for part in (user(f"{n} {words(30)}"), assistant(f"{n} {words(30)}"))]
    face(memory, "set", turns)
    face(memory, "put", user("Where are my red bicycles?"))
    shown = face(memory, "get")
    assert "red bicycles in shed" in text_of(pairs(shown))
    length = sum(message_tokens(message, lambda text: len(memory.tokenizer_fn(text))) for message in shown)
    plain = sum(
        message_tokens(message, lambda text: len(memory.tokenizer_fn(text))) for message in shown[:-1]
    )
    assert length <= limit
    assert plain >= 0.6 * limit


def test_what_this_conversation_shows_is_not_recalled_beside_it(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers(background=False)
    face(memory, "put_messages", [user("I own a boat called Ariel."), assistant("A good name.")])
    face(memory, "put", user("Is my boat made of peanuts?"))
    shown = text_of(pairs(face(memory, "get")))
    assert FACT in shown
    assert shown.count("I own a boat called Ariel.") == 1
    other = remembers()
    face(other, "put", user("Is my boat made of peanuts?"))
    assert "I own a boat called Ariel." in text_of(pairs(face(other, "get")))


def test_what_of_this_conversation_is_cut_off_is_recalled(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers(background=False, token_limit=300)
    face(memory, "put_messages", [user("I own a boat called Ariel."), assistant("A good name.")])
    face(memory, "put_messages", [user(words(200)), assistant("Yes.")])
    face(memory, "put", user("What is my boat called?"))
    assert "I own a boat called Ariel." in text_of(pairs(face(memory, "get")))


async def test_a_block_recalls_nothing_that_its_conversation_shows(engine: Counted) -> None:
    told(engine, FACT)
    block = HoldfastMemoryBlock(user_id="alice", memory=engine.memory, background=False)
    said = [user("I own a boat called Ariel.")]
    await block.aget(said, session_id="s")
    content = await block.aget(
        [*said, assistant("A good name."), user("Is my boat made of peanuts?")], session_id="s"
    )
    assert FACT in content
    assert "Ariel" not in content


@pytest.mark.parametrize("method", ["user", "system"])
def test_no_earlier_message_carries_what_is_recalled(
    method: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers(insert_method=method)
    face(memory, "put_messages", [user("Hello"), assistant("Hi")])
    shown = face(memory, "get", input="Peanuts?")
    assert FACT in text_of(pairs(shown))
    assert shown[-2:] == [user("Hello"), assistant("Hi")]


# -- how long messages are ----------------------------------------------------------------------------------


def length(*blocks: Any) -> int:
    return message_tokens(ChatMessage(role="user", blocks=list(blocks)), lambda text: len(text.split()))


def test_what_can_be_cited_is_as_long_as_its_content() -> None:
    text = CitableBlock(title="t", source="s", content=words(18_000))
    assert length(text) == 18_000
    both = CitableBlock(title="t", source="s", content=[TextBlock(text="a b"), DocumentBlock(data=b"x")])
    assert length(both) == 2 + 2048
    assert (
        length(CitationBlock(cited_content="a b c", source="s", title="t", additional_location_info={})) == 3
    )


def test_media_are_as_long_as_llama_index_takes_them_to_be() -> None:
    theirs = LlamaIndexMemory.from_defaults()
    blocks = [DocumentBlock(data=b"x"), ImageBlock(url="https://example.org/cat.png")]
    for block in blocks:
        assert length(block) == theirs._estimate_token_count(ChatMessage(role="user", blocks=[block]))


def test_a_mark_for_a_cache_has_no_length() -> None:
    assert length(TextBlock(text="a b"), CachePoint(cache_control=CacheControl(type="ephemeral"))) == 2


def test_what_can_be_cited_counts_against_the_limit(face: Face, remembers: Remembers) -> None:
    memory = remembers(token_limit=1000, recall_tokens=0)
    long = ChatMessage(
        role="user",
        blocks=[CitableBlock(title="t", source="s", content=words(18_000)), TextBlock(text="So?")],
    )
    face(memory, "put_messages", [long, assistant("Long."), user("Bye")])
    assert face(memory, "get") == [user("Bye")]


# -- in another process -------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_is_not_made_anew(face: Face, tmp_path: Path) -> None:
    memory = HoldfastMemory.from_defaults("alice", path=tmp_path / "store", llm=None)
    dump = memory.to_dict() | {"path": str(tmp_path / "elsewhere"), "engine_id": "of another process"}
    restored = HoldfastMemory.from_dict(dump)
    with pytest.raises(InputError, match=r"elsewhere holds none any more.*open_engine\('.*elsewhere'"):
        face(restored, "get_all")
    assert not (tmp_path / "elsewhere").exists()


def restored_elsewhere(memory: HoldfastMemory) -> HoldfastMemory:
    """The memory as another process has it, in which nothing is open."""
    dump = json.loads(memory.to_json())
    close_engines()
    return HoldfastMemory.from_dict(dump)


def test_a_model_that_is_not_set_where_a_memory_is_restored_is_named(face: Face, tmp_path: Path) -> None:
    memory = restored_elsewhere(HoldfastMemory.from_defaults("alice", path=tmp_path, llm=MockLLM()))
    with pytest.raises(InputError, match=r"used the model 'MockLLM:unknown'.*register_engine"):
        face(memory, "get_all")
    Settings.llm = MockLLM()
    assert face(memory, "get_all") == []
    assert memory.engine.llm is not None


def test_an_embedder_that_is_not_there_where_a_memory_is_restored_is_named(
    face: Face, tmp_path: Path
) -> None:
    memory = HoldfastMemory.from_defaults("alice", path=tmp_path, llm=None, embed_model=HashEmbedder())
    name = memory.engine.embedder.name
    restored = restored_elsewhere(memory)
    with pytest.raises(InputError, match=rf"{name}.*open_engine"):
        face(restored, "get_all")
    engine = open_engine(tmp_path, llm=None, embed_model=HashEmbedder())
    assert face(restored, "get_all") == []
    assert restored.engine is engine


def test_a_memory_without_a_model_is_restored_without_one(tmp_path: Path) -> None:
    memory = restored_elsewhere(HoldfastMemory.from_defaults("alice", path=tmp_path, llm=None))
    Settings.llm = MockLLM()
    assert memory.engine.llm is None


def test_a_registered_engine_is_found_by_its_name(face: Face) -> None:
    with Memory(":memory:", llm=None) as one:
        register_engine(one, "main")
        dump = HoldfastMemory.from_defaults("alice", memory=one).to_json()
    with Memory(":memory:", llm=None) as other:
        restored = HoldfastMemory.from_json(dump)
        with pytest.raises(InputError, match="without its store"):
            face(restored, "get_all")
        register_engine(other, "main")
        assert face(restored, "get_all") == []
        assert restored.engine is other


def test_a_context_is_restored_in_another_process(tmp_path: Path) -> None:
    """As a worker of a queue does it: the engine is opened first, with its models."""
    before = (
        "import sys, asyncio, json\n"
        "from llama_index.core.agent.workflow import FunctionAgent\n"
        "from llama_index.core.workflow import Context\n"
        "from llama_index.memory.holdfast import HoldfastMemory, close_engines, open_engine\n"
        "from tests.llamaindex.fakes import Calling\n"
        "from tests.support.fakes import HashEmbedder\n"
        "agent = FunctionAgent(llm=Calling('Noted.'), tools=[], streaming=False)\n"
        "engine = open_engine(sys.argv[1], llm=None, embed_model=HashEmbedder())\n"
    )
    first = before + (
        "async def run():\n"
        "    ctx = Context(agent)\n"
        "    await agent.run('I own a boat.', ctx=ctx, memory=HoldfastMemory.from_defaults('alice', memory=engine))\n"
        "    print(json.dumps(ctx.to_dict()))\n"
        "asyncio.run(run()); close_engines()\n"
    )
    second = before + (
        "async def run():\n"
        "    ctx = Context.from_dict(agent, json.loads(sys.argv[2]))\n"
        "    await agent.run('I like cheese.', ctx=ctx)\n"
        "    held = await ctx.store.get('memory')\n"
        "    assert held.engine is engine\n"
        "    engine.flush(60)\n"
        "    print(len(held.get_all()), sorted(item.text for item in engine.get_all(user_id='alice')))\n"
        "asyncio.run(run()); close_engines()\n"
    )

    def ran(code: str, *arguments: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert ran(second, ran(first).splitlines()[-1]) == "4 ['I like cheese.', 'I own a boat.']"


# -- who spoke ----------------------------------------------------------------------------------------------


async def test_the_output_of_code_is_no_user_s_word(engine: Counted, remembers: Remembers) -> None:
    def execute(code: str) -> str:
        return "The standard output was: I own a yacht."

    llm = Listening("Let me see. <execute>print(6 * 7)</execute>", "It is 42.")
    memory = remembers()
    agent = CodeActAgent(code_execute_fn=execute, llm=llm, tools=[], streaming=False)
    await agent.run("I like sums. What is 6 times 7?", memory=memory)
    assert [message.role.value for message in memory.get_all()] == ["user", "assistant", "user", "assistant"]
    journal = engine.memory.messages(user_id="alice")
    told_of = [said.message.content for said in journal if said.add_id is not None]
    assert told_of == ["I like sums. What is 6 times 7?", "It is 42."]
    assert engine.texts() == ["I like sums."]


async def test_a_block_does_not_take_the_output_of_code_for_a_user_s_word(engine: Counted) -> None:
    block = HoldfastMemoryBlock(user_id="alice", memory=engine.memory)
    run = [
        user("I like sums."),
        assistant("<execute>print(42)</execute>"),
        user("The standard output was: I own a yacht."),
        assistant("It is 42."),
    ]
    await block.aget(run, session_id="s")
    assert engine.texts() == ["I like sums."]


@pytest.mark.parametrize("answer", ["Action: call your sister first.", "Thought: I would take the train."])
def test_an_ordinary_answer_ends_its_turn_whatever_it_begins_with(
    answer: str, face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers()
    face(memory, "put_messages", [user("I own a boat."), assistant(answer)])
    journal = engine.memory.messages(user_id="alice")
    assert [said.message.content for said in journal if said.add_id] == ["I own a boat.", answer]


def test_an_agent_that_is_ordered_about_can_recall_without_remembering(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    told(engine, FACT)
    memory = remembers(remember=False, session_id="s")
    face(memory, "put", user("Find a snack without peanuts, says the supervisor."))
    assert FACT in text_of(pairs(face(memory, "get")))
    face(memory, "put", assistant("An apple."))
    assert face(memory, "flush", 10)
    assert len(face(memory, "get_all")) == 2
    remembers(session_id="s").flush(60)
    assert engine.texts() == [FACT]


# -- where models fail --------------------------------------------------------------------------------------


class DownEmbedder(HashEmbedder):
    """Works until it is down."""

    down = False

    def embed_query(self, text: str) -> Any:
        if self.down:
            raise ConnectionError("the embedder is down")
        return super().embed_query(text)

    async def aembed_query(self, text: str) -> Any:
        return self.embed_query(text)

    def embed_documents(self, texts: Any) -> Any:
        if self.down:
            raise ConnectionError("the embedder is down")
        return super().embed_documents(texts)

    async def aembed_documents(self, texts: Any) -> Any:
        return self.embed_documents(texts)


@pytest.fixture
def broken() -> Any:
    embedder = DownEmbedder()
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        memory.add(FACT, user_id="alice", infer=False)
        embedder.down = True
        yield memory
        embedder.down = False


def test_failures_are_raised_unless_the_conversation_is_to_go_on(face: Face, broken: Memory) -> None:
    memory = HoldfastMemory.from_defaults("alice", memory=broken, background=False)
    face(memory, "put", user("Peanuts?"))
    with pytest.raises(ModelError, match="the embedder is down"):
        face(memory, "get")
    face(memory, "put", user("I own a boat."))
    with pytest.raises(ModelError, match="the embedder is down"):
        face(memory, "put", assistant("No."))


def test_a_conversation_can_go_on_where_recalling_and_remembering_fail(
    face: Face, broken: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    memory = HoldfastMemory.from_defaults("alice", memory=broken, background=False, on_error="log")
    face(memory, "put", user("I own a boat."))
    with caplog.at_level(logging.ERROR, "holdfast"):
        assert face(memory, "get") == [user("I own a boat.")]
        assert face(memory, "get") == [user("I own a boat.")]
        face(memory, "put", assistant("Nice."))
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "recalling failed",
        "remembering failed",
    ]
    assert face(memory, "get_all") == [user("I own a boat."), assistant("Nice.")]
    assert len(broken.jobs.pending()) == 1
    broken.embedder.down = False  # type: ignore[attr-defined]
    broken.resume()
    assert "I own a boat." in [item.text for item in broken.get_all(user_id="alice")]


def test_a_history_that_cannot_be_written_is_raised_all_the_same(
    face: Face, engine: Counted, remembers: Remembers
) -> None:
    memory = remembers(on_error="log")
    face(memory, "put", user("I own a boat."))

    def full() -> None:
        raise StorageError("the disk is full")

    inside.at(engine.memory, "journal", full)
    for message in (user("Hello?"), assistant("Nice.")):
        with pytest.raises(StorageError, match="full"):
            face(memory, "put", message)


async def test_a_block_can_recall_without_remembering(engine: Counted) -> None:
    told(engine, FACT)
    block = HoldfastMemoryBlock(user_id="alice", memory=engine.memory, remember=False)
    assert FACT in await block.aget([user("I own a boat of peanuts.")], session_id="s")
    assert engine.texts() == [FACT]


def test_a_wrong_call_is_raised_all_the_same(face: Face, broken: Memory) -> None:
    memory = HoldfastMemory.from_defaults("alice", memory=broken, on_error="log")
    face(memory, "put", user("Hello"))
    memory.filters = {"a": {"like": 1}}
    with pytest.raises(InputError, match="like"):
        face(memory, "get")


async def test_a_block_can_go_on_where_recalling_fails(broken: Memory) -> None:
    block = HoldfastMemoryBlock(user_id="alice", memory=broken, on_error="log")
    assert await block.aget([user("Peanuts?")], session_id="s") == ""
    with pytest.raises(HoldfastError):
        await block.model_copy(update={"on_error": "raise"}).aget([user("Peanuts, though?")], session_id="t")


def test_a_retriever_can_find_nothing_where_searching_fails(face: Face, broken: Memory) -> None:
    assert face(HoldfastRetriever("alice", memory=broken, on_error="log"), "retrieve", "peanuts") == []
    with pytest.raises(ModelError):
        face(HoldfastRetriever("alice", memory=broken), "retrieve", "peanuts")


def test_tools_can_tell_the_model_that_the_memory_failed(face: Face, broken: Memory) -> None:
    spec = HoldfastToolSpec("alice", memory=broken, on_error="log")
    assert face(spec, "search_memories", "peanuts").startswith("The memory failed")
    with pytest.raises(ModelError):
        face(HoldfastToolSpec("alice", memory=broken), "search_memories", "peanuts")


# -- patience -----------------------------------------------------------------------------------------------


class Failing:
    """A model that is known to fail."""

    name = "failing"

    def complete(self, prompt: Any) -> Any:
        raise ConnectionError("no model")

    async def acomplete(self, prompt: Any) -> Any:
        raise ConnectionError("no model")


def a_stuck_add(memory: Memory) -> None:
    """An add of another conversation that never ends."""
    inside.idle(memory)
    memory.add("I own a boat.", user_id="alice", background=True)


def test_patience_is_paid_once_in_a_conversation(face: Face, engine: Counted, remembers: Remembers) -> None:
    a_stuck_add(engine.memory)
    memory = remembers(patience=1.0)
    took = []
    for message in ("Hello?", "Anybody?", "Bye?"):
        face(memory, "put", user(message))
        begun = time.monotonic()
        face(memory, "get")
        took.append(time.monotonic() - begun)
    assert took[0] >= 1.0
    assert took[1] + took[2] < 1.0


def test_patience_is_real_time(face: Face, engine: Counted, remembers: Remembers) -> None:
    """However long each look takes."""
    a_stuck_add(engine.memory)
    inside.at(engine.memory, "look", lambda: time.sleep(0.4))  # a machine that is busy
    memory = remembers(patience=1.0)
    face(memory, "put", user("Hello?"))
    begun = time.monotonic()
    face(memory, "get")
    assert time.monotonic() - begun < 3.0


def test_nobody_waits_for_a_model_that_is_known_to_fail(face: Face) -> None:
    with Memory(":memory:", llm=Failing(), embedder=HashEmbedder()) as memory:  # type: ignore[arg-type]
        with pytest.raises(ModelError):
            memory.add("I own a boat.", user_id="alice")
        assert memory.jobs.pending()
        talk = HoldfastMemory.from_defaults("alice", memory=memory, patience=60)
        face(talk, "put", user("Hello?"))
        begun = time.monotonic()
        face(talk, "get")
        assert time.monotonic() - begun < 30
