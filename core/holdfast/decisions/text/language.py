"""Which language a text is in, as far as it matters here: whether it is Chinese, by its characters alone."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")


def language_of(text: str) -> Language:
    """ "zh" where most of a text is Chinese: a word of another script weighs as much as two characters. Else "en",
    which stands for every other language: models are asked in English, and told to answer in the text's own."""
    han = len(_HAN.findall(text))
    chinese = han > 2 * len(_WORD.findall(text)) and han > 4 * len(_KANA_OR_HANGUL.findall(text))
    return "zh" if chinese else "en"
