"""Where stores are kept, and the room that they need."""

from __future__ import annotations

import os
import re
import shutil
from os import PathLike
from pathlib import Path

from ..errors import InputError, StorageError

# The embedded engine maps its files, and a page without room on the disk kills the process, so no step begins
# with less than it may take: making a shard takes 17 MB, opening it for the first time 38, and a write may
# grow the files of all its fields, which are 36 together.
ROOM_TO_MAKE = 20 * 2**20
ROOM_TO_LOAD = 40 * 2**20
ROOM_TO_INDEX = 36 * 2**20
ROOM_TO_STORE = 40 * 2**20  # in the ledger, so that the index can follow
IN_MEMORY = ":memory:"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def expect_room(folder: Path, room: int, doing: str) -> None:
    """Raises StorageError if a folder's disk has fewer than `room` bytes free."""
    free = free_at(folder)
    if free < room:
        raise StorageError(
            f"{doing} failed: the disk is full: {free:,} bytes are free at {folder}, and {room:,} are needed; "
            "what was stored is safe. Make room and try again"
        )


def free_at(folder: Path) -> int:
    """Free bytes on a folder's disk. Raises StorageError."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"the folder {folder} was removed or cannot be used: {error}") from error


def private(path: str, flags: int) -> int:
    """An opener for files that only their owner can read."""
    return os.open(path, flags, 0o600)


def default_folder() -> Path:
    """`HOLDFAST_HOME`, else the platform's folder for user data. Raises InputError."""
    import platformdirs

    home = os.environ.get("HOLDFAST_HOME")
    return folder_of(home or platformdirs.user_data_path("holdfast", appauthor=False), "HOLDFAST_HOME")


def folder_of(path: str | PathLike[str] | None, name: str = "path") -> Path:
    """The folder that a path names, absolute; the default one for None. Raises InputError."""
    if path is None:
        return default_folder()
    try:
        given = os.fspath(path)
        found = _URL.match(given)
        if found is not None:  # shown without the rest, which may hold a password
            raise InputError(
                f"{name}='{found[0]}...' is a URL, and a path is a folder: pass a database as "
                "ledger='postgresql://...' with index='http://...:6333'"
            )
        if not given.strip():
            raise InputError(f"{name}={given!r} is blank; pass a folder")
        return Path(given).expanduser().resolve()
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{name}={path!r} names no folder: {error}") from error
