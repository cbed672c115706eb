"""How well keywords alone find the evidence, and what the constants of `holdfast.decisions.text.lexical` are worth.

    python -m bench.quality.keyword_matching path/to/locomo.json

The file is LoCoMo's (Maharana et al., 2024). Recall@10 over questions of categories 1 to 4: the share of a
question's evidence turns among the first ten, with every turn, or every observation, as one memory.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.decisions.text import lexical


@dataclass(frozen=True)
class Corpus:
    texts: list[str]
    evidence: list[set[str]]
    questions: list[tuple[str, set[str]]]


@dataclass(frozen=True)
class Setting:
    k1: float = lexical.K1
    usual: float = lexical.USUAL_LENGTH
    stop_words: float = lexical.STOP_WORD_WEIGHT
    languages: int = lexical.QUERY_LANGUAGES


def corpora(path: str, kind: str) -> Iterator[Corpus]:
    with open(path, encoding="utf-8") as file:
        samples = json.load(file)
    for sample in samples:
        memories = list(_turns(sample) if kind == "turns" else _observations(sample))
        questions = [
            (qa["question"], set(_ids(qa["evidence"])))
            for qa in sample["qa"]
            if qa["category"] in (1, 2, 3, 4) and list(_ids(qa["evidence"]))
        ]
        yield Corpus([text for text, _ in memories], [ids for _, ids in memories], questions)


def _ids(evidence: Any) -> Iterator[str]:
    for part in [evidence] if isinstance(evidence, str) else evidence:
        yield from re.findall(r"D\d+:\d+", str(part))


def _turns(sample: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    for key, session in sample["conversation"].items():
        if not re.fullmatch(r"session_\d+", key):
            continue
        for turn in session:
            caption = f" [shares a photo: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            yield f"{turn['speaker']}: {turn['text']}{caption}", {turn["dia_id"]}


def _observations(sample: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    for session in sample["observation"].values():
        for facts in session.values():
            for text, ids in facts:
                yield text, set(_ids(ids))


def recall(corpus: Corpus, setting: Setting, k: int = 10) -> float:
    postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, text in enumerate(corpus.texts):
        found = [lexical.term_index(term) for term in lexical.terms(text)]
        norm = setting.k1 * max(1.0, len(found) / setting.usual)
        for term, tf in Counter(found).items():
            postings[term].append((number, tf * (setting.k1 + 1) / (tf + norm)))
    total = 0.0
    for question, wanted in corpus.questions:
        scores: dict[int, float] = defaultdict(float)
        asked = lexical.query_weights(
            question, stop_word_weight=setting.stop_words, languages=setting.languages
        )
        for term, weight in asked.items():
            found_in = postings.get(term, [])
            idf = math.log((len(corpus.texts) - len(found_in) + 0.5) / (len(found_in) + 0.5) + 1)
            for number, frequency in found_in:
                scores[number] += idf * weight * frequency
        best = sorted(scores, key=lambda number: (-scores[number], number))[:k]
        covered = set().union(*(corpus.evidence[number] for number in best))
        total += len(covered & wanted) / len(wanted)
    return total / len(corpus.questions)


def main(path: str) -> None:
    settings = [Setting()]
    settings += [Setting(stop_words=weight) for weight in (0.0, 0.2, 0.4, 0.6, 1.0)]
    settings += [Setting(languages=most) for most in (0, 1, 3)]
    settings += [Setting(k1=k1) for k1 in (0.6, 0.9, 1.5, 2.0)]
    settings += [Setting(usual=usual) for usual in (15.0, 25.0, 40.0, 60.0)]
    data = {kind: list(corpora(path, kind)) for kind in ("turns", "observations")}
    print("recall@10                                                        turns  observations")
    for setting in settings:
        figures = []
        for kind in ("turns", "observations"):
            weights = [len(corpus.questions) for corpus in data[kind]]
            values = [recall(corpus, setting) for corpus in data[kind]]
            figures.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
        print(f"{setting!s:64} {figures[0]:.3f}  {figures[1]:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
