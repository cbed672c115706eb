"""How a fact stands to a memory, as far as code can tell.

Certain are only relations whose evidence lies in the words; of the rest `judged` says None, and the model is
asked. A wrong "different" costs a duplicate, a wrong "extends" a long memory; "contradicts" replaces what was
known, so it wants the strongest evidence. Figures: `python bench/merging.py --strategy WithoutModel`.
"""

from __future__ import annotations

import re

from .data import Relation, Verdict
from .evidence import Evidence, dated, normalised, read
from .rules import ANY_LENGTH, OF_SHORT, apart, covered, in_order, shared_objects, side_by_side, told_apart
from .values import exchanged, revalued

REVALUED = "gives another value of the same"


def near_duplicate(a: str, b: str) -> bool:
    """Whether two statements say the same in nearly the same words; then one of them is enough.

    Never true of statements that differ in a number, a name, a denial or whom they are about.
    """
    if normalised(a) == normalised(b):
        return bool(normalised(a)) or a == b
    first, second = read(a), read(b)
    if not first.words or first.words != second.words or first.names ^ second.names:
        return False
    return first.numbers == second.numbers and not told_apart(first, second) and in_order(first, second)


def judged(fact: str, memory: str) -> Verdict | None:
    """How the fact stands to the memory, where the words tell; else None."""
    if near_duplicate(fact, memory):
        return Verdict("same", "already known")
    new, old = read(fact), read(memory)
    if revalued(memory, fact):
        return Verdict("contradicts", REVALUED, 2.5 if new.short and old.short else 1.5)
    rules = (*ANY_LENGTH, *OF_SHORT) if new.short and old.short else (*ANY_LENGTH, apart)
    verdicts = (rule(new, old) for rule in rules)
    verdict = next((verdict for verdict in verdicts if verdict is not None), None)
    if verdict is not None and verdict.relation == "extends" and exchanged(memory, fact):
        return None  # another value beside more of the same: a model has to say
    if verdict is None or verdict.relation != "contradicts":
        return verdict
    doubtful = (
        _drops_much(new, old, verdict)
        or _narrows(fact, new, old)
        or _may_be_both(new, old)
        or side_by_side(new, old)
    )
    return None if doubtful else verdict


# Words that only deny. "Without" and "can't" are none: they say how, and what somebody is able to.
DENIALS = frozenset("不没无非别再并有") | {
    *("not", "never", "no", "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "longer", "anymore"),
}


# "hazelnuts, not walnuts", "not a beagle but a harrier": what is denied comes with what takes its place.
_INSTEAD = re.compile(
    r"[,，]\s*not\b|\bnot\b[^.,]*,?\s*(?:but|that)\b|\binstead of\b|\brather than\b|不是|并非", re.I
)


def _narrows(fact: str, new: Evidence, old: Evidence) -> bool:
    """Whether a denial adds words of its own ("cheese without peanuts", "never after 5 pm") or another predicate
    ("hates early meetings"): then it speaks of a part, or of something else, and both may hold."""
    if new.negated == old.negated or new.corrected or new.ended or new.replaced or new.changed:
        return False
    if _INSTEAD.search(fact):
        return False
    denying, denied = (new, old) if new.negated else (old, new)
    apart = denying.concepts and denied.concepts and not denying.concepts & denied.concepts
    return bool(apart or denying.words - denied.words - DENIALS)


def _may_be_both(new: Evidence, old: Evidence) -> bool:
    """Whether two values of one kind may stand side by side: bicycles 1 and 2; living with someone, and somewhere."""
    if new.corrected or new.changed or new.ended or new.replaced:
        return False
    if "has" in new.many & old.many and new.objects != old.objects and not (new.copular and old.copular):
        return True
    somewhere = bool(new.names) if not new.chinese else "住在" in new.plain or "住" not in new.plain
    return "home" in new.one & old.one and not somewhere


def _drops_much(new: Evidence, old: Evidence, verdict: Verdict) -> bool:
    """Whether a replacement on weak evidence would drop more than one value."""
    dropped = [word for word in old.objects - new.words if not dated([word])]
    return verdict.weight < 2 and len(dropped) > (8 if old.chinese else 3)


def replaceable(fact: str, memory: str) -> bool:
    """Whether a fact may take the place of a memory on a model's word: it drops one value, not several, and
    not one of many ("likes coffee") unless it speaks of a change."""
    new, old = read(fact), read(memory)
    speaks_of_change = new.changed or new.ended or new.corrected or new.negated != old.negated
    if old.past and not speaks_of_change:
        return False  # of events there can be another
    if new.many & old.many and not speaks_of_change:
        return covered(shared_objects(new, old), old, 0.6)
    dropped = [word for word in old.objects - new.words if not dated([word])]
    return len(dropped) <= (8 if old.chinese else 3)


def believable(relation: Relation, fact: str, memory: str) -> Relation:
    """The strongest part of a relation that the words support: for answers of a model that guesses.

    Without words in common nothing is believed; "contradicts", which replaces, only where the statements
    share most of what they say, or where the fact speaks of a change.
    """
    new, old = read(fact), read(memory)
    shared = shared_objects(new, old)
    smaller = min(len(new.objects), len(old.objects)) or 1
    share = len(shared) / smaller
    speaks_of_change = new.changed or new.ended or new.corrected or new.negated
    if not shared:
        return "different"
    if relation == "contradicts" and covered(shared, old, 0.6) and (share >= 0.6 or speaks_of_change):
        return "contradicts"
    if (
        relation in ("same", "less")
        and share >= 0.6
        and new.numbers <= old.numbers
        and new.names <= old.names
    ):
        return relation
    if relation != "different" and share >= 0.5 and not new.many & old.many:
        return "extends"
    return "different"
