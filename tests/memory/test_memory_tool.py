"""Anthropic's memory tool over the ledger: replies, paths that stay inside, versions, and whose files they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from holdfast import (
    IN_MEMORY,
    ClosedError,
    InputError,
    Memory,
    MemoryTool,
    NotFoundError,
    ToolReply,
    UndoError,
)
from holdfast.engine.memory_files import COMMANDS, ROOT, RefusedError, path_of
from holdfast.storage.ledger.ids import new_id
from holdfast.types import Find, Get, Namespaces, Put
from tests.conftest import Face, Opener
from tests.support.fakes import HashEmbedder

NOTES = "/memories/notes.md"


class Tool:
    """The tool of a face."""

    def __init__(self, memory: Face, **ids: str) -> None:
        self.tool: Any = Face(memory.memory.memory_tool(**(ids or {"user_id": "alice"})), memory._loop)

    def run(self, command: str, path: str | None = None, **arguments: Any) -> ToolReply:
        given = {"command": command} | ({} if path is None else {"path": path}) | arguments
        reply: ToolReply = self.tool.run(given)
        return reply

    def done(self, command: str, path: str | None = None, **arguments: Any) -> str:
        reply = self.run(command, path, **arguments)
        assert not reply.is_error, reply.text
        return reply.text

    def refused(self, command: str, path: str | None = None, **arguments: Any) -> str:
        before = self.done("view", ROOT)
        reply = self.run(command, path, **arguments)
        assert reply.is_error
        assert reply.change_id is None
        assert self.done("view", ROOT) == before
        return reply.text

    def text(self, path: str) -> str:
        """What a file holds, without its numbers."""
        _, *lines = self.done("view", path).split("\n")
        return "\n".join(line.split("\t", 1)[1] for line in lines)


@pytest.fixture
def tool(memory: Face) -> Tool:
    return Tool(memory)


@pytest.fixture(scope="module")
def one_memory() -> Iterator[Memory]:
    with Memory(IN_MEMORY, llm=None, embedder=HashEmbedder()) as memory:
        yield memory


@pytest.fixture
def quick(one_memory: Memory) -> Tool:
    """A tool of the sync face, with files of the test's own, for what is decided without the store."""
    return Tool(Face(one_memory, None), user_id=new_id())


# -- what Anthropic documents ----------------------------------------------------------------------------------------


def test_a_conversation_with_every_command(tool: Tool) -> None:
    assert tool.done("view", ROOT).endswith("\n0B\t/memories")
    assert tool.done("create", NOTES, file_text="one\ntwo\n") == f"File created successfully at: {NOTES}"
    assert tool.done("view", NOTES) == (
        f"Here's the content of {NOTES} with line numbers:\n     1\tone\n     2\ttwo"
    )
    assert tool.done("str_replace", NOTES, old_str="two", new_str="2") == (
        "The memory file has been edited.\n     1\tone\n     2\t2"
    )
    assert tool.done("insert", NOTES, insert_line=0, insert_text="zero\n") == (
        f"The file {NOTES} has been edited."
    )
    assert tool.text(NOTES) == "zero\none\n2"
    moved = "/memories/old/notes.md"
    assert tool.done("rename", old_path=NOTES, new_path=moved) == f"Successfully renamed {NOTES} to {moved}"
    assert tool.text(moved) == "zero\none\n2"
    assert tool.done("delete", "/memories/old") == "Successfully deleted /memories/old"
    assert tool.done("view", ROOT).endswith("\n0B\t/memories")


