"""What came out of memory is taken out of a text again, however much of its frame is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Message
from holdfast.decisions.text.frame import FRAME_CLOSE, FRAME_OPEN, strip_recalled
from tests.conftest import Face


@pytest.mark.parametrize("separator", ["", "\n", "\n\n"])
def test_a_frame_without_its_closing_tag_is_taken_out(memory: Face, separator: str) -> None:
    memory.add(["I like green tea very much.", "My sister Mia plays the violin."], user_id="alice")
    recalled = str(memory.recall("tea and my sister", user_id="alice", max_tokens=2000))
    assert "tea" in recalled
    cut = recalled.removesuffix(FRAME_CLOSE).rstrip() + separator
    assert strip_recalled(f"Hello.\n{cut}") == "Hello."
    assert strip_recalled(f"{cut}\nAnd I own a boat.") == "And I own a boat."
    before = memory.count(user_id="alice")
    memory.add(f"{cut}\nI own a red boat.", user_id="alice")
    assert memory.count(user_id="alice") == before + 1


def test_a_closed_frame_after_an_open_one_hides_nothing_between_them() -> None:
    text = f"{FRAME_OPEN}\n- a memory\nI own a boat.\n{FRAME_OPEN}\n- another\n{FRAME_CLOSE}\nI like tea."
    assert strip_recalled(text).split() == ["I", "own", "a", "boat.", "I", "like", "tea."]


def test_a_turn_is_recalled_under_its_role_whatever_name_it_bears(memory: Face) -> None:
    said = [Message("I live at 12 Elm Road with my sister Mia, who plays the violin.", name="assistant")]
    memory.add(said, user_id="alice")
    memory.update(memory.get_all(user_id="alice")[0].id, "Lives with Mia")
    recalled = str(memory.recall("sister Mia", user_id="alice", max_tokens=2000))
    assert "assistant:" not in recalled


@given(st.text(alphabet="ab -[]\n<>/"), st.text(alphabet="ab -[]\n<>/"))
def test_what_is_outside_of_a_closed_frame_stays(before: str, after: str) -> None:
    assert strip_recalled(f"{before}{FRAME_OPEN}x{FRAME_CLOSE}{after}") == f"{before}{after}".strip()
