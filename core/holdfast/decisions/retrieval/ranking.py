"""Which candidates answer a query best: pure, and from what the index returns alone.

Dense and keyword scores are each brought to [0, 1] and summed; then a candidate's surroundings count (the turns
next to it, its episode), and whether the query names its speaker or its date. No word of any language is known here.
The few facets of a memory that matter are in the index, and candidates carry them packed (`payload.facets`): a search
looks at hundreds of candidates, so it works on columns.

Whatever is absent counts as nothing: a store without speakers, times or positions ranks by the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..text.dates import Dates, dates
from .candidates import UNKNOWN, Candidates

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Table = npt.NDArray[np.void]  # of `candidates.TABLE`
Pairs = tuple[Integers, Integers]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal adds at most, relative to the dense score's 1.0; the figures lie on plateaus.

    What each is worth on every set, what others would give, and how weights fitted without a set do on it:
    `python bench/quality/retrieval.py --ablation --sweep --cross-validate`.
    """

    keyword: float = 0.7
    nearby: float = 0.2  # the turn before, and the turn after, each: as far as such turns are alike
    episode: float = 0.8
    speaker: float = 0.5
    date: float = 1.0


WEIGHTS = Weights()
ALONE = Weights(nearby=0.0, episode=0.0, speaker=0.0, date=0.0)  # by a memory's own text only

# Below this many candidates their spread says little, and 0 is the floor of their dense scores. Whatever
# their number, the best dense score counts in full only if it is that far above the floor.
_FEW = 10
_LEAST_SPREAD = 0.25
# The best keyword score counts in full from here on: a very rare term, or several others.
_LEAST_KEYWORD = 6.0

# If the best cosine is below the first and no shared word is rare, at most a few memories are relevant to the
# query; if it is below the second and no word is shared, none is ("hi", "thanks"). Almost none of the sets'
# questions has its evidence beyond that.
_NEAR, _FAR, _FEW_SHOWN = 0.3, 0.15, 5
_RARE = 2.5

_WEAK = 0.25  # the quantile of the scores of all candidates at which one is called weak
_SHORT = 50  # terms; the longer a text, the less it needs the turns next to it
_ALIKE = 0.25  # an autocorrelation of scores from which on turns next to each other are alike
_FEW_PAIRS = 30  # of neighbours, with which it is believed by half
_YEAR_ALONE = 0.2  # of a date, if the query names a day or nothing else


@dataclass(frozen=True, slots=True)
class RankQuery:
    """What a query says beyond its words.

    speakers: the known speakers it names, lower-cased.
    dates: the dates it names in numbers.
    """

    speakers: frozenset[str] = frozenset()
    dates: Dates = Dates()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Ranked:
    """id: the candidate's. score: in [0, 1]. parts: signal -> what it added to the score."""

    id: str
    score: float
    parts: Mapping[str, float]


class Signal(NamedTuple):
    """values: per candidate, in [0, most]. most: 0 if the query does not ask for it."""

    values: Floats
    most: float


# --- texts and queries ------------------------------------------------------------------------------------


def indexed_text(text: str, speakers: Sequence[str]) -> str:
    """What is embedded and matched for a memory: its text, after "{speaker}: " if one speaker is known
    and the text does not begin with that name."""
    if len(speakers) != 1 or not speakers[0]:
        return text
    name = speakers[0].casefold()
    return text if _names(text.casefold()[: len(name) + 1], name) else f"{speakers[0]}: {text}"


def understand(query: str, speakers: Collection[str]) -> RankQuery:
    """What `query` says beyond its words; `speakers` are the known ones, in any case."""
    folded = query.casefold()
    named = frozenset(name for name in (s.casefold() for s in speakers) if _names(folded, name))
    return RankQuery(named, dates(query))


def worth_showing(candidates: Candidates) -> int:
    """How many of the best candidates an agent should see at most, as nothing else is relevant to the query."""
    if not candidates:
        return 0
    nearest, words = candidates.dense.max(), candidates.sparse.max()
    if nearest >= _NEAR or words >= _RARE:
        return len(candidates)
    return _FEW_SHOWN if nearest >= _FAR or words > 0 else 0


