"""How well facts merge: right operation, right target, and whether every detail that still holds survives.

    python bench/merging.py --strategy WithoutModel
    OPENAI_BASE_URL=… OPENAI_MODEL=… python bench/merging.py --strategy PairByPair --cache /tmp/replies --record
    python bench/merging.py --strategy PairByPair --recorded
    python bench/merging.py --observations locomo_dev.json

The third takes the answers on record in the place of a model. The last one adds every observation of LoCoMo's
conversations, one by one, without a model. They are long, and few repeat or contradict each other: what is not added
is shown, and most of it is wrong.

Cases lie in `merging_cases.json` (see `Case`). Memories are ranked by cosine with the bundled embedder, as the
engine does. Raw replies are cached by request, so that a second run asks nothing. `--record` keeps the answers to
pairs in `results/merging_answers.json`, from which the guard replays them without a model.

The letter of an id is its batch. Each batch was written before it was run, run once blind, and tuned on afterwards:
what the blind runs gave lies under "blind" in `results/merging.json`. Batches whose ids begin with one letter
("j-001") are each of an author who knew neither the code nor the other cases; all others are of one author, who did.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np

from holdfast import merging
from holdfast._dialogue import Question, Unreadable
from holdfast.errors import ModelReplyError
from holdfast.merging import Decision, MergeStrategy, Neighbour, NewFact
from holdfast.models.likelihoods import MOST_ALTERNATIVES, likelihoods
from holdfast.prompts import merging as prompts
from holdfast.types import MemoryItem

HERE = Path(__file__).parent
ANSWERS = HERE / "results" / "merging_answers.json"
NEIGHBOURS = 5
STRATEGIES = ("WithoutModel", "PairByPair", "Operations")


@dataclass(frozen=True)
class Case:
    """operations: those that are right. target: the position of the memory they are about; None for ADD.
    keep / gone: what the memories must say, and must not say, afterwards; a list means any of its members.
    fact_speaker / memory_speakers: who told them, in a conversation between named people.
    """

    id: str
    kind: str
    language: Literal["en", "zh"]
    split: Literal["dev", "held-out"]
    memories: list[str]
    fact: str
    operations: list[str]
    target: int | None
    keep: list[str | list[str]]
    gone: list[str]
    fact_speaker: str = ""
    memory_speakers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    case: Case
    operation: str
    target: int | None
    store: list[str]
    reason: str
    lost: list[str | list[str]]
    stale: list[str]

    @property
    def decided(self) -> bool:
        """Right operation on the right target."""
        return self.operation in self.case.operations and self.target == self.case.target

    @property
    def right(self) -> bool:
        return self.decided and not self.lost and not self.stale


class Model:
    """An OpenAI-compatible endpoint, with the replies kept on disk."""

    def __init__(self, cache: Path | None) -> None:
        self.cache = cache
        self.calls = self.input_tokens = self.output_tokens = 0
        self.seconds = 0.0
        self.answers: dict[str, dict[str, float]] = {}

    def answer(self, question: Question) -> Any:
        """What the dialogue is to be sent: the answer, or the error in its place."""
        reply = self._reply(question)
        choice = reply["choices"][0]
        try:
            answer = question.read(json.loads(choice["message"]["content"]))
        except (Unreadable, json.JSONDecodeError) as error:
            return ModelReplyError(str(error))
        if question.weigh is None:
            return answer
        tokens = (choice.get("logprobs") or {}).get("content") or []
        answer = question.weigh(answer, likelihoods(tokens, question.schema))
        self.answers[question.messages[-1].content] = answer
        return answer

    def _reply(self, question: Question) -> Any:
        request = {
            "model": os.environ["OPENAI_MODEL"],
            "temperature": 0,
            "max_tokens": 600,
            "messages": [asdict(message) for message in question.messages],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": question.schema.name, "strict": True, "schema": question.schema.json},
            },
        }
        if question.schema.choice:
            request |= {"logprobs": True, "top_logprobs": MOST_ALTERNATIVES}
        key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        path = self.cache / f"{key}.json" if self.cache else None
        if path and path.exists():
            reply = json.loads(path.read_text())
        else:
            reply = self._send(request)
            if path:
                path.write_text(json.dumps(reply, ensure_ascii=False))
        self.calls += 1
        self.input_tokens += reply["usage"]["prompt_tokens"]
        self.output_tokens += reply["usage"]["completion_tokens"]
        return reply

    def _send(self, request: Mapping[str, Any]) -> Any:
        started = time.perf_counter()
        key = os.environ.get("OPENAI_API_KEY", "")
        response = httpx.post(
            os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
            json=request,
            headers={"Authorization": f"Bearer {key}"},
            timeout=300,
        )
        response.raise_for_status()
        self.seconds += time.perf_counter() - started
        return response.json()


class Recorded(Model):
    """The answers to pairs on record, in the place of a model."""

    def __init__(self, path: Path = ANSWERS) -> None:
        super().__init__(None)
        self.answers = answers_on_record(path)

    def answer(self, question: Question) -> Any:
        self.calls += 1
        return self.answers.get(question.messages[-1].content) or ModelReplyError("no answer on record")


def answers_on_record(path: Path = ANSWERS) -> dict[str, dict[str, float]]:
    """What is asked of a pair -> how likely the model found each answer."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def record(answers: Mapping[str, Mapping[str, float]], path: Path = ANSWERS) -> None:
    """Keep further answers, one to a line."""
    kept = {**answers_on_record(path), **answers}
    rounded = {key: {name: round(one, 4) for name, one in kept[key].items()} for key in sorted(kept)}
    lines = (f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(told)}" for key, told in rounded.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def asked(fact: str, memory: str) -> str:
    """The last message of the question about a pair."""
    return prompts.pair(fact, memory)[0][-1].content


