"""Which candidates answer a query best: pure, and from what the index returns alone.

Dense and keyword scores are each brought to [0, 1] and summed; then the conversation around a candidate
counts (the turns next to it, its episode), who said it, when, and what kind of sentence it is. Nothing is
asked of the ledger: the few traits of a text that matter lie in the index (`traits`), and candidates carry them
packed (`index.facets`): a search looks at hundreds of candidates, so they are worked on in columns.

Whatever is absent counts as nothing: a store without speakers, times or positions ranks by the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ..text.lexical import terms
from ..text.periods import mentioned
from .candidates import MARKS, UNKNOWN, Candidate, table

Floats = npt.NDArray[np.float64]
Table = npt.NDArray[np.void]  # of `index.facets.TABLE`

_DAY = 86_400 * 1_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal adds at most, relative to the dense score's 1.0.

    Chosen together on LoCoMo's turns and observations, with two embedders, where the figures lie on a plateau.
    What each is worth, what others would give, and what weights fitted without a conversation reach on it:
    `python -m bench.quality.retrieval locomo.json --ablation --sweep --cross-validate`.
    """

    keyword: float = 0.9
    answer: float = 0.3  # the turn before it is a question: an answer shares few words with its question
    before: float = 0.15  # whatever the turn before it is
    after: float = 0.25
    nearby: float = 0.2  # two turns away, each
    episode: float = 0.8
    speaker: float = 0.6
    oneself: float = 0.15  # ... and the speaker named speaks of himself or herself
    period: float = 1.3
    when: float = 0.4
    statement: float = 0.15  # questions tell little
    length: float = 0.4
    recency: float = 0.02


WEIGHTS = Weights()

# The constants below: `python -m bench.quality.retrieval locomo.json --sweep`.

# Talk about an event follows it: what was said some days after the time asked about still counts, what was
# said before it counts less.
_DAYS_AFTER = 7.0
_DAYS_BEFORE = 2.0
_RECENCY_HALF_LIFE = 90.0  # days

# Below this many candidates their spread says little: 0 is then the floor of their dense scores. Whatever
# their number, the best dense score counts in full only if it is that much above the floor.
_FEW = 10
_LEAST_SPREAD = 0.25

# Turns need the turns next to them to be understood; facts that were extracted stand for themselves. The
# less of the candidates is talk, the less neighbours count, down to this share.
_FACTS_CONTEXT = 0.3
_WEAK = 0.25  # the quantile of the scores of all candidates at which one is called weak
_LONG = 40  # terms
_EPISODE_TOP = 3  # the best members of an episode that speak for it


@dataclass(frozen=True, slots=True)
class RankQuery:
    """What a query says beyond its words.

    speakers: the known speakers that it names, lower-cased.
    periods: the times that it names, as spans [from, until) in microseconds.
    asks_when: it wants a time for an answer.
    """

    speakers: frozenset[str] = frozenset()
    periods: tuple[tuple[int, int], ...] = ()
    asks_when: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """id: the candidate's. score: in [0, 1]. parts: signal -> what it added to the score."""

    id: str
    score: float
    parts: Mapping[str, float]


# --- texts, when they are written -------------------------------------------------------------------------

_CAPTION = re.compile(r"\s*\[[^\[\]]*\]\s*$")
_QUESTION = re.compile(r"(?:[?？][\"'”’)）]*|[吗呢么][。!！~]*)$")
_ADDRESS = re.compile(r"[,，]\s*\w+\s*(?=[.,!?。，！？]|$)")
_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|last|next|ago|recently|lately|since|just|soon|earlier|later"
    r"|mornings?|evenings?|weekends?|weeks?|months?|years?|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    rf"|{_MONTHS}|in may|(?:19|20)\d\d)\b"
    r"|[昨今明前后]天|[昨今明]晚|[上下这本][个]?(?:周|星期|礼拜|月|年|季度)|[去今明前后]年|刚刚|刚才|最近|以前|之前|以后|之后"
    r"|(?:周|星期|礼拜)[一二三四五六日天末]|[\d一二三四五六七八九十]月|\d[日号]|\d{4}年|早上|上午|下午|晚上",
)

