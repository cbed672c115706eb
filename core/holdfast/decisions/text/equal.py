"""When two texts are equal: the one comparison that merges without a model's word. Knows no language."""

from __future__ import annotations

import re
import unicodedata

# Punctuation that carries meaning of its own: C#, 5%, -3, a/b.
_MEANT = frozenset("#%&@*/\\-")
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af\uff00-\uffef\U00020000-\U0003ffff"  # written without spaces
_BETWEEN_WIDE = re.compile(rf"(?<=[{_WIDE}])\s+(?=[{_WIDE}])")

_SIGN = re.compile(r"[^\w\s]|_")  # all punctuation is among these


def normalised(text: str) -> str:
    """`text` without what never changes its meaning: case, white space, forms of one character (NFKC), and the
    punctuation between words. The order of the words, and every sign within one (1.5, it's), stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = _SIGN.sub(lambda sign: " " if _parts(folded, sign.start()) else sign[0], folded)
    words = _BETWEEN_WIDE.sub("", " ".join(kept.split()))
    return words or " ".join(folded.split())


def _parts(text: str, at: int) -> bool:
    """Whether the character at a place is punctuation beside a word rather than in one."""
    character = text[at]
    if not unicodedata.category(character).startswith("P") or character in _MEANT:
        return False
    around = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    return not all(side.isalnum() and not _is_wide(side) for side in around)


def _is_wide(character: str) -> bool:
    return character > "\u2e7f"
