"""`HoldfastToolSpec`: the memory as tools that an agent decides to use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from llama_index.core.tools.tool_spec.base import BaseToolSpec

from holdfast import FROM_ENVIRONMENT, Change, Memory, NotFoundError, SearchHit
from holdfast.io import ASYNCIO, INLINE, IO, run_inline
from holdfast.types import Expiry

from ._conversation import OnError, surviving
from ._filters import Filters, engine_filters
from ._owner import Id, given_ids, view_now
from ._registry import ModelSize, Path_, chosen_engine

LIMIT = 20  # memories a model may ask for at once; longer answers crowd out the conversation
# The random end of an id: models copy eight characters correctly, but few copy thirty-six.
SHORT = 8
REMEMBERED_IDS = 10_000
FAILED = "The memory failed: nothing is found or changed for now."
NOBODY = "Nothing was done: whose memory it is, is not known in this run."


class HoldfastToolSpec(BaseToolSpec):
    """Search and manage what is remembered, as four tools, each sync and async.

    This object is bound to an owner: no tool has an argument for it, and the ids of somebody else's memories are
    unknown to the tools.

    user_id, agent_id, run_id: whose memory it is; at least one, unless `memory` is bound to one. Each may be a
        function without arguments that returns it for the current run, such as the `get` of a `ContextVar`: one list
        of tools then serves many users.
    memory, path, llm, embed_model, model_size: as for `HoldfastMemory.from_defaults`.
    metadata: what memories saved by the tool carry.
    expires_at: when they expire, as for `holdfast.Memory.add`; a duration ("P30D") counts from each call.
    filters: which ones it finds; the engine's, or LlamaIndex's `MetadataFilters`.
    on_error: "log" tells the model that the memory failed, with the failure in the log of `holdfast`.

    Memories are shown with the day they tell of and the end of their id, which this object's tools accept for the
    whole. What the model can correct (an unknown id, an empty text) is said in the tool's answer; everything else,
    such as a failing store or model, is raised.

    Raises InputError, when it is made, for arguments that the engine would refuse later, and without an owner.
    """

    spec_functions = [  # noqa: RUF012 - the base class declares it so, as an instance variable
        ("search_memories", "asearch_memories"),
        ("save_memory", "asave_memory"),
        ("update_memory", "aupdate_memory"),
        ("delete_memory", "adelete_memory"),
    ]

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
        metadata: Mapping[str, Any] | None = None,
        expires_at: Expiry | None = None,
        filters: Filters = None,
        on_error: OnError = "raise",
    ) -> None:
        named = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id}
        self._named = given_ids(memory, named)
        self._memory = chosen_engine(memory, path, llm=llm, embed_model=embed_model, model_size=model_size)
        self._saved_with: dict[str, Any] = {"metadata": metadata, "expires_at": expires_at}
        self._filters = engine_filters(filters)
        self._on_error = on_error
        self._memory.check(filters=self._filters, **self._saved_with)
        self._ids: dict[str, str] = {}  # by the end that was shown

    def search_memories(self, query: str, limit: int = 5) -> str:
        """Search what is remembered of earlier conversations: facts, preferences, plans.

        Args:
            query (str): What to look for, in words.
            limit (int): How many memories to return, at most 20.
        """
        return run_inline(self._search(INLINE, query, limit))

    async def asearch_memories(self, query: str, limit: int = 5) -> str:
        """Async `search_memories`."""
        return await self._search(ASYNCIO, query, limit)

    def save_memory(self, text: str) -> str:
        """Remember a fact for later conversations. What is known already is merged with it.

        Args:
            text (str): One fact, in a sentence that makes sense by itself.
        """
        return run_inline(self._save(INLINE, text))

    async def asave_memory(self, text: str) -> str:
        """Async `save_memory`."""
        return await self._save(ASYNCIO, text)

    def update_memory(self, memory_id: str, text: str) -> str:
        """Replace the text of a memory that is wrong or out of date.

        Args:
            memory_id (str): The id of the memory, as search_memories shows it.
            text (str): What it should say.
        """
        return run_inline(self._update(INLINE, memory_id, text))

    async def aupdate_memory(self, memory_id: str, text: str) -> str:
        """Async `update_memory`."""
        return await self._update(ASYNCIO, memory_id, text)

    def delete_memory(self, memory_id: str) -> str:
        """Forget a memory.

        Args:
            memory_id (str): The id of the memory, as search_memories shows it.
        """
        return run_inline(self._delete(INLINE, memory_id))

    async def adelete_memory(self, memory_id: str) -> str:
        """Async `delete_memory`."""
        return await self._delete(ASYNCIO, memory_id)

    # -- the bodies that both faces share -----------------------------------------------------------------------

    async def _search(self, io: IO, query: str, limit: int) -> str:
        most = max(1, min(LIMIT, limit))

        async def found(memory: Memory) -> str:
            hits = await io.call(memory.search, memory.asearch, query, limit=most, filters=self._filters)
            return "\n".join(map(self._line, hits)) or "Nothing is remembered about that."

        return _refusal(query, "query") or await self._done(found)

    async def _save(self, io: IO, text: str) -> str:
        async def saved(memory: Memory) -> str:
            result = await io.call(memory.add, memory.aadd, text, infer="merge", **self._saved_with)
            return "\n".join(map(self._changed, result)) or "Nothing was changed."

        return _refusal(text, "text") or await self._done(saved)

    async def _update(self, io: IO, memory_id: str, text: str) -> str:
        async def updated(memory: Memory) -> str:
            return self._changed(await io.call(memory.update, memory.aupdate, self._whole(memory_id), text))

        return _refusal(text, "text") or _refusal(memory_id, "memory_id") or await self._done(updated)

    async def _delete(self, io: IO, memory_id: str) -> str:
        async def deleted(memory: Memory) -> str:
            return self._changed(await io.call(memory.delete, memory.adelete, self._whole(memory_id)))

        return _refusal(memory_id, "memory_id") or await self._done(deleted)

    async def _done(self, work: Callable[[Memory], Awaitable[str]]) -> str:
        answer = FAILED
        with surviving(self._on_error, "a tool of the memory"):
            memory = view_now(self._memory, self._named)
            if memory is None:
                return NOBODY
            try:
                answer = await work(memory)
            except NotFoundError as error:
                answer = f"Nothing was done: {error}. search_memories shows the ids there are."
        return answer

    # -- what a model is shown ----------------------------------------------------------------------------------

    def _short(self, memory_id: str) -> str:
        if len(self._ids) >= REMEMBERED_IDS:
            self._ids.clear()
        short = memory_id[-SHORT:]
        return short if self._ids.setdefault(short, memory_id) == memory_id else memory_id

    def _whole(self, shown: str) -> str:
        shown = shown.strip().strip("[]")
        return self._ids.get(shown, shown)

    def _line(self, hit: SearchHit) -> str:
        day = (hit.memory.happened_at or hit.memory.created_at).date()
        return f"[{self._short(hit.id)}] {day}: {hit.text}"

    def _changed(self, change: Change) -> str:
        short = self._short(change.memory_id)
        match change.operation:
            case "ADD":
                return f"Saved [{short}] {change.after}"
            case "UPDATE":
                return f"Updated [{short}] {change.after}"
            case "DELETE":
                return f"Deleted [{short}] {change.before}"
            case "NOOP":
                return f"Known already: [{short}] {change.text}"


def _refusal(value: str, name: str) -> str | None:
    return None if value.strip() else f"Nothing was done: {name} is empty."