def known_speakers(candidates: Candidates) -> set[str]:
    """Everyone who is a speaker of some candidate, lower-cased."""
    return set(chain.from_iterable(set(candidates.speakers)))


def _names(folded: str, name: str) -> bool:
    """Whether a case-folded text names someone, by the whole name or by a first name of three letters."""
    if name.upper() == name.lower():  # a script without case, most of which are written without spaces
        return bool(name.strip()) and name in folded
    first = name.split()[0]
    forms = {name, first if len(first) > 2 else name}
    return any(form in folded and re.search(rf"(?<!\w){re.escape(form)}(?!\w)", folded) for form in forms)


# --- ranking ----------------------------------------------------------------------------------------------


def rank(
    query: RankQuery,
    candidates: Candidates,
    *,
    limit: int,
    threshold: float | None = None,
    weights: Weights = WEIGHTS,
) -> list[Ranked]:
    """The best `limit` candidates, best first; among equals, the one written last.

    threshold: the lowest score of a hit.
    """
    if not candidates or limit < 1:
        return []
    found = signals(query, candidates, keyword=weights.keyword)
    most = sum(weight * found[name].most for name, weight in _weights(weights).items())
    parts = {name: found[name].values * (weight / most) for name, weight in _weights(weights).items()}
    scores = np.clip(sum(parts.values()), 0.0, 1.0)
    order = sorted(_best(scores, limit), key=lambda at: (scores[at], candidates.ids[at]), reverse=True)
    return [
        Ranked(candidates.ids[at], float(scores[at]), {name: float(part[at]) for name, part in parts.items()})
        for at in order[:limit]
        if threshold is None or scores[at] >= threshold
    ]


def _best(scores: Floats, limit: int) -> list[int]:
    """Where the best `limit` scores are, and whatever equals the last of them, in any order."""
    if len(scores) <= limit:
        return list(range(len(scores)))
    least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    return [int(at) for at in np.flatnonzero(scores >= least)]


def signals(
    query: RankQuery, candidates: Candidates, *, keyword: float = WEIGHTS.keyword
) -> dict[str, Signal]:
    """What is weighed: "dense" and the names of `Weights`.

    keyword: its weight in the score of a candidate alone, of which "nearby" and "episode" are made.
    """
    seen = candidates.seen
    dense = _normalised_dense(candidates.dense)
    words = _normalised_keyword(candidates.sparse)
    around = _Surroundings(seen, dense + keyword * words)
    alike = around.alike()
    nearby = alike * (around.before() + around.after()) * _shortness(seen["words"])
    return {
        "dense": Signal(dense, 1.0),
        "keyword": Signal(words, 1.0),
        "nearby": Signal(nearby, 2 * (1.0 + keyword) * alike),
        "episode": Signal(around.episode() / (1.0 + keyword), 1.0),
        "speaker": Signal(_spoken_by(query.speakers, candidates), float(len(query.speakers) == 1)),
        "date": Signal(_dated(query.dates, seen["happened"]), float(bool(query.dates))),
    }


@cache
def _weights(weights: Weights) -> Mapping[str, float]:
    return {"dense": 1.0} | asdict(weights)


def _normalised_dense(dense: Floats) -> Floats:
    low = float(dense.min())
    if len(dense) < _FEW:
        low = min(low, 0.0)
    return np.asarray((dense - low) / max(float(dense.max()) - low, _LEAST_SPREAD))


def _normalised_keyword(scores: Floats) -> Floats:
    """Scores as a share of the best one."""
    return np.asarray(np.maximum(scores, 0.0) / max(float(scores.max()), _LEAST_KEYWORD))


def _shortness(words: npt.NDArray[np.uint32]) -> Floats:
    return np.asarray(np.minimum(1.0, _SHORT / np.maximum(words, 1)))


def _spoken_by(named: frozenset[str], candidates: Candidates) -> Floats:
    """1 for what was said by the one speaker that the query names; several names say nothing."""
    if len(named) != 1:
        return np.zeros(len(candidates))
    (name,) = named
    return np.array([float(name in speakers) for speakers in candidates.speakers])


