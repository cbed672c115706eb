"""Dates in English and Chinese, reckoned from the day on which they were said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dates import mentioned, only_day, resolve, written

MONDAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("I went there yesterday.", "I went there on 7 May 2023."),
        ("Ran yesterday evening", "Ran on the evening of 7 May 2023"),
        ("I swam this morning", "I swam in the morning of 8 May 2023"),
        ("It rained. Last night I read.", "It rained. On the night of 7 May 2023 I read."),
        ("since yesterday", "since 7 May 2023"),
        ("Lost yesterday's race", "Lost the 7 May 2023 race"),
        ("the day before yesterday", "on 6 May 2023"),
        ("moves the day after tomorrow", "moves on 10 May 2023"),
        ("last Friday", "on 5 May 2023"),
        ("last Monday", "on 1 May 2023"),
        ("next Monday", "on 15 May 2023"),
        ("next Friday", "the Friday after 8 May 2023"),
        ("last week", "in the week of 1 May 2023"),
        ("this weekend", "on the weekend of 13 May 2023"),
        ("last month", "in April 2023"),
        ("next year", "in 2024"),
        ("last summer", "in summer 2022"),
        ("next winter", "in winter 2023"),
        ("last May", "in May 2022"),
        ("3 days ago", "on 5 May 2023"),
        ("two weeks ago", "in the week of 24 April 2023"),
        ("a year ago", "in 2022"),
        ("five months ago", "in December 2022"),
        ("a few weeks ago", "a few weeks before 8 May 2023"),
        ("昨天去爬山", "2023年5月7日去爬山"),
        ("昨晚看了电影", "2023年5月7日晚看了电影"),
        ("前天和大前天", "2023年5月6日和2023年5月5日"),
        ("上周五见了他", "2023年5月5日见了他"),
        ("下周末去北京", "2023年5月20日那个周末去北京"),
        ("上个月搬家", "2023年4月搬家"),
        ("上个月15号搬家", "2023年4月15日搬家"),
        ("去年五月", "2022年5月"),
        ("十二年前", "2011年"),
        ("三天前天气好", "2023年5月5日天气好"),
        ("两个月后出国", "2023年7月出国"),
        ("明年结婚", "2024年结婚"),
    ],
)
def test_relative_dates_become_absolute(text: str, resolved: str) -> None:
    assert resolve(text, MONDAY) == resolved


@pytest.mark.parametrize(
    "text",
    [
        "the youth of today",
        "I may march 3 times",
        "the other day",
        "recently",
        "on Monday morning",
        "on 7 May 2023",
        "in summer",
        "2023-05-07",
        "目前天气好",
        "然后天黑了",
        "以后天天跑步",
        "明日期",
        "2023年5月7日",
        "最近很忙",
        "It feels like just yesterday",
        "那一天就像昨天",
    ],
)
def test_what_is_absolute_or_has_several_readings_stays(text: str) -> None:
    assert resolve(text, MONDAY) == text


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
        ("last week", date(2023, 5, 1), date(2023, 5, 8)),
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
    assert resolve(text, MONDAY) == text
    assert all(start < end for start, end in mentioned(text, MONDAY))


def test_only_day_wants_exactly_one() -> None:
    assert only_day("on 7 May 2023", MONDAY) == date(2023, 5, 7)
    assert only_day("in May 2023", MONDAY) is None
    assert only_day("7 May 2023 and 8 May 2023", MONDAY) is None


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
def test_resolving_never_fails_and_leaves_nothing_relative(words: list[str], anchor: datetime) -> None:
    text = " ".join(words)
    resolved = resolve(text, anchor)
    for start, end in mentioned(resolved, anchor):
        assert start < end


@given(st.dates(date(1000, 1, 1), date(9000, 1, 1)), st.booleans())
def test_written_days_are_read_back(day: date, chinese: bool) -> None:
    ((start, end),) = mentioned(written(day, chinese=chinese), MONDAY)
    assert start.date() == day
    assert end - start == timedelta(days=1)
