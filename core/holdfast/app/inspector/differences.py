"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "gone", "new"]

MOST = 2000  # words of both texts; beyond that the comparison takes too long and shows nothing useful
# A word, a space or a sign; of scripts that are written without spaces (Han, Kana), each character.
WORDS = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff\uf900-\ufaff]+|\s+|.", re.S)


def differences(before: str, after: str) -> list[tuple[Kind, str]]:
    """Both texts in pieces: what stayed, what is gone, what is new; in reading order."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    if len(old) + len(new) > MOST:
        return [("gone", before), ("new", after)]
    return list(_pieces(old, new))


def _pieces(old: list[str], new: list[str]) -> Iterator[tuple[Kind, str]]:
    gone = came = ""
    for kind, start, end, other, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = "".join(old[start:end]), "".join(new[other:stop])
        if kind != "equal" or (gone and came and left.isspace()):  # a space between two changes joins them
            gone, came = gone + left, came + right
            continue
        yield from _changed(gone, came)
        yield "same", left
        gone = came = ""
    yield from _changed(gone, came)


def _changed(gone: str, came: str) -> Iterator[tuple[Kind, str]]:
    if gone:
        yield "gone", gone
    if came:
        yield "new", came
