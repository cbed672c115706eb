"""Dates that are mentioned in English and Chinese, relative ones against the day on which they were said.

Only what has one reading is resolved: "yesterday", "last month", 上周五. "Recently" and "the other day" stay,
and a vague count ("a few weeks ago") becomes "a few weeks before 8 May 2023". Weeks begin on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

Grain = Literal["day", "week", "weekend", "month", "season", "year", "vague"]


@dataclass(frozen=True, slots=True)
class _Span:
    """start, end: the days it covers, the end not included. words: what "vague" spans are written as."""

    grain: Grain
    start: date
    end: date
    words: str = ""
    relative: bool = True


@dataclass(frozen=True, slots=True)
class _Mention:
    at: int
    end: int
    span: _Span
    chinese: bool
    suffix: str = ""


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str], date], _Span | None]]

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_NUMBERS = dict(
    zip(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(1, 13),
        strict=True,
    )
)
_NUMBERS |= {"a": 1, "an": 1}
_HAN_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_HAN_WEEKDAYS = {c: n for n, c in enumerate("一二三四五六日")} | {"天": 6}

_MONTH = r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_WEEKDAY = "(" + "|".join(_WEEKDAYS) + ")"
_COUNT = r"(\d{1,3}|" + "|".join(_NUMBERS) + ")"
_VAGUE = r"(?:a few|a couple of|a couple|several|some)"
_PART = r"(?: (morning|afternoon|evening|night))?"
_HAN_COUNT = r"([0-9]{1,3}|[一二两三四五六七八九十]{1,3})"


def resolve(text: str, anchor: datetime) -> str:
    """`text` with its relative dates replaced by absolute ones, reckoned from `anchor`.

    "Went hiking yesterday" said on 8 May 2023 becomes "Went hiking on 7 May 2023"; 昨天去爬山 becomes
    2023年5月7日去爬山. Absolute dates and what has several readings stay as they are.
    """
    out: list[str] = []
    at = 0
    for mention in _mentions(text, anchor.date(), absolute=False):
        before = text[at : mention.at]
        out += [before, _written(mention, "".join(out)[-20:] + before)]
        at = mention.end
    out.append(text[at:])
    return "".join(out)


def mentioned(text: str, anchor: datetime) -> list[tuple[datetime, datetime]]:
    """The spans of time that `text` names, in its order: (start, end), the end not included.

    Dates without a year are those nearest to `anchor`. The time zone is the anchor's.
    """
    midnight = time(tzinfo=anchor.tzinfo)
    spans = [mention.span for mention in _mentions(text, anchor.date(), absolute=True)]
    return [(datetime.combine(s.start, midnight), datetime.combine(s.end, midnight)) for s in spans]


def written(day: date, *, chinese: bool) -> str:
    """A day as it is written in memories: 7 May 2023, 2023年5月7日."""
    if chinese:
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1].capitalize()} {day.year}"


def _mentions(text: str, today: date, *, absolute: bool) -> list[_Mention]:
    """What the rules find, without overlaps. Absolute dates are always found, so that none is cut in two."""
    found: list[_Mention] = []
    for rules, chinese in ((_ENGLISH, False), (_CHINESE, True)):
        for pattern, read in rules:
            for match in pattern.finditer(text):
                if any(match.start() < other.end and other.at < match.end() for other in found):
                    continue
                try:
                    span = read(match, today)
                except (ValueError, OverflowError):  # 31 February, the year 0
                    continue
                if span is not None:
                    suffix = match.groupdict().get("suffix") or ""
                    found.append(_Mention(match.start(), match.end(), span, chinese, suffix))
    return sorted((m for m in found if absolute or m.span.relative), key=lambda m: m.at)


# --- writing ----------------------------------------------------------------------------------------------

_PREPOSITION = re.compile(
    r"\b(since|until|till|by|from|before|after|of|on|in|during|for|to|around|about)\s+(the\s+)?$", re.I
)
_OWN_PREPOSITION: dict[Grain, str] = {
    "day": "on ",
    "week": "in ",
    "weekend": "on ",
    "month": "in ",
    "season": "in ",
    "year": "in ",
}


def _written(mention: _Mention, before: str) -> str:
    span = mention.span
    if mention.chinese:
        return _written_chinese(span) + mention.suffix
    name = _written_english(span)
    if mention.suffix == "'s":
        return "the " + name.removeprefix("the ")
    if span.grain == "vague" or _PREPOSITION.search(before):
        return name
    own = _OWN_PREPOSITION[span.grain]
    return (own.capitalize() if not before.strip() or before.rstrip()[-1:] in ".!?" else own) + name


def _written_english(span: _Span) -> str:
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


def _written_chinese(span: _Span) -> str:
    day = written(span.start, chinese=True)
    match span.grain:
        case "day":
            return day
        case "week":
            return f"{day}那周"
        case "weekend":
            return f"{day}那个周末"
        case "month":
            return f"{span.start.year}年{span.start.month}月"
        case "year":
            return f"{span.start.year}年"
        case _:
            return span.words


# --- spans ------------------------------------------------------------------------------------------------


def _day(day: date, *, relative: bool = True) -> _Span:
    return _Span("day", day, day + timedelta(1), relative=relative)


def _week(monday: date, *, relative: bool = True) -> _Span:
    return _Span("week", monday, monday + timedelta(7), relative=relative)


def _weekend(saturday: date, *, relative: bool = True) -> _Span:
    return _Span("weekend", saturday, saturday + timedelta(2), relative=relative)


def _month(year: int, month: int, *, relative: bool = True) -> _Span:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    end = date(year + month // 12, month % 12 + 1, 1)
    return _Span("month", date(year, month, 1), end, relative=relative)


def _year(year: int, *, relative: bool = True) -> _Span:
    return _Span("year", date(year, 1, 1), date(year + 1, 1, 1), relative=relative)


def _season(name: str, year: int) -> _Span:
    start = _month(year, _SEASONS[name]).start
    return _Span("season", start, _month(year, _SEASONS[name] + 3).start, f"{name} {year}")


def _monday(day: date) -> date:
    return day - timedelta(day.weekday())


def _shifted(today: date, count: int, unit: str) -> _Span:
    """`count` units from today (negative: ago), as coarse as the unit: days are days, weeks are weeks."""
    if unit in ("day", "天", "日"):
        return _day(today + timedelta(count))
    if unit in ("week", "周", "星期", "礼拜"):
        return _week(_monday(today) + timedelta(7 * count))
    if unit in ("month", "月"):
        return _month(today.year, today.month + count)
    return _year(today.year + count)


def _vague(words: str, today: date, unit: str) -> _Span:
    back = {"day": 10, "week": 56, "month": 300, "year": 3650}[unit]
    phrase = re.sub(r"\s+ago$", "", words)
    return _Span("vague", today - timedelta(back), today, f"{phrase} before {written(today, chinese=False)}")


def _nearest(today: date, month: int, day: int) -> _Span:
    """The day of that name, past or coming, that lies nearest."""
    years = (today.year - 1, today.year, today.year + 1)
    return _day(min((date(y, month, day) for y in years), key=lambda d: abs(d - today)), relative=False)


def _nearest_month(today: date, month: int) -> _Span:
    spans = (_month(y, month, relative=False) for y in (today.year - 1, today.year, today.year + 1))
    return min(spans, key=lambda s: abs(s.start + timedelta(14) - today))


def _month_number(name: str) -> int:
    return next(n for n, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text.lower() in _NUMBERS:
        return _NUMBERS[text.lower()]
    tens, ten, ones = text.partition("十")
    if not ten:
        return int("".join(str(_HAN_DIGITS[c]) for c in text))
    return (_HAN_DIGITS[tens] if tens else 1) * 10 + (_HAN_DIGITS[ones] if ones else 0)


# --- English ----------------------------------------------------------------------------------------------


def _relative_unit(match: re.Match[str], today: date) -> _Span | None:
    """last / this / next week, weekend, month, year, season."""
    step = {"last": -1, "past": -1, "this": 0, "next": 1}[match[1].lower()]
    unit = match[2].lower()
    if unit == "weekend":
        return _weekend(_monday(today) + timedelta(7 * step + 5))
    if unit in _SEASONS:
        year = today.year + step
        if step == -1 and _month(today.year, _SEASONS[unit] + 3).start <= today:
            year += 1  # in November, "last summer" is this year's
        return _season(unit, year)
    return _shifted(today, step, unit)


def _relative_weekday(match: re.Match[str], today: date) -> _Span | None:
    weekday = _WEEKDAYS.index(match[2].lower())
    if match[1].lower() in ("last", "past"):
        return _day(today - timedelta((today.weekday() - weekday - 1) % 7 + 1))
    coming = today + timedelta((weekday - today.weekday() - 1) % 7 + 1)
    if match[1].lower() == "this":
        return _day(_monday(today) + timedelta(weekday))
    if _monday(coming) == _monday(
        today
    ):  # said on Monday, "next Friday" may be this week's or the next one's
        words = f"the {match[2].capitalize()} after {written(today, chinese=False)}"
        return _Span("vague", coming, coming + timedelta(8), words)
    return _day(coming)


def _relative_month(match: re.Match[str], today: date) -> _Span | None:
    month, step = _month_number(match[2]), match[1].lower()
    if step in ("last", "past"):
        return _month(today.year - (month >= today.month), month)
    return _month(today.year + (step == "next" and month <= today.month), month)


def _fixed(days: int) -> Callable[[re.Match[str], date], _Span]:
    return lambda _, today: _day(today + timedelta(days))


def _english(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?P<suffix>'s)?(?![\w-])", re.I)


_ENGLISH: list[_Rule] = [
    (_english(r"(?:the )?week of (\d{1,2}) " + _MONTH + r" (\d{4})"), lambda m, _: _week(_dmy(m), relative=False)),
    (_english(r"(?:the )?weekend of (\d{1,2}) " + _MONTH + r" (\d{4})"), lambda m, _: _weekend(_dmy(m), relative=False)),
    (_english(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"), lambda m, _: _day(date(int(m[1]), int(m[2]), int(m[3])), relative=False)),
    (_english(r"(\d{1,2})(?:st|nd|rd|th)?(?: of)? " + _MONTH + r",? (\d{4})"), lambda m, _: _day(_dmy(m), relative=False)),
    (_english(_MONTH + r" (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})"),
     lambda m, _: _day(date(int(m[3]), _month_number(m[1]), int(m[2])), relative=False)),
    (_english(_MONTH + r",? (?:of )?(\d{4})"), lambda m, _: _month(int(m[2]), _month_number(m[1]), relative=False)),
    (_english(r"the day before yesterday"), _fixed(-2)),
    (_english(r"the day after tomorrow"), _fixed(2)),
    (_english("yesterday" + _PART + "|last night"), _fixed(-1)),
    (_english("tomorrow" + _PART), _fixed(1)),
    (_english("today|tonight|this (morning|afternoon|evening)|earlier today"), _fixed(0)),
    (_english(_VAGUE + r" (day|week|month|year)s? ago"), lambda m, today: _vague(m[0], today, m[1].lower())),
    (_english(_COUNT + r" (day|week|month|year)s? ago"), lambda m, today: _shifted(today, -_number(m[1]), m[2].lower())),
    (_english(_COUNT + r" (day|week|month|year)s? from now"), lambda m, today: _shifted(today, _number(m[1]), m[2].lower())),
    (_english(r"(last|past|this|next) " + _WEEKDAY), _relative_weekday),
    (_english(r"(last|this|next) (week|weekend|month|year|spring|summer|autumn|fall|winter)"), _relative_unit),
    (_english(r"(last|this|next) " + _MONTH), _relative_month),
    (_english(r"(\d{1,2})(?:st|nd|rd|th)?(?: of)? " + _MONTH), lambda m, today: _nearest(today, _month_number(m[2]), int(m[1]))),
    (_english(_MONTH + r" (\d{1,2})(?:st|nd|rd|th)?"), lambda m, today: _nearest(today, _month_number(m[1]), int(m[2]))),
    (_english(r"(?<=\bin )" + _MONTH + r"|(?<=\bduring )" + _MONTH),
     lambda m, today: _nearest_month(today, _month_number(m[1] or m[2]))),
    (_english(r"((?:19|20)\d{2})"), lambda m, _: _year(int(m[1]), relative=False)),
]  # fmt: skip


def _dmy(match: re.Match[str]) -> date:
    return date(int(match[3]), _month_number(match[2]), int(match[1]))


# --- Chinese ----------------------------------------------------------------------------------------------

_STEPS = {"上上": -2, "上": -1, "这": 0, "本": 0, "下": 1, "下下": 2}
_STEP = r"(上上|下下|上|这|本|下)"
_DAYS = {
    "大前天": -3,
    "前天": -2,
    "昨天": -1,
    "昨日": -1,
    "今天": 0,
    "今日": 0,
    "明天": 1,
    "明日": 1,
    "后天": 2,
    "大后天": 3,
}
_SHORT = {"昨": -1, "今": 0, "明": 1}
_YEARS = {"前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}


def _chinese_week(match: re.Match[str], today: date) -> _Span:
    monday = _monday(today) + timedelta(7 * _STEPS[match[1]])
    rest = match[2]
    if not rest:
        return _week(monday)
    return _weekend(monday + timedelta(5)) if rest == "末" else _day(monday + timedelta(_HAN_WEEKDAYS[rest]))


def _chinese_shift(match: re.Match[str], today: date) -> _Span:
    return _shifted(today, _number(match[1]) * (-1 if match[3] == "前" else 1), match[2])


_CHINESE: list[_Rule] = [
    (re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})[日号](那周|那个周末)?"),
     lambda m, _: {None: _day, "那周": _week, "那个周末": _weekend}[m[4]](date(int(m[1]), int(m[2]), int(m[3])), relative=False)),
    (re.compile(r"(\d{4})年(\d{1,2})月"), lambda m, _: _month(int(m[1]), int(m[2]), relative=False)),
    (re.compile(r"(?<!\d)(\d{4})年"), lambda m, _: _year(int(m[1]), relative=False)),
    (re.compile(r"(?<!\d)(\d{1,2})月(\d{1,2})[日号]"), lambda m, today: _nearest(today, int(m[1]), int(m[2]))),
    (re.compile(r"(?<![\d个])(\d{1,2})月份?"), lambda m, today: _nearest_month(today, int(m[1]))),
    # 目前天气, 然后天黑 and 以后天天 hold the letters of a date and are none.
    (re.compile(r"(大前天|大后天|(?<![目以之])前天|(?<![以然之先最此])后天|昨[天日]|今[天日]|明[天日])"),
     lambda m, today: _day(today + timedelta(_DAYS[m[1]]))),
    (re.compile(r"(昨|今|明)(?P<suffix>[晚早夜])"), lambda m, today: _day(today + timedelta(_SHORT[m[1]]))),
    (re.compile(_STEP + r"个?(?:周|星期|礼拜)([一二三四五六日天末])?"), _chinese_week),
    (re.compile(_STEP + r"个?月(?!份)"), lambda m, today: _month(today.year, today.month + _STEPS[m[1]])),
    (re.compile(r"(?<![以之目])(前年|去年|今年|明年|后年)"), lambda m, today: _year(today.year + _YEARS[m[1]])),
    (re.compile(_HAN_COUNT + r"个?(天|日|周|星期|礼拜|月|年)(?:以|之)?(前|后)"), _chinese_shift),
]  # fmt: skip


def spans(text: str, anchor: datetime) -> Iterator[tuple[date, date]]:
    """The days that `text` names, as `mentioned` finds them: (first, the one after the last)."""
    for mention in _mentions(text, anchor.date(), absolute=True):
        yield mention.span.start, mention.span.end
