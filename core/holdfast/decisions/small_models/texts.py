"""Texts, by what is language-neutral and certain: what one says that another does not, and one that says both.

New texts consist of a memory's and a fact's own words; nothing is reworded.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

from ..text.equal import normalised
from ..text.lexical import content_terms, shared_language, terms

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
LEAST_OF_ONE_FORM = 2  # terms that two texts of one form share
_EDGES = " \t\n.,:;。，；：、"


def numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBER.findall(unicodedata.normalize("NFKC", text)))


def unsaid(text: str, by: str) -> set[str]:
    """The terms and numbers of a text that another does not say."""
    language = shared_language((text, by))
    return (set(content_terms(text, language)) - set(terms(by, language))) | (numbers(text) - numbers(by))


def tells_apart(one: str, other: str) -> bool:
    """Whether a text certainly says something else than another, whatever a model finds: it has a number of its own,
    all of the other's terms and more, the same terms in another order, or other terms in a single place."""
    language = shared_language((one, other))
    new, old = terms(one, language), terms(other, language)
    shared = set(new) & set(old)
    if set(old) < set(new) or numbers(one) - numbers(other):
        return True
    if new != old and sorted(new) == sorted(old):
        return True
    places = [p for p in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if p[0] != "equal"]
    return len(places) == 1 and places[0][0] == "replace" and len(shared) >= LEAST_OF_ONE_FORM


def joined(memory: str, fact: str) -> str:
    """One text that says both, the newer last; the fact alone if it begins with the whole memory."""
    if f"{normalised(fact)} ".startswith(f"{normalised(memory)} "):
        return fact
    known = memory.rstrip(_EDGES)
    return f"{known}；{fact}" if _wide(known[-1:]) else f"{known}; {fact}"


def exchanged(memory: str, fact: str, old: str, new: str) -> str | None:
    """A memory with some of its words replaced by a fact's, followed by the fact unless that says no more.

    None if `old` is not in the memory exactly once, or `new` not in the fact: no other words may get in. Also None
    if the whole fact would stand amid the memory, words replace themselves, or numbers are lost.
    """
    old, new = old.strip(_EDGES), new.strip(_EDGES)
    places = _places(old, memory)
    if len(places) != 1 or (new and not _places(new, fact)):
        return None
    before, after = memory[: places[0]], memory[places[0] + len(old) :]
    if not normalised(before + after):
        return fact
    if new and (normalised(new) == normalised(fact) or normalised(new) in normalised(old)):
        return None
    text = before + new + after if new else _closed(before, after)
    if len(numbers(memory) - numbers(text)) > len(numbers(text) - numbers(memory)):
        return None
    return joined(text, fact) if not new or unsaid(fact, text) else text


def _closed(before: str, after: str) -> str:
    """Joins what is left and right of removed words."""
    left, right = before.rstrip(_EDGES), after.lstrip(_EDGES)
    gap = before[len(left) :] or after[: len(after) - len(right)]
    return left + gap + right if left and right else left or right


def _places(words: str, text: str) -> list[int]:
    """Where words occur in a text without beginning or ending inside others, as far as spaces tell."""
    if not words:
        return []
    found = (one.start() for one in re.finditer(re.escape(words), text, re.IGNORECASE))
    return [at for at in found if not (_within(text, at) or _within(text, at + len(words)))]


def _within(text: str, at: int) -> bool:
    """Whether a position is within a word."""
    around = text[at - 1 : at + 1] if at else ""
    return len(around) == 2 and around.isalnum() and not any(map(_wide, around))


def _wide(character: str) -> bool:
    """Whether a character is of a script written without spaces (or Hangul, for which this works as well)."""
    return bool(character) and unicodedata.east_asian_width(character) in "WF"
