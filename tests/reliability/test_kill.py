"""Killed at any point, nothing is lost. The long run is `python -m tests.reliability.kill --kills 500`."""

from __future__ import annotations

import sys

import pytest

from tests.reliability import kill, kill_copy
from tests.support.processes import ran


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize(
    ("where", "kills"), [("folder", 25), pytest.param("server", 10, marks=pytest.mark.postgres)]
)
def test_kills_lose_nothing(where: str, kills: int, request: pytest.FixtureRequest) -> None:
    """In a process of its own: it forks, which this one, with its threads, must not."""
    options = ["--kills", kills, "--seed", 20260304]
    if where == "server":
        options += ["--ledger", request.getfixturevalue("pgvector").database()]
    done = ran(kill.main, *options, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"survived {kills} kills" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("where", ["folder", pytest.param("server", marks=pytest.mark.postgres)])
def test_a_copy_that_is_killed_is_made_whole(where: str, request: pytest.FixtureRequest) -> None:
    options = ["--kills", 4, "--seed", 20261130]
    if where == "server":
        options += ["--ledger", request.getfixturevalue("pgvector").ledger()]
    done = ran(kill_copy.main, *options, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "survived 4 kills" in done.stdout
