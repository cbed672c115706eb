"""The cases of merging, and what counts as right: for every bench and test that measures merging."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

CASES = Path(__file__).with_name("merging_cases.json")


@dataclass(frozen=True)
class Case:
    """operations: those that are right. target: the position of the memory they are about; None for ADD.
    keep / gone: what the memories must say, and must not say, afterwards; a list means any of its members.
    fact_speaker / memory_speakers: who told them, in a conversation between named people.
    """

    id: str
    kind: str
    language: Literal["en", "zh"]
    memories: list[str]
    fact: str
    operations: list[str]
    target: int | None
    keep: list[str | list[str]]
    gone: list[str]
    fact_speaker: str = ""
    memory_speakers: list[str] = field(default_factory=list)

    @property
    def speakers(self) -> list[str]:
        """Of each memory; "" for the user."""
        return self.memory_speakers or [""] * len(self.memories)


@dataclass(frozen=True)
class Outcome:
    """What became of a case. target: the position of the memory that was chosen. store: the texts afterwards.
    lost / stale: details that should have been kept, and should be gone."""

    case: Case
    operation: str
    target: int | None
    store: list[str]
    lost: list[str | list[str]]
    stale: list[str]
    reason: str = ""

    @property
    def decided(self) -> bool:
        """Right operation on the right target."""
        return self.operation in self.case.operations and self.target == self.case.target

    @property
    def right(self) -> bool:
        return self.decided and not self.lost and not self.stale


def load(path: Path = CASES) -> list[Case]:
    return [case_of(told) for told in json.loads(path.read_text(encoding="utf-8"))]


def case_of(told: Mapping[str, Any]) -> Case:
    known = {one.name for one in fields(Case)}
    return Case(**{name: value for name, value in told.items() if name in known})


def judged(case: Case, operation: str, target: int | None, store: Sequence[str], reason: str = "") -> Outcome:
    lost, stale = asked_for(case, store)
    return Outcome(case, operation, target, list(store), lost, stale, reason)


def asked_for(case: Case, texts: Sequence[str]) -> tuple[list[str | list[str]], list[str]]:
    """The details that a case wants to be kept and that no memory says; those that should be gone and are not."""
    said = ";\n".join(texts).casefold() + ";"
    lost = [k for k in case.keep if not any(d.casefold() in said for d in ([k] if isinstance(k, str) else k))]
    return lost, [g for g in case.gone if g.casefold() in said]


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
    """In all, by language and by kind."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        for name in ("all", one.case.language, f"kind: {one.case.kind}"):
            groups[name].append(one)
    return {name: summary(members) for name, members in groups.items()}
