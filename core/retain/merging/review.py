"""What is made of how a fact stands to its neighbours: a decision, and a safe one where it does not hold up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .composing import extended, replaced
from .data import Decision, Decisions, Neighbour, NewFact, Relation
from .evidence import dated, missing, normalised, read
from .likelihood import Answer, heard, reason, relations
from .signals import (
    begins_otherwise,
    denies_a_part,
    differ_twice,
    far_apart,
    in_common,
    near_duplicate,
    of_another_thing,
    says_nothing_new,
    shared_objects,
    speaks_of_change,
    tells_new,
)
from .values import on_other_days, values

Action = Literal["keep", "join", "replace", "add"]
# What it costs to keep the memory as it is, join the fact to it, put the fact in its place, or add the fact beside
# it, where the fact says the same, adds, changes, or is of something else. A duplicate or a stale detail costs 1, a
# lost fact 2; what is replaced loses a detail and stays in the history; joined texts are clumsy and lose nothing.
COSTS: Mapping[Action, Mapping[Relation, float]] = {
    "keep": {"same": 0, "adds": 2, "changes": 2, "different": 2},
    "join": {"same": 0.5, "adds": 0, "changes": 1, "different": 1},
    "replace": {"same": 1.5, "adds": 1.5, "changes": 0, "different": 1.5},
    "add": {"same": 1, "adds": 1, "changes": 1, "different": 0},
}
# Of facts that one named person told: with a word in common, and without.
ALIKE, VERY_ALIKE = 0.75, 0.85
# How likely a change must be for anything to be replaced, by what is heard of a model, and where the two have no word
# in common; and any relation, for it to be believed of the words alone.
LEAST_REPLACED: Mapping[str, float] = {"words": 0.5, "answer": 0.65, "likelihoods": 0.5}
LEAST_UNALIKE = 0.8
LEAST_UNASKED = 0.45
# Names and values that a memory's new text may leave out besides those that it exchanges.
MOST_DROPPED = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """How a fact stands to one of its neighbours: how likely each relation is. answer: what a model said of it."""

    neighbour: Neighbour
    odds: Mapping[Relation, float]
    answer: Answer | None = None

    @property
    def related(self) -> float:
        """How likely it is that they speak of one thing, in [0, 1]."""
        return 1 - self.odds["different"]


def standing(fact: NewFact, neighbour: Neighbour, answer: Answer | None = None) -> Standing:
    """How a fact stands to a memory, from their words and, where it was asked, from a model's answer."""
    if near_duplicate(fact.text, neighbour.memory.text):
        return Standing(neighbour, {"same": 1.0, "adds": 0.0, "changes": 0.0, "different": 0.0})
    odds = relations(*bare(fact, neighbour), answer)
    return Standing(neighbour, odds, answer)


def nearest(fact: NewFact) -> Standing | None:
    """The neighbour that a fact most likely speaks of, by its words and by how similar they are; one that mentions
    what the fact is about before any other."""
    new = read(fact.text)

    def closeness(one: Standing) -> tuple[bool, float]:
        about = not of_another_thing(new, read(one.neighbour.memory.text))
        return about, one.related + one.neighbour.similarity

    told = (standing(fact, neighbour) for neighbour in fact.neighbours if may_speak_of(fact, neighbour))
    return max(told, key=closeness, default=None)


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
        if not risky(action, fact, told)
    }
    action = min(costs, key=costs.__getitem__)
    if action == "add":
        return added(fact, f"of something else than what is known ({told.odds['different']:.0%})")
    memory = told.neighbour.memory
    why = _why(action, fact, told)
    if action == "keep":
        return (Decision("NOOP", fact.text, memory, why),)
    text = replaced(memory.text, fact.text) if action == "replace" else extended(memory.text, fact.text)
    if action == "replace" and drops_more(fact.text, memory.text, text):
        text = extended(memory.text, fact.text)
    return (Decision("UPDATE", text, memory, why),)


_MEANT: Mapping[Action, tuple[Relation, str]] = {
    "keep": ("same", "already known"),
    "join": ("adds", "kept with what is known of it"),
    "replace": ("changes", "changes what is known"),
}


def risky(action: Action, fact: NewFact, told: Standing) -> bool:
    """Whether an action goes further than the evidence, however likely it looks: it may lose something, or join what
    has nothing to do with each other."""
    if action == "add" or told.odds["same"] == 1:
        return False
    if told.answer is None and told.odds[_MEANT[action][0]] < LEAST_UNASKED:
        return True
    texts = bare(fact, told.neighbour)
    new, old = map(read, texts)
    if fact.speakers and told.neighbour.memory.speakers and _far_between_people(action, fact, told.neighbour):
        return True
    change = speaks_of_change(new, old)
    guessed = heard(told.answer) != "likelihoods"
    alien = of_another_thing(new, old) and (guessed or not shared_objects(new, old))
    if action != "keep" and (alien or (not change and far_apart(new, old))):
        return True
    if (
        action != "keep"
        and told.answer is None
        and not (new.short and old.short)
        and not old.words <= new.words
    ):
        return True  # of long statements the words alone show too little
    if action == "join":
        return False
    another = begins_otherwise(new, old) and not change
    if action == "keep":
        if says_nothing_new(new, old):
            return False
        unsaid = told.answer is None or (guessed and "same" not in told.answer)
        return another or unsaid or not in_common(new, old) or differ_twice(new, old) or tells_new(*texts)
    several = differ_twice(new, old) or (told.answer is None and bool(new.many & old.many))
    many = several and not change and not new.one & old.one
    event = not change and old.past and on_other_days(texts[1], texts[0])
    part = told.answer is None and new.negated != old.negated and denies_a_part(new, old)
    least = LEAST_REPLACED[heard(told.answer)] if in_common(new, old) else LEAST_UNALIKE
    return another or many or event or part or told.odds["changes"] < least