def embedder() -> Callable[[Sequence[str]], Any]:
    """texts -> float32[texts, 256], L2-normalised."""
    from holdfast.models import BundledEmbedder

    return BundledEmbedder().embed_documents


def memory(text: str, position: int, speaker: str = "") -> MemoryItem:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    speakers = (speaker,) if speaker else ()
    return MemoryItem(str(position), text, "user", None, None, {}, at, at, None, at, None, speakers=speakers)


def fact_of(case: Case, embed: Callable[[Sequence[str]], Any]) -> NewFact:
    vectors = np.asarray(embed([case.fact, *case.memories]))
    cosines = vectors[1:] @ vectors[0]
    order = [int(i) for i in np.argsort(-cosines)[:NEIGHBOURS]]
    told_by = case.memory_speakers or [""] * len(case.memories)
    near = [Neighbour(memory(case.memories[i], i, told_by[i]), float(cosines[i])) for i in order]
    return NewFact(case.fact, tuple(near), speakers=(case.fact_speaker,) if case.fact_speaker else ())


def decide(strategy: MergeStrategy, facts: Sequence[NewFact], model: Model) -> Sequence[tuple[Decision, ...]]:
    dialogue = strategy.merge(facts)
    try:
        questions = next(dialogue)
        while True:
            questions = dialogue.send([model.answer(question) for question in questions])
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def asks(fact: NewFact) -> bool:
    """Whether a model would be asked about a fact."""
    try:
        next(merging.PairByPair().merge([fact]))
    except StopIteration:
        return False
    return True


def outcome(case: Case, decisions: Sequence[Decision]) -> Outcome:
    store = dict(enumerate(case.memories))
    for decision in decisions:
        target = int(decision.target.id) if decision.target else len(store)
        if decision.operation in ("ADD", "UPDATE"):
            store[target] = decision.text
        elif decision.operation == "DELETE":
            del store[target]
    first = decisions[0]
    lost, stale = asked_for(case, list(store.values()))
    about = int(first.target.id) if first.target else None
    return Outcome(case, first.operation, about, list(store.values()), first.reason, lost, stale)


def asked_for(case: Case, texts: Sequence[str]) -> tuple[list[str | list[str]], list[str]]:
    """The details that a case wants to be kept and that no memory says; those that should be gone and are not."""
    said = ";\n".join(texts).casefold() + ";"
    lost = [k for k in case.keep if not any(d.casefold() in said for d in ([k] if isinstance(k, str) else k))]
    return lost, [g for g in case.gone if g.casefold() in said]


def observations(sample: Mapping[str, Any]) -> list[str]:
    """LoCoMo's facts of one conversation, in the order of its sessions."""
    sessions = sorted(sample["observation"].items(), key=lambda one: int(re.sub(r"\D", "", one[0])))
    return [fact for _, by_speaker in sessions for facts in by_speaker.values() for fact, _ in facts]


