"""A store's life is the same in both faces and on every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Opener
from tests.support.lives import live, lived_in, told


@pytest.mark.parametrize(
    "open_memory",
    [(face, store) for face in ("sync", "async") for store in ("folder", "in-memory", "postgres")],
    indirect=True,
    ids="-".join,
)
def test_a_life_is_told_alike(open_memory: Opener, tmp_path: Path) -> None:
    memory = open_memory()
    live(memory)
    with lived_in({"path": tmp_path / "another"}) as another:
        assert told(memory) == told(another)
