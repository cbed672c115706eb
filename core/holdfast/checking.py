"""Which of a model's candidate facts hold up, and in which words. Pure.

A candidate is tidied, put under the message whose words it shares, given its right speaker, and dropped
where no message supports it or where it tells nothing (questions, courtesies, orders).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .dates import mentioned, only_day, resolve, written
from .lexical import content_terms
from .prompts.extraction import EXAMPLE_MARKS
from .statements import is_question, is_request, is_small_talk, is_statement, sentences
from .types import Role, Scope
from .wording import is_han, spoken_by, tidy

# The share of a fact's content words that its message must hold. Low, as a fact may paraphrase ("is into
# photography" for "I take pictures all day"); what is made up shares none: `python bench/extraction.py … --sweep`.
SUPPORTED = 0.25
# Of a short fact: more of its words than that are no paraphrase but made up ("looks great on stage", "is a fashion
# designer"). On LoCoMo's conversation 30 that drops 16 of 373 facts, made up or garbled, and covers as much.
SHORT_SUPPORTED, SHORT_FACT = 0.4, 6
# Another message takes over only when it supports the fact by this much more than the one that was named.
CLEARLY_BETTER = 0.34
TOLD_HERE, TOLD_BEFORE = 0.67, 0.95  # shares of a fact's words

# From one message, facts that share this much of their words say one thing twice ("is keen on counseling",
# "is thinking of counseling"), unless they differ in a name, a number or a Chinese character.
SAME = 0.65

TAKEN = 0.3  # of a fact's words: what is less may be how two people speak of one thing
COPIED = 12  # characters; below, sentences are alike by chance
SHORT = 12  # content words of a message that may need the question before it to be understood
_ASKS = re.compile(r"[?？]|吗|呢[。\s]*$")
MOST_PER_MESSAGE = 12  # what goes beyond is a model that repeats itself

_CLAUSE = re.compile(r"[,;，；。！？]|[.!?](?=\s|$)|\b(?:and|but|so)\b")

# Remarks on the conversation, where its content was asked for: "Asked about the weather", "No facts".
_META = re.compile(
    r"^(?:[\w'-]+ ){0,2}(?:is |was |are )?(?:"
    r"(?:ask|inquir|wonder)(?:e?s|ed|ing)? (?:\w+ )?(?:about|if|whether|how|what|why|when|where|who|which|assistant"
    r"|for (?:advice|help|tips|ideas|suggestions|recommendations|information|more))\b"
    r"|agree(?:s|d)? with |(?:is )?(?:talking|chatting) (?:to|with) "
    r"|request(?:s|ed|ing)? |greet(?:s|ed|ing) |thank(?:s|ed|ing) |compliment(?:s|ed|ing) |congratulat(?:es|ed|ing) "
    r"|wants? to know |sa(?:ys|id) (?:hi|hello|goodbye|thanks))"
    r"|^(?:no|none|nothing|n/a)(?:\b.{0,30}\b(?:facts?|remember|information))?[.!]?$"
    r"|^.{0,6}(?:询问|请求|问候|打招呼|感谢|祝贺|想知道|没有值得|无$)",
    re.I,
)
YOU = re.compile(r"\byou(?:r|rs|['’]\w+)?\b|[你您]", re.I)
_I = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our|ours)\b|[我咱俺]", re.I)
_IDS = re.compile(r"\b(?:user|agent|run|session)[ _-]?id\b|(?:用户|会话)ID", re.I)


@dataclass(frozen=True, slots=True)
class Line:
    """A message as the model saw it: on one line, numbered, its dates absolute."""

    number: int
    position: int
    name: str | None
    role: Role
    text: str
    said: datetime | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fact as the model gave it; `sources` (positions in the window) once its message is known."""

    text: str
    number: int
    speaker: str
    sources: tuple[int, ...] = ()


def checked(
    candidates: Sequence[Candidate],
    lines: Sequence[Line],
    *,
    said_before: Sequence[str] = (),
    told_before: Sequence[Line] = (),
    scope: Scope,
    chinese: bool,
) -> list[Candidate]:
    """The candidates that hold up, in the order of the conversation, none twice.

    said_before: the earlier messages that were shown; they may explain a fact but not be its only support.
    told_before: all of the context; what another speaker told there is no fact of this one, and what it tells again
        of there is none of the new messages.
    """
    evidence = _Evidence(lines, said_before)
    found: list[Candidate] = []
    for candidate in _whole(candidates[: MOST_PER_MESSAGE * len(lines)], lines):
        line = evidence.line_of(candidate)
        if line is None or _forbidden(candidate.text, line, scope, evidence):
            continue
        if is_told_again(candidate.text, line, told_before):
            continue
        if line.role == "user":
            candidate = replace(candidate, text=_unbent(candidate.text, line))
            if not candidate.text or tells_nothing(candidate.text):
                continue
        if _is_anothers(candidate.text, line, [*told_before, *lines]):
            continue
        moved = line.number != candidate.number
        text = spoken_by(candidate.text, line, lines, moved=moved, chinese=chinese)
        if text is None or tells_nothing(text) or _of_the_listener(text, line, lines):
            continue
        if _puts_on_the_listener(text, line, lines):
            continue
        text = _without_you(text, line, [*told_before, *lines])
        found.append(replace(candidate, text=_dated(text, line), sources=(line.position,)))
    return folded(sorted(found, key=lambda c: c.sources))


