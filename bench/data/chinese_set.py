"""How `chinese.json` was made: `python -m bench.data.chinese_set` writes it again, byte for byte.

No model wrote any of it. Fifteen people (Chinese, and foreign names in Latin letters) are each given one of six
values for twenty attributes: 300 memories in two wordings, deliberately confusable: every value is shared by two
or three people, and every person by twenty facts. Questions avoid the memory's words where one would in speech
(打羽毛球 is asked for as 运动, 对花生过敏 as 不能吃). To these come hand-written memories of a group at work, mixing
Chinese with English words as people do, with hand-written questions.

Each entry exists in Chinese and in English with the same meaning, so that the two can be compared. Groups:
templates; mixed (code-switching, hand-written); crossed (an English question about the Chinese text).
"""

# ruff: noqa: E501 - tables of sentences, one pair a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("chinese.json")


class Both(NamedTuple):
    zh: str
    en: str


class Attribute(NamedTuple):
    memories: tuple[Both, Both]  # {p} is the person, {v} the value
    questions: tuple[Both, Both]
    values: tuple[Both, ...]


PEOPLE = [
    Both(zh, en)
    for zh, en in (
        ("小明", "Xiaoming"), ("李娜", "Li Na"), ("王芳", "Wang Fang"), ("张伟", "Zhang Wei"), ("陈静", "Chen Jing"),
        ("刘洋", "Liu Yang"), ("赵磊", "Zhao Lei"), ("周敏", "Zhou Min"), ("吴强", "Wu Qiang"), ("孙丽", "Sun Li"),
        ("何雨晴", "He Yuqing"), ("欧阳晨", "Ouyang Chen"), ("Kevin", "Kevin"), ("Anna", "Anna"), ("奶奶", "Grandma"),
    )
]  # fmt: skip


def attribute(memories: str, questions: str, values: str) -> Attribute:
    """Lines of "Chinese | English"."""
    first, second = _lines(memories)
    ask, ask_again = _lines(questions)
    return Attribute((first, second), (ask, ask_again), tuple(_lines(values)))


def _lines(text: str) -> list[Both]:
    return [Both(*(part.strip() for part in line.split("|"))) for line in text.strip().splitlines()]


