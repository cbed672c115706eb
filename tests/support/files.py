"""The bytes of files."""

from __future__ import annotations

import os
from pathlib import Path


def content(path: Path) -> bytes:
    """What was written to a file, with a byte of nothing for each hole: an index has megabytes of holes."""
    if not hasattr(os, "SEEK_DATA"):
        return path.read_bytes()
    parts = []
    with path.open("rb", buffering=0) as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = file.seek(at, os.SEEK_DATA)
            except OSError:  # there is only a hole from here on
                break
            end = file.seek(at, os.SEEK_HOLE)
            file.seek(at)
            parts.append(file.read(end - at))
            at = end
    return b"\0".join(parts)
