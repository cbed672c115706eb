"""Dates in English and Chinese, reckoned from the day on which they were said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.text.periods import mentioned, written

MONDAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["I may march 3 times", "the other day", "recently", "in summer", "目前天气好", "然后天黑了", "以后天天跑步",
     "明日期", "最近很忙", "It feels like just yesterday", "那一天就像昨天"],
)  # fmt: skip
def test_what_has_several_readings_names_no_time(text: str) -> None:
    assert mentioned(text, MONDAY) == []


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("What did she do on 7 May 2023?", date(2023, 5, 7), date(2023, 5, 8)),
        ("May 7th, 2023", date(2023, 5, 7), date(2023, 5, 8)),
        ("2023-05-07", date(2023, 5, 7), date(2023, 5, 8)),
        ("the week of 1 May 2023", date(2023, 5, 1), date(2023, 5, 8)),
        ("the weekend of 6 May 2023", date(2023, 5, 6), date(2023, 5, 8)),
        ("in June", date(2023, 6, 1), date(2023, 7, 1)),
        ("in December", date(2022, 12, 1), date(2023, 1, 1)),
        ("25 December", date(2022, 12, 25), date(2022, 12, 26)),
        ("February 2024", date(2024, 2, 1), date(2024, 3, 1)),
        ("back in 2019", date(2019, 1, 1), date(2020, 1, 1)),
        ("I went there yesterday.", date(2023, 5, 7), date(2023, 5, 8)),
        ("Lost yesterday's race", date(2023, 5, 7), date(2023, 5, 8)),
        ("Ran yesterday evening", date(2023, 5, 7), date(2023, 5, 8)),
        ("moves the day after tomorrow", date(2023, 5, 10), date(2023, 5, 11)),
        ("last Friday", date(2023, 5, 5), date(2023, 5, 6)),
        ("next Monday", date(2023, 5, 15), date(2023, 5, 16)),
        ("next Friday", date(2023, 5, 12), date(2023, 5, 20)),
        ("last week", date(2023, 5, 1), date(2023, 5, 8)),
        ("this weekend", date(2023, 5, 13), date(2023, 5, 15)),
        ("next year", date(2024, 1, 1), date(2025, 1, 1)),
        ("last summer", date(2022, 6, 1), date(2022, 9, 1)),
        ("next winter", date(2023, 12, 1), date(2024, 3, 1)),
        ("last May", date(2022, 5, 1), date(2022, 6, 1)),
        ("3 days ago", date(2023, 5, 5), date(2023, 5, 6)),
        ("five months ago", date(2022, 12, 1), date(2023, 1, 1)),
        ("a few weeks ago", date(2023, 3, 13), date(2023, 5, 8)),
        ("昨晚看了电影", date(2023, 5, 7), date(2023, 5, 8)),
        ("上周五见了他", date(2023, 5, 5), date(2023, 5, 6)),
        ("下周末去北京", date(2023, 5, 20), date(2023, 5, 22)),
        ("上个月15号搬家", date(2023, 4, 15), date(2023, 4, 16)),
        ("去年五月", date(2022, 5, 1), date(2022, 6, 1)),
        ("十二年前", date(2011, 1, 1), date(2012, 1, 1)),
        ("二十一天前", date(2023, 4, 17), date(2023, 4, 18)),
        ("两个月后出国", date(2023, 7, 1), date(2023, 8, 1)),
        ("2023年5月1日那周", date(2023, 5, 1), date(2023, 5, 8)),
        ("5月20号", date(2023, 5, 20), date(2023, 5, 21)),
        ("十月去日本", date(2023, 10, 1), date(2023, 11, 1)),
        ("2022年", date(2022, 1, 1), date(2023, 1, 1)),
    ],
)
def test_mentioned_dates_are_spans(text: str, start: date, end: date) -> None:
    ((first, last),) = mentioned(text, MONDAY)
    assert (first.date(), last.date()) == (start, end)
    assert first.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["31 February 2023", "0000-00-00", "2023年13月40日", "99月", "version 2.0.1", "1234567"]
)
def test_impossible_dates_are_none(text: str) -> None:
    assert all(start < end for start, end in mentioned(text, MONDAY))


_WORDS = st.lists(
    st.sampled_from(
        [
            "yesterday",
            "last",
            "next",
            "week",
            "Friday",
            "May",
            "3",
            "days",
            "ago",
            "in",
            "2023",
            "昨天",
            "上周",
            "五",
            "月",
            "前",
        ]
    ),
    max_size=8,
)


@given(_WORDS, st.datetimes(timezones=st.just(UTC)))
def test_reading_never_fails(words: list[str], anchor: datetime) -> None:
    assert all(start < end for start, end in mentioned(" ".join(words), anchor))


@given(st.dates(date(1000, 1, 1), date(9000, 1, 1)), st.booleans())
def test_written_days_are_read_back(day: date, chinese: bool) -> None:
    ((start, end),) = mentioned(written(day, chinese=chinese), MONDAY)
    assert start.date() == day
    assert end - start == timedelta(days=1)
