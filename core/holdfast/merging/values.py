"""Values that a statement gives: times, days, dates, sums of money, numbers with what they count.

Two statements that speak of one thing and differ in such a value contradict each other, however much else one of
them tells, and the memory is brought up to date by exchanging just that value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..lexical import terms
from ..numerals import in_digits
from . import lexicon
from .evidence import CJK, IS_CJK, normalised, read

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_HAN = "零一二三四五六七八九十两"
_NUMBER = r"\d+(?:[.,]\d+)*"
_WRITTEN = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
# The first that applies, from left to right. `count` is a number with the word for what it counts.
_VALUE = re.compile(
    rf"""
      (?P<time>\b\d{{1,2}}[:：]\d{{2}}(?:\s?[ap]\.?m\b\.?)?|\b\d{{1,2}}\s?[ap]\.?m\b\.?|\b(?:noon|midnight)\b
        |(?:凌晨|清晨|早上|上午|中午|下午|傍晚|晚上)?(?:\d{{1,2}}|[{_HAN}]{{1,3}})点(?:半|钟|(?:\d{{1,2}}|[{_HAN}]{{1,3}})分)?)
    | (?P<money>[£$€¥￥]\s?{_NUMBER}(?:\s?(?:k|million|m)\b)?|\b{_NUMBER}\s?(?:dollars|euros?|pounds|yuan|bucks)\b
        |(?:{_NUMBER}|[{_HAN}百千万]+)(?:万)?(?:元|块|美元|欧元|英镑)
        |\d+(?:\.\d+)?[万亿](?=[，,。；;了多]|一?个?月|每|$)
        |[{_HAN}]+[百千万][{_HAN}百千万]*?(?=[，,。；;了]|一?个?月|每|$))
    | (?P<date>\b\d{{4}}-\d{{2}}(?:-\d{{2}})?\b
        |\b{_DAY}\s(?:of\s)?{_MONTH}\b(?:,?\s\d{{4}}\b)?|\b{_MONTH}\s{_DAY}\b(?:,?\s\d{{4}}\b)?|\b{_MONTH}\s\d{{4}}\b
        |\b(?:in|on|to|until|by|since|from|every)\s{_MONTH}\b(?!,?\s\d)
        |(?:\d{{4}}年)?(?:\d{{1,2}}|[{_HAN}]{{1,2}})月(?:(?:\d{{1,2}}|[{_HAN}]{{1,3}})[日号]|初[{_HAN}]|[二三]?十[{_HAN}]?(?![个{CJK}]))?|\d{{4}}年|\b(?:19|20)\d\ds?\b)
    | (?P<monthday>(?:\d{{1,2}}|[{_HAN}]{{1,3}})[日号](?!楼|线|馆|店|院|桌|机))
    | (?P<weekday>\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|(?:周|星期|礼拜)[一二三四五六日天])
    | (?P<often>\b(?:hourly|daily|nightly|weekly|fortnightly|biweekly|monthly|quarterly|yearly|annually)\b
        |\b(?:once|twice|(?:\d+|{_WRITTEN})\stimes)\s(?:a|per|every)\s(?:day|week|month|quarter|year)\b
        |\bevery\s(?:(?:other|second|third|few|\d+|{_WRITTEN})\s)?(?:minute|hour|day|week|weekend|month|quarter|year)s?\b
        |每隔?(?:(?:\d+|[{_HAN}])个?)?(?:分钟|小时|天|周末|周|星期|礼拜|月|季度|半年|年)(?![一二三四五六日天初末底\d]))
    | (?P<version>(?:(?<=\s)(?-i:[A-Z])[\w+#.]*\s\d+(?:\.\d+)*|^(?!The\s)(?-i:[A-Z])[\w+#.]*\s\d+(?:\.\d+)+
          |\b(?:port|room|gate|floor|line|route|bus|platform|row|seat|unit|flat|level|version|chapter|page)\s\d+
          |\b(?:port|room|gate|platform|seat|version)\s(?:is|was|number)\s\d+(?:\.\d+)*)
        \b(?![:%-]|,\d|\s(?:of\s)?{_MONTH}\b|\s?[ap]\.?m\b))
    | (?P<count>(?<![\w.-])(?:{_NUMBER}|{_WRITTEN})(?:\s?%|[\s-]?(?:[a-zµ]+))
        |(?:{_NUMBER}|[{_HAN}百千]+)(?![{_HAN}百千])(?:个(?=人))?[%{CJK}]
        |(?<=[{CJK}])\d+(?:\.\d+)?[a-z]{{1,3}}(?![a-z\d]))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LEAD = re.compile(r"^(?:in|on|to|until|by|since|from|every)\s", re.IGNORECASE)
_COUNTED = re.compile(rf"^({_NUMBER}|{_WRITTEN}|[{_HAN}百千]+)[\s-]?(.+)$", re.IGNORECASE)
_DIGITS = {word: str(n) for n, word in enumerate(_WRITTEN.split("|"), 1)}
_YUAN = re.compile("[块元]$")  # left unsaid as well: 月租三千五
_PERSONS_CJK = frozenset({"个人", "名", "位"})
_ORDINAL_CJK = frozenset("第初")


@dataclass(frozen=True, slots=True)
class Value:
    """kind: what may take its place; start / end: where it stands in the text."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        if self.kind == "weekday":
            return normalised(self.text).removesuffix("s")
        plain = in_digits(normalised(self.text))
        if self.kind == "money":
            plain = _YUAN.sub("", plain)
        return " ".join(_DIGITS.get(word, word) for word in plain.split())


@lru_cache(maxsize=4096)
def values(text: str) -> tuple[Value, ...]:
    """The values in `text`, in order."""
    return tuple(_found(text))


def _found(text: str) -> Iterator[Value]:
    for match in _VALUE.finditer(text):
        kind, start, found = str(match.lastgroup), match.start(), match[0]
        lead = _LEAD.match(found) if kind == "date" else None
        if lexicon.A_LITTLE_CJK.match(text, start):
            continue
        if lead:
            start, found = start + lead.end(), found[lead.end() :]
        if kind == "version":
            name, *_, found = found.split()  # "port is 8080"
            kind, start = f"version {name.casefold()}", match.end() - len(found)
        if kind == "count":
            counted = _COUNTED.match(found)
            if (
                counted is None
                or counted[1] == "一"
                or counted[2].casefold() in lexicon.NO_UNIT
                or text[start - 1 : start] in _ORDINAL_CJK
            ):
                continue
            kind = f"count {_unit(counted[2])}"
            found = counted[1] if not IS_CJK.search(counted[2]) else found
        yield Value(kind, found, start, start + len(found))


def _unit(word: str) -> str:
    if IS_CJK.search(word):
        return "人" if word in _PERSONS_CJK else word
    stems = terms(word) if word.isalpha() and word.isascii() else []
    return stems[0] if stems else word


_Calendar = tuple[int | None, int | None, int | None]


def _calendar(text: str) -> _Calendar:
    """Year, month and day, as far as they are given."""
    plain = in_digits(text.casefold())
    iso = re.fullmatch(r"(\d{4})-(\d{2})(?:-(\d{2}))?", plain)
    if iso:
        return int(iso[1]), int(iso[2]), int(iso[3]) if iso[3] else None
    year = re.search(r"(\d{4})", plain)
    named = next((n for n, name in enumerate(_MONTHS, 1) if re.search(rf"\b{name}", plain)), None)
    month = re.search(r"(\d{1,2})月", plain)
    day = re.search(r"(?<!\d)(\d{1,2})(?:[日号]|(?:st|nd|rd|th)?\b(?!月))", plain)
    return (
        int(year[1]) if year else None,
        int(month[1]) if month else named,
        int(day[1]) if day else None,
    )


def _within(exact: _Calendar, vague: _Calendar) -> bool:
    pairs = list(zip(exact, vague, strict=True))
    return any(b is not None for _, b in pairs) and all(b is None or a == b for a, b in pairs)


def _comparable(one: _Calendar, other: _Calendar) -> bool:
    return any(a is not None and b is not None for a, b in zip(one, other, strict=True))


def same_occasion(old: str, new: str) -> bool:
    """Whether both name the same day, or the same month of a year."""
    known = [_calendar(value.text) for value in values(old) if value.kind == "date"]
    told = [_calendar(value.text) for value in values(new) if value.kind == "date"]
    return any(
        None not in (a[0] and b[0], a[1] and b[1]) and (_within(a, b) or _within(b, a))
        for a in known
        for b in told
    )


def on_other_days(old: str, new: str) -> bool:
    """Whether both name days, and none the same."""
    dated = all(any(value.kind == "date" for value in values(text)) for text in (old, new))
    return dated and not same_occasion(old, new)


def exchanged(old: str, new: str) -> list[tuple[Value, Value]]:
    """The values of `old` in whose place `new` gives another one of the same kind; none where it is not clear
    which is meant."""
    pairs = []
    for kind in dict.fromkeys(value.kind for value in values(new)):
        now = [value for value in values(new) if value.kind == kind]
        then = [value for value in values(old) if value.kind == kind]
        if not then or {value.plain for value in now} <= {value.plain for value in then}:
            continue
        if len(now) != 1 or len(then) != 1:
            return []
        days = _calendar(then[0].text), _calendar(now[0].text)
        if kind == "date" and (_within(*days) or _within(*reversed(days)) or not _comparable(*days)):
            continue  # the same day, said more or less exactly; or a year, and a day of no year
        pairs.append((then[0], now[0]))
    return pairs


def begins_with_known(new: str, old: str) -> bool:
    """Whether what a statement begins with, its subject or its topic, is named in the other."""
    told, known = read(new), read(old)
    if not told.chinese:
        return told.subject <= known.words | known.names
    plain = lexicon.REMARKS_CJK.sub("", told.plain)
    start = re.match(rf"[^{CJK}]*([{CJK}]{{2}}|[^\s{CJK}]+)", plain)
    return start is not None and start[1] in known.plain


def with_values(old: str, new: str) -> str | None:
    """`old` with the values of `new` in the place of its own; None where it is not clear which are exchanged."""
    pairs = exchanged(old, new)
    if not pairs:
        return None
    text = old
    for then, now in sorted(pairs, key=lambda pair: -pair[0].start):
        part = _PART_OF_DAY.match(then.text)
        same_part = part[0] if part and then.kind == "time" and not _PART_OF_DAY.match(now.text) else ""
        text = text[: then.start] + same_part + _with_year(now, then) + text[then.end :]
    return text


def _with_year(now: Value, then: Value) -> str:
    """A date with the year of the one in whose place it comes, where it gives a day and no year of its own."""
    year = re.search(r"(?:19|20)\d\d年?", then.text) if then.kind == now.kind == "date" else None
    if not year or _calendar(now.text)[0] is not None or _calendar(now.text)[2] is None:
        return now.text
    return f"{year[0]}{now.text}" if year[0].endswith("年") else f"{now.text} {year[0]}"


_PART_OF_DAY = re.compile("凌晨|清晨|早上|上午|中午|下午|傍晚|晚上")


def without_values(text: str) -> str:
    """A statement without its values and its words of change: what it is about."""
    bare = text
    for value in reversed(values(text)):
        bare = f"{bare[: value.start]} {bare[value.end :]}"
    bare = bare.strip()
    bare = bare[:1].lower() + bare[1:]
    return lexicon.CHANGE.sub(" ", lexicon.CORRECTION.sub(" ", lexicon.without_preface(bare)))
