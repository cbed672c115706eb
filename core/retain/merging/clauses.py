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
    fall with it. Neighbours stay together.

    all_else: whether the newer one says that nothing else has changed.
    """
    parts = clauses(old)
    if len(parts) < 2:
        return []
    touched = _touched(parts, old, new)
    falls = _Falls(parts, touched, old, new)
    kept = [i for i in range(len(parts)) if i != touched and missing(parts[i].text, new)]
    kept = [i for i in kept if all_else or not falls.beside(i)]
    runs = groupby(enumerate(kept), key=lambda pair: pair[1] - pair[0])
    spans = [[i for _, i in run] for _, run in runs]
    return [old[parts[run[0]].start : parts[run[-1]].end] for run in spans]


def _touched(parts: list[Clause], old: str, new: str) -> int:
    """The first clause that a statement speaks of most; of those that it speaks of as little, one that tells of
    someone ("who refuses to …") before the one that says who that is."""
    topic, changing = _topic(old, new), lexicon.UNCHANGED.sub(" ", new)
    given = [then.text for then, _ in exchanged(old, new)]
    affirms = read(old).negated and not read(new).negated

    def touches(i: int) -> tuple[float, bool, int]:
        clause = parts[i].text
        spoken = _spoken_of(clause, changing, topic) + any(value in clause for value in given)
        return spoken + (affirms and read(clause).negated), bool(RELATIVE.match(clause)), -i

    return max(range(len(parts)), key=touches)


class _Falls:
    """Which clauses fall with the one that is touched."""

    def __init__(self, parts: list[Clause], touched: int, old: str, new: str) -> None:
        self._parts, self._touched, self._new = parts, touched, new
        self._address = "home" in read(parts[touched].text).one
        self._over = read(new).ended or read(new).negated != read(old).negated

    def beside(self, i: int) -> bool:
        clause = self._parts[i]
        next_to_it = i == self._touched + 1
        if RELATIVE.match(clause.text) and (self._over or next_to_it):
            return True  # it tells of what is replaced
        if read(clause.text).one & read(self._new).one or _given_anew(clause.text, self._new):
            return True
        if clause.before == "with" and _other_company(self._parts[i - 1].text, clause.text, self._new):
            return True
        return self._address and next_to_it and clause.before == "," and not read(clause.text).concepts


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
    return (len(words & told.words) + len(part.one & told.one)) / (len(words) or 1)
