"""`HoldfastRetriever`: memories as nodes, for query engines and fusion retrievers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from holdfast import FROM_ENVIRONMENT, Hits, Memory, SearchHit
from holdfast.io import ASYNCIO, INLINE, IO, run_inline

from ._conversation import OnError, surviving
from ._filters import Filters, engine_filters
from ._owner import Id, given_ids, view_now
from ._registry import ModelSize, Path_, chosen_engine

# The metadata of a node that a model sees with its text: when it was said. Ids mean nothing to a model.
_SHOWN = ("happened_at",)


class HoldfastRetriever(BaseRetriever):
    """Finds memories.

    user_id, agent_id, run_id: whose memory it is; at least one, unless `memory` is bound to one. Each may be a
        function without arguments that returns it for the current run, such as the `get` of a `ContextVar`: one
        retriever then serves many users.
    memory, path, llm, embed_model, model_size: as for `HoldfastMemory.from_defaults`.
    similarity_top_k: how many memories, at most.
    filters: the engine's, or LlamaIndex's `MetadataFilters`. threshold, as_of: as for `holdfast.Memory.search`.
    on_error: "log" finds nothing if searching fails, with the failure in the log of `holdfast`.
    callback_manager, verbose: as for every retriever.

    A node's id is the memory's, its score in [0, 1] the engine's. Its metadata holds the memory's own, under their
    names, and memory_id, user_id, agent_id, run_id, created_at, updated_at, happened_at, expires_at, version and
    sources: the ids of the journaled messages that it came from. An empty query finds nothing, and so does a run
    whose function returns None. Raises InputError if no owner is given.
    """

    def __init__(
        self,
        user_id: Id = None,
        *,
        agent_id: Id = None,
        run_id: Id = None,
        memory: Memory | None = None,
        path: Path_ | None = None,
        llm: Any = FROM_ENVIRONMENT,
        embed_model: Any = None,
        model_size: ModelSize = "auto",
        similarity_top_k: int = 10,
        filters: Filters = None,
        threshold: float | None = None,
        as_of: datetime | str | None = None,
        on_error: OnError = "raise",
        **kwargs: Any,
    ) -> None:
        named = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id}
        self._named = given_ids(memory, named)
        self._memory = chosen_engine(memory, path, llm=llm, embed_model=embed_model, model_size=model_size)
        self._on_error = on_error
        self._asked: dict[str, Any] = {
            "limit": similarity_top_k,
            "filters": engine_filters(filters),
            "threshold": threshold,
            "as_of": as_of,
        }
        self._memory.check(limit=similarity_top_k, filters=self._asked["filters"], threshold=threshold)
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return run_inline(self._found(INLINE, query_bundle))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self._found(ASYNCIO, query_bundle)

    async def _found(self, io: IO, asked: QueryBundle) -> list[NodeWithScore]:
        query, hits = asked.query_str, Hits()
        with surviving(self._on_error, "searching"):
            memory = view_now(self._memory, self._named)
            if memory is not None and query.strip():
                hits = await io.call(memory.search, memory.asearch, query, **self._asked)
        return _nodes(hits)


def _nodes(hits: Hits) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]


def _node(hit: SearchHit) -> TextNode:
    memory = hit.memory
    own = {
        "memory_id": memory.id,
        **memory.scope.ids(),
        "created_at": memory.created_at.isoformat(),
        "updated_at": memory.updated_at.isoformat(),
        "happened_at": memory.happened_at.isoformat() if memory.happened_at else None,
        "expires_at": memory.expires_at.isoformat() if memory.expires_at else None,
        "version": memory.version,
        "sources": list(memory.sources),
    }
    return TextNode(
        id_=memory.id,
        text=memory.text,
        metadata={**memory.metadata, **own},
        excluded_embed_metadata_keys=list(own),
        excluded_llm_metadata_keys=[key for key in own if key not in _SHOWN or own[key] is None],
    )
