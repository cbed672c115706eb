"""`HoldfastRetriever`: memories as documents, for chains and for `create_retriever_tool`."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, field_validator

from holdfast import Hits, InputError, Memory, SearchHit


class HoldfastRetriever(BaseRetriever):
    """The memories that answer a query, as documents, best first.

    memory: the store.
    user_id, agent_id, run_id: whose memory is searched. Each may be given per call as well, as a keyword
        argument of `invoke`, or through `configurable_fields(user_id=ConfigurableField(id="user_id"))`; a plain
        config does not reach retrievers.
    k: the most documents. filters, threshold: as of `Memory.search`.

    A document's id is the memory's. Its metadata is the memory's own, and under it (these names win) `score`,
    `memory_id`, `user_id`, `agent_id`, `run_id`, `created_at`, `updated_at`, `happened_at`, `version`,
    `speakers` and `sources`, the ids of the journaled messages behind it; times in ISO 8601.

    Raises InputError without any id.
    """

    memory: Memory = Field(exclude=True, repr=False)
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    k: int = Field(default=4, ge=1)
    filters: dict[str, Any] | None = None
    threshold: float | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @field_validator("memory", mode="before")
    @classmethod
    def _is_memory(cls, value: Any) -> Any:
        if not isinstance(value, Memory):
            raise ValueError(f"memory={value!r} is no holdfast.Memory")
        return value

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filters: dict[str, Any] | None = None,
        threshold: float | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> list[Document]:
        if not query.strip():
            return []
        asked = self._asked(k, filters, threshold, user_id, agent_id, run_id)
        return _documents(self.memory.search(query, **asked))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filters: dict[str, Any] | None = None,
        threshold: float | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> list[Document]:
        if not query.strip():
            return []
        asked = self._asked(k, filters, threshold, user_id, agent_id, run_id)
        return _documents(await self.memory.asearch(query, **asked))

    def _asked(
        self,
        k: int | None,
        filters: dict[str, Any] | None,
        threshold: float | None,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
    ) -> dict[str, Any]:
        """The arguments of `search`: what the call says, else what the retriever was made with."""
        ids = {
            "user_id": user_id or self.user_id,
            "agent_id": agent_id or self.agent_id,
            "run_id": run_id or self.run_id,
        }
        if not any(ids.values()):
            raise InputError(
                "HoldfastRetriever does not know whose memory to search: pass user_id= to it or to invoke"
            )
        return {
            **ids,
            "limit": self.k if k is None else k,
            "filters": self.filters if filters is None else filters,
            "threshold": self.threshold if threshold is None else threshold,
        }


def _documents(hits: Hits) -> list[Document]:
    return [Document(id=hit.id, page_content=hit.text, metadata=_metadata(hit)) for hit in hits]


def _metadata(hit: SearchHit) -> dict[str, Any]:
    known = hit.memory.to_dict()
    own = known.pop("metadata")
    for name in ("id", "text", "valid_from", "valid_to"):
        del known[name]
    return {**own, **known, "memory_id": hit.id, "score": hit.score}
