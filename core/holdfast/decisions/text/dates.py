"""The dates that a text names in numbers, whatever its language, and how a day is written. Linear in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# 2023-05-07, 2023/5, 2023.5.7, 2023年5月7日, 2023년 5월 7일. The lengths are bounds, so that no search starts twice.
_YEAR_FIRST = re.compile(
    r"(?<!\d)(\d{4})(?:[-/.]|[年년] ?)(\d{1,2})(?!\d)(?:(?:[-/.]|[月월] ?)(\d{1,2})(?!\d))?"
)
_NUMBER = re.compile(r"\d+")
_EARLIEST_YEAR = 1000  # a number of four digits


@dataclass(frozen=True, slots=True)
class Dates:
    """full: (year, month, day), with day 0 if only the month is named. years, days: numbers that stand alone and
    may be a year, and a day of some month ("13 October 2023")."""

    full: frozenset[tuple[int, int, int]] = frozenset()
    years: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        """Whether a date is named; a day alone is not one."""
        return bool(self.full or self.years)


def dates(text: str) -> Dates:
    """The dates that `text` names in numbers. Those without a year or in words do not count."""
    full = frozenset((int(year), int(month), int(day or 0)) for year, month, day in _YEAR_FIRST.findall(text))
    numbers = [number for number in _NUMBER.findall(_YEAR_FIRST.sub(" ", text)) if len(number) <= 4]
    years = frozenset(int(number) for number in numbers if int(number) >= _EARLIEST_YEAR)
    days = frozenset(int(number) for number in numbers if 1 <= int(number) <= 31)
    return Dates(full, years, days)


def written(day: date, *, chinese: bool) -> str:
    """A day as memories write it: 7 May 2023, 2023年5月7日."""
    if chinese:
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
