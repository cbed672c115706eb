"""Facts in one style: short, third person, beginning with the speaker's name, or for an unnamed user the verb.

Small models slip into "I like", "User likes" or the wrong name; what can be put right in code is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .statements import is_small_talk

if TYPE_CHECKING:
    from .checking import Line

_QUOTES = "\"'“”‘’「」『』`"
_HAN = re.compile(r"[\u3400-\u9fff]")

# "User likes tea", "The user's dog", 用户喜欢茶
_USER = re.compile(
    r"^(?:(?:the |this )?(?:user|speaker)|(?:the|this) (?:person|human))(?P<own>'s|’s)?(?![\w])\s*", re.I
)
_USER_CHINESE = re.compile(r"^(?:该|这位)?(?:用户|说话人|使用者)(?P<own>的)?")
_ASSISTANT = re.compile(r"^(?:the )?(?:assistant|ai|chatbot|bot)\b\s*", re.I)
_ASSISTANT_CHINESE = re.compile(r"^(?:该|这个)?(?:助手|助理|AI)")

_VERBS = {
    "am": "is", "'m": "is", "are": "is", "'re": "is", "have": "has", "'ve": "has", "was": "was", "were": "was",
    "do": "does",
    "go": "goes", "will": "will", "'ll": "will", "would": "would", "'d": "would", "can": "can", "could": "could",
    "should": "should", "might": "might", "may": "may", "must": "must", "don't": "doesn't", "haven't": "hasn't",
    "can't": "can't", "cannot": "cannot", "couldn't": "couldn't", "won't": "won't", "wouldn't": "wouldn't",
    "didn't": "didn't", "wasn't": "wasn't", "hadn't": "hadn't", "had": "had", "used": "used",
}  # fmt: skip
_ADVERB = (
    r"(?:(?:also|really|just|always|never|often|usually|sometimes|still|already|recently|finally|currently|only|even"
    r"|actually|definitely|absolutely|totally|mostly|now|truly|both) )*"
)
_FIRST = re.compile(
    r"^(?:and |so |but |well,? |also,? |yes,? |no,? )?(?:i|we)(?=\b|['’])(?P<short>['’](?:m|re|ve|ll|d))? ?"
    rf"(?P<adverb>{_ADVERB})(?P<verb>[\w'’]+)?",
    re.I,
)
_PAST_FORMS = """
    was were had did went got made took came saw knew thought found gave told felt became left put brought began
    kept held wrote stood heard let meant set met ran paid sat spoke lay led read grew lost fell sent built
    understood drew broke spent cut rose drove bought wore chose ate drank sang swam slept won taught caught fought
    sold hit quit hurt"""
_PAST = frozenset(_PAST_FORMS.split())
# "Gonna continue my studies", but not "Painting helps me relax", whose gerund is the subject
_ELLIPTIC = re.compile(
    r"^(?:just |still |also )?"
    r"(?P<verb>gonna|been|(?:go|try|think|look|plan|hop|work|feel|learn|start|get|enjoy)\w*ing)\b"
    r"(?!\s+(?:is|are|was|were|has|helps?|makes?|gives?|can|will)\b)",
    re.I,
)


def is_han(text: str) -> bool:
    """Whether Chinese characters outweigh the words of other scripts."""
    han = len(_HAN.findall(text))
    return han > 0 and han >= len(re.findall(r"[A-Za-z]{2,}", text))


# "Oh, I've been to Paris", "Yeah, definitely! I moved"
_INTERJECTION = re.compile(
    r"^(?:(?:oh|ah|wow|whoa|woah|yeah|yep|yes|yup|no|nope|well|hey|hi|man|gosh|haha|anyway|actually|honestly|btw"
    r"|by the way|thanks|thank you|sure|totally|definitely|absolutely|okay|ok|plus)\b(?: [A-Z]\w+)?[,!.…]+ ?)+(?=\S)",
    re.I,
)


def tidy(text: str) -> str:
    """One line, without list marks, quotes around all of it, a leading "Oh,", or a final full stop."""
    line = re.sub(r"\s+", " ", text).strip()
    line = re.sub(r"^(?:[-*•·]|\d{1,2}[.)、]|\[\d+\]) +", "", line)
    if len(line) > 1 and line[0] in _QUOTES and line[-1] in _QUOTES:
        line = line[1:-1].strip()
    line = _INTERJECTION.sub("", line)
    if re.search(r"[.!?。！？]\s*\S", line) is None:
        line = re.sub(r"(?<!\.)[.。!！]+$", "", line)
    return line


def without_subject(text: str) -> str:
    """ "User likes pizza" and "I like pizza" as "Likes pizza"; 用户喜欢披萨 as 喜欢披萨."""
    for pattern in (_USER, _USER_CHINESE):
        if match := pattern.match(text):
            return _capital(text[match.end() :])
    return _capital(third_person(text))


def spoken_by(text: str, line: Line, lines: Sequence[Line], *, moved: bool, chinese: bool) -> str | None:
    """`text` as a fact that the speaker of `line` told; None where it puts words in another's mouth.

    moved: the model ascribed the fact to another message, so the name it wrote is not to be trusted.
    """
    if line.role == "assistant" and line.name is None:
        return _of_assistant(text, chinese=chinese)
    if _begins_with_assistant(text) or re.match(r"you\b|[你您]", text, re.I):
        return None  # the assistant's promise on the word of somebody else; what was said of the listener
    if line.name is None:
        return without_subject(text) or None
    return _named(text, line, lines, moved=moved)


def third_person(text: str, subject: str = "") -> str:
    """A sentence in the first person told of `subject`, or of nobody: "I'm vegan" as "Is vegan"."""
    if text.startswith(("我", "俺")):
        return _third_chinese(text, subject)
    if (day_first := _DAY_FIRST.match(text)) and day_first[1]:
        return subject + day_first[1] + text[day_first.end() :]
    if match := re.match(r"(?:and |so |but )?(?:my|our) ", text, re.I):
        rest = text[match.end() :]
        return _pronouns(f"{subject}'s {rest}" if subject else _capital(rest))
    if match := _FIRST.match(text):
        rest = text[match.end() :]
        return _pronouns(_joined(subject, f"{_conjugated(match)}{rest}"))
    if match := _ELLIPTIC.match(text):
        verb = "has been" if match["verb"].lower() == "been" else f"is {match['verb'].lower()}"
        verb = verb.replace("gonna", "going to")
        return _pronouns(_joined(subject, f"{verb}{text[match.end() :]}"))
    return _pronouns(text)


def _conjugated(match: re.Match[str]) -> str:
    """The verb, and the adverb before it, in the third person: "'ve always hated" as "has always hated"."""
    short, adverb, verb = (
        (match["short"] or "").replace("’", "'").lower(),
        match["adverb"],
        match["verb"] or "",
    )
    if short:
        return f"{_VERBS[short]} {adverb}{verb}".strip()
    low = verb.replace("’", "'").lower()
    if low in _VERBS:
        return adverb + _VERBS[low]
    if low in _PAST or low.endswith("ed") or not low:
        return adverb + verb
    return adverb + _third(low)


def _third(verb: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def _pronouns(text: str) -> str:
    """A sentence without the words for oneself; "they" fits every speaker."""
    if not _SELF.search(text):
        return text
    for pattern, word in _OTHER_PERSON:
        text = pattern.sub(word, text)
    return text


_SELF = re.compile(r"(?<![\w-])(?:I|my|mine|myself|me|we|our|ours|ourselves)(?![\w-])", re.I)
_OTHER_PERSON = tuple(
    (re.compile(rf"(?<![\w-]){pattern}(?!-)", re.I if pattern[0] in "mow" else 0), word)  # but "me-time"
    for pattern, word in (
        (r"my\b", "their"),
        (r"mine\b", "theirs"),
        (r"myself\b", "themselves"),
        (r"me\b", "them"),
        (r"ours\b", "theirs"),
        (r"our\b", "their"),
        (r"ourselves\b", "themselves"),
        (r"we\b", "they"),
        (r"I(?:['’]m| am)\b", "they are"),
        (r"I['’]ve\b", "they have"),
        (r"I was\b", "they were"),
        (r"I\b", "they"),
    )
)


# "3月11日我终于拿到驾照了": the subject stands behind the day
_DAY_FIRST = re.compile(
    r"^((?:\d{4}年)?(?:\d{1,2}月)?(?:\d{1,2}日)?(?:上午|下午|早上|中午|晚上)?(?:那周|周末)?[，,]?)(?:我们|我|俺)(?!的)"
)


def _third_chinese(text: str, subject: str) -> str:
    rest = re.sub(r"^(?:我们|我|俺)的?", "", text)
    rest = re.sub(r"我(?!们)", "自己", rest)
    possessive = re.match(r"^(?:我|俺)的", text)
    return f"{subject}{'的' if possessive and subject else ''}{rest}"


def _joined(subject: str, rest: str) -> str:
    return f"{subject} {rest}" if subject else _capital(rest)


def _capital(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:]


# --- assistants -------------------------------------------------------------------------------------------


def _begins_with_assistant(text: str) -> bool:
    return bool(_ASSISTANT.match(text) or _ASSISTANT_CHINESE.match(text))


# A name, a number or the listener: what an assistant said without any of them is general knowledge.
_PARTICULAR = re.compile(r"\d|\b[A-Z]|\b(?:you|your|yours|user)\b")


def _of_assistant(text: str, *, chinese: bool) -> str | None:
    if _begins_with_assistant(text):
        return _capital(text)
    if _USER.match(text) or _USER_CHINESE.match(text):
        return None  # what an assistant says of the user is no evidence for it
    if chinese:
        verb = re.match(
            r"^(?:已|已经|曾|会|将)?(?:推荐|建议|答应|同意|承诺|提醒|提供|介绍|说|提到|解释|计划|认为|帮)",
            text,
        )
        return f"助手{text}" if verb else f"助手说：{text}"
    if text.startswith(("I ", "I'", "I’")):
        return third_person(text, "Assistant")
    first = text.split(" ", 1)[0].lower()
    if re.fullmatch(
        r"(?:recommend|suggest|promis|agre|offer|advis|propos|explain|mention|said|say|warn|remind|provid|note|will"
        r"|is|has)\w{0,4}|plan(?:s|ned)?",
        first,
    ):
        return f"Assistant {text[:1].lower()}{text[1:]}"
    return f"Assistant said: {text}" if _PARTICULAR.search(text[1:]) else None


# --- named speakers ---------------------------------------------------------------------------------------

_PRONOUN = re.compile(r"^(?P<pronoun>he|she|they)(?P<short>['’](?:s|re|ve|ll|d))?(?= |$)", re.I)
_OTHERS_SHORT = {"": "", "'s": "'s", "'re": " is", "'ve": " has", "'ll": " will", "'d": " would"}
_POSSESSIVE = re.compile(r"^(?:his|her|their)(?= )", re.I)
_VERB_FIRST = re.compile(
    r"^(?:is|was|has|had|does|did|will|would|can|could|should|might|plans|isn't|wasn't|hasn't|doesn't|didn't|won't|can't|"
    r"went|got|made|took|came|saw|found|gave|felt|became|left|began|kept|wrote|met|ran|grew|lost|bought|read|won|taught|"
    r"also|recently|currently|really|never|always|often|usually|[a-z]{2,}(?:s|ed))$",
    re.I,
)


# Words that are no names, however they are written
_OPENER = re.compile(
    r"(?:The|An?|This|That|These|Those|It|There|Some|They|He|She)(?:['’]\w+)?|[A-Z][a-z]+ing"
)


def _named(text: str, line: Line, lines: Sequence[Line], *, moved: bool) -> str | None:
    name = line.name or ""
    if match := _USER.match(text) or _USER_CHINESE.match(text):
        return f"{name}{match['own'] or ''}{'' if is_han(text) else ' '}{text[match.end() :]}"
    others = [other.name for other in lines if other.name and other.name != name]
    other = next((o for o in others if text.lower().startswith(o.lower())), None)
    if other is not None and re.match(r"[,.!?;:，。！？]", text[len(other) :]):  # spoken to: "Bo, I moved"
        text, other = _capital(text[len(other) :].lstrip(",.!?;:，。！？ ")), None
        if not text or is_small_talk(text):
            return None
    if other is not None and (moved or not _addresses(line.text, other)):
        rest = text[len(other) :]
        return None if _speaks_of(name, rest) else name + rest  # "Mel praises Bo" is not Bo's
    text = third_person(text, name)
    first = text.split(" ", 1)[0]
    begins_with_verb = _VERB_FIRST.match(first) is not None and first not in ("This", "His", "Its")
    if _speaks_of(name, text) and not begins_with_verb:
        return text
    if _speaks_of(name, text) and moved:
        return None  # "agrees with Caroline" is not Caroline's
    if match := _POSSESSIVE.match(text):
        return f"{name}'s{text[match.end() :]}"
    if match := _PRONOUN.match(text):
        if _tells_of_others(match["pronoun"], text, line):
            return _said(name, text, line)
        verb = _OTHERS_SHORT[(match["short"] or "").replace("’", "'").lower()]
        return f"{name}{verb}{text[match.end() :]}"
    if is_han(text):
        return f"{name}说{text}" if other else name + re.sub("^[他她](?!们)", "", text)
    if other is None and begins_with_verb:
        return f"{name} {text[:1].lower()}{text[1:]}"
    return _said(name, text, line)


def _said(name: str, text: str, line: Line) -> str | None:
    """What a speaker said of something else: `name`'s own where it was "my …"; None for what tells nothing alone."""
    first = text.split(" ", 1)[0]
    opening = re.escape(" ".join(text.split(" ")[:2]))
    if re.search(rf"\b(?:my|our) {opening}\b", line.text, re.I):
        return f"{name}'s {text[:1].lower()}{text[1:]}"
    if _EMPTY.search(text) or _urges(text, line.text):
        return None
    capitalised = first not in line.text and first.lower() in line.text
    if capitalised or _OPENER.fullmatch(first):
        text = text[:1].lower() + text[1:]
    return f"{name} says {text}"


