"""`HoldfastRetriever`: memories as documents, for chains and for `create_retriever_tool`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from holdfast import Hits, Memory, SearchHit
from holdfast.io import IO, Asyncio, Inline, run_inline

from ._options import Filters, Given, OnError, checked, failing_open, given
from ._scope import IdSource, Scoping, running_runtime

_INLINE, _ASYNCIO = Inline(), Asyncio()


class HoldfastRetriever(BaseRetriever):
    """The memories that answer a query, as documents, best first.

    memory: the store, or a view of it.
    user_id, agent_id, run_id: whose memory is searched, found in the order that `HoldfastMiddleware` gives. The
        keyword arguments user_id and agent_id of `invoke` come before all of these. A user_id of None finds nothing.
    k: how many documents, at most.
    filters, threshold: as for `Memory.search`; `filters` may be a function of the runtime.
    on_error: "log" logs a failure of memory and finds nothing; "raise" raises it.

    A document's id is the memory's. Its metadata is the memory's own, plus (these names win) `score`,
    `memory_id`, `user_id`, `agent_id`, `run_id`, `created_at`, `updated_at`, `happened_at`, `expires_at`,
    `version`, `speakers` and `sources`, the ids of the journaled messages behind it; times in ISO 8601.

    Raises InputError if nothing says whose memory it is and, when it is made, for wrong arguments (as a pydantic
    ValidationError).
    """

    memory: Memory = Field(exclude=True, repr=False)
    user_id: IdSource = None
    agent_id: IdSource = None
    run_id: IdSource = None
    k: int = Field(default=4, ge=1)
    filters: Given[Filters] = None
    threshold: float | None = None
    on_error: OnError = "log"

    model_config = ConfigDict(arbitrary_types_allowed=True)
    _scoping: Scoping = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _is_memory(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "memory" in values:
            checked(values["memory"], cls.__name__)
        return values

    @model_validator(mode="after")
    def _checked(self) -> Self:
        checked(
            self.memory, "HoldfastRetriever", filters=self.filters, threshold=self.threshold, limit=self.k
        )
        self._scoping = Scoping("HoldfastRetriever", self.memory, self.user_id, self.agent_id, self.run_id)
        return self

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:  # noqa: A002
        """The documents for a query. The config may say whose memory it is; keyword arguments: see the class."""
        return super().invoke(input, config, **{"configurable": _configurable(config), **kwargs})

    async def ainvoke(
        self,
        input: str,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Async `invoke`."""
        return await super().ainvoke(input, config, **{"configurable": _configurable(config), **kwargs})

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **given_now: Any
    ) -> list[Document]:
        return run_inline(self._found(_INLINE, query, **given_now))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **given_now: Any
    ) -> list[Document]:
        return await self._found(_ASYNCIO, query, **given_now)

    async def _found(
        self,
        io: IO,
        query: str,
        *,
        configurable: Mapping[str, Any] | None = None,
        k: int | None = None,
        filters: Filters = None,
        threshold: float | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> list[Document]:
        runtime = running_runtime()
        now = {"user_id": user_id, "agent_id": agent_id}
        named: dict[str, Any] = {name: _always(one) for name, one in now.items() if one is not None}
        scoping = replace(self._scoping, **named)
        scope = scoping.scope(runtime, {"configurable": configurable or {}})
        if scope is None or not query.strip():
            return []
        arguments: dict[str, Any] = {
            "limit": self.k if k is None else k,
            "filters": given(self.filters, runtime) if filters is None else filters,
            "threshold": self.threshold if threshold is None else threshold,
        }
        self.memory.check(**arguments)
        with failing_open(self.on_error, "HoldfastRetriever: search"):
            memory = scoping.view(scope)
            return _documents(await io.call(memory.search, memory.asearch, query, **arguments))
        return []


def _always(identifier: str) -> Callable[[Any], str]:
    return lambda runtime: identifier


def _configurable(config: RunnableConfig | None) -> Mapping[str, Any]:
    """What the config says, on top of those of the chains and graphs it runs in."""
    return ensure_config(config).get("configurable") or {}


def _documents(hits: Hits) -> list[Document]:
    return [Document(id=hit.id, page_content=hit.text, metadata=_metadata(hit)) for hit in hits]


def _metadata(hit: SearchHit) -> dict[str, Any]:
    known = hit.memory.to_dict()
    own = known.pop("metadata")
    for name in ("id", "text", "valid_from", "valid_to"):
        del known[name]
    return {**own, **known, "memory_id": hit.id, "score": hit.score}