ATTRIBUTES = [
    attribute(
        "{p}每周末都去{v} | {p} goes {v} every weekend\n{p}迷上了{v} | {p} is hooked on {v}",
        "{p}喜欢什么运动？ | What sport does {p} like?\n{p}平时怎么锻炼身体？ | How does {p} keep fit?",
        """打羽毛球 | playing badminton
        游泳 | swimming
        攀岩 | rock climbing
        跑步 | running
        打网球 | playing tennis
        滑雪 | skiing""",
    ),
    attribute(
        "{p}对{v}过敏 | {p} is allergic to {v}\n{p}一碰{v}就起疹子 | {p} gets a rash from {v}",
        "{p}不能吃什么？ | What must {p} not eat?\n给{p}做饭要避开什么？ | What should be left out when cooking for {p}?",
        "花生 | peanuts\n海鲜 | seafood\n牛奶 | milk\n芒果 | mango\n鸡蛋 | eggs\n小麦 | wheat",
    ),
    attribute(
        "{p}在{v}当护士，常上夜班 | {p} works night shifts as a nurse in {v}\n{p}在{v}一家医院上班 | {p} works in a hospital in {v}",
        "{p}的工作是什么？ | What is {p}'s job?\n{p}在哪里上班？ | Where does {p} work?",
        "北京 | Beijing\n上海 | Shanghai\n成都 | Chengdu\n广州 | Guangzhou\n杭州 | Hangzhou\n西安 | Xi'an",
    ),
    attribute(
        "{p}养了{v} | {p} keeps {v}\n{p}家里新来了{v} | {p} has just got {v} at home",
        "{p}有什么宠物？ | What pet does {p} have?\n{p}家里有小动物吗？ | Are there animals at {p}'s home?",
        """一只橘猫 | a ginger cat
        一条金毛犬 | a golden retriever
        两只鹦鹉 | two parrots
        一只仓鼠 | a hamster
        一缸金鱼 | a tank of goldfish
        一只乌龟 | a tortoise""",
    ),
    attribute(
        "{p}正在学{v} | {p} is learning {v}\n{p}报了{v}的网课 | {p} signed up for an online course in {v}",
        "{p}最近在学什么？ | What is {p} studying lately?\n{p}上什么课？ | What class does {p} take?",
        "吉他 | the guitar\n法语 | French\n书法 | calligraphy\n烘焙 | baking\n摄影 | photography\nPython | Python",
    ),
    attribute(
        "{p}打算{v}去云南旅行 | {p} plans to travel to Yunnan {v}\n{p}订了{v}去海南的机票 | {p} booked a flight to Hainan {v}",
        "{p}什么时候出去玩？ | When does {p} go on a trip?\n{p}有什么旅游计划？ | What travel plans does {p} have?",
        """国庆节 | over National Day
        五月初 | in early May
        春节 | over Spring Festival
        八月中旬 | in mid August
        下个月 | next month
        圣诞节 | over Christmas""",
    ),
    attribute(
        "{p}最爱吃{v} | {p} loves eating {v}\n{p}每次下馆子都点{v} | {p} orders {v} at every restaurant",
        "{p}喜欢的菜是什么？ | What is {p}'s favourite dish?\n请{p}吃饭点什么好？ | What to order for {p}?",
        """麻婆豆腐 | mapo tofu
        小笼包 | soup dumplings
        水煮鱼 | boiled fish in chili oil
        红烧肉 | braised pork
        兰州拉面 | Lanzhou noodles
        北京烤鸭 | Peking duck""",
    ),
    attribute(
        "{p}的生日是{v} | {p}'s birthday is {v}\n{p}{v}过生日 | {p} celebrates a birthday on {v}",
        "{p}哪天出生的？ | On what day was {p} born?\n什么时候给{p}送蛋糕？ | When is a cake due for {p}?",
        "3月5日 | 5 March\n7月18日 | 18 July\n11月2日 | 2 November\n1月30日 | 30 January\n9月9日 | 9 September\n6月1日 | 1 June",
    ),
    attribute(
        "{p}开{v}上下班 | {p} commutes in {v}\n{p}刚买了{v} | {p} has just bought {v}",
        "{p}的车是什么牌子？ | What make is {p}'s car?\n{p}怎么去公司？ | How does {p} get to the office?",
        """一辆比亚迪 | a BYD
        一辆特斯拉 Model 3 | a Tesla Model 3
        一辆二手高尔夫 | a used Golf
        一辆电动摩托 | an electric scooter
        一辆丰田混动 | a Toyota hybrid
        一辆蔚来 | a NIO""",
    ),
    attribute(
        "{p}睡前总读{v} | {p} always reads {v} before sleep\n{p}的书架上全是{v} | {p}'s shelves are full of {v}",
        "{p}爱看什么书？ | What books does {p} like?\n送{p}哪类书合适？ | What kind of book suits {p}?",
        """科幻小说 | science fiction
        历史传记 | historical biographies
        推理小说 | detective stories
        唐诗宋词 | classical poems
        漫画 | comics
        经济学著作 | works on economics""",
    ),
    attribute(
        "{p}住在{v} | {p} lives in {v}\n{p}上个月搬到了{v} | {p} moved to {v} last month",
        "{p}家在哪儿？ | Where is {p}'s home?\n去{p}家怎么走，在哪个区？ | Which district is {p}'s place in?",
        """朝阳区 | Chaoyang District
        浦东新区 | Pudong New Area
        武侯区 | Wuhou District
        天河区 | Tianhe District
        西湖区 | Xihu District
        雁塔区 | Yanta District""",
    ),
    attribute(
        "{p}每天早上喝{v} | {p} drinks {v} every morning\n{p}离不开{v} | {p} cannot do without {v}",
        "{p}早餐喝点什么？ | What does {p} have to drink for breakfast?\n给{p}带什么饮料？ | Which drink to bring {p}?",
        """黑咖啡 | black coffee
        龙井茶 | Longjing tea
        豆浆 | soy milk
        鲜榨橙汁 | fresh orange juice
        燕麦拿铁 | an oat latte
        柠檬水 | lemon water""",
    ),
    attribute(
        "{p}的女儿在{v} | {p}'s daughter is at {v}\n{p}的孩子今年上了{v} | {p}'s child started {v} this year",
        "{p}的小孩读几年级？ | What school year is {p}'s kid in?\n{p}的孩子多大了，上什么学？ | What school is {p}'s child at?",
        """幼儿园 | kindergarten
        小学一年级 | first grade
        初中 | middle school
        高三 | the last year of high school
        大学 | university
        寄宿学校 | boarding school""",
    ),
    attribute(
        "{p}膝盖做过{v} | {p} had {v} on a knee\n医生让{p}做{v} | The doctor sent {p} to {v}",
        "{p}身体怎么样？ | How is {p}'s health?\n{p}接受过什么治疗？ | What treatment did {p} get?",
        """微创手术 | keyhole surgery
        三个月的康复训练 | three months of rehabilitation
        核磁共振检查 | an MRI scan
        针灸 | acupuncture
        理疗 | physiotherapy
        玻璃酸钠注射 | hyaluronate injections""",
    ),
    attribute(
        "{p}不喜欢{v} | {p} dislikes {v}\n{p}最受不了{v} | {p} cannot stand {v}",
        "{p}讨厌什么？ | What does {p} hate?\n什么会让{p}反感？ | What puts {p} off?",
        """香菜 | coriander
        迟到的人 | people who come late
        烟味 | the smell of smoke
        吵闹的酒吧 | noisy bars
        下雨天 | rainy days
        长会议 | long meetings""",
    ),
    attribute(
        "{p}常听{v} | {p} often listens to {v}\n{p}收藏了很多{v}的唱片 | {p} collects records of {v}",
        "{p}喜欢什么音乐？ | What music does {p} like?\n陪{p}去听什么演出好？ | Which concert to take {p} to?",
        "爵士乐 | jazz\n周杰伦 | Jay Chou\n京剧 | Peking opera\n古典钢琴 | classical piano\n摇滚乐 | rock\n民谣 | folk",
    ),
    attribute(
        "{p}的梦想是{v} | {p} dreams of {v}\n{p}退休后想{v} | After retiring, {p} wants to go on to {v}",
        "{p}将来想做什么？ | What does {p} want to do in future?\n{p}有什么人生目标？ | What goal in life does {p} have?",
        """开一家花店 | opening a flower shop
        环游世界 | travelling round the world
        写一本回忆录 | writing a memoir
        回老家种菜 | growing vegetables back home
        办一所学校 | founding a school
        拍一部纪录片 | making a documentary""",
    ),
    attribute(
        "{p}的手机是{v} | {p}'s phone is {v}\n{p}换了{v} | {p} switched to {v}",
        "{p}用什么电话？ | Which telephone does {p} use?\n{p}的通讯设备是什么型号？ | What model is {p}'s device?",
        """华为 Mate 60 | a Huawei Mate 60
        iPhone 15 | an iPhone 15
        小米 14 | a Xiaomi 14
        Pixel 8 | a Pixel 8
        老年机 | a phone for the elderly
        三星折叠屏 | a folding Samsung""",
    ),
    attribute(
        "{p}和{v}一起合租 | {p} shares a flat with {v}\n{p}最好的朋友是{v} | {p}'s best friend is {v}",
        "{p}跟谁关系最近？ | Who is {p} closest to?\n{p}的室友或密友是谁？ | Who is {p}'s flatmate or confidant?",
        """大学同学老高 | a fellow student called Lao Gao
        表妹小雪 | a cousin called Xiaoxue
        同事阿杰 | a colleague called Ajie
        发小胖子 | a childhood friend called Pangzi
        师姐林月 | a senior called Lin Yue
        球友大壮 | a teammate called Dazhuang""",
    ),
    attribute(
        "{p}在存钱买{v} | {p} is saving up for {v}\n{p}每月攒一千块，想要{v} | {p} puts a thousand aside each month for {v}",
        "{p}攒钱做什么？ | What is {p} putting money aside for?\n{p}最近想添置什么？ | What would {p} like to acquire?",
        """一架钢琴 | a piano
        一台单反相机 | a camera
        学区房 | a flat near a good school
        一辆公路自行车 | a road bike
        投影仪 | a projector
        露营装备 | camping gear""",
    ),
]

