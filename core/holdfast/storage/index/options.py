"""A user's options for a Qdrant server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a collection is made and used. Only `shard_key` matters once it exists.

    shard_key: in a collection with custom sharding, where all of this store's points are.
    """

    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    shard_key: str | None = None
    timeout: int = 30  # seconds per request
    prefer_grpc: bool = False
