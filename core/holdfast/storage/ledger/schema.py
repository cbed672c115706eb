"""The tables of the ledger, for SQLite and PostgreSQL alike.

Ids are UUID strings made by us; `seq` columns give the order of writing. Times are integers, microseconds since
the epoch in UTC. An absent scope or session id is the empty string, so that equality and uniqueness hold in both
databases (blank ids are refused at the door). A current version's `valid_to` is `FOREVER`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ..times import FOREVER

metadata = MetaData()

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Sequence = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in INTEGER columns


def _scope() -> list[Column[str]]:
    return [Column(name, String, nullable=False) for name in ("user_id", "agent_id", "run_id")]


meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

# One row per exact scope: the counters of its journal, and `revision`, which every change to its memories
# raises. Writers lock this row first, so writes to one scope follow one another. `memories`, `since` and `changed_at`
# hold what `tally.recount` counts: how many are known, since when there are any, and when they changed last.
scopes = Table(
    "scopes",
    metadata,
    *_scope(),
    Column("revision", BigInteger, nullable=False, default=0),
    Column("position", BigInteger, nullable=False, default=0),
    Column("episode", BigInteger, nullable=False, default=0),
    Column("last_said", BigInteger, nullable=False, default=0),
    Column("last_session", String, nullable=False, default=""),
    Column("memories", BigInteger, nullable=False, default=0, server_default="0"),
    Column("since", BigInteger),
    Column("changed_at", BigInteger),
    PrimaryKeyConstraint("user_id", "agent_id", "run_id"),
)

messages = Table(
    "messages",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    *_scope(),
    Column("session_id", String, nullable=False),
    Column("add_id", String, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("episode", BigInteger, nullable=False),
    Column("role", String, nullable=False),
    Column("name", String),
    Column("external_id", String),
    Column("content", Text, nullable=False),
    Column("data", Json),
    Column("happened_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("cleared_at", BigInteger),
    UniqueConstraint("user_id", "agent_id", "run_id", "session_id", "external_id"),
    Index("messages_by_position", "user_id", "agent_id", "run_id", "position"),
    Index("messages_by_session", "session_id", "user_id"),
    Index("messages_by_add", "add_id"),
    sqlite_autoincrement=True,
)

# A message that was edited, and the message that says what it said before.
edits = Table(
    "edits",
    metadata,
    Column("message_id", String, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("replaces", String, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Index("edits_by_message", "message_id"),
)

# One row per `add`. `windows_done` says how much of a long conversation is committed already.
jobs = Table(
    "jobs",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    *_scope(),
    Column("session_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("infer", Boolean, nullable=False),
    Column("extract", Boolean, nullable=False),
    Column("instructions", Text),
    Column("metadata", Json, nullable=False),
    Column("model", String, nullable=False),
    Column("window_tokens", Integer, nullable=False),
    Column("windows_done", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("retry_at", BigInteger),
    Column("lease_owner", String),
    Column("lease_until", BigInteger),
    Column("error", Text),
    Column("calls", Integer, nullable=False, default=0),
    Column("input_tokens", Integer, nullable=False, default=0),
    Column("output_tokens", Integer, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("expires_at", BigInteger),
    Index(
        "jobs_unfinished",
        "seq",
        sqlite_where=text("state <> 'done'"),
        postgresql_where=text("state <> 'done'"),
    ),
    Index("jobs_by_scope", "user_id", "agent_id", "run_id"),
    sqlite_autoincrement=True,
)

# Every version of every memory. `ordinal` orders the memories by their creation and stays. `restores` names
# the version whose content an undo brought back. What has expired stays as it is, but no search finds it;
# without `expires_at` a version never expires.
versions = Table(
    "versions",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("memory_id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    *_scope(),
    Column("text", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("speakers", Json, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("happened_at", BigInteger),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    Column("episode", BigInteger),
    Column("position", BigInteger),
    Column("restores", String),
    Column("expires_at", BigInteger),
    UniqueConstraint("memory_id", "version"),
    Index(
        "versions_current",
        "memory_id",
        unique=True,
        sqlite_where=text(f"valid_to = {FOREVER}"),
        postgresql_where=text(f"valid_to = {FOREVER}"),
    ),
    Index("versions_by_user", "user_id", "valid_to", "ordinal"),
    Index("versions_by_agent", "agent_id", "valid_to", "ordinal"),
    Index("versions_by_run", "run_id", "valid_to", "ordinal"),
    Index(
        "versions_expiring",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL"),
        postgresql_where=text("expires_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# float32[dimensions], little-endian, per embedder: a change of embedder fills a second set before it switches.
vectors = Table(
    "vectors",
    metadata,
    Column("version_id", String, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("embedder", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    PrimaryKeyConstraint("version_id", "embedder"),
)

# Append-only. `before` and `after` are versions; a NOOP has the same on both sides.
changes = Table(
    "changes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("memory_id", String, nullable=False),
    Column("add_id", String),
    Column("operation", String, nullable=False),
    Column("before", String),
    Column("after", String),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("undoes", String),
    Index("changes_by_memory", "memory_id", "seq"),
    Index("changes_by_add", "add_id"),
    Index("changes_by_time", "at", "seq"),
    sqlite_autoincrement=True,
)

evidence = Table(
    "evidence",
    metadata,
    Column("change_id", String, ForeignKey("changes.id", ondelete="CASCADE"), nullable=False),
    Column("memory_id", String, nullable=False),
    Column("message_id", String, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("change_id", "message_id"),
    Index("evidence_by_memory", "memory_id"),
    Index("evidence_by_message", "message_id"),
)

# Versions whose points in the index have to be brought in line with the ledger. Where several processes share the
# ledger, the one that works on a row claims it for a while.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("version_id", String, nullable=False),
    Column("claimed_until", BigInteger, nullable=False, default=0),
    Index("outbox_by_version", "version_id"),
    sqlite_autoincrement=True,
)
