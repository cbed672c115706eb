"""mem0 and Holdfast in one run: same data, same vectors, same machine, one after the other.

    python -m bench.peers.mem0_beside retrieval --locomo locomo.json --beam beam.json.gz --minilm vectors.npz …
    python -m bench.peers.mem0_beside overhead --sizes 1000 10000 20000
    OPENAI_BASE_URL=… OPENAI_API_KEY=… OPENAI_MODEL=… python -m bench.peers.mem0_beside extraction locomo.json
    OPENAI_BASE_URL=… OPENAI_API_KEY=… OPENAI_MODEL=… python -m bench.peers.mem0_beside merging

retrieval    as `bench.quality.retrieval`: recall of the evidence among the first 5, 10, 20 hits
overhead     as `bench.cost.overhead`: random vectors, no model, 100 users; the two take turns at every step
extraction   as `bench.quality.extraction`: pairs of messages, one call of a real model each
merging      as `bench.quality.merging`, one case of each kind, in English; mem0 only adds: NOOP is what it kept out

How to install mem0, and what it is given: README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from bench.cost import overhead
from bench.data.cases import CASES
from bench.data.sets import Asked, Entry, Scene
from bench.peers.mem0_model import extract, merge
from bench.peers.mem0_peer import FILTER, USER, Dictated, MiniLMVectors, Way, opened
from bench.quality import retrieval
from holdfast import Memory

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("holdfast", "mem0ai", "qdrant-client", "qdrant-edge-py", "spacy", "fastembed", "numpy")
WAYS: tuple[Way, ...] = ("as installed", "with extras", "with entities")
TIMES = 60  # searches and single adds that are timed


# --- retrieval --------------------------------------------------------------------------------------------


def retrieve(args: Namespace) -> dict[str, Any]:
    stored = retrieval.Stored(args.minilm)
    vectors = MiniLMVectors(stored)
    results: dict[str, Any] = {}
    for kind, group in retrieval.scenes(args).items():
        scenes = group[: args.scenes]
        rows = {"Holdfast": [one for scene in scenes for one in _holdfast_finds(scene, stored)]}
        for way in WAYS:
            rows[f"mem0, {way}"] = [one for scene in scenes for one in _mem0_finds(scene, way, vectors)]
        results[kind] = {
            name: {
                "recall": retrieval.mean([found for found, _ in those]),
                "search_ms_p50": round(1000 * float(np.median([seconds for _, seconds in those])), 1),
                "questions": len(those),
            }
            for name, those in rows.items()
        }
        for name, figures in results[kind].items():
            print(kind, name, figures, flush=True)
    return results


def _holdfast_finds(scene: Scene, embedder: Any) -> list[tuple[list[float], float]]:
    with retrieval.filled(scene, embedder) as store:
        return [(retrieval.recalls(one.asked, one.hits), one.seconds) for one in retrieval.answers(store)]


def _mem0_finds(scene: Scene, way: Way, vectors: Any) -> list[tuple[list[float], float]]:
    """mem0 keeps one memory of texts that are alike."""
    model = Dictated()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(way, vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        behind: dict[str, Entry] = {}
        for _, session in groupby(scene.entries, key=attrgetter("session")):
            by_text = {retrieval.spoken(entry): entry for entry in session}
            model.says = list(by_text)
            messages = [{"role": "user", "content": text} for text in by_text]
            kept = memory.add(messages, user_id=USER, infer=way == "with entities")["results"]
            behind |= {one["id"]: by_text[one["memory"]] for one in kept}
        print(f"  {scene.name} {way}: {len(behind)} of {len(scene.entries)} kept", flush=True)
        return [_mem0_answers(memory, behind, asked) for asked in scene.questions]


def _mem0_answers(memory: Any, behind: Mapping[str, Entry], asked: Asked) -> tuple[list[float], float]:
    begun = time.perf_counter()
    hits = memory.search(asked.question, top_k=max(retrieval.KS), filters=FILTER)["results"]
    seconds = time.perf_counter() - begun
    return retrieval.recalls(asked, [behind[hit["id"]] for hit in hits]), seconds


# --- overhead ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One of the two memories, with what is timed on it. add(texts, user), search(text, user)."""

    name: str
    add: Callable[[list[str], str], object]
    search: Callable[[str, str], object]


