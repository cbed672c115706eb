"""What code can tell about statements without asking: words, details, denial, change, whom they are about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import lexicon

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]+|[^\s{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NAME = re.compile(r"(?<![.!?。]\s)(?<!^)\b[A-Z][\w'’-]*")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9+#.'’-]*")
_APOSTROPHES = frozenset("'’`ʼ")
_KEPT = frozenset("#%@&*")  # C#, 50%, addresses: they tell things apart


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement, read by code.

    words: its content words, stemmed, synonyms folded; for Chinese, its content characters.
    numbers: its numbers as written.
    names: its proper names, lower-cased; Latin words within Chinese count as such.
    others: whom it is about besides the speaker ("sister", "dog").
    negated / ended / changed / corrected: it denies; says that something is over; is new; sets right.
    """

    words: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    others: frozenset[str]
    negated: bool
    ended: bool
    changed: bool
    corrected: bool
    chinese: bool

    @property
    def details(self) -> frozenset[str]:
        """What must not be lost by accident: numbers and names."""
        return self.numbers | self.names


def normalised(text: str) -> str:
    """Case, width, punctuation and spacing removed: equal for texts that differ in nothing else."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(_kept(folded, i) for i in range(len(folded)))
    words = kept.split()
    joined = " ".join(words)
    return re.sub(rf"(?<=[{_CJK}]) | (?=[{_CJK}])", "", joined)


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
    return character if inside and character in ".,:/_-" else " "


@lru_cache(maxsize=4096)
def read(text: str) -> Evidence:
    """The evidence in `text`."""
    plain = normalised(text)
    return Evidence(
        words=frozenset(_words(plain)),
        numbers=frozenset(_NUMBER.findall(plain)),
        names=frozenset(_names(text)),
        others=frozenset(_others(plain)),
        negated=_negated(plain),
        ended=_mentions(plain, lexicon.ENDING),
        changed=_mentions(plain, lexicon.CHANGE),
        corrected=_mentions(plain, lexicon.CORRECTION),
        chinese=bool(_IS_CJK.search(plain)),
    )


def overlap(a: Iterable[str], b: Iterable[str]) -> float:
    """How much of the smaller set lies in the other, in [0, 1]."""
    first, second = set(a), set(b)
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0


def missing(old: str, new: str) -> frozenset[str]:
    """Content words, numbers and names of `old` that `new` does not have."""
    before, after = read(old), read(new)
    return (before.words | before.numbers) - (after.words | after.numbers)


def _words(plain: str) -> Iterable[str]:
    for same, word in lexicon.SAME_CJK:
        plain = plain.replace(same, word)
    for token in _TOKEN.findall(plain):
        if _IS_CJK.match(token):
            yield from (c for c in token if c not in lexicon.CJK_STOP)
        elif token not in lexicon.STOP:
            stem = _stem(token)
            yield lexicon.SAME.get(stem, stem)


def _names(text: str) -> Iterable[str]:
    found = _LATIN.findall(text) if _IS_CJK.search(text) else _NAME.findall(text)
    for name in found:
        word = name.casefold().rstrip(".'’").removesuffix("'s").removesuffix("’s")
        if word not in lexicon.STOP:
            yield word


def _others(plain: str) -> Iterable[str]:
    words = set(_TOKEN.findall(plain)) if not _IS_CJK.search(plain) else set()
    for word, other in lexicon.OTHERS.items():
        if word.isascii():
            if word in words or word + "s" in words:
                yield other
        elif word in plain:
            yield other


def _negated(plain: str) -> bool:
    if _IS_CJK.search(plain):
        for harmless in lexicon.NEGATION_CJK_NOT:
            plain = plain.replace(harmless, "")
        return any(word in plain for word in lexicon.NEGATION_CJK)
    return not lexicon.NEGATION.isdisjoint(plain.split())


def _mentions(plain: str, phrases: Iterable[str]) -> bool:
    spaced = f" {plain} "
    return any(f" {phrase} " in spaced if phrase.isascii() else phrase in plain for phrase in phrases)


@lru_cache(maxsize=8192)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word)) if word.isalpha() else word


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer  # imported when first used: `import retain` stays fast

    return snowballstemmer.stemmer("english")
