"""Words that are evidence: what a statement is about, whom, what it denies, that something changed.

Patterns match normalised text: lower case, no apostrophes, no punctuation. What the lists miss, the model is
asked about.
"""

from __future__ import annotations

import re


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


STOP = _words("""
    a an the new i me my mine myself you your yours he him his she her hers it its we us our ours they them
    their theirs user users is am are was were be been being do does did has have had having will would
    shall should can could may might must to of in on at by for with from as that this these those there
    here
    and or but so if then than also very really just quite too about into over up out per each every go goes going
    away usually often always sometimes normally generally regularly frequently occasionally s t m re ve ll
    d im ive who which what when where how
""")
CJK_STOP = frozenset(
    "会能可每的了着过是在我你他她它们有和与及也都很就还把被对从到这那个位名只条些地得吧呢啊嘛之其所而且用户"
)

# What may begin a statement before its subject; what stands before a month; what follows a number and is no unit.
LEADING = _words("since after before from until till when while as on in at by for with because during")
BEFORE_MONTHS = _words("in of by on since until this next last every early late mid")
NO_UNIT = _words(
    "of in on at to and or the a is are was were has have had will for with from by not but that"
)

NEGATION = _words("""
    not no never none nothing nobody without cannot cant dont doesnt didnt isnt arent wasnt werent wont
    wouldnt hasnt havent hadnt neither nor
""")
NEGATION_CJK = ("不", "没", "无", "未", "别", "非")
INDEFINITE_CJK = re.compile(
    "平时|通常|一般|经常|常常|总是|往往|一[个只条位辆台名本匹头家间份缸盆棵株套栋所座艘架把张双项部款群]"
)
# "A little", which is no hour: 喝一点, not 下午一点, 一点半 or 一点之前.
A_LITTLE_CJK = re.compile(
    r"(?<![\d二三四五六七八九十午晨])(?<!晚上)(?<!早上)(?<!夜里)一点"
    r"(?![钟半整\d一二三四五六七八九十多才就前后]|[之以][前后]|左右|[上下]班|[上下]课|开|睡|起床)"
)
# Words in which those characters deny nothing.
NEGATION_CJK_NOT = _words("""
    不过 不错 不久 不但 不仅 特别 别人 分别 别墅 非常 非洲 未来 无论 无锡 差不多 不断 南非 没准 级别 性别 区别
    告别 无糖 无线 无人机 卧床不起 对不起 了不起 没变 没动 没换 不变
""")

