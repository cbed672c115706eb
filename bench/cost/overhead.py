"""What the engine itself costs: adding and searching with the embedder and the model taken out.

    python -m bench.cost.overhead [--sizes 10000 100000] [--peer 20000] [--json bench/results/overhead.json]

Memories of some 12 words over 100 users, in bulk (`infer=False`) and one by one, searched with a user filter
through the whole public face: keywords, index, ranking, ledger. The embedder hands out stored random vectors,
so it costs next to nothing. Beside it, in the same run, what a search takes on qdrant-client's local mode (dense,
with a user filter), which is what most embedded memories build on. Times are medians; read them as ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast import Memory

USERS = 100
DIMENSIONS = 512
BULK = 2_000
QUERIES = 200
VOCABULARY = 5_000


class Pool:
    """Random unit vectors from a pool, picked by the text."""

    name = "bench/pool"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        vectors = np.random.default_rng(0).standard_normal((4096, DIMENSIONS)).astype(np.float32)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_query(self, text: str) -> Any:
        return self._vectors[hash(text) % len(self._vectors)]

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return self._vectors[[hash(text) % len(self._vectors) for text in texts]]

    async def aembed_query(self, text: str) -> Any:
        return self.embed_query(text)

    async def aembed_documents(self, texts: Sequence[str]) -> Any:
        return self.embed_documents(texts)


class Words:
    """Texts with a Zipf-like choice of words, so that keywords match some memories and not all."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        letters = "bcdfghklmnprstvz"
        self._words = ["".join(self._random.choices(letters, k=6)) + "o" for _ in range(VOCABULARY)]

    def text(self, length: int) -> str:
        places = (int(VOCABULARY * self._random.random() ** 3) for _ in range(length))
        return " ".join(self._words[place] for place in places)


def milliseconds(work: Callable[[], object], times: int) -> dict[str, float]:
    """Percentiles of the time a call takes, and the processor time of one on average: that says most where other
    work shares the machine."""
    spent = []
    before = time.process_time()
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1000)
    processor = (time.process_time() - before) * 1000 / times
    spent.sort()
    at = {"p10": 0.1, "p50": 0.5, "p95": 0.95}
    return {name: spent[int(share * len(spent))] for name, share in at.items()} | {"cpu": processor}


def measure(size: int, words: Words) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        with Memory(folder, llm=None, embedder=Pool()) as memory:
            start = time.perf_counter()
            done = 0
            while done < size:
                for user in range(USERS):
                    count = min(BULK, size // USERS)
                    memory.add([words.text(12) for _ in range(count)], user_id=f"user-{user}", infer=False)
                    done += count
                    print(f"\r  {done:,} of {size:,}", end="", file=sys.stderr)
            filled = time.perf_counter() - start
            print(file=sys.stderr)
            users = [f"user-{random.randrange(USERS)}" for _ in range(QUERIES)]
            queries = iter([(words.text(6), user) for user in users * 4])

            def search() -> None:
                text, user = next(queries)
                memory.search(text, user_id=user)

            def add() -> None:
                memory.add(words.text(12), user_id=random.choice(users), infer=False)

            for _ in range(20):
                search()
            result = {
                "memories": size,
                "bulk_per_second": size / filled,
                "search_ms": milliseconds(search, QUERIES),
                "add_ms": milliseconds(add, 100),
                "disk_mb": sum(f.stat().st_blocks * 512 for f in Path(folder).rglob("*") if f.is_file())
                / 1e6,
            }
        start = time.perf_counter()
        Memory(folder, llm=None, embedder=Pool()).close()
        result["open_and_close_s"] = time.perf_counter() - start
    return result


def local_mode(size: int) -> dict[str, Any]:
    """qdrant-client's local mode, dense search with a user filter."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection(
        "peer", vectors_config=models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
    )
    pool = Pool()
    for start in range(0, size, 1000):
        batch = range(start, min(size, start + 1000))
        client.upload_points(
            "peer",
            [
                models.PointStruct(
                    id=n, vector=pool.embed_query(str(n)).tolist(), payload={"user": n % USERS}
                )
                for n in batch
            ],
        )

    def search() -> None:
        user = models.FieldCondition(key="user", match=models.MatchValue(value=random.randrange(USERS)))
        client.query_points(
            "peer",
            query=pool.embed_query(str(random.random())).tolist(),
            query_filter=models.Filter(must=[user]),
            limit=10,
        )

    return {"memories": size, "search_ms": milliseconds(search, 40)}


def import_seconds() -> dict[str, float]:
    """Best of five fresh interpreters, less what a bare one takes."""

    def best(code: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    bare = best("pass")
    return {
        "import holdfast": best("import holdfast") - bare,
        "from holdfast import Memory": best("from holdfast import Memory") - bare,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--peer", type=int, default=20_000, help="memories in qdrant-client's local mode")
    parser.add_argument("--json", type=Path, default=Path("bench/results/overhead.json"))
    options = parser.parse_args()
    words = Words()
    results: dict[str, Any] = {"python": platform.python_version(), "import_s": import_seconds()}
    print("import:", {name: f"{seconds:.3f} s" for name, seconds in results["import_s"].items()})
    results["holdfast"] = []
    for size in options.sizes:
        row = measure(size, words)
        results["holdfast"].append(row)
        print(
            f"{size:>9,}: search p50 {row['search_ms']['p50']:.2f} ms, p95 {row['search_ms']['p95']:.2f} ms; "
            f"add p50 {row['add_ms']['p50']:.2f} ms; bulk {row['bulk_per_second']:,.0f}/s; "
            f"open and close {row['open_and_close_s']:.2f} s; disk {row['disk_mb']:.0f} MB"
        )
    results["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory so far {results['peak_mb']:.0f} MB")
    if options.peer:
        results["local_mode"] = local_mode(options.peer)
        peer = results["local_mode"]["search_ms"]["p50"]
        own = results["holdfast"][-1]["search_ms"]["p50"]
        results["ratio"] = peer / own
        print(
            f"qdrant-client local mode at {options.peer:,}: search p50 {peer:.1f} ms, {peer / own:.0f} times ours"
        )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
