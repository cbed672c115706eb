"""How much of the evidence search and recall find, on LoCoMo, through the public face of `Memory`.

    python -m bench.quality.retrieval locomo.json --vectors minilm          (minilm*.npz lies beside locomo.json)
    python -m bench.quality.retrieval locomo.json --vectors bundled
        --ablation         what each signal is worth: the figure without it
        --sweep            what other weights and constants would give, one at a time
        --cross-validate   weights fitted on all conversations but one, measured on that one
        --tokens           evidence covered by what `recall` assembles within 1,000 and 2,000 tokens
        --candidates N     how many candidates the engine ranks, per signal
        --json FILE        adds the figures to a file of results

One store per conversation: every turn, or every observation, is one memory (`infer=False`), added session by
session. Recall@k is the mean, over the questions of categories 1 to 4 that have evidence, of the share of
the evidence that the first k hits cover.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np

from bench.data import locomo
from bench.data.locomo import Asked, Conversation, Entry, Kind
from holdfast import Memory, Message, SearchHit
from holdfast.decisions.retrieval import ranking
from holdfast.decisions.retrieval.candidates import Candidate
from holdfast.decisions.retrieval.context import assemble
from holdfast.decisions.retrieval.ranking import RankQuery, Weights
from holdfast.engine import search as _recalling
from holdfast.models.tokens import count_tokens
from holdfast.ports import Embedder
from holdfast.types import JournaledMessage

KS = (5, 10, 20)
BUDGETS = (1000, 2000)
USER = "someone"
# Constants of `holdfast.decisions.retrieval.ranking`, and other values to try.
CONSTANTS: dict[str, tuple[float, ...]] = {
    "_DAYS_AFTER": (3.0, 14.0, 30.0),
    "_DAYS_BEFORE": (1.0, 4.0),
    "_EPISODE_TOP": (2, 5, 8),
    "_FACTS_CONTEXT": (0.0, 0.5, 1.0),
    "_WEAK": (0.1, 0.5),
    "_LONG": (25, 80),
}


@dataclass(frozen=True)
class Answered:
    """What the engine did with one question: what it ranked, what came out, and how long it took."""

    asked: Asked
    query: RankQuery
    candidates: Sequence[Candidate]
    entries: Mapping[str, Entry]  # by the version's id
    hits: Sequence[SearchHit]
    now: Any
    seconds: float

    def ranked(self, weights: Weights) -> list[Entry]:
        best = ranking.rank(self.query, self.candidates, limit=max(KS), now=self.now, weights=weights)
        return [self.entries[hit.id] for hit in best]


@dataclass(frozen=True)
class Filled:
    """A store with one conversation in it. entries: by memory id."""

    memory: Memory
    conversation: Conversation
    entries: Mapping[str, Entry]
    said: Mapping[str, JournaledMessage]  # by dialogue id; turns only


# --- filling and asking -----------------------------------------------------------------------------------


@contextmanager
def filled(conversation: Conversation, kind: Kind, embedder: Embedder) -> Iterator[Filled]:
    folder = tempfile.mkdtemp()
    try:
        with Memory(folder, llm=None, embedder=embedder) as memory:
            yield _fill(memory, conversation, kind)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(memory: Memory, conversation: Conversation, kind: Kind) -> Filled:
    behind: dict[str, Entry] = {}
    for session in sorted({entry.session for entry in conversation.entries(kind)}):
        entries = [entry for entry in conversation.entries(kind) if entry.session == session]
        result = memory.add(
            [Message(entry.text, name=entry.speaker if kind == "turns" else None) for entry in entries],
            user_id=USER,
            infer=False,
            happened_at=entries[0].said_at,
        )
        behind |= dict(zip(result.messages, entries, strict=True))
    entries_of = {item.id: behind[item.sources[0]] for item in memory.get_all(user_id=USER, limit=10_000)}
    said = {behind[turn.id].ids[0]: turn for turn in memory.messages(user_id=USER, limit=10_000)}
    return Filled(memory, conversation, entries_of, said if kind == "turns" else {})


def answers(store: Filled) -> list[Answered]:
    """Every answerable question, asked through `search`, with what the engine saw while it ranked."""
    seen: list[tuple[RankQuery, Sequence[Candidate], Any]] = []

    def recorded(query: RankQuery, candidates: Sequence[Candidate], **options: Any) -> list[ranking.Ranked]:
        seen.append((query, candidates, options["now"]))
        return ranking.rank(query, candidates, **options)

    with patch.object(_recalling, "rank", recorded):
        return [_answer(store, asked, seen) for asked in store.conversation.answerable]


def _answer(store: Filled, asked: Asked, seen: list[Any]) -> Answered:
    started = time.perf_counter()
    hits = store.memory.search(asked.question, user_id=USER, limit=max(KS))
    seconds = time.perf_counter() - started
    query, candidates, now = seen.pop()
    items = store.memory._store.ledger.memories.by_version([one.id for one in candidates])
    entries = {version: store.entries[item.id] for version, item in items.items()}
    return Answered(asked, query, candidates, entries, hits, now, seconds)


# --- figures ----------------------------------------------------------------------------------------------


def found(store: Mapping[str, Entry], answered: Answered) -> list[float]:
    """Recall at each of KS, of what `search` returned."""
    entries = [store[hit.id] for hit in answered.hits]
    return [locomo.covered(answered.asked, entries[:k]) for k in KS]


def reranked(answers: Sequence[Answered], weights: Weights) -> list[list[float]]:
    rows = []
    for answered in answers:
        entries = answered.ranked(weights)
        rows.append([locomo.covered(answered.asked, entries[:k]) for k in KS])
    return rows


def by_category(answers: Sequence[Answered], rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    table = np.array(rows)
    return {
        name: mean(table[[answered.asked.category == category for answered in answers]])
        for category, name in locomo.CATEGORIES.items()
    }


def mean(rows: Any) -> list[float]:
    return [round(float(value), 4) for value in np.mean(rows, axis=0)]


def baselines(answers: Sequence[Answered]) -> dict[str, list[float]]:
    """The same candidates by cosine alone, by BM25 alone, and by the plain sum of the two."""
    nothing = Weights(**{field.name: 0.0 for field in fields(Weights)})
    rows: dict[str, list[list[float]]] = {"cosine": [], "BM25": []}
    for answered in answers:
        for name, key in (("cosine", "dense"), ("BM25", "sparse")):
            best = sorted(answered.candidates, key=attrgetter(key), reverse=True)[: max(KS)]
            entries = [answered.entries[one.id] for one in best]
            rows[name].append([locomo.covered(answered.asked, entries[:k]) for k in KS])
    figures = {name: mean(values) for name, values in rows.items()}
    return figures | {"sum of both": mean(reranked(answers, replace(nothing, keyword=1.0)))}


def ablation(answers: Sequence[Answered]) -> dict[str, list[float]]:
    names = [field.name for field in fields(Weights)]
    return {name: mean(reranked(answers, replace(ranking.WEIGHTS, **{name: 0.0}))) for name in names}


def sweep(answers: Sequence[Answered]) -> dict[str, list[float]]:
    figures = {}
    for field in fields(Weights):
        for factor in (0.5, 0.75, 1.25, 1.5, 2.0):
            weight = round(getattr(ranking.WEIGHTS, field.name) * factor, 3)
            figures[f"{field.name}={weight}"] = mean(
                reranked(answers, replace(ranking.WEIGHTS, **{field.name: weight}))
            )
    for name, values in CONSTANTS.items():
        for value in values:
            with patch.object(ranking, name, value):
                figures[f"{name}={value}"] = mean(reranked(answers, ranking.WEIGHTS))
    return figures


def cross_validated(conversations: Sequence[Sequence[Answered]]) -> tuple[list[float], list[Weights]]:
    """Recall when each conversation is ranked with weights fitted on the others only."""
    rows: list[list[float]] = []
    fitted = []
    for held_out, answers in enumerate(conversations):
        others = [one for at, group in enumerate(conversations) if at != held_out for one in group]
        weights = fit(others)
        fitted.append(weights)
        rows += reranked(answers, weights)
    return mean(rows), fitted


def fit(answers: Sequence[Answered]) -> Weights:
    """Coordinate ascent on the mean of recall@5, @10 and @20, from equal weights: no trace of WEIGHTS."""
    best, weights = 0.0, Weights()
    for keyword in (0.7, 0.85, 1.0):
        score, tried = _ascent([_Table(answered, keyword) for answered in answers], keyword)
        if score > best:
            best, weights = score, tried
    return weights


class _Table:
    """One question's signals, for trying many weights. matrix: candidates by signals. covers: candidates by
    evidence."""

    def __init__(self, answered: Answered, keyword: float) -> None:
        found = ranking.signals(answered.query, answered.candidates, answered.now, keyword=keyword)
        self.names = list(found)
        self.matrix = np.stack(list(found.values()), axis=1)
        self.covers = np.array(
            [
                [turn in answered.entries[one.id].ids for turn in answered.asked.evidence]
                for one in answered.candidates
            ]
        )

    def recall(self, weights: Mapping[str, float]) -> float:
        scores = self.matrix @ np.array([weights[name] for name in self.names])
        best = np.argsort(-scores, kind="stable")[: max(KS)]
        found = np.logical_or.accumulate(self.covers[best], axis=0).mean(axis=1)
        return float(np.mean([found[min(k, len(found)) - 1] for k in KS]))


def _ascent(tables: Sequence[_Table], keyword: float) -> tuple[float, Weights]:
    fixed = {"dense": 1.0, "keyword": keyword}
    weights = fixed | {field.name: 0.2 for field in fields(Weights) if field.name != "keyword"}
    best = 0.0
    for _ in range(2):
        for name in [name for name in weights if name not in fixed]:
            for value in (0.0, 0.1, 0.2, 0.3, 0.5, 0.9, 1.3):
                tried = weights | {name: value}
                score = float(np.mean([table.recall(tried) for table in tables]))
                if score > best + 1e-6:
                    best, weights = score, tried
    return best, Weights(**{name: value for name, value in weights.items() if name != "dense"})


# --- what recall assembles --------------------------------------------------------------------------------


def covered_within(turns: Filled, observations: Filled, budget: int) -> dict[str, list[list[float]]]:
    """Evidence covered by what an agent sees within a budget of tokens, for three ways to fill it: turns as
    memories, observations alone, observations with the turns behind them. With the tokens it took."""
    rows: dict[str, list[list[float]]] = {"turns": [], "observations": [], "observations and turns": []}
    for asked in turns.conversation.answerable:
        for name, store, with_turns in (
            ("turns", turns, False),
            ("observations", observations, False),
            ("observations and turns", observations, True),
        ):
            hits = store.memory.search(asked.question, user_id=USER, limit=_recalling.hits_for(budget))
            behind = (
                {hit.id: _behind(store.entries[hit.id], turns.said) for hit in hits} if with_turns else {}
            )
            context = assemble(hits, behind, max_tokens=budget, count=count_tokens)
            assert context.tokens <= budget
            shown = [store.entries[hit.id] for hit in context.memories]
            said = {turn.id for turn in context.messages}
            shown += [entry for entry in turns.conversation.turns if turns.said[entry.ids[0]].id in said]
            rows[name].append([locomo.covered(asked, shown), context.tokens])
    return rows


def _behind(entry: Entry, said: Mapping[str, JournaledMessage]) -> list[JournaledMessage]:
    return [said[turn] for turn in entry.ids if turn in said]


# --- the command ------------------------------------------------------------------------------------------


def embedder_of(vectors: str, data: Path) -> Embedder:
    if vectors == "bundled":
        from holdfast.models.bundled import BundledEmbedder

        return cast(Embedder, BundledEmbedder())
    (stored,) = sorted(data.parent.glob("minilm*.npz"))
    return locomo.StoredVectors(stored)


def measure(
    kind: Kind, conversations: Sequence[Conversation], embedder: Embedder, args: Any
) -> dict[str, Any]:
    groups: list[list[Answered]] = []
    rows: list[list[float]] = []
    for conversation in conversations:
        with filled(conversation, kind, embedder) as store:
            groups.append(answers(store))
            rows += [found(store.entries, answered) for answered in groups[-1]]
    everything = [answered for group in groups for answered in group]
    ends = np.cumsum([len(group) for group in groups])
    figures: dict[str, Any] = {
        "questions": len(rows),
        "search": mean(rows),
        "by category": by_category(everything, rows),
        "by conversation": {
            conversation.name: mean(part)
            for conversation, part in zip(conversations, np.split(np.array(rows), ends[:-1]), strict=True)
        },
        "milliseconds": round(1000 * float(np.median([one.seconds for one in everything])), 2),
        "candidates": round(float(np.mean([len(one.candidates) for one in everything]))),
        "baselines": baselines(everything),
    }
    if args.ablation:
        figures["without"] = ablation(everything)
    if args.sweep:
        figures["with"] = sweep(everything)
    if args.cross_validate:
        figures["cross-validated"], fitted = cross_validated(groups)
        print("fitted:", *fitted, sep="\n  ")
    return figures


def measure_tokens(conversations: Sequence[Conversation], embedder: Embedder) -> dict[str, Any]:
    rows: dict[str, list[list[float]]] = {}
    for conversation in conversations:
        with (
            filled(conversation, "turns", embedder) as turns,
            filled(conversation, "observations", embedder) as observations,
        ):
            for budget in BUDGETS:
                for name, values in covered_within(turns, observations, budget).items():
                    rows.setdefault(f"{name}, {budget} tokens", []).extend(values)
    return {name: mean(values) for name, values in rows.items()}


def show(title: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        if isinstance(value, Mapping):
            print(f"  {name}")
            for inner, row in value.items():
                print(f"    {inner:32} {_row(row)}")
        else:
            print(f"  {name:34} {_row(value)}")


def _row(value: Any) -> str:
    return "  ".join(f"{one:.3f}" for one in value) if isinstance(value, list) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="LoCoMo's JSON file")
    parser.add_argument("--vectors", choices=("minilm", "bundled"), default="minilm")
    parser.add_argument(
        "--kinds", nargs="*", choices=("turns", "observations"), default=["turns", "observations"]
    )
    for flag in ("--ablation", "--sweep", "--cross-validate", "--tokens"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--candidates", type=int, default=_recalling.CANDIDATES)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    _recalling.CANDIDATES = args.candidates
    conversations = locomo.load(args.data)
    embedder = embedder_of(args.vectors, args.data)
    results: dict[str, Any] = {}
    for kind in args.kinds:
        results[kind] = measure(cast(Kind, kind), conversations, embedder, args)
        show(f"{kind}, {args.vectors}: recall@5, @10, @20", results[kind])
    if args.tokens:
        results["recall"] = measure_tokens(conversations, embedder)
        show("evidence covered, tokens used", results["recall"])
    if args.json:
        _save(args.json, args.vectors, results)


def _save(file: Path, vectors: str, results: Mapping[str, Any]) -> None:
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = known.get(vectors, {})
    for kind, figures in results.items():
        lasting = {name: value for name, value in figures.items() if name != "milliseconds"}  # the machine's
        kept[kind] = kept.get(kind, {}) | lasting
    known[vectors] = kept
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
