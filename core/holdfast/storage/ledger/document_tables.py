"""The tables of the document store. They share the ledger's file, but nothing else, with memories."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .schema import Sequence, metadata

# Compared and ordered by code point in both databases, whatever language the server speaks.
Exact = String().with_variant(String(collation="C"), "postgresql")

# `namespace` and `key` are encoded (`documents.encode`); `value` is JSON as text, as JSONB refuses what JSON
# allows. `ttl` is in microseconds.
documents = Table(
    "documents",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("namespace", Exact, nullable=False),
    Column("key", Exact, nullable=False),
    Column("value", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("ttl", BigInteger),
    UniqueConstraint("namespace", "key"),
    Index(
        "documents_expiring",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL"),
        postgresql_where=text("expires_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# What a document is found by: one row per indexed path. vector: float32[dimensions], little-endian, of `embedder`.
document_texts = Table(
    "document_texts",
    metadata,
    Column("document_seq", Sequence, ForeignKey("documents.seq", ondelete="CASCADE"), nullable=False),
    Column("path", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("embedder", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    PrimaryKeyConstraint("document_seq", "path"),
)