# An event, of which there can be another.
PAST = re.compile(
    r"^(?:i |we |user |he |she |they )?(?:[a-z]{3,}ed|ran|bought|went|saw|met|took|had|ate|won|gave|"
    r"made|wrote|read|sold|lost|"
    r"broke|began|became|left|quit|kept|felt|found|grew|put|set|told|heard|thought|flew|drove|swam|got|came|spent|paid)\b|[^不]过(?!敏|年|节)|了(?!$)"
)
ENDING = re.compile(
    r"\b(?:no longer|not? any ?more|any ?more|any longer|stopp?(?:ed|s)|quit|g[ai]ven? up|cancell?ed|"
    r"used to|sold|"
    r"broke up|split up|divorced|passed away|died|lost|ended|dropped|former(?:ly)?|got rid of|gave away|"
    r"unsubscribed|left|resigned|retired|laid off|fired|deleted|uninstalled|removed|closed|healed|"
    r"recovered|cured|died|dead|"
    r"gave(?= (?:\w+ ){1,4}away)|threw(?= (?:\w+ ){1,4}(?:away|out))|paid(?= (?:\w+ ){1,3}back)|paid off|"
    r"rehomed|broke down|dropped out|moved out|out of business|discontinued)\b"
    r"|不再|戒|已经不|已经没|取消|停止|停了|放弃|卖[了掉给]|分手|离婚|去世|不用了|退订|退出|弃|辞职|辞去|"
    r"离职|退休|没有了|裁员|裁掉|被裁|开除|卸载|删了|删除|删掉|注销|关闭|痊愈|康复|治好|病好|死了|过世|"
    r"送人|辍学|搬走|停产|倒闭|关门|还清|"
    r"不.{1,12}了$"
)
CHANGE = re.compile(
    r"\b(?:moved|moving|switched|changed|now|nowadays|these days|instead|replaced|became|becomes|has become|"
    r"started|promoted|relocated|upgraded|migrated|postponed|rescheduled|pushed back|brought forward|renamed|"
    r"slipped|delayed|put off|shifted|swapped|"
    r"new job|(?:went|go|gone) (?:up|down)|raised|lowered|increased|reduced|rose|fell|dropped to|grew to|"
    r"re(?:written|built|designed)|currently|recently|just|transferred|converted|got (?:married|"
    r"engaged|divorced))\b"
    r"|搬|换|改|转|调[到成为至]|现在|如今|变成|成为|升职|晋升|升(?=[大中]班|[初高大小]|[一二三四五六]年级|[任为入])|推迟|提前|顺延|延[期后迟]|挪|调整|涨|[降升增减]到|跳槽|迁|目前|开始|刚|最近|升级"
)
CORRECTION = re.compile(
    r"\b(?:actually|correction|in fact|spell?ed|spelt|mistaken?|wrong|i meant|to be exact|rather than|"
    r"misspell?ed|"
    r"misheard|misspoke|mixed (?:that|it|this|them|up)|mix up|slip of the tongue|correct(?:ed|ly)?|typo|after all|"
    r"turns out|(?:counted|checked|looked) (?:\w+ ){0,4}again|(?:double|re)checked)\b"
    r"|(?<!is)(?<!are)(?<!was)(?<!were)(?<!does)(?<!do)(?<!did)(?<!has)(?<!will)"
    r" not (?:(?:the|on|in|at|a) )?(?:\w+|\d+ \w+)$"
    r"|其实|更正|纠正|实际上|应该是|而是|[说讲记写听看打弄搞数]错|[记搞弄]混|记岔|口误|笔误|核对|准确地说|才对|正确"
)
INTENDED = re.compile(
    r"\b(?:looking for|plans?|planning|wants? to|wanting|applying|applied|searching|hopes to|hoping|saving|"
    r"(?:is|are|am|im|were) going to|intends?|thinking (?:of|about)|considering|waiting|"
    r"preparing|is writing|is reading|"
    r"is learning)\b"
    r"|找|打算|计划|想|准备|申请|希望|考虑|等|正在|在学|攒钱"
)
# A number that is not meant exactly.
ROUGHLY = re.compile(
    r"\b(?:about|around|roughly|approximately|some|nearly|almost|or so|more or less|several|a few)\b|"
    r"左右|大约|大概|约|差不多|将近|几"
)
# What follows is what is not, or no longer, so.
DENIED = re.compile(
    r"\b(?:not|instead of|rather than|no longer|never|stopp?ed|quit|cancell?ed|without|dont|doesnt|"
    r"didnt|isnt|arent|"
    r"cant|cannot|wont|sold|gave up|broke up with|switched from|moved from|changed from|"
    r"(?<!away )(?<!different )from)\s+(.+?)"
    r"(?=\s+(?:but|to|any ?more|any longer|and|that)\b|$)"
    r"|(?:不是|而不是|不再|不去|不想|不|没有|没|戒掉|戒了|戒|取消了?|放弃了?|卖掉?了?|停止|"
    r"和(?=[^，,]{1,8}(?:分手|离婚)))"
    r"([^，,]{1,12}?)(?=了|换|改|搬|转|卖|戒|取消|分手|离婚|而是|$)"
    r"|(?:从|由|把)([^，,]{1,12}?)(?=换|改|搬|转|变|调|卖|戒|离|辞|跳槽|取消)"
)
# Said about the statement, not part of it.
PREFACE = re.compile(
    r"^(?:correction|actually|in fact|sorry|i was wrong|i misspoke(?: earlier)?|my mistake|my bad|"
    r"(?:no|well|oh)(?=[,，:：;；.。!！])|"
    r"(?:用户)?更正(?:一下)?|纠正一下|其实|实际上|"
    r"(?:i )?mixed (?:that|it|this|them|up)\b[^,，:：;；]{0,20}(?=[,，:：;；])|"
    r"i (?:got|had) (?:that|it|this) (?:wrong|mixed up|backwards)(?: earlier)?|"
    r"(?:之前|以前|前面|刚才|上次|上回)?(?:是?我)?(?:把|将)?(?P<topic>[^，,：:]{0,6}?)"
    r"(?:[说记写讲看听打搞弄]错|[记搞弄]混)了?[^，,：:]{0,3}(?=[,，:：;；])|"
    r"(?:之前|前面|刚才|上次|上回)?(?:是?我)?(?:说|记|写|讲|搞|弄)错了|不对|抱歉|对了)"
    r"[\s,，:：;；.。!！]+"
    r"|^[^:：]{0,30}\b(?:wrong|mistake|mistaken|misspoke|typo)\b[^:：]{0,20}[:：]\s*",
    re.IGNORECASE,
)


