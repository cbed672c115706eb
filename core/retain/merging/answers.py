"""What is made of a model's word on one fact and one memory: believed, weakened, or put aside.

Small models see well whether two statements say the same or speak of one thing, and badly whether both may hold:
the 1.5B model calls half of all near but distinct pairs, and most extensions, "changes". So the words decide there:
what a new statement covers is extended, and what may stand beside it is not replaced.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from .data import Verdict
from .evidence import Evidence, dated, read
from .relations import judged, replaceable
from .rules import introduced, shared_objects

BY_MODEL = "decided by the model"


def places(new: Evidence, old: Evidence) -> int:
    """In how many places one has other content words than the other: "aisle … short" for "window … long" are two."""
    matched = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False)
    return sum(1 for tag, *_ in matched.get_opcodes() if tag == "replace")


def speaks_of_change(new: Evidence, old: Evidence) -> bool:
    """Whether the fact itself says that something is other than it was or was thought to be."""
    told = new.changed or new.replaced or new.ended or new.corrected or bool(new.denied & old.words)
    return told or new.negated != old.negated or (old.intended and new.achieved)


def side_by_side(new: Evidence, old: Evidence) -> bool:
    """Whether two statements that are alike may both hold: two people, two events, two of many, two of a series."""
    if new.others and old.others and not new.others & old.others and "partner" not in new.one & old.one:
        return True
    if speaks_of_change(new, old):
        return False
    if old.past or (new.many & old.many and not shared_objects(new, old)):
        return True
    return places(new, old) > 1 and not new.one & old.one


def settled(verdict: Verdict | None, fact: str, memory: str) -> bool:
    """Whether the words are certain enough that no model need be asked."""
    if verdict is None:
        return False
    new, old = read(fact), read(memory)
    if verdict.relation == "extends":
        return not speaks_of_change(new, old)
    if verdict.relation == "different":
        both_named = bool(new.subject and old.subject) and new.names != old.names
        return both_named or side_by_side(new, old)
    return True


def weighed(answer: str, fact: str, memory: str) -> Verdict:
    """The relation of a pair, from the model's answer ("same", "adds", "changes" or "different") and the words."""
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if answer == "different" or (new.subject and old.subject and known and known.relation == "different"):
        return Verdict("different", BY_MODEL)
    if answer == "same":
        return _same(new, old)
    if answer == "adds":
        return Verdict("extends", BY_MODEL)
    if _covers(new, old) or (introduced(new, old) and not speaks_of_change(new, old)):
        return Verdict("extends", BY_MODEL)
    if side_by_side(new, old) or not replaceable(fact, memory):
        return Verdict("different", "both may hold")
    return Verdict("contradicts", BY_MODEL)


def _same(new: Evidence, old: Evidence) -> Verdict:
    """Said already, unless the words differ in what tells statements apart."""
    unsaid = (new.numbers | new.names) - old.words - old.names
    if new.others and old.others and not new.others & old.others:
        return Verdict("different", "about someone else")
    if shared_objects(new, old) and new.negated != old.negated:
        return Verdict("contradicts", "says the opposite of what was known")
    if unsaid and not dated(unsaid) and not _covers(new, old):
        return Verdict("different", "both may hold")
    if unsaid:
        return Verdict("extends", BY_MODEL)
    return Verdict("same", BY_MODEL)


def _covers(new: Evidence, old: Evidence) -> bool:
    """Whether a statement says all that the memory says, a concept's word aside ("is learning the piano")."""
    return bool(old.objects) and old.objects <= new.words and old.numbers <= new.numbers
