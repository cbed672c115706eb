"""Which language a text is in."""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

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
    model = _model()
    return model.languages[int(model.likelihoods(text).argmax())]


def likely_languages(text: str) -> list[str]:
    """The languages that a text may be in, as ISO 639-1 codes, the likeliest first: only those with a stemmer or
    stop words, as no others make a difference."""
    model = _model()
    order = (-model.likelihoods(text)).argsort(kind="stable").tolist()
    return list(dict.fromkeys(model.languages[at] for at in order))


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words that are in most texts of a language; empty if no list of them is known."""
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


@dataclass(frozen=True, slots=True)
class _Model:
    """py3langid's model of some languages. Its own class keeps all of them, and sorts where a maximum would do: it
    takes two thirds more time and memory."""

    languages: Sequence[str]  # one may be there twice, for two scripts
    weights: npt.NDArray[np.float16]  # [features, languages]
    before: npt.NDArray[np.float32]  # [languages]
    automaton: tuple[Sequence[int], Sequence[int], Sequence[int]]  # finds features: what `visit_counts` takes

    @classmethod
    def of(cls, languages: frozenset[str]) -> Self:
        """Loaded in 0.2 s."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        model = LanguageIdentifier.from_model_file(MODEL_FILE)
        model.set_languages(languages.intersection(model.labels))
        rows = array("I", [row << 8 for row in model.tk_row])
        return cls(
            model.nb_classes,
            np.ascontiguousarray(model.nb_ptc),  # rows in sequence, as they are read
            model.nb_pc,
            (model.tk_nextmove, rows, array("i", model.tk_output)),
        )

    def likelihoods(self, text: str) -> npt.NDArray[np.float32]:
        """How likely each of `languages` is: logarithms, float32[languages]."""
        from py3langid.langid import visit_counts

        read = text[:LOOKED_AT]
        data = unicodedata.normalize("NFC", read.lower() if read.isupper() else read).encode(
            errors="surrogatepass"
        )
        likely = np.zeros(len(self.languages), np.float32)
        if found := visit_counts(*self.automaton, data):
            weights = self.weights[np.fromiter(found, np.intp, len(found))]
            counts = np.fromiter(found.values(), np.float32, len(found))
            likely += (np.log1p(counts) @ weights + self.before) / math.sqrt(len(data))
        likely[self.languages.index(ENGLISH)] += math.log(ENGLISH_BEFORE)
        return likely


@cache
def _model() -> _Model:
    """Loaded with the first text that has words."""
    import stopwordsiso

    return _Model.of(frozenset(stopwordsiso.langs()).union(STEMMERS))
