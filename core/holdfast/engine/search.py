"""From a question to its answers: candidates, ranking, texts; and what an agent should see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from ..decisions.retrieval.candidates import Candidates
from ..decisions.retrieval.context import assemble
from ..decisions.retrieval.ranking import Ranked, known_speakers, rank, understand, worth_showing
from ..decisions.text.language import language_of
from ..decisions.text.lexical import query_vector
from ..errors import HoldfastError, ModelError
from ..io import IO
from ..ports import Reranker
from ..storage.index.base import IndexQuery
from ..storage.ledger.memories import holds
from ..storage.store import Store
from ..types import Context, Hits, JournaledMessage, MemoryItem, SearchHit
from .door import Asked
from .embed import Matrix, embed_query
from .events import Listeners, Observation
from .waiting import Waiting

# For each signal; the loss with fewer: `python -m bench.quality.retrieval locomo.json --candidates 100`.
CANDIDATES = 200
RERANKED = 50  # texts shown to a reranker
TOKENS_PER_HIT = (
    20  # of a short memory in a prompt; what comes after the fiftieth hit of 1,000 tokens matters little
)
MOST_RECALLED = 200


class Recalling:
    """The read path."""

    def __init__(
        self,
        store: Store,
        *,
        reranker: Reranker | None,
        listeners: Listeners,
        count: Callable[[str], int],
        waiting: Waiting,
    ) -> None:
        self._store = store
        self._reranker = reranker
        self._listeners = listeners
        self._count = count
        self._waiting = waiting

    async def search(self, io: IO, asked: Asked) -> Hits:
        with self._listeners.observing("search", asked.scope) as seen:
            seen.query = asked.query
            hits = await self._hits(io, asked)
            _tell(seen, hits)
        return hits

    async def recall(
        self,
        io: IO,
        asked: Asked,
        max_tokens: int,
        shown: frozenset[str] = frozenset(),
        exclude_session: str | None = None,
    ) -> Context:
        with self._listeners.observing("recall", asked.scope) as seen:
            seen.query = asked.query
            hits: Sequence[SearchHit] = await self._hits(io, replace(asked, relevant=True))
            said = await self._said(io, hits)
            shown |= _in_prompt(said, shown, asked.session, exclude_session)
            hits = [hit for hit in hits if not _is_shown(hit.memory, shown)]
            behind = await self._turns(io, asked, hits, said.keys() - shown, said)
            context = await io.run(
                assemble,
                hits,
                behind,
                max_tokens=max_tokens,
                count=self._count,
                language=language_of(asked.query),
            )
            _tell(seen, context.memories)
            seen.count("messages", len(context.messages))
        return context

    async def _hits(self, io: IO, asked: Asked) -> Hits:
        if asked.wait and asked.as_of is None:
            await self._waiting.heard(io, asked.scope, asked.session, asked.wait)
        await self._store.caught_up(io)
        hits = await self._found(io, asked)
        if self._reranker is not None:
            hits = await self._reranked(io, asked.query, hits)
        return Hits(hits[: asked.limit])

    async def _found(self, io: IO, asked: Asked) -> list[SearchHit]:
        wanted = asked.limit if self._reranker is None else max(asked.limit, RERANKED)
        async with self._store.using(io) as basis:
            vector = await embed_query(io, basis.embedder, asked.query)
            query = await io.run(self._query, asked, vector, max(CANDIDATES, 2 * wanted))
            [candidates] = await basis.index.query(io, [query])
        return await io.run(self._best, asked, candidates, wanted)

    def _query(self, asked: Asked, vector: Matrix, limit: int) -> IndexQuery:
        return IndexQuery(
            asked.scope,
            vector,
            query_vector(asked.query),
            limit,
            as_of=asked.as_of,
            filters=asked.filters,
            now=self._store.expiring() if asked.as_of is None else None,
        )

    def _best(self, asked: Asked, candidates: Candidates, wanted: int) -> list[SearchHit]:
        """Not on an event loop: a query may be a pasted page."""
        understood = understand(asked.query, known_speakers(candidates))
        limit = min(wanted, worth_showing(candidates)) if asked.relevant else wanted
        return self._with_texts(asked, rank(understood, candidates, limit=limit, threshold=asked.threshold))

    def _with_texts(self, asked: Asked, ranked: Sequence[Ranked]) -> list[SearchHit]:
        """The memories behind the points, as the ledger has them: the index proposes, the ledger decides."""
        items = self._store.ledger.memories.by_version([hit.id for hit in ranked])
        ids = asked.scope.ids().items()
        now = self._store.ledger.clock()
        hits = []
        for hit in ranked:
            item = items.get(hit.id)
            if item is None or not holds(item, asked.as_of, now):
                continue
            if any(getattr(item, name) != value for name, value in ids):
                continue
            hits.append(SearchHit(item, hit.score, hit.parts if asked.explain else {}))
        return hits

    async def _reranked(self, io: IO, query: str, hits: Sequence[SearchHit]) -> list[SearchHit]:
        reranker = self._reranker
        assert reranker is not None
        if not hits:
            return []
        texts = [hit.text for hit in hits]
        try:
            found = await io.call(reranker.rerank, reranker.arerank, query, texts)
        except HoldfastError:
            raise
        except Exception as error:
            raise ModelError(f"the reranker failed: {type(error).__name__}: {error}") from error
        scores = _unit_scores(found, len(hits))
        order = sorted(range(len(hits)), key=lambda at: -scores[at])
        return [
            SearchHit(
                hits[at].memory,
                scores[at],
                {**hits[at].parts, "rerank": scores[at]} if hits[at].parts else {},
            )
            for at in order
        ]

    async def _said(self, io: IO, hits: Sequence[SearchHit]) -> dict[str, JournaledMessage]:
        """The messages behind hits, by id."""
        sources = sorted({source for hit in hits for source in hit.memory.sources})
        return await io.run(self._store.ledger.journal.by_ids, sources)

    async def _turns(
        self,
        io: IO,
        asked: Asked,
        hits: Sequence[SearchHit],
        ids: Set[str],
        said: Mapping[str, JournaledMessage],
    ) -> dict[str, Sequence[JournaledMessage]]:
        """memory id -> those of the messages `ids` that are behind what it says now."""
        at = self._store.ledger.clock() if asked.as_of is None else asked.as_of
        forgotten = await io.run(self._store.ledger.memories.forgotten, sorted(ids), at)
        left = {name: said[name] for name in ids - forgotten}
        return {hit.memory.id: _still_behind(hit.memory, left) for hit in hits}


def _tell(seen: Observation, hits: Sequence[SearchHit]) -> None:
    seen.count("hits", len(hits))
    for hit in hits:
        seen.concern(hit.id, hit.text, hit.score)


def _in_prompt(
    said: Mapping[str, JournaledMessage], shown: Set[str], session: str | None, excluded: str | None
) -> Set[str]:
    """Those of the messages that the prompt shows: all of the session `excluded`; of the one that asks, `session`,
    those whose own ids are among `shown`."""
    return {
        name
        for name, message in said.items()
        if message.session_id is not None
        and (
            message.session_id == excluded or (message.session_id == session and message.message.id in shown)
        )
    }


def _is_shown(memory: MemoryItem, shown: frozenset[str]) -> bool:
    return bool(memory.sources) and shown.issuperset(memory.sources)


def _still_behind(memory: MemoryItem, said: Mapping[str, JournaledMessage]) -> list[JournaledMessage]:
    """The messages of a memory's sources; for an updated one only the last, as those before may say
    what no longer holds."""
    behind = [said[source] for source in memory.sources if source in said]
    if memory.version == 1 or not behind:
        return behind
    return [message for message in behind if message.add_id == behind[-1].add_id]


def hits_for(max_tokens: int, shown: int = 0, *, some_excluded: bool = False) -> int:
    """How many hits could fit a budget of tokens, besides those from `shown` messages that are shown anyway."""
    if some_excluded:
        return MOST_RECALLED
    return min(MOST_RECALLED, max(10, max_tokens // TOKENS_PER_HIT) + shown)


def _unit_scores(found: Any, count: int) -> list[float]:
    """A reranker's scores in [0, 1], in their order. Raises ModelError."""
    try:
        scores = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the reranker returned no numbers: {error}") from error
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise ModelError(
            f"the reranker returned shape {scores.shape} for {count} texts, or values not finite"
        )
    if scores.min() >= 0 and scores.max() <= 1:
        return [float(score) for score in scores]
    return [float(score) for score in 1 / (1 + np.exp(-scores))]  # cross-encoders give logits
