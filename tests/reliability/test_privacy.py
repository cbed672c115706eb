"""What a redactor masks reaches neither a file nor a model, whatever field it comes in; files are their owner's."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from holdfast import FilterError, Memory, Message
from holdfast.models.redaction import PersonalDataRedactor
from holdfast.types import Find, Get, Put
from tests.conftest import Face, Opener
from tests.support.fakes import HashEmbedder, ScriptedModel
from tests.support.files import content

MAIL = "alice@example.com"
HIDDEN = (
    "138\u200b1234\u200d5678",
    "alice\u2060@\ufeffexample.com",
    "4111\u00ad1111 1111\ufe0f1111",
    "１３８１２３４５６７８",
)


def everything(memory: Face, face: Any) -> None:
    """Personal data in every field that takes text."""
    memory.add(
        [
            Message(f"I am {MAIL}", name=MAIL, data={MAIL: {"nested": [MAIL]}}),
            Message("Noted", role="assistant", id="2"),
        ],
        user_id="u1",
        session_id=f"chat with {MAIL}",
        metadata={MAIL: MAIL, "list": [MAIL]},
        infer=False,
    )
    memory.record([Message(f"my mail is {MAIL}", name=MAIL)], user_id="u1", session_id=MAIL)
    [change] = memory.add("I like tea", user_id="u1", infer=False)
    memory.update(change.memory_id, f"I like tea, says {MAIL}", metadata={MAIL: MAIL})
    memory.search(MAIL, user_id="u1")
    memory.recall(MAIL, user_id="u1")
    documents = memory.memory.documents
    put = Put(("notes",), "k", {MAIL: [MAIL, {"x": MAIL}]}, texts={"x": f"write to {MAIL}"})
    find = Find(("notes",), query=MAIL)
    face(documents, "batch", [put])
    face(documents, "batch", [find, Get(("notes",), "k")])


@pytest.mark.parametrize("face", ["sync", "async"])
def test_no_field_carries_what_is_masked_into_a_file(tmp_path: Path, face: str) -> None:
    import asyncio

    loop = asyncio.new_event_loop() if face == "async" else None

    def call(target: Any, name: str, *args: Any) -> Any:
        if loop is None:
            return getattr(target, name)(*args)
        return loop.run_until_complete(getattr(target, f"a{name}")(*args))

    memory = Face(
        Memory(tmp_path / "store", llm=None, embedder=HashEmbedder(), redactor=PersonalDataRedactor()), loop
    )
    try:
        everything(memory, call)
    finally:
        memory.memory.close()
        if loop is not None:
            loop.close()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert b"example.com" not in content(path), path


def test_no_instruction_carries_what_is_masked_to_a_model(open_memory: Opener) -> None:
    model = ScriptedModel([{"facts": []}])
    memory = open_memory(llm=model, redactor=PersonalDataRedactor())
    memory.add("I like tea", user_id="u1", instructions=f"only what {MAIL} says")
    assert model.prompts
    assert "example.com" not in str(model.prompts)


def test_sessions_and_keys_that_are_masked_stay_apart(open_memory: Opener) -> None:
    memory = open_memory(redactor=PersonalDataRedactor())
    for name in ("a@example.com", "b@example.com", "plain"):
        memory.record(f"in {name.partition('@')[0]}", user_id="u1", session_id=name)
    for name in ("a@example.com", "b@example.com", "plain"):
        log = memory.messages(user_id="u1", session_id=name)
        assert [message.message.content for message in log] == [f"in {name.partition('@')[0]}"]
    assert memory.clear_messages(user_id="u1", session_id="a@example.com") == 1
    metadata = {"a@example.com": 1, "b@example.com": 2, "c": 3}
    memory.add("I like tea", user_id="u1", metadata=metadata, infer=False)
    for key, value in metadata.items():
        assert len(memory.get_all(user_id="u1", filters={key: value})) == 1
        assert not memory.get_all(user_id="u1", filters={key: 9})


@pytest.mark.parametrize(
    "filters",
    [
        {"mail": MAIL},
        {"mail": {"in": ["x", MAIL]}},
        {"OR": [{"k": 1}, {"NOT": {"mail": {"contains": f"to {MAIL}"}}}]},
    ],
)
def test_a_filter_by_what_is_masked_says_so(open_memory: Opener, filters: dict[str, Any]) -> None:
    memory = open_memory(redactor=PersonalDataRedactor())
    memory.add("I like tea", user_id="u1", metadata={"mail": MAIL}, infer=False)
    for call in (
        lambda: memory.search("tea", user_id="u1", filters=filters),
        lambda: memory.recall("tea", user_id="u1", filters=filters),
        lambda: memory.get_all(user_id="u1", filters=filters),
        lambda: memory.count(user_id="u1", filters=filters),
        lambda: memory.delete_all(user_id="u1", filters=filters),
    ):
        with pytest.raises(FilterError, match=r"masked.*\[email\]") as refused:
            call()
        assert MAIL not in str(refused.value)
    assert memory.count(user_id="u1") == 1


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_not_seen_hides_nothing(hidden: str) -> None:
    masked = PersonalDataRedactor().redact(f"note {hidden} down \u200d here")
    assert masked in {f"note [{kind}] down \u200d here" for kind in ("phone", "email", "card")}


def test_text_without_personal_data_keeps_what_is_not_seen() -> None:
    text = "family 👨\u200d👩\u200d👧, Ⅷ and ½, ٣ eggs, می\u200cخواهم"
    assert PersonalDataRedactor().redact(text) == text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_files_and_folders_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "parent" / "store"
        with Memory(folder, llm=None, embedder=HashEmbedder()) as memory:
            memory.add([f"fact {at}" for at in range(50)], user_id="u1", infer=False)
            memory.export(tmp_path / "export", everything=True)
            memory.index.rebuild(HashEmbedder(16, "test/other"))
            memory.erase(user_id="nobody")
            assert (folder / "ledger.db-wal").exists()
            expect_private(folder)
        expect_private(folder)
        assert mode(tmp_path / "export") == 0o600
    finally:
        os.umask(before)


def expect_private(folder: Path) -> None:
    assert mode(folder) == 0o700
    for path in folder.iterdir():
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(0o750)
    (tmp_path / "store").chmod(0o750)
    with Memory(tmp_path / "store", llm=None, embedder=HashEmbedder()):
        pass
    assert mode(tmp_path / "store") == 0o750
    assert mode(tmp_path / "store" / "ledger.db") == 0o600
