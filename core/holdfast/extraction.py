"""Facts from a conversation: what the model is asked, and what its reply is worth.

Pure: a window of messages goes in, questions come out, answers go in, facts come out. The model's word is
never taken for who said what: every fact is checked against, and speaks for, the messages it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ._dialogue import Dialogue, Question, Unreadable
from .checking import (
    MOST_PER_MESSAGE,
    YOU,
    Candidate,
    Line,
    checked,
    folded,
    foreign,
    is_own,
    is_told_again,
)
from .completing import completed
from .dates import mentioned, resolve, written
from .errors import ModelReplyError
from .lexical import content_terms
from .ports import Prompt
from .prompts.extraction import CHINESE, ENGLISH, FEWEST, Texts, schema
from .prompts.frame import FRAME_CLOSE, FRAME_OPEN
from .recalled import strip_recalled
from .statements import is_question, is_small_talk, is_statement, prose, sentences
from .tokens import count_tokens
from .types import Message, Scope
from .windowing import Window, is_shown, windows

__all__ = ["FRAME_CLOSE", "FRAME_OPEN", "Fact", "Window", "extract", "strip_recalled", "windows"]

# What orders a model about rather than tells of somebody. The sentence is kept in the journal, and not shown.
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules|messages?|above)\b"
    r"|\bsystem prompt\b|\bjailbreak\b|\byou are now\b|\b(?:from now on|new instructions?)\b.{0,20}(?:you|:)"
    r"|\b(?:output|reply|respond|answer) (?:only )?(?:with|in) (?:json|the following)"
    r"|\b(?:store|save|record|write|insert|add) (?:down )?(?:the|this|a|these) (?:following )?"
    r"(?:fact|memor|entr|note)"
    r"|(?:忽略|无视|忘记|忘掉).{0,10}(?:指令|指示|提示|规则|要求|内容)|系统提示|你现在是|从现在起你|新的指令"
    r"|(?:写入|存入|保存|添加).{0,6}(?:记忆|事实|条目)",
    re.I,
)
# A line that claims to be another role's is not the speaker's own: "system: …", "[3] assistant: …".
_MARK = (
    r"^[ \t]*(?:\[\d+\][ \t]*)?(?:[#*<\[|]+[ \t]*)?(?:%s)[ \t]*(?:[\]>*|]+[ \t]*)?(?:[:：]|(?<=[>\]]))[ \t]*"
)
_OTHERS_LINE = re.compile(
    _MARK % "system|developer|assistant|ai|bot|tool|系统|助手|助理|工具" + r".*$", re.I | re.M
)
_OWN_MARK = re.compile(_MARK % "user|human|用户|assistant|ai|助手", re.I | re.M)
_CONTROL = re.compile(r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|</?s>")
# An assistant that declines has told nothing.
_REFUSAL = re.compile(
    r"^(?:i['’]?m (?:sorry|afraid|unable)|sorry|i (?:can['’]?t|cannot|am unable|am sorry|do not|don['’]t) "
    r"|as an ai|unfortunately, i)|^(?:抱歉|对不起|很抱歉|作为(?:一个)?(?:AI|人工智能)|我(?:无法|不能))",
    re.I,
)

_TOKENS_PER_FACT = (
    8  # of a message, where facts follow each other closely ("I'm 34, vegan and live in Berlin")
)
_TELLING = 2  # content words of what speakers say of themselves ("I'm allergic to peanuts", not "my!")
_AND = re.compile(r",? (?:and|but) |[，；;]")
NAME_LENGTH = 40  # characters of a speaker's name; what is longer is no name
_ROLE_NAMES = frozenset({"", "user", "human", "assistant", "ai", "model", "用户", "助手"})


@dataclass(frozen=True, slots=True)
class Fact:
    """Something worth remembering.

    sources: positions into the messages of its window, ascending.
    happened_at: the day it tells of where it names one that is past, else when its message was said.
    """

    text: str
    sources: tuple[int, ...]
    happened_at: datetime | None


def extract(window: Window, *, scope: Scope, instructions: str | None = None) -> Dialogue[tuple[Fact, ...]]:
    """Asks for the facts of a window and returns those that hold up, in the order of the messages.

    Asks nothing where the window holds only courtesies, recalled memories and tool output. Asks once more
    where a Chinese conversation was answered in English, and about messages that were passed over though their
    speakers tell of themselves, wholly or in a part in whose place an earlier message was told again.
    `instructions` are the developer's own.

    Raises the ModelReplyError that it is sent in the place of an answer.
    """
    lines = _lines(window)
    if not any(line.number for line in lines):
        return ()
    texts = CHINESE if is_chinese(" ".join(line.text for line in lines)) else ENGLISH
    context = _context(window, texts)
    question = _question(lines, context, texts, instructions)
    candidates = _answer((yield [question]))
    while _is_full(candidates, question) and len(candidates) < MOST_PER_MESSAGE * len(lines):
        question = replace(question, schema=schema(2 * len(candidates)))
        candidates = _answer((yield [question]))
    if texts is CHINESE and foreign(candidates, lines):
        candidates = _better(candidates, _answer((yield [_again(question)])), lines)
    before = _lines(Window(window.context, 0, ()))
    kept = _checked(candidates, lines, window, scope, before)
    misled = _misled(candidates, kept, lines, before)
    passed_over = _overlooked(lines, kept, told_again=bool(context and candidates))
    asked_again = {line.position for line in [*misled, *passed_over]}
    if asked_again:
        overlooked = _numbered(line for line in lines if line.position in asked_again)
        if misled or not kept:
            context = []
        more = _answer((yield [_question(overlooked, context, texts, instructions)]))
        both = [*kept, *_checked(more, overlooked, window, scope, before)]
        kept = folded(sorted(both, key=lambda one: one.sources))
    return tuple(_fact(candidate, window) for candidate in kept)


def _checked(
    candidates: Sequence[Candidate],
    lines: Sequence[Line],
    window: Window,
    scope: Scope,
    before: Sequence[Line],
) -> list[Candidate]:
    held_up = checked(
        candidates,
        lines,
        said_before=_asked_before(window),
        told_before=before,
        scope=scope,
        chinese=is_chinese(" ".join(line.text for line in lines)),
    )
    return completed(held_up, lines)


def _misled(
    candidates: Sequence[Candidate], kept: Sequence[Candidate], lines: Sequence[Line], before: Sequence[Line]
) -> list[Line]:
    """The messages of users in the place of which the model told an earlier one again, and that say more of their
    speaker than was kept of them ("Lives in Berlin" of "I've moved to Lisbon and I eat fish now"). They are asked
    about without the earlier ones (`before`)."""
    again = {
        line.position
        for line in lines
        for candidate in candidates
        if candidate.number == line.number > 0 and is_told_again(candidate.text, line, before)
    }
    said: dict[int, set[str]] = {}
    for candidate in kept:
        said.setdefault(candidate.sources[0], set()).update(content_terms(candidate.text))
    return [
        line
        for line in lines
        if line.role == "user" and line.position in again and line.position in said
        if any(
            _tells_enough([part]) and said[line.position].isdisjoint(content_terms(part))
            for part in _own(line)
        )
    ]


def _own(line: Line) -> list[str]:
    """What a message tells of its speaker, statement by statement."""
    parts = (part for sentence in sentences(line.text) for part in _AND.split(sentence))
    return [part for part in parts if is_own(part) and is_statement(part)]


def _numbered(lines: Iterable[Line]) -> list[Line]:
    """The lines as those of a question of their own."""
    return [replace(line, number=number) for number, line in enumerate(lines, 1)]


def _overlooked(lines: Sequence[Line], kept: Sequence[Candidate], *, told_again: bool) -> list[Line]:
    """The messages of users that tell of themselves and brought no fact, which are asked about alone: beside a long
    answer or a livelier message, small models pass over the quieter one. None where nothing else was asked about,
    unless the model told what the earlier messages say in its place (`told_again`): then they are not shown again,
    and what unnamed users state of things ("the standup is on Mondays") is asked about as well.
    """
    spoken = {position for candidate in kept for position in candidate.sources}
    nothing = told_again and not kept
    own = [
        line
        for line in lines
        if line.number and line.role == "user" and line.position not in spoken
        if _tells_of_speaker(line) or (nothing and line.name is None and _tells_anything(line))
    ]
    if len(own) == sum(line.number > 0 for line in lines) and not told_again:
        return []
    return own


def _tells_of_speaker(line: Line) -> bool:
    return _tells_enough([s for s in sentences(line.text) if is_own(s) and is_statement(s)])


def _tells_anything(line: Line) -> bool:
    return _tells_enough([s for s in sentences(line.text) if is_statement(s)])


def _tells_enough(told: Sequence[str]) -> bool:
    return len(content_terms(" ".join(s for s in told if not YOU.search(s)))) >= _TELLING


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese for the most part: a word of another script weighs as much as two characters."""
    han = sum("\u4e00" <= c <= "\u9fff" for c in text)
    kana_or_hangul = sum("\u3040" <= c <= "\u30ff" or "\uac00" <= c <= "\ud7af" for c in text)
    words = len(re.findall(r"[^\W\d_\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+", text))
    return han > 2 * words and han > 4 * kana_or_hangul


