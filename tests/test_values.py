"""Values in statements, and what is made of them when a memory meets a newer fact."""

from __future__ import annotations

import pytest

from holdfast.merging.composing import replaced
from holdfast.merging.values import (
    exchanged,
    on_other_days,
    same_occasion,
    values,
    with_values,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Nightly builds start at 04:30 on Mondays",
            [("often", "Nightly"), ("time", "04:30"), ("weekday", "Mondays")],
        ),
        ("Rent is £1,015 a month", [("money", "£1,015")]),
        ("Flies on 14 May and back in June", [("date", "14 May"), ("date", "June")]),
        ("Born on 1987-05-12", [("date", "1987-05-12")]),
        ("The admin panel uses React 17 with TypeScript", [("version react", "17")]),
        ("Has two sons", [("count son", "two")]),
        ("房贷每月20号扣款", [("monthday", "20号")]),
        ("团队例会每周一上午十点开", [("weekday", "周一"), ("time", "上午十点")]),
        ("密码每90天换一次", [("often", "每90天")]),
        ("Is paid every other Friday", [("weekday", "Friday")]),
        ("Swims twice a week, or every other day", [("often", "twice a week"), ("often", "every other day")]),
        ("每季度打一次针，每周三复查", [("often", "每季度"), ("weekday", "周三")]),
        ("Release 4.2 has been pushed back to May", [("version release", "4.2"), ("date", "May")]),
        ("The staging server listens on port 9090", [("version port", "9090")]),
        ("Pays 840 euros", [("money", "840 euros")]),
        ("The replica's port is 6543", [("version port", "6543")]),
        (
            "The export runs hourly, not every 20 minutes",
            [("often", "hourly"), ("often", "every 20 minutes")],
        ),
        ("Listens on port\t6543", [("version port", "6543")]),
        ("套餐含80G流量", [("count g", "80")]),
        ("The flat is 1,240 euros", [("money", "1,240 euros")]),
        ("Likes tea", []),
        ("月租三千五，押一付三", [("money", "三千五")]),
        ("一点辣都不能吃", []),
        ("午饭一般一点半吃", [("time", "一点半")]),
    ],
)
def test_values_are_found_with_their_kinds(text: str, found: list[tuple[str, str]]) -> None:
    assert [(value.kind, value.text) for value in values(text)] == found
    assert all(text[value.start : value.end] == value.text for value in values(text))


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        (
            "Nightly builds start at 02:00 on Jenkins and post to #build-status",
            "Nightly builds start at 04:30",
            "Nightly builds start at 04:30 on Jenkins and post to #build-status",
        ),
        (
            "Rents a one-bedroom flat on Castle Street for £940 a month",
            "Rent for the Castle Street flat is £1,015 a month",
            "Rents a one-bedroom flat on Castle Street for £1,015 a month",
        ),
        ("建行房贷每月20号扣款，还剩11年", "房贷的扣款日是每月18号", "建行房贷每月18号扣款，还剩11年"),
        ("周会每周三下午两点开，在三楼", "周会改到四点了", "周会每周三下午四点开，在三楼"),
    ],
)
def test_a_value_is_exchanged_and_all_else_is_kept(old: str, new: str, after: str) -> None:
    assert with_values(old, new) == after
    assert after in replaced(old, new)


def test_values_that_may_belong_to_either_of_two_are_not_exchanged() -> None:
    assert exchanged("Works from 9:00 to 17:00", "Works from 10:00") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("6月15日考英语六级", "六月要考六级"),
        ("房贷每月8500元", "房贷每月八千五百块"),
        ("每周跑三次步", "每周跑3次步"),
    ],
)
def test_numerals_of_both_kinds_are_one(old: str, new: str) -> None:
    assert exchanged(old, new) == []


def test_dates_are_compared_as_exactly_as_both_give_them() -> None:
    assert same_occasion("Saw a band on 2023-07-08", "It rained on 8 July 2023")
    assert not same_occasion("Saw a band in July", "It rained on 8 July 2023")
    assert on_other_days("去年2019年3月去了大理", "2020年10月去了丽江")
