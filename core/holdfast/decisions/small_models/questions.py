"""What a small model is asked about one fact and one memory, English and Chinese: how they relate, and
which words of a memory give way. What never changes, instructions and worked examples, comes first, so that it is
read once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...ports import Prompt, Schema
from ..question import Question, Unreadable
from .odds import RELATIONS, Answer

_HAN = re.compile(r"[\u4e00-\u9fff]")
LONGEST = 64  # tokens of an answer that is one word, with room for white space

PAIR = {
    "en": """A memory and a newer fact about the same user. Say how the fact stands to the memory:
- same: the memory says it already, perhaps in other words or in more detail.
- adds: about the very same thing, both are true, the fact tells more of it.
- changes: the memory is no longer true now: the fact gives a new value, corrects it, ends it or says the opposite.
- different: both can be true side by side: another thing, another person, another time, another topic.""",
    "zh": """给出一条记忆和一条更新的事实,说的都是同一用户。判断事实与记忆的关系:
- same:记忆已经说了,也许换了说法,或说得更详细。
- adds:说的正是同一件事,两者都成立,事实补充了细节。
- changes:记忆现在不再成立:事实给出新的情况、更正它、结束它或与它相反。
- different:两者可以同时成立:是别的事物、别的人、别的时间或别的话题。""",
}

# (memory, fact, answer), none of them from the cases that merging is measured on. Small models learn the relations
# from these rather than from their definitions; without them the 1.5B model calls nearly every pair "changes".
EXAMPLES = {
    "en": (
        ("Works as a plumber", "Earns a living as a plumber", "same"),
        ("Likes strawberries", "Likes blueberries", "different"),
        ("Lives in Denver", "Has moved to Chicago", "changes"),
        ("Has a boat", "The boat is called Marlin and lies in the harbour", "adds"),
        ("Son Ben is in a chess club", "Daughter Ida is in a chess club", "different"),
        ("The dentist appointment is on 3 May at 9", "The dentist appointment is on 5 May", "changes"),
        ("Has knee pain", "Goes swimming on Sundays", "different"),
        ("Is writing a novel", "Is writing a crime novel set in Naples", "adds"),
        ("Ran a marathon in June 2018", "Ran a marathon in May 2021", "different"),
        ("Never drinks wine", "Has a glass of wine with dinner", "changes"),
        ("Sleeps badly", "Has trouble sleeping", "same"),
        ("Eats porridge for breakfast", "Eats soup for lunch", "different"),
        ("Wants to adopt a cat", "Adopted a cat named Olive", "changes"),
        ("Collects stamps", "Collects stamps from Africa, above all Kenya", "adds"),
        ("Uses Vim for Python", "Uses IntelliJ for Java", "different"),
        ("Cousin Nina studies law in Vienna", "Nina is studying law", "same"),
        ("Is a member of the rowing club", "Left the rowing club", "changes"),
        ("Has asthma", "The asthma gets worse in spring", "adds"),
        ("The car insurance costs $90", "The car wash costs $12", "different"),
        ("Favorite author is Orwell", "Favorite author is Woolf", "changes"),
        ("Is allergic to dust", "Is allergic to nickel", "different"),
    ),
    "zh": (
        ("是水管工", "靠修水管谋生", "same"),
        ("爱吃草莓", "爱吃蓝莓", "different"),
        ("住在昆明", "搬到贵阳去了", "changes"),
        ("有一条小船", "船叫“海燕”，停在码头", "adds"),
        ("儿子参加了围棋社", "女儿参加了围棋社", "different"),
        ("5月3日上午九点看牙", "看牙改到5月5日", "changes"),
        ("膝盖疼", "每周日去游泳", "different"),
        ("在写小说", "在写一部以泉州为背景的侦探小说", "adds"),
        ("2018年六月跑了马拉松", "2021年五月跑了马拉松", "different"),
        ("从不喝红酒", "晚饭时会喝一杯红酒", "changes"),
        ("睡眠不好", "晚上睡不好觉", "same"),
        ("早上喝粥", "中午喝汤", "different"),
        ("想领养一只猫", "领养了一只叫橄榄的猫", "changes"),
        ("收集邮票", "收集非洲邮票，最多的是肯尼亚的", "adds"),
        ("写Python用Vim", "写Java用IntelliJ", "different"),
        ("表妹小宁在武大学法律，明年毕业", "表妹学法律", "same"),
        ("是赛艇俱乐部的会员", "退出了赛艇俱乐部", "changes"),
        ("有哮喘", "哮喘一到春天就加重", "adds"),
        ("车险每月九十块", "洗车一次十二块", "different"),
        ("最喜欢的作家是鲁迅", "最喜欢的作家是老舍", "changes"),
        ("对灰尘过敏", "对镍过敏", "different"),
    ),
}
# The words of a memory that no longer hold, and those of the fact in their place.
EXCHANGE = {
    "en": """A memory no longer holds as it stands, for a newer fact changes part of it. Copy the words of the \
memory that are no longer true, as few as you can, and the words of the fact that take their place. Empty where \
nothing takes their place.""",
    "zh": """一条记忆的一部分被更新的事实改变了。照抄记忆中不再成立的词语(越少越好),\
