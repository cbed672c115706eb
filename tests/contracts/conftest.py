"""Where the implementations under test lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.implementations import Place


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(
        tmp_path,
        lambda: str(request.getfixturevalue("postgres_url")),
        lambda: str(request.getfixturevalue("pgvector").ledger()),
    )
    with place.closing:
        yield place
