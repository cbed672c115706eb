"""Fixtures of the attacks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import bouncer, pgvector, postgres, postgres_url

__all__ = ["bouncer", "pgvector", "postgres", "postgres_url"]

MEMORY = Path("/dev/shm")
ROOM = 1 << 30


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: these tests commit a lot, and are not about the disk's patience."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="holdfast-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
