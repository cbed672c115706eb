"""What code can tell about one statement: what and whom it is about, its details, what it denies or changes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ..lexical import terms
from ..numerals import in_digits
from . import lexicon, states

CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
IS_CJK = re.compile(rf"[{CJK}]")
_TOKEN = re.compile(rf"\d+(?:[.,:/-]\d+)*[年月日号点分岁个]?|[{CJK}]|[^\s{CJK}]+")
_NUMBER = re.compile(r"\d")
_CODE = re.compile(r"(?<![\w.-])[A-Za-z][A-Za-z.-]*\d(?:[\w.-]*\w)?")
_NAME = re.compile(r"(?<!^)\b[a-z]{0,3}[A-Z][\w'’-]*|^[a-z]{1,3}[A-Z]\w*")  # "Ana", "iPhone"
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9+#.'’-]*")
STOP = r"(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bSt)(?<!\bProf)\.(?:\s|$)"  # "Dr. Huang" is one clause
_APOSTROPHES = frozenset("'’`ʼ")
_KEPT = frozenset("#%@&*")  # C#, 50%, addresses: they tell things apart
_DATED = re.compile(
    r"^[a-z]*\d.*$|^(?:jan|feb|mar|march|apr|april|may|may_|jun|june|jul|juli|aug|august|sep|septemb|oct|octob|nov|novemb"
    r"|dec|decemb|monday|tuesday|wednesday|thursday|friday|saturday|sunday|januari|februari|am|pm|hour|minut|noon|hundr|thousand|million|last|next|ago|day|week|month|year)$"
    r"|^[一二三四五六七八九十年月日号点分半周百千万亿块元]$"
)

# Content words (of Chinese, characters) of a statement short enough to be about one thing. Memories longer
# than that are replaced only on a model's word: of LoCoMo's observations (median 10) code would wrongly join
# every second one.
SHORT = 9
SHORT_CHINESE = 22


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement, read by code.

    sequence: its content words in order, stemmed, synonyms folded; of Chinese, its content characters.
    words: the same as a set.
    one / keyed / many: which concepts of the lexicon it mentions.
    objects: the content words that are no concept and no remark: what it says of those concepts.
    numbers / names: numbers in digits; names lower-cased; within Chinese, Latin words count as names.
    codes: words of letters and digits, lower-cased: "eu-west-1".
    others: whom it is about besides the speaker ("sister", "dog"), not who takes part ("with her sister").
    persons: the same, wherever in the statement.
    status: the value of a concept whose words are its values ("married").
    directed: word order matters ("tabs over spaces").
    subject: the words before its first verb ("Max is nine": "max"); empty for "Likes tea", and for Chinese,
        where `plain`, the normalised text, begins with it.
    copular: its first verb is "is", "was" ...: it says of its subject what it is.
    definite: its subject is introduced by "the": it is known already.
    introduced: names that it introduces ("named Rex", "daughter Mia").
    pairs: pairs of adjacent Chinese characters: single ones are shared by chance.
    denied: the content words of what it says is not, or no longer, so.
    states / ends: which of `states.STATES` somebody is in by it, and which they are in no more.
    """

    sequence: tuple[str, ...]
    words: frozenset[str]
    one: frozenset[str]
    keyed: frozenset[str]
    many: frozenset[str]
    objects: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    codes: frozenset[str]
    others: frozenset[str]
    persons: frozenset[str]
    status: frozenset[str]
    directed: bool
    subject: frozenset[str]
    copular: bool
    definite: bool
    introduced: frozenset[str]
    plain: str
    pairs: frozenset[str]
    denied: frozenset[str]
    states: frozenset[str]
    ends: frozenset[str]
    negated: bool
    past: bool
    ended: bool
    changed: bool
    corrected: bool
    intended: bool
    rough: bool
    chinese: bool

    @property
    def short(self) -> bool:
        """One statement rather than several: what the rules that replace or compose are made for."""
        return len(self.sequence) <= (SHORT_CHINESE if self.chinese else SHORT)

    @property
    def called(self) -> frozenset[str]:
        """The names, and the codes of letters and digits that serve as such: "eu-west-1"."""
        return self.names | self.codes

    @property
    def concepts(self) -> frozenset[str]:
        return self.one | self.keyed | self.many


# The month, which otherwise is taken for the verb.
_IN_MAY = re.compile(
    "|".join(rf"(?<=\b{word} )may\b" for word in sorted(lexicon.BEFORE_MONTHS))
    + r"|(?<=\d )may\b|(?<=\dth )may\b|\bmay(?= \d)"
)


