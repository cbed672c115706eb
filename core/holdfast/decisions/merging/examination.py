"""What a model can do: a dozen decisions whose answers are known, asked like any others.

A small model confuses similar with equal and loses what it should keep; a large one does not. Its name does not tell
which it is, so it is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...types import MemoryItem, Operation
from ..question import Question
from .base import Decision, Neighbour, NewFact
from .strategy import Decide

SLIPS = 1  # allowed to a large model


@dataclass(frozen=True, slots=True)
class Examination:
    """How a model did. right: of `asked` decisions; tokens: what it cost, in and out."""

    model: str
    right: int
    asked: int
    tokens: int

    @property
    def passed(self) -> bool:
        """Whether the model decides by itself: all right but one."""
        return self.right >= self.asked - SLIPS

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Expected:
    """One decision. memory: its number, from 1; 0 for ADD. keep / gone: what an UPDATE must and must not say."""

    fact: str
    operations: tuple[Operation, ...]
    memory: int
    keep: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


Paper = tuple[tuple[str, ...], tuple[Expected, ...]]

PAPERS: tuple[Paper, ...] = (
    (
        (
            "Likes coffee",
            "Lives in Leeds and works as a nurse",
            "Has a dog named Rex",
            "Is allergic to penicillin",
            "Brother Tom plays chess",
            "Has a subscription to the Daily Mail",
        ),
        (
            Expected("Likes tea", ("ADD",), 0),
            Expected("Has moved to York", ("UPDATE",), 2, ("York", "nurse"), ("Leeds",)),
            Expected("Rex is three years old", ("UPDATE",), 3, ("Rex", "dog")),
            Expected("Rex is afraid of thunder", ("UPDATE",), 3, ("Rex", "thunder")),
            Expected("Must not take penicillin because of an allergy", ("NOOP",), 4),
            Expected("Sister Mia plays chess", ("ADD",), 0),
            Expected("Has cancelled the subscription to the Daily Mail", ("DELETE", "UPDATE"), 6),
        ),
    ),
    (
        (
            "喜欢打网球",
            "在杭州做会计，每天骑车上班",
            "房租每月四千元",
            "有一只叫豆豆的猫",
            "单身",
        ),
        (
            Expected("喜欢打羽毛球", ("ADD",), 0),
            Expected("现在坐地铁上班", ("UPDATE",), 2, ("会计", "地铁"), ("骑车",)),
            Expected("每个月付四千元房租", ("NOOP",), 3),
            Expected("豆豆今年五岁", ("UPDATE",), 4, ("豆豆", "猫")),
            Expected("刚和小林结婚了", ("UPDATE", "DELETE"), 5),
        ),
    ),
)
_DAY = datetime(2026, 1, 5, tzinfo=UTC)


def papers(strategy: Decide) -> list[tuple[list[NewFact], Sequence[Question]]]:
    """What is asked, a question for each language, through the path that is examined."""
    asked = []
    for memories, expected in PAPERS:
        near = tuple(Neighbour(_memory(at, text), 0.0) for at, text in enumerate(memories, 1))
        facts = [NewFact(one.fact, near, _DAY + timedelta(days=30)) for one in expected]
        asked.append((facts, strategy.ask(facts)))
    return asked


def marked(paper: Paper, decisions: Sequence[Sequence[Decision]]) -> int:
    """How many of a paper's decisions are right."""
    _, expected = paper
    return sum(_is_right(one, own) for one, own in zip(expected, decisions, strict=True))


def examination_of(told: Mapping[str, Any]) -> Examination:
    """An examination from its `to_dict`."""
    return Examination(**told)


def _is_right(expected: Expected, decided: Sequence[Decision]) -> bool:
    own = decided[0]
    target = int(own.target.id) if own.target is not None else 0
    if own.operation not in expected.operations or target != expected.memory:
        return False
    if own.operation != "UPDATE":
        return True
    text = own.text.casefold()
    return all(part.casefold() in text for part in expected.keep) and not any(
        part.casefold() in text for part in expected.gone
    )


def _memory(number: int, text: str) -> MemoryItem:
    at = _DAY + timedelta(minutes=number)
    return MemoryItem(
        str(number), text, "user", None, None, {}, created_at=at, updated_at=at, happened_at=at, valid_from=at,
        valid_to=None,
    )  # fmt: skip
