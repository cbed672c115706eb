"""How one embedded store grows: adding, searching, opening, disk, memory and rebuilding at each size.

    python -m bench.cost.scale [--sizes 10000 100000 1000000] [--folder DIR] [--peer 10000 20000] [--json FILE]
    python -m bench.cost.scale_plot

One store of memories of 12 words, with the embedder and the model taken out as in `overhead.py`. Users come
in blocks of 10,000 memories: 90 users with 100 each and one with 1,000; all of them share an agent, so that a
search by agent alone is one without a user. Every size is measured through the public face, opening and memory in
fresh processes. Searches are told apart: the first one of a user, whose pages of the files may lie on disk, and later
ones. Beside p50 and p95 stand p10 and the processor time: where other work shares the machine, those say
most. Each size is measured as it grew, and again after `Memory.index.optimize()` where that had anything to do.

A `--folder` is kept, and a later run goes on from what lies there; sizes that stand in the JSON already are replaced.
A million needs 8 GB of disk (twice the index while it is rebuilt).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bench.cost.overhead import DIMENSIONS, Pool, Words, milliseconds
from holdfast import Memory

AGENT = "agent"
BLOCK, LIGHT, LIGHT_USERS, HEAVY = 10_000, 100, 90, 1_000  # memories, memories per user, users, memories
USERS, SEARCHES, UNFILTERED, ADDS = 100, 300, 40, 100
COLD = 3  # fresh processes; the best counts
PEER_SECONDS = 600  # a peer that takes longer than this to fill is not measured at that size


def users_of(block: int) -> list[tuple[str, int]]:
    """The users of a block and how many memories each has."""
    light = [(f"light-{block}-{n}", LIGHT) for n in range(LIGHT_USERS)]
    return [*light, (f"heavy-{block}", HEAVY)]


def opened(folder: Path) -> Memory:
    return Memory(folder, llm=None, embedder=Pool())


def fill(memory: Memory, blocks: int, words: Words) -> dict[str, float] | None:
    """Memories per second, and per second of processor time; None where all of them are there already."""
    started = bisect_left(range(blocks), 1, key=lambda block: not memory.count(user_id=f"light-{block}-0"))
    done, start, processor = 0, time.perf_counter(), time.process_time()
    for block in range(max(started - 1, 0), blocks):  # the last one may have been cut short
        for user, count in users_of(block):
            if block < started and memory.count(user_id=user):
                continue
            memory.add([words.text(12) for _ in range(count)], user_id=user, agent_id=AGENT, infer=False)
            done += count
        rate = done / (time.perf_counter() - start)
        print(f"\r  {(block + 1) * BLOCK:>9,} memories, {rate:,.0f}/s ", end="", file=sys.stderr)
    print(file=sys.stderr)
    if not done:
        return None
    now, used = time.perf_counter(), time.process_time()
    return {"wall": done / (now - start), "processor": done / (used - processor)}


def asked(memory: Memory, blocks: int, words: Words) -> dict[str, Any]:
    """Searches and single adds, milliseconds."""
    light = [f"light-{block}-{n}" for block in range(blocks) for n in range(LIGHT_USERS)]
    heavy = [f"heavy-{block}" for block in range(blocks)]

    def search(users: Sequence[str]) -> dict[str, float]:
        following = iter(users)
        return milliseconds(lambda: memory.search(words.text(6), user_id=next(following)), len(users))

    def add(infer: Any) -> Callable[[], object]:
        return lambda: memory.add(words.text(12), user_id=random.choice(heavy), agent_id=AGENT, infer=infer)

    found: dict[str, Any] = {}
    search(random.sample(light, 20))
    for name, users in (("user_of_100", light), ("user_of_1000", heavy)):
        chosen = random.sample(users, min(USERS, len(users)))
        found[f"search_{name}_first_ms"] = search(chosen)
        found[f"search_{name}_ms"] = search(chosen * (SEARCHES // len(chosen)))
    return found | {
        "search_without_user_ms": milliseconds(
            lambda: memory.search(words.text(6), agent_id=AGENT), UNFILTERED
        ),
        "add_kept_ms": milliseconds(add(False), ADDS),
        "add_merged_ms": milliseconds(add("merge"), ADDS),
    }


def in_fresh_process(folder: Path, *, dropped: bool) -> dict[str, float]:
    """Opening, a first search and closing. dropped: the files are not in the system's cache."""
    if dropped:
        os.sync()
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, "-m", "bench.cost.scale", "--open", str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def open_and_tell(folder: Path) -> dict[str, float]:
    """What a fresh process sees, for `in_fresh_process`."""
    words, pool = Words(), Pool()
    before, times = resident_mb(), [time.perf_counter()]
    memory = Memory(folder, llm=None, embedder=pool)
    times.append(time.perf_counter())
    after = resident_mb()
    memory.search(words.text(6), user_id="heavy-0")
    times.append(time.perf_counter())
    for block in range(200):
        memory.search(words.text(6), user_id=f"light-{block}-0")
    searched = resident_mb()
    closing = time.perf_counter()
    memory.close()
    return {
        "open_s": times[1] - times[0],
        "first_search_s": times[2] - times[1],
        "close_s": time.perf_counter() - closing,
        "own_mb": after[0] - before[0],
        "mapped_mb": after[1] - before[1],
        "own_after_searches_mb": searched[0] - before[0],
        "mapped_after_searches_mb": searched[1] - before[1],
    }


