"""The clauses of a statement, and which of them a newer statement leaves as they were."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby, takewhile

from . import lexicon
from .evidence import STOP, missing, read
from .values import exchanged, values, without_values

_BREAK = re.compile(
    rf"\s*([;；，。]|,(?!\d)|{STOP}|\band\b|\bbut\b|\bwith\b(?!.*\b(?:is|was|are|has|had|will)\b)|(?<=\s)(?=who\s))\s*"
)
RELATIVE = re.compile(r"(?:who|whom|whose|which|that|where)\b", re.IGNORECASE)
_COPULA = re.compile(r"(?:is|was|are|were)\b", re.IGNORECASE)
_WORD_WITH = re.compile(r"(\w+ed|built|made|run|written)\s+with\b", re.IGNORECASE)
WITH = re.compile(r"\bwith\b(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clause:
    """text: without what parts it from others. before: what parts it from the one before. start / end: its place."""

    before: str
    text: str
    start: int
    end: int


def clauses(text: str) -> list[Clause]:
    """The clauses of a statement."""
    breaks = list(_BREAK.finditer(text))
    starts = [0, *(match.end() for match in breaks)]
    ends = [*(match.start() for match in breaks), len(text)]
    parting = ["", *(match[1] for match in breaks)]
    return [
        Clause(before, text[start:end], start, end)
        for before, start, end in zip(parting, starts, ends, strict=True)
        if start < end
    ]


def untouched(old: str, new: str, *, all_else: bool = False) -> list[str]:
    """What a newer statement leaves of an older one: its clauses but for the one that is spoken of, and those that
    fall with it. Neighbours stay together. All of them where it speaks of none, unless it corrects something.

    all_else: whether the newer one says that nothing else has changed.
    """
    parts = clauses(old)
    if len(parts) < 2:
        return []
    touched = _touched(parts, old, new)
    if touched is None:
        return [old]
    kept = [i for i in range(len(parts)) if i != touched and missing(parts[i].text, new)]
    kept = [i for i in kept if all_else or not _falls(parts, i, touched, old, new)]
    runs = groupby(enumerate(kept), key=lambda pair: pair[1] - pair[0])
    spans = [[i for _, i in run] for _, run in runs]
    return [old[parts[run[0]].start : parts[run[-1]].end] for run in spans]


def _touched(parts: list[Clause], old: str, new: str) -> int | None:
    """The first clause that a statement speaks of most; of those that it speaks of as little, one that tells of
    someone ("who refuses to …") before the one that says who that is."""
    topic, changing = _topic(old, new), lexicon.UNCHANGED.sub(" ", new)
    given = [then.text for then, _ in exchanged(old, new)]
    spoken = [
        _spoken_of(part.text, changing, topic) + any(value in part.text for value in given) for part in parts
    ]
    if read(old).negated and not read(new).negated:  # what was denied is affirmed
        known = [read(part.text) for part in parts]
        shared = [bool(clause.words & read(new).words) or not any(spoken) for clause in known]
        spoken = [
            one + (clause.negated and told) for one, clause, told in zip(spoken, known, shared, strict=True)
        ]
    most, _, before = max(
        (one, bool(RELATIVE.match(part.text)), -i)
        for i, (one, part) in enumerate(zip(spoken, parts, strict=True))
    )
    return -before if most or read(new).corrected else None


def _falls(parts: list[Clause], i: int, touched: int, old: str, new: str) -> bool:
    """Whether a clause falls with the one that is touched."""
    clause, told = parts[i], read(new)
    if RELATIVE.match(clause.text):
        if told.ended or told.negated != read(old).negated:
            return True
        described = read(parts[i - 1].text).sequence[-1:]
        if i == touched + 1 and told.words.isdisjoint(described):
            return True  # it tells of what is replaced, and not of what the new statement names as well
    part = read(clause.text)
    if part.one & told.one or part.states & told.ends or _given_anew(clause.text, new):
        return True
    return clause.before == "with" and _other_company(parts[i - 1].text, clause.text, new)


def _given_anew(clause: str, new: str) -> bool:
    """Whether a clause gives values of which a statement gives others, and says nothing else that is not known from
    it: "from Sunday to Wednesday"."""
    kinds = {value.kind for value in values(clause)}
    told, rest = read(new), read(without_values(clause))
    return bool(kinds) and kinds <= {value.kind for value in values(new)} and rest.words <= told.words


def _other_company(before: str, clause: str, new: str) -> bool:
    """Whether a statement, too, says with whom or what, and not just of the same."""
    company = WITH.search(new)
    told, words = read(clause).words, read(new).words
    verb = _WORD_WITH.search(new)
    if verb and read(verb[1]).sequence[-1:] == read(before).sequence[-1:]:
        return True  # "bundled with Vite", where it was "bundled with webpack"
    return bool(told & words) and not (company and read(company[1]).objects <= told)


def _topic(old: str, new: str) -> frozenset[str]:
    """The words that both begin with: whom or what they are about, which tells no clause from another."""
    told, known = read(new), read(old)
    both = zip(known.sequence, told.sequence, strict=False)
    return told.subject | {x for x, _ in takewhile(lambda pair: pair[0] == pair[1], both)}


def _spoken_of(clause: str, new: str, topic: frozenset[str]) -> float:
    """What share of a clause a statement speaks of."""
    part, told = read(clause), read(new)
    words = part.words - topic
    ended = len(part.states & told.ends)
    alike = told.corrected and told.copular and bool(_COPULA.match(clause))  # "is a pharmacist"
    return (len(words & told.words) + len(part.one & told.one) + ended + alike) / (len(words) or 1)
