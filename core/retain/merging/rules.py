"""What the words of two statements prove: one rule for each kind of evidence, the first that applies decides.

`new` is the fact, `old` the memory. Rules that replace or join are for short statements only; of long ones
only containment and difference are certain.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import takewhile

from . import lexicon
from .data import Verdict
from .evidence import Evidence, dated, is_concept

NOTHING = "nothing in common"


def in_order(a: Evidence, b: Evidence) -> bool:
    """Whether the words of the shorter come in the order of the longer, where order matters."""
    if not a.directed and not b.directed:
        return True
    shorter, longer = sorted((a.sequence, b.sequence), key=len)
    rest = iter(longer)
    return all(word in rest for word in shorter)


def told_apart(a: Evidence, b: Evidence) -> bool:
    partners = "partner" in a.one and "partner" in b.one
    return a.negated != b.negated or a.ended != b.ended or (a.others != b.others and not partners)


def shared_objects(new: Evidence, old: Evidence) -> frozenset[str]:
    """The objects of both; Chinese characters only where two in a row are shared, or where there is but one."""
    both = new.objects & old.objects
    if new.subject == old.subject and not (new.copular and old.copular):
        both -= new.subject
    return _in_pairs(both, new, old)


def _in_pairs(words: frozenset[str], new: Evidence, old: Evidence) -> frozenset[str]:
    if not new.chinese or not old.chinese or min(len(new.objects), len(old.objects)) == 1:
        return words
    pairs = "".join(new.pairs & old.pairs)
    return frozenset(word for word in words if word in pairs or len(word) > 1 or word.isdigit())


def covered(shared: frozenset[str], old: Evidence, share: float = 0.4) -> bool:
    """Whether what is shared is a good part of what the memory says."""
    return len(shared) >= share * len(old.objects)


def places(new: Evidence, old: Evidence) -> int:
    """In how many places they have other words: "aisle … short" for "window … long" are two. Day and hour are one."""
    matched = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    words = [old.sequence[i:j] + new.sequence[k:m] for tag, i, j, k, m in matched if tag == "replace"]
    return len(words) if not all(map(dated, words)) else min(len(words), 1)


def another_inside(new: Evidence, old: Evidence) -> bool:
    """Whether they say the same before and after other words: "the app for Acme is due" and "… for Orion is due"."""
    steps = SequenceMatcher(None, old.sequence, new.sequence, autojunk=False).get_opcodes()
    for (before, *_), (tag, i, j, k, m), (after, *_) in zip(steps, steps[1:], steps[2:], strict=False):
        exchanged = not dated(old.sequence[i:j]) and not dated(new.sequence[k:m])
        if (before, tag, after) == ("equal", "replace", "equal") and exchanged:
            return True
    return False


def speaks_of_change(new: Evidence, old: Evidence) -> bool:
    """Whether the fact itself says that something is other than it was or was thought to be."""
    changed = (new.changed and not old.changed) or (new.replaced and not old.replaced)
    denied = new.denied & old.words
    told = (
        changed
        or new.ended
        or new.corrected
        or (bool(denied) and (not new.chinese or new.denied <= old.words))
    )
    turned = new.turned | old.turned
    denies = new.negated != old.negated and (
        not turned or bool(turned & new.words & old.words) or new.chinese
    )
    return told or denies or (old.intended and new.achieved)


def side_by_side(new: Evidence, old: Evidence) -> bool:
    """Whether two statements that are alike may both hold: of two people, two events, two of many, of a series."""
    if new.others and old.others and not new.others & old.others and "partner" not in new.one & old.one:
        return True
    if speaks_of_change(new, old):
        return False
    if (old.past and not old.copular and not new.one & old.one) or (
        new.many & old.many and not shared_objects(new, old)
    ):
        return True
    if new.persons and old.persons and not new.persons & old.persons:
        return True
    return places(new, old) > 1 and not new.one & old.one


def _denied(new: Evidence, old: Evidence) -> Verdict | None:
    """ "not Austria", "from Slack to Teams": what is denied is what was known."""
    if new.others and old.others and not new.others & old.others:
        return None
    if not new.denied & old.words or (old.negated and not new.corrected):
        return None
    known = frozenset(word for word in old.objects if not dated([word])) or old.objects
    hit = new.denied & (known & _in_pairs(known, new, old) if known else old.words)
    most = 0.3 if new.corrected or new.replaced or new.ended else 0.5
    if hit and len(hit) >= 0.5 * len(new.denied & new.objects or hit) and len(hit) >= most * len(known):
        return Verdict(
            "contradicts", "says that what was known does not hold", 3 + len(hit) / len(new.denied)
        )
    return None


def _favourite(new: Evidence, old: Evidence) -> Verdict | None:
    """Another favourite of the same kind, in whichever order it is said."""
    kinds = [
        found and next(filter(None, found.groups()), None)
        for found in map(_FAVOURITE, (new.plain, old.plain))
    ]
    if not kinds[0] or kinds[0] != kinds[1] or new.others != old.others or new.negated or old.negated:
        return None
    if new.words <= old.words or old.words <= new.words:
        return None
    return Verdict("contradicts", f"another favourite {kinds[0]}", 2)


_FAVOURITE = lexicon.FAVOURITE.search


def _none_of(new: Evidence, old: Evidence) -> Verdict | None:
    """It tells of one where there was none: "Has no pets", "Adopted a kitten"."""
    if new.others - {"dog", "cat", "son", "daughter", "brother", "sister"} or new.negated:
        return None
    if any(none.search(old.plain) and one.search(new.plain) for none, one in lexicon.NONE_OF):
        return Verdict("contradicts", "tells of one where there was none", 2)
    return None


def _elsewhere(new: Evidence, old: Evidence) -> Verdict | None:
    """About two people, two pets, two things."""
    someone_else = Verdict("different", "about someone or something else")
    if (new.denied & old.words and (new.corrected or not new.others | new.subject)) or introduced(new, old):
        return None
    if new.subject and old.subject and new.subject <= old.words and old.subject <= new.words:
        return None  # "Melanie is married to Josh", "Josh is Melanie's husband"
    if new.owner and old.owner and new.owner not in old.plain and old.owner not in new.plain:
        return someone_else
    if new.subject - old.words and old.subject - new.subject:
        return someone_else
    if new.others == old.others or ("partner" in new.one and "partner" in old.one) or _names_in(new, old):
        return None
    if (new.others and old.others) or not shared_objects(new, old):
        return None if new.others & old.others else someone_else
    return None


def _speaks_of_another(a: Evidence, b: Evidence) -> bool:
    """Whether one begins with a name that the other, which begins with none, does not mention."""
    return bool(a.owner) and not b.owner and a.owner not in b.plain


def introduced(new: Evidence, old: Evidence) -> bool:
    """Whether the memory introduces whom the fact begins with."""
    if new.chinese:
        starts = (new.plain[:n] for n in range(2, 7) if n < len(new.plain))
        return any(
            start in old.plain and not is_concept(start) and _introduces(old.plain, start) for start in starts
        )
    return bool(new.subject & old.introduced)


def _introduces(plain: str, name: str) -> bool:
    before, _, after = plain.rpartition(name)
    return bool(before) and (after in ("", "了") or before.endswith(("叫", *_KIN_CJK)))


_KIN_CJK = tuple(word for word in lexicon.OTHERS if not word.isascii())


def _names_in(new: Evidence, old: Evidence) -> bool:
    return bool(new.subject & old.words)


def _reversed(new: Evidence, old: Evidence) -> Verdict | None:
    """One denies or ends what the other says."""
    if (new.negated or new.ended) == (old.negated or old.ended):
        return None
    shared = shared_objects(new, old)
    concept = new.one & old.one
    if not shared and not concept:
        return None
    turned = new.turned if new.negated or new.ended else old.turned
    smaller = min(len(new.objects & turned) or len(new.objects), len(old.objects)) or 1
    if not (new.negated or new.ended or new.changed) and 2 * len(shared) < len(new.objects):
        return None
    share = len(shared & turned) / smaller
    if (new.intended and not old.intended) or (
        new.subject != old.subject and not _names_in(new, old) and new.subject
    ):
        return None
    specific = frozenset(word for word in new.objects & turned if not dated([word]))
    if new.negated or new.ended:
        concept = concept if shared or not specific else frozenset()
        if 2 * len(shared & turned) < len(specific) or (old.one - new.one and not new.one):
            share = 0.0
    if (share >= 0.5 and covered(shared, old)) or (concept and new.ended):
        return Verdict("contradicts", "says the opposite of what was known", 2 + share + len(concept))
    return None


def _contained(new: Evidence, old: Evidence) -> Verdict | None:
    if new.corrected or told_apart(new, old) or not in_order(new, old):
        return None
    if new.words <= new.names:
        return None  # it tells nothing but whom it is about
    if new.words and new.words <= old.words and new.numbers <= old.numbers and new.status:
        return Verdict("less", "already known in more detail")
    if (new.status and old.status and new.status != old.status) or (old.intended and not new.intended):
        return None
    if new.status & old.status and not new.objects:
        return Verdict("less", "already known in more detail")
    if new.words and new.words <= old.words and new.numbers <= old.numbers:
        return Verdict("less", "already known in more detail")
    if old.words and old.words <= new.words and old.numbers <= new.numbers and not new.negated:
        return Verdict("extends", "says what was known and more", 2)
    likes = {"likes", "prefers"}
    alike = new.concepts & old.concepts or (likes & new.concepts and likes & old.concepts)
    if not alike or new.changed or new.achieved or old.intended != new.intended:
        return None
    if not (new.short and old.short):
        return None
    if new.objects and new.objects <= old.objects and new.names <= old.names:
        return Verdict("same" if new.objects == old.objects else "less", "already known in other words")
    if old.objects and old.objects <= new.objects and old.names <= new.names:
        return Verdict("extends", "says what was known and more", 1)
    return None


def _vague(new: Evidence, old: Evidence) -> Verdict | None:
    """ "About sixty thousand" where the exact figure is known."""
    same = bool(new.concepts & old.concepts) and new.others == old.others and not new.changed
    vaguer = new.rough and not old.rough and bool(old.numbers)
    return (
        Verdict("less", "known more exactly")
        if same and vaguer and dated(new.objects - old.objects)
        else None
    )


def _role_and_place(new: Evidence, old: Evidence) -> bool:
    """Whether one says as what somebody works, and the other only where."""
    roles = [bool(re.search(r" as |is an? |当|做|职业", one.plain)) for one in (new, old)]
    places = [bool(re.search(r" (?:at|for|in) |在", one.plain)) for one in (new, old)]
    return roles == [not place for place in places] and roles[0] != roles[1]


def _one(new: Evidence, old: Evidence) -> Verdict | None:
    """Another value of what a person has one of."""
    concepts = new.one & old.one
    same_person = new.others == old.others or "partner" in concepts or introduced(new, old)
    if not concepts or not same_person:
        return None
    if (old.intended and not new.intended and not new.achieved) or new.status & old.status:
        return None
    if _speaks_of_another(new, old) or _speaks_of_another(old, new):
        return Verdict("different", "about someone else")
    elsewhere = new.subject and new.subject != old.subject and not _names_in(new, old)
    if elsewhere or (concepts <= {"age", "vehicle"} and ("has" in new.many) != ("has" in old.many)):
        return None
    shared = shared_objects(new, old)
    if new.status and old.status and not new.status & old.status:
        return Verdict("contradicts", "what was known has changed", 2)
    if old.objects - old.subject and old.objects <= new.objects:
        return Verdict("extends", "says what was known and more", 1)
    if concepts == {"work"} and not new.changed and _role_and_place(new, old):
        return Verdict("extends", "says more of the same work", 1)
    if shared - old.subject and not new.changed and not dated(new.objects ^ old.objects):
        return None
    return Verdict(
        "contradicts",
        f"a new value of what there is one of: {', '.join(sorted(concepts))}",
        1 + len(concepts),
    )


def _rescheduled(new: Evidence, old: Evidence) -> Verdict | None:
    """The same but for a number, a date or a time."""
    only_new, only_old = new.objects - old.objects, old.objects - new.objects
    shared = shared_objects(new, old)
    if not only_new or not only_old or new.others != old.others:
        return None
    if dated(only_new) and dated(only_old) and any(not dated([w]) for w in shared | (new.keyed & old.keyed)):
        if old.past and not (new.corrected or new.changed):
            return Verdict("different", "another event")
        return Verdict("contradicts", "the same with another number or date", 2)
    return None


def _achieved(new: Evidence, old: Evidence) -> Verdict | None:
    if (
        old.intended
        and not new.intended
        and (new.achieved or new.changed)
        and shared_objects(new, old)
        and covered(shared_objects(new, old), old)
    ):
        return Verdict("contradicts", "what was intended has happened", 1)
    return None


def _side_by_side(new: Evidence, old: Evidence) -> Verdict | None:
    if new.corrected or new.changed or (new.others != old.others and new.subject):
        return None
    if new.many & old.many and not shared_objects(new, old):
        return Verdict("different", "of such things there can be many")
    return None


def _keyed(new: Evidence, old: Evidence) -> Verdict | None:
    if new.replaced and (old.copular or new.definite) and new.subject and new.subject == old.subject:
        return Verdict("contradicts", "another value of the same", 1)
    shared, keys = shared_objects(new, old), new.keyed & old.keyed
    same_owner = new.subject == old.subject and (new.owner == old.owner or not new.chinese or new.corrected)
    if "name" in keys and same_owner and new.others == old.others and not shared and not new.many | old.many:
        return Verdict("contradicts", "another name of the same", 1)
    if keys == {"name"} and "has" in new.many & old.many and not (new.changed or new.corrected):
        return Verdict("different", "one of another name")
    if not new.keyed & old.keyed and old.many - new.many:
        return None
    only = new.objects - old.words, old.objects - new.words
    if keys == {"date"} and not any(map(dated, only)) and not speaks_of_change(new, old):
        return None  # two appointments
    copular = new.copular and old.copular
    replaces = new.corrected or new.replaced or (new.changed and (copular or covered(shared, old, 0.6)))
    if not keys and new.chinese and not old.copular:
        shared -= frozenset(
            a for a, _ in takewhile(lambda p: p[0] == p[1], zip(new.sequence, old.sequence, strict=False))
        )
    if (keys or replaces) and new.others == old.others and shared:
        share = len(shared) / min(len(new.objects), len(old.objects))
        if share >= 0.5 and covered(shared, old, 0.5):
            return Verdict("contradicts", "another value of the same", 1 + share)
    return None


def _substituted(new: Evidence, old: Evidence) -> Verdict | None:
    """The same thing, said with the same words but for one: "The API is hosted on …"."""
    if new.others != old.others:
        return None
    stem, _, _ = new.plain.partition("是")
    if len(stem) > 2 and old.plain.startswith(f"{stem}是") and not new.negated:
        return Verdict("contradicts", "another value of the same", 1)
    if new.many & old.many:
        return None
    units = (list(new.plain), list(old.plain)) if new.chinese else (new.plain.split(), old.plain.split())
    same = next((i for i, (a, b) in enumerate(zip(*units, strict=False)) if a != b), min(map(len, units)))
    frame, rest = (same >= 4, 8) if new.chinese else (same >= 3 and new.states and bool(new.subject), 3)
    if frame and max(map(len, units)) - same <= rest and new.subject == old.subject:
        return Verdict("contradicts", "another value of the same", 1)
    return None


def _about(new: Evidence, old: Evidence) -> Verdict | None:
    """It begins with what the memory introduces or ends with, or with "the" thing that it speaks of."""
    known = new.definite and new.subject and new.subject <= old.words - old.subject
    if not new.keyed & old.keyed and (known or (introduced(new, old) and not new.one & old.one)):
        return Verdict("extends", "says more of what was known", 1)
    return None


def apart(new: Evidence, old: Evidence) -> Verdict | None:
    if not new.words & old.words and not new.concepts & old.concepts and not new.corrected:
        return Verdict("different", NOTHING)
    return None


ANY_LENGTH = (_favourite, _none_of, _elsewhere, _contained)
OF_SHORT = (
    _denied,
    _reversed,
    _vague,
    _rescheduled,
    _achieved,
    _about,
    _one,
    _side_by_side,
    _keyed,
    _substituted,
    apart,
)
