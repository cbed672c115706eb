"""Masking of personal data, in English and Chinese."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.models.redaction import PersonalDataRedactor
from holdfast.ports import Redactor

REDACTOR = PersonalDataRedactor()


def test_it_is_a_redactor() -> None:
    assert isinstance(REDACTOR, Redactor)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Mail alice.b+x@example.co.uk, please.", "Mail [email], please."),
        ("a@example.com+b@example.com", "[email][email]"),
        ("call +49 30 901820 tonight", "call [phone] tonight"),
        ("call (415) 555-2671 or 020 7946 0958", "call [phone] or [phone]"),
        ("paid with 4111 1111 1111 1111 today", "paid with [card] today"),
        ("paid with 4111111111111111.", "paid with [card]."),
        ("IBAN DE89 3704 0044 0532 0130 00 IS MINE", "IBAN [iban] IS MINE"),
        ("GB82WEST12345698765432", "[iban]"),
        ("my SSN is 536-90-4399", "my SSN is [ssn]"),
        ("from 192.168.0.17 and 2001:db8::8a2e:370:7334", "from [ip] and [ip]"),
        ("我的电话是13812345678，明天打给我", "我的电话是[phone]，明天打给我"),
        ("电话：１３８１２３４５６７８", "电话：[phone]"),
        ("手机138 1234 5678或+86 138-1234-5678", "手机[phone]或[phone]"),
        ("座机010-62345678", "座机[phone]"),
        ("我的身份证是11010519491231002X。", "我的身份证是[id]。"),
        ("邮箱zhang.san@example.com，谢谢", "邮箱[email]，谢谢"),
        ("邮箱ｚｈａｎｇ＠example.com", "邮箱[email]"),
        ("微信同号13812345678，卡号6222020000000000000", "微信同号[phone]，卡号[card]"),
    ],
)
def test_personal_data_is_masked_where_it_stands(text: str, masked: str) -> None:
    assert REDACTOR.redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I like tennis and live in Lisbon with my dog Rex.",
        "On 2026-03-01 at 12:34:56 I paid 1,234,567.89 for order 20260301123456.",
        "Pi is 3.14159265358979, and version 1.2.3 runs std::vector and a::b on ::1.",
        "The years 2024-2025 had 12 months each, and 1234567890123456 is no card.",
        "我2026年3月1日在上海，有3个孩子，1990年出生，工资20000元。",
        "航班CA1831，车牌京A12345，邮编100084，房间号20260301",
        "身份证号110105194912310021的校验位是错的",
        "DE00 3704 0044 0532 0130 00 has wrong check digits",
        "@alice said hi to bob@",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert REDACTOR.redact(text) == text


def test_only_the_kinds_asked_for_are_masked() -> None:
    redactor = PersonalDataRedactor(kinds=["email"])
    assert redactor.redact("a@example.com, 13812345678") == "[email], 13812345678"


def test_national_numbers_are_known_in_the_regions_given() -> None:
    assert PersonalDataRedactor(regions=["DE"]).redact("ruf 030 901820 an") == "ruf [phone] an"
    assert REDACTOR.redact("ruf 030 901820 an") == "ruf 030 901820 an"
    assert PersonalDataRedactor(regions=[]).redact("+86 13812345678, 13812345678") == "[phone], 13812345678"


def test_the_replacement_is_the_users_choice() -> None:
    redactor = PersonalDataRedactor(mask=lambda kind, found: f"<{kind}:{len(found)}>")
    assert redactor.redact("13812345678在这") == "<phone:11>在这"


def test_unknown_kinds_and_regions_are_refused() -> None:
    with pytest.raises(InputError, match="name"):
        PersonalDataRedactor(kinds=["name"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="Germany"):
        PersonalDataRedactor(regions=["Germany"])


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(InputError, match=r"holdfast\[privacy\]"):
        PersonalDataRedactor()


PIECES = st.sampled_from(
    [
        "a@b.co",
        "13812345678",
        "11010519491231002X",
        "4111 1111 1111 1111",
        " ",
        "，",
        "我",
        "1",
        "+",
        "::",
        "@",
        "x",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_masking_twice_masks_no_more_and_nothing_else_changes(text: str) -> None:
    once = REDACTOR.redact(text)
    assert REDACTOR.redact(once) == once
    if "[" not in once:
        assert once == text


@pytest.mark.parametrize("piece", ["1", "1 ", "a@", "a.b-c@d.", "1:", "+1", "DE89 ", "我1"])
def test_long_nonsense_takes_no_long_time(piece: str) -> None:
    started = time.perf_counter()
    REDACTOR.redact(piece * 10_000)
    assert time.perf_counter() - started < 10
