"""The code of the README runs, in order, with models that need no key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Settings

from tests.llamaindex.fakes import Calling, text_of
from tests.support.snippets import blocks, run

README = Path(__file__).parents[2] / "llamaindex_adapter" / "README.md"

pytestmark = [
    # LlamaIndex's own agents, not ours, still speak pydantic's old names.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
]


def test_the_snippets_run_and_the_snack_has_no_peanuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    llm = Calling("I see.")
    Settings.llm = llm
    import llama_index.memory.holdfast as adapter

    # The model that answers is scripted and cannot extract: the engines of the snippets go without one.
    engine = adapter.open_engine("./memories", llm=None)
    monkeypatch.setattr("llama_index.memory.holdfast._registry.open_engine", lambda *args, **kwargs: engine)
    names: dict[str, Any] = {}
    for block in blocks(README, "python"):
        run(block, names)
    assert "I'm allergic to peanuts." in text_of(llm.shown[1])
    assert "I'm allergic to peanuts. ['ADD'" in capsys.readouterr().out
    database = names["memory"].sql_store._async_engine
    asyncio.run(database.dispose())


def test_every_public_name_is_in_the_readme() -> None:
    import llama_index.memory.holdfast as adapter

    assert adapter.__all__ == sorted(adapter.__all__)
    text = README.read_text(encoding="utf-8")
    for name in adapter.__all__:
        assert hasattr(adapter, name)
        if not name.startswith("as_"):
            assert name in text, name


def test_the_namespaces_stay_namespaces() -> None:
    """A file there would hide every other package of LlamaIndex."""
    import llama_index
    import llama_index.memory

    assert getattr(llama_index, "__file__", None) is None
    assert getattr(llama_index.memory, "__file__", None) is None
    distribution = README.parent / "llama_index"
    assert sorted(
        str(path.parent.relative_to(distribution)) for path in distribution.rglob("__init__.py")
    ) == ["memory/holdfast"]