def _lines(window: Window) -> list[Line]:
    """What is shown of the messages: those that may tell something numbered from 1, the others 0."""
    lines: list[Line] = []
    number = 0
    for position, message in enumerate(window.messages):
        text = _shown(message) if is_shown(message) else ""
        if not text:
            continue
        tells = _tells(message, text)
        number += tells
        said = message.happened_at
        lines.append(Line(number if tells else 0, position, _speaker(message), message.role, text, said))
    return lines


def _shown(message: Message) -> str:
    """The message on one line, without frames, role marks and orders, its relative dates made absolute."""
    text = prose(_CONTROL.sub("\n", message.content))
    if message.role == "user":
        text = _OTHERS_LINE.sub("", text)
    text = _OWN_MARK.sub("", text)
    told = [s for s in sentences(text) if not _ORDER.search(s)]
    line = re.sub(r"\s+", " ", " ".join(told)).strip()
    return resolve(line, message.happened_at) if message.happened_at else line


def _tells(message: Message, text: str) -> bool:
    """A statement, or a question that gives something away ("a restaurant near my home in Berlin?").

    Between named speakers, what is said of the listener ("you'd be great at it") is no statement.
    """
    parts = [s for s in sentences(text) if not is_small_talk(s)]
    if message.role == "assistant":
        return any(not (is_question(s) or _REFUSAL.search(s)) for s in parts)
    return any(is_own(s) or (is_statement(s) and not (_speaker(message) and YOU.search(s))) for s in parts)


