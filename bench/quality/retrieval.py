"""How much of the evidence search and recall find, on every set, through the public face of `Memory`.

    python -m bench.quality.retrieval [--locomo locomo.json] [--beam beam.json.gz] [--minilm vectors.npz ...]
        --sets             turns observations beam chinese chats six (default: all whose data is given)
        --minilm           .npz files of stored all-MiniLM-L6-v2 vectors: instead of the bundled embedder
        --together         the scenes of a set as one store of one user
        --ablation         what each signal is worth: the figures without it
        --sweep            what other weights would give, one at a time
        --cross-validate   weights fitted on all sets but one, measured on that one
        --tokens           evidence covered by what `recall` assembles, beside cosine within the same tokens
        --json FILE        adds the figures to a file of results

One store per scene: every turn, observation, message or fact is one memory (`infer=False`), added session by
session. Recall@k is the mean, over the questions that have evidence, of the share of the evidence that the first
k hits cover. "Cosine", "BM25" and their plain sum rank the same vectors and terms. "Newer first": of the questions
whose fact changed, the share in which the newest statement stands before all older ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from bench.data import sets
from bench.data.sets import Asked, Entry, Scene, covered
from holdfast import Memory, Message
from holdfast.decisions.retrieval import ranking
from holdfast.decisions.retrieval.candidates import Candidates
from holdfast.decisions.retrieval.ranking import ALONE, WEIGHTS, RankQuery, Weights
from holdfast.engine import search as _searching
from holdfast.models.bundled import BundledEmbedder
from holdfast.models.tokens import count_tokens
from holdfast.ports import Embedder

KS = (5, 10, 20)
BUDGETS = (1000, 4000)
USER = "someone"
FITTED = ("turns", "observations", "beam", "chinese")  # the sets that a signal has to prove itself on


@dataclass(frozen=True)
class Answered:
    """What the engine did with one question: what it ranked, what came out, and how long it took."""

    asked: Asked
    query: RankQuery
    candidates: Candidates
    entries: Mapping[str, Entry]  # by the version's id
    hits: Sequence[Entry]
    seconds: float

    def ranked(self, weights: Weights) -> list[Entry]:
        best = ranking.rank(self.query, self.candidates, limit=max(KS), weights=weights)
        return [self.entries[hit.id] for hit in best]

    def by(self, key: str) -> list[Entry]:
        best = sorted(self.candidates, key=attrgetter(key), reverse=True)[: max(KS)]
        return [self.entries[one.id] for one in best]


# --- filling and asking -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """A store with one scene in it. entries: by memory id."""

    memory: Memory
    scene: Scene
    entries: Mapping[str, Entry]


@contextmanager
def filled(scene: Scene, embedder: Embedder) -> Iterator[Filled]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory(folder, llm=None, embedder=embedder) as memory,
    ):
        behind: dict[str, Entry] = {}
        for _, session in groupby(scene.entries, key=attrgetter("session")):
            entries = list(session)
            messages = [Message(one.text, role=one.role, name=one.speaker) for one in entries]  # type: ignore[arg-type]
            result = memory.add(messages, user_id=USER, infer=False, happened_at=entries[0].said_at)
            behind |= dict(zip(result.messages, entries, strict=True))
        items = memory.get_all(user_id=USER, limit=10_000)
        yield Filled(memory, scene, {item.id: behind[item.sources[0]] for item in items})


def answers(store: Filled) -> list[Answered]:
    """Every question, asked through `search`, with what the engine saw while it ranked."""
    seen: list[tuple[RankQuery, Candidates]] = []

    def recorded(query: RankQuery, candidates: Candidates, **options: Any) -> list[ranking.Ranked]:
        seen.append((query, candidates))
        return ranking.rank(query, candidates, **options)

    with patch.object(_searching, "rank", recorded):
        return [_answer(store, asked, seen) for asked in store.scene.questions]


def _answer(store: Filled, asked: Asked, seen: list[tuple[RankQuery, Candidates]]) -> Answered:
    started = time.perf_counter()
    hits = store.memory.search(asked.question, user_id=USER, limit=max(KS))
    seconds = time.perf_counter() - started
    query, candidates = seen.pop()
    items = store.memory._store.ledger.memories.by_version([one.id for one in candidates])
    entries = {version: store.entries[item.id] for version, item in items.items()}
    return Answered(asked, query, candidates, entries, [store.entries[hit.id] for hit in hits], seconds)


# --- figures ----------------------------------------------------------------------------------------------


def recalls(asked: Asked, entries: Sequence[Entry]) -> list[float]:
    return [covered(asked, entries[:k]) for k in KS]


def mean(rows: Any) -> list[float]:
    return [round(float(value), 4) for value in np.mean(rows, axis=0)]


def with_weights(answers: Sequence[Answered], weights: Weights) -> list[float]:
    return mean([recalls(one.asked, one.ranked(weights)) for one in answers])


def figures(answers: Sequence[Answered]) -> dict[str, Any]:
    ways = {
        "cosine": [recalls(one.asked, one.by("dense")) for one in answers],
        "BM25": [recalls(one.asked, one.by("sparse")) for one in answers],
        "plain sum": [recalls(one.asked, one.ranked(replace(ALONE, keyword=1.0))) for one in answers],
        "search": [recalls(one.asked, one.hits) for one in answers],
    }
    found: dict[str, Any] = {name: mean(rows) for name, rows in ways.items()}
    kinds = [one.asked.kind for one in answers]
    for kind in dict.fromkeys(kinds):
        own = [at for at, one in enumerate(kinds) if one == kind]
        found[f"{kind} ({len(own)}): cosine, search"] = mean(np.array(ways["cosine"])[own]) + mean(
            np.array(ways["search"])[own]
        )
    changed = [one for one in answers if one.asked.newest]
    if changed:
        found["newer first: cosine, search"] = [
            round(float(np.mean([_newer_first(one.asked, entries) for one, entries in way])), 3)
            for way in ([(one, one.by("dense")) for one in changed], [(one, one.hits) for one in changed])
        ]
    found["milliseconds"] = round(1000 * float(np.median([one.seconds for one in answers])), 2)
    return found


def _newer_first(asked: Asked, entries: Sequence[Entry]) -> bool:
    for entry in entries:
        if set(entry.ids) & set(asked.evidence):
            return bool(set(entry.ids) & set(asked.newest))
    return False


def signals() -> list[str]:
    return [field.name for field in fields(Weights)]


def ablation(answers: Sequence[Answered]) -> dict[str, list[float]]:
    return {f"without {name}": with_weights(answers, replace(WEIGHTS, **{name: 0.0})) for name in signals()}


def sweep(answers: Sequence[Answered]) -> dict[str, list[float]]:
    tried = [
        (name, round(getattr(WEIGHTS, name) * factor, 3))
        for name in signals()
        for factor in (0.5, 0.75, 1.25, 1.5, 2.0)
    ]
    return {
        f"{name} {weight}": with_weights(answers, replace(WEIGHTS, **{name: weight}))
        for name, weight in tried
    }


def cross_validated(groups: Mapping[str, Sequence[Answered]]) -> dict[str, Any]:
    """Each set ranked with weights fitted on the others only."""
    known = [name for name in FITTED if name in groups]
    found: dict[str, Any] = {}
    for name in known:
        weights = fit([groups[other] for other in known if other != name])
        found[f"{name}: {_told(weights)}"] = with_weights(groups[name], weights)
    return found


def _told(weights: Weights) -> str:
    return " ".join(f"{name} {getattr(weights, name)}" for name in signals())


def fit(groups: Sequence[Sequence[Answered]]) -> Weights:
    """Coordinate ascent on the mean of recall@5, @10 and @20 over sets, each counting alike; no trace of WEIGHTS.
    A weight that gains less than .001 stays as it is."""
    best, chosen = 0.0, Weights()
    for keyword in (0.6, 0.8, 1.0):
        tables = [_Table(group, keyword) for group in groups]
        weights = dict.fromkeys(signals(), 0.2) | {"dense": 1.0, "keyword": keyword}
        score = 0.0
        for _ in range(2):
            for name in [name for name in signals() if name != "keyword"]:
                for value in (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2):
                    tried = weights | {name: value}
                    gained = float(np.mean([table.recall(tried) for table in tables]))
                    if gained > score + 1e-3:
                        score, weights = gained, tried
        if score > best:
            best, chosen = score, Weights(**{name: weights[name] for name in signals()})
    return chosen


class _Table:
    """A set's signals, for trying many weights. matrix: questions by candidates by signals. covers: questions by
    candidates by evidence; what a question has fewer of is filled up with what is never found."""

    def __init__(self, group: Sequence[Answered], keyword: float) -> None:
        found = [ranking.signals(one.query, one.candidates, keyword=keyword) for one in group]
        self.names = list(found[0])
        most = max(len(one.candidates) for one in group)
        self.needed = np.array([len(one.asked.evidence) for one in group])
        self.matrix = np.zeros((len(group), most, len(self.names)))
        self.covers = np.zeros((len(group), most, self.needed.max()), dtype=bool)
        self.absent = np.zeros((len(group), most))
        for at, (one, columns) in enumerate(zip(group, found, strict=True)):
            size = len(one.candidates)
            self.matrix[at, :size] = np.stack([signal.values for signal in columns.values()], axis=1)
            self.absent[at, size:] = -np.inf
            for row, candidate in enumerate(one.candidates):
                ids = one.entries[candidate.id].ids
                self.covers[at, row, : self.needed[at]] = [one_id in ids for one_id in one.asked.evidence]

    def recall(self, weights: Mapping[str, float]) -> float:
        scores = self.matrix @ np.array([weights[name] for name in self.names]) + self.absent
        best = np.argpartition(-scores, max(KS), axis=1)[:, : max(KS)]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        covered = np.take_along_axis(self.covers, best[:, :, None], axis=1)
        found = np.logical_or.accumulate(covered, axis=1).sum(axis=2) / self.needed[:, None]
        return float(np.mean([found[:, k - 1].mean() for k in KS]))


# --- what recall assembles --------------------------------------------------------------------------------


def within(store: Filled, embedder: Embedder) -> dict[str, list[list[float]]]:
    """Evidence covered by what an agent sees within a budget of tokens, and by the nearest whole memories that fit
    into the same budget, with the tokens that each took."""
    entries = store.scene.entries
    vectors = np.asarray(embedder.embed_documents([spoken(entry) for entry in entries]))
    costs = [count_tokens(f"- [{entry.said_at:%d %B %Y}] {spoken(entry)}\n") for entry in entries]
    rows: dict[str, list[list[float]]] = {}
    for asked in store.scene.questions:
        nearest = np.argsort(-(vectors @ embedder.embed_query(asked.question)), kind="stable")
        for budget in BUDGETS:
            context = store.memory.recall(asked.question, user_id=USER, max_tokens=budget)
            seen = [store.entries[hit.id] for hit in context.memories]
            said = {message.message.content for message in context.messages}
            seen += [entry for entry in entries if entry.text in said]
            rows.setdefault(f"recall, {budget} tokens", []).append([covered(asked, seen), context.tokens])
            by_cosine, spent = [], 0
            for at in nearest:
                if spent + costs[at] <= budget:
                    by_cosine.append(entries[at])
                    spent += costs[at]
            rows.setdefault(f"cosine, {budget} tokens", []).append([covered(asked, by_cosine), spent])
    return rows


def spoken(entry: Entry) -> str:
    """What is embedded and matched of a memory: its text under its speaker's name."""
    return ranking.indexed_text(entry.text, [entry.speaker] if entry.speaker else [])


