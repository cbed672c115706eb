"""Points of an index, as the engine makes them of memories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from holdfast.decisions.text.lexical import terms, vector_of_terms
from holdfast.storage.index import FOREVER, Point, encode_metadata
from holdfast.types import Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAY = datetime(2023, 5, 7, 12, 30, tzinfo=UTC)
DIMENSIONS = 8


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def vector(seed: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    made = np.random.default_rng(list(seed.encode())).normal(size=DIMENSIONS).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


def point(
    number: int, text: str, scope: Scope, metadata: dict[str, Any] | None = None, **given: Any
) -> Point:
    payload = {
        "u": scope.user_id or "",
        "a": scope.agent_id or "",
        "r": scope.run_id or "",
        "t0": micros(MAY),
        "t1": FOREVER,
        "c": micros(MAY),
        "s": ["caroline"],
        "m": encode_metadata(metadata or {}),
        **given,
    }
    return Point(str(UUID(int=number + 1)), vector(text), vector_of_terms(terms(text)), payload)
