"""Taking recalled memories out of a text, so that what came out of memory never enters it again."""

from __future__ import annotations

import re

from .prompts.frame import FRAME_TAG

_OPEN = re.compile(rf"<{FRAME_TAG}(?:\s[^<>]*)?>", re.I)
_CLOSE = re.compile(rf"</{FRAME_TAG}\s*>", re.I)


def strip_recalled(text: str) -> str:
    """`text` without the blocks that recall framed (`<memories source="holdfast">…</memories>`).

    Frames may be nested; the outermost is removed whole. An opening tag that is never closed is plain
    text, and so is a closing tag without an opening one: a forged frame hides what it encloses and no more.
    """
    if _CLOSE.search(text) is None:
        return text
    return _without_frames(text)


def _without_frames(text: str) -> str:
    kept: list[str] = []
    at = 0
    for start, end in _frames(text):
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]]).strip() if kept else text


def _frames(text: str) -> list[tuple[int, int]]:
    """Where the outermost closed frames begin and end."""
    marks = [(m.start(), m.end(), True) for m in _OPEN.finditer(text)]
    marks += [(m.start(), m.end(), False) for m in _CLOSE.finditer(text)]
    waiting: list[int] = []
    frames: list[tuple[int, int]] = []
    for start, end, opens in sorted(marks):
        if opens:
            waiting.append(start)
        elif waiting:
            begin = waiting.pop()
            while frames and frames[-1][0] >= begin:
                frames.pop()  # it lies within this one
            frames.append((begin, end))
    return frames
