"""`HoldfastRetriever`: memories as nodes, for query engines and fusion retrievers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from holdfast import FROM_ENVIRONMENT, Hits, Memory, Scope, SearchHit

from ._registry import Path_, check_owner, open_engine

# What of a node's metadata a model is shown with its text: when it was said. Ids say nothing to a model.
_SHOWN = ("happened_at",)


class HoldfastRetriever(BaseRetriever):
    """Finds memories.

    user_id, agent_id, run_id: whose memory it is; at least one.
    memory, path, llm, embed_model: as for `HoldfastMemory.from_defaults`.
    similarity_top_k: how many memories, at most. filters, threshold, as_of: as for `holdfast.Memory.search`.
    callback_manager, verbose: as for every retriever.

    A node's id is the memory's, its score in [0, 1] the engine's. Its metadata holds the memory's own, under their
    names, and memory_id, user_id, agent_id, run_id, created_at, updated_at, happened_at, version and sources: the
    ids of the journaled messages that it came from.
    """

    def __init__(
        self,
        user_id: str | None = None,
        *,
        agent_id: str | None = None,
        run_id: str | None = None,
        memory: Memory | None = None,
        path: Path_ | None = None,
        llm: Any = FROM_ENVIRONMENT,
        embed_model: Any = None,
        similarity_top_k: int = 10,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        as_of: datetime | str | None = None,
        **kwargs: Any,
    ) -> None:
        check_owner(user_id, agent_id, run_id)
        self._scope = Scope(user_id, agent_id, run_id)
        self._memory = memory if memory is not None else open_engine(path, llm=llm, embed_model=embed_model)
        self._asked: dict[str, Any] = {
            **self._scope.ids(),
            "limit": similarity_top_k,
            "filters": filters,
            "threshold": threshold,
            "as_of": as_of,
        }
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._memory.search(query_bundle.query_str, **self._asked))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._memory.asearch(query_bundle.query_str, **self._asked))


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
