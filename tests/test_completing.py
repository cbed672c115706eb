"""What a small model leaves out of a Chinese sentence is kept with what it told of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from holdfast.checking import Candidate, Line
from holdfast.completing import completed


def texts(message: str, *facts: str, name: str | None = None) -> Sequence[str]:
    line = Line(1, 0, name, "user", message, None)
    return [fact.text for fact in completed([Candidate(text, 1, "", (0,)) for text in facts], [line])]


@pytest.mark.parametrize(
    ("message", "fact", "kept"),
    [
        ("我妈妈血糖偏高，医生让她少吃甜食。", "妈妈血糖偏高", "妈妈血糖偏高，医生让她少吃甜食"),
        ("我已经搬进自己买的新房了，一个人住。", "搬进新房", "搬进新房，一个人住"),
        ("因为加班太多，我辞职了。", "辞职了", "辞职了，因为加班太多"),
        (
            "帮我写周报的时候，我希望你先列结论再写细节。",
            "希望助手先列结论再写细节",
            "希望助手先列结论再写细节，帮我写周报的时候",
        ),
        ("我们团队的周会取消了，以后都不开了。", "取消了", "团队的周会取消了，以后都不开了"),
        ("我买了会员，通勤时听书。有什么推荐吗？", "买了会员", "买了会员，通勤时听书"),
    ],
)
def test_a_clause_that_no_fact_tells_is_kept_with_its_sentence(message: str, fact: str, kept: str) -> None:
    assert texts(message, fact) == [kept]


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        ("我上班的银行是招商银行，在深圳南山做风控。", ["上班的银行是招商银行", "在深圳南山做风控"]),
        ("我换了新工作，挺好的，你觉得呢？", ["换了新工作"]),
        ("我换了新工作，你呢？", ["换了新工作"]),
        ("我搬到上海了。今天天气不错，出门走走。", ["搬到上海了"]),
        ("I moved to Lisbon, where I eat fish.", ["Moved to Lisbon"]),
    ],
)
def test_what_is_told_asked_or_of_another_sentence_is_left_alone(message: str, facts: list[str]) -> None:
    assert texts(message, *facts) == facts
