"""The code of a page, run as its reader would run it: from top to bottom, each block as it stands.

A block that a test cannot run says why, in a comment of its own before it: `<!-- not run: needs a server -->`.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n\n?)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.M | re.S,
)
CODE = ("python", "sh")  # what runs; other languages show what was printed, or a file
CORE = Path(__file__).parents[2] / "core"


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
    """Python in `names`; shell in the working directory, where it must succeed; JSON must be JSON."""
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
            paths = (str(CORE), os.environ.get("PYTHONPATH", ""))
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
            script = f'holdfast() {{ "{sys.executable}" -m holdfast.app "$@"; }}\n{block.text}'
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block.page}, line {block.line}:\n{done.stdout}{done.stderr}"
        case "json":
            json.loads(block.text)
        case "jsonl":
            for line in block.text.splitlines():
                json.loads(line)
