"""The weights of `holdfast.merging.likelihood`: fitted on the cases, tried on authors they were not fitted on.

    python bench/merging_weights.py [--cases] [--ablation] [--sweep]
    python bench/merging_weights.py --write

A multinomial logistic regression over pairs of a fact and a memory, for each of the three things that may be heard
of a model: nothing ("words": all pairs of all cases), its answer, and how likely it found each answer (the pairs that
it is asked about, with its answers in `results/merging_answers.json`). A pair of a case's target has the case's
relation, every other pair is "different".

Cases are of several authors, who did not know each other's cases or the code (see AUTHORS). "right" is the share of
pairs whose relation is right, and "apart" the share of which it is known whether they belong together, of authors
whom the weights were not fitted on. `--cases` decides whole cases in the same way, each author's with the weights
fitted on all others. `--ablation` shows what is right without each signal, and `--sweep` what other costs and
thresholds would give, one at a time. A signal that is gone has to leave `weights.json` before the rest is fitted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import merging as bench
import numpy as np
import numpy.typing as npt

from holdfast import merging
from holdfast.merging import likelihood, refusals, review, strategies
from holdfast.merging.data import RELATIONS, Relation
from holdfast.merging.likelihood import Answer, features
from holdfast.merging.people import bare
from holdfast.merging.review import nearest

AUTHORS = "jkmnpqrtuvwxyzabcdfghiloeABCDEFGHIJKLMNOP"  # their batches; all other cases are of one more author
NAMED = "s"  # told by named people, of whom other rules decide what may belong together
PENALTY = 0.003  # of a weight's square, on standardised signals
ANCHOR = 1e-6  # keeps the biases, which are told apart by their differences alone
STEPS, CLOSE = 50, 1e-6  # of Newton's method
SHOWN = ("right", "lost a detail", "kept a stale one")
WEIGHTS = Path(merging.__file__).with_name("weights.json")
OF_KIND: Mapping[str, Relation] = {
    **dict.fromkeys(("exact", "paraphrase", "less"), "same"),
    "extension": "adds",
    **dict.fromkeys(("contradiction", "correction", "negation", "implied"), "changes"),
}

Matrix = npt.NDArray[np.float64]
Table = tuple[list[str], Matrix, npt.NDArray[np.int_], npt.NDArray[np.str_]]


@dataclass(frozen=True)
class Pair:
    case: str
    author: str
    fact: str
    memory: str
    relation: Relation
    nearest: bool
    answer: Answer | None


def author(case: bench.Case) -> str:
    return case.id[0] if case.id[1] == "-" and case.id[0] in AUTHORS + NAMED else "first"


def pairs(cases: Sequence[bench.Case], answers: Mapping[str, Answer]) -> Iterator[Pair]:
    embed = bench.embedder()
    for case in cases:
        fact = bench.fact_of(case, embed)
        told = nearest(fact)
        for neighbour in fact.neighbours:
            meant = str(case.target) == neighbour.memory.id
            texts = bare(fact, neighbour)
            answer = answers.get(bench.asked(*texts))
            relation: Relation = relation_of(case) if meant else "different"
            yield Pair(
                case.id,
                author(case),
                *texts,
                relation,
                told is not None and told.neighbour is neighbour,
                answer,
            )


def relation_of(case: bench.Case) -> Relation:
    """How the fact stands to the memory that the case is about."""
    if "NOOP" in case.operations and case.kind not in OF_KIND:
        return "same"
    return OF_KIND.get(case.kind, "changes" if case.gone else "adds")


def told_of(rows: Sequence[Pair]) -> dict[str, list[tuple[Pair, Answer | None]]]:
    """For each set of weights its pairs and what is heard of a model about them; a model is asked only about the
    memory that a fact most likely speaks of."""
    asked = [row for row in rows if row.nearest and row.answer is not None]
    return {
        "words": [(row, None) for row in rows],
        "answer": [(row, surest(row.answer)) for row in asked if row.answer],
        "likelihoods": [(row, row.answer) for row in asked if row.answer and len(row.answer) > 1],
    }


def surest(answer: Answer) -> Answer:
    """What a model says that only answers."""
    return {max(answer, key=answer.__getitem__): 1.0}


def fitted(x: Matrix, y: npt.NDArray[np.int_]) -> Matrix:
    """Weights [signals + 1, relations] for the signals as they are; the last row is the bias."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = np.c_[(x - middle) / spread, np.ones(len(x))]
    told, weights = np.eye(len(RELATIONS))[y], np.zeros((z.shape[1], len(RELATIONS)))
    penalty = np.r_[np.full(x.shape[1], PENALTY), ANCHOR][:, None]
    for _ in range(STEPS):
        odds = likely(z, weights)
        slope = z.T @ (odds - told) / len(z) + penalty * weights
        step = np.linalg.solve(_curvature(z, odds, penalty), slope.T.ravel())
        weights -= step.reshape(weights.shape[::-1]).T
        if np.abs(step).max() < CLOSE:
            break
    plain = weights[:-1] / spread[:, None]
    return np.r_[plain, weights[-1:] - middle @ plain]


