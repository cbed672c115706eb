"""How English and Chinese name days, weeks, months and years: patterns, and the span each one means.

A rule gives a match and the day on which it was said; it answers with a span, or None where the words have
no single reading. Weeks begin on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """The days that are meant, the end not included."""

    start: date
    end: date


Rule = tuple[re.Pattern[str], Callable[[re.Match[str], date], Span | None]]

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {word: number for number, word in enumerate(_WORDS, 1)} | {"a": 1, "an": 1}
_HAN_DIGITS = {c: n for n, c in enumerate("一二三四五六七八九", 1)} | {"两": 2}
_HAN_WEEKDAYS = {c: n for n, c in enumerate("一二三四五六日")} | {"天": 6}


def day(start: date) -> Span:
    return Span(start, start + timedelta(1))


def week(monday: date) -> Span:
    return Span(monday, monday + timedelta(7))


def weekend(saturday: date) -> Span:
    return Span(saturday, saturday + timedelta(2))


def month(year: int, number: int, months: int = 1) -> Span:
    """A month, or several; numbers below 1 and above 12 count on into other years."""
    start = date(year + (number - 1) // 12, (number - 1) % 12 + 1, 1)
    following = start.month - 1 + months
    return Span(start, date(start.year + following // 12, following % 12 + 1, 1))


def year(number: int) -> Span:
    return month(number, 1, 12)


def _monday(today: date) -> date:
    return today - timedelta(today.weekday())


def _shifted(today: date, count: int, unit: str) -> Span:
    """`count` units from today (negative: ago), as coarse as the unit: days are days, weeks are weeks."""
    if unit in ("day", "天", "日"):
        return day(today + timedelta(count))
    if unit in ("week", "周", "星期", "礼拜"):
        return week(_monday(today) + timedelta(7 * count))
    if unit in ("month", "月"):
        return month(today.year, today.month + count)
    return year(today.year + count)


def _nearest(today: date, number: int, of_month: int) -> Span:
    """The day of that name, past or coming, that lies nearest."""
    days = [date(y, number, of_month) for y in (today.year - 1, today.year, today.year + 1)]
    return day(min(days, key=lambda d: abs(d - today)))


def _nearest_month(today: date, number: int) -> Span:
    spans = [month(y, number) for y in (today.year - 1, today.year, today.year + 1)]
    return min(spans, key=lambda s: abs(s.start + timedelta(14) - today))


def _number(text: str) -> int:
    """A count in digits, in English, or in Chinese up to 99 (二十一)."""
    if text.isdecimal():
        return int(text)
    if text.lower() in _NUMBERS:
        return _NUMBERS[text.lower()]
    tens, ten, ones = text.rpartition("十")
    return 10 * (_HAN_DIGITS[tens or "一"] if ten else 0) + (_HAN_DIGITS[ones] if ones else 0)


# --- English ----------------------------------------------------------------------------------------------

# "may" and "march" are months only when written as such.
_MONTH = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|january|february|april|june|july|august|september|october|november|december)"
)
_WEEKDAY = "((?i:" + "|".join(_WEEKDAYS) + "))"
_COUNT = r"(\d{1,3}|(?i:" + "|".join(_NUMBERS) + "))"
_UNIT = r"((?i:day|week|month|year))s?"
_VAGUE = r"(?i:a few|few|a couple of|a couple|several|some)"
_PART = r"(?: (?:(?i:morning|afternoon|evening|night)))?"
_TH = r"(?:st|nd|rd|th)?"
_BACK = {"day": 10, "week": 56, "month": 300, "year": 3650}  # how many days "a few" of them go back at most


def _english(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?:'s|’s)?(?![\w-])")


def _month_number(name: str) -> int:
    return next(n for n, month in enumerate(MONTHS, 1) if month[:3] == name[:3].capitalize())


def _dmy(match: re.Match[str]) -> date:
    return date(int(match[3]), _month_number(match[2]), int(match[1]))


def _ymd(match: re.Match[str]) -> date:
    return date(int(match[1]), int(match[2]), int(match[3]))


def _offset(days: int) -> Callable[[re.Match[str], date], Span]:
    def read(match: re.Match[str], today: date) -> Span:
        return day(today + timedelta(days))

    return read


def _vague(match: re.Match[str], today: date) -> Span:
    """ "A few weeks ago": somewhere within as many as that may be."""
    return Span(today - timedelta(_BACK[match[1].lower()]), today)


def _step_unit(match: re.Match[str], today: date) -> Span | None:
    """last / this / next week, weekend, month, year, season."""
    step = {"last": -1, "this": 0, "next": 1}[match[1].lower()]
    unit = match[2].lower()
    if unit == "weekend":
        return weekend(_monday(today) + timedelta(7 * step + 5))
    if unit in _SEASONS:
        this_year = month(today.year, _SEASONS[unit])
        if step == -1 and this_year.start + timedelta(90) <= today:
            step = 0  # in November, "last summer" is this year's
        elif step == 1 and this_year.start > today:
            step = 0  # in March, "next summer" is this year's
        return month(today.year + step, _SEASONS[unit], 3)
    return _shifted(today, step, unit)


def _step_weekday(match: re.Match[str], today: date) -> Span | None:
    number, step = _WEEKDAYS.index(match[2].lower()), match[1].lower()
    if step == "last":
        return day(today - timedelta((today.weekday() - number - 1) % 7 + 1))
    coming = today + timedelta((number - today.weekday() - 1) % 7 + 1)
    if step == "next" and _monday(coming) == _monday(today):
        # Said on Monday, "next Friday" may be this week's or the next one's.
        return Span(coming, coming + timedelta(8))
    return day(coming) if step == "next" else day(_monday(today) + timedelta(number))


def _step_month(match: re.Match[str], today: date) -> Span | None:
    number, step = _month_number(match[2]), match[1].lower()
    if step == "last":
        return month(today.year - (number >= today.month), number)
    return month(today.year + (step == "next" and number <= today.month), number)


_STEP = r"((?i:last|this|next))"

# In order of preference: what comes first takes its words from what comes later.
ENGLISH: tuple[Rule, ...] = (
    (
        _english(rf"(?:the )?week of (\d{{1,2}}) {_MONTH} (\d{{4}})"),
        lambda m, _: week(_dmy(m)),
    ),
    (
        _english(rf"(?:the )?weekend of (\d{{1,2}}) {_MONTH} (\d{{4}})"),
        lambda m, _: weekend(_dmy(m)),
    ),
    (_english(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"), lambda m, _: day(_ymd(m))),
    (_english(rf"(\d{{1,2}}){_TH}(?: of)? {_MONTH},? (\d{{4}})"), lambda m, _: day(_dmy(m))),
    (
        _english(rf"{_MONTH} (\d{{1,2}}){_TH},? (\d{{4}})"),
        lambda m, _: day(date(int(m[3]), _month_number(m[1]), int(m[2]))),
    ),
    (
        _english(rf"{_MONTH},? (?:of )?(\d{{4}})"),
        lambda m, _: month(int(m[2]), _month_number(m[1])),
    ),
    (_english(r"(?i:the day before yesterday)"), _offset(-2)),
    (_english(r"(?i:the day after tomorrow)"), _offset(2)),
    (_english(r"(?i:last) (?:(?i:night))"), _offset(-1)),
    (_english(r"(?i:yesterday)" + _PART), _offset(-1)),
    (_english(r"(?i:tomorrow)" + _PART), _offset(1)),
    (_english(r"(?i:this) (?:(?i:morning|afternoon|evening))"), _offset(0)),
    (_english(r"(?<!of )(?<!Of )(?i:earlier today|today)"), _offset(0)),
    (_english(r"(?i:tonight)"), lambda _, today: day(today)),
    (_english(rf"{_VAGUE} {_UNIT} (?i:ago)"), _vague),
    (_english(rf"{_COUNT} {_UNIT} (?i:ago)"), lambda m, today: _shifted(today, -_number(m[1]), m[2].lower())),
    (
        _english(rf"{_COUNT} {_UNIT} (?i:from now)"),
        lambda m, today: _shifted(today, _number(m[1]), m[2].lower()),
    ),
    (_english(rf"{_STEP} {_WEEKDAY}"), _step_weekday),
    (_english(rf"{_STEP} ((?i:week|weekend|month|year|spring|summer|autumn|fall|winter))"), _step_unit),
    (_english(rf"{_STEP} {_MONTH}"), _step_month),
    (
        _english(rf"(\d{{1,2}}){_TH}(?: of)? {_MONTH}"),
        lambda m, today: _nearest(today, _month_number(m[2]), int(m[1])),
    ),
    (
        _english(rf"{_MONTH} (\d{{1,2}}){_TH}"),
        lambda m, today: _nearest(today, _month_number(m[1]), int(m[2])),
    ),
    (
        _english(rf"(?<=\b[Ii]n ){_MONTH}|(?<=\b[Dd]uring ){_MONTH}|(?<=\b[Ss]ince ){_MONTH}"),
        lambda m, today: _nearest_month(today, _month_number(m[1] or m[2] or m[3])),
    ),
    (_english(r"((?:19|20)\d{2})"), lambda m, _: year(int(m[1]))),
)


# --- Chinese ----------------------------------------------------------------------------------------------

_HAN_COUNT = r"([0-9]{1,3}|[一二两三四五六七八九十]{1,3})"
_HAN_MONTH = r"(1[0-2]|[1-9]|十[一二]?|[一二三四五六七八九])"
_HAN_STEPS = {"上上": -2, "上": -1, "这": 0, "本": 0, "下": 1, "下下": 2}
_HAN_STEP = r"(上上|下下|上|这|本|下)"
_HAN_DAYS = {"大前": -3, "前": -2, "昨": -1, "今": 0, "明": 1, "后": 2, "大后": 3}
_HAN_YEARS = {"前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}
_HAN_YEAR = r"(?<![以之目])(前年|去年|今年|明年|后年)"


def _han_written(match: re.Match[str], _: date) -> Span:
    start = _ymd(match)
    if not match[4]:
        return day(start)
    return week(start) if match[4] == "那周" else weekend(start)


def _han_day(match: re.Match[str], today: date) -> Span:
    return day(today + timedelta(_HAN_DAYS[match[1]]))


def _han_week(match: re.Match[str], today: date) -> Span:
    monday = _monday(today) + timedelta(7 * _HAN_STEPS[match[1]])
    if not match[2]:
        return week(monday)
    return (
        weekend(monday + timedelta(5))
        if match[2] == "末"
        else day(monday + timedelta(_HAN_WEEKDAYS[match[2]]))
    )


def _han_shift(match: re.Match[str], today: date) -> Span:
    return _shifted(today, _number(match[1]) * (-1 if match[3] == "前" else 1), match[2])


def _han_month_day(match: re.Match[str], today: date) -> Span:
    first = month(today.year, today.month + _HAN_STEPS[match[1]]).start
    return day(first.replace(day=int(match[2])))


CHINESE: tuple[Rule, ...] = (
    (
        re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})[日号](那周|那个周末)?"),
        _han_written,
    ),
    (re.compile(r"(\d{4})年(\d{1,2})月"), lambda m, _: month(int(m[1]), int(m[2]))),
    (re.compile(r"(?<!\d)(\d{4})年"), lambda m, _: year(int(m[1]))),
    (
        re.compile(rf"{_HAN_YEAR}的?{_HAN_MONTH}月(\d{{1,2}})[日号]"),
        lambda m, today: day(date(today.year + _HAN_YEARS[m[1]], _number(m[2]), int(m[3]))),
    ),
    (
        re.compile(rf"{_HAN_YEAR}的?{_HAN_MONTH}月份?"),
        lambda m, today: month(today.year + _HAN_YEARS[m[1]], _number(m[2])),
    ),
    (re.compile(rf"{_HAN_STEP}个?月(\d{{1,2}})[日号]"), _han_month_day),
    (
        re.compile(rf"(?<!\d){_HAN_MONTH}月(\d{{1,2}})[日号]"),
        lambda m, today: _nearest(today, _number(m[1]), int(m[2])),
    ),
    (
        re.compile(rf"(?<![\d个一二三四五六七八九十]){_HAN_MONTH}月份?"),
        lambda m, today: _nearest_month(today, _number(m[1])),
    ),
    (re.compile(_HAN_COUNT + r"个?(天|日|周|星期|礼拜|月|年)(?:以|之)?(前|后)"), _han_shift),
    # 目前天气, 然后天黑 and 以后天天 hold the letters of a date and are none.
    (
        re.compile(r"(大前|大后|(?<![目以之天])前|(?<![以然之先最此天])后)天(?!天)"),
        _han_day,
    ),
    (re.compile(r"([昨今明])[天日]?(?:[晚早夜]|晚上|早上|上午|中午|下午|凌晨)(?!期)"), _han_day),
    (re.compile(r"([昨今明])(?:天|日(?!期))"), _han_day),
    (re.compile(_HAN_STEP + r"个?(?:周|星期|礼拜)([一二三四五六日天末])?"), _han_week),
    (
        re.compile(_HAN_STEP + r"个?月(?!份)"),
        lambda m, today: month(today.year, today.month + _HAN_STEPS[m[1]]),
    ),
    (re.compile(_HAN_YEAR), lambda m, today: year(today.year + _HAN_YEARS[m[1]])),
)
