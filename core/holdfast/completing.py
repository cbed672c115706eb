"""Chinese facts with the clauses of their sentence that no fact tells: small models often stop at a comma. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .checking import YOU, Candidate, Line
from .lexical import content_terms
from .statements import is_statement, sentences
from .wording import is_han, third_person

_COMMA = re.compile("[，,；;]")
_FINAL = "。！!.～~ "
# What a clause and a fact share of their pairs of characters: from TOLD on the fact tells it, up to UNTOLD not.
TOLD, UNTOLD = 0.5, 0.25
_NO_SUBJECT = re.compile(
    "我们?|咱们?|自己|的|也|都|还|就|又|已经?|今天|昨天|现在|最近|刚刚?|但是?|所以|因为|而且|然后"
)
_WHEN = ("的时候", "时", "的话")
LEAST = 3  # pairs of characters of a clause worth keeping: "通勤时听书", not "挺好的"
LONGEST = 60  # characters of a fact


def completed(found: Sequence[Candidate], lines: Sequence[Line]) -> list[Candidate]:
    """The facts, each with what its own sentence says besides, where no fact of the message does."""
    result = list(found)
    for line in lines:
        if line.role == "user" and is_han(line.text):
            for sentence in sentences(line.text):
                _complete(result, line, sentence)
    return result


def _complete(found: list[Candidate], line: Line, sentence: str) -> None:
    own = {at: fact.text for at, fact in enumerate(found) if fact.sources == (line.position,)}
    for at, text in own.items():
        found[at] = replace(found[at], text=_with_its_subject(text, sentence, line))
    parts = [part.strip(_FINAL) for part in _COMMA.split(sentence)] if own and is_statement(sentence) else []
    told = {part: max(own, key=lambda at: _shared(part, own[at])) for part in parts}
    shares = {part: _shared(part, own[at]) for part, at in told.items()}
    if max(shares.values(), default=0.0) < TOLD:
        return
    at = told[max(shares, key=shares.__getitem__)]
    for part, share in shares.items():
        text = f"{found[at].text}，{third_person(part)}"
        if share <= UNTOLD and _tells(part) and len(text) <= LONGEST:
            found[at] = replace(found[at], text=text)


def _with_its_subject(text: str, sentence: str, line: Line) -> str:
    """The fact, or the clause that it is the end of, where that says of whom or what it is: 取消了 of 周会取消了."""
    clauses = (part.strip(_FINAL) for part in _COMMA.split(sentence))
    whole = next((part for part in clauses if part.endswith(text) and len(part) > len(text)), None)
    if whole is None or line.name is not None or not is_statement(whole):
        return text
    subject = _NO_SUBJECT.sub("", whole.removesuffix(text))
    return third_person(whole) if len(subject) > 1 else text


def _shared(part: str, fact: str) -> float:
    """What the two share, of the shorter."""
    a, b = frozenset(content_terms(part)), frozenset(content_terms(fact))
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0


def _tells(part: str) -> bool:
    worth = len(content_terms(part)) >= LEAST and not YOU.search(part)
    return worth and (is_statement(part) or part.endswith(_WHEN))
