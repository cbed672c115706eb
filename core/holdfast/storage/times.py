"""Times as the ledger and the index keep them: integers, microseconds since the epoch, UTC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_log = logging.getLogger("holdfast")

FOREVER = 2**53 - 1  # the largest integer that every JSON number and float64 range holds exactly
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def now_utc() -> datetime:
    return datetime.now(UTC)


# How far clocks may differ: those of machines that share a ledger, or one machine's before and after a
# correction. A time further ahead than this comes from a wrong clock.
SKEW = 600 * 1_000_000


class Clock:
    """A clock that never gives the same instant twice, so that versions follow one another strictly.

    If its source is set back by more than `SKEW`, it was wrong before and is followed, so that no more memories
    get wrong dates.
    """

    def __init__(self, source: Callable[[], datetime] = now_utc) -> None:
        self._source = source
        self._last = -(2**63)
        self._guard = threading.Lock()

    def start_after(self, micros: int) -> None:
        """Give only instants after this one, unless it is too far ahead to be true."""
        with self._guard:
            self._last = max(self._last, micros)

    def __call__(self) -> int:
        with self._guard:
            now = to_micros(self._source())
            if self._last - now > SKEW:
                _log.warning(
                    "the clock was ahead, at %s; it now says %s, and what is stored from here on is dated by that",
                    from_micros(self._last), from_micros(now),
                )  # fmt: skip
                self._last = now
            else:
                self._last = max(now, self._last + 1)
            return self._last
