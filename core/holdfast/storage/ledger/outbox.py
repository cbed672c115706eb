"""What the index is told of changes: at once, in the transaction that makes them, where it lies in the same database;
else later, by rows. A row names a version; what to do follows from the ledger's present state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
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
from .commit import Conflict
from .database import Database, exactly
from .prepared import insert_rows
from .schema import meta, outbox, vectors, versions

PointOf = Callable[[Row[Any], npt.NDArray[np.float32]], Point]
Within = Callable[[Connection, Sequence[Point], Sequence[str]], None]
"""Has an index write points and delete others, within a transaction of the ledger."""

CLAIM = 60 * 1_000_000  # an index write takes milliseconds; after this its process is presumed dead
DROPPED = 2_000  # vectors per transaction
CHUNK = 500  # points at a time
# Settled rows that an embedded store may keep until a later transaction removes them. If the process is
# killed, the next one tells the index that many points again.
LAZY_ROWS = 512


REINDEXED = "another process has reindexed this store: open it anew"
_EMBEDDER = select(meta.c.value).where(meta.c.key == "embedder")


@dataclass(frozen=True, slots=True)
class Pending:
    """upserts: points as they should be. deletes: versions that no longer exist. seqs: the rows this settles."""

    upserts: list[Point]
    deletes: list[str]
    seqs: list[int]

    def __bool__(self) -> bool:
        return bool(self.seqs)


@dataclass(frozen=True, slots=True)
class Followed:
    """The index that is told: of which embedder's vectors, which generation, and if it is told at once, how."""

    embedder: str
    generation: str = "0"
    within: Within | None = None


