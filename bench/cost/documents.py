"""Search in the document store, which compares a query with every vector under its prefix.

    python -m bench.cost.documents [--documents 1000 10000 50000]

Documents of one text each, 100 users, the bundled embedder's 512 dimensions; times are of one search for 10
documents, best and median of 20, in milliseconds. `user`: under one user's namespace. `all`: under the prefix of all.
`filter`: `all` with a filter that half of them pass.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from holdfast import Memory
from holdfast.types import Find, Put

DIMENSIONS, USERS, SLICE, ROUNDS = 512, 100, 1000, 20


class Random:
    """Vectors at random: what they mean does not matter to the time it takes."""

    name = "bench/random"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return self._rng.standard_normal((len(texts), DIMENSIONS)).astype(np.float32)

    async def aembed_documents(self, texts: Sequence[str]) -> Any:
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> Any:
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> Any:
        return self.embed_query(text)


def put(at: int) -> Put:
    value = {"text": f"note {at}", "even": at % 2 == 0}
    return Put(("users", str(at % USERS)), str(at), value, {"text": f"note {at}"})


def timed(memory: Memory, find: Find) -> str:
    spans = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        memory.documents.batch([find])
        spans.append((time.perf_counter() - start) * 1000)
    return f"{min(spans):8.1f} {statistics.median(spans):8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, nargs="+", default=[1000, 10_000, 50_000])
    counts = parser.parse_args().documents
    print(
        f"{'':10}{'user':>20}{'all':>20}{'filter':>20}\n{'documents':>10}" + f"{'best':>11}{'median':>9}" * 3
    )
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, Memory(folder, llm=None, embedder=Random()) as memory:
            for start in range(0, count, SLICE):
                memory.documents.batch([put(at) for at in range(start, min(count, start + SLICE))])
            one = timed(memory, Find(("users", "7"), query="note"))
            every = timed(memory, Find(("users",), query="note"))
            half = timed(memory, Find(("users",), query="note", matches=lambda value: bool(value["even"])))
            print(f"{count:10,}{one:>20}{every:>20}{half:>20}")


if __name__ == "__main__":
    main()
