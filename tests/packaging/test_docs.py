"""The pages of the documentation: their code runs, and the site's builder finds every page and link."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.langchain.fakes import ScriptedChat
from tests.support.snippets import blocks, run

ROOT = Path(__file__).parents[2]
# What the repository's own pages show is run beside their tests, or is a measurement.
ELSEWHERE = {"RELIABILITY.md", "BENCHMARKS.md"}
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name not in ELSEWHERE)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page", "chat_model": ScriptedChat("All right.", "All right.")}
    for block in blocks(page):
        if block.why is None:
            run(block, names)


def test_what_no_test_runs_says_why(build: ModuleType) -> None:
    """Python in the adapters' pages is run by the tests beside theirs."""
    pages = [ROOT / source for source in build.sources()]
    found = [block for page in pages for block in blocks(page)]
    assert {block.language for block in found} <= {"python", "sh", "json", "jsonl", "sql", "ini", ""}
    left = [block for block in found if block.runs and block.page not in PAGES]
    readmes = {ROOT / "langmem_adapter" / "README.md", ROOT / "llamaindex_adapter" / "README.md"}
    assert [block for block in left if block.language != "python" or block.page not in readmes] == []


def test_every_page_and_link_of_the_site_is_there(build: ModuleType, tmp_path: Path) -> None:
    build.STAGED = tmp_path / "staged"
    build.stage()
    staged = {path.relative_to(build.STAGED).as_posix() for path in build.STAGED.rglob("*.md")}
    assert {"index.md", "recipes/tutor.md", "langchain.md", "reference/memory.md"} <= staged
    listed = (build.STAGED / "llms.txt").read_text(encoding="utf-8")
    assert listed.count("\n- [") == len(staged)


def test_the_reference_tells_all_that_is_exported(build: ModuleType) -> None:
    import holdfast

    told = "".join(build.reference().values())
    assert [name for name in holdfast.__all__ if f"\n## {name}\n" not in told] == []
    assert "\n### Memory.search\n" in told
    assert "\n### Memory.asearch\n" not in told


def test_a_link_that_leads_nowhere_is_named(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md) `[code](gone.md)`", encoding="utf-8")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(build.Broken, match=r"docs/index.md: gone.md leads nowhere"):
        build.staged("docs/index.md", {"docs/index.md": "index.md"})