def weigh(args: Namespace) -> dict[str, Any]:
    rows: dict[str, Any] = _known(args.json).get("overhead", {})
    for size in args.sizes:
        for way in args.ways:
            rows[f"{size:,} memories, mem0 {way}"] = pair = _weighed(size, way)
            print(size, way, json.dumps(pair), flush=True)
            _save(args.json, {"overhead": rows})
    return {"overhead": rows}


def _weighed(size: int, way: Way) -> dict[str, Any]:
    """Turn by turn, so that whatever else the machine does meets both alike."""
    pool = overhead.Pool()
    with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as theirs:
        with (
            Memory(mine, llm=None, embedder=pool) as holdfast,
            opened(way, pool, overhead.DIMENSIONS, Path(theirs)) as mem0,
        ):
            sides = (
                Side(
                    "Holdfast",
                    lambda texts, user: holdfast.add(texts, user_id=user, infer=False),
                    lambda text, user: holdfast.search(text, user_id=user, limit=10),
                ),
                Side(
                    "mem0",
                    lambda texts, user: mem0.add(
                        [{"role": "user", "content": text} for text in texts], user_id=user, infer=False
                    ),
                    lambda text, user: mem0.search(text, filters={"user_id": user}, top_k=10),
                ),
            )
            figures = _timed(sides, size)
        for name, folder in (("Holdfast", mine), ("mem0", theirs)):
            files = (file for file in Path(folder).rglob("*") if file.is_file())
            figures[name]["disk_mb"] = sum(file.stat().st_blocks * 512 for file in files) / 1e6
        begun = time.perf_counter()
        Memory(mine, llm=None, embedder=pool).close()
        figures["Holdfast"]["open_and_close_s"] = time.perf_counter() - begun
        begun = time.perf_counter()
        with opened(way, pool, overhead.DIMENSIONS, Path(theirs)):
            figures["mem0"]["open_s"] = time.perf_counter() - begun
    return figures


def _timed(sides: Sequence[Side], size: int) -> dict[str, dict[str, Any]]:
    words, spent = overhead.Words(), {side.name: 0.0 for side in sides}
    for number in range(overhead.USERS):
        texts = [words.text(12) for _ in range(size // overhead.USERS)]
        for side in sides:
            begun = time.perf_counter()
            side.add(texts, f"user-{number}")
            spent[side.name] += time.perf_counter() - begun

    def times(work: Callable[[Side, str, str], object], length: int, count: int) -> dict[str, list[float]]:
        taken: dict[str, list[float]] = {side.name: [] for side in sides}
        for _ in range(count):
            text, user = words.text(length), f"user-{random.randrange(overhead.USERS)}"
            for side in sides:
                begun = time.perf_counter()
                work(side, text, user)
                taken[side.name].append(1000 * (time.perf_counter() - begun))
        return taken

    times(lambda side, text, user: side.search(text, user), 6, 5)  # what is loaded at first use
    searches = times(lambda side, text, user: side.search(text, user), 6, TIMES)
    adds = times(lambda side, text, user: side.add([text], user), 12, TIMES)
    return {
        side.name: {
            "bulk_per_second": size / spent[side.name],
            "search_ms": _spread(searches[side.name]),
            "add_ms": _spread(adds[side.name]),
        }
        for side in sides
    }


def _spread(taken: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(taken, q)), 2) for q in (10, 50, 95)}


# --- the command ------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "peers.json")
    parts = parser.add_subparsers(required=True)

    def part(name: str, work: Callable[[Namespace], dict[str, Any]]) -> argparse.ArgumentParser:
        one = parts.add_parser(name)
        one.set_defaults(work=work)
        return one

    one = part("retrieval", lambda args: {"retrieval": retrieve(args)})
    retrieval.add_data(one)
    one.add_argument("--scenes", type=int, help="of each set, only the first so many")
    one = part("overhead", weigh)
    one.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 20_000])
    one.add_argument("--ways", nargs="+", choices=WAYS[:2], default=WAYS[:2])
    one = part("extraction", extract)
    one.add_argument("path", type=Path, help="LoCoMo's JSON file")
    one.add_argument("--conversation", default="conv-26")
    one.add_argument("--messages", type=int, default=12, help="from its beginning, two to a call")
    one = part("merging", merge)
    one.add_argument("--cases", type=Path, default=CASES)
    one.add_argument("--count", type=int, default=8)
    args = parser.parse_args()
    figures = args.work(args)
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    _save(args.json, figures)


def _known(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _save(file: Path, figures: Mapping[str, Any]) -> None:
    stamp = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_known(file) | dict(figures) | stamp, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
