"""Killed at any point, nothing is lost. The long run is `python -m tests.reliability.kill --kills 500`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.children import ROOT


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_kills_lose_nothing() -> None:
    """In a process of its own: it forks, which this one, with its threads, must not."""
    command = [sys.executable, "-m", "tests.reliability.kill", "--kills", "25", "--seed", "20260304"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "survived 25 kills" in done.stdout
