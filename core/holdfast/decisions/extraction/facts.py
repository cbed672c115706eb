"""From a window of messages to a question, and from its answer to facts. Pure.

The model decides what is worth remembering, and its words are kept. Code guards what no language changes: a fact
belongs to a message that was shown, its speaker is that message's, nothing recalled or forged is shown, a repeated
text is kept once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from ...lengths import estimate_tokens
from ...ports import Prompt
from ...types import Message
from ..question import Question, Unreadable
from ..text.equal import normalised
from ..text.frame import strip_recalled
from ..text.language import language_of
from ..text.lexical import content_terms, shared_language
from ..text.speakers import speaker_of
from .prompts import FEWEST, TEXTS, Texts, schema
from .windows import Window, is_shown

_TOKENS_PER_FACT = 8  # of a message, where facts follow each other closely ("I'm 34, vegan, live in Berlin")

# What could be taken for a line of ours or a turn of the chat: a number in brackets or a role at the start of
# a line, and the control tokens of chat templates. They are altered or removed; all else in a message stays.
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARK = re.compile(r"^([ \t]*)\[(\d+)\]", re.M)
_ROLE = re.compile(r"^([ \t]*)(system|developer|assistant|user|tool)([ \t]*[:：])", re.M | re.I)
_CONTROL = re.compile(r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|</?s>")
_PARTIAL_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?")


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as the model told it. message: the number it named; when: the time as it wrote it."""

    message: int
    text: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something worth remembering.

    sources: positions into the messages of its window, ascending.
    happened_at: when it happened, if the model said so, else when its message was said.
    """

    text: str
    sources: tuple[int, ...]
    happened_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A message as it is shown, by its position in the window. Its number is its place among the lines, from 1."""

    position: int
    message: Message
    text: str


def question(window: Window, instructions: str | None = None) -> Question | None:
    """What the model is asked about a window; None where nobody says anything in it.

    instructions: the developer's own. The answer is a tuple of `Told`.
    """
    lines = _lines(window.messages)
    if not lines:
        return None
    texts = TEXTS[language_of(" ".join(line.text for line in lines))]
    system = texts.system
    if instructions:
        system += "\n\n" + texts.instructions.format(instructions=instructions.strip())
    earlier = [f"- {_label(line.message, texts)}: {line.text}" for line in _lines(window.context)]
    numbers = "1" if len(lines) == 1 else f"1-{len(lines)}"
    asked = [
        *([texts.context, *earlier, ""] if earlier else []),
        texts.messages,
        *_numbered(lines, texts),
        "",
        texts.closing.format(numbers=numbers),
    ]
    return Question((Prompt("system", system), Prompt("user", "\n".join(asked))), schema(_most(lines)), _read)


def facts(window: Window, told: Sequence[Told]) -> tuple[Fact, ...]:
    """The facts that the model told of a window, in the order of the messages, each with its message."""
    lines = _lines(window.messages)
    found: dict[tuple[str, str | None], Fact] = {}
    for one in told:
        text = one.text.strip()
        if not text or not lines:
            continue
        line = _line_of(one, lines)
        said = line.message.happened_at
        same = normalised(text), speaker_of(line.message)
        if known := found.get(same):
            found[same] = replace(known, sources=tuple(sorted({*known.sources, line.position})))
        else:
            happened = moment(one.when, said.tzinfo if said else None) or said
            found[same] = Fact(text, (line.position,), happened)
    return tuple(sorted(found.values(), key=lambda fact: fact.sources[0]))


def moment(when: str, zone: tzinfo | None = None) -> datetime | None:
    """The instant of an ISO date, time, month or year, or the start of a span of two; else None."""
    start = when.split("/")[0].strip()
    try:
        if partial := _PARTIAL_DATE.fullmatch(start):
            found = datetime(int(partial[1]), int(partial[2] or 1), 1)  # noqa: DTZ001 - the zone follows
        else:
            found = datetime.fromisoformat(start)
        return (found if found.tzinfo else found.replace(tzinfo=zone or UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _lines(messages: Sequence[Message]) -> list[_Line]:
    texts = (
        (at, message, shown(message.content)) for at, message in enumerate(messages) if is_shown(message)
    )
    return [_Line(at, message, text) for at, message, text in texts if text]


def shown(content: str) -> str:
    """A message's text as a model sees it: word for word, except recalled frames and forged marks."""
    text = _CONTROL.sub("", _BREAKS.sub("\n", strip_recalled(content)))
    return _ROLE.sub(r"\1(\2)\3", _MARK.sub(r"\1(\2)", text)).strip()


def _label(message: Message, texts: Texts) -> str:
    return speaker_of(message) or (texts.assistant if message.role == "assistant" else texts.user)


def _numbered(lines: Sequence[_Line], texts: Texts) -> list[str]:
    out: list[str] = []
    day: date | None = None
    for number, line in enumerate(lines, 1):
        said = line.message.happened_at
        if said is not None and said.date() != day:
            day = said.date()
            out.append(texts.date.format(date=day.isoformat(), weekday=texts.weekdays[day.weekday()]))
        out.append(f"[{number}] {_label(line.message, texts)}: {line.text}")
    return out


def _most(lines: Sequence[_Line]) -> int:
    """How many facts may be told: in few steps, as endpoints prepare and cache each form of reply."""
    tokens = sum(estimate_tokens(line.text) for line in lines)
    most = FEWEST
    while most * _TOKENS_PER_FACT < tokens:
        most *= 2
    return most


def _line_of(told: Told, lines: Sequence[_Line]) -> _Line:
    """The line that was named; else the user's line with the most terms of the fact, the last among equals."""
    if 0 < told.message <= len(lines):
        return lines[told.message - 1]
    users = [line for line in lines if line.message.role == "user"] or list(lines)
    language = shared_language((told.text, *(line.text for line in users)))
    terms = set(content_terms(told.text, language))
    return max(reversed(users), key=lambda line: len(terms.intersection(content_terms(line.text, language))))


def _read(reply: Mapping[str, Any]) -> tuple[Told, ...]:
    entries = reply.get("facts")
    if not isinstance(entries, list):
        raise Unreadable(
            'Reply with one JSON object {"facts": [{"message": 1, "speaker": "", "fact": "", "when": ""}]}.'
        )
    read = [told for entry in entries if (told := _told(entry)) is not None]
    if entries and not read:
        raise Unreadable(
            'Each of "facts" must be an object with "message" (a number), "speaker", "fact" and "when".'
        )
    return tuple(read)


def _told(entry: Any) -> Told | None:
    if isinstance(entry, str):  # a bare list of texts: the message is found by its words
        return Told(0, entry)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("fact"), str):
        return None
    when = entry.get("when")
    return Told(_number(entry.get("message")), entry["fact"], when if isinstance(when, str) else "")


def _number(told: Any) -> int:
    """The number of a message, however it is written; 0 if there is none."""
    if isinstance(told, str):
        digits = told.strip("[] ")
        return int(digits) if digits.isdecimal() and len(digits) < 9 else 0
    return int(told) if isinstance(told, (int, float)) and told == told // 1 and abs(told) < 1e9 else 0