# Reactions that nobody can make sense of by themselves: "sounds great", "it was so cool", "glad to be part of it".
_EMPTY = re.compile(
    r"^\[|\b(?:sounds?|looks?|seems?) (?:\w+ ){0,2}?(?:great|good|nice|cool|awesome|amazing|fun|lovely|wonderful|"
    r"beautiful|fantastic|gorgeous|perfect|incredible|interesting)$"
    r"|^(?:it|that|this|they|those|these)(?:['’]\w+| is| was| are| were)(?: \w+){1,2}$"
    r"|^(?:(?:so|really|very) )?(?:glad|happy|nice|good|great) to\b.{0,20}$"
    r"|^(?:(?:and|but|so|sure),? )*(?:check out|look at|take a look)\b",
    re.I,
)


_URGING = re.compile(
    r"^(?:(?:and|but|so|just|oh|please),? )*(?P<verb>don['’]t|do not|let['’]s|keep|stay|have|chase|come|go|try|take|"
    r"make|remember|believe|enjoy|be|never|always|focus|follow|push|trust|hold|hang|think|give|find|look|let)\b",
    re.I,
)


def _urges(text: str, said: str) -> bool:
    """Whether it is what the listener was told to do: "Keep going!", "Have faith in yourself"."""
    found = _URGING.match(text)
    return found is not None and bool(
        re.search(rf"(?:^|[.!?,;-]\s+|\b(?:and|but|so|just)\s+){re.escape(found['verb'])}\b", said, re.I)
    )


def _tells_of_others(pronoun: str, text: str, line: Line) -> bool:
    """Whether the message, too, says "they …": then they are not its speaker."""
    return re.search(rf"\b{pronoun}{re.escape(text[len(pronoun) :][:12])}", line.text, re.I) is not None


def _speaks_of(name: str, text: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(name)}", text, re.I) is not None


def _addresses(text: str, other: str) -> bool:
    """Whether a message speaks to or of somebody."""
    return re.search(r"\byou(?:r|['’]\w+)?\b|[你您]", text, re.I) is not None or _speaks_of(other[:3], text)
