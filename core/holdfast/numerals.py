"""Chinese numerals as digits: 三十 is 30, 八千五 is 8500, 1.5万 is 15000."""

from __future__ import annotations

import re
from decimal import Decimal

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_UNITS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000, "亿": 100_000_000}
_HAN = "".join(_DIGITS)
# 万一 and 千万 ("by all means") begin with a unit and are no numbers; 十 may stand alone.
NUMERAL = re.compile(rf"\d+(?:\.\d+)?[百千万亿]+|[{_HAN}十][{_HAN}{''.join(_UNITS)}]*")


def in_digits(text: str) -> str:
    """The text with its Chinese numerals written in digits."""
    return NUMERAL.sub(lambda found: _plain(found[0]), text)


def integer(numeral: str) -> int:
    """The value of a numeral in digits or in Chinese. Raises ValueError for anything else."""
    return int(_plain(numeral))


def _plain(numeral: str) -> str:
    if not any(character in _UNITS for character in numeral):  # digit by digit, as in 二〇二六
        return "".join(str(_DIGITS.get(character, character)) for character in numeral)
    arabic = re.match(r"\d+(?:\.\d+)?", numeral)
    if arabic:
        value = Decimal(arabic[0])
        for character in numeral[arabic.end() :]:
            value *= _UNITS[character]
        return f"{value:f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
    return str(_counted(numeral))


def _counted(numeral: str) -> int:
    total = section = digit = 0
    unit = 10  # the last one, for 八千五 and 一百二, which leave the next one unsaid
    for character in numeral:
        if character in _DIGITS:
            digit = _DIGITS[character]
            unit = 10 if digit == 0 else unit
            continue
        unit = _UNITS[character]
        if unit >= 10_000:
            more = (section + digit) * unit
            total, section = (total * unit + more if unit > total else total + more), 0
        else:
            section += (digit or 1) * unit
        digit = 0
    return total + section + digit * (unit // 10)
