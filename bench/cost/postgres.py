"""The index in PostgreSQL (`index="pgvector"`) beside the embedded one, in one run.

    python -m bench.cost.postgres --ledger postgresql://... [--sizes 10000 100000] [--json FILE] [--folder DIR]

Both stores get the same memories of 12 words, with the embedder and the model taken out as in `overhead.py`:
blocks of 10,000 in turn of 50 users with 100 and 5 with 1,000 each, and of one user with 10,000. All share an
agent, so that a search by agent alone is one of a user with everything. Searches and adds of the two stores
alternate. At the last size the embedded store is also copied to the database (`Memory.copy_to`), and a graph
(HNSW) is built over the vectors, to see what it would save of a search.

The database is emptied first. Where it lies, its settings and the machine's other work decide the times: read them as
ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.cost.overhead import Pool, Words
from holdfast import Memory

AGENT = "agent"
BLOCK = 10_000
AT_ONCE = 100  # texts of an add
SEARCHES, WHOLE, ADDS = 150, 20, 60
SCHEMAS = ("filled", "copied")
NEAREST = 200

Stores = dict[str, Memory]


def users_of(block: int) -> list[tuple[str, int]]:
    """The users of a block, and how many memories each has."""
    if block % 2:
        return [(f"10000-{block}", BLOCK)]
    return [
        *((f"100-{block}-{n}", 100) for n in range(50)),
        *((f"1000-{block}-{n}", 1_000) for n in range(5)),
    ]


def in_schema(ledger: str, schema: str) -> str:
    return f"{ledger}?options=-csearch_path%3D{schema},public"


def emptied(ledger: str) -> None:
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        for schema in SCHEMAS:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.execute(f"CREATE SCHEMA {schema}")


def fill(stores: Stores, blocks: range, words: Words) -> dict[str, float]:
    """Memories per second, by store."""
    spent = dict.fromkeys(stores, 0.0)
    for block in blocks:
        for user, count in users_of(block):
            for _ in range(count // AT_ONCE):
                texts = [words.text(12) for _ in range(AT_ONCE)]
                for name, memory in stores.items():
                    start = time.perf_counter()
                    memory.add(texts, user_id=user, agent_id=AGENT, infer=False)
                    spent[name] += time.perf_counter() - start
        rates = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
        print(f"\r  {(block + 1) * BLOCK:>9,} memories: {rates}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return {name: len(blocks) * BLOCK / seconds for name, seconds in spent.items()}


def in_turn(stores: Stores, work: Callable[[Memory, int], object], times: int) -> dict[str, dict[str, float]]:
    """Percentiles in milliseconds of the same calls on each store, one after the other."""
    spent: dict[str, list[float]] = {name: [] for name in stores}
    for number in range(times):
        for name, memory in stores.items():
            start = time.perf_counter()
            work(memory, number)
            spent[name].append((time.perf_counter() - start) * 1000)
    return {name: percentiles(found) for name, found in spent.items()}


def percentiles(found: Sequence[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        name: ordered[int(share * len(ordered))]
        for name, share in (("p10", 0.1), ("p50", 0.5), ("p95", 0.95))
    }


def asked(stores: Stores, blocks: int, words: Words) -> dict[str, Any]:
    known = [user for block in range(blocks) for user in users_of(block)]
    found: dict[str, Any] = {}
    for size in (100, 1_000, 10_000):
        users = [user for user, count in known if count == size]
        if not users:
            continue
        chosen = [(words.text(6), random.choice(users)) for _ in range(SEARCHES)]

        def search(memory: Memory, number: int, chosen: list[tuple[str, str]] = chosen) -> object:
            text, user = chosen[number]
            return memory.search(text, user_id=user)

        in_turn(stores, search, 20)
        found[f"search_user_of_{size}_ms"] = in_turn(stores, search, SEARCHES)
    texts = [words.text(6) for _ in range(WHOLE)]
    found["search_user_of_all_ms"] = in_turn(
        stores, lambda memory, number: memory.search(texts[number], agent_id=AGENT), WHOLE
    )
    kept = [words.text(12) for _ in range(ADDS)]
    found["add_ms"] = in_turn(
        stores,
        lambda memory, number: memory.add(kept[number], user_id=known[0][0], agent_id=AGENT, infer=False),
        ADDS,
    )
    return found


def disk_mb(folder: Path, ledger: str, schema: str) -> dict[str, float]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    own = sum(path.stat().st_blocks * 512 for path in files if path.name.startswith("ledger.db"))
    with psycopg.connect(ledger) as connection:
        tables: dict[str, int] = dict(
            connection.execute(
                "SELECT relname, pg_total_relation_size(pg_class.oid) FROM pg_class "
                "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relkind = 'r' AND nspname = %s",
                [schema],
            ).fetchall()
        )
    index = sum(size for name, size in tables.items() if name.startswith("points"))
    return {
        "embedded_ledger": own / 1e6,
        "embedded_index": (sum(path.stat().st_blocks * 512 for path in files) - own) / 1e6,
        "pgvector_ledger": (sum(tables.values()) - index) / 1e6,
        "pgvector_index": index / 1e6,
    }


def graph(ledger: str, schema: str) -> dict[str, Any]:
    """What a graph over the vectors costs and saves: the nearest of everything, exactly and by the graph."""
    pool = Pool()
    queries = [pool.embed_query(str(number)) for number in range(WHOLE)]
    with psycopg.connect(in_schema(ledger, schema), autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(f"SET hnsw.ef_search = {NEAREST}")
        connection.execute("SET hnsw.iterative_scan = strict_order")

        def nearest(query: Any) -> list[Any]:
            statement = f"SELECT id FROM points_0 ORDER BY near <#> %s::float8[]::vector LIMIT {NEAREST}"
            return connection.execute(statement, [query.tolist()]).fetchall()

        def timed() -> tuple[dict[str, float], list[set[Any]]]:
            spent, found = [], []
            for query in queries:
                start = time.perf_counter()
                found.append({row[0] for row in nearest(query)})
                spent.append((time.perf_counter() - start) * 1000)
            return percentiles(spent), found

        nearest(queries[0])
        exact, right = timed()
        start = time.perf_counter()
        connection.execute("CREATE INDEX bench_graph ON points_0 USING hnsw (near vector_ip_ops)")
        built = time.perf_counter() - start
        [size] = connection.execute("SELECT pg_relation_size('bench_graph')").fetchone() or [0]
        nearest(queries[0])
        by_graph, found = timed()
        connection.execute("DROP INDEX bench_graph")
    share = sum(len(a & b) for a, b in zip(right, found, strict=True)) / sum(map(len, right))
    return {"exact_ms": exact, "graph_ms": by_graph, "found": share, "build_s": built, "mb": size / 1e6}


def analyzed(ledger: str) -> None:
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ledger", required=True, help="a database to be emptied: postgresql://...")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where the embedded store goes; it must be empty")
    parser.add_argument("--json", type=Path, default=Path("bench/results/postgres.json"))
    options = parser.parse_args()
    if any(size % BLOCK for size in options.sizes):
        parser.error(f"sizes are multiples of {BLOCK:,}")
    words, rows = Words(), []
    emptied(options.ledger)
    with tempfile.TemporaryDirectory(dir=options.folder) as base:
        folder = Path(base) / "embedded"
        with (
            Memory(folder, llm=None, embedder=Pool()) as embedded,
            Memory(
                ledger=in_schema(options.ledger, "filled"), index="pgvector", llm=None, embedder=Pool()
            ) as served,
        ):
            stores, done = {"embedded": embedded, "pgvector": served}, 0
            for size in sorted(options.sizes):
                row: dict[str, Any] = {"memories": size}
                row["bulk_per_second"] = fill(stores, range(done, size // BLOCK), words)
                done = size // BLOCK
                analyzed(options.ledger)
                row |= asked(stores, done, words)
                os.sync()
                row["disk_mb"] = disk_mb(folder, options.ledger, "filled")
                rows.append(row)
                print(json.dumps(row, indent=1))
            start = time.perf_counter()
            embedded.copy_to(ledger=in_schema(options.ledger, "copied"), index="pgvector")
            rows[-1]["copied_per_second"] = max(options.sizes) / (time.perf_counter() - start)
        rows[-1]["graph"] = graph(options.ledger, "copied")
        print(json.dumps({name: rows[-1][name] for name in ("copied_per_second", "graph")}, indent=1))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
