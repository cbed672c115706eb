"""The command `holdfast`, in this process on a folder of its own."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portalocker
import pytest
from typer.testing import CliRunner, Result

from holdfast import Memory
from holdfast.app.cli import main
from holdfast.app.commands import app


@dataclass
class Command:
    home: Path

    def run(self, *arguments: str, said: str | None = None) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--home", str(self.home)], input=said)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def done(self, *arguments: str, said: str | None = None) -> Any:
        result = self.run(*arguments, said=said)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *arguments: str, code: int = 1) -> str:
        result = self.run(*arguments)
        assert result.exit_code == code, result.output
        return result.stderr


@pytest.fixture
def holdfast(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


def test_a_memory_lives_through_all_commands(holdfast: Command, tmp_path: Path) -> None:
    added = holdfast.done("add", "I live in Berlin", "-u", "alice", "-m", '{"kind": "home"}')
    memory_id = added["changes"][0]["memory_id"]
    assert holdfast.done("search", "Berlin", "-u", "alice", "-k", "1")["hits"][0]["memory"]["id"] == memory_id
    assert holdfast.done("list", "-u", "alice", "--filter", '{"kind": "work"}')["items"] == []
    assert "Berlin" in holdfast.done("recall", "Berlin", "-u", "alice")["text"]
    changed = holdfast.done("update", memory_id, "I live in Lisbon")
    assert holdfast.done("get", memory_id)["text"] == "I live in Lisbon"
    assert len(holdfast.done("history", memory_id)["changes"]) == 2
    holdfast.done("undo", changed["id"])
    assert [owner["user_id"] for owner in holdfast.done("users")["items"]] == ["alice"]
    assert len(holdfast.done("changes", "--operation", "UPDATE", "--operation", "DELETE")["items"]) == 2
    export = tmp_path / "export.jsonl"
    assert holdfast.done("export", "-u", "alice", "-f", str(export))["versions"] == 3
    assert holdfast.done("delete", memory_id)["operation"] == "DELETE"
    assert holdfast.done("erase", "-u", "alice", "--dry-run")["memories"] == 1
    assert holdfast.done("erase", "-u", "alice", "--force")["memories"] == 1
    assert holdfast.done("import", str(export), "--dry-run")["versions"] == 3
    assert holdfast.done("stats")["memories"] == 0
    assert holdfast.done("import", str(export))["versions"] == 3
    assert holdfast.done("import", "-", said=export.read_text())["versions"] == 0
    assert holdfast.done("get", memory_id)["text"] == "I live in Berlin"
    assert holdfast.done("verify")["agree"] is True
    assert holdfast.done("optimize") == {"done": False}


def test_texts_come_from_arguments_standard_input_and_files(holdfast: Command, tmp_path: Path) -> None:
    holdfast.done("add", "-", "-u", "alice", said="I live in Berlin\n")
    messages = [{"role": "user", "content": "I play tennis"}, {"role": "assistant", "content": "Nice!"}]
    (tmp_path / "chat.json").write_text(json.dumps(messages))
    (tmp_path / "chat.jsonl").write_text("\n".join(json.dumps(one) for one in messages[:1]))
    (tmp_path / "note.txt").write_text("我喜欢喝茶。", encoding="utf-8")
    for name in ("chat.json", "chat.jsonl", "note.txt"):
        holdfast.done("add", "-f", str(tmp_path / name), "-u", "alice")
    texts = [item["text"] for item in holdfast.done("list", "-u", "alice")["items"]]
    assert texts == ["I live in Berlin", "I play tennis", "我喜欢喝茶。"]


def test_memories_expire(holdfast: Command) -> None:
    added = holdfast.done("add", "I live in Berlin", "-u", "alice", "--expires-at", "P1D")
    memory_id = added["changes"][0]["memory_id"]
    holdfast.done("update", memory_id, "--expires-at", "2999-01-01")
    assert holdfast.done("get", memory_id)["expires_at"].startswith("2999-01-01")
    assert "2999-01-01 00:00" in holdfast.run("list", "-u", "alice", "-o", "text").stdout
    soon = '{"expires_at": {"lt": "2998-01-01"}}'
    assert holdfast.done("list", "-u", "alice", "--filter", soon)["items"] == []
    holdfast.done("update", memory_id, "--expires-at", "never")
    assert holdfast.done("get", memory_id)["expires_at"] is None


def test_a_missing_model_is_told_in_words_of_the_command(
    holdfast: Command, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    holdfast.done("add", "I live in Berlin", "-u", "alice")
    [told] = [record.getMessage() for record in caplog.records if "no model" in record.message]
    assert "OPENAI_API_KEY is not set" in told
    assert "llm=" not in told
    caplog.clear()
    holdfast.done("search", "Berlin", "-u", "alice")
    holdfast.done("add", "I like tea", "-u", "alice", "--no-infer")
    assert "no model" not in caplog.text
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setitem(sys.modules, "openai", None)
    holdfast.done("add", "I live in Rome", "-u", "alice")
    assert "holdfast[openai]" in caplog.text
    assert "llm=" not in caplog.text


def test_people_see_tables_and_programs_json(holdfast: Command) -> None:
    holdfast.done("add", "I like [bold]tea[/bold] \x1b[31m", "-u", "alice", "--no-infer")
    shown = holdfast.run("list", "-u", "alice", "-o", "text").stdout
    assert "[bold]tea[/bold]" in shown
    assert "\x1b[31m" not in shown
    for arguments in (
        ("search", "tea", "--explain"),
        ("recall", "tea"),
        ("stats",),
        ("users", "-k", "1"),
        ("changes", "-k", "1"),
        ("erase", "--dry-run"),
        ("add", "I like coffee"),
    ):
        result = holdfast.run(*arguments, "-u", "alice", "-o", "text")
        assert result.exit_code == 0
        assert not result.stdout.startswith("{")


def test_delete_all_asks_first(holdfast: Command) -> None:
    for text in ("I live in Berlin", "I play tennis"):
        holdfast.done("add", text, "-u", "alice")
    assert len(holdfast.done("delete", "--all", "-u", "alice", "--dry-run")["items"]) == 2
    assert "Forget 2 memories?" in holdfast.refused("delete", "--all", "-u", "alice")
    assert "pass --force" in holdfast.refused("erase", "-u", "alice")
    assert len(holdfast.done("list", "-u", "alice")["items"]) == 2
    assert len(holdfast.done("delete", "--all", "-u", "alice", "--force")["changes"]) == 2


def test_what_is_wrong_is_told_in_one_line_with_a_code(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl").write_text(
        '{"format": "holdfast-export", "version": 1, "exported_at": "", "scope": {}}\n'
    )
    (tmp_path / "broken.json").write_text("[{")
    for said, *arguments in (
        ("there is no memory 'x'", "get", "x"),
        ("whose memory?", "list"),
        ("whose memory?", "add", "text"),
        ("limit=0", "search", "x", "-u", "alice", "-k", "0"),
        ("--filter is not JSON", "list", "-u", "alice", "--filter", "a=b"),
        ("--metadata is no JSON object", "add", "x", "-u", "alice", "-m", "[]"),
        ("give a text", "add", "-u", "alice"),
        ("cannot be read", "add", "-f", str(tmp_path / "missing"), "-u", "alice"),
        ("cannot be read", "add", "-f", str(tmp_path / "broken.json"), "-u", "alice"),
        ("known formats are holdfast", "import", "x", "--from", "nonsense"),
        ("is no file", "import", str(tmp_path / "missing")),
        ("cut short", "import", str(tmp_path / "cut.jsonl")),
        ("cut short", "import", str(tmp_path / "cut.jsonl"), "--dry-run"),
        ("cannot be written", "export", "-u", "alice", "-f", str(tmp_path / "no" / "folder")),
        ("whose memory?", "export"),
        ("--all", "delete"),
    ):
        told = holdfast.refused(*arguments)
        assert said in told
        assert len(told.splitlines()) == 1
    holdfast.refused("dance", code=2)
    holdfast.refused("search", code=2)
    holdfast.refused("list", "-u", "alice", "--url", "http://127.0.0.1:9", code=4)
    assert holdfast.done("stats")["memories"] == 0


def test_a_folder_that_is_in_use_says_how_to_share_it(holdfast: Command) -> None:
    with Memory(holdfast.home, llm=None):
        pass
    exclusive = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
    with portalocker.Lock(holdfast.home / "lock", "a", flags=exclusive):
        assert "`holdfast serve` shares a folder" in holdfast.refused("list", "-u", "alice", code=4)


def test_the_way_is_the_same_through_a_server(serve: Callable[..., Any], tmp_path: Path) -> None:
    holdfast = Command(serve().home)
    test_a_memory_lives_through_all_commands(holdfast, tmp_path)
    assert "there is no memory 'x'" in holdfast.refused("get", "x")
    assert "whose memory?" in holdfast.refused("list")
    assert "cut short" in holdfast.refused("import", _cut(tmp_path / "export.jsonl"))


def _cut(path: Path) -> str:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    return str(path)


def test_a_command_without_its_extra_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "holdfast.app.commands")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as told:
        main()
    assert told.value.code == 'holdfast: the command needs typer: pip install "holdfast[cli]"'


def test_serving_without_its_extra_says_which_one(holdfast: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mcp" else name)
    for arguments in (("serve",), ("mcp", "-u", "alice")):
        assert 'this needs mcp: pip install "holdfast[server]"' in holdfast.refused(*arguments)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_command(shell: str) -> None:
    asked = {
        "_HOLDFAST_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "holdfast se",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "holdfast se",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    told = CliRunner().invoke(app, env=asked).stdout
    assert "search" in told
    assert "serve" in told
    assert "add" not in told.split()


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_commands_of_the_readme_run_in_their_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    shutil.copy(Path(__file__).parent / "data/mem0.json", tmp_path / "memories.json")
    page = (ROOT / name).read_text(encoding="utf-8")
    lines = [
        shlex.split(line, comments=True) for line in page.split("```sh\n")[1].split("```")[0].splitlines()
    ]
    assert [line for line in lines if line[0] != "holdfast"] == []
    for _, *arguments in lines:
        if arguments not in (["serve"], ["inspect"]):  # tried with a server that runs, in test_serving
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
    with Memory(tmp_path / "home", llm=None) as memory:
        kept = {change.after for change in memory.changes(operation="ADD")}
    assert kept > {"I live in Lisbon"} or kept > {"我住在里斯本"}, "that, and what was imported"


def test_the_demo_runs() -> None:
    result = CliRunner().invoke(app, ["demo", "--no-model"])
    assert result.exit_code == 0
