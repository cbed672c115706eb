"""`HoldfastToolSpec`: the memory as tools that an agent decides to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.tools.tool_spec.base import BaseToolSpec

from holdfast import FROM_ENVIRONMENT, AddResult, Change, Hits, Memory, NotFoundError, Scope

from ._registry import Path_, check_owner, open_engine

LIMIT = 20  # memories a model may ask for at once; longer answers crowd out the conversation


class HoldfastToolSpec(BaseToolSpec):
    """Search and manage what is remembered, as four tools, each sync and async.

    Whose memory it is, is bound to this object: no tool has an argument for it, and an id of somebody else's
    memory is unknown to the tools.

    user_id, agent_id, run_id: whose memory it is; at least one.
    memory, path, llm, embed_model: as for `HoldfastMemory.from_defaults`.
    metadata: what memories carry that are saved by the tool. filters: which ones it finds.

    What the model can mend (an unknown id, an empty text) it is told in the tool's answer; everything else, such as
    a failing store or model, is raised.
    """

    spec_functions = [  # noqa: RUF012 - the base class declares it so, as an instance variable
        ("search_memories", "asearch_memories"),
        ("save_memory", "asave_memory"),
        ("update_memory", "aupdate_memory"),
        ("delete_memory", "adelete_memory"),
    ]

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
        metadata: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> None:
        check_owner(user_id, agent_id, run_id)
        self._ids: dict[str, Any] = dict(Scope(user_id, agent_id, run_id).ids())
        self._memory = memory if memory is not None else open_engine(path, llm=llm, embed_model=embed_model)
        self._metadata = metadata
        self._filters = filters

    def search_memories(self, query: str, limit: int = 5) -> str:
        """Search what is remembered of earlier conversations: facts, preferences, plans.

        Args:
            query (str): What to look for, in words.
            limit (int): How many memories to return, at most 20.
        """
        if refusal := _refusal(query, "query"):
            return refusal
        return _found(self._memory.search(query, **self._ids, limit=_limit(limit), filters=self._filters))

    async def asearch_memories(self, query: str, limit: int = 5) -> str:
        """Async `search_memories`."""
        if refusal := _refusal(query, "query"):
            return refusal
        return _found(
            await self._memory.asearch(query, **self._ids, limit=_limit(limit), filters=self._filters)
        )

    def save_memory(self, text: str) -> str:
        """Remember a fact for later conversations. What is known already is merged with it.

        Args:
            text (str): One fact, in a sentence that makes sense by itself.
        """
        if refusal := _refusal(text, "text"):
            return refusal
        return _saved(self._memory.add(text, **self._ids, metadata=self._metadata, infer="merge"))

    async def asave_memory(self, text: str) -> str:
        """Async `save_memory`."""
        if refusal := _refusal(text, "text"):
            return refusal
        return _saved(await self._memory.aadd(text, **self._ids, metadata=self._metadata, infer="merge"))

    def update_memory(self, memory_id: str, text: str) -> str:
        """Replace the text of a memory that is wrong or out of date.

        Args:
            memory_id (str): The id of the memory, as search_memories shows it.
            text (str): What it should say.
        """
        if refusal := _refusal(text, "text") or _refusal(memory_id, "memory_id"):
            return refusal
        try:
            return _changed(self._memory.update(memory_id, text, **self._ids))
        except NotFoundError as error:
            return _unknown(error)

    async def aupdate_memory(self, memory_id: str, text: str) -> str:
        """Async `update_memory`."""
        if refusal := _refusal(text, "text") or _refusal(memory_id, "memory_id"):
            return refusal
        try:
            return _changed(await self._memory.aupdate(memory_id, text, **self._ids))
        except NotFoundError as error:
            return _unknown(error)

    def delete_memory(self, memory_id: str) -> str:
        """Forget a memory.

        Args:
            memory_id (str): The id of the memory, as search_memories shows it.
        """
        if refusal := _refusal(memory_id, "memory_id"):
            return refusal
        try:
            return _changed(self._memory.delete(memory_id, **self._ids))
        except NotFoundError as error:
            return _unknown(error)

    async def adelete_memory(self, memory_id: str) -> str:
        """Async `delete_memory`."""
        if refusal := _refusal(memory_id, "memory_id"):
            return refusal
        try:
            return _changed(await self._memory.adelete(memory_id, **self._ids))
        except NotFoundError as error:
            return _unknown(error)


def _limit(limit: int) -> int:
    return max(1, min(LIMIT, limit))


def _refusal(value: str, name: str) -> str | None:
    return None if value.strip() else f"Nothing was done: {name} is empty."


def _unknown(error: NotFoundError) -> str:
    return f"Nothing was done: {error}. search_memories shows the ids there are."


def _found(hits: Hits) -> str:
    if not hits:
        return "Nothing is remembered about that."
    return "\n".join(f"[{hit.id}] {hit.text}" for hit in hits)


def _saved(result: AddResult) -> str:
    return "\n".join(_changed(change) for change in result) or "Nothing was changed."


def _changed(change: Change) -> str:
    match change.operation:
        case "ADD":
            return f"Saved [{change.memory_id}] {change.after}"
        case "UPDATE":
            return f"Updated [{change.memory_id}] {change.after}"
        case "DELETE":
            return f"Deleted [{change.memory_id}] {change.before}"
        case "NOOP":
            return f"Known already: [{change.memory_id}] {change.text}"
