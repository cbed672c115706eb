"""How well search works in Chinese, beside a plain cosine, and beside the same set in English.

    python -m bench.quality.chinese [--json FILE]

`chinese.json` (how it was made: `chinese_set.py`) holds 332 memories and 131 questions, each in both
languages. The bundled embedder is used. The memories are added in a shuffled order, so that neighbours mean
nothing; recall@k is the share of questions whose memory is among the first k hits. "crossed" asks the English
questions of the Chinese memories.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.chinese_set import FILE
from holdfast import Memory, Message
from holdfast.models.bundled import BundledEmbedder

KS = (1, 5, 10)
PAIRS = {"Chinese": ("zh", "zh"), "English": ("en", "en"), "crossed": ("zh", "en")}


def searched(texts: Sequence[str], questions: Sequence[str]) -> list[list[int]]:
    """For each question the numbers of its ten best memories, by `Memory.search`."""
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    with tempfile.TemporaryDirectory() as folder, Memory(folder, llm=None) as memory:
        result = memory.add([Message(texts[at]) for at in order], user_id="someone", infer=False)
        number = dict(zip(result.messages, order, strict=True))
        return [
            [
                number[hit.memory.sources[0]]
                for hit in memory.search(question, user_id="someone", limit=max(KS))
            ]
            for question in questions
        ]


def by_cosine(texts: Sequence[str], questions: Sequence[str]) -> list[list[int]]:
    embedder = BundledEmbedder()
    scores = embedder.embed_documents(questions) @ embedder.embed_documents(texts).T
    return [np.argsort(-row, kind="stable")[: max(KS)].tolist() for row in scores]


def recall(found: Sequence[Sequence[int]], questions: Sequence[Mapping[str, Any]], group: str) -> list[float]:
    rows = [
        [len(set(best[:k]) & set(asked["evidence"])) / len(asked["evidence"]) for k in KS]
        for best, asked in zip(found, questions, strict=True)
        if group in ("all", asked["group"])
    ]
    return [round(float(value), 4) for value in np.mean(rows, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    data = json.loads(FILE.read_text(encoding="utf-8"))
    results: dict[str, dict[str, list[float]]] = {}
    print(f"{'recall@1, @5, @10':34} {'search':>24} {'cosine':>24}")
    for name, (of, by) in PAIRS.items():
        texts = [one[of] for one in data["memories"]]
        asked = [one[by] for one in data["questions"]]
        ways = {"search": searched(texts, asked), "cosine": by_cosine(texts, asked)}
        for group in ("all", "templates", "mixed"):
            row = {way: recall(found, data["questions"], group) for way, found in ways.items()}
            results[f"{name}, {group}"] = row
            print(
                f"{name + ', ' + group:34}",
                *(f"{'  '.join(f'{v:.3f}' for v in row[way]):>24}" for way in row),
            )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