_ONESELF = re.compile(r"\b(?:I|[Mm]y|[Mm]e|[Mm]yself|[Ww]e|[Oo]ur|[Uu]s)\b|[我咱俺]")
_TALK = re.compile(r"\b(?:you|your|yours)\b|[!?！？你您]", re.IGNORECASE)


def indexed_text(text: str, speakers: Sequence[str]) -> str:
    """What is embedded and matched for a memory: its text, after "{speaker}: " where one speaker is known
    and the text does not name them already (but to address somebody: "I see, Caroline.")."""
    if len(speakers) != 1 or not speakers[0]:
        return text
    told = _ADDRESS.sub(" ", text).casefold()
    return text if _names(told, speakers[0].casefold()) else f"{speakers[0]}: {text}"


_PREFIX = re.compile(r"\s*([A-Z][\w'’.-]*(?: [A-Z][\w'’.-]*){0,2}|[\u4e00-\u9fff]{2,4})\s?[:：]\s*\S")


def said_by(text: str, speakers: Sequence[str]) -> list[str]:
    """Who is looked for as the speaker of a memory, case-folded: those known by name, else the one that the
    text itself names in front ("Caroline: I like tea")."""
    if not speakers and (prefix := _PREFIX.match(text)):
        speakers = [prefix[1]]
    return [name.casefold() for name in speakers]


def traits(text: str, words: int | None = None) -> dict[str, int]:
    """What ranking wants to know of a text, for its payload: `w` its number of terms; where it holds, as 1:
    `q` a question, `t` tells a time, `i` speaks of oneself, `y` is talk: somebody speaks of oneself, to somebody,
    asks or exclaims, as turns of a conversation do and facts do not. words: how many terms, where that is known."""
    found = {"w": len(terms(text)) if words is None else words}
    if is_question(text):
        found["q"] = 1
    if _TIME.search(text.casefold()):
        found["t"] = 1
    if _ONESELF.search(text):
        found["i"] = 1
    if "i" in found or _TALK.search(text):
        found["y"] = 1
    return found


def is_question(text: str) -> bool:
    """Whether a text ends as a question (a trailing note in brackets aside)."""
    return bool(_QUESTION.search(_CAPTION.sub("", text.rstrip())))


# --- the query --------------------------------------------------------------------------------------------

_ANOTHER_TIME = timedelta(days=3653)  # only full dates mean the same ten years earlier
_ASKS_WHEN = re.compile(
    r"^\W*(?:since |until |by )?(?:when\b|how long\b|(?:what|which) (?:date|day|week|month|season|year)\b)"
    r"|^\W*what time\b"
    r"|什么时候|何时|哪[一]?[天年月日周]|几[月号点]|多久|多长时间|什么时间|哪个月|哪个星期",
    re.IGNORECASE,
)


def understand(query: str, speakers: Collection[str], now: datetime) -> RankQuery:
    """What `query`, asked at `now`, says beyond its words; `speakers` are the known ones, in any case."""
    folded = query.casefold()
    named = frozenset(name for name in (s.casefold() for s in speakers) if _names(folded, name))
    return RankQuery(speakers=named, periods=_periods(query, now), asks_when=bool(_ASKS_WHEN.search(query)))


def _periods(query: str, now: datetime) -> tuple[tuple[int, int], ...]:
    """The spans of time that a query names. Beside a full date, those that are relative or lack a year are
    reckoned from it ("between 11 August and 15 August 2023", "the Friday before 23 January 2022")."""
    spans = mentioned(query, now)
    known = set(spans)
    full = [span for span in mentioned(query, now - _ANOTHER_TIME) if span in known]
    if full and len(full) < len(spans):
        spans = mentioned(query, full[-1][0])
    return tuple((_microseconds(start), _microseconds(end)) for start, end in dict.fromkeys(spans))


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def known_speakers(candidates: Iterable[Candidate]) -> set[str]:
    """Everyone who is a speaker of some candidate, lower-cased."""
    return {name for candidate in candidates for name in candidate.facets.speakers}


