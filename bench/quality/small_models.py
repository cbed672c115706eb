"""How well small models merge by `holdfast.decisions.small_models`, and the weights that they do it with.

    python -m bench.quality.small_models [--wrong]
    python -m bench.quality.small_models --write
    OPENAI_BASE_URL=… OPENAI_MODEL=… python -m bench.quality.small_models --ask 100

Cases are of several authors, who knew neither each other's cases nor the code (see AUTHORS). Each author's are
decided with weights fitted on those of all others. The answers of a model of 1.5B parameters are on record:
`results/merging_answers.json` holds how likely it found each relation of a pair, `results/exchanges.json` which words
it exchanged. Of the latter only some were asked, chosen by chance: a case without its own counts as those do on
average that have it. `--ask` asks for so many of what is missing, and keeps the answers.

A pair of a case's target has the case's relation, every other pair is "different". "right" is right operation, right
memory, nothing lost and nothing stale. `--write` fits the weights on all cases and prints the table of
`holdfast.decisions.small_models.odds`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from bench.data.cases import Case, Outcome, load
from bench.quality.merging import embedder, fact_of, outcome, show
from holdfast.decisions.merging import NewFact, known
from holdfast.decisions.question import Question, Unreadable
from holdfast.decisions.small_models import Careful
from holdfast.decisions.small_models.odds import RELATIONS, Answer, Heard, Relation, Weights, measures
from holdfast.decisions.small_models.questions import relation
from holdfast.errors import ModelReplyError
from holdfast.models.likelihoods import MOST_ALTERNATIVES, likelihoods

RESULTS = Path(__file__).parents[1] / "results"
RELATED = RESULTS / "merging_answers.json"
EXCHANGED = RESULTS / "exchanges.json"
AUTHORS = "jkmnpqrtuvwxyzabcdfghiloeABCDEFGHIJKLMNOP"  # their batches; all other cases are of one more author
NAMED = "s"  # told by named people
PENALTY = 0.003  # of a weight's square, on standardised measures
ANCHOR = 1e-6  # keeps the biases, which are told apart by their differences alone
STEPS, CLOSE = 50, 1e-6  # of Newton's method
OF_KIND: Mapping[str, Relation] = {
    **dict.fromkeys(("exact", "paraphrase", "less"), "same"),
    "extension": "adds",
    **dict.fromkeys(("contradiction", "correction", "negation", "implied"), "changes"),
}

Matrix = npt.NDArray[np.float64]


class Model:
    """An OpenAI-compatible endpoint."""

    def answer(self, question: Question) -> Any:
        """What the dialogue is to be sent: the answer, or the error in its place."""
        reply = self._reply(question)
        choice = reply["choices"][0]
        try:
            answer = question.read(json.loads(choice["message"]["content"]))
        except (Unreadable, json.JSONDecodeError) as error:
            return ModelReplyError(str(error))
        tokens = (choice.get("logprobs") or {}).get("content") or []
        return question.weigh(answer, likelihoods(tokens, question.schema)) if question.weigh else answer

    def _reply(self, question: Question) -> Any:
        request: dict[str, Any] = {
            "model": os.environ["OPENAI_MODEL"],
            "temperature": 0,
            "max_tokens": question.schema.max_tokens,
            "messages": [asdict(message) for message in question.messages],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": question.schema.name, "strict": True, "schema": question.schema.json},
            },
        }
        if question.schema.choice:
            request |= {"logprobs": True, "top_logprobs": MOST_ALTERNATIVES}
        response = httpx.post(
            os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
            json=request,
            headers={"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"},
            timeout=600,
        )
        response.raise_for_status()
        return response.json()


@dataclass(frozen=True)
class Pair:
    author: str
    fact: str
    memory: str
    relation: Relation
    answer: Answer


@dataclass
class Kept:
    """The answers on record in the place of a model, None where there is none; only the surest where `plainly`."""

    relations: dict[str, Answer]
    exchanges: dict[str, list[str]]
    plainly: bool = False
    calls: int = 0

    def answer(self, question: Question) -> Any:
        self.calls += 1
        kept = self.exchanges if question.schema.choice is None else self.relations
        answer: Any = kept.get(question.messages[-1].content)
        return surest(answer) if answer and self.plainly and question.schema.choice else answer


def author(case: Case) -> str:
    return case.id[0] if case.id[1] == "-" and case.id[0] in AUTHORS + NAMED else "first"


def relation_of(case: Case) -> Relation:
    """How the fact stands to the memory that the case is about."""
    if "NOOP" in case.operations and case.kind not in OF_KIND:
        return "same"
    return OF_KIND.get(case.kind, "changes" if case.gone else "adds")


def asked(fact: str, memory: str) -> str:
    """The last message of the question about a pair."""
    return relation(fact, memory).messages[-1].content


def surest(answer: Answer) -> Answer:
    """What a model says that only answers."""
    return {max(answer, key=answer.__getitem__): 1.0}


def pairs(cases: Sequence[Case], answers: Mapping[str, Answer]) -> Iterator[Pair]:
    """All pairs of which the model told more than one likelihood."""
    for case in cases:
        for i, memory in enumerate(case.memories):
            answer = answers.get(asked(case.fact, memory), {})
            if len(answer) > 1:
                meant: Relation = relation_of(case) if i == case.target else "different"
                yield Pair(author(case), case.fact, memory, meant, answer)


def fitted(x: Matrix, y: npt.NDArray[np.int_]) -> Matrix:
    """Weights [measures + 1, relations] for the measures as they are; the last row is the bias."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = np.c_[(x - middle) / spread, np.ones(len(x))]
    told, weights = np.eye(len(RELATIONS))[y], np.zeros((z.shape[1], len(RELATIONS)))
    penalty = np.r_[np.full(x.shape[1], PENALTY), ANCHOR][:, None]
    for _ in range(STEPS):
        scores = z @ weights
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        slope = z.T @ (odds - told) / len(z) + penalty * weights
        step = np.linalg.solve(_curvature(z, odds, penalty), slope.T.ravel())
        weights -= step.reshape(weights.shape[::-1]).T
        if np.abs(step).max() < CLOSE:
            break
    plain = weights[:-1] / spread[:, None]
    return np.asarray(np.r_[plain, weights[-1:] - middle @ plain])


