"""The dates that a text names in numbers, and how a day is written."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.text.dates import Dates, dates, written


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("What did she do on 2023-05-07?", (2023, 5, 7)),
        ("Was war am 2023/5/7?", (2023, 5, 7)),
        ("2023.05.07", (2023, 5, 7)),
        ("2023年5月7日小明做了什么？", (2023, 5, 7)),
        ("2023年5月小明做了什么？", (2023, 5, 0)),
        ("2023년 5월 7일에 뭐 했어?", (2023, 5, 7)),
        ("since 2023-05", (2023, 5, 0)),
    ],
)
def test_a_date_with_its_year_in_front_is_read_in_full(text: str, full: tuple[int, int, int]) -> None:
    assert dates(text) == Dates(full=frozenset({full}))


@pytest.mark.parametrize(
    "text", ["on 7 May 2023", "May 7th, 2023", "el 7 de mayo de 2023", "am 7. Mai 2023", "7 мая 2023"]
)
def test_of_a_date_in_words_the_numbers_are_read(text: str) -> None:
    assert dates(text) == Dates(years=frozenset({2023}), days=frozenset({7}))


@pytest.mark.parametrize(
    "text", ["", "three of 40", "at 7", "call 555000123", "What is due at the end of March?"]
)
def test_without_a_year_no_date_is_named(text: str) -> None:
    assert not dates(text)


@given(st.text(alphabet="0123456789-/.年月日 ab", max_size=60))
def test_reading_never_fails(text: str) -> None:
    dates(text)


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_day_that_was_written_is_read_back(day: date) -> None:
    assert dates(written(day, chinese=True)).full == {(day.year, day.month, day.day)}
    read = dates(written(day, chinese=False))
    assert day.year in read.years
    assert day.day in read.days
