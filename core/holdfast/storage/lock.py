"""One process per embedded store: a lock file, taken before anything in the folder is opened.

The embedded engine does not survive a second opener, so this lock has to be held first. It is released by the
operating system when its process ends, however that ends; a lock file that is left behind means nothing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TextIO
from weakref import WeakSet

from ..errors import StorageError, StoreLockedError
from .places import private

_guard = threading.Lock()
_held: WeakSet[FolderLock] = WeakSet()
_registered: list[int] = []

_WAY_OUT = "share one Memory between threads and tasks, or use a server for several processes"


class FolderLock:
    """The exclusive use of a folder, for this process and within it. The folder is made if need be."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self._file: TextIO | None = None
        self._process = 0

    def acquire(self) -> None:
        """Raises StoreLockedError where somebody has it, StorageError where the folder cannot be written."""
        with _guard:
            if any(lock.path == self.path for lock in _held if lock._is_mine()):
                raise StoreLockedError(f"{self.path} is open in this process already: {_WAY_OUT}")
            self._file = _locked_file(self.path)
            self._process = os.getpid()
            _held.add(self)
            _forget_in_children()

    def release(self) -> None:
        """Idempotent; in a forked child it leaves the parent's lock alone."""
        with _guard:
            file, self._file = self._file, None
            _held.discard(self)
            if file is not None:
                file.close()

    def check_process(self) -> None:
        """Raises StoreLockedError in a process that did not acquire it: a forked child."""
        if self._process and self._process != os.getpid():
            raise StoreLockedError(
                f"{self.path} belongs to process {self._process}, and this one ({os.getpid()}) is a fork: "
                f"open a Memory after forking, not before; {_WAY_OUT}"
            )

    def _is_mine(self) -> bool:
        return self._file is not None and self._process == os.getpid()

    def _drop(self) -> None:
        """Close the inherited descriptor: the lock must end with the parent, not with its last child."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _locked_file(folder: Path) -> TextIO:
    import portalocker

    path = folder / "lock"
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        file = open(path, "a", encoding="ascii", opener=private)  # noqa: SIM115 - held as long as the lock
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be written: {error}") from error
    try:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked as error:
        file.close()
        raise StoreLockedError(f"{folder} is open in {_holder(folder)}: {_WAY_OUT}") from error
    except (portalocker.LockException, OSError) as error:
        file.close()
        raise StorageError(f"the folder {folder} cannot be locked: {error}") from error
    try:
        # Beside the lock, not in it: Windows does not let others read a locked file.
        with open(folder / "lock.pid", "w", encoding="ascii", opener=private) as holder:
            holder.write(str(os.getpid()))
    except OSError as error:
        file.close()
        raise StorageError(f"{folder / 'lock.pid'} cannot be written: {error}") from error
    return file


def _holder(folder: Path) -> str:
    try:
        return f"process {int((folder / 'lock.pid').read_text(encoding='ascii'))}"
    except (OSError, ValueError):
        return "another process"


def _forget_in_children() -> None:
    if not _registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
        _registered.append(1)


def _after_fork() -> None:
    global _guard
    _guard = threading.Lock()  # its holder may not exist in the child
    for lock in list(_held):
        lock._drop()
    _held.clear()
