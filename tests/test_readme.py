"""The README's snippets of the engine run as they stand, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast import Memory

ROOT = Path(__file__).parent.parent
SNIPPET = re.compile(r"```python\n(.*?)```", re.S)
ELSEWHERE = (
    "langchain",
    "llama_index",
    "postgresql://",
    "OpenAIModel",
)  # need a model, a server or an adapter


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_snippets_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    snippets = SNIPPET.findall((ROOT / name).read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    ran = 0
    for snippet in snippets:
        if not any(word in snippet for word in ELSEWHERE):
            exec(compile(snippet, name, "exec"), names)
            ran += 1
    assert ran >= 2
    assert isinstance(names["m"], Memory)
    names["m"].close()