def test_a_directory_is_listed_two_levels_deep_with_sizes_and_without_hidden_items(quick: Tool) -> None:
    for path, size in {
        "a.txt": 10, "d/b.txt": 1536, "d/e/c.txt": 3 * 2**20, "d/e/f/g.txt": 1, ".secret/x": 5, "node_modules/y": 5,
    }.items():  # fmt: skip
        quick.done("create", f"/memories/{path}", file_text="x" * size)
    assert quick.done("view", "/memories/") == (
        "Here're the files and directories up to 2 levels deep in /memories, "
        "excluding hidden items and node_modules:\n"
        "3.0M\t/memories\n10B\t/memories/a.txt\n3.0M\t/memories/d/\n1.5K\t/memories/d/b.txt\n3.0M\t/memories/d/e/"
    )
    assert "1B\t/memories/d/e/f/g.txt" in quick.done("view", "/memories/d/e").split("\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [([2, 3], "2 3"), ([2, -1], "2 3 4"), ([4, 4], "4"), ([3, 99], "3 4"), ([1, 1], "1"), (None, "1 2 3 4")],
)
def test_a_range_of_lines(quick: Tool, given: list[int] | None, shown: str) -> None:
    quick.done("create", NOTES, file_text="l1\nl2\nl3\nl4")
    _, *lines = quick.done("view", NOTES, view_range=given).split("\n")
    assert lines == [f"{number:>6}\tl{number}" for number in shown.split()]


@pytest.mark.parametrize("given", [[0, 2], [5, 6], [3, 2], [1], [1, 2, 3], ["1", "2"], "1-2", 3, [1, -2], {}])
def test_a_range_that_is_none_is_refused(quick: Tool, given: Any) -> None:
    quick.done("create", NOTES, file_text="l1\nl2\nl3\nl4")
    assert "[1, 4]" in quick.refused("view", NOTES, view_range=given)


def test_the_documented_errors(quick: Tool) -> None:
    gone, valid = "/memories/gone.md", "Please provide a valid path."
    quick.done("create", NOTES, file_text="tea\ncoffee\ntea tea\n")
    quick.done("create", "/memories/d/x", file_text="")
    assert quick.refused("view", gone) == f"The path {gone} does not exist. {valid}"
    assert quick.refused("create", NOTES, file_text="") == f"Error: File {NOTES} already exists"
    assert quick.refused("create", "/memories/d", file_text="") == "Error: File /memories/d already exists"
    replace = {"old_str": "tea", "new_str": "x"}
    assert quick.refused("str_replace", gone, **replace) == f"Error: The path {gone} does not exist. {valid}"
    assert "does not exist" in quick.refused("str_replace", "/memories/d", **replace)
    assert quick.refused("str_replace", NOTES, **replace) == (
        "No replacement was performed. Multiple occurrences of old_str `tea` in lines: 1, 3, 3. "
        "Please ensure it is unique"
    )
    for absent in ("milk", ""):
        assert quick.refused("str_replace", NOTES, old_str=absent, new_str="x") == (
            f"No replacement was performed, old_str `{absent}` did not appear verbatim in {NOTES}."
        )
    for at in (-1, 4, None, "1", True):
        assert quick.refused("insert", NOTES, insert_line=at, insert_text="x") == (
            f"Error: Invalid `insert_line` parameter: {at}. "
            "It should be within the range of lines of the file: [0, 3]"
        )
    assert quick.refused("insert", gone, insert_line=0, insert_text="x") == (
        f"Error: The path {gone} does not exist"
    )
    assert quick.refused("delete", gone) == f"Error: The path {gone} does not exist"
    there = {"old_path": gone, "new_path": "/memories/y"}
    assert quick.refused("rename", **there) == f"Error: The path {gone} does not exist"
    for taken in (NOTES, "/memories/d", ROOT):
        assert quick.refused("rename", old_path="/memories/d/x", new_path=taken) == (
            f"Error: The destination {taken} already exists"
        )