def add_observations(path: Path) -> None:
    """Add the observations of each conversation to a store of its own, and print what was not simply added."""
    embed, added, total, unsure = embedder(), 0, 0, 0
    for sample in json.loads(path.read_text(encoding="utf-8")):
        facts = observations(sample)
        vectors = np.asarray(embed(facts))
        store: dict[int, str] = {}
        for i, fact in enumerate(facts):
            near = sorted(store, key=lambda known: -float(vectors[known] @ vectors[i]))[:NEIGHBOURS]
            shown = tuple(Neighbour(memory(store[n], n), float(vectors[n] @ vectors[i])) for n in near)
            ((decision,),) = decide(merging.WithoutModel(), [NewFact(fact, shown)], Model(None))
            unsure += asks(NewFact(fact, shown))
            added, total = added + (decision.operation == "ADD"), total + 1
            if decision.operation != "ADD":
                print(
                    f"{decision.operation} {decision.reason}: {decision.target and decision.target.text} + {fact}"
                )
            if decision.operation != "NOOP":
                store[int(decision.target.id) if decision.target else i] = decision.text
    print(f"{total} observations, {added} added, of {unsure} a model would be asked")


def share(outcomes: Sequence[Outcome], what: Callable[[Outcome], bool]) -> float:
    return round(sum(map(what, outcomes)) / max(len(outcomes), 1), 3)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "cases": len(outcomes),
        "right": share(outcomes, lambda o: o.right),
        "operation and target": share(outcomes, lambda o: o.decided),
        "lost a detail": sum(bool(o.lost) for o in outcomes),
        "kept a stale one": sum(bool(o.stale) for o in outcomes),
    }


def report(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        for name in ("all", one.case.split, one.case.language, f"kind: {one.case.kind}"):
            groups[name].append(one)
    return {name: summary(members) for name, members in groups.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--strategy",
        default="WithoutModel",
        choices=STRATEGIES,
    )
    parser.add_argument("--cases", type=Path, default=HERE / "merging_cases.json")
    parser.add_argument("--split", choices=["dev", "held-out"])
    parser.add_argument("--only", default="", help="kinds or ids that contain this")
    parser.add_argument("--cache", type=Path, help="folder for raw replies")
    parser.add_argument("--recorded", action="store_true", help="take the answers on record, ask no model")
    parser.add_argument("--record", action="store_true", help="keep the answers to pairs for the guard")
    parser.add_argument("--wrong", action="store_true", help="print the cases that went wrong")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "merging.json")
    parser.add_argument("--observations", type=Path, help="LoCoMo's file: see above")
    arguments = parser.parse_args()
    if arguments.observations:
        add_observations(arguments.observations)
        return

    cases = [Case(**case) for case in json.loads(arguments.cases.read_text(encoding="utf-8"))]
    cases = [c for c in cases if arguments.split in (None, c.split) and arguments.only in f"{c.kind} {c.id}"]
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
    model = Recorded() if arguments.recorded else Model(arguments.cache)
    embed, strategy = embedder(), getattr(merging, arguments.strategy)()
    outcomes = []
    for case in cases:
        (decisions,) = decide(strategy, [fact_of(case, embed)], model)
        outcomes.append(outcome(case, decisions))
        one = outcomes[-1]
        if arguments.wrong and not one.right:
            print(f"{case.id} {case.kind}: {case.memories} + {case.fact!r}")
            print(f"    {one.operation} {one.target} ({one.reason}) -> {one.store}")
            print(f"    wanted {case.operations} {case.target}; lost {one.lost}; stale {one.stale}")
    results = report(outcomes)
    results["cost"] = {
        "calls per case": round(model.calls / max(len(cases), 1), 3),
        "input tokens per case": round(model.input_tokens / max(len(cases), 1), 1),
        "output tokens per case": round(model.output_tokens / max(len(cases), 1), 1),
        "model": "answers on record" if arguments.recorded else os.environ.get("OPENAI_MODEL", "none"),
    }
    for name, figures in results.items():
        print(f"{name:22}", "  ".join(f"{key} {value}" for key, value in figures.items()))
    if arguments.record:
        record(model.answers)
    if not arguments.only and not arguments.split:
        arguments.out.parent.mkdir(exist_ok=True)
        known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        known[arguments.strategy] = results
        arguments.out.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