def without_preface(text: str) -> str:
    """A statement without what is said about it; what that names ("I had the birthday wrong: …") stays."""
    return PREFACE.sub(r"\g<topic>", text.strip())


# A clause that says that something is as it was.
UNCHANGED = re.compile(
    r"\b(?:still|same)\b[^,;.]*\b(?:as before|unchanged|the same)\b|[,;][^,;.]*\b(?:still|stays?|remains?)\b[^,;.]*"
    r"|[^\s，,；;。]*(?:没有?[变换动]|不变|照旧)[^\s，,；;。]*|[,，；;](?:还是|仍[旧然]?|依[旧然])[^\s，,；;。]*"
    r"|(?:人|还)+(?:是|住)?在[^\s，,；;。]*"
)
# That nothing else has changed, said at the end.
ALL_ELSE = re.compile(
    r"\s*[,;，；。]\s*(?:but |and )?(?:(?:everything|all|the) (?:else|rest|others?)|others?) [^,;，；]*"
    r"(?:same|unchanged|as before|as it was|stands|correct|right)[^,;，；]*$"
    r"|\s*[,，；。;]\s*[^,，；;]{1,10}(?:不变|没有?变|没有?[记说写弄搞]?错|照旧|照常|还是原样)[^,，；;]{0,2}$",
    re.IGNORECASE,
)
REMARKS_CJK = re.compile("现在|目前|如今|最近|刚刚?|已经|其实|开始|[上下]个?[周月]|明年|去年|今年")
PREFACED = re.compile(r"^(?:其实|实际上|actually |in fact )", re.IGNORECASE)

# Concepts whose words are their values: another word is another value.
STATUS = {
    "single": r"\b(?:single|divorced|separated|widowed|broke up|split up)\b|单身|离婚|分手|丧偶",
    "dating": r"\b(?:dating|in a relationship|girlfriend|boyfriend)\b|恋爱|女朋友|男朋友|女友|男友",
    "engaged": r"\b(?:engaged|fianc[ée]e?)\b|(?<!未)订婚|未婚妻|未婚夫",
    "married": r"\b(?:married|wife|husband|spouse)\b|结婚|已婚|夫妻|妻子|丈夫|太太|老婆|老公(?!房)",
    "pregnant": r"\b(?:pregnant|expecting)\b|怀孕|预产期",
    "born": r"\b(?:gave birth|newborn)\b|生了|生下",
}  # fmt: skip
DIRECTED = re.compile(
    r"\b(?:over|than|from|before|after|by|rather|owes?|lent|gave|gives?)\b|比|给|从|借|先|由"
)

