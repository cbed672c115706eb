"""What is decided without a model, and what is not believed of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .data import Decision, Decisions, NewFact
from .evidence import missing, normalised, read
from .relations import Judgement, certain, conclude, extended, is_near, near_duplicate


def shortcut(fact: NewFact) -> tuple[Decision, ...] | None:
    """The decisions for a fact that no model need be asked about, else None."""
    near = [n for n in fact.neighbours if is_near(fact.text, n)]
    if not near:
        return (Decision("ADD", fact.text, None, "nothing near it is known"),)
    for neighbour in near:
        if certain(fact.text, neighbour.memory.text) in ("same", "less"):
            return (Decision("NOOP", fact.text, neighbour.memory, "already known"),)
    for neighbour in near:
        if certain(fact.text, neighbour.memory.text) == "extends":
            return conclude(
                fact, [Judgement(neighbour, "extends", "says what was known and more", fact.text)]
            )
    return None


def repeats(facts: Sequence[NewFact]) -> dict[int, int]:
    """Facts that repeat an earlier one of the same batch -> its position."""
    found: dict[int, int] = {}
    for i, fact in enumerate(facts):
        earlier = (j for j in range(i) if j not in found and near_duplicate(fact.text, facts[j].text))
        match = next(earlier, None)
        if match is not None:
            found[i] = match
    return found


def repeated(fact: NewFact, position: int) -> tuple[Decision, ...]:
    return (Decision("NOOP", fact.text, None, "repeats another fact of the same conversation", position),)


def added(fact: NewFact, reason: str) -> tuple[Decision, ...]:
    """Kept as it is: what becomes of a fact when there is any doubt."""
    return (Decision("ADD", fact.text, None, reason),)


def reviewed(facts: Sequence[NewFact], proposed: Sequence[Sequence[Decision]]) -> Decisions:
    """The decisions that hold up, and a safe one in the place of each that does not."""
    taken: dict[str, Decision] = {}
    result: list[tuple[Decision, ...]] = []
    for fact, decisions in zip(facts, proposed, strict=True):
        kept = tuple(d for d in (_held(fact, decision, taken) for decision in decisions) if d is not None)
        result.append(kept or added(fact, "the model's decision could not be carried out"))
        taken.update({d.target.id: d for d in kept if d.target and d.operation in ("UPDATE", "DELETE")})
    return tuple(result)


def _held(fact: NewFact, decision: Decision, taken: dict[str, Decision]) -> Decision | None:
    if decision.operation == "ADD" or decision.repeats is not None:
        return decision if decision.text.strip() else replace(decision, text=fact.text)
    if decision.target is None or decision.target.id not in {n.memory.id for n in fact.neighbours}:
        return None
    earlier = taken.get(decision.target.id)
    if earlier is not None:
        still_said = decision.operation == "NOOP" and not missing(fact.text, earlier.text)
        return decision if still_said and earlier.operation == "UPDATE" else None
    return _worded(fact, decision) if decision.operation == "UPDATE" else decision


def _worded(fact: NewFact, decision: Decision) -> Decision:
    """An UPDATE whose text keeps the fact and, unless it contradicts them, the memory's details."""
    assert decision.target is not None
    text = decision.text.strip() or fact.text
    if missing(fact.text, text) or read(text).chinese != read(fact.text).chinese:
        text = extended(decision.target.text, fact.text)
    if normalised(text) == normalised(decision.target.text):
        return Decision("NOOP", fact.text, decision.target, "already known")
    return replace(decision, text=text)
