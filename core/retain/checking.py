"""Which of a model's candidate facts hold up, and in which words. Pure.

A candidate is tidied, put under the message whose words it shares, given its right speaker, and dropped
where no message supports it or where it tells nothing (questions, courtesies, orders).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .dates import resolve
from .lexical import content_terms
from .prompts.extraction import EXAMPLE_MARKS
from .statements import is_question, is_request, is_small_talk
from .types import Role, Scope
from .wording import is_han, spoken_by, tidy

# The share of a fact's content words that its message must hold. Low, as a fact may paraphrase ("is into
# photography" for "I take pictures all day"); what is made up shares none: `python bench/extraction.py`.
SUPPORTED = 0.25
# Another message takes over only when it supports the fact by this much more than the one that was named.
CLEARLY_BETTER = 0.34

MOST_PER_MESSAGE = 12

_META = re.compile(
    r"^(?:the |an? )?(?:[\w'-]+ )?(?:(?:is|was) )?(?:ask(?:s|ed|ing)|wonder(?:s|ed|ing)|greet(?:s|ed|ing)|thank(?:s|ed|ing)|"
    r"request(?:s|ed|ing)|inquir(?:es|ed|ing)|compliment(?:s|ed|ing)|congratulat(?:es|ed|ing)|"
    r"want(?:s|ed) to know|says? (?:hi|hello|goodbye|thanks)|said (?:hi|hello|goodbye|thanks))\b"
    r"|^(?:no|none|nothing|n/a)\b.{0,30}(?:facts?|remember|information)?$"
    r"|^.{0,6}(?:询问|请求|问候|打招呼|感谢|祝贺|想知道|没有值得|无$)",
    re.I,
)
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
    scope: Scope,
    chinese: bool,
) -> list[Candidate]:
    """The candidates that hold up, in the order of the conversation, none twice.

    said_before: the earlier messages that were shown; they may explain a fact but not be its only support.
    """
    evidence = _Evidence(lines, said_before)
    found: list[Candidate] = []
    for candidate in candidates[: MOST_PER_MESSAGE * len(lines)]:
        text = tidy(candidate.text)
        if not text or tells_nothing(text):
            continue
        line = evidence.line_of(replace(candidate, text=text))
        if line is None or _forbidden(text, line, scope, evidence):
            continue
        words = spoken_by(text, line, lines, chinese=chinese)
        if words is None or tells_nothing(words):
            continue
        if line.said is not None:
            words = resolve(words, line.said)
        found.append(replace(candidate, text=words, sources=(line.position,)))
    return folded(sorted(found, key=lambda c: c.sources))


def foreign(candidates: Sequence[Candidate], lines: Sequence[Line]) -> bool:
    """Whether facts of Chinese messages are mostly written in another script."""
    texts = [c.text for c in candidates if c.text.strip()]
    numbers = {line.number: is_han(line.text) for line in lines}
    wrong = [c for c in candidates if c.text.strip() and not is_han(c.text) and numbers.get(c.number, True)]
    return 2 * len(wrong) > len(texts) > 0


def tells_nothing(text: str) -> bool:
    """Questions, orders, courtesies, and remarks on the conversation itself ("asked about the weather")."""
    return is_question(text) or is_request(text) or is_small_talk(text) or bool(_META.search(text))


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
    subset = bool(a) and bool(b) and (a <= b or b <= a)
    return subset and one.sources == other.sources and _negations(one.text) == _negations(other.text)


_NEGATION = re.compile(r"\b(?:not|no|never|without|cannot|stopped|quit|none)\b|n['’]t\b|[不没无别未]", re.I)


def _negations(text: str) -> int:
    return len(_NEGATION.findall(text))


def _words(text: str) -> frozenset[str]:
    return frozenset(content_terms(text))


class _Evidence:
    """The content words of the messages, and how many of a fact's they hold."""

    def __init__(self, lines: Sequence[Line], said_before: Sequence[str]) -> None:
        self.lines = lines
        self._by_number = {line.number: line for line in lines}
        self._names = _words(" ".join(line.name or "" for line in lines)) | _words("user assistant 用户 助手")
        self._of = {line.number: _words(line.text) for line in lines}
        self._before = _words(" ".join(said_before))
        self.everything = " ".join([line.text for line in lines] + list(said_before)).casefold()

    def line_of(self, candidate: Candidate) -> Line | None:
        """The message that the fact came from: the named one, unless another clearly supports it better."""
        words = _words(candidate.text) - self._names
        named = self._by_number.get(candidate.number)
        if len(self.lines) == 1:
            named = self.lines[0]
        if not words:
            return named
        if named is not None and is_han(named.text) != is_han(candidate.text):
            return named  # no words to compare across languages
        shares = {line.number: len(words & self._of[line.number]) / len(words) for line in self.lines}
        best = max(self.lines, key=lambda line: shares[line.number])
        if named is None or shares[best.number] >= shares[named.number] + CLEARLY_BETTER:
            named = best
        if shares[named.number] >= SUPPORTED or self._explained(named, words):
            return named
        return None

    def _explained(self, line: Line, words: frozenset[str]) -> bool:
        """Short answers ("Yes, two of them") take their words from what was said before."""
        previous = self._of.get(line.number - 1, frozenset()) | self._before
        together = len(words & (self._of[line.number] | previous)) / len(words)
        return together >= 2 * SUPPORTED and len(self._of[line.number]) <= 12

    def holds(self, text: str) -> bool:
        return text.casefold() in self.everything


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
