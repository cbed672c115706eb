"""Kill a process at every step of its work, and see what the next one finds.

    python -m tests.reliability.kill --kills 500 [--ledger postgresql://...]

Half of the kills are stops between two steps of a script that does everything once: statements, commits, writes to
the index, renames. The other half come from outside, at random, while several threads work. Some kills come twice:
the second one hits whoever opens the store after the first. This process opens no store in a folder; it only forks.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability import killed, survived

TWICE = 0.25  # of the kills are followed by another one while the store is opened again
MEMORY = "/dev/shm"  # what was written outlives a process there too, and fsync costs nothing
WAIT = 60.0  # seconds after which a process counts as hung


def forked(work: Callable[[], Any], output: Path | None = None) -> int:
    """Start work in a child. Returns its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        found = work()
        if output is not None:
            output.write_text(str(found))
        status = 0
    except BaseException:  # the child's end is the answer, whatever ended it
        if output is not None:
            output.write_text(traceback.format_exc())
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """How a child ended: 0, its exit status, or minus the signal."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise survived.Broken(f"a process hung for {WAIT:.0f} seconds")


def warm_up() -> None:
    """What every child would import and compile for itself. The index in here has no threads to lose in a fork."""
    import qdrant_edge  # noqa: F401

    import holdfast.storage.index.edge  # noqa: F401
    from holdfast import Memory

    with Memory(":memory:", llm=None, embedder=killed.EMBEDDERS[0]) as memory:
        with tempfile.TemporaryDirectory() as folder:
            killed.everything(memory, killed.Log(Path(folder, "log")), "nobody")
        memory.search("where?", user_id="nobody")


def made(folder: Path) -> Path:
    """The folder of a run, and its place on the server if it has one."""
    folder.mkdir()
    if killed.ledger:
        import psycopg

        with psycopg.connect(killed.ledger, autocommit=True) as db:
            db.execute("CREATE EXTENSION IF NOT EXISTS vector")
            db.execute(f"CREATE SCHEMA {killed.schema_of(folder)}")
    return folder


def steps(folder: Path) -> int:
    """How many steps the script has when nobody stops it."""
    output = folder / "steps"
    run = made(folder / "run")
    if ended(forked(lambda: killed.run_script(run, "count", None), output)) != 0:
        raise survived.Broken(output.read_text())
    return int(output.read_text())


def kill_at(folder: Path, step: int, chance: random.Random) -> str:
    """Stop the script at a step; perhaps stop its successor soon after; look."""
    killed_by(forked(lambda: killed.run_script(folder, "one", step), folder / "error"), folder)
    what = f"step {step}"
    if chance.random() < TWICE:
        second = chance.randrange(1, 12)
        killed_by(forked(lambda: killed.run_script(folder, "two", second), folder / "error"), folder)
        what += f" and {second}"
    return f"{what}: {look(folder)}"


def kill_under_load(folder: Path, chance: random.Random) -> str:
    child = forked(lambda: killed.run_load(folder, f"run{chance.randrange(10**6)}"), folder / "error")
    seconds = chance.random() * 0.6
    _begun(folder / "log")
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    killed_by(child, folder)
    return f"after {seconds:.2f} s: {look(folder)}"


def _begun(log: Path) -> None:
    deadline = time.monotonic() + WAIT
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.005)


def killed_by(child: int, folder: Path) -> None:
    status = ended(child)
    if status == 0 and killed.ledger:
        return  # how many steps there are depends on who comes first: the last ones may be missing
    if status != -signal.SIGKILL:
        raise survived.Broken(f"ended with {status} before it was killed: {(folder / 'error').read_text()}")


def look(folder: Path) -> str:
    output = folder / "found"
    if ended(forked(lambda: survived.check(folder), output)) != 0:
        raise survived.Broken(output.read_text())
    return output.read_text()


def campaign(kills: int | None, seed: int, report: Callable[[str], None]) -> Counter[str]:
    """kills: None for one at every step, and none under load.

    Raises `Broken` at the first promise that does not hold; its store is kept.
    """
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    base = Path(tempfile.mkdtemp(prefix="holdfast-kill-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    warm_up()
    count = steps(base)
    every = kills is None
    kills = count if kills is None else kills
    stops = spread(count, kills if every else kills - kills // 2, chance)
    for number in range(kills):
        folder = made(base / str(number))
        injected = every or number % 2 == 0
        try:
            found = kill_at(folder, stops.pop(), chance) if injected else kill_under_load(folder, chance)
        except survived.Broken as error:
            raise survived.Broken(f"kill {number} (seed {seed}, store kept in {folder}): {error}") from None
        counts["at a step" if injected else "under load"] += 1
        report(f"{number + 1}/{kills} {found}")
        shutil.rmtree(folder)
    shutil.rmtree(base)
    counts["steps"] = count
    return counts


def spread(count: int, wanted: int, chance: random.Random) -> list[int]:
    """`wanted` of the steps 1 to `count`: all of them, as often as that goes, and an even choice for the rest."""
    offset = chance.random()
    whole = [step for _ in range(wanted // count) for step in range(1, count + 1)]
    rest = wanted - len(whole)
    stops = whole + [1 + int((at + offset) * count / rest) % count for at in range(rest)]
    chance.shuffle(stops)
    return stops


def main(*given: str) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--every-step", action="store_true", help="one kill at each step, none under load")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--ledger", default="", help="on this PostgreSQL with pgvector, instead of in folders"
    )
    parser.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args(given or None)
    killed.ledger = arguments.ledger
    began = time.monotonic()
    try:
        kills = None if arguments.every_step else arguments.kills
        counts = campaign(kills, arguments.seed, (lambda line: None) if arguments.quiet else print)
    except survived.Broken as error:
        sys.exit(f"BROKEN: {error}")
    print(
        f"survived {counts['at a step'] + counts['under load']} kills, "
        f"{counts['at a step']} at one of {counts['steps']} steps, "
        f"{counts['under load']} under load, in {time.monotonic() - began:.0f} s (seed {arguments.seed})"
    )


if __name__ == "__main__":
    main()
