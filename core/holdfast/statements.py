"""What a message states, sentence by sentence and word for word, found without a model.

Kept are sentences of the user that tell something. Questions, requests, greetings, small talk, code, logs,
stack traces, bare links and recalled memories are not memories. Rules are few and general, in English and
Chinese; where a sentence is in doubt it is kept, as what is lost cannot be found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .recalled import strip_recalled
from .types import Message

_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.S)
_ABBREVIATION = re.compile(
    r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|approx|No|Inc|Ltd|a\.m|p\.m)\.$"
)
# A Latin full stop ends a sentence only before a space; a Chinese one always does.
_END = re.compile(r"[。！？]+[”」』’\"')）]*|[.!?…]+[\"'”’)]*(?=\s|$)")

_LOG_LINE = re.compile(
    r"(?:"
    r"(?:\[?\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}|\d{2}:\d{2}:\d{2}[.,\s])"  # a timestamp
    r"|\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|CRITICAL|TRACE)\b[\]:]?"
    r"|Traceback \(most recent call last\)|File \"[^\"]+\", line \d+|at [\w.$<>/]+\([\w. ]+(?::\d+)?\)|Caused by:"
    r"|[A-Za-z_.]*(?:Error|Exception|Warning): "
    r"|[$>#] \S|>>> |\.\.\. |diff --git|@@ |[+-]{3} [ab]/"
    r")"
)
_CODE_LINE = re.compile(
    r"(?:def|class|import|from \w+ import|return|function|const|let|var|public|private|#include|SELECT|INSERT"
    r"|UPDATE \w+ SET)\b.*[({;:=]?"
)
_CODE_MARK = re.compile(r"[{};]$|=>|==|!=|\+=|&&|\|\||::|\w\(\w*\)|^[<{\[].*[>}\]],?$|^\w+ = ")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w.-]{1,255}")
_WORDS = re.compile(r"[^\W\d_]")

_QUESTION_END = re.compile(r"[?？][\"'”’」』)）\s]*$")
_QUESTION_WORD = re.compile(
    r"^(?:and |but |so |ok(?:ay)?,? |well,? |hey,? |also,? )?(?:what|who|whom|whose|which|where|when|why|how)"
    r"(?:'s|'re|'d| is| are| was| were| do| does| did| can| could| should| would| will| about| come| many| much"
    r"| long| often| to)\b",
    re.I,
)
_QUESTION_INVERTED = re.compile(
    r"^(?:do|does|did|can|could|would|will|should|is|are|was|were|have|has) "
    r"(?:you|it|there|this|that|i|we|he|she|they|the|my)\b",
    re.I,
)
_QUESTION_CHINESE = re.compile(
    r"(?:吗|呢|么)[。.！!~～]*$"
    r"|^(?:请问|为什么|怎么|如何|什么|哪里|哪个|谁|是否|能不能|可不可以|有没有|要不要|会不会|是不是)(?!.*[，,]我)"
    r"|(?<!知道)(?<!学会)(?<!明白)该(?:怎么|如何|从?哪[里儿个]?|去哪|找谁|用什么|选什么)"
)
_REQUEST_ENGLISH = re.compile(
    r"^(?:(?:and|but|so|then|now|also|ok(?:ay)?|hey|hi|hello)[,!]? )?(?:please|pls|kindly)\b"
    r"|^(?:(?:and|so|then|now|also|ok(?:ay)?)[,]? )?"
    r"(?:tell|give|show|recommend|suggest|explain|write|help|list|find|search|translate|summari[sz]e|describe|"
    r"make|create|generate|draft|fix|compare|check|look up|remind|send|book|let me know|let's|add|remove|delete|"
    r"ignore|forget|act as|pretend|repeat|continue|go on|try again|rewrite|calculate|convert) "
    r"(?!out\b)(?:me|us|a|an|the|some|my|this|that|it|all|for|to|with|in|about|another|more|what|how|\w+s\b|\d)"
    r"|^i(?:'d like| would like| want| need) you to\b|^i(?:'d like| would like| want| need) (?:some |your |more )?"
    r"(?:help|advice|suggestions?|recommendations?|ideas|tips)\b"
    r"|^(?:can|could|would|will) (?:you|we|i)\b",
    re.I,
)
_REQUEST_CHINESE = re.compile(
    r"^(?!.{1,14}(?:的时候|时|的话)[，,]我)(?:那|那么|然后|另外|再|也|可以|能|麻烦|拜托)*(?:请|帮我|帮忙|麻烦你|告诉我|给我|教我|推荐|建议一下|解释|翻译|总结|写一|列出|列举|介绍一下|说说|查一下|提醒我|忽略|忘记)"
    r"|^(?:你|您)(?:能|可以|可否|能否|会|觉得|认为|知道|帮)"
)
_REASON = re.compile(r"\b(?:because|since) (?:i|my|we|our)\b|因为我", re.I)
_REMINDER = re.compile(
    r"^(?:please |pls )?(?:remember|note|keep in mind|bear in mind|don['’]t forget),? (?:that )?(?:i|my|we|our|me)\b"
    r"|^(?:请|麻烦)?(?:你|帮我)?(?:记住|记得|记一下|注意)[，,：:]?(?:我|俺)",
    re.I,
)
# Courtesies, and nothing else, make a sentence small talk. Longer ones come first: a sentence is read once, from
# left to right, and never tried in other ways.
_PRAISE = (
    r"(?:great|cool|nice|awesome|amazing|good|helpful|right|true|interesting|wonderful|sweet|fantastic|lovely|fun|sad"
    r"|tough|inspiring|impressive|beautiful|exciting|incredible|terrific|brilliant|crazy|wild|rough|hard|kind)\b"
)
_VERY = r"(?:so |really |very |super |truly |pretty |such a )*+"
_COURTESIES = re.compile(
    r"(?:(?:hi|hey|hello|yo|thanks|thank you|wow|bye|sure thing|sure|yes|no way|no|yeah|yep|congrats|way to go"
    r"|(?:nice|great|good|well) (?:work|one|job|done)|keep it up|definitely|absolutely|agreed|of course)"
    r"[,!]? (?-i:[A-Z][a-z]+)\b"  # a name
    r"|good (?:morning|afternoon|evening|night|day|luck)"
    r"|(?:good|great|nice) (?:to (?:see|hear from|meet) you|to hear)"
    r"|(?:nice|great|good|well) (?:work|one|job|done|idea|point)|way to go|keep (?:it up|going)|stay (?:safe|strong)"
    r"|thank(?:s| you)(?: so much| a lot| very much)?|many thanks|thx|cheers"
    r"|goodbye|bye-bye|bye|see (?:you|ya)(?: later| soon| tomorrow| then)?|take care"
    r"|talk (?:to you )?(?:soon|later)"
    r"|of course|absolutely|definitely|totally agree|totally|agreed|exactly|indeed|got it|i see|no problem|no way"
    rf"|sure thing|you['’]re (?:so |very )?welcome|you['’]re {_VERY}{_PRAISE}|welcome|me too|same here|so do i"
    r"|(?:(?:that|it|this)(?:['’]s| is| was| sounds| looks| must (?:be|have been))|sounds|looks|how|so)"
    rf" {_VERY}{_PRAISE}"
    r"|wow,? (?:love|like) (?:that|this|the|your) \w+(?: \w+)?"
    r"|congrat(?:ulation)?s|have a (?:good|great|nice) \w+|glad (?:to hear (?:it|that)|i could help)"
    r"|i(?:['’]m| am) (?:fine|good|great|ok(?:ay)?|well)\b|(?:i )?can['’]t wait"
    r"|greetings|howdy|hello|hey|hi|yo|okay|ok|yeah|yes|yep|yup|nope|no|sure|right|great|cool|nice|awesome|wow"
    r"|perfect|lol|haha*|hmm*|oh|ah|there|everyone|all|again|too|and you|so much|then|man|dude|buddy|friend"
    r"|please|sorry"
    r"|to hear (?:it|that))\b"
    r"[\s,.!?;:~-]*+",
    re.I,
)
_COURTESIES_CHINESE = re.compile(
    r"(?:你好|您好|大家好|嗨|哈喽|早上好|早安|上午好|中午好|下午好|晚上好|晚安|早"
    r"|谢谢[你您]的[\u4e00-\u9fff]{1,4}|谢谢你|谢谢|多谢|非常感谢|太感谢了|感谢|不客气|再见|拜拜|回头见|明天见"
    r"|好的|好吧|好啊|好|不是|没有|没问题|没错|当然|是的|对的|是|对|行|可以|不错|不|嗯+|哦+|噢|啊|哈+"
    r"|明白了|明白|知道了|了解|收到|太好了|太棒了|真棒|很好|厉害|辛苦了|在吗|那?就这样|呀|呢|吧|了|啦|你|您|哇)"
    r"[\s，。,.!！?？~～、…]*+"
)


def statements(message: Message) -> list[str]:
    """The sentences of a user's message that are worth keeping, as they stand.

    Empty for every other role, and where there is nothing but questions, requests, courtesies or code.
    """
    if message.role != "user":
        return []
    return [s for s in sentences(prose(message.content)) if is_statement(s)]


def is_statement(sentence: str) -> bool:
    """Whether a sentence tells something: no question, request, courtesy, and more than a word or a link."""
    return not (
        is_question(sentence) or is_request(sentence) or is_small_talk(sentence) or _is_bare(sentence)
    )


def is_question(sentence: str, *, inverted: bool = True) -> bool:
    """inverted: whether "is the …" opens a question; not so in facts, which leave out their subject."""
    text = sentence.strip()
    if _QUESTION_END.search(text) or _QUESTION_CHINESE.search(text) or _QUESTION_WORD.search(text):
        return True
    return inverted and _QUESTION_INVERTED.search(text) is not None


def is_request(sentence: str) -> bool:
    """What asks for something to be done; "remember that I …" and "because I …" tell something."""
    text = sentence.strip()
    if _REMINDER.match(text) or _REASON.search(text):
        return False
    return bool(_REQUEST_ENGLISH.search(text) or _REQUEST_CHINESE.search(text))


def is_small_talk(sentence: str) -> bool:
    text = sentence.strip()
    return _all_of(_COURTESIES, text) or _all_of(_COURTESIES_CHINESE, text)


def _all_of(pattern: re.Pattern[str], text: str) -> bool:
    at = 0
    while at < len(text) and (match := pattern.match(text, at)):
        at = match.end()
    return 0 < at == len(text)


def prose(content: str) -> str:
    """The message without recalled memories, code blocks, quoted lines, logs and stack traces."""
    text = _FENCE.sub("\n", strip_recalled(content))
    return "\n".join(line for line in text.splitlines() if not _is_machine(line))


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order, without the white space around them."""
    return [s for line in text.splitlines() for s in _split(line)]


def _split(line: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(line):
        piece = line[start : end.end()]
        if _ABBREVIATION.search(piece):
            continue
        if piece.strip():
            yield _bare_item(piece)
        start = end.end()
    if line[start:].strip():
        yield _bare_item(line[start:])


def _bare_item(sentence: str) -> str:
    return re.sub(r"^\s*(?:[-*•·]|\d{1,2}[.)、])\s+", "", sentence).strip()


def _is_machine(line: str) -> bool:
    """Whether a line is code, quoted, or of a log or stack trace."""
    text = line.strip()
    if text.startswith(">") or _LOG_LINE.match(text):
        return True
    indented = line.startswith(("    ", "\t"))
    return _CODE_MARK.search(text) is not None and (indented or _CODE_LINE.match(text) is not None)


def _is_bare(sentence: str) -> bool:
    """Nothing is said: links, numbers, a single word, or code."""
    rest = _LINK.sub("", sentence)
    letters = _WORDS.findall(rest)
    if any(c > "\u2e7f" for c in letters):
        return len(letters) < 3
    return len(re.findall(r"[^\W_]+", rest)) < 2 or (
        _CODE_MARK.search(sentence) is not None and len(letters) * 2 < len(rest)
    )
