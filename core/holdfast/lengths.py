"""How long a text is for a language model, without its vocabulary."""

from __future__ import annotations

import re

_WIDE = re.compile("[\u2e80-\U0010ffff]")


def estimate_tokens(text: str) -> int:
    """A wide character (above U+2E7F: Chinese, Japanese, Korean, emoji) is one token, four others are one.

    Measured against o200k_base: English 1.27 times the true count, Chinese 1.12, code 0.63.
    """
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return wide + (len(text) - wide + 3) // 4
