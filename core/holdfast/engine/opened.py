"""An open memory: what it is made of, and how it ends. Its operations are `holdfast.memory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from threading import Event as Flag
from types import TracebackType
from typing import Any, Self

from ..decisions.extraction import WINDOW_TOKENS
from ..decisions.merging import Examination, MergeStrategy
from ..errors import InputError
from ..io import Asyncio
from ..models import default_embedder
from ..models.defaults import FROM_ENVIRONMENT, Environment, model_of
from ..models.tokens import count_tokens
from ..ports import Embedder, LanguageModel, Redactor, Reranker
from ..storage.index import Index
from ..storage.opening import open_store
from ..storage.places import IN_MEMORY, folder_of
from ..storage.store import OPEN_STORES
from ..storage.times import now_utc
from ..types import Expiry, Scope
from .add import Remembering
from .arguments import (
    INSTRUCTIONS_BYTES,
    Filters,
    check_ports,
    delay_of,
    limit_of,
    metadata_of,
    share_of,
    text_of,
)
from .change import Changing
from .documents import Documents
from .door import Door
from .events import Event, Listeners
from .jobs import Adding, Jobs
from .leases import Leases
from .maintenance import IndexMaintenance
from .masking import Masking
from .memory_tool import MemoryTool
from .paths import ModelSize, Paths, size_of
from .read import Reading
from .search import Recalling
from .waiting import Waiting
from .worker import Worker


class OpenMemory:
    """The part of `Memory` other than its operations."""

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        llm: LanguageModel | Environment | None = FROM_ENVIRONMENT,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        merger: MergeStrategy | None = None,
        redactor: Redactor | None = None,
        ledger: str | None = None,
        index: str | Index | None = None,
        model_size: ModelSize = "auto",
        window_tokens: int = WINDOW_TOKENS,
        encoding: str | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
        resume_on_open: bool = True,
        workers: int = 4,
        require_scope: bool = False,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        """Open a store; `Memory()` opens the one in the default folder.

        path: the folder of an embedded store; by default `HOLDFAST_HOME`, else the platform's folder for user
            data. ":memory:" keeps everything in this process, for tests.
        llm: the model that extracts and merges. By default an OpenAI-compatible one if `OPENAI_API_KEY` is set
            (with `OPENAI_BASE_URL` and `OPENAI_MODEL` where given, and the extra `openai` installed). With
            None, statements are kept word for word.
        embedder: by default the bundled one, which downloads nothing.
        reranker: scores the best hits again before they are returned.
        merger: how a model is asked what becomes of a fact; see `holdfast.decisions.merging`.
        redactor: masks texts before they are stored or sent to a model: messages with their names and data,
            queries, instructions, metadata, documents with their keys, and session ids. A metadata key or
            session id in which something is masked becomes a pseudonym. Ids that say whose something is stay
            unchanged (user_id, agent_id, run_id, ids of messages, namespaces and keys of documents): keep them
            opaque.
        ledger: a SQLAlchemy URL, "postgresql://...", instead of SQLite in `path`.
        index: "pgvector", in the ledger's PostgreSQL; the URL of a Qdrant server; ":memory:"; or an `Index`.
            Instead of the embedded one in `path`.
        model_size: "large" lets the model decide by itself; "small" asks it step by step and keeps a fact
            whenever the model is in doubt. "auto" examines the model once, when it is first used with a store:
            a dozen decisions whose answers are known, under 2,000 tokens; see `llm_examined`.
        window_tokens: how much of a conversation one call of the model sees, in tokens.
        encoding: the tiktoken encoding in which budgets are counted; it may have to be downloaded.
        listeners: called with an `Event` after every operation.
        resume_on_open: finish in the background what an earlier process left unfinished.
        workers: how many adds the background works on at a time, each for a different scope; adds for the same
            ids wait for those before them.
        require_scope: refuse every read and change that names no id. Calls for the store's operator (resume,
            flush, jobs, index) are not affected.
        now: the clock.

        Raises StoreLockedError, StoreVersionError, EmbedderMismatchError, StorageError, InputError.
        """
        limit_of(window_tokens, "window_tokens")
        limit_of(workers, "workers")
        size = size_of(model_size)
        self._llm = model_of(llm)
        check_ports(llm=self._llm, embedder=embedder, reranker=reranker)
        self._masking = Masking(redactor)
        self._events = Listeners()
        for listener in listeners:
            self._events.subscribe(listener)
        store = open_store(path, embedder or default_embedder(), ledger, index, now)
        self._store = store
        self._folder = None if ledger is not None or str(path) == IN_MEMORY else folder_of(path)
        self._ended = Flag()
        self._before_end: list[Callable[[], None]] = []
        self._door = Door(store, self._masking, now, require_scope)
        self._paths = Paths(store, self._llm, merger, size)
        self._window_tokens = window_tokens
        self._leases = Leases(store, Remembering(store, self._llm, self._paths), self._events)
        self._worker = Worker(store, self._leases, now, workers)
        waiting = Waiting(store, self._leases, self._worker.start)
        self._adding = Adding(store, self._leases, self._worker, waiting, self._events)
        self._recalling = Recalling(
            store,
            reranker=reranker,
            listeners=self._events,
            count=lambda text: count_tokens(text, encoding),
            waiting=waiting,
        )
        self._reading = Reading(store)
        self._changing = Changing(store, listeners=self._events)
        if resume_on_open and store.ledger.jobs.next_due() is not None:
            self._worker.start()

    def check(
        self,
        *,
        max_tokens: int = 1000,
        limit: int = 10,
        filters: Filters = None,
        threshold: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        instructions: str | None = None,
        background: bool = True,
        after_seconds: float = 0,
        expires_at: Expiry | None = None,
    ) -> None:
        """Raise the InputError that `add`, `search` or `recall` would raise for these arguments."""
        limit_of(max_tokens, "max_tokens")
        limit_of(limit)
        self._door.filters(filters)
        share_of("threshold", threshold)
        metadata_of(metadata)
        if instructions is not None:
            text_of("instructions", instructions, INSTRUCTIONS_BYTES)
        delay_of(after_seconds, background)
        self._door.expiry(expires_at)

    @property
    def llm(self) -> LanguageModel | None:
        """The model that extracts and merges."""
        return self._llm

    @property
    def llm_examined(self) -> Examination | None:
        """How the model did in this store's examination: `right` of `asked` decisions, and whether it `passed`.

        None before its first use, and if no examination is needed: without a model, with a `model_size` other than
        "auto", or with a `merger` of your own.
        """
        return self._paths.examined

    @property
    def embedder(self) -> Embedder:
        """The embedder of the store."""
        return self._store.embedder

    @property
    def folder(self) -> Path | None:
        """The folder of an embedded store; None for ":memory:" and for servers."""
        return self._folder

    @property
    def documents(self) -> Documents:
        """The store of documents besides the memories: JSON objects under namespaces and keys."""
        self._door.whole("documents")
        return Documents(self._store, self._masking)

    def memory_tool(
        self, *, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> MemoryTool:
        """Anthropic's memory tool on the files of these ids. Raises InputError."""
        scope = self._door.scope(user_id, agent_id, run_id, required=True)
        return MemoryTool(Documents(self._store, self._masking), scope)

    @property
    def jobs(self) -> Jobs:
        """The adds that are not done: `pending`, `failed`, `retry`."""
        return Jobs(self._store, self._door.bound, self._worker.start)

    @property
    def index(self) -> IndexMaintenance:
        """The index, for the store's operator: `verify`, `repair`, `rebuild`, `optimize`."""
        self._door.whole("index")
        return IndexMaintenance(self._store, self._events)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Report every operation to `listener`. Returns the function that ends this."""
        self._door.whole("subscribe")
        return self._events.subscribe(listener)

    @property
    def closed(self) -> bool:
        """Whether it was closed; for a scoped memory, whether the memory it came from was."""
        return self._ended.is_set()

    def on_close(self, function: Callable[[], None]) -> None:
        """Call `function` when the memory is closed, before its store is."""
        self._before_end.append(function)

    def close(self) -> None:
        """Finish the background work that is due, and close the store. Closing twice is harmless."""
        if self.closed:
            return
        self._ended.set()
        for function in self._before_end:
            function()
        self._worker.stop(drain=True)
        OPEN_STORES.leave(self._store)

    async def aclose(self) -> None:
        """Async `close`."""
        # It waits for a model, and the shared threads are not for waiting.
        with ThreadPoolExecutor(1, "holdfast-closing") as thread:
            await Asyncio().within(thread, self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class BoundMemory(OpenMemory):
    """An open memory as seen by one scope."""

    def __init__(self) -> None:
        raise InputError("a ScopedMemory is made by Memory.scoped(user_id=...)")

    @classmethod
    def of(cls, memory: OpenMemory, bound: Scope) -> Self:
        """A view of `memory` that has these ids in every call."""
        self = cls.__new__(cls)
        self.__dict__.update(memory.__dict__)
        self._door = replace(memory._door, bound=bound)
        return self

    def __repr__(self) -> str:
        return f"ScopedMemory({', '.join(f'{name}={value!r}' for name, value in self.scope.ids().items())})"

    @property
    def scope(self) -> Scope:
        """The ids it is bound to."""
        return self._door.bound

    def close(self) -> None:
        """Nothing: the memory that it came from stays open."""

    async def aclose(self) -> None:
        """Nothing: the memory that it came from stays open."""
