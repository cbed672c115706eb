"""LoCoMo from end to end with one model: memories built from the conversation, questions answered from them.

    python -m bench.quality.end_to_end locomo.json [--conversation conv-26] [--sessions 6] [--questions 60]
        [--budget 1000]

A conversation is added session by session, as it happened; then every question is answered four times by the
same model, at temperature 0 and within the same token budget of context:

    nothing     no memory at all
    last turns  the newest turns that fit
    cosine      the turns nearest to the question by the bundled embedder, as many as fit
    holdfast      what `recall` assembles

Scored by token-overlap F1 (SQuAD's normalisation) against the reference answer, by category; for adversarial
questions, whose answer lies nowhere, by whether the model says that it does not know. The model is the one of
OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL. Resumable: the store, every answer and every reply are kept in
--work.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.locomo import ADVERSARIAL, CATEGORIES, Asked, Conversation, Entry, load
from bench.data.replies import KEPT, Remembered, of_environment
from holdfast import Memory, Message, Prompt
from holdfast.engine.paths import SIZES
from holdfast.models import BundledEmbedder
from holdfast.models.tokens import count_tokens
from holdfast.ports import LanguageModel

WAYS = ("nothing", "last turns", "cosine", "holdfast")
UNKNOWN = re.compile(
    r"\b(?:not (?:mentioned|known|specified|stated|provided)|no information|don'?t know|unknown)\b", re.I
)
INSTRUCTIONS = (
    "Answer the question about the two speakers' conversations from the context. Reply with a short phrase, "
    "not a sentence. Use the dates given with the context for questions about time. If the context does not "
    "hold the answer, reply: not mentioned."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--conversation", default="conv-26")
    parser.add_argument("--sessions", type=int, help="only the first of them; by default all")
    parser.add_argument(
        "--questions", type=int, help="a random sample, the same in every run; by default all"
    )
    parser.add_argument("--budget", type=int, default=1000, help="tokens of context")
    parser.add_argument(
        "--size", default="large", choices=SIZES, help="the path, as `Memory(model_size=...)`"
    )
    parser.add_argument("--work", type=Path, default=KEPT / "end_to_end")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    model = of_environment(options.work / "replies")
    [conversation] = [c for c in load(options.data) if c.name == options.conversation]
    conversation = beginning(conversation, options.sessions)
    folder = options.work / conversation.name
    with Memory(folder / "store", llm=model, model_size=options.size) as memory:
        built = build(memory, conversation, folder / "built.json", model)
        contexts = Contexts(memory, conversation, options.budget)
        answers = Answers(folder / "answers.json", model, contexts)
        covered = evidence(contexts, conversation.questions)
        rows = list(ask(answers, sample(conversation.questions, options.questions)))
    sessions = len({turn.session for turn in conversation.turns})
    results = {
        "conversation": conversation.name,
        "sessions": sessions,
        "budget": options.budget,
        "built": built,
        "evidence": covered,
        "f1": table(rows),
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    show(results)


def beginning(conversation: Conversation, sessions: int | None) -> Conversation:
    """The first sessions, with the questions whose evidence lies in them."""
    if sessions is None:
        return conversation
    turns = tuple(turn for turn in conversation.turns if turn.session <= sessions)
    said = {name for turn in turns for name in turn.ids}
    asked = tuple(q for q in conversation.questions if q.evidence and set(q.evidence) <= said)
    return replace(conversation, turns=turns, questions=asked)


# --- memories -----------------------------------------------------------------------------------------------


def build(memory: Memory, conversation: Conversation, file: Path, model: Remembered) -> dict[str, Any]:
    """Add every session that was not added yet. Returns what it cost in all."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"sessions": {}}
    for number in sorted({turn.session for turn in conversation.turns}):
        if str(number) in kept["sessions"]:
            continue
        turns = [turn for turn in conversation.turns if turn.session == number]
        said = [
            Message(turn.text, name=turn.speaker, id=turn.ids[0], happened_at=turn.said_at) for turn in turns
        ]
        start, before = time.perf_counter(), Counter(model.spent)
        result = memory.add(said, user_id=conversation.name)
        kept["sessions"][str(number)] = {
            "turns": len(turns),
            "changes": dict(Counter(change.operation for change in result)),
            "seconds": round(time.perf_counter() - start, 1),
            **result.usage.to_dict(),
            "spent": dict(model.spent - before),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1))
        print(f"session {number}: {kept['sessions'][str(number)]}", file=sys.stderr)
    sessions = kept["sessions"].values()
    totals = {
        key: sum(s[key] for s in sessions) for key in ("turns", "calls", "input_tokens", "output_tokens")
    }
    spent = sum((Counter(session["spent"]) for session in sessions), Counter())
    return totals | {
        "memories": memory.count(user_id=conversation.name),
        "spent": dict(sorted(spent.items())),
    }


# --- contexts -----------------------------------------------------------------------------------------------