def normalised(text: str) -> str:
    """Case, width, punctuation and spacing removed: equal for texts that differ in nothing else."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    joined = " ".join("".join(_kept(folded, i) for i in range(len(folded))).split())
    joined = _IN_MAY.sub("may_", joined)
    return re.sub(rf"(?<=[{CJK}]) | (?=[{CJK}])", "", joined)


def _kept(text: str, position: int) -> str:
    """The character there, a space in the place of punctuation between words, nothing for an apostrophe."""
    character = text[position]
    if character in _APOSTROPHES:
        return ""
    if unicodedata.category(character)[0] not in "PZC" or character in _KEPT:
        return character
    before, after = text[max(position - 1, 0) : position], text[position + 1 : position + 2]
    if character in "-−" and after.isdigit() and not before.strip():
        return "-"  # a negative number
    inside = before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
    return character if inside and character in ".,:/_" else " "


@lru_cache(maxsize=4096)
def read(text: str) -> Evidence:
    """The evidence in `text`."""
    plain = normalised(lexicon.without_preface(text))
    full = normalised(text)
    negated = _negated(plain)
    return Evidence(
        sequence=tuple(_words(plain)),
        words=frozenset(_words(plain)),
        one=_mentioned(lexicon.UNCHANGED.sub(" ", plain), lexicon.ONE),
        keyed=_mentioned(plain, lexicon.KEYED),
        many=_mentioned(plain, lexicon.MANY),
        objects=frozenset(_words(_without_concepts(plain))),
        numbers=frozenset(word for word in _words(plain) if _NUMBER.search(word)),
        names=frozenset(_names(text)),
        codes=frozenset(code.casefold() for code in _CODE.findall(text)),
        others=frozenset(_others(plain)),
        persons=frozenset(_persons(plain)),
        status=frozenset(_mentioned(plain, lexicon.STATUS)),
        directed=bool(lexicon.DIRECTED.search(plain)),
        subject=_subject(plain),
        copular=bool(_COPULAR.match(plain)) or "是" in plain[1:],
        definite=plain.startswith("the "),
        introduced=frozenset(
            _stem(word) for word in _INTRODUCED.findall(plain) if word not in lexicon.STOP | lexicon.NEGATION
        ),
        plain=plain,
        pairs=frozenset(a + b for a, b in pairwise(plain) if IS_CJK.match(a) and IS_CJK.match(b)),
        denied=frozenset(w for d in lexicon.DENIED.findall(full) for w in _words(" ".join(d))),
        states=states.held(plain, negated=negated),
        ends=states.ended(plain, negated=negated),
        negated=negated,
        past=_past(text, plain),
        ended=bool(lexicon.ENDING.search(plain)),
        changed=bool(lexicon.CHANGE.search(plain)),
        corrected=bool(lexicon.CORRECTION.search(full)),
        rough=bool(lexicon.ROUGHLY.search(plain)),
        intended=bool(lexicon.INTENDED.search(plain)),
        chinese=bool(IS_CJK.search(plain)),
    )


def missing(old: str, new: str) -> frozenset[str]:
    """Content words and numbers of `old` that `new` does not have."""
    before, after = read(old), read(new)
    return (before.words | before.numbers) - (after.words | after.numbers)


def dated(words: Iterable[str]) -> bool:
    """Whether all of the words are numbers, dates or times."""
    return all(_DATED.match(word) for word in words)


def is_concept(plain: str) -> bool:
    """Whether a word or two are nothing but a concept or a date."""
    return dated(plain) or not set(_words(_without_concepts(plain)))


def _mentioned(plain: str, concepts: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, pattern in concepts.items() if re.search(pattern, plain))


def _without_concepts(plain: str) -> str:
    for remark in (lexicon.CORRECTION, lexicon.CHANGE, lexicon.ENDING, lexicon.ROUGHLY):
        plain = remark.sub(" ", plain)
    for concepts in (lexicon.KEYED, lexicon.ONE, lexicon.MANY):
        for pattern in concepts.values():
            plain = re.sub(pattern, " ", plain)
    return plain


def _words(plain: str) -> Iterator[str]:
    plain = lexicon.INDEFINITE_CJK.sub(" ", lexicon.A_LITTLE_CJK.sub(" ", plain))
    for same, word in lexicon.SAME_CJK:
        plain = plain.replace(same, word)
    plain = in_digits(plain)
    chinese = bool(IS_CJK.search(plain))
    for token in _TOKEN.findall(plain):
        if IS_CJK.match(token):
            if token not in lexicon.CJK_STOP:
                yield token
        elif chinese or token not in lexicon.STOP:  # among Chinese words even "Go" is a name
            stem = _stem(token)
            yield lexicon.SAME.get(stem, stem)


def _names(text: str) -> Iterator[str]:
    found = _LATIN.findall(text) if IS_CJK.search(text) else _NAME.findall(text)
    for name in found:
        word = re.sub(r"['’]s?$", "", name.casefold().rstrip("."))
        if word not in lexicon.STOP:
            yield word


def _others(plain: str) -> Iterator[str]:
    words = plain.split()
    begins = {w for i, w in enumerate(words[:4]) if i == 0 or words[i - 1] not in _TAKING_PART}
    start = re.sub(r"[和跟与给同陪带].{1,3}", "", plain[:8])
    yield from lexicon.NUMBERED_CJK.findall(start)
    for word, other in lexicon.OTHERS.items():
        if {word, word + "s"} & begins if word.isascii() else word in start:
            yield other


def _persons(plain: str) -> Iterator[str]:
    words = set(plain.split())
    yield from lexicon.NUMBERED_CJK.findall(plain)
    for word, other in lexicon.OTHERS.items():
        if {word, word + "s"} & words if word.isascii() else word in plain:
            yield other


def _past(text: str, plain: str) -> bool:
    """Whether it tells an event, also of someone named: "Caroline went", "Alice's brother bought"."""
    if lexicon.PAST.search(plain):
        return True
    words = plain.split()
    named = text[:1].isupper() and bool(words) and not _VERB.match(words[0])
    possessed = 2 if len(words) > 2 and words[0].endswith("s") and words[1] in lexicon.OTHERS else 1
    return (named or possessed == 2) and bool(lexicon.PAST.match(" ".join(words[possessed:])))


_TAKING_PART = frozenset({"with", "and", "to", "for", "from", "by", "two", "three", "some"})
_COPULAR = re.compile(
    r"^(?!(?:is|was|are|were)\b)(?:\S+ ){1,4}?(?:is|was|are|were|will be|has been|have been)\b"
)
_INTRODUCED = re.compile(rf"\b(?:named|called|(?:{lexicon.KIN})(?: is| named| called)?) ([a-z]+)")
_VERB = re.compile(r"^(?:is|was|are|were|has|had|will|can|does|did|[a-z]{2,}(?:s|ed))$")
_ADVERBS = frozenset({"no", "longer", "now", "just", "still", "never", "recently", "currently", "also"})
_PRONOUNS = frozenset({"user", "i", "we", "it", "he", "she", "they", "there"})


def _subject(plain: str) -> frozenset[str]:
    """The stems before the first verb, at most four words in; empty where the statement begins with it."""
    words = [
        word for word in plain.split() if word not in ("the", "my", "his", "her", "their", "our", "a", "an")
    ]
    while words and words[0] in _ADVERBS:
        words = words[1:]
    if (
        IS_CJK.search(plain)
        or not words
        or words[0] in _PRONOUNS | lexicon.LEADING
        or lexicon.PAST.search(" ".join(words))
    ):
        return frozenset()
    for i, word in enumerate(words[:5]):
        if i and words[i - 1] in lexicon.OTHERS:
            continue  # "brother Luis" is a name, not a verb
        if _VERB.match(word) and not (i + 1 < len(words) and _VERB.match(words[i + 1]) and i == 0):
            return frozenset(_words(" ".join(words[:i])))
    return frozenset()


def _negated(plain: str) -> bool:
    dislike = bool(lexicon.DISLIKE.search(plain))
    plain = lexicon.DISLIKE.sub(" ", plain)
    if re.search(lexicon.MANY["allergic"], plain):
        plain = lexicon.AVOIDS.sub(" ", plain)
    if IS_CJK.search(plain):
        for harmless in lexicon.NEGATION_CJK_NOT:
            plain = plain.replace(harmless, "")
        return dislike != any(word in plain for word in lexicon.NEGATION_CJK)
    return dislike != (not lexicon.NEGATION.isdisjoint(plain.split()))


@lru_cache(maxsize=8192)
def _stem(word: str) -> str:
    stems = terms(word) if word.isalpha() else []
    return stems[0] if len(stems) == 1 else word
