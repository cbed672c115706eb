"""A shard's files: what is in them, where they are, and how they are loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count as numbers
from pathlib import Path
from typing import Any

import qdrant_edge as q

from ...errors import StorageError
from ..places import ROOM_TO_MAKE, expect_room
from .qdrant_filters import CURRENT, END

_log = logging.getLogger("holdfast")

# The indexed fields. Each costs memory, and time on opening, with every point (a time some 8 MB per 100,000),
# so all others are looked up in the payloads of the scope's points. Without these two times, `as_of` over a
# million memories of one agent took 14 s.
TENANT, KEYWORDS, TIMES = "u", ("a", "r", *CURRENT.values()), ("t0", END)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the engine raises into StorageError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # the engine raises nothing more precise
        raise StorageError(f"{doing} failed: {error}") from error


def load(folder: Path, dimensions: int) -> q.EdgeShard | None:
    """The shard; None, with a warning, if it does not load."""
    try:
        return q.EdgeShard.load(str(folder), _config(dimensions))
    except Exception as error:  # noqa: BLE001 - the engine raises nothing more precise
        # Nothing is lost by going on: this is derived from the ledger, and the caller fills it anew.
        _log.warning("the index in %s does not open (%s)", folder, error)
        return None


def create(folder: Path, dimensions: int) -> q.EdgeShard:
    """A new, empty one. Raises StorageError."""
    expect_room(folder.parent, ROOM_TO_MAKE, f"creating the index in {folder}")
    with translated(f"creating the index in {folder}"):
        folder.mkdir(0o700, exist_ok=True)  # keeps the files that the engine makes in it private
        shard = q.EdgeShard.create(str(folder), _config(dimensions))
        for name, kind in fields():
            shard.update(q.UpdateOperation.create_field_index(name, kind))
        return shard


def fields() -> list[tuple[str, Any]]:
    """The payload's indexed fields."""
    cold = q.Memory.Cold  # mapped, once `optimize` has written them
    keywords = [(name, q.KeywordIndexParams(memory=cold)) for name in KEYWORDS]
    times = [(name, q.IntegerIndexParams(lookup=False, range=True, memory=cold)) for name in TIMES]
    return [(TENANT, q.KeywordIndexParams(is_tenant=True, memory=cold)), *keywords, *times]


def _config(dimensions: int) -> q.EdgeConfig:
    return q.EdgeConfig(
        # Cold: mapped, and read when searched; otherwise opening reads them all.
        vectors={"dense": q.EdgeVectorParams(dimensions, q.Distance.Cosine, memory=q.Memory.Cold)},
        sparse_vectors={"terms": q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)},
        # No graph: a scope is searched exactly. With one per scope (`payload_m`), `optimize` takes minutes where
        # a scope is large; if other fields are told to have none, it is quick, but a search finds nothing.
        hnsw_config=q.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
        wal_enabled=True,
        # In the caller's thread: handing a user's query to another one takes longer than half of it.
        max_search_threads=1,
    )


def set_aside(folder: Path) -> None:
    """Move a shard to `<name>.damaged-<n>` beside it."""
    aside = next(path for n in numbers(1) if not (path := beside(folder, f"damaged-{n}")).exists())
    folder.rename(aside)
    _log.warning("the index is rebuilt from the ledger; the old one was moved to %s", aside)


def beside(folder: Path, what: str) -> Path:
    return folder.with_name(f"{folder.name}.{what}")


def damaged(folder: Path) -> list[Path]:
    """The shards that were set aside."""
    return [path for path in folder.parent.iterdir() if path.name.startswith(f"{folder.name}.damaged-")]
