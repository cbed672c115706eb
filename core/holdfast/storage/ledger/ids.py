"""Ids for what the ledger keeps."""

from __future__ import annotations

import os
import threading
import time

_guard = threading.Lock()
_last = 0


def new_id() -> str:
    """A UUID of version 7: the time in milliseconds, then 74 random bits. Later ids of a process are greater.

    Rows written together are then together in every index of the database. With random ids each new row
    touches pages all over the file, and adding gets slower with every memory: `python -m bench.cost.scale`.
    """
    global _last
    made = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    made = made & ~(0xF << 76 | 0b11 << 62) | 0x7 << 76 | 0b10 << 62
    with _guard:
        # Memories of one millisecond are sorted by their ids, in the order in which they came.
        _last = made = max(made, _last + 1)
    digits = f"{made:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