def _dated(asked: Dates, happened: Integers) -> Floats:
    """1 for what happened on a date asked about, less if only the year is known to agree."""
    if not asked:
        return np.zeros(len(happened))
    moments = np.where(happened == UNKNOWN, 0, happened).astype("datetime64[us]")
    months = moments.astype("datetime64[M]")
    day = (moments.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    year, month = np.divmod(months.astype(np.int64), 12) + np.array([[1970], [1]])
    of_day = 10_000 * year + 100 * month + day
    full = np.array([10_000 * y + 100 * m + d for y, m, d in asked.full], dtype=np.int64)
    named = np.isin(of_day, full) | np.isin(of_day - day, full)
    this_year = np.isin(year, [*asked.years])
    named |= this_year & np.isin(day, [*asked.days])
    score = np.where(named, 1.0, np.where(this_year, _YEAR_ALONE, 0.0))
    return np.asarray(np.where(happened == UNKNOWN, 0.0, score))


class _Surroundings:
    """Which candidates are next to each other: positions are per scope, neighbours per episode."""

    def __init__(self, seen: Table, scores: Floats) -> None:
        # Sorted, an episode's candidates follow one another, and in it those of a place.
        order = np.lexsort((seen["position"], seen["episode"]))
        episodes, positions = seen["episode"][order], seen["position"][order]
        # Each candidate without a known place is alone in its own episode.
        episode_begins = _changes(episodes) | (episodes == UNKNOWN)
        place_begins = episode_begins | _changes(positions)
        starts = np.flatnonzero(place_begins)
        self._order = order
        self._episode_of, self._place_of = np.cumsum(episode_begins) - 1, np.cumsum(place_begins) - 1
        self._best_of_episode = np.maximum.reduceat(scores[order], np.flatnonzero(episode_begins))
        self._best = np.maximum.reduceat(scores[order], starts)
        self._place = self._episode_of[starts], positions[starts]
        self._adjoining = self._apart(1)
        self._weak = _weak(scores)
        self._mean, self._variance = float(scores.mean()), float(scores.var())

    def before(self) -> Floats:
        """The best score at the position before; that of a weak candidate if there is none, so that the first and the
        last of an episode, and those without a neighbour among the candidates, are not penalised."""
        found = np.full(len(self._best), self._weak)
        earlier, later = self._adjoining
        found[later] = self._best[earlier]
        return self._of(found[self._place_of])

    def after(self) -> Floats:
        """As `before`, at the position after."""
        found = np.full(len(self._best), self._weak)
        earlier, later = self._adjoining
        found[earlier] = self._best[later]
        return self._of(found[self._place_of])

    def alike(self) -> float:
        """How far turns next to each other are alike in this search, in [0, 1]: the autocorrelation of their scores,
        near 0 if neighbours are unrelated. Where two take turns, the last but one may be more alike."""
        found = max(self._correlation(self._adjoining), self._correlation(self._apart(2)))
        return min(1.0, max(0.0, found / _ALIKE))

    def _correlation(self, pairs: Pairs) -> float:
        earlier, later = (self._best[places] - self._mean for places in pairs)
        return float(earlier @ later) / (max(self._variance, 1e-9) * (len(earlier) + _FEW_PAIRS))

    def _apart(self, distance: int) -> Pairs:
        """The places that are `distance` positions apart in an episode: the earlier and the later of each pair."""
        episodes, positions = self._place
        earlier, later = [], []
        for back in range(1, distance + 1):  # in the list, as places between them may be missing
            same = episodes[back:] == episodes[:-back]
            found = np.flatnonzero(same & (positions[back:] - positions[:-back] == distance))
            earlier.append(found)
            later.append(found + back)
        return np.concatenate(earlier), np.concatenate(later)

    def episode(self) -> Floats:
        """The best score in each candidate's episode."""
        return self._of(self._best_of_episode[self._episode_of])

    def _of(self, found: Floats) -> Floats:
        """From the sorted order to that of the candidates."""
        scores = np.empty_like(found)
        scores[self._order] = found
        return scores


def _changes(column: Integers) -> npt.NDArray[np.bool_]:
    """Where a column differs from the row before; in the first row it does."""
    different = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=different[1:])
    return different


def _weak(scores: Floats) -> float:
    at = int(_WEAK * (len(scores) - 1))
    return float(np.partition(scores, at)[at])
