"""What a message states, without a model and without knowing its language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.extraction.statements import prose, sentences, statements
from holdfast.types import Message, Role


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("Hi! I'm Anna. I love tea. Can you help?", ["I'm Anna.", "I love tea."]),
        ("你好！我叫小明，住在北京。你能帮我吗？", ["我叫小明，住在北京。"]),
        ("मैं दिल्ली में रहता हूँ। आप कैसे हैं?", ["मैं दिल्ली में रहता हूँ।"]),
        ("Soy celíaca. ¿Qué como hoy?", ["Soy celíaca."]),
        ("أنا طبيب من القاهرة. هل تنصحني؟", ["أنا طبيب من القاهرة."]),
        ("テニスが好きです。毎週します！どう思う？", ["テニスが好きです。", "毎週します！"]),
        ("I met Dr. Lee at 3 p.m. on Monday.", ["I met Dr. Lee at 3 p.m. on Monday."]),
        ("Please remember that I'm allergic to nuts.", ["Please remember that I'm allergic to nuts."]),
        ("帮我记一下，我对芒果过敏", ["帮我记一下，我对芒果过敏"]),
        ("- I play chess\n- I have two cats", ["I play chess", "I have two cats"]),
        ("https://example.org/page", []),
        ("42", []),
        ("OK", []),
        ("I live at https://example.org since May", ["I live at https://example.org since May"]),
    ],
)
def test_sentences_are_kept_as_they_stand_and_questions_are_not(content: str, kept: list[str]) -> None:
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
    return user.name();
> quoted from another mail
It ran well last week."""
    assert statements(Message(content)) == ["My service crashes on start.", "It ran well last week."]


@given(st.text())
def test_sentences_lose_no_letter(text: str) -> None:
    def letters(of: str) -> str:
        return "".join(character for character in of if character.isalpha())

    assert letters("".join(sentences(text))) == letters(text)


def test_an_unclosed_fence_hides_what_follows_it() -> None:
    assert prose("I like tea.\n```\ncode").strip() == "I like tea."
