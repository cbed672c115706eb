"""Search speed of the embedded index, beside qdrant-client's local mode in the same run.

    python -m bench.cost.index_speed [--points 10000 100000] [--local 20000] [--optimized]

Random normalised vectors of 512 dimensions, 12 terms per point out of a Zipf-like vocabulary, 100 users; each
search is one user's, for 100 candidates with both scores. Prints milliseconds; the best is
what a machine with other work to do would show when idle.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import numpy as np

from holdfast.io import Inline, run_inline
from holdfast.storage.filters import parse
from holdfast.storage.index import FOREVER, IndexQuery, Point, SparseVector, encode_metadata
from holdfast.storage.index.client import ClientIndex
from holdfast.storage.index.edge import EdgeIndex
from holdfast.types import Scope

DIMENSIONS, USERS, TERMS, LIMIT = 512, 100, 12, 100
IO = Inline()


class Corpus:
    """Points and queries that are the same in every run."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        ranks = 1.0 / np.arange(1, 30_001)
        self.frequencies = np.cumsum(ranks / ranks.sum())

    def vectors(self, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        made = self.rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)

    def terms(self) -> SparseVector:
        found = np.unique(np.searchsorted(self.frequencies, self.rng.random(TERMS)))
        return SparseVector((found * 71_563 + 11).tolist(), [1.0] * len(found))

    def points(self, start: int, count: int) -> list[Point]:
        return [
            Point(str(UUID(int=start + n + 1)), vector, self.terms(), self.payload(start + n))
            for n, vector in enumerate(self.vectors(count))
        ]

    def payload(self, number: int) -> dict[str, object]:
        at = 1_700_000_000_000_000 + number
        metadata = encode_metadata({"category": f"c{number % 7}", "rank": number % 10, "tags": ["a", "b"]})
        return {
            "u": f"user-{number % USERS}", "a": "", "r": "",
            "t0": at, "t1": FOREVER, "c": at, "h": at, "e": number // 50, "p": number,
            "s": ["caroline"], "m": metadata,
        }  # fmt: skip

    def queries(self, count: int, filters: Mapping[str, object] | None = None) -> list[IndexQuery]:
        return [
            IndexQuery(
                Scope(f"user-{n % USERS}"),
                vector,
                self.terms(),
                LIMIT,
                filters=parse(filters) if filters else None,
            )
            for n, vector in enumerate(self.vectors(count))
        ]


def fill(index: EdgeIndex | ClientIndex, corpus: Corpus, start: int, end: int) -> float:
    """Seconds spent in the index."""
    spent = 0.0
    for at in range(start, end, 1_000):
        points = corpus.points(at, min(1_000, end - at))
        began = time.perf_counter()
        run_inline(index.upsert(IO, points))
        spent += time.perf_counter() - began
    return spent


def measure(index: EdgeIndex | ClientIndex, queries: list[IndexQuery]) -> str:
    spent, found = [], 0
    for query in queries:
        began = time.perf_counter()
        found += len(run_inline(index.query(IO, [query]))[0])
        spent.append((time.perf_counter() - began) * 1_000)
    best, p50, p95 = np.percentile(spent[len(spent) // 10 :], [1, 50, 95])
    return f"best {best:7.2f}  p50 {p50:7.2f}  p95 {p95:7.2f}  ({found / len(queries):.0f} candidates)"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    arguments.add_argument("--local", type=int, default=20_000)
    arguments.add_argument("--optimized", action="store_true", help="measure again after optimize()")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        corpus = Corpus()
        index, _ = EdgeIndex.open(folder / "index", DIMENSIONS)
        filled = 0
        for count in options.points:
            seconds = fill(index, corpus, filled, count)
            print(f"edge {count:>9,}  filled at {(count - filled) / seconds:,.0f}/s")
            filled = count
            show(index, corpus, count)
            if options.optimized:
                began = time.perf_counter()
                done = run_inline(index.optimize(IO))
                print(f"edge {count:>9,}  optimize() {done} in {time.perf_counter() - began:.1f} s")
                show(index, corpus, count)
        began = time.perf_counter()
        index.close()
        index, _ = EdgeIndex.open(folder / "index", DIMENSIONS)
        print(f"edge {filled:>9,}  closed and opened in {time.perf_counter() - began:.2f} s")
        show(index, corpus, filled)
        index.close()
    finally:
        shutil.rmtree(folder)
    if options.local:
        local, _ = ClientIndex.open(":memory:", DIMENSIONS)
        fill(local, corpus, 0, options.local)
        print(f"local mode {options.local:>9,}      {measure(local, corpus.queries(10))}")
        local.close()


def show(index: EdgeIndex, corpus: Corpus, count: int) -> None:
    print(f"edge {count:>9,}  user            {measure(index, corpus.queries(300))}")
    filters = {"category": "c3", "rank": {"gte": 5}}
    print(f"edge {count:>9,}  user, metadata  {measure(index, corpus.queries(200, filters))}")


if __name__ == "__main__":
    main()
