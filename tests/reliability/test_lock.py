"""The lock of a folder: one process, one owner, and children that leave it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import StorageError, StoreLockedError
from holdfast.storage.lock import FolderLock


def test_a_folder_is_locked_once_per_process(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "store"), FolderLock(tmp_path / "x" / ".." / "store")
    first.acquire()
    with pytest.raises(StoreLockedError, match="in this process already: share one Memory"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.check_process()
    second.release()


TRY = "import sys; from holdfast.storage.lock import FolderLock; FolderLock(sys.argv[1]).acquire()"


def test_another_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    tried = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert (
        f"StoreLockedError: {tmp_path.resolve()} is open in process {os.getpid()}: share one" in tried.stderr
    )
    lock.release()
    tried = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert tried.returncode == 0, tried.stderr


FORK = """
import os, sys, warnings
import numpy as np
from holdfast.io import Inline, run_inline
from holdfast.errors import StoreLockedError
from holdfast.storage.index.edge import EdgeIndex
from holdfast.storage.lock import FolderLock

warnings.simplefilter("ignore")
lock = FolderLock(sys.argv[1]); lock.acquire()
index, _ = EdgeIndex.open(sys.argv[1] + "/index", 4)
child = os.fork()
if child == 0:
    told = 0
    count = lambda: run_inline(index.count(Inline()))
    for use in (lock.check_process, count, FolderLock(sys.argv[1]).acquire):
        try:
            use()
        except StoreLockedError as error:
            told += str(os.getppid()) in str(error)
    index.close(); lock.release()
    os._exit(told)
told = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
lock.check_process()
assert run_inline(index.count(Inline())) == 0
assert told == 3, told
try:
    FolderLock(sys.argv[1]).acquire()
except StoreLockedError:
    pass
else:
    raise AssertionError("the child released the parent's lock")
index.close(); lock.release()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_is_told_so_and_leaves_the_parent_alone(tmp_path: Path) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert tried.returncode == 0, tried.stderr


def test_a_folder_that_cannot_be_locked_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        FolderLock(tmp_path / "file").acquire()
