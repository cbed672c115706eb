"""Counting tokens, with and without a vocabulary on the machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.models import tokens
from holdfast.models.tokens import TokenCounter, count_tokens, estimate_tokens


@pytest.fixture
def no_vocabulary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where the vocabulary lies nowhere."""
    monkeypatch.setattr(tokens, "_folders", lambda: iter([tmp_path]))


def test_wide_characters_count_one_and_four_others_one() -> None:
    assert estimate_tokens("我喜欢打网球") == 6
    assert estimate_tokens("abcdefgh") == 2
    assert estimate_tokens("abcde") == 2
    assert estimate_tokens("") == 0


@pytest.mark.usefixtures("no_vocabulary")
def test_without_a_vocabulary_counts_are_estimated_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counter = TokenCounter()
    with caplog.at_level(logging.WARNING, "holdfast"):
        assert counter("我喜欢打网球 hello world") == estimate_tokens("我喜欢打网球 hello world")
        counter("again")
    assert counter.exact is False
    assert len(caplog.records) == 1


def test_a_damaged_vocabulary_is_not_given_to_tiktoken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / tokens._FILE
    damaged.write_bytes(b"damaged")
    monkeypatch.setattr(tokens, "_folders", lambda: iter([tmp_path]))
    assert TokenCounter()("hello") == 2
    assert damaged.exists()  # tiktoken would have deleted it, and downloaded it again


def test_the_vocabulary_that_llama_index_ships_is_found_and_the_environment_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("llama_index.core")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/nowhere")
    counter = TokenCounter()
    assert counter("我喜欢打网球 hello world") == 7
    assert counter.exact is True
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "/nowhere"


def test_special_tokens_are_counted_as_text() -> None:
    assert count_tokens("<|endoftext|>") > 1


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(InputError, match="no_such_encoding"):
        count_tokens("hello", "no_such_encoding")


@given(st.text(max_size=300))
def test_any_text_can_be_counted(text: str) -> None:
    assert (count_tokens(text) == 0) == (text == "")
