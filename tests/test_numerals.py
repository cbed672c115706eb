"""Chinese numerals as digits."""

from __future__ import annotations

import pytest

from holdfast.numerals import in_digits, integer


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("三十", "30"),
        ("十二", "12"),
        ("二十一", "21"),
        ("两千", "2000"),
        ("八千五", "8500"),
        ("一百二", "120"),
        ("一百零二", "102"),
        ("五百二十", "520"),
        ("三千零五", "3005"),
        ("三万二", "32000"),
        ("一亿二千万", "120000000"),
        ("二〇二六", "2026"),
        ("1.25万", "12500"),
        ("3百万", "3000000"),
        ("0.5万", "5000"),
        ("月租三千五，十二号交", "月租3500，12号交"),
        ("千万别忘", "千万别忘"),
        ("no numeral, 42", "no numeral, 42"),
    ],
)
def test_numerals_become_digits(written: str, digits: str) -> None:
    assert in_digits(written) == digits


def test_a_numeral_is_a_number_in_either_writing() -> None:
    assert [integer(one) for one in ("7", "七", "十", "四十二")] == [7, 7, 10, 42]
    with pytest.raises(ValueError, match="seven"):
        integer("seven")
