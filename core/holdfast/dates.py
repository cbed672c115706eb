"""Dates that are mentioned in English and Chinese, relative ones reckoned from the day they were said on.

Only what has one reading is resolved: "yesterday", "last month", 上周五. "Recently" and "the other day" stay
as they are, and a vague count ("a few weeks ago") becomes "a few weeks before 8 May 2023".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time

from .date_rules import CHINESE, ENGLISH, MONTHS, Grain, Span


@dataclass(frozen=True, slots=True)
class _Mention:
    at: int
    end: int
    span: Span
    chinese: bool
    possessive: bool


def resolve(text: str, anchor: datetime) -> str:
    """`text` with its relative dates replaced by absolute ones, reckoned from `anchor`.

    "Went hiking yesterday" said on 8 May 2023 becomes "Went hiking on 7 May 2023"; 昨天去爬山 becomes
    2023年5月7日去爬山. Absolute dates, and what has several readings, stay as they are.
    """
    out: list[str] = []
    at = 0
    for mention in _mentions(text, anchor.date()):
        if mention.span.relative:
            out += [text[at : mention.at], _written(mention, text[max(0, mention.at - 40) : mention.at])]
            at = mention.end
    return "".join([*out, text[at:]])


def mentioned(text: str, anchor: datetime) -> list[tuple[datetime, datetime]]:
    """The spans of time that `text` names, in its order: (start, end), the end not included.

    Dates without a year are those nearest to `anchor`. The time zone is the anchor's.
    """
    midnight = time(tzinfo=anchor.tzinfo)
    spans = [mention.span for mention in _mentions(text, anchor.date())]
    return [(datetime.combine(s.start, midnight), datetime.combine(s.end, midnight)) for s in spans]


def only_day(text: str, anchor: datetime) -> date | None:
    """The day that `text` names, where it names one and no other time."""
    spans = [mention.span for mention in _mentions(text, anchor.date())]
    return spans[0].start if len(spans) == 1 and spans[0].grain == "day" else None


def written(day: date, *, chinese: bool) -> str:
    """A day as memories write it: 7 May 2023, 2023年5月7日."""
    if chinese:
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


# "It feels like just yesterday": no date.
_COMPARED = re.compile(
    r"(?:\b(?:like|as if)(?: it (?:was|were|is))?(?: only| just)?\s+|(?:就像|好像|仿佛|宛如)(?:就)?是?)\Z",
    re.I,
)
_COMPARISON = 40  # characters before a date in which it may stand


def _mentions(text: str, today: date) -> list[_Mention]:
    """What the rules find, in the order of the text, without overlaps: earlier rules go first."""
    found: list[_Mention] = []
    taken = bytearray(len(text))
    for rules, chinese in ((ENGLISH, False), (CHINESE, True)):
        for pattern, read in rules:
            for match in pattern.finditer(text):
                if any(taken[match.start() : match.end()]) or _COMPARED.search(
                    text, max(0, match.start() - _COMPARISON), match.start()
                ):
                    continue
                try:
                    span = read(match, today)
                except (ValueError, OverflowError):  # 31 February, the year 0, 900 years ago in the year 100
                    continue
                if span is not None:
                    possessive = bool(match.groupdict().get("suffix"))
                    found.append(_Mention(match.start(), match.end(), span, chinese, possessive))
                    taken[match.start() : match.end()] = b"\x01" * len(match[0])
    return sorted(found, key=lambda mention: mention.at)


_AFTER_PREPOSITION = re.compile(
    r"\b(?:since|until|till|by|from|before|after|of|on|in|during|for|to|around|about)\s+(?:the\s+)?$", re.I
)
_PREPOSITIONS: dict[Grain, str] = {
    "day": "on ",
    "week": "in ",
    "weekend": "on ",
    "month": "in ",
    "season": "in ",
    "year": "in ",
    "vague": "",
}


def _written(mention: _Mention, before: str) -> str:
    span = mention.span
    if mention.chinese:
        return _chinese(span)
    if mention.possessive:  # "yesterday's race" is "the 7 May 2023 race"
        return "the " + _english(span).removeprefix("the ")
    name = f"the {span.part} of {_english(span)}" if span.part else _english(span)
    if _AFTER_PREPOSITION.search(before):
        return name
    phrase = ("in " if span.part == "morning" else _PREPOSITIONS[span.grain]) + name
    begins = before.strip() and before.rstrip()[-1] in ".!?"
    return phrase[:1].upper() + phrase[1:] if begins else phrase


def _english(span: Span) -> str:
    day = written(span.start, chinese=False)
    match span.grain:
        case "day":
            return day
        case "week":
            return f"the week of {day}"
        case "weekend":
            return f"the weekend of {day}"
        case "month":
            return day.split(" ", 1)[1]
        case "year":
            return str(span.start.year)
        case _:
            return span.words


def _chinese(span: Span) -> str:
    day = written(span.start, chinese=True)
    match span.grain:
        case "week":
            return f"{day}那周"
        case "weekend":
            return f"{day}那个周末"
        case "month":
            return f"{span.start.year}年{span.start.month}月"
        case "year":
            return f"{span.start.year}年"
        case _:
            return day + span.part