def _whole(candidates: Iterable[Candidate], lines: Sequence[Line]) -> Iterator[Candidate]:
    """Candidates on one line; where sentences of a message were copied in a row, each by itself."""
    said = [_plain(line.text) for line in lines]
    for candidate in candidates:
        text = tidy(candidate.text)
        parts = sentences(text)
        if len(parts) > 1 and any(_is_copied(part, said) for part in parts):
            yield from (replace(candidate, text=tidy(part)) for part in parts if is_statement(part))
        elif text:
            yield replace(candidate, text=text)


def _is_copied(sentence: str, said: Sequence[str]) -> bool:
    plain = _plain(sentence)
    return len(plain) >= COPIED and any(plain in other for other in said)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


# What small models like to claim, and what the message must hold for it to be true.
_CLAIMS = (
    (
        re.compile(r"\b(?:recommend|suggest|advis|propos)\w*|推荐|建议", re.I),
        re.compile(
            r"\b(?:recommend|suggest|advis|advice|propos|should|could|try|tips?|must|check out|ought|let['’]s"
            r"|(?:how|what) about|why (?:not|don)|you (?:might|may|need|can|have to))"
            r"|推荐|建议|试试|应该|不妨|可以|最好",
            re.I,
        ),
    ),
    (
        re.compile(r"\bused to (?!it\b|the\b)", re.I),
        re.compile(
            r"\b(?:used to|any ?more|no longer|formerly|back (?:in|when)|when i was|in the past|once|ago)\b",
            re.I,
        ),
    ),
    (
        re.compile(r"\b(?:years?|months?)[ -]old\b", re.I),
        re.compile(r"\b(?:old|aged?|turn\w*|birthday|born|i['’]m \d+|i am \d+)\b", re.I),
    ),
    (
        re.compile(r"\b(?:sister|brother)s?\b", re.I),
        re.compile(r"\b(?:sister|brother|sibling|sis|bro)", re.I),
    ),
)


def _unbent(text: str, line: Line) -> str:
    """The fact; where it claims what its message does not ("used to check", "recommended", "is 5 years old"), the
    sentence of the speaker's own that it was made from, or nothing."""
    claimed = any(claim.search(text) and not needed.search(line.text) for claim, needed in _CLAIMS)
    if not claimed and not _affirms_what_is_denied(text, line):
        return text
    said = _closest(text, [s for s in sentences(line.text) if is_own(s) and is_statement(s)])
    return tidy(said) if len(_words(said) & _words(text)) >= 2 else ""


def _affirms_what_is_denied(text: str, line: Line) -> bool:
    """Whether a fact says of something that it is so, of which its message only says that it is not."""
    if _TURNED.search(text):
        return False
    denied = frozenset(word for match in _DENIED.findall(line.text) for word in _words(" ".join(match)))
    return bool(_words(text) & denied - _words(_DENIED.sub(" ", line.text)))


# "It is almonds, not peanuts": what is not, or no longer, so; and words that tell it.
_DENIED = re.compile(
    r"\b(?:not(?! only\b| just\b)|no longer|instead of|rather than)\s+(.+?)(?=[,.;:!?]|\s+(?:but|and|that)\b|$)"
    r"|(?:而?不是|并非)(.{1,12}?)(?=[，,。；;！!？?]|而?是|$)",
    re.I,
)
_TURNED = re.compile(
    r"\b(?:not|no|never|without|cannot|stopped|quit|gave up|instead|rather|former|used to|from|left|sold)\b|n['’]t\b"
    r"|[不没无别未非戒停改换从]",
    re.I,
)


def _without_you(text: str, line: Line, shown: Sequence[Line]) -> str:
    """With the listener's name for "you", where there is one listener: "is proud of Melanie"."""
    names = {other.name for other in shown if other.name and other.name != line.name}
    if line.name is None or len(names) != 1 or not YOU.search(text) or is_han(text):
        return text
    (name,) = names
    for pattern, words in _YOU_FORMS:
        text = pattern.sub(f"{name}{words}", text)
    return text


