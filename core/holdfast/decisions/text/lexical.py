"""Keyword matching: one small tokeniser and the BM25 weights made from it. Pure, and alike for every index.

Words of alphabetic scripts are normalised (NFKC, case, accents) and stemmed. Scripts that are written
without spaces (Chinese, Japanese, Thai ...) and Hangul are cut into overlapping pairs of characters, which
find 网球 in 我喜欢打网球 without a dictionary; single characters are matched too, for less.

A document's weight for a term is BM25's saturated frequency, a query's is how much the term matters. The
product is multiplied by the inverse document frequency within the tenant, which the index computes.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

# BM25's saturation, and the length (in terms) from which on each term of a document counts for less: constant rather
# than the mean of the store, so that a document's vector never changes. Among short memories length says little; in
# an assistant's long answers half the terms of any question stand by chance.
K1 = 0.9
USUAL_LENGTH = 40.0

# Below a half: two shared characters that stand apart (球拍 / 拍球) weigh less than one shared pair.
CHARACTER_WEIGHT = 0.2

LONGEST_WORD = 40  # what is longer is no word (a key, a hash): not stemmed and not cached

# Dropped from queries only, where they are most of a question's words; documents keep them, so that a query
# of nothing else ("who are you?") still matches. Same bench.
_STOP_WORDS = """
    a about after again all also am an and any are as at be been before being between both but by ca can
    could did do does doing during each few for from had has have having he her here hers herself him himself
    his how i if in into is it its itself just let me more most my myself no nor not now of off on once only
    or other our ours ourselves out over own same she should so some such than that the their theirs them
    themselves then there these they this those through to too under until up very was we were what when
    where which while who whom whose why will with wo would you your yours yourself yourselves
    cant didnt doesnt dont im isnt wont"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

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
_UNDECOMPOSED = str.maketrans({"’": "'", "ʼ": "'", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae"})


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: indices are unique, in [0, 2**31); values are finite and positive."""

    indices: Sequence[int]
    values: Sequence[float]


def terms(text: str) -> list[str]:
    """The terms of a text in their order, repeated as often as they occur: stemmed words, numbers, and pairs
    of characters (a character that stands alone is a term by itself)."""
    return [term for term, _ in _tokens(text)]


def content_terms(text: str) -> list[str]:
    """`terms` without stop words; all terms where there is nothing else."""
    tokens = list(_tokens(text))
    content = [term for term, is_content in tokens if is_content]
    return content or [term for term, _ in tokens]


def document_vector(text: str) -> SparseVector:
    """What the index keeps of a text: each term's saturated frequency."""
    return vector_of_terms(terms(text))


def vector_of_terms(found: list[str]) -> SparseVector:
    """`document_vector` of a text whose `terms` are known already."""
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
    """What the index is asked: each term's weight, 1.0, or less for a character that is part of a pair."""
    found = content_terms(text)
    weights = dict.fromkeys(_paired_characters(found), CHARACTER_WEIGHT) | dict.fromkeys(found, 1.0)
    return _hashed(weights)


def term_index(term: str) -> int:
    """A stable number for a term, in [0, 2**31)."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF


def _hashed(weights: Mapping[str, float]) -> SparseVector:
    merged: dict[int, float] = {}
    for term, weight in weights.items():
        index = term_index(term)
        merged[index] = max(weight, merged.get(index, 0.0))
    return SparseVector(list(merged), list(merged.values()))


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Terms, and whether they carry content of their own."""
    normal = unicodedata.normalize("NFKC", text).casefold().translate(_UNDECOMPOSED)
    for run, number, word in _TOKEN.findall(normal):
        if run:
            for pair in _pairs(run):
                yield pair, True
        elif number:
            yield _THOUSANDS.sub("", number), True
        else:
            yield _word(word) if len(word) <= LONGEST_WORD else (word, True)


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
def _word(word: str) -> tuple[str, bool]:
    """A word's stem, and whether it is more than a stop word."""
    plain = _CONTRACTION.sub("", word).replace("'", "") or word
    if not plain.isascii():
        plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", plain))) or plain
    if plain in STOP_WORDS:
        return plain, False
    # A stemmer keeps its word in itself, so each word has its own: threads share nothing, and words are cached.
    return str(snowballstemmer.stemmer("english").stemWord(plain)), True