def _context(window: Window, texts: Texts) -> list[str]:
    shown = [(m, _shown(m)) for m in window.context if is_shown(m)]
    return [f"{_label(_speaker(m), m.role, texts)}: {text}" for m, text in shown if text]


def _asked_before(window: Window) -> list[str]:
    """What the first message may be an answer to: the turn before it, if it was somebody else's.

    Earlier turns of the same speaker explain nothing: small models repeat them as if they were said again.
    """
    shown = [message for message in window.context if is_shown(message)]
    if not shown:
        return []
    last, first = shown[-1], window.messages[0]
    return [_shown(last)] if (last.role, last.name) != (first.role, first.name) else []


def _speaker(message: Message) -> str | None:
    """The speaker's name on one line; None where frameworks repeat the role as a name."""
    name = re.sub(r"[\s:：\[\]<>]+", " ", message.name or "").strip()[:NAME_LENGTH]
    return None if name.casefold() in _ROLE_NAMES else name


def _label(name: str | None, role: str, texts: Texts) -> str:
    return name or (texts.assistant_label if role == "assistant" else texts.user_label)


def _question(
    lines: Sequence[Line], context: Sequence[str], texts: Texts, instructions: str | None
) -> Question:
    system = texts.system
    if instructions:
        system += "\n\n" + texts.instructions.format(instructions=instructions.strip())
    parts = [texts.context, *context, ""] if context else []
    parts += [texts.conversation, *_dated(lines, texts)]
    last = max(line.number for line in lines)
    numbers = "1" if last == 1 else f"1-{last}"
    parts += ["", texts.closing.format(numbers=numbers)]
    prompts = (Prompt("system", system), Prompt("user", "\n".join(parts)))
    return Question(prompts, schema(_most(lines)), _read)