再照抄事实中取代它们的词语。没有取代的就留空。""",
}

# (memory, fact, old, new), none of them from the cases that merging is measured on.
# fmt: off
EXCHANGES = {
    "en": (
        ("Works as a baker in Lyon and has two dogs", "Is now working as a florist", "baker", "florist"),
        ("The rehearsal is on Monday at 19:00 in the church hall, with Petra",
         "Rehearsal starts at 20:30 from now on", "19:00", "20:30"),
        ("Wants to buy a used boat for under 3,000 euros", "Found a sailing boat and paid for it on Sunday",
         "Wants to buy a used boat for under 3,000 euros", "Found a sailing boat and paid for it on Sunday"),
        ("Is a waiter at the Blue Anchor in Cork", "Started as a cook at Murphy's, also in Cork",
         "waiter at the Blue Anchor", "cook at Murphy's"),
        ("Has a red bike, a canoe and a tent, all kept in the garage", "Sold the canoe", ", a canoe", ""),
        ("Daughter Mia plays the violin and is in fourth grade", "Mia has moved up to fifth grade",
         "fourth grade", "fifth grade"),
        ("Flies to Rome on 4 June with Air Dolomiti, seat 12A", "The flight to Rome was moved to 9 July",
         "4 June", "9 July"),
        ("Lives alone in a small house near Bath with a big garden", "Olga has moved in",
         "alone", "Olga has moved in"),
        ("Goes jogging every morning and swims on Fridays", "Does not go jogging any more",
         "Goes jogging every morning and ", ""),
        ("Uncle Leo, a retired pilot, is allergic to shrimps and lives in Nice",
         "It is mussels that Uncle Leo is allergic to, not shrimps", "shrimps", "mussels"),
    ),
    "zh": (
        ("在里昂当面包师，养了两条狗", "现在改做花店老板了", "面包师", "花店老板"),
        ("排练在周一晚上七点，地点在教堂大厅，和佩佩一起", "以后排练八点半开始", "七点", "八点半"),
        ("想花三千以内买条二手小船", "看中一条帆船，周日付了钱", "想花三千以内买条二手小船",
         "看中一条帆船，周日付了钱"),
        ("在蓝锚饭店当服务员，家在大理", "换到老王菜馆当厨师了，还在大理", "蓝锚饭店当服务员", "老王菜馆当厨师"),
        ("有一辆红色自行车、一条皮划艇和一顶帐篷，都放在车库", "皮划艇卖掉了", "、一条皮划艇", ""),
        ("女儿米米拉小提琴，上四年级", "米米升五年级了", "四年级", "五年级"),
        ("6月4日坐国航飞昆明，座位12A", "飞昆明改到7月9日", "6月4日", "7月9日"),
        ("一个人住在城郊的小房子里，有个大院子", "小雨搬进来一起住了", "一个人", "小雨搬进来一起"),
        ("每天早上跑步，周五游泳", "不再跑步了", "每天早上跑步，", ""),
        ("退休飞行员李叔对虾过敏，住在青岛", "李叔过敏的是蚌，不是虾", "虾", "蚌"),
    ),
}
# fmt: on


def relation(fact: str, memory: str) -> Question:
    """How a fact relates to a memory: one word, and how likely the model found each."""
    language = _language(fact)
    asked = [Prompt("system", PAIR[language])]
    for known, new, answer in EXAMPLES[language]:
        asked += [_pair(language, new, known), Prompt("assistant", f'{{"relation": "{answer}"}}')]
    schema = Schema(
        "relation",
        "How the fact stands to the memory.",
        _form(relation={"type": "string", "enum": list(RELATIONS)}),
        choice="relation",
        max_tokens=LONGEST,
    )
    return Question((*asked, _pair(language, fact, memory)), schema, read=_relation, weigh=_weighed)


def exchange(fact: str, memory: str) -> Question:
    """Which words of a memory give way to which words of the fact, both as they stand there."""
    language = _language(fact)
    asked = [Prompt("system", EXCHANGE[language])]
    for known, text, old, new in EXCHANGES[language]:
        reply = json.dumps({"old": old, "new": new}, ensure_ascii=False)
        asked += [_pair(language, text, known), Prompt("assistant", reply)]
    schema = Schema(
        "exchange",
        "The words of the memory that no longer hold, and those of the fact in their place.",
        _form(old={"type": "string"}, new={"type": "string"}),
        max_tokens=LONGEST + len(memory) + len(fact),
    )
    return Question((*asked, _pair(language, fact, memory)), schema, read=_exchange)


def _relation(reply: Mapping[str, Any]) -> Answer:
    answer = reply.get("relation")
    if answer not in RELATIONS:
        raise Unreadable(f'"relation" must be one of {", ".join(RELATIONS)}')
    return {answer: 1.0}


def _weighed(answer: Answer, likelihoods: Answer) -> Answer:
    """How likely each answer was, if the model reports more than the one it gave."""
    return likelihoods if len(likelihoods) > 1 and answer.keys() <= likelihoods.keys() else answer


def _exchange(reply: Mapping[str, Any]) -> tuple[str, str]:
    old, new = reply.get("old"), reply.get("new")
    if not isinstance(old, str) or not isinstance(new, str):
        raise Unreadable('"old" and "new" must be texts')
    return old, new


def _form(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _pair(language: str, fact: str, memory: str) -> Prompt:
    labels = ("事实", "记忆") if language == "zh" else ("Fact", "Memory")
    return Prompt("user", f"{labels[1]}: {' '.join(memory.split())}\n{labels[0]}: {' '.join(fact.split())}")


def _language(text: str) -> str:
    return "zh" if _HAN.search(text) else "en"
