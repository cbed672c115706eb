"""Keyword matching: one small tokeniser and the BM25 weights made from it. Pure, and alike for every index.

Words of alphabetic scripts are normalised (NFKC, case, accents) and stemmed in the language of their text. Scripts
that are written without spaces (Chinese, Japanese, Thai ...) and Hangul are cut into overlapping pairs of characters,
which find 网球 in 我喜欢打网球 without a dictionary; single characters are matched too, for less.

A document's weight for a term is BM25's saturated frequency, a query's is how much the term matters. The
product is multiplied by the inverse document frequency within the tenant, which the index computes.

A query is short, and its language a guess: it is asked with its words' stems in the likeliest languages, and a
document answers to the one of its own.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import Stemmer

from .language import ENGLISH, STEMMERS, likely_language, likely_languages, stop_words

# BM25's saturation, and the length (in terms) from which on each term of a document counts for less: constant rather
# than the mean of the store, so that a document's vector never changes. Among short memories length says little; in
# an assistant's long answers half the terms of any question occur by chance.
K1 = 0.9
USUAL_LENGTH = 40.0

# Below a half: two shared characters apart from each other (球拍 / 拍球) weigh less than one shared pair.
CHARACTER_WEIGHT = 0.2

LONGEST_WORD = 40  # anything longer is not a word (a key, a hash): not stemmed and not cached

# Of a query's stop words, which are most of a question's words. Anything from .2 to .6 does as well; without
# them, or with them in full, less is found. Same bench.
STOP_WORD_WEIGHT = 0.3

QUERY_LANGUAGES = 2  # the likeliest ones, and English: same bench

# Characters at each end of a query from which its keywords are read. A longer one is a pasted page: the
# question is at its beginning or end, and most memories share words with the rest.
QUERY_ENDS = 2_000

_UNSPACED = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # 々〆〇 and kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul is written with spaces, but pairs see past its suffixes
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
)
_LETTERS = rf"(?:[^\W_{_UNSPACED}]|[\u0900-\u0963\u0966-\u0dff])+"  # Indic vowel signs are not \w
_TOKEN = re.compile(
    rf"([{_UNSPACED}]+)"
    rf"|(\d+(?:[.,]\d+)+(?![^\W_{_UNSPACED}]))"
    rf"|({_LETTERS}(?:'{_LETTERS})*)"
)
_PAIR = re.compile(rf"[{_UNSPACED}]{{2}}")
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652]")  # Latin, Greek, Cyrillic; Hebrew; Arabic
_CONTRACTION = re.compile(r"(?:n't|'(?:s|ll|re|ve|d|m))$")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_APOSTROPHES = str.maketrans("’ʼ", "''")
_UNDECOMPOSED = str.maketrans({"'": "", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae"})


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: indices are unique, in [0, 2**31); values are finite and positive."""

    indices: Sequence[int]
    values: Sequence[float]


def terms(text: str, language: str | None = None) -> list[str]:
    """The terms of a text in their order, repeated as often as they occur: stemmed words, numbers, and pairs of
    characters (a single character is a term by itself).

    language: of the words (ISO 639-1); None for that of the text. Texts to be compared are read in their
        `shared_language`.
    """
    tokens = list(_tokens(text))
    language = language or _language(text, tokens)
    return [_term(token, language) for token in tokens]


def content_terms(text: str, language: str | None = None) -> list[str]:
    """`terms` without stop words; all terms if there is nothing else."""
    tokens = list(_tokens(text))
    language = language or _language(text, tokens)
    return [_term(token, language) for token in tokens if not _is_stop_word(token, language)] or [
        _term(token, language) for token in tokens
    ]


def shared_language(texts: Iterable[str]) -> str:
    """The one language in which texts are compared: two short ones are easily taken for two languages."""
    return likely_language(" ".join(texts))


def vector_of_terms(found: list[str]) -> SparseVector:
    """What the index keeps of a text with these `terms`: each one's saturated frequency."""
    frequencies = Counter(found)
    for character in _paired_characters(found):
        frequencies[character] += 1
    hashed: dict[int, int] = {}
    for term, frequency in frequencies.items():
        at = term_index(term)
        hashed[at] = hashed.get(at, 0) + frequency
    norm = K1 * max(1.0, len(found) / USUAL_LENGTH)
    return SparseVector(list(hashed), [tf * (K1 + 1) / (tf + norm) for tf in hashed.values()])