def _curvature(z: Matrix, odds: Matrix, penalty: Matrix) -> Matrix:
    """The second derivatives of the loss, [relations * measures, relations * measures]."""
    count, relations = z.shape[1], odds.shape[1]
    found = np.zeros((relations, count, relations, count))
    for a in range(relations):
        for b in range(a + 1):
            weight = odds[:, a] * ((a == b) - odds[:, b])
            block = (z * weight[:, None]).T @ z / len(z) + (a == b) * np.diag(penalty[:, 0])
            found[a, :, b, :] = found[b, :, a, :] = block
    return np.asarray(found.reshape(relations * count, relations * count))


class Fit:
    """The weights for what may be heard of a model, fitted on the pairs of all authors but one."""

    def __init__(self, rows: Sequence[Pair]) -> None:
        self.x: dict[Heard, Matrix] = {
            "likelihoods": np.array([measures(row.fact, row.memory, row.answer) for row in rows]),
            "answer": np.array([measures(row.fact, row.memory, surest(row.answer)) for row in rows]),
        }
        self.y = np.array([RELATIONS.index(row.relation) for row in rows])
        self.authors = np.array([row.author for row in rows])

    def without(self, author: str = "") -> Weights:
        rest = self.authors != author
        return {heard: self._table(fitted(x[rest], self.y[rest])) for heard, x in self.x.items()}

    def _table(self, weights: Matrix) -> dict[Relation, tuple[float, ...]]:
        return {
            relation: tuple(round(float(one), 2) for one in weights[:, j])
            for j, relation in enumerate(RELATIONS)
        }


@dataclass(frozen=True)
class Tried:
    """A case and what became of it; None where the model was not asked yet. exchanged: whether it had to be."""

    case: Case
    outcome: Outcome | None
    exchanged: bool
    missing: Question | None


def tried(case: Case, fact: NewFact, strategy: Careful, kept: Kept) -> Tried:
    if settled := known([fact]):
        return Tried(case, outcome(case, (settled[0],)), False, None)
    answers: list[Any] = []
    while questions := strategy.ask([fact], answers):
        for question in questions:
            answer = kept.answer(question)
            if answer is None:
                return Tried(case, None, len(answers) > 0, question)
            answers.append(answer)
    (decisions,) = strategy.decide([fact], answers)
    return Tried(case, outcome(case, decisions), len(answers) > 1, None)


