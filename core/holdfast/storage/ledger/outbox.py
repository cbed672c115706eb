"""What the index has yet to be told. A row names a version; what to do follows from the ledger's present state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from ...errors import StorageError
from ...types import Scope
from ..points import Point
from ..times import FOREVER, SKEW, Clock
from .database import Database, exactly
from .schema import meta, outbox, vectors, versions

PointOf = Callable[[Row[Any], npt.NDArray[np.float32]], Point]

CLAIM = 60 * 1_000_000  # an index write takes milliseconds; after this its process is presumed dead
DROPPED = 2_000  # vectors per transaction
# Settled rows that an embedded store may keep until a later transaction removes them. If the process is
# killed, the next one tells the index that many points again.
LAZY_ROWS = 512


@dataclass(frozen=True, slots=True)
class Pending:
    """upserts: points as they should be. deletes: versions that no longer exist. seqs: the rows this settles."""

    upserts: list[Point]
    deletes: list[str]
    seqs: list[int]

    def __bool__(self) -> bool:
        return bool(self.seqs)


class Outbox:
    """One caller at a time per process (the engine ensures it); processes of a shared ledger claim their rows.

    An embedded store removes settled rows lazily: settling a row twice is harmless, a transaction for each is not.
    """

    def __init__(self, database: Database, clock: Clock, point_of: PointOf, embedder: str) -> None:
        self._database = database
        self._clock = clock
        self._point_of = point_of
        self.embedder = embedder
        self.generation = "0"
        self._settled: set[int] = set()

    def take(self, limit: int) -> Pending:
        """The oldest rows that nobody works on, and the points they stand for."""
        if self._database.sqlite:
            with self._database.reading() as db:
                return self._pending(db, limit)
        with self._database.writing() as db:
            # One taker at a time: the second sees what the first has claimed.
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(7268453913)")
            self._expect_generation(db)
            pending = self._pending(db, limit, unclaimed_only=True)
            self._claim(db, pending.seqs, self._clock() + CLAIM)
            return pending

    def settle(self, seqs: Sequence[int]) -> None:
        """Record that the index has these rows."""
        self._settled.update(seqs)
        if not self._database.sqlite or len(self._settled) >= LAZY_ROWS:
            self.tidy()

    def release(self, seqs: Sequence[int]) -> None:
        """Give up the claims, as the index failed; anybody may try again."""
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
        """Whether the index still lacks something of the exact scope (another process may be working on it)."""
        query = (
            select(outbox.c.seq)
            .join(versions, versions.c.id == outbox.c.version_id)
            .where(*exactly(versions, scope))
        )
        with self._database.reading() as db:
            return any(seq not in self._settled for seq in db.execute(query).scalars())

    def mark(self, version_ids: Iterable[str]) -> None:
        with self._database.writing() as db:
            rows = [{"version_id": name} for name in version_ids]
            if rows:
                db.execute(insert(outbox), rows)

    def mark_changed(self, last: int, since: int) -> None:
        """Mark every version written after the place `last`, or closed since `since` with some minutes' allowance for
        other machines' clocks: an index that was filled meanwhile may have seen them too early."""
        changed = (versions.c.seq > last) | and_(
            versions.c.valid_to != FOREVER, versions.c.valid_to >= since - SKEW
        )
        with self._database.writing() as db:
            mark_changed(db, changed)

    def page(self, after: int, limit: int, embedder: str) -> list[tuple[int, Point]]:
        """The next versions in the order of writing, with their places, as points of that embedder's vectors."""
        query = _with_vectors(embedder).where(versions.c.seq > after).limit(limit)
        with self._database.reading() as db:
            return [(row.seq, self._point(row)) for row in db.execute(query)]

    def without_vectors(self, embedder: str, limit: int) -> list[Row[Any]]:
        """Versions that an embedder has not seen yet: id, text, speakers."""
        query = _without_vectors(embedder).order_by(versions.c.seq).limit(limit)
        with self._database.reading() as db:
            return list(db.execute(query))

    def count_without_vectors(self, embedder: str) -> int:
        with self._database.reading() as db:
            return db.execute(
                select(func.count()).select_from(_without_vectors(embedder).subquery())
            ).scalar_one()

    def store_vectors(self, embedder: str, found: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Store vectors of versions that still exist and have none."""
        with self._database.writing() as db:
            open_ids = _without_vectors(embedder).where(versions.c.id.in_(list(found)))
            rows = [
                {"version_id": row.id, "embedder": embedder, "vector": found[row.id].astype("<f4").tobytes()}
                for row in db.execute(open_ids)
            ]
            if rows:
                db.execute(insert(vectors), rows)

    def drop_vectors(self, embedder: str) -> None:
        """Remove an embedder's vectors, in transactions that let others in between."""
        while True:
            some = select(vectors.c.version_id).where(vectors.c.embedder == embedder).limit(DROPPED)
            with self._database.writing() as db:
                gone = delete(vectors).where(vectors.c.embedder == embedder, vectors.c.version_id.in_(some))
                if not db.execute(gone).rowcount:
                    return

    def switch(self, embedder: str, dimensions: int, generation: str, *, last: int, since: int) -> bool:
        """Switch the store to the vectors of `embedder` and the index of `generation`.

        Returns False and changes nothing if a version lacks its vector. Commits wait for this, and it for them.
        """
        with self._database.writing() as db:
            old = db.execute(select(meta.c.value).where(meta.c.key == "embedder").with_for_update()).scalar()
            if db.execute(_without_vectors(embedder).limit(1)).first() is not None:
                return False
            given = {"embedder": embedder, "dimensions": str(dimensions), "generation": generation}
            if old != embedder:
                given["retired"] = str(old)
            db.execute(delete(meta).where(meta.c.key.in_(["generation", "dimensions", "retired"])))
            db.execute(update(meta).where(meta.c.key == "embedder").values(value=embedder))
            del given["embedder"]
            db.execute(insert(meta), [{"key": key, "value": value} for key, value in given.items()])
            changed = (versions.c.seq > last) | and_(
                versions.c.valid_to != FOREVER, versions.c.valid_to >= since - SKEW
            )
            mark_changed(db, changed)
        return True

    def version_ids(self) -> set[str]:
        """All versions, current and past: what the index should hold."""
        with self._database.reading() as db:
            return set(db.execute(select(versions.c.id)).scalars())

    def version_count(self) -> int:
        with self._database.reading() as db:
            return db.execute(select(func.count()).select_from(versions)).scalar_one()

    def _pending(self, db: Connection, limit: int, *, unclaimed_only: bool = False) -> Pending:
        now = self._clock()
        busy = select(outbox.c.version_id).where(
            outbox.c.claimed_until > now, outbox.c.claimed_until <= now + CLAIM + SKEW
        )
        oldest = select(outbox.c.seq, outbox.c.version_id).order_by(outbox.c.seq)
        if unclaimed_only:
            oldest = oldest.where(outbox.c.version_id.not_in(busy))
        elif self._settled:
            oldest = oldest.where(
                outbox.c.seq > max(self._settled)
            )  # one writer, so they are settled in order
        rows = db.execute(oldest.limit(limit + len(self._settled))).all()
        rows = [row for row in rows if row.seq not in self._settled][:limit]
        ids = list(dict.fromkeys(row.version_id for row in rows))
        upserts = self._points(db, ids) if ids else []
        known = {point.id for point in upserts}
        return Pending(upserts, [name for name in ids if name not in known], [row.seq for row in rows])

    def _expect_generation(self, db: Connection) -> None:
        """Rows settled with a replaced index would be lost to the current one."""
        now = db.execute(select(meta.c.value).where(meta.c.key == "generation")).scalar() or "0"
        if now != self.generation:
            raise StorageError("another process has reindexed this store: open it anew")

    def _points(self, db: Connection, ids: Sequence[str]) -> list[Point]:
        query = _with_vectors(self.embedder).where(versions.c.id.in_(ids))
        return [self._point(row) for row in db.execute(query)]

    def _point(self, row: Row[Any]) -> Point:
        return self._point_of(row, np.frombuffer(row.vector, dtype="<f4"))

    def _claim(self, db: Connection, seqs: Sequence[int], until: int) -> None:
        if seqs:
            db.execute(update(outbox).where(outbox.c.seq.in_(seqs)).values(claimed_until=until))


def mark_changed(db: Connection, condition: ColumnElement[bool]) -> None:
    """Within a transaction: queue these versions for the index."""
    db.execute(insert(outbox).from_select(["version_id"], select(versions.c.id).where(condition)))


def _with_vectors(embedder: str) -> Select[Any]:
    return (
        select(versions, vectors.c.vector)
        .join(vectors, vectors.c.version_id == versions.c.id)
        .where(vectors.c.embedder == embedder)
        .order_by(versions.c.seq)
    )


def _without_vectors(embedder: str) -> Select[Any]:
    known = exists().where(vectors.c.version_id == versions.c.id, vectors.c.embedder == embedder)
    return select(versions.c.id, versions.c.text, versions.c.speakers).where(~known)
