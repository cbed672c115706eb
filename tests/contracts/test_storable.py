"""What can be stored of a text, in one place for everything that comes from frameworks and models."""

from __future__ import annotations

import json
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import InputError, Memory
from holdfast.types import storable, storable_json
from tests.support.fakes import HashEmbedder


class Kind(StrEnum):
    TEA = "tea"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("我喜欢🎾", "我喜欢🎾"),
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        (r"\u0000", r"\u0000"),
        ("\ufeffa", "\ufeffa"),
        ("", ""),
    ],
)
def test_what_cannot_be_stored_is_shown_as_unreadable_and_nothing_else(text: str, kept: str) -> None:
    assert storable(text) == kept


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=40))
def test_what_is_storable_is_text_and_stays_as_it_is(text: str) -> None:
    kept = storable(text)
    assert storable(kept) == kept
    assert "\x00" not in kept.encode().decode()


def test_whatever_a_tool_returns_becomes_json() -> None:
    value = {
        Kind.TEA: Kind.TEA,
        1: {2},
        "deep": [("\ud800", b"\xff")],
        "bad": float("nan"),
        "odd": object,
        "fine": [None, True, 1.5],
    }
    plain = storable_json(value, lambda one: "bytes" if isinstance(one, bytes) else str(one))
    assert (
        json.loads(json.dumps(plain, allow_nan=False))
        == plain
        == {
            "tea": "tea",
            "1": [2],
            "deep": [["\ufffd", "bytes"]],
            "bad": "nan",
            "odd": "<class 'object'>",
            "fine": [None, True, 1.5],
        }
    )
    assert type(plain["tea"]) is str


@pytest.mark.parametrize(
    ("text", "said"), [("a\x00", "NUL character at 1"), ("\ud800", "lone surrogate at 0")]
)
def test_the_door_names_what_cannot_be_stored_and_the_way_out(text: str, said: str) -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        with pytest.raises(InputError, match=f"{said}.*storable"):
            memory.add(text, user_id="alice")
        assert memory.add(storable(text), user_id="alice", infer=False)
