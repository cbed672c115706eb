"""The times that a text names in English and Chinese, relative ones reckoned from the day they were said on.

Only what has one reading counts: "yesterday", "last month", 上周五; not "recently" and "the other day".
"""

from __future__ import annotations

import re
from datetime import date, datetime, time

from .period_rules import CHINESE, ENGLISH, MONTHS, Span


def mentioned(text: str, anchor: datetime) -> list[tuple[datetime, datetime]]:
    """The spans of time that `text` names, in its order: (start, end), the end not included.

    Dates without a year are those nearest to `anchor`. The time zone is the anchor's.
    """
    midnight = time(tzinfo=anchor.tzinfo)
    spans = _spans(text, anchor.date())
    return [(datetime.combine(s.start, midnight), datetime.combine(s.end, midnight)) for s in spans]


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


def _spans(text: str, today: date) -> list[Span]:
    """What the rules find, in the order of the text, without overlaps: earlier rules go first."""
    found: list[tuple[int, Span]] = []
    taken = bytearray(len(text))
    for pattern, read in (*ENGLISH, *CHINESE):
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(taken[start:end]) or _COMPARED.search(text, max(0, start - _COMPARISON), start):
                continue
            try:
                span = read(match, today)
            except (ValueError, OverflowError):  # 31 February, the year 0, 900 years ago in the year 100
                continue
            if span is not None:
                found.append((start, span))
                taken[start:end] = b"\x01" * (end - start)
    return [span for _, span in sorted(found)]
