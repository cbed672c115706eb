"""What the package exports is what it says that it exports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import holdfast
import langchain_holdfast

ROOT = Path(__file__).parents[2]


def test_every_name_of_all_is_there_and_public() -> None:
    for name in langchain_holdfast.__all__:
        assert getattr(langchain_holdfast, name).__module__.startswith("langchain_holdfast.")
    assert sorted(langchain_holdfast._MODULE_OF) == sorted(langchain_holdfast.__all__)
    assert set(langchain_holdfast.__all__) <= set(dir(langchain_holdfast))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    assert not hasattr(langchain_holdfast, "Nothing")


def test_the_versions_agree() -> None:
    project = tomllib.loads((ROOT / "langmem_adapter" / "pyproject.toml").read_text())["project"]
    assert project["version"] == langchain_holdfast.__version__ == holdfast.__version__
    assert f"holdfast=={holdfast.__version__}" in project["dependencies"]


def test_importing_the_package_loads_no_framework() -> None:
    code = (
        "import sys, langchain_holdfast\n"
        "assert not {'langchain', 'langchain_core', 'langgraph'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
