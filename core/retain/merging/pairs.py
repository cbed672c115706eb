"""What the words of a fact and of a memory show of how the two stand to each other, once a model was asked."""

from __future__ import annotations

from difflib import SequenceMatcher

from .composing import clauses
from .evidence import Evidence, dated, read
from .relations import DENIALS, judged
from .rules import covered, in_order, introduced, places, shared_objects, speaks_of_change
from .values import begins_with_known, exchanged, on_other_days, values, with_values

# Chinese characters: of what a statement begins with, and of what two share behind it.
SUBJECT, ALIKE_RUN = 4, 2


def takes_its_place(fact: str, memory: str) -> bool:
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


def of_others(new: Evidence, old: Evidence) -> bool:
    """Whether two statements are about two people."""
    apart = bool(new.others and old.others) and new.others.isdisjoint(old.persons)
    apart = apart and not (new.corrected and new.denied & old.words)
    return apart and "partner" not in new.one & old.one


def of_another(fact: str, memory: str) -> bool:
    """Whether two statements of one form differ in several places or in what they begin with, or tell an event of
    another day."""
    new, old = read(fact), read(memory)
    if new.subject and new.subject.isdisjoint(old.words) and not (old.subject or new.corrected):
        return True  # about a thing that the memory, which tells of the user, does not mention
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


def left_out(new: Evidence, old: Evidence) -> bool:
    """Whether a memory's name or number is just not spoken of, with nothing in its place: that still holds."""
    if new.ended or new.corrected or new.replaced or new.negated != old.negated or old.intended:
        return False
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    passed = [old.sequence[i:j] for tag, i, j, _, _ in steps if tag == "delete"]
    exact = any(word in old.names | old.numbers for words in passed for word in words)
    return exact or any(len(words) > 1 and "在" + "".join(words) in old.plain for words in passed)


def tells_of_its_change(new: Evidence, old: Evidence) -> bool:
    """Whether a statement that speaks of a change or an end does so of what the memory tells."""
    shared = shared_objects(new, old) - DENIALS - new.subject
    return speaks_of_change(new, old) and not old.past and not old.many - new.many and bool(shared)


def says_less(new: Evidence, old: Evidence) -> bool:
    """Whether all that a statement says, or all but a word, is part of what the memory says."""
    if speaks_of_change(new, old) or new.intended != old.intended or new.numbers - old.numbers or new.negated:
        return False
    if new.others != old.others or new.names - old.words - old.names or not in_order(new, old):
        return False
    return bool(new.objects) and new.objects <= old.words and len(new.words) < len(old.words)


def share_half(shared: frozenset[str], new: Evidence, old: Evidence) -> bool:
    return len(shared) > 0 and 2 * len(shared) >= min(len(new.objects - DENIALS), len(old.objects - DENIALS))


def tells_more(fact: str, memory: str, *, changes: bool) -> bool:
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


def leaves_values(fact: str, memory: str) -> bool:
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


def says_more(new: Evidence, old: Evidence) -> bool:
    """Whether a statement that is said to change another tells more of it instead."""
    if new.ended or new.corrected or new.negated != old.negated or (old.intended and not new.intended):
        return False
    begins = (
        old.subject < new.subject <= old.words
    )  # "Joanna's screenplay is …" after "Joanna wrote a screenplay"
    about = (begins or introduced(new, old)) and not new.keyed & old.keyed
    return covers(new, old) or (about and not speaks_of_change(new, old))


def in_common(new: Evidence, old: Evidence) -> bool:
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


def covers(new: Evidence, old: Evidence) -> bool:
    """Whether a statement says all that the memory says, a concept's word aside ("is learning the piano")."""
    return bool(old.objects) and old.objects <= new.words and old.numbers <= new.numbers
