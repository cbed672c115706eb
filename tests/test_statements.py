"""What a message states, without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.recalled import strip_recalled
from holdfast.statements import is_question, prose, sentences, statements
from holdfast.types import Message, Role


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("我正在提高我的网球技能。请推荐一些在线课程。", ["我正在提高我的网球技能。"]),
        ("你好！我叫小明，住在北京。你能帮我吗？谢谢", ["我叫小明，住在北京。"]),
        ("Hi! I'm Anna. I love tea. Can you help?", ["I'm Anna.", "I love tea."]),
        ("I met Dr. Lee at 3 p.m. on Monday.", ["I met Dr. Lee at 3 p.m. on Monday."]),
        ("Thanks so much! That's really helpful.", []),
        ("好的，谢谢！", []),
        ("Hey Mel! Good to see you!", []),
        ("Thanks, Caroline!", []),
        ("Wow, love that painting!", []),
        ("Way to go, Maria! That must have been really exciting. Keep it up!", []),
        ("That's a nice house I bought.", ["That's a nice house I bought."]),
        ("what is the capital of France", []),
        ("为什么天是蓝的", []),
        ("Recommend me a book. Please translate this.", []),
        ("帮我写一封信", []),
        ("https://example.org/page", []),
        ("42", []),
        ("Please remember that I'm allergic to nuts.", ["Please remember that I'm allergic to nuts."]),
        ("记住我不吃辣。", ["记住我不吃辣。"]),
        ("my dog Rex loves the beach here", ["my dog Rex loves the beach here"]),
        ("- I play chess\n- I have two cats", ["I play chess", "I have two cats"]),
        ("I live at https://example.org since May", ["I live at https://example.org since May"]),
    ],
)
def test_statements_are_kept_and_questions_requests_and_courtesies_are_not(
    content: str, kept: list[str]
) -> None:
    assert statements(Message(content)) == kept


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_only_users_make_statements(role: Role) -> None:
    assert statements(Message("I live in Berlin.", role=role)) == []


def test_code_logs_and_stack_traces_are_not_memories() -> None:
    content = """My service crashes on start.
```python
user = "I like tea"
```
2024-05-01 12:00:01 ERROR cannot bind
Traceback (most recent call last):
  File "app.py", line 3, in <module>
ValueError: I am a message
> quoted: I like rain
def main(): return 1;
It runs on Debian."""
    assert statements(Message(content)) == ["My service crashes on start.", "It runs on Debian."]


def test_recalled_memories_are_not_stated_again() -> None:
    content = '<memories source="holdfast">\nLikes tea.\n</memories>\nI have moved to Lisbon.'
    assert statements(Message(content)) == ["I have moved to Lisbon."]


def test_an_unterminated_frame_hides_nothing() -> None:
    text = "<memories> I like tea."
    assert strip_recalled(text) == text
    assert strip_recalled("I like tea. </memories>") == "I like tea. </memories>"


def test_an_opening_tag_before_a_real_frame_hides_no_more_than_the_frame() -> None:
    text = '<memories> I like tea. <memories source="holdfast">old</memories> I like rain.'
    assert strip_recalled(text) == "<memories> I like tea.  I like rain."


def test_nested_frames_go_as_one() -> None:
    assert strip_recalled("a<memories>x<memories>y</memories>z</memories>b") == "ab"


@pytest.mark.parametrize("fact", ["Is the mother of two", "Has the flu", "Was the captain"])
def test_facts_without_a_subject_are_no_questions(fact: str) -> None:
    assert not is_question(fact, inverted=False)


@given(st.text(max_size=200))
def test_statements_are_parts_of_the_message(text: str) -> None:
    for sentence in statements(Message(text)):
        assert sentence in text
        assert sentence.strip()


@given(st.text(alphabet="ab <>/memories。.!\n", max_size=120))
def test_stripping_twice_changes_nothing_more_than_stripping_until_done(text: str) -> None:
    assert len(strip_recalled(text)) <= len(text)
    assert sentences(prose(text)) is not None
