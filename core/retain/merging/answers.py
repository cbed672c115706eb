"""What is made of a model's word on one fact and one memory: believed, weakened, or put aside.

Small models see well whether two statements say the same or speak of one thing, and badly whether both may hold:
the 1.5B model calls half of all near but distinct pairs, and most extensions, "changes". So the words decide there:
what a new statement covers is extended, and what may stand beside it is not replaced.
"""

from __future__ import annotations

from .data import Verdict
from .evidence import Evidence, dated, read
from .relations import judged, replaceable
from .rules import NOTHING, introduced, shared_objects, side_by_side, speaks_of_change

BY_MODEL = "decided by the model"
# Of pairs without a word in common the 1.5B model calls 2 of 40 unrelated ones "same", and most that are so. All of
# the latter have at least this cosine (bundled embedder). They are joined, so that nothing is lost by an error.
ALIKE_COSINE = 0.2


def settled(verdict: Verdict | None, fact: str, memory: str) -> bool:
    """Whether the words are certain enough that no model need be asked."""
    if verdict is None:
        return False
    new, old = read(fact), read(memory)
    if verdict.relation == "contradicts":
        return verdict.weight >= 2 or bool((new.one | new.keyed) & (old.one | old.keyed))
    if verdict.relation == "extends":
        return not speaks_of_change(new, old) and new.intended == old.intended
    if verdict.relation == "different":
        both_named = bool(new.subject and old.subject) and verdict.reason != NOTHING
        return both_named or side_by_side(new, old)
    return True


def weighed(answer: str, fact: str, memory: str, similarity: float) -> Verdict:
    """The relation of a pair, from the model's answer ("same", "adds", "changes" or "different") and the words.

    similarity: their cosine. Without a word in common nothing is replaced and no fact is dropped.
    """
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if answer == "different" or (new.subject and old.subject and known and known.relation == "different"):
        return Verdict("different", BY_MODEL)
    if not _in_common(new, old):
        alike = answer == "same" and similarity >= ALIKE_COSINE and new.short and old.short
        return Verdict("extends", BY_MODEL) if alike else Verdict("different", NOTHING)
    if shared_objects(new, old) and new.negated != old.negated:
        return Verdict("contradicts", "says the opposite of what was known")
    if answer == "same":
        return _same(new, old)
    if not (new.short and old.short) and not _covers(new, old):
        return Verdict("different", "both may hold")
    if _says_more(new, old):
        return Verdict("extends", BY_MODEL)
    if answer == "adds":
        told = old.objects - old.names - old.subject
        half = 2 * len(new.objects & told) >= len(told)
        return Verdict("extends", BY_MODEL) if half else Verdict("different", "both may hold")
    if old.one - new.one and not speaks_of_change(new, old):
        return Verdict("different", "both may hold")  # it tells of what the fact does not touch
    if side_by_side(new, old) or not replaceable(fact, memory):
        return Verdict("different", "both may hold")
    return Verdict("contradicts", BY_MODEL)


def _same(new: Evidence, old: Evidence) -> Verdict:
    """Said already, unless the words differ in what tells statements apart; joined where half of them are new."""
    exact = (new.numbers | new.names) - old.words - old.names
    if new.persons and old.persons and not new.persons & old.persons and "partner" not in new.one & old.one:
        return Verdict("different", "about someone else")
    if exact and not dated(exact) and not _covers(new, old):
        return Verdict("different", "both may hold")
    mostly_new = 2 * len(new.objects - old.words) >= len(new.objects)
    if mostly_new and not (new.short and old.short):
        return Verdict("different", "both may hold")
    return Verdict("extends" if exact or mostly_new or _covers(new, old) else "same", BY_MODEL)


def _says_more(new: Evidence, old: Evidence) -> bool:
    """Whether a statement that is said to change another tells more of it instead."""
    if new.ended or new.corrected or new.negated != old.negated or (old.intended and not new.intended):
        return False
    begins = (
        old.subject < new.subject <= old.words
    )  # "Joanna's screenplay is …" after "Joanna wrote a screenplay"
    about = (begins or introduced(new, old)) and not new.keyed & old.keyed
    return _covers(new, old) or (about and not speaks_of_change(new, old))


def _in_common(new: Evidence, old: Evidence) -> bool:
    """Whether they share a word that is no date and no name, or a concept of which there is one.

    Of long statements, which share words by chance, half of what the shorter says.
    """
    subject = frozenset[str]() if new.copular and old.copular else new.subject & old.subject
    named = new.names | old.names | subject
    words = (new.words & old.words) - named
    if new.short and old.short:
        concept = (new.one | new.keyed) & (old.one | old.keyed)
        return not dated(words) or bool(concept) or (new.replaced and bool(new.words & old.words))
    return len(words) >= 0.5 * min(len(new.words - named), len(old.words - named))


def _covers(new: Evidence, old: Evidence) -> bool:
    """Whether a statement says all that the memory says, a concept's word aside ("is learning the piano")."""
    return bool(old.objects) and old.objects <= new.words and old.numbers <= new.numbers
