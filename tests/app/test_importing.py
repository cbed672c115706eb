"""`holdfast import --from`: other stores' files, as they write them (`data/`), into a folder of its own."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.app.connections import Local
from holdfast.app.failures import TooLargeError
from holdfast.app.importing import FORMATS, Request, format_of
from holdfast.app.importing import READERS as READ
from holdfast.app.importing.files import at_hand
from holdfast.app.importing.intake import Found
from holdfast.app.importing.rows import Export, in_order
from holdfast.errors import InputError
from tests.app.data.make_stores import CAT, TEA, TRAIN, langgraph_store, mem0_history
from tests.app.test_command import Command
from tests.support.fakes import HashEmbedder, ScriptedModel

DATA = Path(__file__).parent / "data"


@pytest.fixture
def holdfast(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


def listed(holdfast: Command, user: str = "alice") -> dict[str, Any]:
    return {item["text"]: item for item in holdfast.done("list", "-u", user)["items"]}


def brought(holdfast: Command, source: str, path: Path | str, *options: str) -> Any:
    """Told first without a change, then brought in, then brought in again, which adds nothing."""
    before = holdfast.done("stats")["memories"]
    told = holdfast.done("import", "--from", source, str(path), *options, "--dry-run")
    assert holdfast.done("stats")["memories"] == before
    first = holdfast.done("import", "--from", source, str(path), *options)
    assert {name: first[name] for name in told} == told
    assert (first.get("pending", 0), first.get("failed", 0)) == (0, 0)
    after = holdfast.done("stats")["memories"]
    again = holdfast.done("import", "--from", source, str(path), *options)
    assert (again["memories"], again["messages"]) == (0, 0)
    assert again["skipped"] == first["skipped"] + first["memories"] + first["messages"]
    assert again["unreadable"] == first["unreadable"]
    assert holdfast.done("stats")["memories"] == after
    return first


# -- the formats ------------------------------------------------------------------------------------------------


def test_the_history_of_mem0_comes_with_every_version_and_what_was_deleted(
    holdfast: Command, tmp_path: Path
) -> None:
    path = mem0_history(tmp_path / "history.db")
    before = path.read_bytes()
    assert brought(holdfast, "mem0", path, "-u", "alice")["memories"] == 3
    assert path.read_bytes() == before
    assert {text: item["id"] for text, item in listed(holdfast).items()} == {
        "Likes green tea": TEA,
        "猫叫年糕": CAT,
    }
    changes = holdfast.done("history", TEA)["changes"]
    assert [(one["operation"], one["before"], one["after"], one["at"][:10]) for one in changes] == [
        ("ADD", None, "Likes black tea", "2024-05-01"),
        ("UPDATE", "Likes black tea", "Likes green tea", "2024-06-01"),
    ]
    assert [one["operation"] for one in holdfast.done("history", TRAIN)["changes"]] == ["ADD", "DELETE"]
    assert holdfast.done("get", TEA, "--as-of", "2024-05-15")["text"] == "Likes black tea"
    assert holdfast.done("search", "tea", "-u", "alice")["hits"][0]["memory"]["id"] == TEA
    assert holdfast.done("verify")["agree"] is True


def test_what_mem0_returns_comes_with_its_owners_and_metadata(holdfast: Command) -> None:
    result = brought(holdfast, "mem0", DATA / "mem0.json")
    assert result["memories"] == 2
    assert result["reasons"] == ["item 2: memory is '  ', not a text"]
    tea = listed(holdfast)["Likes green tea"]
    assert tea["id"] == TEA
    assert tea["metadata"] == {"category": "food", "role": "user"}
    assert datetime.fromisoformat(tea["created_at"]) == datetime(2024, 5, 1, 15, 0, 0, 123456, tzinfo=UTC)
    [style] = holdfast.done("list", "--agent-id", "tutor")["items"]
    assert (style["user_id"], style["metadata"]) == (None, {"categories": ["style"]})


def test_an_import_is_an_add_that_can_be_taken_back(holdfast: Command, tmp_path: Path) -> None:
    path = mem0_history(tmp_path / "history.db")
    [add] = brought(holdfast, "mem0", path, "-u", "alice")["adds"]
    changes = holdfast.done("changes", "-u", "alice")["items"]
    assert {change["add_id"] for change in changes} == {add}
    holdfast.done("undo", add)
    assert listed(holdfast) == {}
    assert holdfast.done("get", TEA, "--as-of", "2024-05-15")["text"] == "Likes black tea"
    assert holdfast.done("verify")["agree"] is True


def test_the_memories_of_each_owner_are_an_add_of_their_own(holdfast: Command) -> None:
    adds = brought(holdfast, "mem0", DATA / "mem0.json")["adds"]
    assert len(adds) == 2
    of = {
        change["memory_id"]: change["add_id"] for change in holdfast.done("changes", "-u", "alice")["items"]
    }
    holdfast.done("undo", of[TEA])
    assert listed(holdfast) == {}
    assert len(holdfast.done("list", "--agent-id", "tutor")["items"]) == 1


def test_what_an_import_added_is_told_with_how_to_undo_it(holdfast: Command) -> None:
    shown = holdfast.run("import", "--from", "mem0", str(DATA / "mem0.json"), "-o", "text").stdout
    told = re.findall(r"holdfast undo (\S+) takes its memories back", " ".join(shown.split()))
    assert len(told) == 2


def test_a_memory_that_was_changed_or_deleted_here_is_not_brought_back(holdfast: Command) -> None:
    brought(holdfast, "mem0", DATA / "mem0.json")
    holdfast.done("delete", TEA)
    holdfast.done("update", CAT, "Prefers long answers")
    again = holdfast.done("import", "--from", "mem0", str(DATA / "mem0.json"))
    assert (again["memories"], again["skipped"]) == (0, 2)
    assert listed(holdfast) == {}
    assert holdfast.done("get", CAT)["text"] == "Prefers long answers"


@pytest.mark.parametrize("source", ["langgraph", "langmem"])
def test_items_of_a_langgraph_store_belong_to_the_label_that_is_named(
    holdfast: Command, tmp_path: Path, source: str
) -> None:
    path = langgraph_store(tmp_path / "store.db")
    told = holdfast.refused("import", "--from", source, str(path))
    assert "A namespace is 'memories/alice'" in told
    brought(holdfast, source, path, "--namespace", "memories/{user_id}")
    alice = listed(holdfast)
    assert list(alice) == ["Alice keeps bees", "Alice reads at night"]
    bees = alice["Alice keeps bees"]
    assert bees["created_at"].startswith("2025-03-01T10:00:00")
    assert bees["metadata"]["namespace"] == "memories/alice"
    assert bees["metadata"]["value"]["kind"] == "Memory"
    [profile] = listed(holdfast, "bob").values()
    assert json.loads(profile["text"]) == {"name": "Bob", "languages": ["Portuguese", "German"]}


def test_items_of_langgraph_come_as_csv_and_json_too(holdfast: Command) -> None:
    csv = brought(holdfast, "langgraph", DATA / "langgraph.csv", "--namespace", "memories/{user_id}")
    assert (csv["memories"], csv["unreadable"]) == (1, 1)
    assert csv["reasons"][0].startswith("line 3: value is no JSON")
    found = brought(holdfast, "langgraph", DATA / "langgraph.json", "--namespace", "*/*/{user_id}")
    assert found["memories"] == 1
    assert found["reasons"] == ["item 1: namespace 'memories/alice' is not like '*/*/{user_id}'"]
    assert listed(holdfast).keys() == {"Alice keeps bees", "Alice leads the red team"}


def test_threads_and_facts_of_zep_keep_their_days(holdfast: Command) -> None:
    result = brought(holdfast, "zep", DATA / "zep.json")
    assert (result["memories"], result["conversations"], result["messages"]) == (2, 2, 3)
    assert result["reasons"] == [
        "threads, item 1: message 3: role 'referee' is none of user, human, assistant, ai, chatbot, model, "
        "system, developer, tool, function"
    ]
    alice = listed(holdfast)
    assert alice["I moved to Bergen"]["happened_at"].startswith("2024-12-01T09:00:00")
    assert alice["I fly to Oslo on Friday"]["happened_at"].startswith("2025-01-06T09:00:00")
    assert alice["I fly to Oslo on Friday"]["speakers"] == ["Alice"]
    assert alice["Alice lives in Bergen"]["happened_at"].startswith("2024-11-15")
    assert "Alice lives in Ghent" not in alice
    [ghent] = holdfast.done("list", "-u", "alice", "--as-of", "2024-01-01")["items"]
    assert ghent["text"] == "Alice lives in Ghent"


def test_chat_stores_of_llamaindex_belong_to_their_keys_or_to_one_user(holdfast: Command) -> None:
    result = brought(holdfast, "llamaindex", DATA / "llamaindex.json")
    assert (result["conversations"], result["messages"]) == (2, 4)
    assert result["reasons"] == ["key 'alice': message 4: blocks is str, not a list"]
    assert list(listed(holdfast)) == ["I grow tomatoes", "I grow them in a greenhouse"]
    assert list(listed(holdfast, "bob")) == ["I play the cello"]
    brought(holdfast, "llamaindex", DATA / "llamaindex.json", "-u", "carol")
    assert len(listed(holdfast, "carol")) == 3


def test_observations_and_relations_of_the_mcp_server_are_memories(holdfast: Command) -> None:
    result = brought(holdfast, "mcp-memory", DATA / "mcp_memory.jsonl", "-u", "alice")
    assert result["reasons"] == ["line 3: type 'note' is neither entity nor relation"]
    assert list(listed(holdfast)) == [
        "Alice: Speaks fluent Spanish", "Alice: Graduated in 2019", "Anvil: company", "Alice works_at Anvil",
    ]  # fmt: skip
    found = holdfast.done("list", "-u", "alice", "--filter", '{"entity": "Alice"}')["items"]
    assert len(found) == 3


def test_a_chat_of_chatgpt_is_read_along_its_last_branch(holdfast: Command, tmp_path: Path) -> None:
    result = brought(holdfast, "chatgpt", DATA / "chatgpt.json", "-u", "alice")
    assert (result["conversations"], result["messages"]) == (1, 2)
    assert result["reasons"] == ["item 2: mapping is list, not an object"]
    [(text, item)] = listed(holdfast).items()
    assert text == "I train for the Berlin marathon"
    assert item["happened_at"] == datetime.fromtimestamp(1710000300, UTC).isoformat()
    assert item["metadata"] == {"conversation": "Marathon plans"}
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(DATA / "chatgpt.json", "conversations.json")
    assert holdfast.done("import", "--from", "chatgpt", str(archive), "-u", "alice")["skipped"] == 2


def test_a_chat_that_went_on_adds_what_is_new(holdfast: Command, tmp_path: Path) -> None:
    brought(holdfast, "chatgpt", DATA / "chatgpt.json", "-u", "alice")
    [chat, _] = json.loads((DATA / "chatgpt.json").read_text())
    said = json.loads(json.dumps(chat["mapping"]["n2"]))
    said["message"] |= {"id": "n6", "create_time": 1710090000.0}
    said["message"]["content"]["parts"] = ["I finished in four hours"]
    chat["mapping"]["n6"] = said | {"parent": "n5", "children": []}
    chat["current_node"] = "n6"
    (tmp_path / "later.json").write_text(json.dumps([chat]))
    result = brought(holdfast, "chatgpt", tmp_path / "later.json", "-u", "alice")
    assert (result["messages"], result["skipped"]) == (1, 2)
    assert list(listed(holdfast)) == ["I train for the Berlin marathon", "I finished in four hours"]


def test_plain_lines_are_memories_and_conversations(holdfast: Command) -> None:
    result = brought(holdfast, "jsonl", DATA / "plain.jsonl", "-u", "bob")
    assert (result["memories"], result["conversations"]) == (2, 1)
    assert [reason.split(":")[0] for reason in result["reasons"]] == ["line 4", "line 5"]
    chess = listed(holdfast)["Plays chess on Sundays"]
    assert chess["created_at"].startswith("2023-04-05T06:07:08")
    assert chess["happened_at"].startswith("2023-04-02")
    assert chess["metadata"] == {"category": "hobby"}
    bob = listed(holdfast, "bob")
    assert list(bob) == ["Allergic to peanuts", "I repair clocks"]
    assert bob["I repair clocks"]["happened_at"].startswith("2023-05-01T10:00:00")


def test_a_conversation_without_a_session_is_told_by_how_it_begins(holdfast: Command, tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    talks = [{"messages": [{"content": text}]} for text in ("I row", "I sail", "I row")]
    path.write_text("\n".join(json.dumps(talk) for talk in talks))
    result = holdfast.done("import", "--from", "jsonl", str(path), "-u", "alice")
    assert (result["conversations"], result["messages"], result["skipped"]) == (2, 2, 1)
    assert list(listed(holdfast)) == ["I row", "I sail"]


# -- with a model, and through a server ---------------------------------------------------------------------------


async def test_conversations_go_through_the_model_and_wait_where_it_fails() -> None:
    fact = {"facts": [{"message": 1, "speaker": "user", "fact": "Repairs clocks", "when": ""}]}
    kept = {"decisions": [{"fact": 1, "operation": "ADD", "memory": 0, "text": ""}]}
    for reply, told in (
        (fact, {"pending": 0, "failed": 0}),
        (OSError("no model"), {"pending": 1, "failed": 0}),
    ):
        model = ScriptedModel([reply, kept])
        with Memory(":memory:", llm=model, embedder=HashEmbedder(), model_size="large") as memory:
            request = Request(str(DATA / "plain.jsonl"), {"user_id": "bob"})
            result = await format_of("jsonl").read(Local(memory), request)
            assert {name: result[name] for name in told} == told
            texts = [item.text for item in (await memory.aget_all(user_id="bob")).items]
            assert texts == ["Allergic to peanuts", *(["Repairs clocks"] if not told["pending"] else [])]
            assert ("error" in result) == bool(told["pending"])


def test_a_server_takes_them_too(serve: Callable[..., Any], tmp_path: Path) -> None:
    holdfast = Command(serve().home)
    brought(holdfast, "mem0", mem0_history(tmp_path / "history.db"), "-u", "alice")
    brought(holdfast, "zep", DATA / "zep.json")
    assert "Likes green tea" in listed(holdfast)
    assert "I moved to Bergen" in listed(holdfast)


# -- bad input ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_imported_is_told_in_one_line_and_changes_nothing(
    holdfast: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "cut.json").write_text((DATA / "chatgpt.json").read_text()[:900])
    lines = (DATA / "mcp_memory.jsonl").read_text()
    (tmp_path / "cut.jsonl").write_text(lines[: len(lines) - 20])
    whole = mem0_history(tmp_path / "whole.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(whole[:5000])
    (tmp_path / "other.db").write_bytes(langgraph_store(tmp_path / "store.db").read_bytes())
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("chat.html", "<html>")
    for said, source, path in (
        ("known formats are holdfast, mem0", "notion", "x"),
        ("is no file", "mem0", str(tmp_path / "missing")),
        ("is a directory", "mem0", str(tmp_path)),
        ("is empty", "jsonl", str(tmp_path / "empty")),
        ("cut short", "chatgpt", str(tmp_path / "cut.json")),
        ("line 4 breaks off", "mcp-memory", str(tmp_path / "cut.jsonl")),
        ("cannot be read as SQLite", "mem0", str(tmp_path / "cut.db")),
        ("has no table 'history'", "mem0", str(tmp_path / "other.db")),
        ("has no conversations*.json", "chatgpt", str(tmp_path / "other.zip")),
        ("nothing of", "zep", str(DATA / "chatgpt.json")),
        ("no `store`", "llamaindex", str(DATA / "mem0.json")),
        ("only http and https", "jsonl", "file:///etc/passwd"),
    ):  # fmt: skip
        told = holdfast.refused("import", "--from", source, path, "-u", "alice")
        assert said in told
        assert len(told.splitlines()) == 1
    assert "whose memory?" in holdfast.refused(
        "import", "--from", "mcp-memory", str(DATA / "mcp_memory.jsonl")
    )
    told = holdfast.refused(
        "import", "--from", "langgraph", str(tmp_path / "store.db"), "--namespace", "{who}"
    )
    assert "{who} is none of" in told
    assert holdfast.done("stats")["memories"] == 0


def test_what_the_engine_refuses_is_told_and_the_rest_goes_on(holdfast: Command, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines: list[dict[str, Any]] = [
        {"text": "Keeps bees", "metadata": {"page": "x" * 2**18}},
        {"text": "Plays chess", "expires_at": "2999-01-01"},
        {"text": "Was born tomorrow", "created_at": "2999-01-01"},
        {"text": "Likes \x00 tea \ud83d"},
        {"text": "Owns a boat", "user_id": "a" * 5000},
        {"messages": [{"content": "I row"}], "session_id": "s" * 5000},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    result = brought(holdfast, "jsonl", path, "-u", "alice")
    assert (result["memories"], result["conversations"], result["unreadable"]) == (2, 0, 4)
    assert sorted(reason[:7] for reason in result["reasons"]) == ["line 1:", "line 3:", "line 5:", "line 6:"]
    assert listed(holdfast).keys() == {"Plays chess", "Likes \ufffd tea \ufffd"}


def test_a_memory_that_is_somebody_elses_stays_his(holdfast: Command, tmp_path: Path) -> None:
    path = mem0_history(tmp_path / "history.db")
    brought(holdfast, "mem0", path, "-u", "alice")
    result = holdfast.done("import", "--from", "mem0", str(path), "-u", "bob")
    assert (result["memories"], result["unreadable"]) == (0, 3)
    assert "is here already, with user_id 'alice' instead of 'bob'" in result["reasons"][0]
    assert listed(holdfast, "bob") == {}
    assert len(listed(holdfast)) == 2


# -- from the web -------------------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    """`/plain.jsonl`, redirections to it and elsewhere, and what is not there."""

    def do_GET(self) -> None:
        leads = {"/moved": "/plain.jsonl", "/loop": "/loop", "/local": "file:///etc/passwd"}
        if self.path in leads:
            self.send_response(302)
            self.send_header("Location", leads[self.path])
            self.end_headers()
        elif self.path == "/plain.jsonl":
            self.send_response(200)
            self.end_headers()
            self.wfile.write((DATA / "plain.jsonl").read_bytes())
        else:
            self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_fetched(holdfast: Command, web: str) -> None:
    result = brought(holdfast, "jsonl", f"{web}/moved", "-u", "bob")
    assert (result["memories"], result["conversations"]) == (2, 1)


def test_an_address_that_gives_nothing_says_so(holdfast: Command, web: str) -> None:
    for code, said, path in (
        (4, "answers with status 404", "/missing"),
        (4, "redirected more than", "/loop"),
        (1, "is refused: only http and https are fetched", "/local"),
    ):
        told = holdfast.refused("import", "--from", "jsonl", web + path, "-u", "bob", code=code)
        assert said in told
    dead = ("import", "--from", "jsonl", "http://127.0.0.1:9/x", "-u", "bob")
    assert "cannot be fetched" in holdfast.refused(*dead, code=4)
    with pytest.raises(TooLargeError, match="more than the 10 bytes"), at_hand(f"{web}/plain.jsonl", 10):
        pass
    assert holdfast.done("stats")["memories"] == 0


# -- whatever stands in a file --------------------------------------------------------------------------------

READERS = [name for name in FORMATS if name != "holdfast"]
SAMPLES = {
    name: (DATA / file).read_text(encoding="utf-8")
    for name, file in (
        ("mem0", "mem0.json"), ("langgraph", "langgraph.json"), ("langmem", "langgraph.json"), ("zep", "zep.json"),
        ("llamaindex", "llamaindex.json"), ("mcp-memory", "mcp_memory.jsonl"), ("chatgpt", "chatgpt.json"),
        ("jsonl", "plain.jsonl"),
    )
}  # fmt: skip
ANYTHING = st.sampled_from(
    ["null", "[]", "{}", "7", "1e999", "-1", '""', '"x"', '["x"]', "[" * 3000, '{"a":[{}]}', "true"]
)
VALUE = re.compile(r'(?<=": )(?:"[^"]*"|[-\d.]+|null|true|\{\}|\[\])|(?<=":)"[^"]*"')


@pytest.mark.parametrize("source", READERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_as_far_as_it_goes_or_refused(source: str, tmp_path: Path, data: Any) -> None:
    """Values are exchanged, and the end is cut: what comes is items, or an InputError."""
    text = SAMPLES[source]
    for _ in range(data.draw(st.integers(0, 3))):
        places = list(VALUE.finditer(text))
        place = data.draw(st.sampled_from(places))
        text = text[: place.start()] + data.draw(ANYTHING) + text[place.end() :]
    text = text[: data.draw(st.integers(len(text) // 2, len(text)) | st.just(len(text)))]
    path = tmp_path / "damaged"
    path.write_text(text, encoding="utf-8")
    request = Request(str(path), {"user_id": "alice"})
    with suppress(InputError):
        found = Found.of(READ[source][1](path, request), request.ids)
        for _ in Export(source, found.memories, in_order(found.conversations, datetime.now(UTC))).lines():
            pass
