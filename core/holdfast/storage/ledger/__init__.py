"""The ledger: what was said, what is known, how it changed, and what is still to do. The source of truth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from ...errors import StorageError
from ..times import Clock, now_utc
from .database import Database, insert_for
from .documents import DocumentTables
from .erasure import ERASING
from .jobs import Jobs
from .journal import Journal
from .memories import Memories
from .outbox import Outbox, PointOf
from .schema import changes, meta

_log = logging.getLogger("holdfast")


class Ledger:
    """Its parts share one database and one clock; every method of theirs is one transaction."""

    def __init__(
        self, database: Database, *, embedder: str, point_of: PointOf, now: Callable[[], datetime] = now_utc
    ) -> None:
        self.database = database
        self.clock = Clock(now)
        if (last := self._last_change()) is not None:
            self.clock.start_after(last)
        self.journal = Journal(self.database, self.clock)
        self.documents = DocumentTables(self.database, self.clock)
        self.jobs = Jobs(self.database, self.clock)
        self.outbox = Outbox(self.database, self.clock, point_of, embedder)
        self.memories = Memories(self.database, self.clock, self.outbox.changed)

    def _last_change(self) -> int | None:
        """The latest date: the clock may have been set back a little since, and later changes get later dates."""
        with self.database.reading() as db:
            newest = select(changes.c.at).order_by(changes.c.seq.desc()).limit(1)
            return db.execute(newest).scalar()

    def forget_erasing(self, mark: str) -> None:
        """Compact the file, then record that this erasure is complete, unless a later one has begun."""
        self.database.compact()
        with self.database.writing() as db:
            db.execute(meta.delete().where(meta.c.key == ERASING, meta.c.value == mark))

    def setting(self, key: str) -> str | None:
        with self.database.reading() as db:
            return db.execute(select(meta.c.value).where(meta.c.key == key)).scalar()

    def set(self, **values: str | None) -> None:
        """Store settings; None removes one."""
        with self.database.writing() as db:
            for key, value in values.items():
                if value is None:
                    db.execute(meta.delete().where(meta.c.key == key))
                else:  # several processes may do so at once
                    given = insert_for(db)(meta).values(key=key, value=value)
                    db.execute(given.on_conflict_do_update(index_elements=["key"], set_={"value": value}))

    def close(self) -> None:
        try:
            self.outbox.tidy()
        except StorageError as error:
            # Nothing is lost: the index has these rows, and is told them again when the store is next opened.
            _log.warning("the ledger was closed with rows that its index has already: %s", error)
        finally:
            self.database.close()
