"""What is made of a model's word on one fact and one memory: believed, weakened, or put aside.

Small models see well whether two statements say the same or speak of one thing, and badly whether both may hold:
the 1.5B model calls half of all near but distinct pairs, and most extensions, "changes". So the words decide there:
what a new statement covers is extended, and what may stand beside it is not replaced.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from .composing import clauses
from .data import Verdict
from .evidence import Evidence, dated, read
from .likelihood import likelihood
from .relations import DENIALS, REVALUED, judged, replaceable
from .rules import (
    NOTHING,
    covered,
    in_order,
    introduced,
    places,
    shared_objects,
    side_by_side,
    speaks_of_change,
)
from .values import (
    begins_with_known,
    covers_dates,
    exchanged,
    on_other_days,
    same_occasion,
    values,
    with_values,
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
SUBJECT, ALIKE_RUN = (
    4,
    3,
)  # Chinese characters: of what a statement begins with, and of what two share behind it


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
    if _of_others(new, old) or (answer != "same" and _of_another(fact, memory)):
        return Verdict("different", "about someone or something else")
    told = _by_words(answer, fact, memory, similarity, akin=akin)
    if told == Verdict("contradicts", BY_MODEL) and not _takes_its_place(fact, memory):
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


def _takes_its_place(fact: str, memory: str) -> bool:
    """Whether the words bear out that a fact takes the place of a memory: another value, a change of what it tells,
    or other words in one place of the same statement. A model's word alone is not enough to drop anything."""
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if with_values(memory, fact) or (known is not None and known.relation == "contradicts"):
        return True
    if (new.one | (new.keyed - {"date"})) & (old.one | old.keyed):
        return True
    shared = len(shared_objects(new, old) - DENIALS)
    if new.others - old.persons and not (new.one & old.one):
        return False
    if old.intended and (new.achieved or new.changed or new.past) and shared:
        return True
    gives_first = bool(values(fact)) and not {v.kind for v in values(fact)} & {v.kind for v in values(memory)}
    if gives_first and not (new.corrected or new.ended or new.turned or old.negated):
        return False  # a value where there was none: nothing has to go for it
    if new.corrected or (new.turned | old.turned) & (new.words & old.words) - DENIALS:
        return True
    if speaks_of_change(new, old) and 3 * shared >= min(len(new.objects), len(old.objects)):
        return True
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    alike = sum(j - i for tag, i, j, _, _ in steps if tag == "equal")
    others = [
        (dated(old.sequence[i:j]), dated(new.sequence[k:m])) for tag, i, j, k, m in steps if tag == "replace"
    ]
    dropped = any(tag == "delete" for tag, *_ in steps)
    return (
        2 * alike >= len(old.sequence) and not dropped and len(others) == 1 and others[0][0] == others[0][1]
    )


def _of_others(new: Evidence, old: Evidence) -> bool:
    """Whether two statements are about two people."""
    apart = bool(new.others and old.others) and new.others.isdisjoint(old.persons)
    apart = apart and not (new.corrected and new.denied & old.words)
    return apart and "partner" not in new.one & old.one


def _of_another(fact: str, memory: str) -> bool:
    """Whether two statements of one form differ in several places or in what they begin with, or tell an event of
    another day."""
    new, old = read(fact), read(memory)
    if new.negated != old.negated or speaks_of_change(new, old):
        return False
    exchanges = exchanged(memory, fact)
    if old.past and exchanges and all(then.kind == "date" for then, _ in exchanges):
        return True
    if old.past and not new.past and on_other_days(memory, fact):
        return True
    if new.subject - old.words and old.subject - new.words:
        return True
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    alike = sum(j - i for tag, i, j, _, _ in steps if tag == "equal")
    if 2 * alike >= min(len(new.sequence), len(old.sequence)) and places(new, old) > 1:
        return True
    if not (new.chinese and old.chinese) or len(steps) < 2:
        return False
    (tag, i, j, k, m), (_, start, end, _, _) = steps[:2]
    begins = tag == "replace" and max(j - i, m - k) <= SUBJECT and not dated(old.sequence[i:j])
    return begins and end - start >= ALIKE_RUN


def _by_words(answer: str, fact: str, memory: str, similarity: float, *, akin: bool) -> Verdict:
    new, old = read(fact), read(memory)
    known = judged(fact, memory)
    if not _in_common(new, old):
        alike = answer == "same" and similarity >= ALIKE_COSINE and new.short and old.short
        return Verdict("extends", BY_MODEL) if alike else Verdict("different", NOTHING)
    if known and known.reason == REVALUED:
        return known
    if _says_less(new, old):
        return Verdict("less", "already known in more detail")
    denied = new.negated != old.negated
    if denied and _half(shared_objects(new, old) - DENIALS, new, old):
        return Verdict("contradicts", "says the opposite of what was known")
    if answer == "same":
        return _same(new, old, covers_dates(memory, fact))
    if not akin:
        same = same_occasion(memory, fact) and len(shared_objects(new, old) - DENIALS) > 1
        return Verdict("extends", BY_MODEL) if same else Verdict("different", "both may hold")
    if _tells_more(fact, memory, changes=answer == "changes"):
        return Verdict("extends", BY_MODEL)
    if same_occasion(memory, fact) and shared_objects(new, old):
        return Verdict("extends", BY_MODEL)
    if answer == "changes" and _changes(new, old) and not side_by_side(new, old):
        return Verdict("extends" if _left_out(new, old) else "contradicts", BY_MODEL)
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
    if side_by_side(new, old) or not replaceable(fact, memory) or _leaves_values(fact, memory):
        return Verdict("different", "both may hold")
    if _left_out(new, old):
        return Verdict("extends", BY_MODEL)
    return Verdict("contradicts", BY_MODEL)


