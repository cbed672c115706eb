"""What the index still has to be told. A row names a version; what to do follows from the ledger's present state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ..index.base import Point
from ..types import Scope
from .database import Database, scope_key
from .schema import outbox, vectors, versions
from .times import Clock

PointOf = Callable[[Row[Any], npt.NDArray[np.float32]], Point]

CLAIM = 60 * 1_000_000  # an index write takes milliseconds; after this its process is taken for dead
LAZY_ROWS = 64  # settled rows that an embedded store may keep until a later transaction removes them


@dataclass(frozen=True, slots=True)
class Pending:
    """upserts: points as they should be. deletes: versions that no longer exist. seqs: the rows this settles."""

    upserts: list[Point]
    deletes: list[str]
    seqs: list[int]

    def __bool__(self) -> bool:
        return bool(self.seqs)


class Outbox:
    """One caller at a time per process (the engine sees to it); processes of a shared ledger claim their rows.

    An embedded store removes settled rows lazily: to settle a row twice is harmless, a transaction for each is not.
    """

    def __init__(self, database: Database, clock: Clock, point_of: PointOf, embedder: str) -> None:
        self._database = database
        self._clock = clock
        self._point_of = point_of
        self.embedder = embedder
        self._settled: set[int] = set()

    def take(self, limit: int) -> Pending:
        """The oldest rows that nobody works on, and the points they stand for."""
        if self._database.sqlite:
            with self._database.reading() as db:
                return self._pending(db, limit)
        with self._database.writing() as db:
            # One taker at a time: who comes second sees what the first one claimed.
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(7268453913)")
            pending = self._pending(db, limit, unclaimed_only=True)
            self._claim(db, pending.seqs, self._clock() + CLAIM)
            return pending

    def settle(self, seqs: Sequence[int]) -> None:
        """The index has them."""
        self._settled.update(seqs)
        if not self._database.sqlite or len(self._settled) >= LAZY_ROWS:
            self.tidy()

    def release(self, seqs: Sequence[int]) -> None:
        """The index failed; anybody may try again."""
        if not self._database.sqlite:
            with self._database.writing() as db:
                self._claim(db, seqs, 0)

    def tidy(self) -> None:
        """Remove the settled rows."""
        settled = sorted(self._settled)
        if not settled:
            return
        with self._database.writing() as db:
            db.execute(delete(outbox).where(outbox.c.seq.in_(settled)))
        self._settled.difference_update(settled)

    def count(self) -> int:
        """Rows that are not settled, whoever works on them."""
        with self._database.reading() as db:
            return len(set(db.execute(select(outbox.c.seq)).scalars()) - self._settled)

    def waiting(self, scope: Scope) -> bool:
        """Whether the index still lacks something of the exact scope (another process may be at it)."""
        key = scope_key(scope)
        query = (
            select(outbox.c.seq)
            .join(versions, versions.c.id == outbox.c.version_id)
            .where(*(versions.c[name] == value for name, value in key.items()))
        )
        with self._database.reading() as db:
            return any(seq not in self._settled for seq in db.execute(query).scalars())

    def mark(self, version_ids: Iterable[str]) -> None:
        with self._database.writing() as db:
            rows = [{"version_id": name} for name in version_ids]
            if rows:
                db.execute(insert(outbox), rows)

    def mark_all(self) -> int:
        """Every version, for an index that starts from nothing. Returns how many."""
        self._settled.clear()
        with self._database.writing() as db:
            db.execute(delete(outbox))
            everything = select(versions.c.id).order_by(versions.c.seq)
            db.execute(insert(outbox).from_select(["version_id"], everything))
            return db.execute(select(func.count()).select_from(outbox)).scalar_one()

    def version_ids(self) -> set[str]:
        """All versions, current and past: what the index should hold."""
        with self._database.reading() as db:
            return set(db.execute(select(versions.c.id)).scalars())

    def version_count(self) -> int:
        with self._database.reading() as db:
            return db.execute(select(func.count()).select_from(versions)).scalar_one()

    def _pending(self, db: Connection, limit: int, *, unclaimed_only: bool = False) -> Pending:
        now = self._clock()
        busy = select(outbox.c.version_id).where(outbox.c.claimed_until > now)
        oldest = select(outbox.c.seq, outbox.c.version_id).order_by(outbox.c.seq)
        if unclaimed_only:
            oldest = oldest.where(outbox.c.version_id.not_in(busy))
        rows = db.execute(oldest.limit(limit + len(self._settled))).all()
        rows = [row for row in rows if row.seq not in self._settled]
        ids = list(dict.fromkeys(row.version_id for row in rows))
        upserts = self._points(db, ids) if ids else []
        known = {point.id for point in upserts}
        return Pending(upserts, [name for name in ids if name not in known], [row.seq for row in rows])

    def _points(self, db: Connection, ids: Sequence[str]) -> list[Point]:
        query = (
            select(versions, vectors.c.vector)
            .join(vectors, vectors.c.version_id == versions.c.id)
            .where(versions.c.id.in_(ids), vectors.c.embedder == self.embedder)
            .order_by(versions.c.seq)
        )
        return [self._point_of(row, np.frombuffer(row.vector, dtype="<f4")) for row in db.execute(query)]

    def _claim(self, db: Connection, seqs: Sequence[int], until: int) -> None:
        if seqs:
            db.execute(update(outbox).where(outbox.c.seq.in_(seqs)).values(claimed_until=until))
