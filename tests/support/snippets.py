"""The code of a page, run as its reader would run it: from top to bottom, each block as it stands.

A block that a test cannot run says why, in a comment of its own before it: `<!-- not run: needs a server -->`.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from holdfast.app.commands import app

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n\n?)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.M | re.S,
)
CODE = ("python", "sh")  # what runs; other languages show what was printed, or a file


@dataclass(frozen=True, slots=True)
class Block:
    """language: python, sh, json ... why: why it is not run, where it is not. line: of its first line, from 1."""

    page: Path
    line: int
    language: str
    text: str
    why: str | None

    @property
    def runs(self) -> bool:
        return self.language in CODE and self.why is None


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page, of these languages or of all."""
    content = page.read_text(encoding="utf-8")
    found = [
        Block(
            page,
            content.count("\n", 0, match.start("text")) + 1,
            match["language"],
            match["text"],
            match["why"],
        )
        for match in FENCE.finditer(content)
    ]
    assert content.count("\n```") + content.startswith("```") == 2 * len(found), (
        f"{page}: a fence is not closed"
    )
    return [block for block in found if not languages or block.language in languages]


def run(block: Block, names: dict[str, Any]) -> None:
    """Python in `names`; shell as far as it calls `holdfast`, which must succeed; JSON must be JSON."""
    match block.language:
        case "python":
            code = compile(
                "\n" * (block.line - 1) + block.text,
                str(block.page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
            result = eval(code, names)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        case "sh":
            shell(block)
        case "json":
            json.loads(block.text)
        case "jsonl":
            for line in block.text.splitlines():
                json.loads(line)


def shell(block: Block) -> None:
    """Lines that call `holdfast`, run in this process; `echo` may feed it, and `export` sets its environment."""
    environment = dict[str, str]()
    for number, line in enumerate(block.text.splitlines(), block.line):
        words = shlex.split(line, comments=True)
        match words:
            case []:
                continue
            case ["export", *settings]:
                environment |= dict(setting.split("=", 1) for setting in settings)
                continue
            case ["echo", said, "|", "holdfast", *arguments]:
                given: str | None = f"{said}\n"
            case ["holdfast", *arguments]:
                given = None
            case _:
                raise AssertionError(f"{block.page}, line {number}: say why no test runs {words[0]}")
        result = CliRunner(env=environment).invoke(app, arguments, input=given)
        assert result.exit_code == 0, f"{block.page}, line {number}: {result.output}"
