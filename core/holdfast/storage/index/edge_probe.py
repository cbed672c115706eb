"""Whether a shard loads, tried in a process of its own.

A shard cut short by a full disk can kill the process that loads it: the engine maps its files into memory, and a
missing page is a bus error. So a shard that was not closed properly is first loaded elsewhere.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

_log = logging.getLogger("holdfast")

SECONDS = 300  # a shard of a million points loads in a few


def loads(folder: Path, dimensions: int) -> bool:
    """False if loading fails or kills. True if there is no interpreter to try it with."""
    if not sys.executable or getattr(sys, "frozen", False):
        return True
    # By its path and isolated: neither the working directory nor an environment variable chooses what runs.
    # The folders of packages are passed on, as they may be known to this process alone.
    command = [sys.executable, "-P", "-I", "-S", __file__, str(folder), str(dimensions), *_roots()]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and a folder of ours
            command, capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("the index in %s could not be tried: %s", folder, error)
        return not isinstance(error, subprocess.TimeoutExpired)
    return done.returncode == 0


def _roots() -> list[str]:
    """Where this process finds packages: this one's folder first, and no relative entries."""
    here = Path(__file__).resolve().parents[2]
    return list(dict.fromkeys([str(here), *filter(os.path.isabs, sys.path)]))


def _try(folder: Path, dimensions: int) -> None:
    import qdrant_edge as q

    from holdfast.storage.index.edge_shard import load

    shard = load(folder, dimensions)
    if shard is None:
        sys.exit(1)
    shard.count(q.CountRequest(exact=True))
    shard.scroll(q.ScrollRequest(limit=10, with_payload=True, with_vector=True))
    shard.close()


if __name__ == "__main__":
    sys.path += sys.argv[3:]  # behind the standard library
    _try(Path(sys.argv[1]), int(sys.argv[2]))