@pytest.mark.parametrize(
    "call",
    [
        {"command": "create", "path": f"{NOTES}/below", "file_text": ""},
        {"command": "rename", "old_path": "/memories/d", "new_path": f"{NOTES}/below"},
        {"command": "rename", "old_path": "/memories/d", "new_path": "/memories/d/e"},
        {"command": "rename", "old_path": ROOT, "new_path": "/memories/e"},
        {"command": "delete", "path": ROOT},
        {"command": "create", "path": "/memories/" + "x" * 2000, "file_text": ""},
        {"command": "rename", "old_path": "/memories/d", "new_path": "/memories/" + "x" * 1013},
        {"command": "create", "path": "/memories/x"},
        {"command": "create", "path": "/memories/x", "file_text": 3},
        {"command": "create", "file_text": "x"},
        {"command": "view", "path": 3},
        {"command": "format", "path": ROOT},
        {"command": ["view"], "path": ROOT},
        {"path": ROOT},
        {},
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(quick: Tool, call: dict[str, Any]) -> None:
    quick.done("create", NOTES, file_text="x")
    quick.done("create", "/memories/d/x", file_text="x")
    before = quick.done("view", ROOT)
    assert quick.tool.run(call).is_error
    assert quick.done("view", ROOT) == before


# -- paths stay inside -----------------------------------------------------------------------------------------------

WAYS_OUT = [
    "/memories/../etc/passwd", "/memories/..", "/memories/a/../../b", "/memories/./../x", "/memories/a/.",
    "..", "../memories/x", "memories/x", "", "/", "/etc/passwd", "/memoriesx/y", "/memories2", "/Memories/x",
    "/memories/..\\..\\x", "\\memories\\..\\x", "/memories/..%2fx", "/memories/%2e%2e/x", "/memories/%2E./x",
    "/memories/%252e%252e/x", "/memories/%25252e%25252e%25252fx", "/memories/..%5cx", "/memories/..%c0%afx",
    "/memories/%c0%ae%c0%ae/x", "/memories/．．/x", "/memories/․․/x", "/memories/‥/x", "/memories/..／x",
    "/memories/%EF%BC%8E%EF%BC%8E/x", "/memories/..＼x", "/memories/a%00/../x", "/memories/a\x00b", "/memories/a\nb",
    "/memories/%0a", "file:///memories/x", "~/memories/x", "/memories/" + quote("../x", safe=""),
]  # fmt: skip


def encoded(path: str, times: int) -> str:
    for _ in range(times):
        path = quote(path, safe="/")
    return path


@pytest.mark.parametrize(
    "path", [*WAYS_OUT, encoded("/memories/﹒﹒/x", 2), "/memories/" + encoded("%2e", 20)]
)
def test_no_path_leads_out_of_the_directory(quick: Tool, path: str) -> None:
    quick.done("create", NOTES, file_text="x")
    for command in COMMANDS:
        arguments = {"file_text": "x", "old_str": "x", "new_str": "y", "insert_line": 0, "insert_text": "x"}
        if command == "rename":
            assert quick.refused(command, old_path=path, new_path="/memories/free", **arguments)
            assert quick.refused(command, old_path=NOTES, new_path=path, **arguments)
        else:
            assert quick.refused(command, path, **arguments)


@pytest.mark.parametrize(
    "path",
    [
        "/memories/100%.txt",
        "/memories/a b.md",
        "/memories/日记/笔记.md",
        "/memories/..a",
        "/memories/a..b/c…",
    ],
)
def test_names_that_only_look_unusual_are_taken(path: str) -> None:
    assert path_of(path) == path
    assert path_of(path.replace("/memories/", "/memories//") + "/") == path


def test_a_refused_path_is_named() -> None:
    with pytest.raises(RefusedError, match="etc"):
        path_of("/etc/passwd")


# -- versions --------------------------------------------------------------------------------------------------------


def test_every_version_is_kept_and_named_by_what_wrote_it(tool: Tool) -> None:
    tool.done("create", NOTES, file_text="one\n")
    tool.done("str_replace", NOTES, old_str="one", new_str="1")
    tool.done("rename", old_path=NOTES, new_path="/memories/n.md")
    tool.done("delete", "/memories/n.md")
    versions = tool.tool.history()
    assert [(one.path, one.number, one.text, one.command) for one in versions] == [
        (NOTES, 1, "one\n", "create"),
        (NOTES, 2, "1\n", "str_replace"),
        ("/memories/n.md", 1, "1\n", "rename"),
        (NOTES, 3, None, "rename"),
        ("/memories/n.md", 2, None, "delete"),
    ]
    assert versions[2].change_id == versions[3].change_id
    assert tool.tool.history(NOTES) == tuple(one for one in versions if one.path == NOTES)
    with pytest.raises(NotFoundError):
        tool.tool.history("/memories/never")
    with pytest.raises(InputError):
        tool.tool.history("/etc")


def test_a_change_is_undone_as_a_whole_and_the_undo_too(tool: Tool) -> None:
    tool.done("create", "/memories/d/a", file_text="a")
    tool.done("create", "/memories/d/b", file_text="b")
    before = tool.done("view", ROOT)
    deleted = tool.run("delete", "/memories/d").change_id
    undone = tool.tool.undo(deleted)
    assert {(one.path, one.text, one.command) for one in undone} == {
        ("/memories/d/a", "a", "undo"), ("/memories/d/b", "b", "undo"),
    }  # fmt: skip
    assert tool.done("view", ROOT) == before
    tool.tool.undo(undone[0].change_id)
    assert tool.run("view", "/memories/d").is_error
    assert tool.run("view", ROOT).change_id is None


def test_what_was_changed_since_is_not_undone(tool: Tool) -> None:
    first = tool.run("create", "/memories/a", file_text="one").change_id
    tool.done("str_replace", "/memories/a", old_str="one", new_str="two")
    with pytest.raises(UndoError, match="/memories/a"):
        tool.tool.undo(first)
    gone = tool.run("delete", "/memories/a").change_id
    tool.done("create", "/memories/a/b", file_text="below")
    with pytest.raises(UndoError, match="directory"):
        tool.tool.undo(gone)
    with pytest.raises(NotFoundError):
        tool.tool.undo("no such change")
    assert tool.text("/memories/a/b") == "below"


def test_a_path_that_was_deleted_is_created_anew_with_the_next_number(tool: Tool) -> None:
    tool.done("create", NOTES, file_text="one")
    tool.done("delete", NOTES)
    tool.done("create", NOTES, file_text="two")
    assert [one.number for one in tool.tool.history(NOTES)] == [1, 2, 3]
    assert tool.text(NOTES) == "two"


def test_commands_at_once_lose_nothing_of_each_other(open_memory: Opener) -> None:
    """On a shared ledger too: each is carried out on what the one before left."""
    memories = [open_memory().memory for _ in range(2)]
    memories[0].memory_tool(user_id="alice").run({"command": "create", "path": NOTES, "file_text": ""})
    failures: list[BaseException] = []

    def insert(memory: Memory, writer: int) -> None:
        try:
            tool = memory.memory_tool(user_id="alice")
            for at in range(5):
                call = {"command": "insert", "path": NOTES, "insert_line": 0, "insert_text": f"{writer}.{at}"}
                assert not tool.run(call).is_error
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=insert, args=(memory, at)) for at, memory in enumerate(memories)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    history = memories[1].memory_tool(user_id="alice").history(NOTES)
    assert [one.number for one in history] == list(range(1, 12))
    assert set((history[-1].text or "").split()) == {f"{writer}.{at}" for writer in (0, 1) for at in range(5)}


# -- whose files they are --------------------------------------------------------------------------------------------


def test_files_belong_to_exactly_the_ids_that_they_were_written_with(memory: Face) -> None:
    everyone = [{"user_id": "alice"}, {"user_id": "bob"}, {"user_id": "alice", "agent_id": "coach"},
                {"agent_id": "alice"}, {"user_id": "alice/bob"}, {"user_id": "user_id"}]  # fmt: skip
    for at, ids in enumerate(everyone):
        Tool(memory, **ids).done("create", NOTES, file_text=str(at))
    for at, ids in enumerate(everyone):
        assert Tool(memory, **ids).text(NOTES) == str(at)
        assert len(Tool(memory, **ids).tool.history()) == 1
    with pytest.raises(InputError, match="whose memory"):
        memory.memory.memory_tool()


def test_a_view_reaches_its_own_files_alone(memory: Face) -> None:
    view = memory.memory.scoped(user_id="alice")
    view.memory_tool().run({"command": "create", "path": NOTES, "file_text": "mine"})
    assert Tool(memory).text(NOTES) == "mine"
    with pytest.raises(InputError):
        view.memory_tool(user_id="bob")
    change = Tool(memory).tool.history()[0].change_id
    with pytest.raises(NotFoundError):
        Tool(memory, user_id="bob").tool.undo(change)


def test_documents_do_not_show_the_files(memory: Face) -> None:
    Tool(memory).done("create", NOTES, file_text="secret")
    documents = memory.memory.documents
    documents.batch([Put(("plain",), "k", {"text": "seen"})])
    found, namespaces = documents.batch([Find(()), Namespaces()])
    assert [one.key for one in found] == ["k"]
    assert namespaces == [("plain",)]


def test_erasing_removes_the_files_with_all_their_versions(memory: Face) -> None:
    for ids in ({"user_id": "alice"}, {"user_id": "alice", "agent_id": "coach"}, {"user_id": "bob"}):
        tool = Tool(memory, **ids)
        tool.done("create", NOTES, file_text="one")
        tool.done("str_replace", NOTES, old_str="one", new_str="two")
    assert memory.erase(user_id="alice", dry_run=True).files == 2
    assert Tool(memory).text(NOTES) == "two"
    memory.erase(user_id="alice")
    assert Tool(memory).tool.history() == ()
    assert Tool(memory, user_id="alice", agent_id="coach").tool.history() == ()
    assert Tool(memory, user_id="bob").text(NOTES) == "two"
    memory.erase(user_id="bob")
    assert Tool(memory, user_id="bob").tool.history() == ()


def test_a_redactor_masks_what_is_kept(open_memory: Opener) -> None:
    class Codes:
        def redact(self, text: str) -> str:
            return text.replace("4411", "[code]")

    tool = Tool(open_memory(redactor=Codes()))
    tool.done("create", NOTES, file_text="the code is 4411")
    assert tool.text(NOTES) == "the code is [code]"


def test_files_outlive_the_process_and_a_closed_memory_says_so(open_memory: Opener) -> None:
    memory = open_memory()
    tool = Tool(memory)
    tool.done("create", NOTES, file_text="kept \x00 \ud800 日记")
    memory.memory.close()
    with pytest.raises(ClosedError):
        tool.run("view", ROOT)
    assert Tool(open_memory()).text(NOTES) == "kept \ufffd \ufffd 日记"


def test_a_document_that_has_to_be_new_is_refused_with_its_whole_batch_where_there_is_one(
    memory: Face,
) -> None:
    documents = Face(memory.memory.documents, memory._loop)
    documents.batch([Put(("n",), "k", {"at": 1}, new=True)])
    with pytest.raises(InputError, match="already"):
        documents.batch([Put(("n",), "a", {"at": 2}), Put(("n",), "k", {"at": 2}, new=True)])
    kept, other = documents.batch([Get(("n",), "k"), Get(("n",), "a")])
    assert kept.value == {"at": 1}
    assert other is None


def test_the_tool_is_made_by_a_memory_and_says_whose_it_is(memory: Face) -> None:
    tool = memory.memory.memory_tool(user_id="alice")
    assert isinstance(tool, MemoryTool)
    assert tool.scope.ids() == {"user_id": "alice"}
