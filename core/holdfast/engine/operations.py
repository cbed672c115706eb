"""What both faces of `Memory` share: opening, checking what callers pass, and the operations as coroutines."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import datetime
from enum import Enum
from functools import cache, partial
from os import PathLike
from typing import IO as IO_
from typing import Any, Final, Literal

from ..decisions.extraction import WINDOW_TOKENS
from ..decisions.merging import MergeStrategy
from ..errors import InputError, NotFoundError
from ..io import IO, Asyncio
from ..models import default_embedder, default_model
from ..models.tokens import count_tokens
from ..ports import Embedder, LanguageModel, Redactor, Reranker
from ..storage.filters import Filter, parse
from ..storage.index import Index
from ..storage.opening import open_store
from ..storage.places import IN_MEMORY, folder_of
from ..storage.store import OPEN_STORES, Agreement, Store
from ..storage.times import FOREVER, now_utc, to_micros
from ..types import (
    AddResult,
    Changes,
    Flushed,
    Job,
    JournaledMessage,
    MemoryItem,
    Messages,
    Page,
    Scope,
    Transfer,
)
from . import arguments as inputs
from .add import Remembering, Told
from .change import Changing, within
from .events import Event, Listeners
from .masking import Masking
from .paths import ModelSize, Paths
from .reindex import Progress, reindex
from .search import Asked, Recalling
from .transfer import export, import_
from .waiting import Waiting
from .worker import Worker

_log = logging.getLogger("holdfast")


class Environment(Enum):
    DEFAULT = "from the environment"


FROM_ENVIRONMENT: Final = Environment.DEFAULT
Filters = Mapping[str, Any] | None
Infer = bool | Literal["merge"]
WAIT = 2.0  # seconds; what a model takes to extract and to merge


class Operations:
    """A `Memory` without its faces."""

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
        self.llm = default_model() if isinstance(llm, Environment) else llm
        if self.llm is None and isinstance(llm, Environment):
            _say_once_that_there_is_no_model()
        _check_ports(self.llm, embedder, reranker)
        inputs.limit_of(window_tokens, "window_tokens")
        inputs.limit_of(workers, "workers")
        self.masking = Masking(redactor)
        self.events = Listeners()
        for listener in listeners:
            self.events.subscribe(listener)
        self._now = now
        self.bound = Scope()
        self.require_scope = require_scope
        self.store: Store = open_store(path, embedder or default_embedder(), ledger, index, now)
        self.folder = None if ledger is not None or str(path) == IN_MEMORY else folder_of(path)
        self.closed = False
        self.paths = Paths(self.store, self.llm, merger, model_size)
        self.closing: list[Callable[[], None]] = []
        self.remembering = Remembering(
            self.store,
            llm=self.llm,
            paths=self.paths,
            listeners=self.events,
            window_tokens=window_tokens,
        )
        self._worker = Worker(self.store, self.remembering, now, workers)
        self._waiting = Waiting(self.store, self.remembering, self._worker.start)
        self.recalling = Recalling(
            self.store,
            reranker=reranker,
            listeners=self.events,
            count=lambda text: count_tokens(text, encoding),
            waiting=self._waiting,
        )
        self.changing = Changing(self.store, listeners=self.events)
        if resume_on_open and self.store.ledger.jobs.next_due() is not None:
            self._worker.start()

    def close(self) -> None:
        """Finish the background work that is due, and close the store. Closing twice is harmless."""
        if self.closed:
            return
        self.closed = True
        for function in self.closing:
            function()
        self._worker.stop(drain=True)
        OPEN_STORES.leave(self.store)

    async def aclose(self) -> None:
        """`close` in a thread of its own: it waits for a model, and the threads that we share are not for waiting."""
        with ThreadPoolExecutor(1, "holdfast-closing") as thread:
            await Asyncio().within(thread, self.close)

    # -- whose memory -------------------------------------------------------------------------------------------

    def narrowed(self, user_id: str | None, agent_id: str | None, run_id: str | None) -> Operations:
        """These operations, bound to the ids."""
        view = copy(self)
        view.bound = self.reach(user_id, agent_id, run_id, required=True)
        return view

    def reach(
        self, user_id: str | None, agent_id: str | None, run_id: str | None, *, required: bool = False
    ) -> Scope:
        """The scope of a call: its ids and those that this memory is bound to.

        required: at least one id has to be given. Raises InputError.
        """
        given = inputs.scope_of(user_id, agent_id, run_id, required=False)
        for name, value in self.bound.ids().items():
            if given.ids().get(name, value) != value:
                raise InputError(
                    f"{name}={given.ids()[name]!r}: this memory is bound to {name}={value!r}; "
                    "use the Memory that it came from"
                )
        scope = Scope(**{**self.bound.ids(), **given.ids()})
        if not scope and (required or self.require_scope):
            raise InputError("whose memory? pass at least one of user_id=, agent_id=, run_id=")
        return scope

    def exported(
        self, user_id: str | None, agent_id: str | None, run_id: str | None, everything: bool
    ) -> Scope:
        """The scope of an export. Raises InputError where it is unclear whether everybody's is meant."""
        if everything:
            self.whole("export(everything=True)")
            if any(one is not None for one in (user_id, agent_id, run_id)):
                raise InputError("export: pass ids or everything=True, not both")
            return Scope()
        return self.reach(user_id, agent_id, run_id, required=True)

    def whole(self, name: str) -> None:
        """Raises InputError where this is a view: the operation concerns the whole store."""
        if self.bound:
            raise InputError(
                f"{name} concerns the whole store; call it on the Memory that this view came from"
            )

    # -- what callers pass --------------------------------------------------------------------------------------

    def said(
        self,
        messages: Messages,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        session_id: str | None,
        happened_at: datetime | str | None,
    ) -> tuple[Scope, str | None, list[Any]]:
        self.store.check()
        scope = self.reach(user_id, agent_id, run_id, required=True)
        now = inputs.moment_of("now", self._now())
        at = now if happened_at is None else inputs.past_of("happened_at", happened_at, now)
        checked = inputs.messages_of(messages, at, now)
        said = [self.masking.message(message) for message in checked]
        return scope, self.session(session_id), said

    def session(self, session_id: str | None) -> str | None:
        """The session's id as it is stored."""
        return None if session_id is None else self.masking.name(inputs.id_of("session_id", session_id))

    def told(
        self,
        messages: Messages,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        session_id: str | None,
        metadata: Mapping[str, Any] | None,
        happened_at: datetime | str | None,
        infer: Infer,
        instructions: str | None,
        background: bool,
        after_seconds: float,
    ) -> Told:
        scope, session, said = self.said(messages, user_id, agent_id, run_id, session_id, happened_at)
        wishes = (
            None
            if instructions is None
            else self.masking.text(inputs.text_of("instructions", instructions, inputs.INSTRUCTIONS_BYTES))
        )
        if infer not in (True, False, "merge"):
            raise InputError(f'infer={infer!r}: pass True, False or "merge"')
        carried = self.masking.json(inputs.metadata_of(metadata))
        return Told(
            scope, said, carried, session, bool(infer), wishes, background,
            extract=infer != "merge", delay=inputs.delay_of(after_seconds, background),
        )  # fmt: skip

    async def add(self, io: IO, told: Told) -> AddResult:
        try:
            result = await self.remembering.add(io, told)
        finally:
            self._worker.look_again()  # what waited behind it, or what it could not finish
        if result.state == "pending":
            self._worker.start()
        return result

    def asked(
        self,
        query: str,
        user_id: str | None,
        agent_id: str | None,
        run_id: str | None,
        limit: int,
        filters: Filters,
        as_of: datetime | str | None,
        threshold: float | None,
        wait: float,
        session_id: str | None,
        explain: bool = False,
    ) -> Asked:
        self.store.check()
        return Asked(
            self.masking.text(inputs.text_of("query", query, inputs.QUERY_BYTES)),
            self.reach(user_id, agent_id, run_id, required=True),
            inputs.limit_of(limit),
            self.parsed(filters),
            instant(as_of),
            inputs.share_of("threshold", threshold),
            explain,
            self.session(session_id),
            inputs.seconds_of("wait", wait),
        )

    def parsed(self, filters: Filters) -> Filter | None:
        """Raises FilterError."""
        return parse(self.masking.filters(filters))

    def rewriting(
        self, memory_id: str, text: str | None, metadata: Mapping[str, Any] | None
    ) -> tuple[str, str | None, Any]:
        if text is None and metadata is None:
            raise InputError("update changes the text, the metadata, or both; neither was given")
        return (
            inputs.text_of("memory_id", memory_id),
            None if text is None else self.masking.text(inputs.text_of("text", text)),
            None if metadata is None else self.masking.json(inputs.metadata_of(metadata)),
        )

    async def get(
        self, io: IO, memory_id: str, scope: Scope, as_of: datetime | str | None
    ) -> MemoryItem | None:
        self.store.check()
        inputs.text_of("memory_id", memory_id)
        item = await io.run(self.store.ledger.memories.get, memory_id, as_of=instant(as_of))
        return item if item is not None and within(item, scope) else None

    async def get_all(
        self,
        io: IO,
        scope: Scope,
        filters: Filters,
        as_of: datetime | str | None,
        limit: int | None,
        cursor: str | None,
    ) -> Page:
        self.store.check()
        if limit is not None:
            inputs.limit_of(limit)
        return await io.run(
            self.store.ledger.memories.page,
            scope,
            filters=self.parsed(filters),
            as_of=instant(as_of),
            limit=limit,
            cursor=inputs.cursor_of(cursor),
        )

    async def count(self, io: IO, scope: Scope, filters: Filters, as_of: datetime | str | None) -> int:
        self.store.check()
        return await io.run(self.store.ledger.memories.count, scope, self.parsed(filters), instant(as_of))

    async def history(self, io: IO, memory_id: str, scope: Scope) -> Changes:
        self.store.check()
        memories = self.store.ledger.memories
        item, _ = await io.run(memories.last_version, inputs.text_of("memory_id", memory_id))
        if not within(item, scope):
            raise NotFoundError(f"there is no memory {memory_id!r}")
        return await io.run(memories.history, memory_id)

    async def messages(
        self, io: IO, scope: Scope, session_id: str | None, limit: int | None
    ) -> tuple[JournaledMessage, ...]:
        self.store.check()
        if limit is not None:
            inputs.limit_of(limit)
        return await io.run(self.store.ledger.journal.listed, scope, session_id, limit=limit)

    async def clear(self, io: IO, scope: Scope, session_id: str | None, keep: Sequence[str]) -> int:
        self.store.check()
        return await io.run(self.store.ledger.journal.clear, scope, session_id, inputs.ids_of("keep", keep))

    async def jobs(self, io: IO, *states: Any) -> list[Job]:
        self.store.check()
        listed = await io.run(self.store.ledger.jobs.listed, *states)
        return [job.public() for job in listed if job.scope.within(self.bound)]

    async def resume(self, io: IO) -> list[AddResult]:
        self.store.check()
        results = []
        for job in await io.run(self.store.ledger.jobs.listed, "pending"):
            if not job.scope.within(self.bound):
                continue
            finished = await self.remembering.finish(io, partial(self.remembering.lease_one, job.id))
            if finished is not None:
                results.append(finished)
        return results

    async def retry(self, io: IO, job_id: str | None) -> int:
        self.store.check()
        if job_id is not None:
            inputs.text_of("job_id", job_id)
        count: int = await io.run(self.store.ledger.jobs.retry, self.bound, job_id)
        if count:
            self.store.news = object()
            self._worker.start()
        return count

    async def flush(self, io: IO, timeout: float | None) -> Flushed:
        self.store.check()
        return await self._waiting.drained(
            io, self.bound, None if timeout is None else inputs.seconds_of("timeout", timeout)
        )

    async def write_out(self, io: IO, target: str | PathLike[str] | IO_[str], scope: Scope) -> Transfer:
        self.store.check()
        with self.events.observing("export", scope):
            return await io.run(export, self.store.ledger, scope, target)

    async def read_in(
        self, io: IO, source: str | PathLike[str] | IO_[str], scope: Scope, progress: Progress | None
    ) -> Transfer:
        self.store.check()
        self.whole("import_")
        with self.events.observing("import", scope):
            imported = await import_(self.store, io, source, scope, progress)
        self.store.news = object()
        if await io.run(self.store.ledger.jobs.next_due) is not None:
            self._worker.start()
        return imported

    async def reindex(self, io: IO, embedder: Embedder | None, progress: Progress | None) -> int:
        self.store.check()
        self.whole("reindex")
        _check_ports(None, embedder, None)
        with self.events.observing("reindex", Scope()):
            return await reindex(self.store, io, embedder, progress)

    async def optimize(self, io: IO) -> bool:
        self.store.check()
        self.whole("optimize")
        with self.events.observing("optimize", Scope()):
            return await self.store.optimize(io)

    async def verify(self, io: IO) -> Agreement:
        self.store.check()
        self.whole("verify")
        return await self.store.verify(io)

    async def repair(self, io: IO) -> Agreement:
        self.store.check()
        self.whole("repair")
        return await self.store.repair(io)


