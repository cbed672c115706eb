"""What a message states, sentence by sentence and word for word, found without a model. Knows no language.

Sentences of the user are kept. Code, logs, stack traces, quoted lines, bare links and recalled memories are not
memories, nor are questions (by their mark) and single words. A doubtful sentence is kept, as a lost one cannot be
found again.
"""

from __future__ import annotations

import re

import sentencex

from ...types import Message
from ..text.frame import strip_recalled

_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.S)
_LOG_LINE = re.compile(
    r"(?:"
    r"(?:\[?\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}|\d{2}:\d{2}:\d{2}[.,\s])"  # a timestamp
    r"|\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|CRITICAL|TRACE)\b[\]:]"
    r"|Traceback \(most recent call last\)|File \"[^\"]+\", line \d+|at [\w.$<>/]+\([\w. ]+(?::\d+)?\)|Caused by:"
    r"|[A-Za-z_.]{0,99}(?:Error|Exception|Warning): "
    r"|[$>#] \S|>>> |\.\.\. |diff --git|@@ |[+-]{3} [ab]/"
    r")"
)
_CODE_MARK = re.compile(r"[{};]$|=>|==|!=|\+=|&&|\|\||::|\w\(\w*\)|^[<{\[].*[>}\]],?$|^\w+ = ")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w.-]{1,255}")
_ITEM = re.compile(r"^\s*(?:[-*•·]|\d{1,2}[.)、])\s+")
_ASKS = re.compile(r"[?？؟⸮\u037e][\"'”’»」』)）\s]*$")
_LETTERS = re.compile(r"[^\W\d_]")
_WORDS = re.compile(r"[^\W_]+")


def statements(message: Message) -> list[str]:
    """The sentences of a user's message that are worth keeping, as they stand; empty for every other role."""
    if message.role != "user":
        return []
    return [sentence for sentence in sentences(prose(message.content)) if is_statement(sentence)]


def is_statement(sentence: str) -> bool:
    """Whether a sentence may tell something: it does not end as a question and is more than a word or a link."""
    return not (_ASKS.search(sentence) or _is_bare(sentence))


def prose(content: str) -> str:
    """The message without recalled memories, code blocks, quoted lines, logs and stack traces."""
    text = _FENCE.sub("\n", strip_recalled(content))
    return "\n".join(line for line in text.splitlines() if not _is_machine(line))


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order, without list marks and the white space around them."""
    parts = (part for line in text.splitlines() if line.strip() for part in sentencex.segment("en", line))
    return [bare for part in parts if (bare := _ITEM.sub("", part).strip())]


def _is_machine(line: str) -> bool:
    """Whether a line is code, a quotation, or part of a log or stack trace."""
    text = line.strip()
    if text.startswith(">") or _LOG_LINE.match(text):
        return True
    return line.startswith(("    ", "\t")) and _CODE_MARK.search(text) is not None


def _is_bare(sentence: str) -> bool:
    """Whether nothing is said: links, numbers, a single word (two characters of a script without spaces)."""
    rest = _LINK.sub("", sentence)
    letters = _LETTERS.findall(rest)
    if any(letter > "\u2e7f" for letter in letters):
        return len(letters) < 3
    return not letters or len(_WORDS.findall(rest)) < 2
