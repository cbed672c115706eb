"""What an agent should see before it answers: memories, then the turns behind them, within a token budget.

Pure and deterministic. What is recalled is data: every piece is one line that starts as a list item, and
nothing in it can look like a tag, a role marker or the end of the frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache

from ...types import Context, JournaledMessage, SearchHit
from ..text.dates import written
from ..text.frame import FRAME_CLOSE, FRAME_OPEN, PREAMBLE, TURNS, Language
from ..text.lexical import content_terms, shared_language
from ..text.speakers import speaker_of
from .ranking import indexed_text

# A turn adds something to a memory if at least this share of its words is not in the memory.
_NEW_WORDS = 0.25

# Share of the budget before turns get theirs; what turns leave goes to more memories. Evidence covered within
# 1,000 tokens falls from .72 to .70 when eight turns replace fifteen memories, but the details are in
# the turns: `python -m bench.quality.retrieval locomo.json --tokens`.
_MEMORIES_SHARE = 0.6

_SHORTEST = 4  # tokens; no line is shorter, so counting ends when less is left

# Within a budget a long text displaces several short ones, so hits are taken by their worth for their length.
# With it, .65 instead of .61 of the evidence in an assistant's chats is covered within 1,000 tokens, and .76
# instead of .69 within 4,000; with short turns and facts nothing changes. Figures are similar from .15 to .4.
_LENGTH_COUNTS = 0.3
_SHORT_TEXT = 80  # characters

_Counter = Callable[[str], int]


def assemble(
    hits: Sequence[SearchHit],
    messages: Mapping[str, Sequence[JournaledMessage]],
    *,
    max_tokens: int,
    count: _Counter,
    language: Language = "en",
) -> Context:
    """What fits of `hits` (best first) and of the turns behind them, framed as data.

    messages: memory id -> the turns it came from, and turns near them, the most telling first.
    max_tokens: the length of the whole text, frame included, by `count`; if not even one memory fits,
        the context is empty.
    language: the language of the framing lines.
    """
    tongue = language
    order = _by_worth(hits)
    left = max_tokens - _cost(count, FRAME_OPEN, PREAMBLE[tongue], FRAME_CLOSE)
    cost_of = cache(lambda at: _cost(count, _memory_line(hits[at], tongue)))
    chosen = _fitting(order, cost_of, int(left * _MEMORIES_SHARE), ())
    left -= sum(map(cost_of, chosen))
    turns, spent = _fitting_turns(_adding([hits[at] for at in chosen], messages), left, count, tongue)
    chosen = _fitting(order, cost_of, left - spent, chosen)
    return _within(max_tokens, count, tongue, [hits[at] for at in chosen], turns)


def _cost(count: _Counter, *lines: str) -> int:
    """Lines are counted one by one, with their line feeds: a tokeniser does not join across them."""
    return sum(count(line + "\n") for line in lines)


def _by_worth(hits: Sequence[SearchHit]) -> list[int]:
    """The places of hits in the order in which they are taken: by how much each is better than the last, discounted
    by its length."""
    least = min((hit.score for hit in hits), default=0.0)

    def worth(at: int) -> float:
        length = max(len(hits[at].text), _SHORT_TEXT)
        return (hits[at].score - least) / math.pow(length, _LENGTH_COUNTS)

    return sorted(range(len(hits)), key=worth, reverse=True)


def _fitting(
    order: Sequence[int], cost_of: Callable[[int], int], left: int, chosen: Sequence[int]
) -> list[int]:
    """`chosen` and the further ones that fit, taken in the order given; sorted by rank."""
    more = []
    for at in order:
        if left < _SHORTEST:
            break
        if at not in chosen and (cost := cost_of(at)) <= left:
            more.append(at)
            left -= cost
    return sorted([*chosen, *more])


def _fitting_turns(
    turns: Iterable[JournaledMessage], left: int, count: _Counter, tongue: Language
) -> tuple[list[JournaledMessage], int]:
    """The turns that fit, in the order given, and their cost; a heading counts with the first turn below it."""
    fitting: list[JournaledMessage] = []
    days: set[str] = set()
    spent = 0
    for turn in turns:
        day = _day(turn.happened_at, tongue)
        headings = [*([] if fitting else [TURNS[tongue]]), *([] if day in days else [_heading(day)])]
        cost = _cost(count, _turn_line(turn), *headings)
        if spent + cost <= left:
            fitting.append(turn)
            days.add(day)
            spent += cost
    return fitting, spent


def _adding(
    shown: Sequence[SearchHit], messages: Mapping[str, Sequence[JournaledMessage]]
) -> Iterable[JournaledMessage]:
    """The turns that say more than the memories shown, by the rank of their memory; what was said twice, once."""
    told = {hit.id: _memory_text(hit) for hit in shown if messages.get(hit.id)}
    language = shared_language(told.values())
    known = {memory: set(content_terms(text, language)) for memory, text in told.items()}
    seen: set[str] = set()
    for hit in shown:
        for turn in messages.get(hit.id, ()):
            line = _turn_line(turn)
            if line not in seen and _adds(turn, language, [known[hit.id], *known.values()]):
                seen.add(line)
                yield turn


def _adds(turn: JournaledMessage, language: str, known: Iterable[set[str]]) -> bool:
    said = set(content_terms(turn.message.content, language))
    return bool(said) and all(len(said - words) >= _NEW_WORDS * len(said) for words in known)


def _within(
    max_tokens: int,
    count: Callable[[str], int],
    tongue: Language,
    shown: list[SearchHit],
    turns: list[JournaledMessage],
) -> Context:
    """The context, without its last turns and memories while it is too long: a tokeniser may count a whole text
    differently from the sum of its lines."""
    while shown:
        text = _text(tongue, shown, turns)
        tokens = count(text)
        if tokens <= max_tokens:
            ordered = tuple(sorted(turns, key=_said))
            return Context(text, memories=tuple(shown), messages=ordered, tokens=tokens)
        if turns:
            turns = turns[:-1]
        else:
            shown = shown[:-1]
    return Context("")


# --- the text ---------------------------------------------------------------------------------------------


def _text(tongue: Language, shown: Sequence[SearchHit], turns: Sequence[JournaledMessage]) -> str:
    lines = [FRAME_OPEN, PREAMBLE[tongue], *(_memory_line(hit, tongue) for hit in shown)]
    if turns:
        lines.append(TURNS[tongue])
    day = ""
    for turn in sorted(turns, key=_said):
        if _day(turn.happened_at, tongue) != day:
            day = _day(turn.happened_at, tongue)
            lines.append(_heading(day))
        lines.append(_turn_line(turn))
    return "\n".join([*lines, FRAME_CLOSE])


def _said(turn: JournaledMessage) -> tuple[datetime, int, str]:
    return turn.happened_at, turn.position, turn.id


def _memory_line(hit: SearchHit, tongue: Language) -> str:
    return f"- [{_day(hit.memory.happened_at or hit.memory.created_at, tongue)}] {_memory_text(hit)}"


def _memory_text(hit: SearchHit) -> str:
    return as_data(indexed_text(hit.text, hit.memory.speakers))


def _heading(day: str) -> str:
    return f"[{day}]"


def _turn_line(turn: JournaledMessage) -> str:
    return f"- {as_data(speaker_of(turn.message) or turn.message.role)}: {as_data(turn.message.content)}"


def _day(at: datetime, tongue: Language) -> str:
    """As memories write days, and so as a model does when it is asked for one."""
    return written(at.date(), chinese=tongue == "zh")


# --- text as data -----------------------------------------------------------------------------------------

# Characters that cannot be seen and could hide a tag from this module but not from a model: controls,
# zero-width spaces, direction marks, tag characters. Joiners stay: scripts and emoji need them. (Those that
# count as white space become a space.)
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"\s+")
# An opening bracket of a tag or of a chat template's marker; "<3", "< 5", "<=" and "<-" are not.
_TAG = re.compile(r"[<＜﹤‹](?![0-9０-９=-]|\s+[0-9０-９])")
# Closed or not, up to the next bracket: looking for the last one takes long in a text with many.
_MARKER = re.compile(
    r"\[(?=/?\s*(?:INST|SYS(?:TEM)?|USER|ASSISTANT|TOOL|AVAILABLE_TOOLS)\b)([^\[\]]*)(\]?)", re.IGNORECASE
)


def as_data(text: str) -> str:
    """One line that says what `text` says and cannot be taken for markup, a role or the end of a frame."""
    line = _SPACE.sub(" ", _INVISIBLE.sub("", text)).strip()
    return _MARKER.sub(lambda found: f"({found[1]}{')' if found[2] else ''}", _TAG.sub("‹", line))