class Contexts:
    """What each way shows the model for a question, within the budget."""

    def __init__(self, memory: Memory, conversation: Conversation, budget: int) -> None:
        self._memory = memory
        self._user = conversation.name
        self._budget = budget
        self._turns = conversation.turns
        self._said_in = {said.id: said.message.id for said in memory.messages(user_id=conversation.name)}
        self._embedder = BundledEmbedder()
        self._vectors = np.asarray(self._embedder.embed_documents([turn.spoken for turn in self._turns]))

    def of(self, way: str, question: str) -> tuple[str, set[str | None]]:
        """The context, and the ids of the turns that it shows, or, of facts, that they were made from."""
        if way == "nothing":
            return "", set()
        if way == "holdfast":
            found = self._memory.recall(question, user_id=self._user, max_tokens=self._budget)
            behind = {self._said_in[source] for hit in found.memories for source in hit.memory.sources}
            return found.text, behind | {said.message.id for said in found.messages}
        if way == "last turns":
            return self._fitting(reversed(self._turns))
        scores = self._vectors @ np.asarray(self._embedder.embed_query(question))
        return self._fitting(self._turns[at] for at in np.argsort(-scores))

    def _fitting(self, turns: Iterator[Entry]) -> tuple[str, set[str | None]]:
        chosen: list[Entry] = []
        left = self._budget
        for turn in turns:
            left -= count_tokens(line(turn)) + 1
            if left < 0:
                break
            chosen.append(turn)
        order = {turn.ids: at for at, turn in enumerate(self._turns)}
        chosen.sort(key=lambda turn: order[turn.ids])
        return "\n".join(map(line, chosen)), {name for turn in chosen for name in turn.ids}


def line(turn: Entry) -> str:
    return f"[{turn.said_at:%d %B %Y}] {turn.spoken}"


# --- answers ------------------------------------------------------------------------------------------------


class Answers:
    """Answers by question and way, kept in a file as they come."""

    def __init__(self, file: Path, model: LanguageModel, contexts: Contexts) -> None:
        self._file = file
        self._model = model
        self._contexts = contexts
        self._known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    def get(self, way: str, question: str) -> str:
        key = f"{way}: {question}"
        if key not in self._known:
            context, _ = self._contexts.of(way, question)
            told = f"Context:\n{context or '(none)'}\n\nQuestion: {question}\nShort answer:"
            reply = self._model.complete([Prompt("system", INSTRUCTIONS), Prompt("user", told)])
            self._known[key] = str(reply.content).strip()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._known, indent=1, ensure_ascii=False))
        return self._known[key]


def sample(questions: Sequence[Asked], count: int | None) -> list[Asked]:
    """A larger sample holds the smaller one, so that more questions can be asked later."""
    return list(questions) if count is None else random.Random(0).sample(questions, len(questions))[:count]


def ask(answers: Answers, questions: Sequence[Asked]) -> Iterator[tuple[int, dict[str, float]]]:
    """Way by way, as a server keeps what a context that stays the same has in common."""
    for way in WAYS:
        for number, asked in enumerate(questions, 1):
            print(f"\r{way}: question {number} of {len(questions)}  ", end="", file=sys.stderr, flush=True)
            answers.get(way, asked.question)
    print(file=sys.stderr)
    for asked in questions:
        yield asked.category, {way: score(asked, answers.get(way, asked.question)) for way in WAYS}


def evidence(contexts: Contexts, questions: Sequence[Asked]) -> dict[str, float]:
    """The share of the evidence of all answerable questions that each way's context holds."""
    wanted = [asked for asked in questions if asked.category != ADVERSARIAL and asked.evidence]
    shares = {
        way: [
            sum(turn in contexts.of(way, asked.question)[1] for turn in asked.evidence) / len(asked.evidence)
            for asked in wanted
        ]
        for way in WAYS
    }
    return {way: round(sum(found) / len(found), 3) for way, found in shares.items() if found}


def score(asked: Asked, answer: str) -> float:
    if asked.category == ADVERSARIAL:
        return float(bool(UNKNOWN.search(answer)))
    said, wanted = tokens(answer), tokens(str(asked.answer))
    shared = sum((Counter(said) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def tokens(text: str) -> list[str]:
    """SQuAD's normalisation: lower case, no punctuation, no articles."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return [word for word in text.split() if word not in {"a", "an", "the"}]


def table(rows: Sequence[tuple[int, dict[str, float]]]) -> dict[str, Any]:
    names = {**CATEGORIES, ADVERSARIAL: "adversarial"}
    found = {}
    for name, chosen in [
        ("answerable", [scores for category, scores in rows if category != ADVERSARIAL]),
        *(
            (name, [scores for category, scores in rows if category == number])
            for number, name in names.items()
        ),
    ]:
        if chosen:
            found[name] = {"questions": len(chosen)} | {
                way: round(sum(scores[way] for scores in chosen) / len(chosen), 3) for way in WAYS
            }
    return found


def show(results: dict[str, Any]) -> None:
    print(f"{results['conversation']}: {results['built']}")
    print(f"evidence in the context: {results['evidence']}")
    print(f"{'':<12} {'n':>4} " + " ".join(f"{way:>11}" for way in WAYS))
    for name, row in results["f1"].items():
        print(f"{name:<12} {row['questions']:>4} " + " ".join(f"{row[way]:>11.3f}" for way in WAYS))


if __name__ == "__main__":
    main()