# --- embedders --------------------------------------------------------------------------------------------


class Stored:
    """An embedder that looks its vectors up, by text or by its SHA-256. What it does not know it refuses, so that no
    figure rests on a made-up vector."""

    name = "all-MiniLM-L6-v2 (stored)"
    dimensions = 384

    def __init__(self, files: Sequence[Path]) -> None:
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        for file in files:
            stored = np.load(file)
            keys = (
                stored["sha256"] if "sha256" in stored else [_digest(str(text)) for text in stored["texts"]]
            )
            self._vectors |= dict(zip(map(str, keys), stored["vectors"].astype(np.float32), strict=True))

    def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        return self._vectors[_digest(text)]

    async def aembed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> npt.NDArray[np.float32]:
        return self.embed_query(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- the command ------------------------------------------------------------------------------------------


def add_data(parser: argparse.ArgumentParser) -> None:
    """What `scenes` reads of the arguments."""
    parser.add_argument("--locomo", type=Path)
    parser.add_argument("--beam", type=Path)
    parser.add_argument("--minilm", type=Path, nargs="*", default=[])
    parser.add_argument("--sets", nargs="*", choices=(*FITTED, "chats", "six"))
    parser.add_argument("--together", action="store_true")


def scenes(args: Any) -> dict[str, list[Scene]]:
    found: dict[str, list[Scene]] = {}
    if args.locomo:
        found |= {"turns": sets.turns(args.locomo), "observations": sets.observations(args.locomo)}
    if args.beam:
        found["beam"] = sets.beam(args.beam)
    if not args.minilm:
        found |= {"chinese": sets.chinese(), "chats": sets.chats(), "six": sets.six_languages()}
    chosen = {name: group for name, group in found.items() if name in (args.sets or found)}
    return {name: [sets.together(group)] for name, group in chosen.items()} if args.together else chosen


def measure(group: Sequence[Scene], embedder: Embedder, args: Any) -> tuple[list[Answered], dict[str, Any]]:
    answered: list[Answered] = []
    rows: dict[str, list[list[float]]] = {}
    for scene in group:
        with filled(scene, embedder) as store:
            answered += answers(store)
            if args.tokens:
                for name, values in within(store, embedder).items():
                    rows.setdefault(name, []).extend(values)
    found = figures(answered)
    found |= {name: mean(values) for name, values in rows.items()}
    found |= ablation(answered) if args.ablation else {}
    return answered, found | (sweep(answered) if args.sweep else {})


def show(title: str, found: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in found.items():
        row = "  ".join(f"{one:.3f}" for one in value) if isinstance(value, list) else value
        print(f"  {name:58} {row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data(parser)
    for flag in ("--ablation", "--sweep", "--cross-validate", "--tokens"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    embedder = cast(Embedder, Stored(args.minilm) if args.minilm else BundledEmbedder())
    groups: dict[str, list[Answered]] = {}
    results: dict[str, Any] = {}
    for name, group in scenes(args).items():
        groups[name], results[name] = measure(group, embedder, args)
        show(f"{name}, {embedder.name}: recall@5, @10, @20", results[name])
    if args.cross_validate:
        results["cross-validated"] = cross_validated(groups)
        show("fitted on the other sets", results["cross-validated"])
    if args.json:
        _save(args.json, "minilm" if args.minilm else "bundled", results)


def _save(file: Path, vectors: str, results: Mapping[str, Any]) -> None:
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = known.setdefault(vectors, {})
    for name, found in results.items():
        kept[name] = kept.get(name, {}) | {key: row for key, row in found.items() if key != "milliseconds"}
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
