"""Where stores lie that are given no other place."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

from .errors import InputError

IN_MEMORY = ":memory:"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def private(path: str, flags: int) -> int:
    """An opener: what it makes only its owner can read."""
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
        if found is not None:  # shown without what follows: that may be a password
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
