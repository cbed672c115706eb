"""What is made of how a fact stands to its neighbours: a decision, and a safe one where it does not hold up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .composing import extended, replaced
from .data import Decision, Decisions, Neighbour, NewFact, Relation
from .evidence import dated, normalised, read
from .likelihood import Answer, reason, relations
from .people import akin, bare, said_by_others
from .refusals import MEANT, Action, Standing, refused
from .signals import near_duplicate
from .values import Value, exchanged, values

# What it costs to keep the memory as it is, join the fact to it, put the fact in its place, or add the fact beside
# it, where the fact says the same, adds, changes, or is of something else. A stale detail costs 1, a duplicate, a
# stale memory or one of two things 1.25, a lost fact 2; what is replaced loses a detail and stays in the history;
# joined texts are clumsy and lose nothing.
COSTS: Mapping[Action, Mapping[Relation, float]] = {
    "keep": {"same": 0, "adds": 2, "changes": 2, "different": 2},
    "join": {"same": 0.5, "adds": 0, "changes": 1, "different": 1.25},
    "replace": {"same": 1.5, "adds": 1.5, "changes": 0, "different": 1.5},
    "add": {"same": 1.25, "adds": 1.25, "changes": 1.25, "different": 0},
}
# Counts that a memory's new text may leave out besides those that it exchanges: they tell of what is replaced ("goes
# to the office five days a week"). Names, dates, times and sums may stand for themselves.
MOST_COUNTS_DROPPED = 1
REPEATED = 0.6  # of a fact's words, for it to say no other than a fact of the same messages


def standing(fact: NewFact, neighbour: Neighbour, answer: Answer | None = None) -> Standing:
    """How a fact stands to a memory, from their words and, where it was asked, from a model's answer."""
    if near_duplicate(fact.text, neighbour.memory.text):
        return Standing(neighbour, {"same": 1.0, "adds": 0.0, "changes": 0.0, "different": 0.0})
    odds = relations(*bare(fact, neighbour), answer)
    return Standing(neighbour, odds, answer)


def nearest(fact: NewFact) -> Standing | None:
    """The neighbour that a fact most likely speaks of: by its words, and by how similar they are."""
    told = (standing(fact, neighbour) for neighbour in fact.neighbours if may_speak_of(fact, neighbour))
    return max(told, key=lambda one: one.related + one.neighbour.similarity, default=None)


