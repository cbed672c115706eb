"""The model decides about all facts in one question; and what happens without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from ...errors import ModelReplyError
from ..question import Question, Unreadable
from . import prompts
from .base import Decision, Decisions, Neighbour, NewFact
from .guards import added

MOST_SHOWN = 30  # memories in one question

Row = Mapping[str, Any]


class Decide:
    """One question for all facts, answered by an operation for each and the new text of updated memories. The
    default: the answer is carried out as it is.

    If a scope has few memories, all are shown, else the nearest of each fact, newest last. If an answer is missing or
    names what was not shown, the fact is added: that may cost a duplicate, never a memory.
    """

    def ask(self, facts: Sequence[NewFact], answers: Sequence[Any] = ()) -> Sequence[Question]:
        if answers or not facts:
            return []
        return [Question(*prompts.decisions(facts, shown(facts)), read=_rows)]

    def decide(self, facts: Sequence[NewFact], answers: Sequence[Any]) -> Decisions:
        if not facts:
            return ()
        (answer,) = answers
        if isinstance(answer, ModelReplyError):
            reason = f"kept as it is, for the model's reply could not be read: {answer}"
            return tuple(added(fact, reason) for fact in facts)
        near, decided = shown(facts), [dict[str | None, Decision]() for _ in facts]
        for row in answer:
            at = _chosen(range(len(facts)), row.get("fact"))
            if at is not None and (decision := _decision(facts[at], row, near)) is not None:
                decided[at][decision.target and decision.target.id] = decision
        return tuple(
            tuple(sorted(own.values(), key=_follows))
            or added(fact, "the model named no memory that was shown")
            for fact, own in zip(facts, decided, strict=True)
        )


class WithoutModel:
    """No questions: whatever is not known word for word is added."""

    def ask(self, facts: Sequence[NewFact], answers: Sequence[Any] = ()) -> Sequence[Question]:
        return []

    def decide(self, facts: Sequence[NewFact], answers: Sequence[Any]) -> Decisions:
        return tuple(added(fact, "kept as it was said") for fact in facts)


def shown(facts: Sequence[NewFact], most: int = MOST_SHOWN) -> list[Neighbour]:
    """The memories that a question shows: the nearest of every fact in turn, at most `most`, newest last."""
    near: dict[str, Neighbour] = {}
    for rank in zip_longest(*(fact.neighbours for fact in facts)):
        for neighbour in rank:
            if neighbour is not None and len(near) < most:
                near.setdefault(neighbour.memory.id, neighbour)
    return sorted(
        near.values(), key=lambda one: (one.memory.updated_at, one.memory.created_at, one.memory.id)
    )


def _decision(fact: NewFact, row: Row, near: Sequence[Neighbour]) -> Decision | None:
    operation, target = row.get("operation"), _chosen(near, row.get("memory"))
    reason = "decided by the model"
    match str(operation).upper():
        case "ADD":
            return Decision("ADD", fact.text, None, reason)
        case "UPDATE" if target is not None:
            text = row.get("text")
            return Decision("UPDATE", text.strip() if isinstance(text, str) else "", target.memory, reason)
        case "DELETE" if target is not None:
            return Decision("DELETE", fact.text, target.memory, reason)
        case "NOOP" if target is not None:
            return Decision("NOOP", fact.text, target.memory, reason)
    return None


def _follows(decision: Decision) -> bool:
    """A sort key: what becomes of the fact itself comes first, then what it removes."""
    return decision.operation == "DELETE"


def _chosen(shown: Sequence[Any], number: Any) -> Any:
    """The one with that number, counted from 1; None if there is none."""
    if isinstance(number, str) and number.strip("[] ").isdecimal() and len(number) < 9:
        number = int(number.strip("[] "))
    return shown[number - 1] if type(number) is int and 0 < number <= len(shown) else None


def _rows(reply: Mapping[str, Any]) -> list[Row]:
    """The rows of a reply, or of the functions that the model called instead."""
    rows = reply.get("decisions")
    if isinstance(calls := reply.get("calls"), list):
        rows = [_row(call) for call in calls]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unreadable(
            'Reply with one JSON object {"decisions": [{"fact": 1, "operation": "UPDATE", "memory": 1, "text": ""}]}.'
        )
    return rows


def _row(call: Any) -> Row | None:
    """A call as a row; None if its arguments are not an object."""
    if not isinstance(call, Mapping) or not isinstance(call.get("arguments"), Mapping):
        return None
    return {**call["arguments"], "operation": prompts.OPERATION_OF.get(str(call.get("name")))}
