"""A guard on quality, for every change: a small slice of the benches, held against the figures on record.

    python -m bench.guard [--accept]

Fails when a figure is lower than `results/guard.json` says by more than MARGIN. What needs a language model, or the
data of LoCoMo and BEAM, which may not be shipped, is not in it: those figures are in docs/BENCHMARKS.md. `--accept`
records today's figures.

    retrieval   recall@5 and @10 of the Chinese set and its English twin, of six languages, and of two made-up chats;
                bundled embedder, beside plain cosine
    replay      what a strong model told and decided (tests/data/strong), through `Memory.add`: the share of its
                decisions that are carried out as they are, and that are right; the share of its facts that are stored
                word for word under their message
    prompts     tokens of instructions and schema per request
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.support import strong
from tests.support.fakes import Ticking

from bench.data import sets
from bench.quality import retrieval as quality
from holdfast import Memory
from holdfast.decisions.extraction import prompts as extraction
from holdfast.models.bundled import BundledEmbedder
from holdfast.models.tokens import count_tokens

RECORD = Path(__file__).with_name("results") / "guard.json"
MARGIN = 0.02  # four questions of the 131 may go the other way before it is called a loss


def retrieval() -> dict[str, float]:
    """Also how far search is ahead of plain cosine, which it must never fall behind."""
    embedder = BundledEmbedder()
    found: dict[str, float] = {}
    for name, scenes in (
        ("Chinese and English", sets.chinese()),
        ("chats", sets.chats()),
        ("six languages", sets.six_languages()),
    ):
        answered: list[quality.Answered] = []
        for scene in scenes:
            with quality.filled(scene, embedder) as store:
                answered += quality.answers(store)
        figures = quality.figures(answered)
        ways = zip(quality.KS, figures["search"], figures["cosine"], strict=True)
        for k, ours, cosine in list(ways)[:2]:
            found[f"retrieval, {name}, recall@{k}"] = ours
            found[f"retrieval, {name}, ahead of cosine @{k}"] = ours - cosine
    return found


def replay() -> dict[str, float]:
    model = strong.StrongModel()
    with Memory(":memory:", llm=model, model_size="large", now=Ticking(strong.LATER)) as memory:
        merged = [strong.merge(memory, model, told) for told in strong.merging()]
        windows = strong.windows()
        lost = sum(len(strong.extract(memory, model, window)[0]) for window in windows)
    facts = sum(len(window["facts"]) for window in windows)
    return {
        "replay, decisions carried out": sum(one.exact for one in merged) / len(merged),
        "replay, decisions right": sum(one.outcome.right for one in merged) / len(merged),
        "replay, facts stored": 1 - lost / facts,
    }


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
    figures = retrieval() | replay() | prompts()
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