# Chinese | English, numbered from 0 in their order.
MIXED_MEMORIES = _lines("""
周五的 standup 改到上午十点 | Friday's standup was moved to ten in the morning
老板要求 Q3 之前上线 dark mode | The boss wants dark mode released before Q3
我们的 backend 从 Django 迁移到了 FastAPI | Our backend was migrated from Django to FastAPI
小周负责 code review，每周二下午看 PR | Xiaozhou is in charge of code review and looks at PRs on Tuesday afternoons
客户觉得 dashboard 加载太慢，要求两秒以内 | The client finds the dashboard too slow and demands less than two seconds
GPU 服务器放在三楼机房，密码问运维老马 | The GPU server is in the room on the third floor; ask Lao Ma of operations for the password
阿珍下个月去东京参加 AI conference | Azhen attends an AI conference in Tokyo next month
数据库每天凌晨三点自动 backup 到 S3 | The database is backed up to S3 at three every night
新来的实习生 Lucy 会讲粤语 | Lucy, the new intern, speaks Cantonese
团建定在莫干山，坐大巴去 | The team outing is at Moganshan, going by coach
前端的 bug 是 timezone 没处理好造成的 | The frontend bug came from careless timezones
CEO 喜欢用 Excel，不看 PPT | The CEO likes Excel and does not look at slides
合同里写明了每月 SLA 是 99.9% | The contract fixes a monthly SLA of 99.9%
产品经理小沈说 onboarding 流程要减到三步 | Product manager Xiaoshen says onboarding must shrink to three steps
我把 API key 存在 1Password 里 | I keep the API key in 1Password
楼下那家 coffee shop 会员卡余额还剩 86 元 | There are 86 yuan left on the card of the coffee shop downstairs
Tom 的签证十二月到期 | Tom's visa runs out in December
测试环境的域名是 staging.example.cn | The domain of the test environment is staging.example.cn
老婆订了周六晚上七点的日料 omakase | My wife booked omakase for seven on Saturday evening
健身房的 personal trainer 叫阿龙，擅长力量训练 | The personal trainer at the gym is called Along and is good at strength training
儿子在学 Scratch，想参加机器人比赛 | My son is learning Scratch and wants to join a robot contest
妈妈的降压药要饭后吃 | Mother's blood pressure pills are to be taken after meals
Wi-Fi 密码贴在路由器背面 | The Wi-Fi password is on the back of the router
去年的 OKR 只完成了七成 | Only seventy percent of last year's OKRs were met
奶奶用微信 video call 的时候总把镜头对着天花板 | Grandma points the camera at the ceiling in WeChat video calls
我习惯用 Vim 写代码，不用鼠标 | I write code in Vim and use no mouse
房租每季度付一次，房东姓钱 | The rent is paid every quarter; the landlord's name is Qian
Emma 建议把会议纪要放到 Notion | Emma suggests keeping the minutes in Notion
护照号码在抽屉最下层的 folder 里 | The passport number is in the folder in the bottom drawer
耳机是降噪的 Sony，充电口是 USB-C | The headphones are noise-cancelling Sonys with a USB-C port
双十一买的扫地机器人坏了，在等售后 | The robot vacuum bought on Singles' Day is broken and waits for service
楼上的邻居周日练小提琴 | The neighbour upstairs practises the violin on Sundays
""")

