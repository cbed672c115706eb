"""The background's thread: it takes jobs that are due, one after another, and rests when there are none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from ._remembering import Remembering
from ._store import Store
from .errors import HoldfastError
from .faces import Inline, run_inline

_log = logging.getLogger("holdfast")

LONGEST_REST = 30.0  # seconds; other processes of a shared ledger may have left work
SHORTEST_REST = 0.05


class Worker:
    """One thread per `Memory`, started with the first work for it."""

    def __init__(self, store: Store, remembering: Remembering, now: Callable[[], datetime]) -> None:
        self._store = store
        self._remembering = remembering
        self._now = now
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._draining = False
        self._stopping = False

    def start(self) -> None:
        """There is, or may be, something to do."""
        with self._guard:
            self._wake.set()
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="holdfast-worker", daemon=True)
                self._thread.start()

    def stop(self, *, drain: bool) -> None:
        """End the thread after the job at hand, or with `drain` after all jobs that are due."""
        with self._guard:
            self._draining, self._stopping = drain, True
            self._wake.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stopping or self._draining:
            self._wake.clear()
            try:
                if run_inline(self._remembering.work(Inline())):
                    continue
                rest = self._rest(self._store.ledger.jobs.next_due())
            except HoldfastError:
                # A thread has nobody to raise to. The job keeps: its lease lapses, and it is tried again.
                _log.exception("the background could not reach the store; it tries again")
                rest = LONGEST_REST
            except Exception:  # noqa: BLE001
                # A port of the caller's raised what no port may. The job was given back and is tried again
                # later, up to the limit; the thread has to outlive it, or all other jobs would wait for ever.
                _log.exception("the background met an error that is none of Holdfast's")
                rest = SHORTEST_REST
            if self._stopping:
                return
            self._wake.wait(rest)

    def _rest(self, due: datetime | None) -> float:
        if due is None:
            return LONGEST_REST
        return min(LONGEST_REST, max(SHORTEST_REST, (due - self._now()).total_seconds()))