# What statements are about. ONE: a person has one of these at a time, so another value replaces the first.
# KEYED: one for each object ("favourite colour"). MANY: any number, so other values stand side by side.
ONE = {
    "home": r"\b(?:lives?|living(?= in| with| at| on| alone)|lived|resid(?:es?|ing)|home is|"
    r"mov(?:ed|es|ing)|relocat(?:ed|es|ing)|"
    r"settled|shar(?:es|ed|ing) an? (?:[\w-]+ ){0,2}(?:flat|apartment|house|home|room|place)|"
    r"based)\b(?: back)?(?: in| to)?|居住在|住在|独居|定居在?|合租|租房|住|家在|搬家?[到去回]?了?|迁居?到?",
    "work": r"\b(?:(?:works?|worked|working)(?= as| at| for| in| with| remotely| from)|(?<!the )works$|(?:new|"
    r"current) job|"
    r"job(?= as| at| is)|employed|occupation|profession|hired|for a living|new position|"
    r"joined(?= the company| a company| a startup| as)|unemployed|freelance[rs]?|self employed|laid off|"
    r"fired|started as|intern(?:ship)?|"
    r"is(?= an? (?:\w+ ){0,2}\w*(?:nurse|doctor|teacher|lawyer|engineer|developer|manager|designer|chef|"
    r"cook|waiter|"
    r"waitress|librarian|accountant|pilot|writer|journalist|scientist|programmer|consultant|analyst|"
    r"driver|therapist|"
    r"dentist|pharmacist|professor|architect|carpenter|electrician|plumber|farmer|baker|translator|"
    r"editor)\b)|employed|for a living|"
    r"new position)\b(?: as| at| for)?|工作(?!时|日|电脑|室)|上班|职业|任职|入职|跳槽|就职|供职|失业|待业|"
    r"没有工作|裁员|"
    r"被裁|自由职业|创业|实习|(?:当|做)(?!.{0,12}(?:义工|志愿))(?=.{0,8}(?:师|员|生|工|长|手|家|士|者|理|授|官))",
    "partner": r"\b(?:single|married|engaged|dating|in a relationship|girlfriend|boyfriend|fianc[ée]e?|"
    r"wife|husband|"
    r"spouse|divorced|separated|widowed|broke up|split up)\b|单身|结婚|已婚|订婚|离婚|分手|谈?恋爱|"
    r"女朋友|男朋友|女友|男友|"
    r"夫妻|妻子|丈夫|太太|老婆|老公(?!房)|未婚妻|未婚夫",
    "diet": r"\b(?:vegetarian|vegan|pescatarian|carnivore|(?:eats?|eating) (?:meat|fish|seafood|chicken)|"
    r"plant based|keto|no meat|meat)\b|吃素|素食者?|吃肉|吃荤|吃鱼|纯素",
    "vehicle": r"\b(?:drives?|driving|car|truck|van)\b|开车|汽车|轿车|开(?=.{0,4}辆)|车(?=卖|换)|"
    r"卖了?车|换了?车",
    "age": r"\b(?:years? old|year old|aged?|turn(?:ed|s))\b|岁",
    "birthday": r"\b(?:birthday|born on)\b|生日",
    "baby": r"\b(?:pregnant|gave birth|expecting|newborn)\b|怀孕|预产期|生了|生下",
    "wakes": r"\b(?:wakes?|gets?|getting) up\b|起床",
    "earns": r"\b(?:earns?|salary|income|makes)\b|年薪|月薪|工资|收入",
    "studies": r"\b(?:major(?:s|ing)?|stud(?:y|ies|ying|ied)|degree|student|university|college|(?:high|"
    r"middle|primary|elementary) school|enrolled|graduated?|phd|dropped out)\b|学生|毕业|就读|高中|初中|"
    r"大[一二三四](?!\w)|研[一二三](?!\w)|大学|考上|专业|攻读|主修|读(?=.{1,6}(?:专业|系))",
    "birthplace": r"\bborn(?! on)\b|出生(?!日|年)",
    "origin": r"\b(?:grew up|raised|comes from|hometown|native of|originally from)\b|老家在?|家乡|籍贯|长大",
    "answers in": r"\b(?:answers?|repl(?:y|ies)|responds?|responses?)\b(?= (?:\w+ ){0,4}in (?:english|chinese|"
    r"mandarin|german|french|spanish|japanese|korean|italian|portuguese|dutch|russian)\b)"
    r"|(?<=[中英日法德韩]文)来?(?:回答|回复|答复)|(?<=[英汉日法德韩]语)来?(?:回答|回复|答复)",
    "smokes": r"\b(?:smok(?:es?|ing|er)|cigarettes?)\b|抽烟|吸烟|戒烟|烟",
}  # fmt: skip
KEYED = {
    "favourite": r"\bfavou?rite\b|最喜欢的?|最爱的?",
    "prefers": r"\bprefer(?:s|red|ence)?\b|更喜欢|偏好|偏爱|宁愿",
    "uses": r"\b(?:us(?:es?|ing)|runs on|switched)\b|使用|用(?!户)|换成|改用",
    "name": r"\b(?:name(?:d|s)?|called|spell?ed|spelt|nickname)\b|名字|叫做?|姓名?",
    "date": r"\b(?:deadline|due|starts?|begins?|leaves?|takes place|is on|is at|scheduled|"
    r"appointment)\b|截止日期?|开始|定在|约在|安排在",
    "amount": r"\b(?:budget|costs?|price|weighs?|weight|height|number|score|time was|rent|size|"
    r"memory)\b|预算|价格|体重|身高|号码|电话|成绩|房租|月租|租金|内存",
}  # fmt: skip
MANY = {
    "likes": r"\b(?:likes?|loves?|enjoys?|fond of|adores?|into|fan of|dislikes?|hates?|cant stand)\b|"
    r"喜欢|喜爱|热爱|爱好是?|爱|讨厌|不喜欢",
    "has": r"\b(?:has|have|having|had|owns?|owned|keeps?)\b|拥有|养了?|有了?",
    "allergic": r"\b(?:allergic|allerg(?:y|ies)|intolerant|intolerance)\b|过敏|不耐受",
    "speaks": r"\b(?:speaks?|learns?|learning|fluent(?:ly)?)\b|会说|在学|学会|学习|学",
    "plays": r"\b(?:plays?|playing|played|practi[cs]es?)\b|玩|弹|拉|打|踢",
    "takes": r"\b(?:took|takes?|taking|attends?|goes|went|course|class)\b|上过|在上|上|参加了?|课",
    "wants": r"\b(?:wants?|hopes?|plans?|planning|wishes)\b(?: to)?|想要?|希望|打算|计划",
}  # fmt: skip