# The number of the memory | the question in Chinese | in English.
MIXED_QUESTIONS = """
0 | 每日站会几点开？ | At what time is the standup?
1 | 深色模式什么时候要发布？ | By when must dark mode be out?
2 | 后端现在用什么 framework？ | Which framework does the backend use now?
3 | 谁来审 PR？ | Who reviews PRs?
4 | 客户对 dashboard 有什么不满？ | What is the client's complaint about the dashboard?
5 | GPU 机器在哪儿，找谁要密码？ | Where is the GPU machine and who has the password?
6 | 谁要去日本开会？ | Who goes to Japan for a meeting?
7 | 数据库备份在几点？ | At what hour does the database backup run?
8 | 实习生会说什么方言？ | Which dialect does the intern speak?
9 | 公司出游去哪里？ | Where does the company outing go?
10 | 前端那个问题的原因是什么？ | What was the cause of the frontend problem?
11 | 给 CEO 汇报该用什么格式？ | In what format should one report to the CEO?
12 | SLA 要求是多少？ | What SLA is required?
13 | 新用户引导要改成几步？ | How many steps should onboarding have?
14 | API key 放在哪里？ | Where is the API key kept?
15 | 咖啡店的卡里还有多少钱？ | How much money is left on the coffee card?
16 | Tom 的 visa 什么时候过期？ | When does Tom's visa expire?
17 | staging 的网址是什么？ | What is the address of staging?
18 | 周六晚饭在哪儿吃？ | Where is dinner on Saturday?
19 | 健身教练叫什么名字？ | What is the name of the fitness trainer?
20 | 孩子在学哪种编程？ | Which kind of programming is the child learning?
21 | 妈妈的药怎么服用？ | How does mother take her medicine?
22 | 无线网的密码在哪里看？ | Where can the Wi-Fi password be seen?
23 | 去年的目标完成得如何？ | How well were last year's goals met?
25 | 我写代码用什么编辑器？ | Which editor do I write code in?
26 | 房东叫什么？ | What is the landlord called?
27 | 会议记录放在哪个工具里？ | In which tool do the minutes go?
28 | 护照的信息在哪里？ | Where are the passport details?
29 | 我的耳机怎么充电？ | How do my headphones charge?
30 | 哪个家电需要维修？ | Which appliance needs repair?
31 | 星期天楼上为什么有琴声？ | Why is there music upstairs on Sunday?
"""
ASKED_PER_ATTRIBUTE = 5
STEP = 7  # coprime to the number of people: who is asked about changes from attribute to attribute


