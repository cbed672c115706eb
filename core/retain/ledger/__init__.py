"""The ledger: what was said, what is known, how it changed, and what is still to do. The source of truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from .database import Database
from .jobs import Jobs
from .journal import Journal
from .memories import Memories
from .outbox import Outbox, PointOf
from .schema import meta
from .times import Clock, now_utc


class Ledger:
    """Its parts share one database and one clock; every method of theirs is one transaction."""

    def __init__(
        self, url: str, *, embedder: str, point_of: PointOf, now: Callable[[], datetime] = now_utc
    ) -> None:
        self.database = Database(url)
        self.clock = Clock(now)
        self.journal = Journal(self.database, self.clock)
        self.jobs = Jobs(self.database, self.clock)
        self.memories = Memories(self.database, self.clock, embedder)
        self.outbox = Outbox(self.database, self.clock, point_of, embedder)

    def setting(self, key: str) -> str | None:
        with self.database.reading() as db:
            return db.execute(select(meta.c.value).where(meta.c.key == key)).scalar()

    def set(self, **values: str | None) -> None:
        """Store settings; None removes one."""
        with self.database.writing() as db:
            for key, value in values.items():
                db.execute(meta.delete().where(meta.c.key == key))
                if value is not None:
                    db.execute(meta.insert().values(key=key, value=value))

    def close(self) -> None:
        self.outbox.tidy()
        self.database.close()
