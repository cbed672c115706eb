"""What is made of a model's word on one fact and one memory: believed, weakened, or put aside.

Small models see well whether two statements say the same or speak of one thing, and badly whether both may hold:
the 1.5B model calls half of all near but distinct pairs, and most extensions, "changes". So the words decide there:
what a new statement covers is extended, and what may stand beside it is not replaced.
"""

from __future__ import annotations

from .data import Verdict
from .evidence import Evidence, dated, read
from .likelihood import likelihood
from .pairs import (
    covers,
    in_common,
    leaves_values,
    left_out,
    of_another,
    of_others,
    says_less,
    says_more,
    share_half,
    takes_its_place,
    tells_more,
    tells_of_its_change,
)
from .relations import DENIALS, REVALUED, judged, replaceable
from .rules import (
    NOTHING,
    shared_objects,
    side_by_side,
    speaks_of_change,
)
from .values import (
    covers_dates,
    exchanged,
    same_occasion,
)

BY_MODEL = "decided by the model"
# Of pairs without a word in common the 1.5B model calls 2 of 40 unrelated ones "same", and most that are so. All of
# the latter have at least this cosine (bundled embedder). They are joined, so that nothing is lost by an error.
ALIKE_COSINE = 0.2

# Likelihoods above which a pair is taken together where the words leave it open. Cross-validated over authors, 0.5
# does best (`bench/merging_weights.py`); in conversations most facts that are alike are two, which the cases do not
# show.
LIKELY, LIKELY_NAMED = 0.5, 0.8
TAKEN_TOGETHER = "speaks of the same, by all signals together"
# Of a fact that is called the same: how many of its words a memory may lack and still say it all. More is joined.
UNKNOWN, UNKNOWN_CHINESE = 1, 2


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


def weighed(
    answer: str, fact: str, memory: str, similarity: float, *, named: bool = False, akin: bool = True
) -> Verdict:
    """The relation of a pair, from the model's answer ("same", "adds", "changes" or "different") and the words.

    similarity: their cosine. named: whether named people told them, of whom most facts that are alike are two.
    akin: whether their words alone show that they speak of one thing; else only "same" is believed, and what begins
    with what is known. Without a word in common nothing is replaced and no fact is dropped.
    """
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if answer == "different" or (new.subject and old.subject and known and known.relation == "different"):
        return Verdict("different", BY_MODEL)
    if of_others(new, old) or (answer != "same" and of_another(fact, memory)):
        return Verdict("different", "about someone or something else")
    told = _by_words(answer, fact, memory, similarity, akin=akin)
    if named and told == Verdict("extends", BY_MODEL) and not old.short:
        return Verdict("different", "both may hold")  # else memories of people who chat grow without end
    if told == Verdict("contradicts", BY_MODEL) and not takes_its_place(fact, memory):
        return Verdict("extends", BY_MODEL)
    apart = known is not None and known.relation == "different" and not speaks_of_change(new, old)
    if told.relation != "different" or apart or not akin or (named and not old.short):
        return told
    return _taken_together(answer, fact, memory, similarity, LIKELY_NAMED if named else LIKELY) or told


def _taken_together(answer: str, fact: str, memory: str, similarity: float, enough: float) -> Verdict | None:
    """The relation of a pair that the words leave open, where all signals together say that it is of one thing."""
    new, old = read(fact), read(memory)
    if not shared_objects(new, old) - DENIALS or likelihood(answer, fact, memory, similarity) < enough:
        return None
    changes = exchanged(memory, fact) or speaks_of_change(new, old) or new.negated != old.negated
    return Verdict("contradicts" if changes else "extends", TAKEN_TOGETHER)


def _by_words(answer: str, fact: str, memory: str, similarity: float, *, akin: bool) -> Verdict:
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if not in_common(new, old):
        alike = answer == "same" and similarity >= ALIKE_COSINE and new.short and old.short
        return Verdict("extends", BY_MODEL) if alike else Verdict("different", NOTHING)
    if known and known.reason == REVALUED:
        return known
    if says_less(new, old):
        return Verdict("less", "already known in more detail")
    told = shared_objects(new, old) - DENIALS - new.names - old.names
    if new.negated != old.negated and share_half(told, new, old):
        return Verdict("contradicts", "says the opposite of what was known")
    if answer == "same":
        return _same(new, old, covers_dates(memory, fact))
    if not akin:
        same = same_occasion(memory, fact) and len(shared_objects(new, old) - DENIALS) > 1
        return Verdict("extends", BY_MODEL) if same else Verdict("different", "both may hold")
    if tells_more(fact, memory, changes=answer == "changes"):
        return Verdict("extends", BY_MODEL)
    if same_occasion(memory, fact) and shared_objects(new, old):
        return Verdict("extends", BY_MODEL)
    if answer == "changes" and tells_of_its_change(new, old) and not side_by_side(new, old):
        return Verdict("extends" if left_out(new, old) else "contradicts", BY_MODEL)
    if not (new.short and old.short) and not covers(new, old):
        return Verdict("different", "both may hold")
    if says_more(new, old):
        return Verdict("extends", BY_MODEL)
    if answer == "adds":
        told = old.objects - old.names - old.subject
        half = 2 * len(new.objects & told) >= len(told)
        return Verdict("extends", BY_MODEL) if half else Verdict("different", "both may hold")
    if old.one - new.one and not speaks_of_change(new, old):
        return Verdict("different", "both may hold")  # it tells of what the fact does not touch
    if side_by_side(new, old) or not replaceable(fact, memory) or leaves_values(fact, memory):
        return Verdict("different", "both may hold")
    if left_out(new, old):
        return Verdict("extends", BY_MODEL)
    return Verdict("contradicts", BY_MODEL)


def _same(new: Evidence, old: Evidence, known_dates: frozenset[str]) -> Verdict:
    """Said already, unless the words differ in what tells statements apart; joined where half of them are new."""
    exact = (new.numbers | new.names) - old.words - old.names - known_dates
    if new.persons and old.persons and not new.persons & old.persons and "partner" not in new.one & old.one:
        return Verdict("different", "about someone else")
    if exact and not dated(exact) and not covers(new, old):
        return Verdict("different", "both may hold")
    told = new.objects - known_dates
    mostly_new = 2 * len(told - old.words) >= len(told) > 0
    if 2 * len(new.words) <= len(old.words) and told & old.words and not exact:
        mostly_new = False  # short and vague beside a memory that tells much
    if mostly_new and not (new.short and old.short):
        return Verdict("different", "both may hold")
    unknown = len(told - old.words) > (UNKNOWN_CHINESE if new.chinese else UNKNOWN)
    return Verdict("extends" if exact or mostly_new or unknown or covers(new, old) else "same", BY_MODEL)