def _names(folded: str, name: str) -> bool:
    """Whether a case-folded text names someone, by the whole name or by a first name of three letters."""
    if not name.isascii():
        return name in folded
    first = name.split()[0] if name.split() else name
    return any(
        re.search(rf"(?<![a-z0-9]){re.escape(form)}(?![a-z0-9])", folded)
        for form in {name, first if len(first) > 2 else name}
        if form
    )


# --- ranking ----------------------------------------------------------------------------------------------


def rank(
    query: RankQuery,
    candidates: Sequence[Candidate],
    *,
    limit: int,
    now: datetime,
    threshold: float | None = None,
    weights: Weights = WEIGHTS,
) -> list[Ranked]:
    """The best `limit` candidates, best first; ties in the order of their ids.

    threshold: the least score of a hit.
    """
    if not candidates or limit < 1:
        return []
    found = signals(query, candidates, now, keyword=weights.keyword)
    most = sum(_reach(query, weights).values())
    parts = {name: found[name] * (weight / most) for name, weight in _weights(weights).items()}
    scores = np.clip(sum(parts.values()), 0.0, 1.0)
    order = _best(scores, limit)
    order.sort(key=lambda at: (-scores[at], candidates[at].id))
    return [
        Ranked(candidates[at].id, float(scores[at]), {name: float(part[at]) for name, part in parts.items()})
        for at in order[:limit]
        if threshold is None or scores[at] >= threshold
    ]


def _best(scores: Floats, limit: int) -> list[int]:
    """Where the best `limit` scores are, and whatever equals the last of them; in any order."""
    if len(scores) <= limit:
        return list(range(len(scores)))
    least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    return [int(at) for at in np.flatnonzero(scores >= least)]


def signals(
    query: RankQuery, candidates: Sequence[Candidate], now: datetime, *, keyword: float = WEIGHTS.keyword
) -> dict[str, Floats]:
    """What is weighed, per candidate: "dense" and the names of `Weights`. All lie in [0, 1] but those that look
    at other candidates: they go up to 1 + `keyword` (nearby to twice that), the weight by which keywords count
    for the score of a candidate alone."""
    seen = table(candidate.facets for candidate in candidates)
    dense = _normalised_dense(np.array([candidate.dense for candidate in candidates], dtype=np.float64))
    words = _share(np.array([candidate.sparse for candidate in candidates], dtype=np.float64))
    alone = dense + keyword * words
    asking = _marked(seen, "q")
    speaker = _spoken_by(query.speakers, candidates)
    around = _Surroundings(seen)
    best = around.best(alone)
    context = _FACTS_CONTEXT + (1.0 - _FACTS_CONTEXT) * float(_marked(seen, "y").mean())
    return {
        "dense": dense,
        "keyword": words,
        "answer": context * around.at(-1, around.best(alone * asking)),
        "before": context * around.at(-1, best),
        "after": context * around.at(1, best),
        "nearby": context * (around.at(-2, best) + around.at(2, best)),
        "episode": around.episode(alone) * float(alone.max()) / (1.0 + keyword),
        "speaker": speaker,
        "oneself": speaker * _marked(seen, "i"),
        "period": _within(query.periods, seen["happened"]),
        "when": query.asks_when * _marked(seen, "t"),
        "statement": 1.0 - asking,
        "length": _substance(seen["words"].astype(np.float64)),
        "recency": _recency(seen, now),
    }


def _weights(weights: Weights) -> dict[str, float]:
    return {"dense": 1.0} | {field.name: getattr(weights, field.name) for field in fields(weights)}


def _reach(query: RankQuery, weights: Weights) -> dict[str, float]:
    """The most that each signal can add for this query."""
    reach = _weights(weights)
    for name in ("answer", "before", "after", "nearby"):
        reach[name] *= (1.0 + weights.keyword) * (2 if name == "nearby" else 1)
    asked = {"speaker": len(query.speakers) == 1, "period": bool(query.periods), "when": query.asks_when}
    asked["oneself"] = asked["speaker"]
    return {name: most for name, most in reach.items() if asked.get(name, True)}


