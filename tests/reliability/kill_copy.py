"""Kill a copy at many of its steps, run it again, and see that both stores are equal.

    python -m tests.reliability.kill_copy --kills 40 [--ledger postgresql://...]

This process opens no store; it only forks.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from holdfast import Memory, StorageError
from holdfast.storage.ledger import copying
from tests.reliability import kill, killed
from tests.reliability.survived import Broken
from tests.support.lives import lived_in, opened, rows, seen


def source(folder: Path) -> dict[str, Any]:
    return {"path": folder / "source"}


def place(folder: Path, ledger: str | None, number: object) -> dict[str, Any]:
    if ledger is None:
        return {"path": folder / str(number)}
    return {"ledger": f"{ledger}?options=-csearch_path%3Dkill_{number}", "index": "pgvector"}


def copied(folder: Path, to: dict[str, Any], at: int | None) -> int:
    """Copy, and be killed at a step. Returns the number of steps."""
    with opened(source(folder)) as memory:
        stops = killed.Stops(at)
        stops.install()
        memory.copy_to(**to)
    return stops.count


def looked(folder: Path, to: dict[str, Any]) -> str:
    """What was left cannot be taken for the whole; a second run makes it so."""
    with opened(source(folder)) as memory:
        try:
            with opened(to) as half:
                whole = rows(half) == rows(memory) or not any(rows(half).values())
            if not whole:
                raise Broken("a part of the store was opened")
        except StorageError as error:
            if "cut short" not in str(error):
                raise
        done = memory.copy_to(**to)
        again = memory.copy_to(**to).written
        if again:
            raise Broken(f"a run after a complete one wrote {again} rows")
        with opened(to) as copy:
            compare(memory, copy)
    return f"{done.written} rows left to write"


def compare(memory: Memory, copy: Memory) -> None:
    if rows(copy) != rows(memory):
        raise Broken("the ledgers differ")
    if seen(copy) != seen(memory):
        raise Broken("the copy answers otherwise")
    if not copy.index.verify():
        raise Broken(f"the index does not fit: {copy.index.verify()}")


def child(folder: Path, work: Any) -> str:
    output = folder / "found"
    if kill.ended(kill.forked(work, output)) != 0:
        raise Broken(output.read_text())
    return output.read_text()


def made(ledger: str, number: object) -> None:
    import psycopg

    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA kill_{number}")


def main(*given: str) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--ledger", help="copy to this PostgreSQL, instead of folders")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(given or None)
    copying.CHUNK = 3  # so that a small store has many steps
    folder = Path(tempfile.mkdtemp(prefix="holdfast-kill-copy-", dir=kill.MEMORY))
    kill.warm_up()
    child(folder, lambda: lived_in(source(folder)).close())
    if options.ledger:
        for number in ("count", *range(options.kills)):
            made(options.ledger, number)
    count = int(child(folder, lambda: copied(folder, place(folder, options.ledger, "count"), None)))
    for number, step in enumerate(kill.spread(count, options.kills, random.Random(options.seed))):
        to = place(folder, options.ledger, number)
        try:
            kill.killed_by(
                kill.forked(lambda to=to, step=step: copied(folder, to, step), folder / "error"), folder
            )
            print(f"step {step} of {count}: {child(folder, lambda to=to: looked(folder, to))}")
        except Broken as error:
            raise SystemExit(f"BROKEN at step {step} (seed {options.seed}, {folder}): {error}") from None
    shutil.rmtree(folder)
    print(f"survived {options.kills} kills (seed {options.seed})")


if __name__ == "__main__":
    main()
