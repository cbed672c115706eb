"""The weights of `retain.merging.likelihood`: fitted on the cases, and tried on authors whom they were not fitted on.

    python bench/merging_weights.py

A logistic regression over the pairs that a model is asked about, from its answers on record. What is told is whether
the fact belongs to the memory (UPDATE, DELETE or NOOP of it) or stands beside it. Cases are of several authors, who
did not know each other's cases or the code; the first letter of an id tells the author (see AUTHORS).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import merging as bench
import numpy as np
import numpy.typing as npt

from retain.merging import PairByPair
from retain.merging.likelihood import WEIGHTS, signals
from retain.merging.review import bare

AUTHORS = "mnspqru"  # their batches; all other cases are of one more author
PENALTY = 0.02  # of a weight's square, on standardised signals
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)

Matrix = npt.NDArray[np.float64]


class Listening(bench.Recorded):
    """The answers on record, and the last one that was given."""

    asked: tuple[str, str] | None = None

    def answer(self, question: Any) -> Any:
        said = super().answer(question)
        self.asked = (question.messages[-1].content, said) if isinstance(said, str) else None
        return said


def pairs(cases: list[bench.Case]) -> Iterator[tuple[str, dict[str, float], bool]]:
    """Author, signals, and whether fact and memory belong together, of all pairs that were asked about."""
    embed, model = bench.embedder(), Listening()
    for case in cases:
        model.asked = None
        fact = bench.fact_of(case, embed)
        bench.decide(PairByPair(), [fact], model)
        if model.asked is None:
            continue
        shown, answer = model.asked
        for neighbour in fact.neighbours:
            if f": {' '.join(neighbour.memory.text.split())}\n" in shown:
                found = signals(answer, *bare(fact, neighbour), neighbour.similarity)
                together = case.target is not None and str(case.target) == neighbour.memory.id
                author = case.id[0] if case.id[1] == "-" and case.id[0] in AUTHORS else "first"
                yield author, found, together
                break


def fitted(x: Matrix, y: Matrix) -> Matrix:
    """Weights for the signals as they are; the last column is the bias."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    middle[-1], spread[-1] = 0, 1
    z, weights = (x - middle) / spread, np.zeros(x.shape[1])
    for _ in range(5_000):
        likely = 1 / (1 + np.exp(-z @ weights))
        weights -= 0.3 * (z.T @ (likely - y) / len(y) + PENALTY * np.r_[weights[:-1], 0])
    plain = weights / spread
    plain[-1] -= float(plain[:-1] @ middle[:-1])
    return np.asarray(plain)


def accuracy(weights: Matrix, x: Matrix, y: Matrix) -> Callable[[float], float]:
    likely = 1 / (1 + np.exp(-x @ weights))
    return lambda threshold: round(float(((likely >= threshold) == y).mean()), 3)


def main() -> None:
    stored = json.loads(Path(__file__).with_name("merging_cases.json").read_text(encoding="utf-8"))
    rows = list(pairs([bench.Case(**case) for case in stored]))
    authors = np.array([author for author, _, _ in rows])
    x = np.array([[found[name] for name in WEIGHTS] for _, found, _ in rows])
    y = np.array([together for _, _, together in rows], dtype=float)
    print(f"{len(rows)} pairs, {y.mean():.2f} of them belong together; right at {THRESHOLDS}")
    for author in dict.fromkeys(authors):
        others, own = authors != author, authors == author
        right = accuracy(fitted(x[others], y[others]), x[own], y[own])
        print(f"{author:6} {own.sum():4} pairs, fitted on the others:", *map(right, THRESHOLDS))
    right = accuracy(fitted(x, y), x, y)
    print("all, fitted on all:", *map(right, THRESHOLDS))
    for name, weight in zip(WEIGHTS, fitted(x, y), strict=True):
        print(f'    "{name}": {weight:.1f},')


if __name__ == "__main__":
    main()
