"""Which ledger and which index a `Memory` works on, and where they are."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

from ..errors import InputError, StorageError
from ..ports import Embedder
from .index import Index
from .ledger.database import Database
from .lock import FolderLock
from .places import IN_MEMORY, ROOM_TO_LOAD, expect_room, folder_of, free_at, private
from .projection import Progress
from .store import OPEN_STORES, Indexes, Store

_log = logging.getLogger("holdfast")

LEDGER = "ledger.db"
PGVECTOR = "pgvector"
_NO_SERVER = "index='pgvector' lies in the ledger's database: pass ledger='postgresql://...'"
_PREFIXES = ("index-", "local-index-")
LEAST_ROOM = 2**20  # a shard that has loaded once loads again in a few pages
ROOM = 64 * 2**20  # with less, files that the engine closed may lack their last pages


def open_store(
    path: str | PathLike[str] | None,
    embedder: Embedder,
    ledger: str | None,
    index: str | Index | None,
    now: Callable[[], datetime],
    progress: Progress | None = None,
) -> Store:
    """Open a store, or share one that this process has open already. progress: of filling its index."""
    if ledger is not None:
        return _shared(path, embedder, ledger, index, now, progress)
    if str(path) == IN_MEMORY:
        indexes = _indexes(IN_MEMORY if index is None else index)
        return Store(Database("sqlite://"), embedder, indexes, exclusive=True, now=now)
    folder = folder_of(path)
    return OPEN_STORES.share(folder, embedder, lambda: _embedded(folder, embedder, index, now, progress))


@contextmanager
def opened_ledger(path: str | PathLike[str] | None, ledger: str | None) -> Iterator[Database]:
    """The ledger of a place without its index, to be filled from another one. Raises HoldfastError."""
    if (path is None) == (ledger is None) or str(path) == IN_MEMORY:
        raise InputError("pass the path of a folder, or ledger='postgresql://...' with its index")
    with ExitStack() as last_first:
        if ledger is None:
            folder = _made(folder_of(path))
            lock = FolderLock(folder)
            lock.acquire()
            last_first.callback(lock.release)
            _prepare_ledger(folder)
        database = Database(folder / LEDGER if ledger is None else ledger)
        last_first.callback(database.close)
        yield database


def _shared(
    path: str | PathLike[str] | None,
    embedder: Embedder,
    ledger: str,
    index: str | Index | None,
    now: Callable[[], datetime],
    progress: Progress | None,
) -> Store:
    """A ledger on a server, with an index that other processes reach as well."""
    if path is not None:
        raise InputError(f"pass path={path!r} or ledger=..., not both: a server's ledger has no folder")
    if index is None:
        raise InputError(
            "a ledger on a server needs an index that its processes share: pass index='pgvector' or "
            "index='http://...:6333' (or index=':memory:' for tests)"
        )
    indexes = None if index == PGVECTOR else _indexes(index)
    database = Database(ledger)
    if indexes is None and database.sqlite:
        database.close()
        raise InputError(_NO_SERVER)
    return Store(
        database, embedder, indexes or _InLedger(database), exclusive=False, now=now, progress=progress
    )


def _embedded(
    folder: Path,
    embedder: Embedder,
    index: str | Index | None,
    now: Callable[[], datetime],
    progress: Progress | None,
) -> Store:
    lock = FolderLock(_made(folder))
    lock.acquire()
    try:
        _prepare_ledger(folder)
        return Store(
            Database(folder / LEDGER),
            embedder,
            _indexes(index) if index is not None else _InFolder(folder),
            exclusive=True,
            now=now,
            release=lock.release,
            check_process=lock.check_process,
            progress=progress,
        )
    except BaseException:
        lock.release()
        raise


def _prepare_ledger(folder: Path) -> None:
    """Make the file so that nobody else can read it, or the files that SQLite puts beside it.

    A ledger is made before its index: an index without one is the remains of a store, and is refused.
    """
    ledger = folder / LEDGER
    if ledger.exists() and ledger.stat().st_size:
        return
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith(_PREFIXES))
    if left:
        raise StorageError(
            f"{ledger} is missing or empty, and beside it lies {left[0]}: what was remembered is in the ledger. "
            "Put it back from a backup; or, to begin anew, remove the index as well"
        )
    try:
        open(ledger, "ab", opener=private).close()
    except OSError as error:
        raise StorageError(f"the ledger {ledger} cannot be written: {error}") from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder {folder} cannot be made: {error}; pass another path or set HOLDFAST_HOME"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"the folder {folder} cannot be written; pass another path or set HOLDFAST_HOME")
    return folder


class _InFolder:
    """Qdrant's engine in the process if it has a build, else qdrant-client's local mode. `Indexes`."""

    blocking = True
    joined = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._edge = find_spec("qdrant_edge") is not None
        self._prefix = _PREFIXES[0 if self._edge else 1]

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        if self._edge:
            from .index.edge import EdgeIndex

            self._try(self._path(generation), dimensions)
            try:
                self._mark(generation).touch(0o600)
            except OSError as error:
                raise StorageError(f"the folder {self._folder} cannot be written: {error}") from error
            return EdgeIndex.open(self._path(generation), dimensions)
        from .index.client import ClientIndex

        self._path(generation).mkdir(0o700, exist_ok=True)
        return ClientIndex.open(str(self._path(generation)), dimensions)

    def closed(self, generation: str) -> None:
        if free_at(self._folder) > ROOM:
            self._mark(generation).unlink(missing_ok=True)

    def _mark(self, generation: str) -> Path:
        """A file that is there while the index is open, and afterwards if it was never closed."""
        return self._path(f"{generation}.open")

    def _try(self, shard: Path, dimensions: int) -> None:
        """Set a shard aside that is not a folder, or that was left open and does not load.

        It is tried even with little room: if it loads in another process, it has what it needs to load here.
        """
        from .index.edge_probe import loads

        damaged = shard.exists() and not shard.is_dir()
        short = free_at(shard.parent) < ROOM_TO_LOAD
        if shard.is_dir() and (short or shard.with_name(f"{shard.name}.open").exists()):
            damaged = not loads(shard, dimensions)
            if short:
                expect_room(
                    shard.parent, ROOM_TO_LOAD if damaged else LEAST_ROOM, f"opening the index in {shard}"
                )
        if damaged:
            _log.warning("the index in %s is damaged: it is rebuilt from the ledger", shard)
            shutil.rmtree(shard) if shard.is_dir() else shard.unlink()

    def remove(self, generation: str) -> None:
        try:
            for path in self._folder.glob(f"{self._prefix}{generation}*"):
                if path.name.removeprefix(self._prefix).partition(".")[0] == generation:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise StorageError(
                f"the old index {self._path(generation)} cannot be removed: {error}"
            ) from error

    def others(self, generation: str) -> list[str]:
        names = (path.name.removeprefix(self._prefix) for path in self._folder.glob(f"{self._prefix}*"))
        return sorted({name.partition(".")[0] for name in names} - {generation})

    def _path(self, generation: str) -> Path:
        return self._folder / f"{self._prefix}{generation}"


class _OnServer:
    """qdrant-client: in memory, or on a server by URL. `Indexes`."""

    joined = False

    def __init__(self, location: str) -> None:
        self._location = location
        self.blocking = location == IN_MEMORY

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        from .index.client import ClientIndex

        return ClientIndex.open(self._location, dimensions, collection=_collection(generation))

    def remove(self, generation: str) -> None:
        if self._location != IN_MEMORY:
            from .index.client import ClientIndex

            ClientIndex.remove(self._location, _collection(generation))

    def others(self, generation: str) -> list[str]:
        return []  # another process may be building it

    def closed(self, generation: str) -> None:
        """Nothing is left behind."""


class _InLedger:
    """pgvector, in the ledger's database. `Indexes`."""

    blocking = True
    joined = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        from .index.pgvector import PgvectorIndex

        return PgvectorIndex.open(self._database, dimensions, generation=generation)

    def remove(self, generation: str) -> None:
        from .index.pgvector import PgvectorIndex

        PgvectorIndex.remove(self._database, generation)

    def others(self, generation: str) -> list[str]:
        return []  # another process may be building it

    def closed(self, generation: str) -> None:
        """Nothing is left behind."""


class _Brought:
    """An index supplied by the caller. `Indexes`."""

    blocking = False
    joined = False

    def __init__(self, index: Index) -> None:
        self._index = index

    def open(self, dimensions: int, generation: str) -> tuple[Index, bool]:
        return self._index, False

    def remove(self, generation: str) -> None:
        """It is the caller's."""

    def closed(self, generation: str) -> None:
        """Nothing is left behind."""

    def others(self, generation: str) -> list[str]:
        return []


def _collection(generation: str) -> str:
    return "holdfast" if generation == "0" else f"holdfast-{generation}"


def _indexes(index: str | Index) -> Indexes:
    if not isinstance(index, str):
        return _Brought(index)
    if index == PGVECTOR:
        raise InputError(_NO_SERVER)
    if index != IN_MEMORY and "://" not in index:
        raise InputError(
            f"index={index!r} is neither 'pgvector' nor the URL of a Qdrant server, such as 'http://...:6333'"
        )
    return _OnServer(index)
