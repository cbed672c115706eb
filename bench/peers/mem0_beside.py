"""mem0 and Retain in one run: same data, same vectors, same machine, one after the other.

    python bench/peers/mem0_beside.py retrieval locomo.json      (minilm*.npz lies beside locomo.json)
    python bench/peers/mem0_beside.py overhead --sizes 1000 10000 20000
    OPENAI_BASE_URL=… OPENAI_API_KEY=… OPENAI_MODEL=… python bench/peers/mem0_beside.py extraction locomo.json
    OPENAI_BASE_URL=… OPENAI_API_KEY=… OPENAI_MODEL=… python bench/peers/mem0_beside.py merging

retrieval    as bench/retrieval.py: recall of the evidence among the first 5, 10, 20 hits
overhead     as bench/overhead.py: random vectors, no model; what is left is the memory's own work
extraction   as bench/extraction.py: pairs of messages, one call of a real model each
merging      as bench/merging.py, one case of each kind, in English; mem0 only adds, so NOOP is what it kept out

How to install mem0, and what it is given: README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import extraction
import locomo
import merging
import overhead
import retrieval
from locomo import Asked, Conversation, Entry, Kind
from mem0_peer import Dictated, Recorded, Way, opened
from minilm import MiniLM

from retain.extraction import Fact
from retain.models.openai import OpenAIModel
from retain.types import Usage
from retain.windowing import WINDOW_TOKENS, Window

RESULTS = Path(__file__).resolve().parents[1] / "results"
PACKAGES = ("retain", "mem0ai", "qdrant-client", "qdrant-edge-py", "spacy", "fastembed", "numpy")
WAYS: tuple[Way, ...] = ("as installed", "with extras", "with entities")
USER = "someone"
FILTER = {"user_id": USER}
FEWER_QUERIES = 50  # mem0's searches are slow; a median needs no more


class MiniLMVectors:
    """Stored vectors where there are any, MiniLM itself for the entities that mem0 makes out. Kept by text."""

    dimensions = 384

    def __init__(self, stored: Any = None) -> None:
        self._stored, self._model = stored, MiniLM()
        self._known: dict[str, Any] = {}

    def embed_documents(self, texts: Sequence[str]) -> list[Any]:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._vector(text)
        return [self._known[text] for text in texts]

    def _vector(self, text: str) -> Any:
        try:
            return self._stored.embed_query(text)
        except (KeyError, AttributeError):
            return self._model.embed([text])[0]


# --- retrieval --------------------------------------------------------------------------------------------


def retrieve(args: Namespace) -> dict[str, Any]:
    conversations = locomo.load(args.path)[: args.conversations]
    stored = retrieval.embedder_of("minilm", args.path)
    vectors = MiniLMVectors(stored)
    results: dict[str, Any] = {}
    for kind in ("turns", "observations"):
        rows = {"Retain": [one for c in conversations for one in _retain_finds(c, kind, stored)]}
        for way in WAYS:
            rows[f"mem0, {way}"] = [one for c in conversations for one in _mem0_finds(c, kind, way, vectors)]
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


def _retain_finds(c: Conversation, kind: Kind, embedder: Any) -> list[tuple[list[float], float]]:
    with retrieval.filled(c, kind, embedder) as store:
        return [(retrieval.found(store.entries, one), one.seconds) for one in retrieval.answers(store)]


def _mem0_finds(c: Conversation, kind: Kind, way: Way, vectors: Any) -> list[tuple[list[float], float]]:
    model = Dictated()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(way, vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        behind: dict[str, Entry] = {}
        for session in sorted({entry.session for entry in c.entries(kind)}):
            entries = [entry for entry in c.entries(kind) if entry.session == session]
            texts = [entry.spoken if kind == "turns" else entry.text for entry in entries]
            model.says = texts
            messages = [{"role": "user", "content": text} for text in texts]
            kept = memory.add(messages, user_id=USER, infer=way == "with entities")["results"]
            by_text = dict(zip(texts, entries, strict=True))
            behind |= {one["id"]: by_text[one["memory"]] for one in kept}
        print(f"  {c.name} {kind} {way}: {len(behind)} of {len(c.entries(kind))} kept", flush=True)
        return [_mem0_answers(memory, behind, asked) for asked in c.answerable]


def _mem0_answers(memory: Any, behind: Mapping[str, Entry], asked: Asked) -> tuple[list[float], float]:
    begun = time.perf_counter()
    hits = memory.search(asked.question, top_k=max(retrieval.KS), filters=FILTER)["results"]
    seconds = time.perf_counter() - begun
    entries = [behind[hit["id"]] for hit in hits]
    return [locomo.covered(asked, entries[:k]) for k in retrieval.KS], seconds


# --- overhead ---------------------------------------------------------------------------------------------


def weigh(args: Namespace) -> dict[str, Any]:
    rows = []
    for size in args.sizes:
        row: dict[str, Any] = {"memories": size, "users": overhead.USERS}
        row["Retain"] = overhead.measure(size, overhead.Words())
        print(size, "Retain", row["Retain"], flush=True)
        for way in WAYS[:2]:
            row[f"mem0, {way}"] = _mem0_weighs(size, way)
            print(size, way, row[f"mem0, {way}"], flush=True)
        rows.append(row)
        _save(args.json, {"overhead": rows})
    return {"overhead": rows}


def _mem0_weighs(size: int, way: Way) -> dict[str, Any]:
    words, pool = overhead.Words(), overhead.Pool()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(way, pool, overhead.DIMENSIONS, folder) as memory:
            begun = time.perf_counter()
            for user in range(overhead.USERS):
                texts = [words.text(12) for _ in range(size // overhead.USERS)]
                messages = [{"role": "user", "content": text} for text in texts]
                memory.add(messages, user_id=f"user-{user}", infer=False)
            filled = time.perf_counter() - begun

            def someone() -> str:
                return f"user-{random.randrange(overhead.USERS)}"

            def search() -> None:
                memory.search(words.text(6), filters={"user_id": someone()}, top_k=10)

            def add() -> None:
                memory.add(words.text(12), user_id=someone(), infer=False)

            for _ in range(5):
                search()
            row = {
                "memories": size,
                "bulk_per_second": size / filled,
                "search_ms": overhead.milliseconds(search, FEWER_QUERIES),
                "add_ms": overhead.milliseconds(add, FEWER_QUERIES),
                "disk_mb": sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file()) / 1e6,
            }
        begun = time.perf_counter()
        with opened(way, pool, overhead.DIMENSIONS, folder):
            pass
        return row | {"open_and_close_s": time.perf_counter() - begun}


# --- extraction -------------------------------------------------------------------------------------------


def extract(args: Namespace) -> dict[str, Any]:
    """Both from the same pairs of messages. mem0 does not name the message behind a fact: the nearest of its
    pair is taken, which can only flatter."""
    conversation = next(c for c in locomo.load(args.path) if c.name == args.conversation)
    embedder = MiniLM()
    mem0_run, calls = _mem0_extracts(conversation, args.messages, embedder)
    model = extraction.Remembered(
        OpenAIModel(os.environ["OPENAI_MODEL"], timeout=900), RESULTS / "raw", offline=False
    )
    options = Namespace(messages=args.messages, window=WINDOW_TOKENS, show=False)
    runs = {"mem0": mem0_run, "Retain": extraction._extracted(conversation, "sessions", options, model)}
    figures: dict[str, Any] = {}
    for name, run in runs.items():
        figures[name] = extraction._measured(conversation, run, embedder) | {
            "calls": run.usage.calls,
            "input_tokens_per_call": round(run.usage.input_tokens / max(run.usage.calls, 1)),
            "output_tokens_per_call": round(run.usage.output_tokens / max(run.usage.calls, 1)),
            "texts": [fact.text for fact, _ in run.facts],
        }
    figures["mem0"]["cut off"] = sum(call["finish"] == "length" for call in calls)
    return {"extraction": figures | {"conversation": conversation.name}}


def _mem0_extracts(
    c: Conversation, count: int, embedder: MiniLM
) -> tuple[extraction.Run, list[dict[str, Any]]]:
    run = extraction.Run()
    turns = c.turns[:count]
    roles = {c.speakers[0]: "user", c.speakers[1]: "assistant"}
    vectors, model = MiniLMVectors(), Recorded(RESULTS / "raw")
    with (
        tempfile.TemporaryDirectory() as folder,
        opened("with extras", vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        for at in range(0, len(turns), 2):
            pair = turns[at : at + 2]
            messages = [{"role": roles[turn.speaker], "content": turn.spoken} for turn in pair]
            kept = memory.add(messages, user_id=USER)["results"]
            window = Window(tuple(extraction._message(turn) for turn in pair), at, ())
            run.facts += [(_fact(one["memory"], window, embedder), window) for one in kept]
            run.windows += 1
            run.messages += len(pair)
            print(f"  mem0, messages {at} and {at + 1}: {model.calls[-1]}", flush=True)
    run.usage = Usage(
        len(model.calls),
        sum(call["input_tokens"] for call in model.calls),
        sum(call["output_tokens"] for call in model.calls),
    )
    return run, model.calls


def _fact(text: str, window: Window, embedder: MiniLM) -> Fact:
    said = [f"{message.name}: {message.content}" for message in window.messages]
    near = embedder.embed(said) @ embedder.embed([text])[0]
    return Fact(text, tuple(int(at) for at in np.argsort(-near)), None)


# --- merging ----------------------------------------------------------------------------------------------


def merge(args: Namespace) -> dict[str, Any]:
    cases = {}
    for case in json.loads(args.cases.read_text(encoding="utf-8")):
        if case["language"] == "en":
            cases.setdefault(case["kind"], merging.Case(**case))
    chosen = list(cases.values())[: args.count]
    mine = merging.Model(RESULTS / "raw")
    embed, strategy = merging.embedder(), merging.merging.Together()
    outcomes: dict[str, list[merging.Outcome]] = {"Retain": [], "mem0": []}
    theirs = Recorded(RESULTS / "raw")
    for case in chosen:
        (decisions,) = merging.decide(strategy, [merging.fact_of(case, embed)], mine)
        outcomes["Retain"].append(merging.outcome(case, decisions))
        outcomes["mem0"].append(_mem0_merges(case, theirs))
        for name, those in outcomes.items():
            one = those[-1]
            print(
                f"  {case.kind} {name}: {one.operation} {one.target} right={one.right} -> {one.store}",
                flush=True,
            )
    figures = {name: merging.summary(those) for name, those in outcomes.items()}
    figures["Retain"] |= {"calls": mine.calls, "input tokens": mine.input_tokens}
    figures["mem0"] |= {
        "calls": len(theirs.calls),
        "input tokens": sum(call["input_tokens"] for call in theirs.calls),
    }
    for name, those in outcomes.items():
        figures[name]["stores"] = {one.case.kind: [one.right, one.operation, one.store] for one in those}
    return {"merging": figures | {"file": args.cases.name}}


def _mem0_merges(case: merging.Case, model: Recorded) -> merging.Outcome:
    vectors = MiniLMVectors()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened("with extras", vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        for text in case.memories:
            memory.add(text, user_id=USER, infer=False)
        events = [one["event"] for one in memory.add(case.fact, user_id=USER)["results"]]
        listed = memory.get_all(filters=FILTER, top_k=100)["results"]
    store = [one["memory"] for one in listed]
    operation = events[0] if events else "NOOP"
    target = case.target if operation == "NOOP" else None
    said = ";\n".join(store).casefold() + ";"
    lost = [k for k in case.keep if not any(d.casefold() in said for d in ([k] if isinstance(k, str) else k))]
    stale = [g for g in case.gone if g.casefold() in said]
    return merging.Outcome(case, operation, target, store, "", lost, stale)


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
    one.add_argument("path", type=Path, help="LoCoMo's JSON file")
    one.add_argument("--conversations", type=int, help="only the first so many")
    part("overhead", weigh).add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 20_000])
    one = part("extraction", extract)
    one.add_argument("path", type=Path, help="LoCoMo's JSON file")
    one.add_argument("--conversation", default="conv-26")
    one.add_argument("--messages", type=int, default=12, help="from its beginning, two to a call")
    one = part("merging", merge)
    one.add_argument("--cases", type=Path, default=RESULTS.parent / "merging_unseen.json")
    one.add_argument("--count", type=int, default=8)
    args = parser.parse_args()
    figures = args.work(args)
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    _save(args.json, figures)


def _save(file: Path, figures: Mapping[str, Any]) -> None:
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    stamp = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(known | dict(figures) | stamp, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