def _most(lines: Sequence[Line]) -> int:
    """How many facts may be told: few steps, as endpoints prepare each form of reply once and keep it."""
    most = FEWEST
    while most * _TOKENS_PER_FACT < sum(count_tokens(line.text) for line in lines if line.number):
        most *= 2
    return most


def _is_full(candidates: Sequence[Candidate], question: Question) -> bool:
    """Whether there may be more facts than the reply had room for; not where the model repeated itself."""
    most = question.schema.json["properties"]["facts"]["maxItems"] if question.schema else 0
    return len(candidates) == most == len({candidate.text for candidate in candidates})


def _dated(lines: Sequence[Line], texts: Texts) -> list[str]:
    out: list[str] = []
    day = None
    for line in lines:
        if line.said is not None and line.said.date() != day:
            day = line.said.date()
            weekday = "星期" + "一二三四五六日"[day.weekday()] if texts is CHINESE else day.strftime("%A")
            out.append(texts.date.format(date=written(day, chinese=texts is CHINESE), weekday=weekday))
        mark = f"[{line.number}]" if line.number else "-"
        out.append(f"{mark} {_label(line.name, line.role, texts)}: {line.text}")
    return out


def _read(reply: Mapping[str, Any]) -> tuple[Candidate, ...]:
    entries = reply.get("facts")
    if not isinstance(entries, list):
        raise Unreadable('Reply with one JSON object {"facts": [{"message": 1, "speaker": "", "fact": ""}]}.')
    read = [candidate for entry in entries if (candidate := _candidate(entry)) is not None]
    if entries and not read:
        raise Unreadable('Each of "facts" must be an object with "message" (a number), "speaker" and "fact".')
    return tuple(read)


def _candidate(entry: Any) -> Candidate | None:
    if isinstance(entry, str):  # a bare list of texts: the message is found by its words
        return Candidate(entry, 0, "")
    if not isinstance(entry, Mapping) or not isinstance(entry.get("fact"), str):
        return None
    number = entry.get("message")
    if isinstance(number, str) and number.strip("[] ").isdecimal():
        number = int(number.strip("[] "))
    speaker = entry.get("speaker")
    return Candidate(
        entry["fact"],
        int(number) if isinstance(number, (int, float)) else 0,
        speaker if isinstance(speaker, str) else "",
    )


def _answer(answers: Sequence[Any]) -> tuple[Candidate, ...]:
    (answer,) = answers
    if isinstance(answer, ModelReplyError):
        raise answer
    return tuple(answer)


def _again(question: Question) -> Question:
    system, user = question.messages
    return Question((system, Prompt("user", user.content + "必须用中文写。")), question.schema, question.read)


def _better(
    first: Sequence[Candidate], second: Sequence[Candidate], lines: Sequence[Line]
) -> tuple[Candidate, ...]:
    return tuple(second if second and not foreign(second, lines) else first)


def _fact(candidate: Candidate, window: Window) -> Fact:
    said = window.messages[candidate.sources[0]].happened_at
    return Fact(candidate.text, candidate.sources, said and _happened(candidate.text, said))


def _happened(text: str, said: datetime) -> datetime:
    """The first day that the fact names, if it lies before its message by a day or more; else when it was said."""
    starts = [start for start, _ in mentioned(text, said)]
    return starts[0] if starts and starts[0] <= said - timedelta(days=1) else said