def _curvature(z: Matrix, odds: Matrix, penalty: Matrix) -> Matrix:
    """The second derivatives of the loss, [relations * signals, relations * signals]."""
    signals, relations = z.shape[1], odds.shape[1]
    found = np.zeros((relations, signals, relations, signals))
    for a in range(relations):
        for b in range(a + 1):
            weight = odds[:, a] * ((a == b) - odds[:, b])
            block = (z * weight[:, None]).T @ z / len(z) + (a == b) * np.diag(penalty[:, 0])
            found[a, :, b, :] = found[b, :, a, :] = block
    return found.reshape(relations * signals, relations * signals)


def likely(x: Matrix, weights: Matrix) -> Matrix:
    scores = x @ weights
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def tried(
    x: Matrix, y: npt.NDArray[np.int_], authors: npt.NDArray[np.str_]
) -> dict[str, tuple[float, float, int]]:
    """Author -> share right, share known to belong together or not, pairs; fitted on all the others."""
    found = {}
    for one in dict.fromkeys(authors):
        own = authors == one
        weights = fitted(x[~own], y[~own])
        said = likely(np.c_[x[own], np.ones(own.sum())], weights).argmax(axis=1)
        apart = RELATIONS.index("different")
        known = (said == apart) == (y[own] == apart)
        found[str(one)] = (float((said == y[own]).mean()), float(known.mean()), int(own.sum()))
    return found


def overall(found: Mapping[str, tuple[float, float, int]]) -> tuple[float, float, int]:
    """Of all authors but the first, whose cases are plainer."""
    rows = [row for one, row in found.items() if one != "first"]
    pairs = sum(row[2] for row in rows)
    return sum(r[0] * r[2] for r in rows) / pairs, sum(r[1] * r[2] for r in rows) / pairs, pairs


def weights_of(tables: Mapping[str, Table], without: str = "") -> dict[str, Any]:
    """The three sets of weights, fitted on the pairs of all authors but one."""
    kept = {}
    for name, (names, x, y, authors) in tables.items():
        weights = fitted(x[authors != without], y[authors != without])
        kept[name] = {
            relation: {
                signal: round(float(weights[i, j]), 3) for i, signal in enumerate([*names, likelihood.BIAS])
            }
            for j, relation in enumerate(RELATIONS)
        }
    return kept


def matrix(told: Sequence[tuple[Pair, Answer | None]]) -> Table:
    """The names of the features, their values [pairs, features], the relations and the authors of the pairs."""
    found = [features(row.fact, row.memory, answer) for row, answer in told]
    x = np.array([list(one.values()) for one in found])
    y = np.array([RELATIONS.index(row.relation) for row, _ in told])
    return list(found[0]), x, y, np.array([row.author for row, _ in told])


def decide_cases(
    cases: Sequence[bench.Case], of_author: Mapping[str, Any], strategy: merging.MergeStrategy
) -> list[bench.Outcome]:
    """Each author's cases with the weights of all the others."""
    embed, model = bench.embedder(), bench.Recorded()
    outcomes: list[bench.Outcome] = []
    original = likelihood.fitted
    for one, weights in of_author.items():
        likelihood.fitted = lambda weights=weights: weights  # type: ignore[assignment, misc]
        for case in cases:
            if author(case) == one:
                (decided,) = bench.decide(strategy, [bench.fact_of(case, embed)], model)
                outcomes.append(bench.outcome(case, decided))
    likelihood.fitted = original
    return outcomes


