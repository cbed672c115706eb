"""How well a model merges: right operation, right memory, and whether every detail that still holds survives.

    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=local OPENAI_MODEL=qwen
    python -m bench.quality.merging --sample 100 [--record DIR] [--wrong]
    python -m bench.quality.merging --path small --cases other_cases.json
    python -m bench.quality.merging --path none

A case's memories are shown as the engine shows those of a scope that holds few: all of them. Facts that equal a
memory are settled without the model, and what it answers is guarded, as the engine does it. `--path large` lets the
model decide by itself, `small` asks it step by step, `none` asks nobody. Raw replies are kept in a folder, so that a
run that was stopped goes on where it was.

The cases (see `cases.py`) are of 43 authors: the letter of an id is its batch, and batches whose ids begin with one
letter ("j-001") are each of an author who knew neither the code nor the other cases.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data.cases import CASES, Case, Outcome, judged, load, report
from bench.data.replies import KEPT, Remembered, of_environment
from holdfast.decisions.merging import (
    Decide,
    Decision,
    MergeStrategy,
    Neighbour,
    NewFact,
    WithoutModel,
    guarded,
    known,
)
from holdfast.decisions.question import Question
from holdfast.engine.ask import Asking
from holdfast.io import Inline, run_inline
from holdfast.types import MemoryItem, Usage

PATHS = ("large", "small", "none")
KNOWN = datetime(2026, 1, 1, tzinfo=UTC)
TOLD = datetime(2026, 2, 1, tzinfo=UTC)

Embed = Callable[[Sequence[str]], Any]


class Answering(Protocol):
    def answer(self, question: Question) -> Any: ...


class Model:
    """A language model's answers to questions, a ModelReplyError in the place of one that could not be read."""

    def __init__(self, model: Remembered) -> None:
        self._asking = Asking(Inline(), model)

    @property
    def usage(self) -> Usage:
        return self._asking.usage

    def answer(self, question: Question) -> Any:
        (answer,) = run_inline(self._asking.answers([question]))
        return answer


class Nobody:
    """No model: nothing is ever asked."""

    usage = Usage()

    def answer(self, question: Question) -> Any:
        raise AssertionError("there is nobody to ask")


def strategy_of(path: str) -> MergeStrategy:
    if path == "small":
        from holdfast.decisions.small_models import Careful

        return Careful()
    return Decide() if path == "large" else WithoutModel()


def embedder() -> Embed:
    """texts -> float32[texts, dimensions], L2-normalised."""
    from holdfast.models import BundledEmbedder

    return BundledEmbedder().embed_documents


def memory(text: str, position: int, speaker: str = "") -> MemoryItem:
    at = KNOWN + timedelta(minutes=position)
    speakers = (speaker,) if speaker else ()
    return MemoryItem(str(position), text, "user", None, None, {}, at, at, at, at, None, speakers=speakers)


def fact_of(case: Case, embed: Embed) -> NewFact:
    """A case's fact with all of its memories, nearest first."""
    vectors = np.asarray(embed([case.fact, *case.memories]))
    cosines = vectors[1:] @ vectors[0]
    near = [
        Neighbour(memory(case.memories[at], at, case.speakers[at]), float(cosines[at]))
        for at in map(int, np.argsort(-cosines))
    ]
    return NewFact(case.fact, tuple(near), TOLD, (case.fact_speaker,) if case.fact_speaker else ())


def decide(strategy: MergeStrategy, fact: NewFact, model: Answering) -> tuple[Decision, ...]:
    """What the engine would do of one fact."""
    settled = known([fact])
    if settled:
        return (settled[0],)
    answers: list[Any] = []
    while questions := strategy.ask([fact], answers):
        answers += [model.answer(question) for question in questions]
    (decided,) = guarded([fact], strategy.decide([fact], answers))
    return decided


def outcome(case: Case, decisions: Sequence[Decision]) -> Outcome:
    store = dict(enumerate(case.memories))
    for decision in decisions:
        target = int(decision.target.id) if decision.target else len(store)
        if decision.operation in ("ADD", "UPDATE"):
            store[target] = decision.text
        elif decision.operation == "DELETE":
            del store[target]
    first = decisions[0]
    about = int(first.target.id) if first.target else None
    return judged(case, first.operation, about, list(store.values()), first.reason)


def sample(cases: Sequence[Case], count: int | None) -> list[Case]:
    """A larger sample holds the smaller one, so that more cases can be asked later."""
    return list(cases) if count is None else random.Random(0).sample(cases, len(cases))[:count]


def show(one: Outcome) -> None:
    case = one.case
    print(f"{case.id} {case.kind}: {case.memories} + {case.fact!r}")
    print(f"    {one.operation} {one.target} ({one.reason}) -> {one.store}")
    print(f"    wanted {case.operations} {case.target}; lost {one.lost}; stale {one.stale}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--path", default="large", choices=PATHS)
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--only", default="", help="kinds or ids that contain this")
    parser.add_argument(
        "--sample", type=int, help="so many cases by chance, the same in every run; by default all"
    )
    parser.add_argument("--record", type=Path, default=KEPT, help="folder of the replies that were given")
    parser.add_argument("--wrong", action="store_true", help="print the cases that went wrong")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    arguments = parser.parse_args()

    cases = [case for case in load(arguments.cases) if arguments.only in f"{case.kind} {case.id}"]
    cases = sample(cases, arguments.sample)
    model = Nobody() if arguments.path == "none" else Model(of_environment(arguments.record))
    embed, strategy = embedder(), strategy_of(arguments.path)
    outcomes: list[Outcome] = []
    for case in cases:
        outcomes.append(outcome(case, decide(strategy, fact_of(case, embed), model)))
        print(
            f"\r{len(outcomes)} of {len(cases)}, {sum(one.right for one in outcomes)} right ",
            end="",
            flush=True,
        )
        if arguments.wrong and not outcomes[-1].right:
            print()
            show(outcomes[-1])
    print()
    results = report(outcomes)
    results["cost per case"] = {
        name.replace("_", " "): round(spent / max(len(cases), 1), 2)
        for name, spent in model.usage.to_dict().items()
    }
    for name, figures in results.items():
        print(f"{name:22}", "  ".join(f"{key} {value}" for key, value in figures.items()))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