def templates() -> tuple[list[Both], list[dict[str, Any]]]:
    memories: list[Both] = []
    questions: list[dict[str, Any]] = []
    for number, kind in enumerate(ATTRIBUTES):
        start = len(memories)
        for place, person in enumerate(PEOPLE):
            value = kind.values[(place * 5 + number) % len(kind.values)]
            memories.append(_said(kind.memories[place % 2], person, value))
        for turn in range(ASKED_PER_ATTRIBUTE):
            place = (number * STEP + turn * 3) % len(PEOPLE)
            asked = _said(kind.questions[turn % 2], PEOPLE[place], Both("", ""))
            questions.append({"group": "templates", **asked._asdict(), "evidence": [start + place]})
    return memories, questions


def _said(pattern: Both, person: Both, value: Both) -> Both:
    return Both(
        pattern.zh.format(p=person.zh, v=value.zh),
        pattern.en.format(p=person.en, v=value.en),
    )


def the_set() -> dict[str, Any]:
    memories, questions = templates()
    first = len(memories)
    for line in MIXED_QUESTIONS.strip().splitlines():
        number, zh, en = (part.strip() for part in line.split("|"))
        questions.append({"group": "mixed", "zh": zh, "en": en, "evidence": [first + int(number)]})
    return {"memories": [one._asdict() for one in [*memories, *MIXED_MEMORIES]], "questions": questions}


if __name__ == "__main__":
    FILE.write_text(json.dumps(the_set(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
