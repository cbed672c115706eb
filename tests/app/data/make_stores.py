"""Other stores' files, made by hand as those stores write them: the SQLite files of mem0 and LangGraph."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

TEA = "7b2f0a52-3c4d-4d39-9d2c-5a0f1f6c1a01"
TRAIN = "7b2f0a52-3c4d-4d39-9d2c-5a0f1f6c1a02"
CAT = "7b2f0a52-3c4d-4d39-9d2c-5a0f1f6c1a03"


def mem0_history(path: Path) -> Path:
    """`history.db` of mem0ai 1 and 2: a memory that was changed, one that was deleted, one that is as it was."""
    may, june = "2024-05-01T08:00:00+00:00", "2024-06-01T08:00:00+00:00"
    rows = [
        (TEA, None, "Likes black tea", "ADD", may, None, 0),
        (TRAIN, None, "Takes the train to work", "ADD", "2024-05-02T01:00:00-07:00", None, 0),
        (TEA, "Likes black tea", "Likes green tea", "UPDATE", may, june, 0),
        (CAT, None, "猫叫年糕", "ADD", "2024-06-02T08:00:00+00:00", None, 0),
        (TRAIN, "Takes the train to work", None, "DELETE", None, None, 1),
    ]  # fmt: skip
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, "
            "event TEXT, created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)"
        )
        db.execute(
            "CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, name TEXT, "
            "created_at DATETIME)"
        )
        db.executemany(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            [(str(number), *row) for number, row in enumerate(rows)],
        )
        db.commit()
    return path


STORE = [
    ("memories.alice", "k1", {"kind": "Memory", "content": {"content": "Alice keeps bees"}}),
    ("memories.alice", "k2", {"content": "Alice reads at night"}),
    ("memories.bob", "k1", {"name": "Bob", "languages": ["Portuguese", "German"]}),
]


def langgraph_store(path: Path) -> Path:
    """The table of langgraph-checkpoint-sqlite 3, with what LangMem's manager and tool write, and a profile."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE store (prefix text NOT NULL, key text NOT NULL, value text NOT NULL, created_at TIMESTAMP "
            "DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, expires_at TIMESTAMP, "
            "ttl_minutes REAL, PRIMARY KEY (prefix, key))"
        )
        db.executemany(
            "INSERT INTO store VALUES (?, ?, ?, '2025-03-01 10:00:00', '2025-03-02 10:00:00', NULL, NULL)",
            [(prefix, key, json.dumps(value).encode()) for prefix, key, value in STORE],
        )
        db.commit()
    return path
