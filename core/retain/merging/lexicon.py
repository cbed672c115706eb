"""Words that are evidence: who a statement is about, what it denies, that something changed.

English words are listed as the stemmer leaves them or as they are written; Chinese as they occur. The lists
hold common words of their kind and no topic: what they miss, the model is asked.
"""

from __future__ import annotations


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


STOP = _words("""
    a an the i me my mine myself you your yours he him his she her hers it its we us our ours they them
    their theirs user users is am are was were be been being do does did has have had having will would
    shall should can could may might must to of in on at by for with from as that this these those there
    here and or but so if then than also very really just quite too about into over up out s t m re ve ll
    d im ive who which what when where how
""")
CJK_STOP = frozenset(
    "的了着过是在我你他她它们有和与及也都很就还把被对从到这那个位名只条些地得吧呢啊嘛之其所而且用户"
)

NEGATION = _words("""
    not no never none nothing nobody without cannot cant dont doesnt didnt isnt arent wasnt werent wont
    wouldnt hasnt havent hadnt neither nor
""")
NEGATION_CJK = ("不", "没", "无", "未", "别", "非")
# Words in which those characters deny nothing.
NEGATION_CJK_NOT = _words("""
    不过 不错 不久 不但 不仅 特别 别人 分别 别墅 非常 非洲 未来 无论 无锡 差不多 不断 南非 没准 级别 性别 区别
    告别 无糖 无线 无人机
""")

ENDING = (
    "no longer", "not anymore", "anymore", "any more", "stopped", "quit", "gave up", "given up", "cancelled",
    "canceled", "used to", "sold", "broke up", "divorced", "passed away", "died", "former", "formerly",
    "不再", "戒了", "戒掉", "已经不", "取消",
    "停止", "放弃", "卖了", "卖掉", "分手", "离婚", "去世", "不用了", "以前",
)  # fmt: skip
CHANGE = (
    "moved", "moving", "switched", "changed", "now", "instead", "replaced", "became", "becomes", "new job",
    "started", "promoted", "relocated", "upgraded", "postponed", "rescheduled", "pushed back", "renamed",
    "搬", "换", "改", "转", "现在", "如今", "变成", "成为", "升", "推迟", "提前",
    "调整", "跳槽", "迁", "目前",
)  # fmt: skip
CORRECTION = (
    "actually", "correction", "in fact", "spelled", "spelt", "mistake", "mistaken", "wrong", "i meant",
    "to be exact", "rather than", "not as", "misspelled",
    "其实", "更正", "纠正", "实际上", "应该是", "不是", "说错", "记错", "写错", "准确地说", "弄错", "搞错",
)  # fmt: skip
FORGET = ("forget that", "forget about", "please forget", "忘掉", "忘记这", "别再记")

# Others than the speaker. Two statements whose sets of others differ are about different subjects.
OTHERS = {
    "sister": "sister", "brother": "brother", "mother": "mother", "mom": "mother", "mum": "mother",
    "father": "father", "dad": "father", "wife": "wife", "husband": "husband", "partner": "partner",
    "girlfriend": "girlfriend", "boyfriend": "boyfriend", "son": "son", "daughter": "daughter",
    "aunt": "aunt", "uncle": "uncle", "cousin": "cousin", "nephew": "nephew", "niece": "niece",
    "grandmother": "grandmother", "grandma": "grandmother", "grandfather": "grandfather",
    "grandpa": "grandfather", "boss": "boss", "manager": "boss", "colleague": "colleague",
    "coworker": "colleague", "neighbour": "neighbour", "neighbor": "neighbour", "friend": "friend",
    "roommate": "roommate", "dog": "dog", "puppy": "dog", "cat": "cat", "kitten": "cat",
    "姐姐": "elder sister", "妹妹": "younger sister", "哥哥": "elder brother", "弟弟": "younger brother",
    "妈妈": "mother", "母亲": "mother", "爸爸": "father", "父亲": "father", "妻子": "wife", "太太": "wife",
    "老婆": "wife", "丈夫": "husband", "老公": "husband", "女友": "girlfriend", "女朋友": "girlfriend",
    "男友": "boyfriend", "男朋友": "boyfriend", "儿子": "son", "女儿": "daughter", "阿姨": "aunt",
    "姑姑": "aunt", "叔叔": "uncle", "舅舅": "uncle", "表哥": "cousin", "表弟": "cousin", "表姐": "cousin",
    "表妹": "cousin", "奶奶": "grandmother", "外婆": "grandmother", "爷爷": "grandfather",
    "外公": "grandfather", "老板": "boss", "同事": "colleague", "邻居": "neighbour", "朋友": "friend",
    "室友": "roommate", "狗": "dog", "猫": "cat",
}  # fmt: skip

# Different words for one thing, by stem: what a paraphrase commonly swaps.
SAME = {
    "love": "like", "enjoy": "like", "fond": "like", "ador": "like", "favorit": "favourit", "resid": "live",
    "base": "live", "colour": "color", "automobil": "car", "movi": "film", "film": "film", "kid": "child",
    "children": "child", "mom": "mother", "mum": "mother", "dad": "father", "employ": "work", "job": "work",
    "reloc": "move", "begin": "start", "began": "start", "hate": "dislik", "purchas": "buy", "bought": "buy",
    "allerg": "allergi", "ate": "eat", "went": "go", "goe": "go", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twice": "2",
    "bike": "bicycl",
}  # fmt: skip
SAME_CJK = (
    ("喜爱", "喜欢"), ("热爱", "喜欢"), ("爱好", "喜欢"), ("居住", "住"), ("父亲", "爸爸"), ("母亲", "妈妈"),
    ("电脑", "计算机"), ("讨厌", "不喜欢"), ("女朋友", "女友"), ("男朋友", "男友"), ("两", "二"), ("一", "1"),
    ("二", "2"), ("三", "3"), ("四", "4"), ("五", "5"), ("六", "6"), ("七", "7"), ("八", "8"), ("九", "9"),
    ("十", "10"),
)  # fmt: skip
