"""States that people live in, and what ends them: who has a newborn is pregnant no more, whatever words they share.

What the smallest language models know only in part, written down. None of it decides: that a statement ends a state
is one signal among others (`signals`), and which clause of a memory tells of the state is the one that falls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_KIN = r"sons?|daughters?|baby|babies|twins|newborn"
_HOMES = "flat|apartment|house|home|room|place|studio"
_MEAT = (
    "meat|fish|beef|steaks?|ribeye|sirloin|pork|ham|bacon|sausages?|chicken|turkey|lamb|duck|burgers?|ribs|salmon|"
    "tuna|cod|mackerel|trout|sardines?|prawns?|shrimps?|oysters?|sushi|barbecue|kebabs?"
)
_DRINKS = "wine|beers?|lagers?|whisky|whiskey|gin|vodka|rum|cocktails?|champagne|prosecco|pints?|sake|cider"
_COFFEE = "coffee|espressos?|lattes?|cappuccinos?|americanos?|flat whites?"
_NEVER = r"\b(?:no|not|never|doesnt|dont|cannot|cant|without|avoids?|avoiding|has no|have no|hates?)\b"


class State(NamedTuple):
    """holds: of a statement that somebody is in it. ends: of a later one after which they are not. denying: the later
    one ends it by a denial. shared: whoever else it names may be why it ends."""

    holds: re.Pattern[str]
    ends: re.Pattern[str]
    denying: bool = False
    shared: bool = False


def _state(holds: str, ends: str, *, denying: bool = False, shared: bool = False) -> State:
    return State(re.compile(holds), re.compile(ends), denying, shared)


# Patterns of normalised text: lower case, no punctuation, no apostrophes.
STATES: Mapping[str, State] = {
    "pregnant": _state(
        r"\bpregnant\b|\bexpecting (?:a|their|her) |怀孕|怀着|身孕|预产期|备孕",
        r"\b(?:newborn|gave birth|at birth|(?:was|were|is) born|(?:days?|weeks?) old)\b|出生|生[了下]|满月|月子",
        shared=True,
    ),
    "without children": _state(
        r"\b(?:no|any|without|has no) (?:children|kids|grandchildren)\b|\bchildless\b"
        r"|没(?:有)?(?:要)?(?:孩子|小孩|子女|孙辈)|丁克",
        rf"\b(?:born|gave birth|(?:father|mother|dad|mum|mom) of|(?:her|his|their|our|my|first|new"
        rf"|baby) (?:{_KIN}))\b"
        r"|出生|生[了下]|女儿|儿子|宝宝|孙[子女]",
        shared=True,
    ),
    "only child": _state(
        r"\b(?:only child|no (?:siblings|brothers|sisters)|one child|only (?:son|daughter))\b"
        r"|独生|没有?兄弟|没有?姐妹|[只就](?:有)?一个(?:孩子|娃|儿子|女儿)",
        r"\b(?:brother|sister|sibling)s?\b|\bsecond (?:child|baby|son|daughter)\b|二[胎宝]|老二|[弟妹]|哥哥?|姐姐?",
        shared=True,
    ),
    "single": _state(
        r"\b(?:single(?! (?:malt|room|bed|page|line|file|parent))|bachelor|unmarried|not (?:dating"
        r"|married|seeing)|"
        r"never (?:been )?married)\b|单身|未婚|没结婚|没有?对象|没有?(?:谈|男朋友|女朋友|男友|女友)|离异",
        r"\b(?:married|marriage|wedding|engaged|fianc[ée]e?|husband|wife|boyfriend|girlfriend"
        r"|dating|proposed)\b"
        r"|结婚|婚礼|成婚|领了?证|结婚证|订婚|求婚|[男女]友|[男女]朋友|老公|老婆|丈夫|妻子|太太|爱人",
        shared=True,
    ),
    "alone": _state(
        r"\b(?:lives?|living) (?:all )?(?:alone|by (?:her|him|my)self|on (?:her|his|my"
        r"|their) own)\b|\blives alone\b"
        r"|独居|(?:一个人|独自)(?:一人)?(?:住|居住|生活|租)",
        rf"\bmov(?:ed|ing|es) in\b|\b(?:house|room|flat)mates?\b|\blives? with\b|\bspare room\b"
        rf"|\bshar(?:es?|ed|ing)\b.*\b(?:{_HOMES})\b|\bboxes\b|\bnursing home\b|\bcare home\b"
        r"|搬(?:进来|来|过来)|同住|合租|室友|同居|住(?:到|在)?(?:了)?一[起块]|一[起块]儿?(?:住|生活)|养老院",
        shared=True,
    ),
    "with others": _state(
        rf"\b(?:lives?|living) with\b|\bshar(?:es|ing) (?:a|an|the) (?:\w+ ){{0,3}}(?:{_HOMES})\b"
        rf"|\b(?:room|house|flat)mates\b"
        r"|[和跟与].{1,8}(?:一[起块]|同|合)(?:租|住)|住在?一[起块]|合租|同住|宿舍",
        r"\b(?:lives? )?alone\b|\bon (?:her|his|my|their) own\b|\bfor (?:her|him|my)self\b"
        r"|\bmoved out\b|\bstudio\b|\b(?:nursing|care) home\b"
        r"|一个人(?:住|租|搬)|独居|自己租|单间|一居室|搬[出走]|养老院",
    ),
    "out of work": _state(
        r"\b(?:unemployed|out of work|between jobs|job ?hunting|no job|sending out applications"
        r"|applying for jobs|"
        r"(?:looking|searching) for (?:a |an |new )*(?:work|job|position|role)s?)\b|失业|待业|找工作|求职"
        r"|没有?工作|没上班",
        r"\b(?:started (?:as|at|work)|first (?:day|week) (?:at|as|on|in)|first (?:salary|paycheck)"
        r"|new (?:job|boss|colleagues|employer)|hired|"
        r"joined|(?:second|third|\w+th) month as|got the job|signed (?:a|the) contract)\b"
        r"|入职|报到|上班|新工作|录用|转正|试用期|新同事",
    ),
    "employed": _state(
        r"\b(?:works?|working|employed|job|career|teller|(?:full|part) time)\b|上班|工作|任职|就职|全职"
        r"|[当做是].{0,8}(?:师|员|工|会计|经理)",
        r"\b(?:retire(?:d|ment)|pension(?:er)?|resigned|laid off|made redundant|unemployed"
        r"|last (?:working )?day|"
        r"(?:her|his|my|their) own (?:business|company|studio|shop|firm))\b"
        r"|退休|养老金|辞职|离职|被裁|失业|创业|自己开|自己全职",
    ),
    "at school": _state(
        r"\b(?:(?:high|middle|primary|elementary|secondary) school|final year|\w+ year (?:of|at|student)|"
        r"undergraduate|student|studying|phd)\b"
        r"|在读|就读|还?在?[上读念](?:[大高初研博硕小])|大[一二三四](?!学)|研[一二三]|高[一二三考]"
        r"|初[一二三]|博[一二]|备考|写论文",
        r"\bgraduat(?:ed?|ion)\b|\bdiploma\b|\b(?:university|college) (?:dormitory|student"
        r"|lectures)\b|\bfirst grade\b"
        r"|毕业|学位证|入职|报到|录取|考上|上岸|大一|新生",
    ),
    "at kindergarten": _state(
        r"\b(?:kindergarten|nursery school|preschool|daycare)\b|幼儿园|[小中大]班",
        r"\b(?:first grade|primary school|year one|elementary school)\b|小学|一年级",
    ),
    "meatless": _state(
        rf"\b(?:vegetarian|vegan|plant based|herbivore)\b|{_NEVER}(?: \w+){{0,2}} (?:{_MEAT})\b|吃素"
        rf"|素食|纯素|不[吃沾碰](?:肉|荤|鱼)",
        rf"\b(?:{_MEAT})\b|肉|牛排|牛腩|烤鸭|鸡[腿翅排蛋]?|排骨|[吃烤炖蒸]鱼|虾|海鲜|烧烤|撸串|吃荤",
    ),
    "abstinent": _state(
        rf"\b(?:teetotal\w*|sober|(?:no|never|not|doesnt|does not|avoids?) (?:drinks? )?(?:drinks?"
        rf"|drinking|alcohol|{_DRINKS}))\b"
        r"|不[喝沾碰]酒|滴酒不沾|戒酒|酒精过敏",
        rf"\b(?:{_DRINKS})\b|[喝来饮品].{{0,6}}(?:酒|啤)|[白啤红黄葡]酒|威士忌|鸡尾酒",
    ),
    "drinking": _state(
        rf"\b(?:drinks?|has|have)\b.*\b(?:{_DRINKS}|alcohol)\b|[喝来].{{0,6}}(?:酒|啤)",
        r"\b(?:teetotal\w*|sober|dry since|(?:not|no|off|without|any|gave up"
        r"|quit) (?:\w+ )?(?:alcohol|booze|drink(?:ing)?))\b"
        r"|滴酒不沾|戒酒|不[喝沾碰]酒|一口酒.{0,2}[没不]",
        denying=True,
    ),
    "without coffee": _state(
        rf"{_NEVER}(?: \w+){{0,2}} (?:{_COFFEE}|caffeine)\b|不[喝沾碰]咖啡|戒.{{0,3}}咖啡",
        rf"\b(?:{_COFFEE})\b|咖啡|拿铁|美式|卡布奇诺",
    ),
    "drinking coffee": _state(
        rf"\b(?:{_COFFEE})\b|[喝来].{{0,5}}(?:咖啡|拿铁|美式)",
        r"\b(?:no|not|off|without|gave up|quit|cut out|touched)\b(?: \w+)?(?: caffeine| coffee)\b"
        r"|戒.{0,3}咖啡|不[喝沾碰]咖啡",
        denying=True,
    ),
    "not driving": _state(
        r"\b(?:cant|cannot|doesnt|does not|never|unable to|not) (?:\w+ )?drive\b|\bno (?:car"
        r"|vehicle|driving licen[cs]e|licen[cs]e)\b"
        r"|\b(?:own|have|owns|without) (?:a|any) car\b|不会开车|没有?(?:考)?(?:到)?驾[照驶]"
        r"|[没无]有?(?:买)?车(?!位|库|票|间)",
        r"\b(?:drives?|drove|driving|parks?|parked|(?:bought|new|own|her|his|my|a) (?:\w+ ){0,3}car"
        r"|passed the driving test)\b"
        r"|开(?:着|了)?.{0,6}车|自驾|开.{0,8}上下?班|提了?.{0,6}[车辆]|买了?.{0,6}[车辆]|租了?.{0,3}车"
        r"|独自开|拿到驾照",
    ),
    "not swimming": _state(
        r"\b(?:cant|cannot|never|not|unable to|doesnt|how to)\b(?: \w+){0,5} swim\b|\bnon swimmer\b"
        r"|不会游泳|旱鸭子|怕水",
        r"\b(?:swims?|swam|swum|swimming)\b|游(?:泳|了|完|到|过|两|[一二三四五]|\d)|深水合格证",
    ),
    "never flown": _state(
        r"\bnever (?:flown|flies|fly|been on (?:a|an|any) (?:aero|air)?plane)\b|\bafraid of flying\b"
        r"|[没未](?:有)?坐过飞机|不敢坐飞机|不坐飞机",
        r"\b(?:flew|flight|flights|landed|aeroplane|airplane)\b|飞(?:了|到|去|往|回|机)|航班|落地",
    ),
    "never abroad": _state(
        r"\bnever (?:\w+ ){0,2}(?:abroad|outside|left (?:the|her|his) country)\b|[没未](?:有)?出过国|没有?护照",
        r"\b(?:back from|home from|returned from|trip to|(?:days|weeks?|month) (?:of \w+ )?in"
        r"|flew to|honeymoon)\b"
        r"|[去到从].{1,8}(?:玩|旅|度假|回来|出差)|回国|签证|留学",
    ),
    "not running": _state(
        r"\b(?:cant|cannot|unable to|never|not|stopped|paused)\b(?: \w+){0,2} (?:run|runs|running"
        r"|ran)\b|停跑|不能跑|跑不了|不跑步",
        r"\b(?:ran|runs|marathon|\d+ ?k)\b|马拉松|跑(?:完|了|团)|恢复跑步",
    ),
    "without spice": _state(
        rf"{_NEVER}(?: \w+){{0,3}} (?:spicy|chil[li]+|hot) |不(?:能|会)?[吃沾碰]辣|辣都?不[吃沾碰]|怕辣",
        r"\b(?:spicy|chil[li]+es|chil[li]+|extra hot|vindaloo)\b|[特麻中爱香酸]辣|辣锅|辣椒|火锅",
    ),
    "without pets": _state(
        r"\b(?:no|any|without) pets?\b|没有?(?:养)?宠物|不养宠物|没养(?:猫|狗)",
        r"\b(?:dog|puppy|cat|kitten|hamster|rabbit|parrot|budgie|guinea pig|pet)\b"
        r"|[养买捡领抱收].{0,6}[狗猫兔鸟鼠龟]|宠物",
        shared=True,
    ),
    "at the office": _state(
        r"\boffice\b|\bcommut(?:es?|ing)\b|到岗|打卡|坐班|通勤|办公室|写字楼|挤?地铁.{0,8}上班",
        r"\b(?:remote(?:ly)?|(?:works?|working) from home|home office)\b|居家办公|远程|在家(?:办公|上班)|全员在家",
    ),
    "remote": _state(
        r"\b(?:remote(?:ly)?|(?:works?|working) from home|home office)\b|居家办公|远程(?:办公|工作|上班)"
        r"|在家(?:办公|上班)",
        r"\b(?:the|a|an|\w+) office\b.*\b(?:every|days?|week|monday|tuesday|wednesday|thursday"
        r"|friday)\b|\bback (?:in|at|to) the office\b"
        r"|\bcommut(?:es?|ing)\b|到岗|坐班|回公司|通勤|打卡",
    ),
    "renting": _state(
        r"\b(?:rents?|renting|rented|tenant)\b|租(?:房|住|了|的|在)|房租|月租",
        r"\b(?:bought|owns?|purchased) (?:a|an|the|her|his|their|our) (?:\w+ ){0,3}(?:house|flat"
        r"|home|apartment|cottage|place)\b"
        r"|\bmortgage\b|自己?买的?.{0,3}房|买了?.{0,6}(?:房|居)|新房|房贷",
    ),
    "by oneself": _state(
        r"\b(?:no|without) (?:employees|staff|assistants?|testers?|helpers?)\b|\bsole (?:maintainer"
        r"|developer|owner)\b|\bentirely alone\b"
        r"|没有?(?:雇员|员工|雇人|请人|助手|下属|店员)|[只就](?:有)?(?:用户|自己|他|她|我)一个|(?:独自"
        r"|一个人)(?:打理|经营|管|干|打包|扛)",
        r"\b(?:hired|employees?|waiters?|assistant|staff|volunteers?|apprentice|salaries"
        r"|writes half|started as)\b"
        r"|新招|新请|员工|店员|招了|雇了?|同事|轮流|入职|手下",
        shared=True,
    ),
    "well": _state(
        r"\b(?:alive and well|in good health|still (?:alive|fit|walks))\b|健在|硬朗|利索|身体(?:很|挺)?好",
        r"\b(?:funeral|passed away|died|buried|bedridden|stroke|wheelchair)\b|后事|去世|过世|走了|葬|卧床"
        r"|瘫痪|中风|住院",
    ),
}


def held(plain: str, *, negated: bool) -> frozenset[str]:
    """The states that a statement, normalised, says somebody is in."""
    return frozenset(
        name
        for name, state in STATES.items()
        if not (state.denying and negated) and state.holds.search(plain)
    )


def ended(plain: str, *, negated: bool) -> frozenset[str]:
    """The states that a statement, normalised, ends."""
    return frozenset(
        name
        for name, state in STATES.items()
        if (state.denying or not negated) and state.ends.search(plain) and not state.holds.search(plain)
    )
