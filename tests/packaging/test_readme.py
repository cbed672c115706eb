"""The README's snippets run as they stand, in both languages; only what needs a server is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.llms import MockLLM

from holdfast import Memory
from tests.langchain.fakes import ScriptedChat, User
from tests.support.snippets import blocks, run

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "README.zh.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HERE = "https://github.com/holdfast-memory/holdfast/blob/main/"


@pytest.mark.parametrize("name", PAGES)
def test_the_snippets_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    index = VectorStoreIndex.from_documents([Document(text="Hi")], embed_model=MockEmbedding(embed_dim=8))
    given: dict[str, Any] = {"model": ScriptedChat("All right."), "User": User, "index": index}
    given["memory"] = Memory(tmp_path / "given", llm=None)
    opened = [given["memory"]]
    for block in blocks(ROOT / name, "python"):
        run(block, given)
        opened += [given["m"], getattr(given["memory"], "engine", given["memory"])]
    assert [memory for memory in opened if not isinstance(memory, Memory)] == []
    for memory in opened:
        memory.close()


@pytest.mark.parametrize("name", [*PAGES, "langmem_adapter/README.md", "llamaindex_adapter/README.md"])
def test_links_are_absolute_and_lead_to_files_that_are_there(name: str) -> None:
    """The pages are shown on the package index, too, where no file lies beside them."""
    page = (ROOT / name).read_text(encoding="utf-8")
    targets = [link for link in LINK.findall(page) if not link.startswith("#")]
    assert [link for link in targets if not link.startswith("https://")] == []
    ours = [link.removeprefix(HERE) for link in targets if link.startswith(HERE)]
    assert ours
    assert [path for path in ours if not (ROOT / path).exists()] == []


def test_where_things_are_names_what_is_there() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
    paths, above = list[Path](), [ROOT]
    for line in filter(None, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.findall(r"[\w/]+(?:/|\.py)(?=[\s,]|$)", line)
        paths += [above[depth] / name for name in names]
        above[depth + 1 :] = [above[depth] / name for name in names[:1]]
    assert len(paths) > 20
    assert [path for path in paths if not path.exists()] == []