_YOU_FORMS = tuple(
    (re.compile(rf"\b{form}\b", re.I), words)
    for form, words in (
        (r"you['’]re|you are", " is"),
        (r"you['’]ve|you have", " has"),
        (r"you['’]ll", " will"),
        (r"you['’]d", " would"),
        (r"yours|your", "'s"),
        (r"yourself|you", ""),
    )
)


def _dated(text: str, line: Line) -> str:
    """With absolute dates; the date of the clause that the fact was taken from, where it was left out."""
    if line.said is None:
        return text
    text = resolve(text, line.said)
    if mentioned(text, line.said):
        return text
    clause = _closest(text, _CLAUSE.split(line.text))
    day = only_day(clause, line.said)
    if day is None:
        return text
    told = written(day, chinese=is_han(text))
    return f"{text}（{told}）" if is_han(text) else f"{text} ({told})"


def _closest(text: str, parts: Sequence[str]) -> str:
    """The part that shares the most of its words with `text`."""
    words = _words(text)
    return max(parts, key=lambda part: len(words & _words(part)), default="")


def _is_anothers(text: str, line: Line, shown: Sequence[Line]) -> bool:
    """Whether the words that the message lacks are what another speaker told: "lost her job as a banker" after
    "I lost my job as a banker" and "me too, at the bakery". Questions may lend their words to the answer."""
    names = {name for other in shown if other.name for name in _words(other.name)}
    words = _words(text) - names
    own = {word for other in shown if _same_speaker(other, line) for word in _words(other.text)}
    others = {word for other in shown if not _same_speaker(other, line) for word in _told(other)}
    taken = (words - own) & others
    return len(taken) >= 2 and len(taken) >= TAKEN * len(words)


def _same_speaker(one: Line, other: Line) -> bool:
    return (one.role, one.name) == (other.role, other.name)


def _told(line: Line) -> frozenset[str]:
    return _words(" ".join(s for s in sentences(line.text) if not _ASKS.search(s)))


def _of_the_listener(text: str, line: Line, lines: Sequence[Line]) -> bool:
    """ "So cool you found a group" tells nothing of its speaker; a fact that says so has the wrong person."""
    if line.role == "assistant":
        return False
    words = _words(text)
    of_listener = of_others = -1
    for sentence in sentences(line.text):
        shared = len(words & _words(sentence))
        if YOU.search(sentence) and not is_own(sentence):
            of_listener = max(of_listener, shared)
        else:
            of_others = max(of_others, shared + is_own(sentence))
    if of_listener < of_others or of_listener < 1:
        return False
    named = [other.name for other in lines if other.name and other.name != line.name]
    return not any(other in text for other in named)


def _puts_on_the_listener(text: str, line: Line, lines: Sequence[Line]) -> bool:
    """ "Hey Bo, I closed my account" tells nothing that Bo did: "Bo heard that Mel closed his account"."""
    named = {other.name for other in lines if other.name and other.name != line.name}
    other = next((name for name in named if text.startswith(name)), None)
    if other is None or line.role == "assistant":
        return False
    calling = re.compile(
        rf"(?:\b\w+,? )?\b{re.escape(other)}\b\s*[,.!?:;，。！？]|,\s*{re.escape(other)}\b", re.I
    )
    said = _closest(text, [calling.sub(" ", sentence) for sentence in sentences(line.text)])
    return is_own(said) and not YOU.search(said) and other.casefold() not in said.casefold()


def foreign(candidates: Sequence[Candidate], lines: Sequence[Line]) -> bool:
    """Whether facts of Chinese messages are mostly written in another script."""
    texts = [c.text for c in candidates if c.text.strip()]
    numbers = {line.number: is_han(line.text) for line in lines}
    wrong = [c for c in candidates if c.text.strip() and not is_han(c.text) and numbers.get(c.number, True)]
    return 2 * len(wrong) > len(texts) > 0


def tells_nothing(text: str) -> bool:
    """Questions, orders, courtesies, and remarks on the conversation itself ("asked about the weather")."""
    return (
        is_question(text, inverted=False)
        or is_request(text)
        or is_small_talk(text)
        or bool(_META.search(text))
    )


def is_own(sentence: str) -> bool:
    """Whether a sentence speaks of its speaker, by a pronoun."""
    return _I.search(sentence) is not None


