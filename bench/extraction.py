"""Extraction with a real model on LoCoMo: what it finds, whether that is true, and what it costs.

    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=local OPENAI_MODEL=qwen
    python bench/extraction.py locomo.json --conversations conv-26 conv-30 --messages 60 [--sweep]

Every message is added as an agent would, alone and with what came before as context ("turns"), and session
by session ("sessions"). Replies are kept in bench/results/raw, so that a run that was stopped goes on where it
was, and a change to the checks costs no model time.

coverage      share of the data set's `observation` facts of those messages with an extracted fact whose MiniLM
              cosine is at least COVERED; near: NEAR
supported     share of facts whose cosine with their own messages, or those and the one before, is at least
              SUPPORTED (a paraphrase reaches that, another subject does not)
speaker       share of facts that name the speaker of their first message
attributed    of the facts that match an observation (COVERED): the share whose first name is the person that the
              observation was filed under
dates         of the facts taken from a sentence that says "yesterday", "next month" …: the share that hold an
              absolute date; undated: facts that still hold a relative one
copies        share of facts that are a whole message of their own, word for word, leaving the name aside
excerpts      the same for six words or more of a message
repeats       share of facts with an earlier fact at a cosine of REPEATED or more
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from locomo import Conversation, Entry, load
from minilm import MiniLM

from holdfast import checking
from holdfast._asking import Asking
from holdfast.dates import mentioned, resolve
from holdfast.errors import ModelError
from holdfast.extraction import Fact, Window, extract, windows
from holdfast.faces import Inline, run_inline
from holdfast.lexical import content_terms
from holdfast.models.openai import OpenAIModel
from holdfast.ports import Completion, LanguageModel, Prompt, Schema
from holdfast.prompts.extraction import CHINESE, ENGLISH, schema
from holdfast.statements import sentences
from holdfast.tokens import count_tokens
from holdfast.types import Message, Scope, Usage
from holdfast.windowing import WINDOW_TOKENS

COVERED, NEAR, SUPPORTED, REPEATED = 0.7, 0.6, 0.45, 0.92
RESULTS = Path(__file__).parent / "results"
EXCERPT = 6  # words


class NotKept(ModelError):
    """There is no kept reply, and no model is to be asked."""


class Remembered:
    """A model whose replies are kept on disk, one file per request."""

    def __init__(self, model: LanguageModel, folder: Path, *, offline: bool) -> None:
        self._model = model
        self._offline = offline
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return self._model.name

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        asked = [self.name, [asdict(m) for m in messages], schema and dict(schema.json)]
        if schema and schema.choice:  # its replies hold likelihoods too
            asked.append(schema.choice)
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]
        path = self._folder / f"{digest}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            return Completion(kept["content"], Usage(**kept["usage"]), kept.get("likelihoods", {}))
        if self._offline:
            raise NotKept("no kept reply")
        reply = self._model.complete(messages, schema=schema)
        kept = {"content": _jsonable(reply.content), "usage": reply.usage.to_dict()}
        if reply.likelihoods:
            kept["likelihoods"] = dict(reply.likelihoods)
        path.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        return reply

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)


@dataclass
class Run:
    """What one way of adding brought. facts: with the messages of their window, and the position of the first."""

    facts: list[tuple[Fact, Window]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    windows: int = 0
    failed: int = 0
    messages: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--conversations", nargs="+", default=["conv-26", "conv-30"])
    parser.add_argument("--messages", type=int, default=60, help="of each conversation, from its beginning")
    parser.add_argument("--ways", nargs="+", default=["sessions", "turns"], choices=["sessions", "turns"])
    parser.add_argument("--window", type=int, default=WINDOW_TOKENS, help="tokens of messages per request")
    parser.add_argument("--model", default=os.environ.get("OPENAI_MODEL", "qwen"))
    parser.add_argument(
        "--offline", action="store_true", help="measure what was answered so far, ask nothing"
    )
    parser.add_argument("--sweep", action="store_true", help="what the thresholds of the checks are worth")
    parser.add_argument("--show", action="store_true", help="print every fact under its message")
    parser.add_argument("--out", type=Path, default=RESULTS / "extraction.json")
    args = parser.parse_args()

    model = Remembered(OpenAIModel(args.model, timeout=900), RESULTS / "raw", offline=args.offline)
    embedder = MiniLM()
    conversations = [c for c in load(args.path) if c.name in args.conversations]
    if args.sweep:
        sweep(conversations, args, model, embedder)
        return
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "model": args.model,
        "window_tokens": args.window,
        "messages_per_conversation": args.messages,
        "instructions_tokens": {"en": _instructions(ENGLISH.system), "zh": _instructions(CHINESE.system)},
        "thresholds": {"covered": COVERED, "near": NEAR, "supported": SUPPORTED, "repeated": REPEATED},
    }
    for way in args.ways:
        measured = [_measured(c, _extracted(c, way, args, model), embedder) for c in conversations]
        results[way] = {c.name: m for c, m in zip(conversations, measured, strict=True)} | {
            "all": _mean(measured)
        }
        print(way, json.dumps(results[way]["all"], indent=1), flush=True)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


SWEEP = {
    "SUPPORTED": (0.0, 0.15, 0.25, 0.35, 0.5),
    "CLEARLY_BETTER": (0.15, 0.34, 0.5, 1.1),
    "SAME": (0.5, 0.65, 0.8, 1.1),
    "TAKEN": (0.15, 0.3, 0.45, 1.1),
}


def sweep(
    conversations: Sequence[Conversation], args: argparse.Namespace, model: LanguageModel, embedder: MiniLM
) -> None:
    """One threshold of `holdfast.checking` at a time, on the kept replies; above 1 a check is off."""
    columns = ("facts", "coverage", "supported", "attributed", "repeats")
    print(f"{'':24}" + "".join(f"{name:>12}" for name in columns))
    for name, values in SWEEP.items():
        usual = getattr(checking, name)
        for value in values:
            setattr(checking, name, value)
            with contextlib.redirect_stdout(io.StringIO()):
                found = _mean(
                    [_measured(c, _extracted(c, args.ways[0], args, model), embedder) for c in conversations]
                )
            mark = " *" if value == usual else ""
            print(
                f"{name + ' ' + str(value) + mark:24}" + "".join(f"{found[c]:>12}" for c in columns),
                flush=True,
            )
        setattr(checking, name, usual)


def _instructions(system: str) -> int:
    return count_tokens(system) + count_tokens(json.dumps(schema().json))


def _extracted(c: Conversation, way: str, args: argparse.Namespace, model: LanguageModel) -> Run:
    run = Run()
    asking = Asking(Inline(), model)
    made = list(_windows(c, way, args))
    begun = time.monotonic()
    for done, window in enumerate(made, 1):
        try:
            facts = run_inline(asking.hold(extract(window, scope=Scope(user_id="bench"))))
        except NotKept:
            if args.sweep:  # what another threshold would have asked again about, nobody has answered
                run.messages += len(window.messages)
                continue
            break
        except ModelError as error:
            run.failed += 1
            run.messages += len(window.messages)
            print("failed:", error, flush=True)
            continue
        run.facts += [(fact, window) for fact in facts]
        run.messages += len(window.messages)
        run.windows += 1
        if args.show:
            _print(window, facts)
        print(f"{c.name} {way} {done}/{len(made)} {time.monotonic() - begun:.0f} s", flush=True)
    run.usage = asking.usage
    return run


def _windows(c: Conversation, way: str, args: argparse.Namespace) -> Iterator[Window]:
    turns = c.turns[: args.messages]
    if way == "turns":
        for at, turn in enumerate(turns):
            earlier = [_message(t) for t in turns[max(0, at - 6) : at] if t.session == turn.session]
            yield from windows([_message(turn)], earlier=earlier)
        return
    for session in sorted({turn.session for turn in turns}):
        messages = [_message(turn) for turn in turns if turn.session == session]
        yield from windows(messages, max_tokens=args.window)


def _message(turn: Entry) -> Message:
    return Message(turn.text, name=turn.speaker, id=turn.ids[0], happened_at=turn.said_at)


def _print(window: Window, facts: Sequence[Fact]) -> None:
    for position, message in enumerate(window.messages):
        print(f"    {message.name}: {message.content}")
        for fact in facts:
            if fact.sources[0] == position:
                print(f"      => {fact.text}")


# --- measuring --------------------------------------------------------------------------------------------


def _measured(c: Conversation, run: Run, embedder: MiniLM) -> dict[str, float]:
    ids = {turn_id for turn in c.turns[: run.messages] for turn_id in turn.ids}
    expected = [o for o in c.observations if o.ids and set(o.ids) <= ids]
    facts = [fact for fact, _ in run.facts]
    vectors = embedder.embed([fact.text for fact in facts])
    alike = (
        embedder.embed([o.text for o in expected]) @ vectors.T
        if facts and expected
        else np.zeros((len(expected), max(1, len(facts))))
    )
    best = alike.max(axis=1)
    attributed = [
        facts[at].text.startswith(expected[row].speaker)
        for row, at in enumerate(alike.argmax(axis=1))
        if best[row] >= COVERED
    ]
    sources = [[w.messages[at] for at in fact.sources] for fact, w in run.facts]
    support = [_support(fact, w, v, embedder) for (fact, w), v in zip(run.facts, vectors, strict=True)]
    repeats = [at > 0 and (vectors[:at] @ vectors[at]).max() >= REPEATED for at in range(len(facts))]
    dated = [
        _names_day(f.text, m[0])
        for f, m in zip(facts, sources, strict=True)
        if _is_relative(replace(m[0], content=_told_in(f, m[0])))
    ]
    return {
        "messages": len(ids),
        "facts": len(facts),
        "facts_per_message": _ratio(len(facts), len(ids)),
        "observations": len(expected),
        "coverage": _share([b >= COVERED for b in best]),
        "coverage_near": _share([b >= NEAR for b in best]),
        "supported": _share([s >= SUPPORTED for s in support]),
        "speaker": _share([str(m[0].name) in f.text for f, m in zip(facts, sources, strict=True)]),
        "attributed": _share(attributed),
        "dates": _share(dated),
        "to_date": len(dated),
        "undated": _share(
            [_is_relative(replace(m[0], content=f.text)) for f, m in zip(facts, sources, strict=True)]
        ),
        "copies": _share([_is_copy(f, m, whole=True) for f, m in zip(facts, sources, strict=True)]),
        "excerpts": _share([_is_copy(f, m, whole=False) for f, m in zip(facts, sources, strict=True)]),
        "repeats": _share(repeats),
        "failed": run.failed,
        "windows": run.windows,
        "calls_per_message": _ratio(run.usage.calls, len(ids)),
        "input_tokens_per_message": _ratio(run.usage.input_tokens, len(ids)),
        "output_tokens_per_message": _ratio(run.usage.output_tokens, len(ids)),
    }


def _support(fact: Fact, window: Window, vector: Any, embedder: MiniLM) -> float:
    at = fact.sources[0]
    shown = [*window.context, *window.messages]
    here = len(window.context) + at
    texts = [f"{m.name}: {m.content}" for m in shown[max(0, here - 1) : here + 1]]
    return float((embedder.embed([texts[-1], "\n".join(texts)]) @ vector).max())


def _told_in(fact: Fact, message: Message) -> str:
    """The sentence that shares the most words with the fact."""
    words = set(content_terms(fact.text))
    return max(sentences(message.content), key=lambda s: len(words & set(content_terms(s))), default="")


def _is_relative(message: Message) -> bool:
    return (
        message.happened_at is not None and resolve(message.content, message.happened_at) != message.content
    )


def _names_day(text: str, message: Message) -> bool:
    return message.happened_at is not None and bool(mentioned(text, message.happened_at))


def _is_copy(fact: Fact, messages: Sequence[Message], *, whole: bool) -> bool:
    for message in messages:
        words = re.findall(r"\w+", fact.text.casefold())
        if words and words[0] == (message.name or "").casefold():
            words = words[1:]
        said = " ".join(re.findall(r"\w+", message.content.casefold()))
        told = " ".join(words)
        if told == said or (not whole and len(words) >= EXCERPT and told in said):
            return True
    return False


def _share(flags: Sequence[Any]) -> float:
    return round(sum(map(bool, flags)) / len(flags), 3) if flags else 0.0


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 2) if whole else 0.0


def _mean(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Shares weighted alike per conversation; counts added up."""
    counts = ("messages", "facts", "observations", "failed", "windows", "to_date")
    return {
        key: sum(m[key] for m in measured)
        if key in counts
        else round(sum(m[key] for m in measured) / len(measured), 3)
        for key in (measured[0] if measured else {})
    }


def _jsonable(content: str | Mapping[str, Any]) -> str | dict[str, Any]:
    return content if isinstance(content, str) else dict(content)


if __name__ == "__main__":
    main()
