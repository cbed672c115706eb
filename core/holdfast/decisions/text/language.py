"""Which language a text is in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

Language = Literal["en", "zh"]

# ISO 639-1 -> Snowball's name.
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip

ENGLISH = "en"  # its words occur in texts of every other language
# How much likelier than another language, before a text is seen. With it, none of 20 English notes of two or
# three words is misjudged, without it seven; of 212 sentences in 15 languages four instead of two.
ENGLISH_BEFORE = 10
LOOKED_AT = 1_000  # characters: more tell a text's language no better

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")


def language_of(text: str) -> Language:
    """ "zh" where most of a text is Chinese: a word of another script weighs as much as two characters. Else "en",
    which stands for every other language: models are asked in English, and told to answer in the text's own."""
    han = len(_HAN.findall(text))
    chinese = han > 2 * len(_WORD.findall(text)) and han > 4 * len(_KANA_OR_HANGUL.findall(text))
    return "zh" if chinese else "en"


def likely_language(text: str) -> str:
    """The first of `likely_languages`."""
    ranked: Sequence[tuple[str, float]] = _identifier().rank(text[:LOOKED_AT])
    first, likely = ranked[0]
    return ENGLISH if _english(ranked) >= likely else first


def likely_languages(text: str) -> list[str]:
    """The languages that a text may be in, as ISO 639-1 codes, the likeliest first: only those with a stemmer or
    stop words, as no others make a difference."""
    ranked = _identifier().rank(text[:LOOKED_AT])
    english = _english(ranked)
    others = [(language, likely) for language, likely in ranked if language != ENGLISH]
    before = [language for language, likely in others if likely > english]
    return [*before, ENGLISH, *(language for language, _ in others[len(before) :])]


def _english(ranked: Sequence[tuple[str, float]]) -> float:
    return ENGLISH_BEFORE * next(likely for language, likely in ranked if language == ENGLISH)


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words that are in most texts of a language; empty if no list of them is known."""
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


@cache
def _identifier() -> LanguageIdentifier:
    """Loaded with the first text that has words, in 0.2 s."""
    import stopwordsiso
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = stopwordsiso.langs().union(STEMMERS)
    identifier.set_languages(known.intersection(identifier.labels))
    # It leaves the columns in sequence, and reads rows: in the order of rows it takes a fifth less time.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc)
    return identifier
