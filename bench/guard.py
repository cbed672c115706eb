"""A guard on quality, for every change: a small slice of the benches, held against the figures on record.

    python bench/guard.py [--accept]

Fails when a figure is lower than `results/guard.json` says by more than MARGIN. What needs a language model or
LoCoMo's data (which may not be shipped) is not in it: those figures are in docs/BENCHMARKS.md. `--accept` records
today's figures.

    retrieval   recall@1, @5, @10 of the Chinese set and of its English twin, bundled embedder
    merging     the share of right decisions over all cases, by code alone and with the answers of a small model that
                are on record; and lost details (as negative numbers), of which there may be none
    extraction  what is found of 20 short conversations, from a small model's replies that are on record
    prompts     tokens of instructions and schema per request
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import chinese
import extraction_slice
import merging as merging_bench

from holdfast import merging
from holdfast.prompts import extraction
from holdfast.tokens import count_tokens

RECORD = Path(__file__).with_name("results") / "guard.json"
MARGIN = 0.02  # four questions of the 131 may go the other way before it is called a loss


def retrieval() -> dict[str, float]:
    data = json.loads(chinese.FILE.read_text(encoding="utf-8"))
    figures = {}
    for language, (of, by) in chinese.PAIRS.items():
        found = chinese.searched(
            [one[of] for one in data["memories"]], [one[by] for one in data["questions"]]
        )
        for k, value in zip(chinese.KS, chinese.recall(found, data["questions"], "all"), strict=True):
            figures[f"retrieval, {language}, recall@{k}"] = value
    return figures


def decisions() -> dict[str, float]:
    """Right decisions and details kept: by code alone, and with what the 1.5B model answered when it was asked."""
    embed = merging_bench.embedder()
    stored = json.loads(Path(__file__).with_name("merging_cases.json").read_text(encoding="utf-8"))
    cases = [merging_bench.Case(**case) for case in stored]
    found = {}
    for name, strategy, model in (
        ("by code alone", merging.WithoutModel(), merging_bench.Model(None)),
        ("with recorded answers", merging.PairByPair(), merging_bench.Recorded()),
    ):
        outcomes = []
        for case in cases:
            (decided,) = merging_bench.decide(strategy, [merging_bench.fact_of(case, embed)], model)
            outcomes.append(merging_bench.outcome(case, decided))
        figures = merging_bench.summary(outcomes)
        found[f"merging {name}, right"] = figures["right"]
        found[f"merging {name}, lost"] = -figures["lost a detail"]
    return found


def extracted() -> dict[str, float]:
    return extraction_slice.measured(extraction_slice.Recorded())


def prompts() -> dict[str, float]:
    """As shares of 1,000 tokens that are left, so that more is better, as with everything else."""
    schema = json.dumps(extraction.schema().json)
    return {
        f"prompts, {name}, room under 1,000 tokens": 1 - count_tokens(texts.system + schema) / 1000
        for name, texts in (("English", extraction.ENGLISH), ("Chinese", extraction.CHINESE))
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accept", action="store_true", help="record today's figures")
    options = parser.parse_args()
    figures = retrieval() | decisions() | extracted() | prompts()
    if options.accept:
        RECORD.write_text(
            json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=1) + "\n"
        )
    record = json.loads(RECORD.read_text())
    worse = [name for name, value in record.items() if figures.get(name, 0.0) < value - MARGIN]
    for name, value in figures.items():
        print(
            f"{name:45} {value:.3f}  on record {record.get(name, 0.0):.3f}{'  WORSE' if name in worse else ''}"
        )
    if worse:
        print(f"{len(worse)} figures are worse than on record by more than {MARGIN}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