def folded(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Without repeats: the same words, or, from one message, words that another fact holds all of."""
    kept: list[Candidate] = []
    for candidate in candidates:
        twin = next((at for at, other in enumerate(kept) if _repeats(candidate, other)), None)
        if twin is None:
            kept.append(candidate)
            continue
        other = kept[twin]
        text = max(other.text, candidate.text, key=len) if other.sources == candidate.sources else other.text
        kept[twin] = replace(other, text=text, sources=tuple(sorted({*other.sources, *candidate.sources})))
    return kept


def _repeats(one: Candidate, other: Candidate) -> bool:
    a, b = _words(one.text), _words(other.text)
    if a == b:
        return _negations(one.text) == _negations(other.text)
    if one.sources != other.sources or not a or not b or _negations(one.text) != _negations(other.text):
        return False
    return a <= b or b <= a or (len(a & b) >= SAME * len(a | b) and not _particular(one.text, other.text))


def _particular(one: str, other: str) -> bool:
    """Whether two texts differ in a name or number, and so tell of two things."""
    a, b = (set(re.findall(r"\b[A-Z]\w*|\d+|[\u4e00-\u9fff]", text[1:])) for text in (one, other))
    return a != b


_NEGATION = re.compile(r"\b(?:not|no|never|without|cannot|stopped|quit|none)\b|n['’]t\b|[不没无别未]", re.I)


def _negations(text: str) -> int:
    return len(_NEGATION.findall(text))


def _words(text: str) -> frozenset[str]:
    return frozenset(content_terms(text))


def is_told_again(text: str, line: Line, told_before: Sequence[Line]) -> bool:
    """Whether a fact says what its speaker said earlier, and its own message at most in part: "The standup is on
    Mondays and Thursdays in room 4" of "No more standup on Thursdays". A "yes" takes its words from another's."""
    words = _words(text) - _words(line.name or "")
    if not words or len(words & _words(line.text)) >= TOLD_HERE * len(words):
        return False
    own = (earlier for earlier in told_before if (earlier.role, earlier.name) == (line.role, line.name))
    return any(len(words & _words(earlier.text)) >= TOLD_BEFORE * len(words) for earlier in own)


class _Evidence:
    """The content words of the messages, and how many of a fact's they hold."""

    def __init__(self, lines: Sequence[Line], said_before: Sequence[str]) -> None:
        self._telling = {line.number: line for line in lines if line.number}
        self._names = _words(" ".join(line.name or "" for line in lines)) | _words("user assistant 用户 助手")
        self._of: dict[int, frozenset[str]] = {}
        self._before: dict[int, frozenset[str]] = {}  # of the question that it answers
        before = said_before[-1] if said_before else ""
        for line in lines:
            if line.number:
                self._of[line.number] = _words(line.text)
                self._before[line.number] = _words(before) if _ASKS.search(before) else frozenset()
            before = line.text
        self._everything = " ".join([line.text for line in lines] + list(said_before)).casefold()

    def line_of(self, candidate: Candidate) -> Line | None:
        """The message that the fact came from: the named one, unless another clearly supports it better."""
        words = _words(candidate.text) - self._names
        named = self._telling.get(candidate.number)
        if len(self._telling) == 1:
            named = next(iter(self._telling.values()))
        if not words or (named is not None and is_han(named.text) != is_han(candidate.text)):
            return named  # no words to compare, or none of one language
        shares = {number: len(words & of) / len(words) for number, of in self._of.items()}
        best = max(shares, key=lambda number: shares[number])
        if named is None or shares[best] >= shares[named.number] + CLEARLY_BETTER:
            named = self._telling[best]
        short = len(words) <= SHORT_FACT and not is_han(candidate.text)
        if shares[named.number] >= (SHORT_SUPPORTED if short else SUPPORTED) or self._explained(
            named.number, words
        ):
            return named
        return None

    def _explained(self, number: int, words: frozenset[str]) -> bool:
        """Short answers ("Yes, two of them") take their words from the question."""
        of = self._of[number]
        return len(of) <= SHORT and len(words & (of | self._before[number])) >= 2 * SUPPORTED * len(words)

    def holds(self, text: str) -> bool:
        return text.casefold() in self._everything


def _forbidden(text: str, line: Line, scope: Scope, evidence: _Evidence) -> bool:
    """The given ids, which are no facts, and the instructions' own examples."""
    if _IDS.search(text) and not _IDS.search(line.text):
        return True
    marks: Sequence[str] = (*EXAMPLE_MARKS, *(value for value in scope.ids().values() if len(value) > 2))
    return any(_names(text, mark) and not evidence.holds(mark) and mark != line.name for mark in marks)


def _names(text: str, mark: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(mark)}(?!\w)", text, re.I) is not None or (
        is_han(mark) and mark in text
    )