def _far_between_people(action: Action, fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether too little speaks for an action where named people told the two in passing. Two parades in a year are
    two, and what is joined to a long memory of a person makes it grow without end."""
    new, old = map(read, bare(fact, neighbour))
    told, known = _told(fact, neighbour)
    one = bool((new.one | new.keyed) & (old.one | old.keyed))
    if action == "keep":
        return False
    if not one and (len(told & known) < 2 or not _of_one_thing(fact, neighbour)):
        return True
    if action == "join":
        return not old.short or new.negated != old.negated or begins_otherwise(new, old)
    changed = speaks_of_change(new, old) and (new.negated == old.negated or known <= told)
    return not (one or changed)


def _why(action: Action, fact: NewFact, told: Standing) -> str:
    meant, said = _MEANT[action]
    related: tuple[Relation, ...] = ("same", "adds", "changes")
    relation = meant if action != "join" else max(related, key=told.odds.__getitem__)
    because = reason(relation, *bare(fact, told.neighbour), told.answer)
    return f"{said} ({relation} {told.odds[relation]:.0%}: {because})" if because else said


def bare(fact: NewFact, neighbour: Neighbour) -> tuple[str, str]:
    """The texts of a fact and of a memory. What one named person told of themselves begins with their name, which
    tells nothing of whether two such statements belong together: it is left out."""
    texts = fact.text, neighbour.memory.text
    if len(fact.speakers) != 1 or fact.speakers != neighbour.memory.speakers:
        return texts
    name = re.compile(rf"{re.escape(fact.speakers[0])}(?:['’]s)?(?! and\b|[和跟与、])\s*", re.IGNORECASE)
    told, known = (text[found.end() :] if (found := name.match(text)) else "" for text in texts)
    return (told[:1].upper() + told[1:], known[:1].upper() + known[1:]) if told and known else texts


def said_by_others(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether another speaker told the memory: what one says leaves another's word as it is."""
    mine, theirs = set(fact.speakers), set(neighbour.memory.speakers)
    return bool(mine and theirs) and mine.isdisjoint(theirs)


def akin(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether two facts may speak of one thing; of facts that were not told by named people any may.

    Such facts are alike before they tell anything: they name the same few people and report what was said. So only
    what is left counts, half of what the shorter tells, or a high cosine. Of 520 facts of a LoCoMo conversation the
    1.5B model joined or replaced 120 that had little more than the name in common.
    """
    if not (fact.speakers and neighbour.memory.speakers) or _of_one_thing(fact, neighbour):
        return True
    told, known = _told(fact, neighbour)
    return neighbour.similarity >= (ALIKE if told & known else VERY_ALIKE)


def _of_one_thing(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether the words alone show that two facts of named people speak of one thing."""
    new, old = map(read, bare(fact, neighbour))
    if (new.one | new.keyed) & (old.one | old.keyed):
        return True
    told, known = _told(fact, neighbour)
    shared = told & known
    return 2 * len(shared) >= min(len(told), len(known)) and (
        len(shared) >= 2 or (bool(told) and told == known)
    )


def _told(fact: NewFact, neighbour: Neighbour) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a fact and of a memory, without the people, the days, and what only reports."""
    near = [neighbour.memory for neighbour in fact.neighbours]
    people = read(" ".join({*fact.speakers, *(name for memory in near for name in memory.speakers)})).words
    new, old = (
        frozenset(word for word in read(text).words - people - _REPORTED if not dated([word]))
        for text in (fact.text, neighbour.memory.text)
    )
    return new, old


_REPORTED = read("says said shares shared shows photo picture feels felt thinks really great good so").words


def drops_more(fact: str, memory: str, text: str) -> bool:
    """Whether a memory's new text leaves out names or values for which the fact gives no others: more than belong to
    the one thing that it changes."""
    told, known, after = read(fact), read(memory), read(text)
    names = known.names - after.names - after.words - told.denied
    given = {value.kind for value in values(fact)}
    left = {value.plain for value in values(text)}
    gone = [value for value in values(memory) if value.plain not in left and value.kind not in given]
    others = len(told.names - known.names - known.words)
    return len(gone) + max(0, len(names) - others) > MOST_DROPPED


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
        still_said = decision.operation == "NOOP" and not missing(fact.text, earlier.text)
        return decision if still_said and earlier.operation == "UPDATE" else None
    return _worded(fact, decision) if decision.operation == "UPDATE" else decision


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
