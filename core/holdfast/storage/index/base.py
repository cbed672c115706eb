"""What the engine asks of an index: points in, candidates out. The index is derived data, the ledger is not.

A point is one version of one memory. Its payload holds what filters and ranking need and no text:

    u a r  scope ids ("" where absent)
    t0 t1  valid from / until, microseconds since the epoch (`FOREVER` while current; never after its expiry)
    c h x  created, happened, expires (microseconds; `h` and `x` absent where there is none); `t0` says when it was
           updated
    e p  episode and position of its first message within the scope (absent where there is no message)
    s  speakers, lower-cased
    w  how many terms its text has
         (these four, and what else ranking reads, are stored as one value: `payload.packed`)
    m  metadata, as `payload.encode_metadata` lays it out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...decisions.retrieval.candidates import Candidates
from ...decisions.text.lexical import SparseVector
from ...io import IO
from ...types import Scope
from ..filters import Filter
from ..points import Point


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """scope: ids that must match; an id that is None matches any, unless `exact`, which then wants it absent.
    as_of: microseconds; None for what is current. now: with that, the present instant if anything current may
    expire; None if nothing can, which is faster.
    vector / sparse: the query; candidates are the union of the best `limit` of each.
    """

    scope: Scope
    vector: npt.NDArray[np.float32]
    sparse: SparseVector
    limit: int
    exact: bool = False
    as_of: int | None = None
    filters: Filter | None = None
    now: int | None = None


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a collection of a Qdrant server is made and used. Only `shard_key` matters once it exists.

    shard_key: in a collection with custom sharding, where all of this store's points are.
    """

    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    shard_key: str | None = None
    timeout: int = 30  # seconds per request
    prefer_grpc: bool = False


class Index(Protocol):
    """Every method is a coroutine over `io` and idempotent. Failures raise `StorageError`."""

    async def upsert(self, io: IO, points: Sequence[Point]) -> None: ...

    async def delete(self, io: IO, ids: Sequence[str]) -> None: ...

    async def query(self, io: IO, queries: Sequence[IndexQuery]) -> list[Candidates]:
        """The candidates of each query, in any order. Several queries go in one round trip where possible."""
        ...

    async def count(self, io: IO) -> int: ...

    async def ids(self, io: IO) -> set[str]: ...

    async def clear(self, io: IO) -> None:
        """Remove every point, for a rebuild."""
        ...

    async def compact(self, io: IO) -> None:
        """Remove deleted points' bytes from the files, if the index has any."""
        ...

    async def optimize(self, io: IO) -> bool:
        """Lay out new data for reading, if the index has files. Returns whether there was anything to do."""
        ...

    async def flush(self, io: IO) -> None: ...

    def close(self) -> None: ...


class Joined(Index, Protocol):
    """An index that lies in the ledger's database: a change and its points are committed together."""

    def write(self, db: Any, points: Sequence[Point], deleted: Sequence[str]) -> None:
        """Within the transaction of the connection `db`. What is deleted goes from every generation."""
        ...

    def held(self, db: Any) -> set[str]:
        """`ids`, as that transaction sees them."""
        ...
