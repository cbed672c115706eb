"""Facts that named people told in a conversation: alike before they tell anything, and each one's own word."""

from __future__ import annotations

import re

from .data import Neighbour, NewFact
from .evidence import dated, read

# Of facts that one named person told: with a word in common, and without.
ALIKE, VERY_ALIKE = 0.75, 0.85


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
    if not (fact.speakers and neighbour.memory.speakers) or of_one_thing(fact, neighbour):
        return True
    told, known = told_besides_people(fact, neighbour)
    return neighbour.similarity >= (ALIKE if told & known else VERY_ALIKE)


def of_one_thing(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether the words alone show that two facts of named people speak of one thing."""
    new, old = map(read, bare(fact, neighbour))
    if (new.one | new.keyed) & (old.one | old.keyed):
        return True
    told, known = told_besides_people(fact, neighbour)
    shared = told & known
    return 2 * len(shared) >= min(len(told), len(known)) and (
        len(shared) >= 2 or (bool(told) and told == known)
    )


def told_besides_people(fact: NewFact, neighbour: Neighbour) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a fact and of a memory, without the people, the days, and what only reports."""
    near = [neighbour.memory for neighbour in fact.neighbours]
    people = read(" ".join({*fact.speakers, *(name for memory in near for name in memory.speakers)})).words
    new, old = (
        frozenset(word for word in read(text).words - people - _REPORTED if not dated([word]))
        for text in (fact.text, neighbour.memory.text)
    )
    return new, old


_REPORTED = read("says said shares shared shows photo picture feels felt thinks really great good so").words
