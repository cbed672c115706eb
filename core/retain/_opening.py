"""Which ledger and which index a `Memory` works on, and where they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

from ._store import OPEN_STORES, OpenIndex, Store
from .errors import InputError, StorageError
from .index import Index
from .index.lock import FolderLock
from .ports import Embedder

IN_MEMORY = ":memory:"


def open_store(
    path: str | PathLike[str] | None,
    embedder: Embedder,
    ledger: str | None,
    index: str | Index | None,
    now: Callable[[], datetime],
) -> Store:
    """Open a store, or share one that this process has open already."""
    if ledger is not None:
        return _shared(path, embedder, ledger, index, now)
    if path is not None and os.fspath(path) == IN_MEMORY:
        opener = _opener(IN_MEMORY if index is None else index)
        return Store("sqlite://", embedder, opener, exclusive=True, now=now)
    folder = default_folder() if path is None else Path(path).expanduser().resolve()
    return OPEN_STORES.share(folder, embedder, lambda: _embedded(folder, embedder, index, now))


def default_folder() -> Path:
    """`RETAIN_HOME`, else the platform's folder for user data."""
    import platformdirs

    home = os.environ.get("RETAIN_HOME")
    return Path(home or platformdirs.user_data_path("retain", appauthor=False)).expanduser().resolve()


def _shared(
    path: str | PathLike[str] | None,
    embedder: Embedder,
    ledger: str,
    index: str | Index | None,
    now: Callable[[], datetime],
) -> Store:
    """A ledger on a server, with an index that other processes reach as well."""
    if path is not None:
        raise InputError(f"pass path={path!r} or ledger=..., not both: a server's ledger has no folder")
    if index is None:
        raise InputError(
            "a ledger on a server needs an index that its processes share: pass index='http://...:6333' "
            "(or index=':memory:' for tests)"
        )
    return Store(ledger, embedder, _opener(index), exclusive=False, now=now)


def _embedded(
    folder: Path, embedder: Embedder, index: str | Index | None, now: Callable[[], datetime]
) -> Store:
    lock = FolderLock(_made(folder))
    lock.acquire()
    try:
        return Store(
            f"sqlite:///{folder / 'ledger.db'}",
            embedder,
            _opener(index) if index is not None else _embedded_opener(folder),
            exclusive=True,
            now=now,
            release=lock.release,
            check_process=lock.check_process,
        )
    except BaseException:
        lock.release()
        raise


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder {folder} cannot be made: {error}; pass another path or set RETAIN_HOME"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"the folder {folder} cannot be written; pass another path or set RETAIN_HOME")
    return folder


def _embedded_opener(folder: Path) -> OpenIndex:
    """Qdrant's engine in the process where it has a build, else qdrant-client's local mode."""

    def opener(dimensions: int, generation: str) -> tuple[Index, bool]:
        if find_spec("qdrant_edge") is not None:
            from .index.edge import EdgeIndex

            return EdgeIndex.open(folder / f"index-{generation}", dimensions)
        from .index.client import ClientIndex

        return ClientIndex.open(str(folder / f"local-index-{generation}"), dimensions)

    return opener


def _opener(index: str | Index) -> OpenIndex:
    """qdrant-client: in memory, or on a server by URL; or an index that the caller brought."""

    def opener(dimensions: int, generation: str) -> tuple[Index, bool]:
        if not isinstance(index, str):
            return index, False
        from .index.client import ClientIndex

        collection = "retain" if generation == "0" else f"retain-{generation}"
        return ClientIndex.open(index, dimensions, collection=collection)

    return opener
