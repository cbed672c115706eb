"""A small slice of extraction that belongs to this project: 20 windows, English and Chinese, with and without names.

    OPENAI_BASE_URL=… OPENAI_API_KEY=… OPENAI_MODEL=… python bench/extraction_slice.py --record
    python bench/extraction_slice.py

The first asks the model and keeps its replies in `results/extraction_replies.json`; the second replays them, which
is what the guard does: a change to the checks is measured on what a small model really says. A change to the
prompts needs `--record`.

    found    share of what is to be remembered ("expect": words that one fact must hold together)
    clean    share of windows without a fact that must not be ("forbid"), a copy of a message, or a wrong speaker
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast._asking import Asking
from holdfast.errors import ModelError
from holdfast.extraction import Fact, extract, windows
from holdfast.faces import Inline, run_inline
from holdfast.models.openai import OpenAIModel
from holdfast.ports import Completion, LanguageModel, Prompt, Schema
from holdfast.types import Message, Scope, Usage

HERE = Path(__file__).parent
CASES, REPLIES = HERE / "extraction_cases.json", HERE / "results" / "extraction_replies.json"
SAID = datetime(2026, 3, 12, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """messages: (role, name, content). expect / forbid: words that one fact must, and no fact may, hold together."""

    id: str
    messages: list[tuple[str, str, str]]
    expect: list[list[str]]
    forbid: list[list[str]]


class Recorded:
    """A model that says what is on record, and where one is given asks it for the rest."""

    name = "recorded"

    def __init__(self, model: LanguageModel | None = None) -> None:
        self._model = model
        self.replies: dict[str, Any] = json.loads(REPLIES.read_text("utf-8")) if REPLIES.exists() else {}
        self.used: dict[str, Any] = {}

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        asked = json.dumps([asdict(prompt) for prompt in messages], ensure_ascii=False)
        key = hashlib.sha256(asked.encode()).hexdigest()[:16]
        if key not in self.replies:
            if self._model is None:
                raise ModelError(
                    "no reply on record for a changed prompt: run bench/extraction_slice.py --record"
                )
            content = self._model.complete(messages, schema=schema).content
            self.replies[key] = content if isinstance(content, str) else dict(content)
        self.used[key] = self.replies[key]
        return Completion(self.replies[key], Usage())

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)


def measured(model: Recorded, *, show: bool = False) -> dict[str, float]:
    cases = [Case(**case) for case in json.loads(CASES.read_text("utf-8"))]
    found, clean = [], []
    for case in cases:
        facts = _facts(case, model)
        kept = [any(_holds(fact.text, words) for fact in facts) for words in case.expect]
        wrong = [fact.text for fact in facts if _is_wrong(fact, case)]
        found += kept
        clean.append(not wrong)
        if show:
            missed = [words for words, is_kept in zip(case.expect, kept, strict=True) if not is_kept]
            print(f"{case.id}: {[fact.text for fact in facts]}")
            print(f"    missed {missed}, wrong {wrong}" if missed or wrong else "    as it should be")
    return {
        "extraction with recorded replies, found": sum(found) / len(found),
        "extraction with recorded replies, clean": sum(clean) / len(clean),
    }


def _facts(case: Case, model: Recorded) -> list[Fact]:
    said = [
        Message(
            content, role="assistant" if role == "assistant" else "user", name=name or None, happened_at=SAID
        )
        for role, name, content in case.messages
    ]
    asking = Asking(Inline(), model)
    return [
        fact
        for window in windows(said)
        for fact in run_inline(asking.hold(extract(window, scope=Scope(user_id="slice"))))
    ]


def _holds(text: str, words: Sequence[str]) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _is_wrong(fact: Fact, case: Case) -> bool:
    _, name, content = case.messages[fact.sources[0]]
    copied = fact.text.rstrip(".。!！") == content.rstrip(".。!！")
    return copied or name not in fact.text or any(_holds(fact.text, words) for words in case.forbid)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="ask the model for what is not on record")
    options = parser.parse_args()
    asked = OpenAIModel(os.environ.get("OPENAI_MODEL", "qwen"), timeout=900) if options.record else None
    model = Recorded(asked)
    for name, value in measured(model, show=True).items():
        print(f"{name:45} {value:.3f}")
    if options.record:
        REPLIES.write_text(json.dumps(model.used, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
