"""Cutting a conversation into windows that are extracted one by one. Pure; nothing is lost at the cuts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...lengths import estimate_tokens
from ...types import Message
from ..text.frame import strip_recalled

WINDOW_TOKENS = 4_000  # a usual turn, or a session of forty short messages, is one call
CONTEXT_TOKENS = 400  # enough for "yes, two" and "he", a tenth of a window
CONTEXT_MESSAGES = 6

_PER_MESSAGE = 8  # number, speaker and line end of a message, in tokens

# Where a long message may be cut, best first: after a paragraph, line, sentence, word. Then anywhere.
_CUTS = (
    re.compile(r"\n[ \t]*+\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?])\s++|(?<=[。！？；])"),
    re.compile(r"\s++"),
)
_PIECE = 16  # characters, if a text has no place to cut


@dataclass(frozen=True, slots=True)
class Window:
    """Messages to extract from together.

    start: the position of the first one in the whole add; the others follow without gaps.
    context: earlier messages that help to understand these ("yes, I do"), not extracted again.
    continues: whether the first is a further piece of a message that an earlier window begins.
    """

    messages: tuple[Message, ...]
    start: int
    context: tuple[Message, ...]
    continues: bool = False


def windows(
    messages: Sequence[Message],
    *,
    earlier: Sequence[Message] = (),
    max_tokens: int = WINDOW_TOKENS,
    count: Callable[[str], int] = estimate_tokens,
) -> list[Window]:
    """`messages` in windows of at most `max_tokens`, each with the tail of what came before it.

    Tool output and system prompts are not shown and do not count. A message that is longer than a window is cut at
    paragraphs, lines, sentences or words, whichever suffices; its pieces carry its position.

    earlier: the conversation before `messages`, oldest first.
    """
    made: list[Window] = []
    before = list(earlier[-CONTEXT_MESSAGES:])
    for start, group in _groups(messages, max(16, max_tokens), count):
        continues = bool(made) and start < made[-1].start + len(made[-1].messages)
        made.append(Window(tuple(group), start, _tail(before, count), continues))
        before = (before + group)[-CONTEXT_MESSAGES:]
    return made


def parts(window: Window, most: int, *, count: Callable[[str], int] = estimate_tokens) -> list[Window]:
    """A window as smaller ones of at most `most` shown messages each, for models that do better with few."""
    made: list[Window] = []
    before, group = list(window.context), list[Message]()
    for message in window.messages:
        if is_shown(message) and sum(map(is_shown, group)) == most:
            made.append(_part(window, before, group, most, count))
            before, group = before + group, []
        group.append(message)
    return [*made, _part(window, before, group, most, count)] if group else made


def _part(
    window: Window, before: list[Message], group: list[Message], most: int, count: Callable[[str], int]
) -> Window:
    start = window.start + len(before) - len(window.context)
    return Window(tuple(group), start, _tail(before[-most:], count))


def is_shown(message: Message) -> bool:
    """Whether a model sees it: what people and assistants say, not prompts and tool output."""
    return message.role in ("user", "assistant")


def _groups(
    messages: Sequence[Message], budget: int, count: Callable[[str], int]
) -> Iterator[tuple[int, list[Message]]]:
    group: list[Message] = []
    start = used = 0
    for position, piece, cost in _pieces(messages, budget, count):
        same_message = bool(group) and start + len(group) > position
        if group and (used + cost > budget or same_message):
            yield start, group
            group, used = [], 0
        if not group:
            start = position
        group.append(piece)
        used += cost
    if group:
        yield start, group


def _pieces(
    messages: Sequence[Message], budget: int, count: Callable[[str], int]
) -> Iterator[tuple[int, Message, int]]:
    """Each message, or its pieces, with its position and its cost."""
    for position, message in enumerate(messages):
        if not is_shown(message):
            yield position, message, 0
            continue
        cost = count(message.content) + _PER_MESSAGE
        if cost <= budget:
            yield position, message, cost
            continue
        # Recalled frames are removed before the cut, which could break them.
        for text in _cut(strip_recalled(message.content), budget - _PER_MESSAGE, count):
            yield position, replace(message, content=text), count(text) + _PER_MESSAGE


def _cut(text: str, budget: int, count: Callable[[str], int], level: int = 0) -> list[str]:
    """`text` in pieces of at most `budget` tokens, cut as gently as possible; joined, they are `text`."""
    if level > len(_CUTS) or count(text) <= budget:
        return [text]
    pieces: list[str] = []
    current, used = "", 0
    for unit in _units(text, level):
        cost = count(unit)
        if used + cost <= budget:
            current, used = current + unit, used + cost
            continue
        if current:
            pieces.append(current)
        current, used = unit, cost
        if cost > budget:
            *whole, current = _cut(unit, budget, count, level + 1)
            pieces += whole
            used = count(current)
    return [*pieces, current] if current else pieces


def _units(text: str, level: int) -> Iterator[str]:
    if level == len(_CUTS):
        yield from (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return
    start = 0
    for match in _CUTS[level].finditer(text):
        if match.end() > start:
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def _tail(before: Sequence[Message], count: Callable[[str], int]) -> tuple[Message, ...]:
    """The last of `before` within the context's budget; the very last one is shortened rather than left out."""
    kept: list[Message] = []
    left = CONTEXT_TOKENS
    for message in reversed(before):
        text = strip_recalled(message.content)
        if not is_shown(message) or not text.strip():
            continue
        cost = count(text) + _PER_MESSAGE
        if cost > left:
            if not kept:
                kept.append(replace(message, content="… " + _cut(text, left - _PER_MESSAGE, count)[-1]))
            break
        kept.append(replace(message, content=text))
        left -= cost
    return tuple(reversed(kept))
