"""The background's threads: each takes a due job of a scope that no other thread works on, and rests when there is
none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from ..errors import HoldfastError
from ..io import Inline, run_inline
from ..storage.ledger.jobs import JobRecord
from ..storage.store import Store
from ..types import Scope
from .leases import Leases

_log = logging.getLogger("holdfast")

LONGEST_REST = 30.0  # seconds; other processes of a shared ledger may have left work
SHORTEST_REST = 0.05


class Worker:
    """Up to `limit` threads per `Memory`, started when there is work for them."""

    def __init__(self, store: Store, leases: Leases, now: Callable[[], datetime], limit: int) -> None:
        self._store = store
        self._leases = leases
        self._now = now
        self._limit = limit
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._resting = 0
        self._called = False  # there may be work that nobody has looked for yet
        self._busy: list[Scope] = []  # of the jobs that threads work on or wait to begin
        self._draining = False
        self._stopping = False

    def start(self) -> None:
        """Start or wake a thread, as there may be something to do."""
        with self._changed:
            self._called = True
            if self._resting:
                self._changed.notify()
            elif len(self._threads) < self._limit and not self._stopping:
                name = f"holdfast-worker-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()

    def look_again(self) -> None:
        """As `start`, if there are threads already: what a finished job held up may be due now."""
        if self._threads:
            self.start()

    def stop(self, *, drain: bool) -> None:
        """End the threads after their current jobs, or with `drain` after all due jobs."""
        with self._changed:
            self._draining, self._stopping = drain, True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopping or self._draining:
            try:
                due = self._next()
                if due is not None:
                    self._do(due)
                    continue
                rest = self._until(self._store.ledger.jobs.next_due(beside=self._scopes()))
            except HoldfastError:
                # A thread has nobody to raise to. The job is safe: its lease lapses, and it is tried again.
                _log.exception("the background could not reach the store; it tries again")
                rest = LONGEST_REST
            except BaseException:  # noqa: BLE001
                # Whatever a listener raised, SystemExit too: the job is done or was given back, and the thread has to
                # outlive it, or all other jobs would wait forever.
                _log.exception("the background met an error that is none of Holdfast's")
                rest = SHORTEST_REST
            if self._stopping:
                return
            self._rest(rest)

    def _next(self) -> JobRecord | None:
        """The next job that is due. Its scope now belongs to this thread."""
        with self._changed:
            self._called = False
        while True:
            due = self._store.ledger.jobs.peek(beside=self._scopes())
            with self._changed:
                if due is None or due.scope not in self._busy:
                    self._busy.extend([] if due is None else [due.scope])
                    return due

    def _do(self, due: JobRecord) -> None:
        try:
            self.start()  # somebody else may look whether there is more
            run_inline(self._leases.work(Inline(), due))
        finally:
            with self._changed:
                self._busy.remove(due.scope)

    def _scopes(self) -> list[Scope]:
        with self._changed:
            return list(self._busy)

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._resting += 1
            self._changed.wait_for(lambda: self._called or self._stopping, seconds)
            self._resting -= 1

    def _until(self, due: datetime | None) -> float:
        if due is None:
            return LONGEST_REST
        return min(LONGEST_REST, max(SHORTEST_REST, (due - self._now()).total_seconds()))