def resident_mb() -> tuple[float, float]:
    """Of this process: memory of its own, and pages of files that the system may take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(found["RssAnon"].split()[0]) / 1024, int(found["RssFile"].split()[0]) / 1024


def disk_mb(folder: Path) -> dict[str, float]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    used = {path: path.stat().st_blocks * 512 / 1e6 for path in files}
    ledger = sum(size for path, size in used.items() if path.name.startswith("ledger.db"))
    return {"ledger_mb": ledger, "index_mb": sum(used.values()) - ledger}


def measure(folder: Path, size: int, words: Words) -> dict[str, Any]:
    row: dict[str, Any] = {"memories": size}
    with opened(folder) as memory:
        row["bulk_per_second"] = fill(memory, size // BLOCK, words)
    row |= as_it_lies(folder, size // BLOCK, words)
    with opened(folder) as memory:
        start = time.perf_counter()
        if memory.index.optimize():
            row["optimize_s"] = time.perf_counter() - start
    if "optimize_s" in row:
        row["optimized"] = as_it_lies(folder, size // BLOCK, words)
    with opened(folder) as memory:
        start = time.perf_counter()
        count = memory.index.rebuild()
        row["rebuild_s"] = time.perf_counter() - start
        print(f"  rebuilt {count:,} points in {row['rebuild_s']:.0f} s", file=sys.stderr)
    return row


def as_it_lies(folder: Path, blocks: int, words: Words) -> dict[str, Any]:
    """Disk, opening, memory, searches and single adds of a store that is closed."""
    row: dict[str, Any] = {"disk": disk_mb(folder)}
    row["opening"] = min((in_fresh_process(folder, dropped=False) for _ in range(COLD)), key=_opening)
    row["opening_uncached"] = in_fresh_process(folder, dropped=True)
    with opened(folder) as memory:
        return row | asked(memory, blocks, words)


def _opening(found: dict[str, float]) -> float:
    return found["open_s"]


def peer(size: int) -> dict[str, Any] | None:
    """qdrant-client's local mode in memory: dense only, with a user filter and without."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    vectors = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
    client.create_collection("peer", vectors_config=vectors)
    pool, start = Pool(), time.perf_counter()
    for first in range(0, size, 1000):
        if time.perf_counter() - start > PEER_SECONDS:
            return None
        points = [
            models.PointStruct(id=n, vector=pool.embed_query(str(n)).tolist(), payload={"user": n // HEAVY})
            for n in range(first, min(size, first + 1000))
        ]
        client.upload_points("peer", points)
    filled = time.perf_counter() - start

    def search(user: int | None) -> None:
        condition = models.FieldCondition(key="user", match=models.MatchValue(value=user or 0))
        client.query_points(
            "peer",
            query=pool.embed_query(str(random.random())).tolist(),
            query_filter=None if user is None else models.Filter(must=[condition]),
            limit=10,
        )

    return {
        "memories": size,
        "bulk_per_second": size / filled,
        "search_user_of_1000_ms": milliseconds(lambda: search(random.randrange(size // HEAVY)), 20),
        "search_without_user_ms": milliseconds(lambda: search(None), 20),
    }


def show(row: dict[str, Any]) -> None:
    print(f"{row['memories']:>9,} memories")
    _show({name: value for name, value in row.items() if name not in ("memories", "optimized")})
    if "optimized" in row:
        print("  optimized")
        _show(row["optimized"])


def _show(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        shown = value if isinstance(value, dict) else {"": value}
        print(f"    {name:<32}", "  ".join(f"{k} {v:,.2f}" for k, v in shown.items() if v is not None))


def put(rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """In the place of an earlier one of the same size."""
    rows[:] = sorted([old for old in rows if old["memories"] != row["memories"]] + [row], key=_size)


def _size(row: dict[str, Any]) -> int:
    return int(row["memories"])


def run(folder: Path, sizes: Sequence[int], results: dict[str, Any], save: Callable[[], None]) -> None:
    words = Words()
    for size in sorted(sizes):
        row = measure(folder, size, words)
        put(results["holdfast"], row)
        show(row)
        save()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the store lies; kept")
    parser.add_argument("--peer", type=int, nargs="*", default=[10_000, 20_000], help="sizes for local mode")
    parser.add_argument("--json", type=Path, default=Path("bench/results/scale.json"))
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        print(json.dumps(open_and_tell(options.open)))
        return
    if any(size % BLOCK for size in options.sizes):
        parser.error(f"sizes are multiples of {BLOCK:,}")
    results: dict[str, Any] = {"python": platform.python_version(), "holdfast": [], "local_mode": []}
    if options.json.exists():
        results |= json.loads(options.json.read_text())

    def save() -> None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")

    for size in options.peer:
        if row := peer(size):
            put(results["local_mode"], row)
            show(row)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.sizes, results, save)


if __name__ == "__main__":
    main()