def _left_out(new: Evidence, old: Evidence) -> bool:
    """Whether a memory's name or number is just not spoken of, with nothing in its place: that still holds."""
    if new.ended or new.corrected or new.replaced or new.negated != old.negated or old.intended:
        return False
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    passed = [old.sequence[i:j] for tag, i, j, _, _ in steps if tag == "delete"]
    exact = any(word in old.names | old.numbers for words in passed for word in words)
    return exact or any(len(words) > 1 and "在" + "".join(words) in old.plain for words in passed)


def _changes(new: Evidence, old: Evidence) -> bool:
    """Whether a statement that speaks of a change or an end does so of what the memory tells."""
    shared = shared_objects(new, old) - DENIALS - new.subject
    return speaks_of_change(new, old) and not old.past and not old.many - new.many and bool(shared)


def _says_less(new: Evidence, old: Evidence) -> bool:
    """Whether all that a statement says, or all but a word, is part of what the memory says."""
    if speaks_of_change(new, old) or new.intended != old.intended or new.numbers - old.numbers or new.negated:
        return False
    if new.others != old.others or new.names - old.words - old.names or not in_order(new, old):
        return False
    return bool(new.objects) and new.objects <= old.words and len(new.words) < len(old.words)


def _half(shared: frozenset[str], new: Evidence, old: Evidence) -> bool:
    return len(shared) > 0 and 2 * len(shared) >= min(len(new.objects - DENIALS), len(old.objects - DENIALS))


def _tells_more(fact: str, memory: str, *, changes: bool) -> bool:
    """Whether a statement begins with what a memory speaks of, or with its predicate, and leaves all of it as it is:
    "The JSON files are compressed" after "Saves are kept as JSON files", "Takes 500 mg of metformin"."""
    new, old = read(fact), read(memory)
    if exchanged(memory, fact) or speaks_of_change(new, old) or new.others - old.persons:
        return False
    if old.past and new.past and not new.subject and not new.chinese:
        return False
    if new.chinese or new.subject:
        begins = begins_with_known(fact, memory) and bool(new.objects & old.objects)
        return begins and not (changes and _in_its_place(new, old))
    measured = bool(values(fact)) and not new.names - old.names
    return _core(new) == _core(old) and (measured or not changes)


def _leaves_values(fact: str, memory: str) -> bool:
    """Whether one of a memory's clauses has a value that the fact, which only tells something, leaves as it is."""
    new = read(fact)
    if new.ended or new.corrected or new.replaced or new.negated or exchanged(memory, fact):
        return False
    told = {value.plain for value in values(fact)}
    return len(clauses(memory)) > 1 and any(value.plain not in told for value in values(memory))


def _in_its_place(new: Evidence, old: Evidence) -> bool:
    """Whether a statement says the most of what a memory says, and so has another value for the rest: "The API is
    hosted on …"."""
    return new.short and old.short and covered(shared_objects(new, old) | (new.names & old.names), old, 0.5)


def _core(told: Evidence) -> tuple[str, ...]:
    """The predicate and its object, amounts left out."""
    return tuple(word for word in told.sequence if not dated([word]) and len(word) > 2)[:2]


def _same(new: Evidence, old: Evidence, known_dates: frozenset[str]) -> Verdict:
    """Said already, unless the words differ in what tells statements apart; joined where half of them are new."""
    exact = (new.numbers | new.names) - old.words - old.names - known_dates
    if new.persons and old.persons and not new.persons & old.persons and "partner" not in new.one & old.one:
        return Verdict("different", "about someone else")
    if exact and not dated(exact) and not _covers(new, old):
        return Verdict("different", "both may hold")
    told = new.objects - known_dates
    mostly_new = 2 * len(told - old.words) >= len(told) > 0
    if 2 * len(new.words) <= len(old.words) and told & old.words and not exact:
        mostly_new = False  # short and vague beside a memory that tells much
    if mostly_new and not (new.short and old.short):
        return Verdict("different", "both may hold")
    unknown = len(told - old.words) > (UNKNOWN_CHINESE if new.chinese else UNKNOWN)
    return Verdict("extends" if exact or mostly_new or unknown or _covers(new, old) else "same", BY_MODEL)


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
    named = subject if speaks_of_change(new, old) else new.names | old.names | subject
    words = (new.words & old.words) - named - DENIALS
    if new.short and old.short:
        concept = (new.one | new.keyed) & (old.one | old.keyed)
        return not dated(words) or bool(concept) or (new.replaced and bool(new.words & old.words))
    return len(words) >= 0.5 * min(len(new.words - named), len(old.words - named))


def _covers(new: Evidence, old: Evidence) -> bool:
    """Whether a statement says all that the memory says, a concept's word aside ("is learning the piano")."""
    return bool(old.objects) and old.objects <= new.words and old.numbers <= new.numbers