def may_speak_of(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether two facts may be of one thing as far as their speakers go: what one says leaves another's word as it
    is, unless they say the same."""
    if near_duplicate(fact.text, neighbour.memory.text):
        return True
    return not said_by_others(fact, neighbour) and akin(fact, neighbour)


def concluded(fact: NewFact, told: Standing | None) -> tuple[Decision, ...]:
    """The decision that costs least, by how the fact stands to the memory it most likely speaks of."""
    if told is None:
        return added(fact, "nothing is known of it")
    costs = {
        action: sum(cost * told.odds[relation] for relation, cost in row.items())
        for action, row in COSTS.items()
        if not refused(action, fact, told)
    }
    action = min(costs, key=costs.__getitem__)
    if action == "add":
        apart = (
            "of something else than what is known"
            if told.related < 0.5
            else "not certain enough to change a memory"
        )
        return added(fact, f"{apart} (different {told.odds['different']:.0%})")
    memory = told.neighbour.memory
    why = _why(action, fact, told)
    if action == "keep":
        return (Decision("NOOP", fact.text, memory, why),)
    text = replaced(memory.text, fact.text) if action == "replace" else extended(memory.text, fact.text)
    if action == "replace" and drops_more(fact.text, memory.text, text):
        text = extended(memory.text, fact.text)
    return (Decision("UPDATE", text, memory, why),)


_SAID: Mapping[Action, str] = {
    "keep": "already known",
    "join": "kept with what is known of it",
    "replace": "changes what is known",
}


def _why(action: Action, fact: NewFact, told: Standing) -> str:
    meant, said = MEANT[action], _SAID[action]
    related: tuple[Relation, ...] = ("same", "adds", "changes")
    relation = meant if action != "join" else max(related, key=told.odds.__getitem__)
    because = reason(relation, *bare(fact, told.neighbour), told.answer)
    return f"{said} ({relation} {told.odds[relation]:.0%}: {because})" if because else said


def drops_more(fact: str, memory: str, text: str) -> bool:
    """Whether a memory's new text leaves out names or values for which the fact gives no others, or more counts than
    belong to the one thing that it changes."""
    told, known, after = read(fact), read(memory), read(text)
    given = {value.kind for value in values(fact)}
    left = {value.plain for value in values(text)}
    gone = [value for value in values(memory) if value.plain not in left and value.kind not in given]
    if not told.corrected and (told.ended or (told.negated and not known.negated)):
        return False  # what belongs to the thing that has ended goes with it
    counts = [value for value in gone if value.kind.startswith("count ")]
    exact = [value for value in gone if value not in counts and value.kind != "often"]
    dropped = known.called - after.called - after.words - told.denied
    runs = _runs(memory, [name for name in dropped if not (name.isalpha() and dated([name]))], exact)
    others = len(_runs(fact, told.called - known.called - known.words, []))
    return len(runs) > min(sum(runs), others) or len(counts) > MOST_COUNTS_DROPPED


def _runs(text: str, names: Iterable[str], found: Sequence[Value]) -> list[bool]:
    """Names and values of a text, those that stand side by side as one ("Ursula Le Guin", "Pixel 7"): for each
    whether it is a name."""
    spans = [(value.start, value.end, False) for value in found]
    for name in names:
        whole = rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"
        spans += [(m.start(), m.end(), True) for m in re.finditer(whole, text, re.IGNORECASE)]
    runs: list[bool] = []
    last = 0
    for start, end, is_name in sorted(spans):
        if runs and not text[last:start].strip(" '’-&"):
            runs[-1] |= is_name
        else:
            runs.append(is_name)
        last = max(last, end)
    return runs


def repeats(facts: Sequence[NewFact]) -> Mapping[int, int]:
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
        result.append(kept or added(fact, "kept beside it, for the decision made could not be carried out"))
        taken.update({d.target.id: d for d in kept if d.target and d.operation in ("UPDATE", "DELETE")})
    return tuple(result)


def _held(fact: NewFact, decision: Decision, taken: Mapping[str, Decision]) -> Decision | None:
    if decision.operation == "ADD" or decision.repeats is not None:
        return decision if decision.text.strip() else replace(decision, text=fact.text)
    if decision.target is None or decision.target.id not in {n.memory.id for n in fact.neighbours}:
        return None
    earlier = taken.get(decision.target.id)
    if earlier is not None:
        return _afterwards(fact, decision, earlier)
    return _worded(fact, decision) if decision.operation == "UPDATE" else decision


def _afterwards(fact: NewFact, decision: Decision, earlier: Decision) -> Decision | None:
    """A decision about a memory that another fact of these has changed: what this one says is kept with that, unless
    it says otherwise."""
    if "DELETE" in (decision.operation, earlier.operation):
        return None
    told, known = read(fact.text).words, read(earlier.text).words
    otherwise = relations(fact.text, earlier.text)["changes"] > 0.5
    if otherwise and (len(told & known) < REPEATED * len(told) or exchanged(earlier.text, fact.text)):
        return None
    text = extended(earlier.text, fact.text)
    if normalised(text) == normalised(earlier.text):
        return replace(decision, operation="NOOP", text=fact.text, reason="said by another fact of these")
    return replace(decision, operation="UPDATE", text=text, reason="kept with another fact of these")


def _worded(fact: NewFact, decision: Decision) -> Decision:
    assert decision.target is not None
    text = decision.text.strip() or extended(decision.target.text, fact.text)
    if normalised(text) == normalised(decision.target.text):
        return Decision("NOOP", fact.text, decision.target, "already known")
    return replace(decision, text=text)


def written(text: str, fact: str, memory: str) -> str:
    """A memory's text as the model wrote it, or as code composes it where that one cannot be trusted."""
    return text if text.strip() and _keeps(text, fact, memory) else extended(memory, fact)


def _keeps(text: str, fact: str, memory: str) -> bool:
    """Whether a memory's new text is in the fact's language, says the fact, and drops only what may go."""
    after, new, old = read(text), read(fact), read(memory)
    unsaid, dropped = new.objects - after.words, old.objects - after.words
    if (
        after.chinese != new.chinese
        or unsaid & (new.numbers | new.names)
        or 2 * len(unsaid) > len(new.objects)
    ):
        return False
    return not dropped or relations(fact, memory)["changes"] > 0.5