class Outbox:
    """One caller at a time per process (the engine ensures it); processes of a shared ledger claim their rows.

    An embedded store removes settled rows lazily: settling a row twice is harmless, a transaction for each is not.
    """

    def __init__(self, database: Database, clock: Clock, point_of: PointOf, embedder: str) -> None:
        self._database = database
        self._clock = clock
        self._point_of = point_of
        self.followed = Followed(embedder)  # replaced as a whole, while others commit
        self._settled: set[int] = set()

    # -- within the transaction of a change ---------------------------------------------------------------------

    def changed(self, db: Connection, version_ids: Iterable[str]) -> None:
        """The index has to follow these versions. Raises `Conflict` if the store has another index by now."""
        followed, ids = self.followed, list(dict.fromkeys(version_ids))
        if followed.within is None:
            _note(db, ids)
        elif ids:
            if _generation(db) != followed.generation:
                raise Conflict
            self._write(db, ids, followed.embedder, followed.within)

    def removing(self, db: Connection) -> None:
        """Some versions are about to be removed: nothing that was read before may be written to an index after."""
        db.execute(_EMBEDDER.with_for_update(read=True))

    def removed(self, db: Connection, version_ids: Sequence[str]) -> None:
        """These versions are gone. An index that is told at once takes them out of its other generations too."""
        if self.followed.within is None:
            _note(db, version_ids)
        else:
            self.followed.within(db, [], version_ids)

    # -- later --------------------------------------------------------------------------------------------------

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

    def carry_out(self, limit: int) -> int:
        """Tell an index that is told at once what rows for another one have left. Returns the number of rows."""
        within = self.followed.within
        assert within is not None
        with self._alone() as db:
            pending = self._pending(db, limit)
            within(db, pending.upserts, pending.deletes)
            db.execute(delete(outbox).where(outbox.c.seq.in_(pending.seqs)))
        return len(pending.seqs)

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

    def mark(self, version_ids: Sequence[str]) -> None:
        """The index has to follow these versions, whatever it has of them."""
        for start in range(0, len(version_ids), CHUNK):
            with self._alone() as db:
                self.changed(db, version_ids[start : start + CHUNK])

    def mark_changed(self, last: int, since: int) -> None:
        """Mark every version written after the place `last`, or closed since `since` with some minutes' allowance for
        other machines' clocks: an index that was filled meanwhile may have seen them too early."""
        with self._alone() as db:
            self._mark_changed(db, last, since, self.followed)

    def _mark_changed(self, db: Connection, last: int, since: int, followed: Followed) -> None:
        changed = (versions.c.seq > last) | and_(
            versions.c.valid_to != FOREVER, versions.c.valid_to >= since - SKEW
        )
        query = select(versions.c.id).where(changed)
        if followed.within is None:
            db.execute(insert(outbox).from_select(["version_id"], query))
            return
        ids = list(db.execute(query).scalars())
        for start in range(0, len(ids), CHUNK):
            self._write(db, ids[start : start + CHUNK], followed.embedder, followed.within)

    def page(
        self, after: int, limit: int, embedder: str, within: Within | None = None
    ) -> list[tuple[int, Point]]:
        """The next versions in the order of writing, with their places, as points of that embedder's vectors.

        within: an index that is told at once, and has these points then.
        """
        given = {"embedder": embedder, "after": after, "limit": limit}
        with self._database.reading() if within is None else self._alone() as db:
            found = [(row.seq, self._point(row)) for row in db.execute(_PAGE, given).all()]
            if within is not None:
                within(db, [point for _, point in found], [])
        return found

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

    def switch(self, followed: Followed, dimensions: int, *, last: int, since: int) -> bool:
        """Switch the store to these vectors and this index.

        Returns False and changes nothing if a version lacks its vector. Commits wait for this, and it for them.
        """
        embedder, generation = followed.embedder, followed.generation
        with self._alone() as db:
            old = db.execute(_EMBEDDER).scalar()
            if db.execute(_without_vectors(embedder).limit(1)).first() is not None:
                return False
            given = {"embedder": embedder, "dimensions": str(dimensions), "generation": generation}
            if old != embedder:
                given["retired"] = str(old)
            db.execute(delete(meta).where(meta.c.key.in_(["generation", "dimensions", "retired"])))
            db.execute(update(meta).where(meta.c.key == "embedder").values(value=embedder))
            del given["embedder"]
            db.execute(insert(meta), [{"key": key, "value": value} for key, value in given.items()])
            self._mark_changed(db, last, since, followed)
        return True

    def version_ids(self) -> set[str]:
        """All versions, current and past: what the index should hold."""
        with self._database.reading() as db:
            return _version_ids(db)

    def beside(self, points: Callable[[Connection], set[str]]) -> tuple[set[str], set[str]]:
        """All versions, and what an index in the same database holds at the same moment."""
        with self._database.reading() as db:
            return _version_ids(db), points(db)

    def version_count(self) -> int:
        with self._database.reading() as db:
            return db.execute(select(func.count()).select_from(versions)).scalar_one()

    def _pending(self, db: Connection, limit: int, *, unclaimed_only: bool = False) -> Pending:
        if unclaimed_only:
            given = {"now": self._clock(), "limit": limit + len(self._settled)}
            found = db.execute(_UNCLAIMED, given).all()
            rows = [row for row in found if row.seq not in self._settled][:limit]
        else:  # one writer, so they are settled in order
            given = {"after": max(self._settled, default=0), "limit": limit}
            rows = list(db.execute(_UNSETTLED, given).all())
        ids = list(dict.fromkeys(row.version_id for row in rows))
        upserts = self._points(db, ids, self.followed.embedder) if ids else []
        known = {point.id for point in upserts}
        return Pending(upserts, [name for name in ids if name not in known], [row.seq for row in rows])

    def expect_current(self) -> None:
        """Raises StorageError if another process has built a newer index."""
        with self._database.reading() as db:
            self._expect_generation(db)

    def _expect_generation(self, db: Connection) -> None:
        """Rows settled with a replaced index would be lost to the current one."""
        if _generation(db) != self.followed.generation:
            raise StorageError(REINDEXED)

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction beside which nobody changes memories: they hold the embedder's row, too.

        Raises StorageError if the store has another index by now.
        """
        with self._database.writing() as db:
            db.execute(_EMBEDDER.with_for_update())
            self._expect_generation(db)
            yield db

    def _write(self, db: Connection, ids: Sequence[str], embedder: str, within: Within) -> None:
        points = self._points(db, ids, embedder)
        known = {point.id for point in points}
        within(db, points, [name for name in ids if name not in known])

    def _points(self, db: Connection, ids: Sequence[str], embedder: str) -> list[Point]:
        found = db.execute(_POINTS, {"embedder": embedder, "ids": ids}).all()
        return [self._point(row) for row in found]

    def _point(self, row: Row[Any]) -> Point:
        return self._point_of(row, np.frombuffer(row.vector, dtype="<f4"))

    def _claim(self, db: Connection, seqs: Sequence[int], until: int) -> None:
        if seqs:
            db.execute(update(outbox).where(outbox.c.seq.in_(seqs)).values(claimed_until=until))


def _note(db: Connection, ids: Sequence[str]) -> None:
    insert_rows(db, outbox, [{"version_id": name, "claimed_until": 0} for name in ids])


def _generation(db: Connection) -> str:
    return db.execute(_GENERATION).scalar() or "0"


def _version_ids(db: Connection) -> set[str]:
    return set(db.execute(select(versions.c.id)).scalars())


_GENERATION = select(meta.c.value).where(meta.c.key == "generation")
_NOW = bindparam("now", type_=BigInteger)
_LIMIT = bindparam("limit", type_=Integer)
_OLDEST = select(outbox.c.seq, outbox.c.version_id).order_by(outbox.c.seq).limit(_LIMIT)
_UNSETTLED = _OLDEST.where(outbox.c.seq > bindparam("after"))
_UNCLAIMED = _OLDEST.where(
    outbox.c.version_id.not_in(
        select(outbox.c.version_id).where(
            outbox.c.claimed_until > _NOW, outbox.c.claimed_until <= _NOW + (CLAIM + SKEW)
        )
    )
)
_WITH_VECTORS = (
    select(versions, vectors.c.vector)
    .join(vectors, vectors.c.version_id == versions.c.id)
    .where(vectors.c.embedder == bindparam("embedder"))
    .order_by(versions.c.seq)
)
_POINTS = _WITH_VECTORS.where(versions.c.id.in_(bindparam("ids", expanding=True)))
_PAGE = _WITH_VECTORS.where(versions.c.seq > bindparam("after")).limit(_LIMIT)


def _without_vectors(embedder: str) -> Select[Any]:
    known = exists().where(vectors.c.version_id == versions.c.id, vectors.c.embedder == embedder)
    return select(versions.c.id, versions.c.text, versions.c.speakers).where(~known)