def query_vector(text: str) -> SparseVector:
    """What the index is asked: each term's weight, 1.0, or less for a stop word and for a character that is part of a
    pair. In a query of only stop words they count in full."""
    weights = query_weights(text)
    return SparseVector(list(weights), list(weights.values()))


def query_weights(
    text: str, *, stop_word_weight: float = STOP_WORD_WEIGHT, languages: int = QUERY_LANGUAGES
) -> dict[int, float]:
    """`term_index` -> its weight in a query. stop_word_weight, languages: for benches that look for better ones."""
    if len(text) > 2 * QUERY_ENDS:
        text = f"{text[:QUERY_ENDS]} {text[-QUERY_ENDS:]}"
    tokens = list(_tokens(text))
    likely = likely_languages(text) if _has_words(tokens) else [ENGLISH]
    read_in = dict.fromkeys((*likely[:languages], ENGLISH))
    stops = [_is_stop_word(token, likely[0]) for token in tokens]
    usual = 1.0 if all(stops) else stop_word_weight
    weights: dict[int, float] = {}

    def ask(term: str, weight: float) -> None:
        at = term_index(term)
        weights[at] = max(weight, weights.get(at, 0.0))

    for token, is_stop_word in zip(tokens, stops, strict=True):
        for term in {_term(token, language): None for language in read_in}:
            ask(term, usual if is_stop_word else 1.0)
    for character in _paired_characters([token.text for token in tokens]):
        ask(character, CHARACTER_WEIGHT)
    return weights


def term_index(term: str) -> int:
    """A stable number for a term, in [0, 2**31)."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF


class _Token(NamedTuple):
    text: str
    is_word: bool  # of an alphabetic script, to be stemmed


def _tokens(text: str) -> Iterator[_Token]:
    normal = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    for run, number, word in _TOKEN.findall(normal):
        if run:
            for pair in _pairs(run):
                yield _Token(pair, False)
        elif number:
            yield _Token(_THOUSANDS.sub("", number), False)
        else:
            yield _Token(word, len(word) <= LONGEST_WORD)


def _language(text: str, tokens: list[_Token]) -> str:
    """The language of a text's words; any will do if there are none."""
    return likely_language(text) if _has_words(tokens) else ENGLISH


def _has_words(tokens: list[_Token]) -> bool:
    return any(token.is_word for token in tokens)


def _term(token: _Token, language: str) -> str:
    return stem(token.text, language) if token.is_word else token.text


def _is_stop_word(token: _Token, language: str) -> bool:
    return token.is_word and _plain(token.text) in _stop_words(language)


@lru_cache(maxsize=64)
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(_plain(word.casefold()) for word in stop_words(language))


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[at : at + 2] for at in range(len(run) - 1)]


def _paired_characters(found: list[str]) -> Iterator[str]:
    """The characters of the runs behind the pairs: every pair's first, and the last pair's second."""
    previous = ""
    for term in found:
        is_pair = not term.isascii() and bool(_PAIR.fullmatch(term))
        if previous and not (is_pair and term[0] == previous):
            yield previous
        previous = ""
        if is_pair:
            yield term[0]
            previous = term[1]
    if previous:
        yield previous


@lru_cache(maxsize=65_536)
def stem(word: str, language: str) -> str:
    """A word without its inflection, accents and apostrophes. Languages without a stemmer use English's: a foreign
    word in their texts is most often English, and words in other letters stay as they are."""
    bare = _CONTRACTION.sub("", word) or word
    # A stemmer keeps its word in itself, so each word has its own, made in 1 µs: threads share nothing.
    stemmer = Stemmer.Stemmer(STEMMERS.get(language, STEMMERS[ENGLISH]), 0)
    return _plain(stemmer.stemWord(bare)) or word


def _plain(word: str) -> str:
    """A word without accents, apostrophes and strokes through letters."""
    bare = _CONTRACTION.sub("", word) or word
    if not bare.isascii():
        bare = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", bare))) or bare
    return bare.translate(_UNDECOMPOSED) or word