def summary(rows: Sequence[Tried]) -> dict[str, float]:
    """Shares of all cases; those that lack an exchange count as those of them do that have it."""
    one_call = [row.outcome for row in rows if row.outcome and not row.exchanged]
    two_calls = [row.outcome for row in rows if row.outcome and row.exchanged]
    more = sum(row.exchanged for row in rows)
    count = len(one_call) + (more if two_calls else 0)

    def share(what: Callable[[Outcome], bool]) -> float:
        found = sum(map(what, one_call)) + more * sum(map(what, two_calls)) / max(len(two_calls), 1)
        return round(found / max(count, 1), 3)

    return {
        "cases": count,
        "on record": len(one_call) + len(two_calls),
        "right": share(lambda one: one.right),
        "operation and target": share(lambda one: one.decided),
        "lost a detail": share(lambda one: bool(one.lost)),
        "kept a stale one": share(lambda one: bool(one.stale)),
        "asked twice": round(more / max(len(rows), 1), 3),
    }


def report(rows: Sequence[Tried]) -> None:
    groups: dict[str, list[Tried]] = defaultdict(list)
    for row in rows:
        for name in ("all", row.case.language, f"kind: {row.case.kind}"):
            groups[name].append(row)
    for name, members in groups.items():
        print(f"{name:22}", "  ".join(f"{key} {value}" for key, value in summary(members).items()))


def ask(rows: Sequence[Tried], count: int) -> None:
    """Ask so many of the questions that are not on record, and keep each answer."""
    left = [row.missing for row in rows if row.missing]
    random.Random(0).shuffle(left)
    for question in sorted(
        left[:count], key=lambda one: one.messages[0].content
    ):  # what they share is read once
        answer = Model().answer(question)
        if isinstance(answer, ModelReplyError):
            print("not read:", answer)
            continue
        if question.schema.choice:
            answer = {relation: round(one, 4) for relation, one in answer.items()}
        keep(question.messages[-1].content, answer, RELATED if question.schema.choice else EXCHANGED)


def keep(asked: str, answer: Any, path: Path) -> None:
    """Keep an answer, one to a line."""
    kept = {**json.loads(path.read_text(encoding="utf-8")), asked: answer}
    lines = (json.dumps({key: kept[key]}, ensure_ascii=False)[1:-1] for key in sorted(kept))
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="print the weights, fitted on all cases")
    parser.add_argument("--wrong", action="store_true", help="print the cases that went wrong")
    parser.add_argument("--ask", type=int, default=0, metavar="N", help="ask a model what is not on record")
    parser.add_argument("--only", type=Path, help="judge the cases of this file alone, by their ids")
    arguments = parser.parse_args()
    cases = [case for case in load() if author(case) != NAMED]
    answers = json.loads(RELATED.read_text(encoding="utf-8"))
    fit = Fit(list(pairs(cases, answers)))
    if arguments.write:
        for heard, table in fit.without().items():
            print(f"{heard}:", *(f"    {relation}: {row}," for relation, row in table.items()), sep="\n")
        return
    exchanges = json.loads(EXCHANGED.read_text(encoding="utf-8"))
    if arguments.only:
        ids = {one["id"] for one in json.loads(arguments.only.read_text(encoding="utf-8"))}
        cases = [case for case in cases if case.id in ids]
    embed = embedder()
    facts = {case.id: fact_of(case, embed) for case in cases}
    strategies = {one: Careful(fit.without(one)) for one in {author(case) for case in cases}}
    for plainly in (False, True):
        kept = Kept(answers, exchanges, plainly)
        rows = [tried(case, facts[case.id], strategies[author(case)], kept) for case in cases]
        print("\na model that only answers" if plainly else "a model that tells likelihoods")
        report(rows)
        print(f"calls a case: {kept.calls / len(cases):.2f}")
        if arguments.wrong and not plainly:
            for row in rows:
                if row.outcome and not row.outcome.right:
                    show(row.outcome)
        if arguments.ask and not plainly:
            ask(rows, arguments.ask)


if __name__ == "__main__":
    main()
