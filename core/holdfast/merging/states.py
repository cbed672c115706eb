"""States that people live in, and what ends them: who has a newborn is pregnant no more, whatever words they share.

What the smallest language models know only in part, written down. None of it decides: that a statement ends a state
is one signal among others (`signals`), and which clause of a memory tells of the state is the one that falls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_HOMES = "flat|apartment|house|home|room|cottage|place|studio"
_MEAT = (
    "meat|fish|beef|steaks?|ribeye|sirloin|pork|ham|bacon|sausages?|chicken|turkey|lamb|duck|burgers?|ribs|salmon|"
    "tuna|cod|mackerel|trout|sardines?|prawns?|shrimps?|oysters?|sushi|barbecue|kebabs?"
)
_DRINKS = "wine|beers?|lagers?|whisky|whiskey|gin|vodka|rum|cocktails?|champagne|prosecco|pints?|sake|cider"
_COFFEE = "coffee|espressos?|lattes?|cappuccinos?|americanos?|flat whites?"
_NEVER = "(?:no|not|never|doesnt|dont|cannot|cant|without|avoids?|avoiding|hates?)"
_CANNOT = "(?:cant|cannot|never|not|unable to|doesnt)"
_REMOTE = "remote|remotely|works? from home|working from home|home office"


class State(NamedTuple):
    """holds: found in a statement that somebody is in it. ends: found in a later one after which they are not.
    denying: it ends by a denial. shared: whoever else the later one names may be why it ends."""

    holds: re.Pattern[str]
    ends: re.Pattern[str]
    denying: bool
    shared: bool


def _state(
    *, holds: str, holds_zh: str, ends: str, ends_zh: str, denying: bool = False, shared: bool = False
) -> State:
    """A state by what is found in normalised text (lower case, no punctuation, no apostrophes): whole words in
    English, characters in Chinese."""
    return State(
        re.compile(rf"\b(?:{holds})\b|{holds_zh}"), re.compile(rf"\b(?:{ends})\b|{ends_zh}"), denying, shared
    )


STATES: Mapping[str, State] = {
    "pregnant": _state(
        holds="pregnant|expecting (?:a|their|her)",
        holds_zh="怀孕|怀着|身孕|预产期|备孕",
        ends="newborn|gave birth|at birth|(?:was|were|is) born|(?:days?|weeks?) old",
        ends_zh="出生|生[了下]|满月|月子",
        shared=True,
    ),
    "without children": _state(
        holds="(?:no|any|without) (?:children|kids|grandchildren)|childless",
        holds_zh="没有?要?(?:孩子|小孩|子女|孙辈)|丁克",
        ends="born|gave birth|(?:father|mother|dad|mum|mom) of"
        "|(?:her|his|their|our|my|first|new|baby) (?:sons?|daughters?|baby|babies|twins|newborn)",
        ends_zh="出生|生[了下]|女儿|儿子|宝宝|孙[子女]",
        shared=True,
    ),
    "only child": _state(
        holds="only child|no (?:siblings|brothers|sisters)|one child|only (?:son|daughter)",
        holds_zh="独生|没有?兄弟|没有?姐妹|[只就]有?一个(?:孩子|娃|儿子|女儿)",
        ends="(?:brother|sister|sibling)s?|second (?:child|baby|son|daughter)",
        ends_zh="二[胎宝]|老二|[弟妹]|哥|姐",
        shared=True,
    ),
    "single": _state(
        holds="single(?! (?:malt|origin|room|bed|page|line|file|parent))|bachelor|unmarried"
        "|not (?:dating|married|seeing)|never (?:been )?married",
        holds_zh="单身|未婚|没结婚|没有?对象|没有?(?:谈|男朋友|女朋友|男友|女友)|离异",
        ends="married|marriage|wedding|engaged|fianc[ée]e?|husband|wife|boyfriend|girlfriend|dating|proposed",
        ends_zh="结婚|婚礼|成婚|领了?证|订婚|求婚|[男女]友|[男女]朋友|老公|老婆|丈夫|妻子|太太|爱人",
        shared=True,
    ),
    "alone": _state(
        holds="(?:lives?|living) (?:all )?(?:alone|by (?:her|him|my)self|on (?:her|his|my|their) own)",
        holds_zh="独居|(?:一个人|独自)一?人?(?:住|居住|生活|租)",
        ends="mov(?:ed|ing|es) in|(?:house|room|flat)mates?|lives? with|spare room"
        rf"|shar(?:es?|ed|ing)\b.*\b(?:{_HOMES})|(?:nursing|care) home",
        ends_zh="搬进来|搬来|搬过来|同住|合租|室友|同居|住[到在]?了?一[起块]|一[起块]儿?(?:住|生活)|养老院",
        shared=True,
    ),
    "with others": _state(
        holds=rf"(?:lives?|living) with|shar(?:es|ing) (?:a|an|the) (?:\w+ ){{0,3}}(?:{_HOMES})"
        "|(?:room|house|flat)mates",
        holds_zh="[和跟与].{1,8}(?:一[起块]|同|合)(?:租|住)|住在?一[起块]|合租|同住|宿舍",
        ends="alone|on (?:her|his|my|their) own|for (?:her|him|my)self|moved out|studio|(?:nursing|care) home",
        ends_zh="一个人(?:住|租|搬)|独居|自己租|单间|一居室|搬[出走]|养老院",
    ),
    "out of work": _state(
        holds="unemployed|out of work|between jobs|job ?hunting|no job|sending out applications"
        "|applying for jobs|(?:looking|searching) for (?:a |an |new )*(?:work|job|position|role)s?",
        holds_zh="失业|待业|找工作|求职|没有?工作|没上班",
        ends="started (?:as|at|work)|first (?:day|week) (?:at|as|on|in)|first (?:salary|paycheck)|hired|joined"
        r"|new (?:job|boss|colleagues|employer)|(?:second|third|\w+th) month as|got the job|signed a contract",
        ends_zh="入职|报到|上班|新工作|录用|转正|试用期|新同事",
    ),
    "employed": _state(
        holds="works?|working|employed|job|career|(?:full|part) time",
        holds_zh="上班|工作|任职|就职|全职|[当做是].{0,8}(?:师|员|工|会计|经理)",
        ends="retire(?:d|ment)|pension(?:er)?|resigned|laid off|made redundant|unemployed|last (?:working )?day"
        "|(?:her|his|my|their) own (?:business|company|studio|shop|firm)",
        ends_zh="退休|养老金|辞职|离职|被裁|失业|创业|自己开|自己全职",
    ),
    "at kindergarten": _state(
        holds="kindergarten|nursery school|preschool|daycare",
        holds_zh="幼儿园|[小中大]班",
        ends="first grade|primary school|year one|elementary school",
        ends_zh="小学|一年级",
    ),
    "at school": _state(
        holds=r"(?:high|middle|primary|elementary|secondary) school|final year|\w+ year (?:of|at|student)"
        "|undergraduate|student|studying|phd",
        holds_zh="在读|就读|[上读念][大高初研博硕小]|大[一二三四](?!学)|研[一二三]|高[一二三考]|初[一二三]"
        "|博[一二]|备考|写论文",
        ends="graduat(?:ed?|ion)|diploma|(?:university|college) (?:dormitory|student|lectures)|first grade",
        ends_zh="毕业|学位证|入职|报到|录取|考上|上岸|大一|新生",
    ),
    "meatless": _state(
        holds=rf"vegetarian|vegan|plant based|{_NEVER}(?: \w+){{0,2}} (?:{_MEAT})",
        holds_zh="吃素|素食|纯素|不[吃沾碰](?:肉|荤|鱼)",
        ends=_MEAT,
        ends_zh="肉|牛[排腩]|烤鸭|鸡|排骨|[吃烤炖蒸]鱼|虾|海鲜|烧烤|撸串|吃荤",
    ),
    "without spice": _state(
        holds=rf"{_NEVER}(?: \w+){{0,3}} (?:spicy|chill?i|hot \w+)",
        holds_zh="不[能会]?[吃沾碰]辣|辣都?不[吃沾碰]|怕辣",
        ends="spicy|chill?i(?:es)?|extra hot|vindaloo",
        ends_zh="[特麻中爱香酸]辣|辣锅|辣椒|火锅",
    ),
    "abstinent": _state(
        holds=r"teetotal\w*|sober|(?:no|never|not|doesnt|avoids?) (?:drinks? )?"
        rf"(?:drinks?|drinking|alcohol|{_DRINKS})",
        holds_zh="不[喝沾碰]酒|滴酒不沾|戒酒|酒精过敏",
        ends=_DRINKS,
        ends_zh="[喝来饮品].{0,6}(?:酒|啤)|[白啤红黄葡]酒|威士忌|鸡尾酒",
    ),
    "drinking": _state(
        holds=rf"(?:drinks?|has|have)\b.*\b(?:{_DRINKS}|alcohol)",
        holds_zh="[喝来].{0,6}(?:酒|啤)",
        ends=r"teetotal\w*|sober|dry since"
        r"|(?:not|no|off|without|any|gave up|quit) (?:\w+ )?(?:alcohol|booze|drink(?:ing)?)",
        ends_zh="滴酒不沾|戒酒|不[喝沾碰]酒|一口酒.{0,2}[没不]",
        denying=True,
    ),
    "without coffee": _state(
        holds=rf"{_NEVER}(?: \w+){{0,2}} (?:{_COFFEE}|caffeine)",
        holds_zh="不[喝沾碰]咖啡|戒.{0,3}咖啡",
        ends=_COFFEE,
        ends_zh="咖啡|拿铁|美式|卡布奇诺",
    ),
    "drinking coffee": _state(
        holds=_COFFEE,
        holds_zh="[喝来].{0,5}(?:咖啡|拿铁|美式)",
        ends=r"(?:no|not|off|without|gave up|quit|cut out|touched)(?: \w+)? (?:caffeine|coffee)",
        ends_zh="戒.{0,3}咖啡|不[喝沾碰]咖啡",
        denying=True,
    ),
    "not driving": _state(
        holds=rf"{_CANNOT}(?: \w+){{0,3}} drive|no (?:car|vehicle|driving licen[cs]e|licen[cs]e)"
        "|(?:own|have|owns|without) (?:a|any) car",
        holds_zh="不会开车|没有?考?到?驾[照驶]|[没无]有?买?车(?!位|库|票|间)",
        ends=r"drives?|drove|driving|parks?|parked|(?:bought|new|own|her|his|my|a) (?:\w+ ){0,3}car"
        "|passed the driving test",
        ends_zh="开.{0,7}车|自驾|开.{0,8}上下?班|[提买]了?.{0,6}[车辆]|租了?.{0,3}车|独自开|拿到驾照",
    ),
    "not swimming": _state(
        holds=rf"{_CANNOT}(?: \w+){{0,5}} swim|non swimmer",
        holds_zh="不会游泳|旱鸭子|怕水",
        ends="swims?|swam|swum|swimming",
        ends_zh=r"游(?:泳|了|完|到|过|两|[一二三四五]|\d)",
    ),
    "not running": _state(
        holds=r"(?:cant|cannot|unable to|never|not|stopped|paused)(?: \w+){0,2} (?:run|runs|running|ran)",
        holds_zh="停跑|不能跑|跑不了|不跑步",
        ends=r"ran|runs|marathon|\d+ ?k",
        ends_zh="马拉松|跑(?:完|了|团)|恢复跑步",
    ),
    "never flown": _state(
        holds="never (?:flown|flies|fly|been on (?:a|an|any) (?:aero|air)?plane)|afraid of flying",
        holds_zh="[没未]有?坐过飞机|不敢坐飞机|不坐飞机",
        ends="flew|flights?|landed|aeroplane|airplane",
        ends_zh="飞[了到去往回机]|航班|落地",
    ),
    "never abroad": _state(
        holds=r"never (?:\w+ ){0,2}(?:abroad|outside|left (?:the|her|his) country)",
        holds_zh="[没未]有?出过国|没有?护照",
        ends=r"back from|home from|returned from|trip to|(?:days|weeks?|month) (?:of \w+ )?in|flew to|honeymoon",
        ends_zh="[去到从].{1,8}(?:玩|旅|度假|回来|出差)|回国|签证|留学",
    ),
    "without pets": _state(
        holds="(?:no|any|without) pets?",
        holds_zh="没有?养?宠物|不养宠物|没养[猫狗]",
        ends="dog|puppy|cat|kitten|hamster|rabbit|parrot|budgie|guinea pig|pet",
        ends_zh="[养买捡领抱收].{0,6}[狗猫兔鸟鼠龟]|宠物",
        shared=True,
    ),
    "at the office": _state(
        holds="office|commut(?:es?|ing)",
        holds_zh="到岗|打卡|坐班|通勤|办公室|写字楼|地铁.{0,8}上班",
        ends=_REMOTE,
        ends_zh="居家办公|远程|在家(?:办公|上班)|全员在家",
    ),
    "remote": _state(
        holds=_REMOTE,
        holds_zh="居家办公|远程(?:办公|工作|上班)|在家(?:办公|上班)",
        ends=r"\w+ office\b.*\b(?:every|days?|week|(?:mon|tues|wednes|thurs|fri)days?)|back (?:in|at|to) the office"
        "|commut(?:es?|ing)",
        ends_zh="到岗|坐班|回公司|通勤|打卡",
    ),
    "renting": _state(
        holds="rents?|renting|rented|tenant",
        holds_zh="租[房住了的在]|房租|月租",
        ends=rf"(?:bought|owns?|purchased) (?:a|an|the|her|his|their|our) (?:\w+ ){{0,3}}(?:{_HOMES})|mortgage",
        ends_zh="自己?买的?.{0,3}房|买了?.{0,6}[房居]|新房|房贷",
    ),
    "by oneself": _state(
        holds="(?:no|without) (?:employees|staff|assistants?|testers?|helpers?)"
        "|sole (?:maintainer|developer|owner)|entirely alone",
        holds_zh="没有?(?:雇员|员工|雇人|请人|助手|下属|店员)|[只就]有?(?:用户|自己|他|她|我)一个"
        "|(?:独自|一个人)(?:打理|经营|管|干)",
        ends="hired|employees?|waiters?|assistant|staff|volunteers?|apprentice|salaries|started as",
        ends_zh="新招|新请|员工|店员|招了|雇了?|同事|轮流|入职|手下",
        shared=True,
    ),
    "well": _state(
        holds="alive and well|in good health|still (?:alive|fit|walks)",
        holds_zh="健在|硬朗|利索|身体[很挺]?好",
        ends="funeral|passed away|died|buried|bedridden|stroke|wheelchair",
        ends_zh="后事|去世|过世|走了|葬|卧床|瘫痪|中风|住院",
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
