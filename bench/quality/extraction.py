"""Extraction with a real model on LoCoMo: what it finds, whether that is true, and what it costs.

    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=local OPENAI_MODEL=qwen
    python -m bench.quality.extraction locomo.json --conversations conv-26 conv-30 --messages 60 [--path small]

Every conversation is added session by session ("sessions"), or message by message as an agent would, each with what
came before as context ("turns"). `--path large` asks about a whole window at once, `small` about two messages at a
time. Replies are kept in a folder, so that a run that was stopped goes on where it was.

coverage       share of the data set's `observation` facts of those messages with an extracted fact whose MiniLM
               cosine is at least COVERED; near: NEAR
right message  of the covered observations, those whose nearest fact lies under a message that the observation names
supported      share of facts whose cosine with their own message, or that and the one before, is at least SUPPORTED
               (a paraphrase reaches that, another subject does not)
copies         share of facts that are a whole message of their own, word for word, leaving the name aside
repeats        share of facts with an earlier fact at a cosine of REPEATED or more
failed         windows whose reply could not be read, asked twice
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.locomo import Conversation, Entry, load
from bench.data.minilm import MiniLM
from bench.data.replies import KEPT, of_environment
from holdfast.decisions.extraction import (
    CONTEXT_MESSAGES,
    WINDOW_TOKENS,
    Fact,
    Window,
    facts,
    parts,
    question,
    windows,
)
from holdfast.engine.ask import Asking
from holdfast.engine.paths import MESSAGES_OF_SMALL
from holdfast.errors import ModelReplyError
from holdfast.io import Inline, run_inline
from holdfast.ports import LanguageModel
from holdfast.types import Message, Usage

COVERED, NEAR, SUPPORTED, REPEATED = 0.7, 0.6, 0.45, 0.92
WAYS = ("sessions", "turns")
PATHS = ("large", "small")


@dataclass
class Run:
    """What one way of adding brought. facts: each with the messages of its window."""

    facts: list[tuple[Fact, Window]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    windows: int = 0
    failed: int = 0
    messages: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--conversations", nargs="+", default=["conv-26", "conv-30"])
    parser.add_argument("--messages", type=int, default=60, help="of each conversation, from its beginning")
    parser.add_argument("--ways", nargs="+", default=["sessions"], choices=WAYS)
    parser.add_argument("--path", default="large", choices=PATHS)
    parser.add_argument("--window", type=int, default=WINDOW_TOKENS, help="tokens of messages per request")
    parser.add_argument("--record", type=Path, default=KEPT, help="folder of the replies that were given")
    parser.add_argument("--show", action="store_true", help="print every fact under its message")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args()

    model, embedder = of_environment(options.record), MiniLM()
    conversations = [c for c in load(options.data) if c.name in options.conversations]
    most = MESSAGES_OF_SMALL if options.path == "small" else None
    results: dict[str, Any] = {"model": model.name, "path": options.path, "window tokens": options.window}
    for way in options.ways:
        for conversation in conversations:
            made = windows_of(conversation.turns[: options.messages], way, options.window)
            run = extracted([part for one in made for part in (parts(one, most) if most else [one])], model)
            if options.show:
                show(run)
            figures = measured(conversation, run, embedder)
            results[f"{conversation.name}, {way}"] = figures
            print(conversation.name, way, json.dumps(figures, indent=1), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def extracted(made: Sequence[Window], model: LanguageModel) -> Run:
    """Every window asked about, one after the other."""
    run, asking, begun = Run(), Asking(Inline(), model), time.monotonic()
    for window in made:
        run.windows += 1
        run.messages += len(window.messages)
        asked = question(window)
        if asked is None:
            continue
        (answer,) = run_inline(asking.answers([asked]))
        if isinstance(answer, ModelReplyError):
            run.failed += 1
            continue
        run.facts += [(fact, window) for fact in facts(window, answer)]
        print(f"\r{run.windows} of {len(made)}, {time.monotonic() - begun:.0f} s ", end="", flush=True)
    print()
    run.usage = asking.usage
    return run


def windows_of(turns: Sequence[Entry], way: str, max_tokens: int = WINDOW_TOKENS) -> Iterator[Window]:
    if way == "turns":
        for at, turn in enumerate(turns):
            before = [message(t) for t in turns[:at] if t.session == turn.session]
            yield from windows([message(turn)], earlier=before[-CONTEXT_MESSAGES:], max_tokens=max_tokens)
        return
    for session in sorted({turn.session for turn in turns}):
        said = [message(turn) for turn in turns if turn.session == session]
        yield from windows(said, max_tokens=max_tokens)


def message(turn: Entry) -> Message:
    return Message(turn.text, name=turn.speaker, id=turn.ids[0], happened_at=turn.said_at)


def show(run: Run) -> None:
    for fact, window in run.facts:
        said = window.messages[fact.sources[0]]
        print(f"    {said.name}: {said.content}\n      => {fact.text}")


# --- measuring --------------------------------------------------------------------------------------------


def measured(c: Conversation, run: Run, embedder: MiniLM) -> dict[str, float]:
    ids = {name for turn in c.turns[: run.messages] for name in turn.ids}
    expected = [one for one in c.observations if one.ids and set(one.ids) <= ids]
    vectors = embedder.embed([fact.text for fact, _ in run.facts])
    alike = embedder.embed([one.text for one in expected]) @ vectors.T
    if not run.facts:
        alike = np.zeros((len(expected), 1))
    best = alike.max(axis=1)
    under = [
        _source(run.facts[int(at)]).id in expected[row].ids
        for row, at in enumerate(alike.argmax(axis=1))
        if best[row] >= COVERED
    ]
    support = [_support(fact, w, v, embedder) for (fact, w), v in zip(run.facts, vectors, strict=True)]
    repeats = [at > 0 and (vectors[:at] @ vectors[at]).max() >= REPEATED for at in range(len(run.facts))]
    return {
        "messages": run.messages,
        "windows": run.windows,
        "failed": run.failed,
        "facts": len(run.facts),
        "observations": len(expected),
        "coverage": _share([one >= COVERED for one in best]),
        "near": _share([one >= NEAR for one in best]),
        "right message": _share(under),
        "supported": _share([one >= SUPPORTED for one in support]),
        "copies": _share([_is_copy(one) for one in run.facts]),
        "repeats": _share(repeats),
    } | {
        f"{name.replace('_', ' ')} per message": round(spent / max(run.messages, 1), 2)
        for name, spent in run.usage.to_dict().items()
    }


def _source(told: tuple[Fact, Window]) -> Message:
    fact, window = told
    return window.messages[fact.sources[0]]


def _support(fact: Fact, window: Window, vector: Any, embedder: MiniLM) -> float:
    shown = [*window.context, *window.messages]
    here = len(window.context) + fact.sources[0]
    texts = [f"{one.name}: {one.content}" for one in shown[max(0, here - 1) : here + 1]]
    return float((embedder.embed([texts[-1], "\n".join(texts)]) @ vector).max())


def _is_copy(told: tuple[Fact, Window]) -> bool:
    said = _source(told)
    words = re.findall(r"\w+", told[0].text.casefold())
    if words and words[0] == (said.name or "").casefold():
        words = words[1:]
    return words == re.findall(r"\w+", said.content.casefold())


def _share(flags: Sequence[Any]) -> float:
    return round(sum(map(bool, flags)) / len(flags), 3) if flags else 0.0


if __name__ == "__main__":
    main()