def varied() -> Iterator[tuple[str, Any, str, Any]]:
    """What else the costs and thresholds could be, one at a time: what it is, the module, the name, the value."""
    belongs = ("same", "adds", "changes")
    for action, relations, costs in (
        ("add", belongs, (1, 1.5, 1.75)),
        ("join", ("different",), (1, 1.5)),
        ("join", ("changes",), (0.75, 0.5)),
        ("join", ("same",), (0.75, 1)),
        ("replace", ("same", "adds", "different"), (1.25, 1.75, 2)),
    ):
        for cost in costs:
            row = {**review.COSTS[action], **dict.fromkeys(relations, cost)}  # type: ignore[index]
            yield (
                f"cost of {action}, {', '.join(relations)}: {cost}",
                review,
                "COSTS",
                {**review.COSTS, action: row},
            )
    for least in (0.5, 0.55, 0.65, 0.7):
        value = {**refusals.LEAST_REPLACED, "likelihoods": least}
        yield f"LEAST_REPLACED, likelihoods: {least}", refusals, "LEAST_REPLACED", value
    for module, name, others in (
        (refusals, "LEAST_UNALIKE", (0.6, 0.9)),
        (refusals, "LEAST_TWICE", (0.8, 1.1)),
        (refusals, "LEAST_KNOWN", (0.85, 0.95)),
        (refusals, "MOST_NEW", (3, 5)),
        (review, "MOST_COUNTS_DROPPED", (0, 2)),
        (strategies, "SURE", (0.95, 0.99)),
    ):
        for other in others:
            yield f"{name}: {other}", module, name, other


def sweep(cases: Sequence[bench.Case], of_author: Mapping[str, Any]) -> None:
    def show(what: str, strategy: merging.MergeStrategy) -> None:
        found = bench.summary(decide_cases(cases, of_author, strategy))
        print(f"{what:44}", *(f"{name} {found[name]}" for name in SHOWN), sep="  ", flush=True)

    show("as it is", merging.PairByPair())
    for what, module, name, value in varied():
        usual = getattr(module, name)
        setattr(module, name, value)
        show(what, merging.PairByPair())
        setattr(module, name, usual)
    usual = refusals.LEAST_UNASKED, refusals.LEAST_REPLACED
    for least in (0.45, usual[0], 0.65):
        refusals.LEAST_UNASKED, refusals.LEAST_REPLACED = least, {**usual[1], "words": least}
        show(f"without a model, believed from: {least}", merging.WithoutModel())
    refusals.LEAST_UNASKED, refusals.LEAST_REPLACED = usual


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", action="store_true", help="decide whole cases too")
    parser.add_argument("--ablation", action="store_true", help="without each signal")
    parser.add_argument("--sweep", action="store_true", help="other costs and thresholds")
    parser.add_argument(
        "--write", action="store_true", help="keep the weights, fitted on all cases, and try nothing"
    )
    arguments = parser.parse_args()
    stored = json.loads(Path(__file__).with_name("merging_cases.json").read_text(encoding="utf-8"))
    cases = [case for case in (bench.Case(**case) for case in stored) if author(case) != NAMED]
    sets = told_of(list(pairs(cases, bench.answers_on_record())))
    tables = {name: matrix(told) for name, told in sets.items()}
    if arguments.write:
        kept = json.dumps(weights_of(tables), indent=1, ensure_ascii=False)
        WEIGHTS.write_text(kept + "\n", encoding="utf-8")
        return
    for name, (names, x, y, authors) in tables.items():
        by_author = tried(x, y, authors)
        right, apart, count = overall(by_author)
        print(f"{name:12} right {right:.3f}, apart {apart:.3f} of {count} pairs of other authors:", end=" ")
        print(*(f"{one} {row[0]:.2f}" for one, row in by_author.items()), flush=True)
        for i, signal in enumerate(names if arguments.ablation else []):
            without = overall(tried(np.delete(x, i, axis=1), y, authors))
            print(f"    without {signal}: {without[0] - right:+.3f} right, {without[1] - apart:+.3f} apart")
    if not (arguments.cases or arguments.sweep):
        return
    of_author = {one: weights_of(tables, without=one) for one in AUTHORS}
    if arguments.cases:
        for name, figures in bench.report(decide_cases(cases, of_author, merging.PairByPair())).items():
            print(f"{name:22}", figures)
    if arguments.sweep:
        sweep(cases, of_author)


if __name__ == "__main__":
    main()
