"""What of two statements tells how the newer one stands to the older: signals in [-1.5, 1.5], most of them 0 or 1.

None of them decides. What each is worth is fitted on cases (`likelihood`), so that a signal that is wrong in one
case in three may still be right about the two others.
"""

from __future__ import annotations

import math
import re
from difflib import SequenceMatcher

from . import lexicon
from .evidence import Evidence, dated, is_concept, normalised, read
from .states import STATES
from .values import begins_with_known, exchanged, values

# Words that only deny. "Without" and "can't" are none: they say how, and what somebody is able to.
DENIALS = frozenset("不没无非别再并有") | {
    *("not", "never", "no", "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "longer", "anymore"),
}
LEAST_SAME = 2  # words that two statements of one form share
MOST_LONGER = 1.5


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


def signals(fact: str, memory: str) -> dict[str, float]:
    """The signals of a pair, by names that tell what they say; "it" is what the memory speaks of.

    Their cosine is none: embedders differ in it, and beside a model's answer it tells nothing more.
    """
    new, old = read(fact), read(memory)
    shared = shared_objects(new, old) - DENIALS
    told, known = new.objects - DENIALS, old.objects - DENIALS
    both = new.words & old.words
    opposite = new.negated != old.negated
    places = _tags(new, old)
    found = {
        "words that are known": len(both) / max(1, len(new.words)),
        "words of the memory": len(both) / max(1, len(old.words)),
        "things that are known": len(shared) / max(1, len(told)),
        "things of the memory": len(shared) / max(1, len(known)),
        "longer": _bounded(math.log((1 + len(new.words)) / (1 + len(old.words)))),
        "all known": bool(new.words) and new.words <= old.words,
        "begins with it": begins_with_known(fact, memory),
        "was introduced": introduced(new, old),
        "begins with “the”": new.definite,
        "tells of a change": new.changed,
        "tells of an end": new.ended,
        "corrects": new.corrected,
        "was intended": old.intended and not new.intended,
        "is intended": new.intended and not old.intended,
        "says the opposite": opposite,
        "affirms what was denied": old.negated and not new.negated,
        "says the opposite of its things": opposite * len(shared) / max(1, min(len(told), len(known))),
        "denies its words": bool(new.denied & old.words),
        "denies and says more": opposite and denies_a_part(new, old),
        "of other concepts": bool(new.concepts and old.concepts and not new.concepts & old.concepts),
        "tells new names or numbers": bool((new.numbers | new.names) - old.words - old.names),
        "leaves out names or numbers": bool((old.numbers | old.names) - new.words - new.names),
        "has other names": _each_has_others(new.names, old.names, new.words, old.words),
        "shares a number": bool(new.numbers & old.numbers),
        "gives another value": bool(exchanged(memory, fact)),
        "gives a first value": _first_value(fact, memory),
        "of what there is one of": bool(new.one & old.one),
        "a change of what there is one of": bool(new.one & old.one) and new.changed,
        "of what there is one of for each": bool(new.keyed & old.keyed),
        "another of what there is one of": bool(new.one & old.one) and _gives_another(new, old),
        "another favourite": bool(told - old.words) and _favourites(new) == _favourites(old) != [],
        "of another status": bool(new.status and old.status and not new.status & old.status),
        "about other people": bool(new.others and old.others) and new.others.isdisjoint(old.persons),
        "about the same people": bool(new.persons & old.persons),
        "the memory is about others": bool(old.others - new.persons) and not introduced(new, old),
        "about another thing": bool(new.subject - old.words) and bool(old.subject - new.words),
        "about a new thing": bool(new.subject) and new.subject.isdisjoint(old.words),
        "about the same thing": bool(new.subject) and new.subject == old.subject,
        "the memory is an event": old.past,
        "ends a state": ends_a_state(new, old),
        "vaguer": new.rough and not old.rough,
        "begins with other words": begins_otherwise(new, old),
        "of one form with other words in it": _alike(new, old) * (places.count("replace") > 1),
        "chinese": new.chinese,
    }
    return {name: float(value) for name, value in found.items()}


def in_order(a: Evidence, b: Evidence) -> bool:
    """Whether the words of the shorter come in the order of the longer, where order matters."""
    if not a.directed and not b.directed:
        return True
    shorter, longer = sorted((a.sequence, b.sequence), key=len)
    rest = iter(longer)
    return all(word in rest for word in shorter)


def told_apart(a: Evidence, b: Evidence) -> bool:
    """Whether two statements differ in a denial, an end, or in whom they are about."""
    partners = "partner" in a.one and "partner" in b.one
    return a.negated != b.negated or a.ended != b.ended or (a.others != b.others and not partners)


def shared_objects(new: Evidence, old: Evidence) -> frozenset[str]:
    """The objects of both; Chinese characters only where two in a row are shared, or where there is but one."""
    both = new.objects & old.objects
    if new.subject == old.subject and not (new.copular and old.copular):
        both -= new.subject
    if not new.chinese or not old.chinese or min(len(new.objects), len(old.objects)) == 1:
        return both
    pairs = "".join(new.pairs & old.pairs)
    return frozenset(word for word in both if word in pairs or len(word) > 1 or word.isdigit())


def speaks_of_change(new: Evidence, old: Evidence) -> bool:
    """Whether the fact itself says that something is other than it was or was thought to be."""
    changed = new.changed and not old.changed
    denied = bool(new.denied & old.words)
    return changed or new.ended or new.corrected or denied or new.negated != old.negated


_FAVOURITE = re.compile(
    r"\bfavou?rite (?:\S+ )*?(\S+) (?:is|are|was|were)\b"
    r"|最(?:喜欢|爱)的(?:[一二三四五]?[个位支部本首道种])?(.{1,6}?)是"
)


def _favourites(one: Evidence) -> list[str]:
    """Of what kind of thing it tells a favourite: "My favourite fantasy film is Dune": "film"."""
    return [english or chinese for english, chinese in _FAVOURITE.findall(one.plain)]


def _gives_another(new: Evidence, old: Evidence) -> bool:
    """Whether two short statements of one concept have no thing in common: "Lives in Oslo", "Lives in Rome"."""
    both_short = new.short and old.short and new.subject == old.subject
    return both_short and bool(new.objects and old.objects) and new.objects.isdisjoint(old.objects)


def introduced(new: Evidence, old: Evidence) -> bool:
    """Whether the memory introduces whom the fact begins with: "daughter Mia", 女儿叫小米."""
    if not new.chinese:
        return bool(new.subject & old.introduced)
    starts = (new.plain[:n] for n in range(2, 7) if n < len(new.plain))
    return any(
        start in old.plain and not is_concept(start) and _introduces(old.plain, start) for start in starts
    )


def _introduces(plain: str, name: str) -> bool:
    before, _, after = plain.rpartition(name)
    return bool(before) and (after in ("", "了") or before.endswith(("叫", *_KIN_CJK)))


_KIN_CJK = tuple(word for word in lexicon.OTHERS if not word.isascii())


def begins_otherwise(new: Evidence, old: Evidence) -> bool:
    """Whether they begin with other words and then say much the same: "The payment service is …", "The mail …"."""
    (first, mine, theirs), *rest = _places(new, old) or [("equal", (), ())]
    if first == "replace" and dated(mine) and dated(theirs):
        first = rest[0][0] if rest else "equal"
    same = sum(len(words) for tag, words, _ in rest if tag == "equal")
    return first == "replace" and same >= LEAST_SAME and _alike(new, old) >= 0.5


def of_another_subject(new: Evidence, old: Evidence) -> bool:
    """Whether both name what they are about, and not the same: "The mail service is …", "The payment service …"; in
    Chinese, whether only what they begin with differs."""
    if new.chinese and old.chinese:
        return [tag for tag, *_ in _places(new, old)] == ["replace", "equal"] and begins_otherwise(new, old)
    return bool(new.subject and old.subject) and new.subject != old.subject and begins_otherwise(new, old)


def of_another_key(new: Evidence, old: Evidence) -> bool:
    """Whether both tell something that there is one of for each, and not of the same: "uses Sentry for errors"."""
    mine, theirs = (
        {word for word in one.objects - one.names - one.subject if not dated([word])} for one in (new, old)
    )
    return bool(new.keyed & old.keyed and mine and theirs) and mine.isdisjoint(theirs)


def introduce_others(new: Evidence, old: Evidence) -> bool:
    """Whether each introduces someone by name, and they have no other word in common."""
    mine, theirs = new.introduced, old.introduced
    return (
        bool(mine and theirs)
        and mine.isdisjoint(theirs)
        and not (new.objects - mine) & (old.objects - theirs)
    )


def _places(new: Evidence, old: Evidence) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """From beginning to end, where they say the same and where other words: tag, words of the new, of the old."""
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    return [(tag, new.sequence[k:m], old.sequence[i:j]) for tag, i, j, k, m in steps]


def _tags(new: Evidence, old: Evidence) -> list[str]:
    """The tags of `_places`, but for places where both only have dates or numbers."""
    return [tag for tag, mine, theirs in _places(new, old) if not (dated(mine) and dated(theirs))]


def _alike(new: Evidence, old: Evidence) -> float:
    """The share of words that come in the same order in both."""
    same = sum(len(mine) for tag, mine, _ in _places(new, old) if tag == "equal")
    return same / max(1, min(len(new.sequence), len(old.sequence)))


def denies_a_part(new: Evidence, old: Evidence) -> bool:
    """Whether a denial has words of its own ("cheese without peanuts", "never after 5 pm"), and so is of a part."""
    if new.corrected or new.ended or new.changed:
        return False
    denying, denied = (new, old) if new.negated else (old, new)
    return bool(denying.words - denied.words - DENIALS)


def says_nothing_new(new: Evidence, old: Evidence) -> bool:
    """Whether all that it says is known, a concept's word aside: "Home is in Oslo" after "Lives in Oslo"."""
    if new.numbers - old.numbers or new.negated != old.negated or new.ended or not in_order(new, old):
        return False
    same = bool(new.objects and new.concepts & old.concepts) and new.objects <= old.objects
    return new.words <= old.words or same


def in_common(new: Evidence, old: Evidence) -> bool:
    """Whether they share a word or a concept, or one ends a state that the other tells of."""
    return bool((new.words | new.concepts) & (old.words | old.concepts)) or ends_a_state(new, old)


def ends_a_state(new: Evidence, old: Evidence) -> bool:
    """Whether it tells what ends a state that somebody was in, and of nobody else."""
    ended = {name for name in new.ends & old.states if new.others <= old.persons or STATES[name].shared}
    return bool(ended) and (new.persons >= old.others or bool(new.names & old.names))


def tells_new(fact: str, memory: str) -> bool:
    """Whether it gives a value, a number or a name that the memory does not, speaks of other people, or says all of
    the memory and more."""
    new, old = read(fact), read(memory)
    if new.persons and old.persons and new.persons.isdisjoint(old.persons):
        return True
    exact = (new.numbers | new.names) - old.words - old.names
    return bool(exact) or bool(exchanged(memory, fact)) or old.words < new.words


def tells_much(new: Evidence, old: Evidence, most: int) -> bool:
    """Whether it says more than so many things that the memory does not, and some that it does."""
    return bool(new.objects & old.words) and len(new.objects - old.words - DENIALS) > most


def of_another_thing(new: Evidence, old: Evidence) -> bool:
    """Whether it is about a thing that the memory, which tells of the user, does not mention."""
    return bool(new.subject) and new.subject.isdisjoint(old.words) and not (old.subject or new.corrected)


def far_apart(new: Evidence, old: Evidence) -> bool:
    """Whether one of them is long, and they share less than half of what the shorter says: a chance."""
    if new.short and old.short:
        return False
    return 2 * len(new.words & old.words) < min(len(new.words), len(old.words))


def differ_twice(new: Evidence, old: Evidence) -> bool:
    """Whether they are of one form with other words in two places: "aisle … short" for "window … long"."""
    places = _tags(new, old)
    return places.count("replace") > 1 and "equal" in places


def _each_has_others(
    mine: frozenset[str], theirs: frozenset[str], said: frozenset[str], known: frozenset[str]
) -> bool:
    return bool(mine - known - theirs) and bool(theirs - said - mine)


def _first_value(fact: str, memory: str) -> bool:
    kinds = {value.kind for value in values(fact)}
    return bool(kinds) and kinds.isdisjoint(value.kind for value in values(memory))


def _bounded(number: float) -> float:
    return max(-MOST_LONGER, min(MOST_LONGER, number))
