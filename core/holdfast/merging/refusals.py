"""What is refused however likely it looks, as it would go further than the evidence: something might be lost, or
joined with what it has nothing to do with. Refused is an action on a memory; the fact is joined or kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .data import Neighbour, NewFact, Relation
from .evidence import Evidence, read
from .likelihood import Answer, heard
from .people import bare, of_one_thing, told_besides_people
from .signals import (
    begins_otherwise,
    denies_a_part,
    differ_twice,
    far_apart,
    in_common,
    in_order,
    introduce_others,
    of_another_key,
    of_another_subject,
    of_another_thing,
    says_nothing_new,
    shared_objects,
    speaks_of_change,
    tells_much,
    tells_new,
)
from .values import on_other_days

Action = Literal["keep", "join", "replace", "add"]
MEANT: Mapping[Action, Relation] = {"keep": "same", "join": "adds", "replace": "changes", "add": "different"}

# How likely a change must be for anything to be replaced, by what is heard of a model, and where the two have no word
# in common; and any relation, for it to be believed of the words alone.
LEAST_REPLACED: Mapping[str, float] = {"words": 0.55, "answer": 0.65, "likelihoods": 0.6}
LEAST_UNALIKE = 0.8
LEAST_TWICE = 0.9  # the same where they are of one form, with other words in two places
LEAST_UNASKED = 0.55
# How likely it must be that a fact says the same, by a model's likelihoods, where their words look otherwise.
LEAST_KNOWN = 0.9
# How many things a fact may say that the memory does not, for it to be another wording of the same.
MOST_NEW = 4
# And how likely what an action is meant for must be between named people, who chat of one thing again and again.
LEAST_BETWEEN_PEOPLE: Mapping[Action, float] = {"keep": 0.85, "join": 0.7, "replace": 0.9}


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


def refused(action: Action, fact: NewFact, told: Standing) -> bool:
    """Whether the evidence is not enough for an action."""
    if action == "add" or told.odds["same"] == 1:
        return False
    if told.answer is None and told.odds[MEANT[action]] < LEAST_UNASKED:
        return True
    if fact.speakers and told.neighbour.memory.speakers and _far_between_people(action, fact, told):
        return True
    new, old = bare(fact, told.neighbour)
    if action == "keep":
        return not _known(new, old, told)
    return _unrelated(read(new), read(old), told) or (action == "replace" and _beside(new, old, told))


def _known(fact: str, memory: str, told: Standing) -> bool:
    """Whether a fact may be dropped as known: it says nothing new, or a model finds so and no word speaks against."""
    new, old = read(fact), read(memory)
    if says_nothing_new(new, old):
        return True
    if tells_new(fact, memory) or of_another_subject(new, old) or tells_much(new, old, MOST_NEW):
        return False
    if new.words == old.words and new.directed and old.directed and not in_order(new, old):
        return False  # "spaces over tabs", where it is tabs over spaces
    if heard(told.answer) == "likelihoods" and told.odds["same"] >= LEAST_KNOWN:
        return True
    found = heard(told.answer) == "likelihoods" or "same" in (told.answer or ())
    another = begins_otherwise(new, old) and not speaks_of_change(new, old)
    alike = in_common(new, old) and not another and not differ_twice(new, old)
    return found and alike


def _unrelated(new: Evidence, old: Evidence, told: Standing) -> bool:
    """Whether too little shows that the two are of one thing."""
    guessed = heard(told.answer) != "likelihoods"
    if of_another_thing(new, old) and (guessed or not shared_objects(new, old)):
        return True
    apart = (guessed and far_apart(new, old)) or (of_another_key(new, old) and not new.names & old.names)
    if introduce_others(new, old) or (apart and not speaks_of_change(new, old)):
        return True
    long = not (new.short and old.short)
    return told.answer is None and long and not old.words <= new.words


def _beside(fact: str, memory: str, told: Standing) -> bool:
    """Whether a memory may still hold beside a fact that is to replace it."""
    new, old = read(fact), read(memory)
    least = LEAST_REPLACED[heard(told.answer)] if in_common(new, old) else LEAST_UNALIKE
    if told.odds["changes"] < least:
        return True
    if told.answer is None and new.negated != old.negated and denies_a_part(new, old):
        return True
    if new.ended and not in_common(new, old):
        return True  # of something else that has ended
    if speaks_of_change(new, old):
        return False
    sure = heard(told.answer) == "likelihoods" and told.odds["changes"] >= LEAST_TWICE
    one_of_many = (differ_twice(new, old) and not sure) or (told.answer is None and bool(new.many & old.many))
    another_event = old.past and on_other_days(memory, fact)
    return (
        begins_otherwise(new, old)
        or of_another_key(new, old)
        or another_event
        or (one_of_many and not new.one & old.one)
    )


def _far_between_people(action: Action, fact: NewFact, standing: Standing) -> bool:
    """Whether too little speaks for an action where named people told the two in passing. Two parades in a year are
    two, and what is joined to a long memory of a person makes it grow without end."""
    neighbour = standing.neighbour
    new, old = map(read, bare(fact, neighbour))
    told, known = told_besides_people(fact, neighbour)
    one = bool((new.one | new.keyed) & (old.one | old.keyed))
    if standing.answer is not None and standing.odds[MEANT[action]] < LEAST_BETWEEN_PEOPLE[action]:
        return True
    if action == "keep":
        return False
    if not one and (len(told & known) < 2 or not of_one_thing(fact, neighbour)):
        return True
    if action == "join":
        return not old.short or new.negated != old.negated or begins_otherwise(new, old)
    changed = speaks_of_change(new, old) and (new.negated == old.negated or known <= told)
    return not (one or changed)