@cache
def _say_once_that_there_is_no_model() -> None:
    _log.warning(
        "no model is configured (OPENAI_API_KEY is not set): statements are kept word for word. Pass llm=... to "
        "extract and merge with one, or llm=None to keep it so."
    )


def instant(as_of: datetime | str | None) -> int | None:
    if as_of is None:
        return None
    return min(to_micros(inputs.moment_of("as_of", as_of)), FOREVER - 1)  # what is current has no end


def confirmed(confirm: bool) -> None:
    if confirm is not True:
        raise InputError("reset erases every user's memory; pass confirm=True if that is what you want")


def _check_ports(llm: object, embedder: object, reranker: object) -> None:
    """Objects that lack a port's members are refused now, not in the middle of the first add."""
    for name, value, port in (
        ("llm", llm, LanguageModel),
        ("embedder", embedder, Embedder),
        ("reranker", reranker, Reranker),
    ):
        if value is None:
            continue
        missing = [member for member in sorted(_members(port)) if not _has(value, member)]
        if missing:
            raise InputError(f"{name}={value!r} is no {port.__name__}: it lacks {', '.join(missing)}")


def _has(value: object, member: str) -> bool:
    """Whether it is there, without asking for it: a property may ask a server."""
    try:
        inspect.getattr_static(value, member)
    except AttributeError:
        return hasattr(type(value), "__getattr__") and hasattr(value, member)
    return True


def _members(port: type) -> set[str]:
    return {name for name in vars(port) if not name.startswith("_")}
