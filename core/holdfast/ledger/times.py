"""Times as the ledger and the index keep them: integers, microseconds since the epoch, UTC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def now_utc() -> datetime:
    return datetime.now(UTC)


class Clock:
    """A clock that never gives the same instant twice, so that versions follow one another strictly."""

    def __init__(self, source: Callable[[], datetime] = now_utc) -> None:
        self._source = source
        self._last = 0
        self._guard = threading.Lock()

    def start_after(self, micros: int) -> None:
        """Give no instant up to this one."""
        with self._guard:
            self._last = max(self._last, micros)

    def __call__(self) -> int:
        with self._guard:
            self._last = max(to_micros(self._source()), self._last + 1)
            return self._last
