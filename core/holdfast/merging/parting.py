"""Facts that tell two things at once, each of which there is one of: "Moved to Lisbon and eats fish now".

A fact changes one memory. Parted, it changes where somebody lives and what he eats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .evidence import Evidence, read
from .values import values

_ENGLISH = re.compile(
    r",? and (?=(?:(?:also|now|still|just|recently|currently|mostly|no longer|never) )*"
    r"(?:is|has|was|does|doesn['’]t|isn['’]t|hasn['’]t|[a-z]{2,}(?:s|ed)|got|left|quit)\b)"
)
_CHINESE = re.compile("[，,；;](?:并且|而且|并|也)?")
# What the second part may owe to the first: of whom, of what and where it speaks.
_LEANING = re.compile(
    r"\b(?:it|its|he|she|him|her|his|hers|they|them|their|theirs|there|then|that|this|those|these|which|who|whom|whose"
    r"|where|when|both|together|same|so)\b|[他她它这那其叫]",
    re.IGNORECASE,
)
_HALF = frozenset({"born"})  # of "was born and raised in"
_DATED = frozenset({"date", "monthday", "weekday", "time", "often"})


def parted(text: str, speakers: Sequence[str] = ()) -> tuple[str, ...]:
    """The things that a fact tells of its speaker, where it tells two of which there is one each; else the fact.

    speakers: who may have told it; a fact of theirs begins with a name, all others with a verb.
    """
    lead = _name(text, speakers)
    if speakers and not lead:
        return (text,)
    told = text[len(lead) :]
    for place in (_CHINESE if read(text).chinese else _ENGLISH).finditer(told):
        first, second = told[: place.start()], told[place.end() :]
        if _stands_alone(read(first), read(second)) and not _leans(first, second):
            second = second if lead else second[:1].upper() + second[1:]
            return lead + first, *parted(lead + second, speakers)
    return (text,)


def _name(text: str, speakers: Sequence[str]) -> str:
    """The speaker's name that a text begins with, and the space after it; Chinese has none."""
    ends = "[\u4e00-\u9fff]" if read(text).chinese else " "
    names = (re.match(rf"{re.escape(name)}(?:(?={ends})) ?", text) for name in speakers)
    return next((match[0] for match in names if match), "")


def _stands_alone(first: Evidence, second: Evidence) -> bool:
    """Whether each tells of another thing of which there is one, and both of nobody but the speaker."""
    if not first.one or not second.one or first.one & second.one:
        return False
    whole = first.words - _HALF and second.words - _HALF
    return bool(whole) and not (first.persons or second.persons or first.subject or first.introduced)


def _leans(first: str, second: str) -> bool:
    """Whether the second is not understood without the first, or its day is the day of both."""
    dated = any(value.kind in _DATED for value in values(second))
    return dated or bool(_LEANING.search(second)) or bool(re.search(r"\b(?:who|which|that|whose)\b", first))