# Others than the speaker. Two statements whose sets of others differ are about different subjects.
OTHERS = {
    "sister": "sister", "brother": "brother", "mother": "mother", "mom": "mother", "mum": "mother",
    "father": "father", "dad": "father", "wife": "wife", "husband": "husband", "partner": "partner",
    "girlfriend": "girlfriend", "boyfriend": "boyfriend", "son": "son", "daughter": "daughter",
    "aunt": "aunt", "uncle": "uncle", "cousin": "cousin", "nephew": "nephew", "niece": "niece",
    "grandmother": "grandmother", "grandma": "grandmother", "grandfather": "grandfather",
    "grandpa": "grandfather", "grandson": "grandson", "granddaughter": "granddaughter",
    "boss": "boss", "manager": "boss", "colleague": "colleague",
    "coworker": "colleague", "neighbour": "neighbour", "neighbor": "neighbour", "friend": "friend",
    "roommate": "roommate", "dog": "dog", "puppy": "dog", "cat": "cat", "kitten": "cat",
    "姐姐": "elder sister", "妹妹": "younger sister", "哥哥": "elder brother", "弟弟": "younger brother",
    "妈妈": "mother", "母亲": "mother", "爸爸": "father", "父亲": "father", "妻子": "wife", "太太": "wife",
    "老婆": "wife", "丈夫": "husband", "老公": "husband", "女友": "girlfriend", "女朋友": "girlfriend",
    "男友": "boyfriend", "男朋友": "boyfriend", "儿子": "son", "女儿": "daughter", "阿姨": "aunt",
    "姑姑": "aunt", "叔叔": "uncle", "舅舅": "uncle", "表哥": "cousin", "表弟": "cousin", "表姐": "cousin",
    "表妹": "cousin", "奶奶": "father's mother", "外婆": "mother's mother", "姥姥": "mother's mother",
    "婆婆": "husband's mother", "公公": "husband's father", "岳母": "wife's mother", "岳父": "wife's father",
    "孙子": "grandson", "孙女": "granddaughter", "爷爷": "father's father", "外公": "mother's father",
    "姥爷": "mother's father", "老板": "boss", "同事": "colleague",
    "邻居": "neighbour", "朋友": "friend", "室友": "roommate", "狗": "dog", "猫": "cat",
}  # fmt: skip

KIN = "|".join(sorted((word for word in OTHERS if word.isascii()), key=len, reverse=True))  # of a pattern

# One of several of a kind: the eldest brother, the second uncle.
NUMBERED_CJK = re.compile(
    r"[大二三四五小老]?[大二三四五小老表堂](?:舅|姨|姑|叔|伯|哥|姐|弟|妹|儿子|女儿|嫂|婶|爷)"
)

# Different words for one thing, by stem: what a paraphrase commonly swaps.
# Of an allergy, this is no denial.
AVOIDS = re.compile(
    r"\b(?:cannot|cant|must not|should not|does not|doesnt) (?:eat|drink|have)\b|不能[吃喝碰]"
)
DISLIKE = re.compile(r"\b(?:dislik|hate|cant stand|detest|loath)|讨厌|厌恶|反感|不爱")

SAME = {
    "love": "like", "enjoy": "like", "fond": "like", "ador": "like", "favorit": "favourit", "resid": "live",
    "base": "live", "colour": "color", "automobil": "car", "movi": "film", "film": "film", "kid": "child",
    "children": "child", "mom": "mother", "mum": "mother", "dad": "father", "employ": "work", "job": "work",
    "reloc": "move", "begin": "start", "began": "start", "hate": "dislik", "purchas": "buy", "bought": "buy",
    "allerg": "allergi", "ate": "eat", "went": "go", "goe": "go", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twice": "2",
    "bike": "bicycl", "fli": "flight", "flew": "flight", "wrote": "write", "written": "write",
    "studi": "study", "ran": "run",
}  # fmt: skip
SAME_CJK = (
    ("喜爱", "喜欢"), ("热爱", "喜欢"), ("爱好", "喜欢"), ("居住", "住"), ("父亲", "爸爸"), ("母亲", "妈妈"),
    ("电脑", "计算机"), ("讨厌", "不喜欢"), ("女朋友", "女友"), ("男朋友", "男友"),
)  # fmt: skip