def _normalised_dense(dense: Floats) -> Floats:
    low = float(dense.min())
    if len(dense) < _FEW:
        low = min(low, 0.0)
    return np.asarray((dense - low) / max(float(dense.max()) - low, _LEAST_SPREAD))


def _share(scores: Floats) -> Floats:
    """Scores as a share of the best one."""
    best = float(scores.max())
    return np.maximum(scores, 0.0) / best if best > 0 else np.zeros(len(scores))


def _marked(seen: Table, key: str) -> Floats:
    """1 where the trait holds."""
    return ((seen["marks"] >> MARKS.index(key)) & 1).astype(np.float64)


def _spoken_by(named: frozenset[str], candidates: Sequence[Candidate]) -> Floats:
    """1 for what was said by the one speaker that the query names; several names tell nothing."""
    if len(named) != 1:
        return np.zeros(len(candidates))
    (name,) = named
    return np.array([float(name in candidate.facets.speakers) for candidate in candidates])


def _within(periods: Sequence[tuple[int, int]], moments: npt.NDArray[np.int64]) -> Floats:
    """1 for what happened in a period asked about, less the further away."""
    best = np.zeros(len(moments))
    if not periods:
        return best
    happened = moments.astype(np.float64)
    for start, end in periods:
        gap = np.maximum(happened - end, 0.0) / (_DAYS_AFTER * _DAY)
        gap += np.maximum(start - happened, 0.0) / (_DAYS_BEFORE * _DAY)
        best = np.maximum(best, np.exp(-gap))
    return np.asarray(best * (moments != UNKNOWN))


def _substance(words: Floats) -> Floats:
    """Longer texts say more, up to a point: a pasted page says no more than a long turn."""
    return np.asarray(np.minimum(np.log1p(words) / np.log1p(_LONG), 1.0))


def _recency(seen: Table, now: datetime) -> Floats:
    happened = seen["happened"]
    said = np.where(happened == UNKNOWN, seen["created"], happened).astype(np.float64)
    days = np.maximum(now.timestamp() * 1_000_000 - said, 0.0) / _DAY
    return np.asarray(np.exp2(-days / _RECENCY_HALF_LIFE))


class _Surroundings:
    """Who lies next to whom. Positions count within a scope, and neighbours within an episode."""

    _SPAN = 1 << 40  # more than any position, so that keys of two episodes never touch

    def __init__(self, seen: Table) -> None:
        known, self._episodes = np.unique(seen["episode"], return_inverse=True)
        alone = np.flatnonzero(seen["episode"] == UNKNOWN)
        # Of whom nothing is known, each is alone in an episode of its own.
        self._episodes[alone] = len(known) + np.arange(len(alone))
        self._keys = self._episodes * self._SPAN + seen["position"] + 2
        self._known, self._places = np.unique(self._keys, return_inverse=True)

    def best(self, scores: Floats) -> Floats:
        """The best score at each place, and at last that of a weak candidate."""
        best = np.zeros(len(self._known) + 1)
        np.maximum.at(best, self._places, scores)
        best[-1] = _weak(scores)
        return best

    def at(self, offset: int, best: Floats) -> Floats:
        """The best score that many positions away; that of a weak candidate where there is none, so that the
        first and the last of an episode, and who has no neighbour among the candidates, do not lose by it."""
        wanted = self._keys + offset
        found = np.searchsorted(self._known[:-1], wanted)
        return best[np.where(self._known[found] == wanted, found, -1)]

    def episode(self, scores: Floats) -> Floats:
        """How well each one's episode does by its best members, as a share of the best episode."""
        order = np.lexsort((-scores, self._episodes))
        codes = self._episodes[order]
        starts = np.searchsorted(codes, np.arange(codes[-1] + 1))
        top = order[np.arange(len(codes)) - starts[codes] < _EPISODE_TOP]
        total = np.bincount(self._episodes[top], weights=scores[top]).astype(np.float64)
        return np.asarray(_share(total)[self._episodes])


def _weak(scores: Floats) -> float:
    at = int(_WEAK * (len(scores) - 1))
    return float(np.partition(scores, at)[at])
