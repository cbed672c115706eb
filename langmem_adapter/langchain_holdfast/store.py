"""`HoldfastStore`: LangGraph's `BaseStore` over the memory's own database, on SQLite and PostgreSQL.

Where LangGraph's SqliteStore and InMemoryStore differ, it behaves as the former, with these exceptions, each for the
better: an update keeps `created_at`; namespaces and keys may hold any character that LangGraph accepts, and filters
may name any key; paging through a semantic search ends only with the items; comparisons never hold between
values of different kinds; expired items can be omitted; the sync methods may be called on an event loop's thread,
which they block.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, Literal

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)

from holdfast import ClosedError, HoldfastError, InputError, Memory
from holdfast.types import Document, DocumentOperation, Find, Get, Match, Namespaces, Put, storable

from ._options import checked

_log = logging.getLogger("holdfast")

SWEEP_MINUTES = 5.0  # as in LangGraph's own stores


class HoldfastStore(BaseStore):
    """A LangGraph store in a `Memory`'s database: `create_agent(..., store=HoldfastStore(memory))`.

    memory: the store; its embedder serves semantic search.
    index: True (the default) indexes whole values, `{"fields": ["text", "chapters[*].title"]}` what is at
        these paths, False nothing; `search(query=...)` then ignores its query, as LangGraph's stores do. Other
        keys of LangGraph's IndexConfig are refused: the embedder is the memory's. `index_config` has all of them.
    ttl: LangGraph's TTLConfig, all of it. A sweeper ends when the memory is closed.

    Values are JSON objects; datetimes, UUIDs, enums, dataclasses and pydantic models in them are kept in
    their usual form, and come back as that. Needs no `setup()`. A batch is one transaction, whose reads see the state
    before its writes. Both faces share one implementation; the async one never blocks the event loop.

    Raises InvalidNamespaceError, ValueError for filters that say nothing, FilterError (a ValueError) for those that
    compare with a text that the memory's redactor masks, and the errors of `Memory`.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory,
        *,
        index: bool | IndexConfig | Mapping[str, Any] = True,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__()
        checked(memory, "HoldfastStore")
        self._documents = memory.documents
        fields = _fields(index)
        self._paths = _paths(fields)
        self.embeddings = ensure_embeddings(lambda texts: _floats(memory.embedder.embed_documents(texts)))
        self.index_config: IndexConfig | None = (
            {"dims": memory.embedder.dimensions, "embed": self.embeddings, "fields": fields}
            if fields
            else None
        )
        self.ttl_config = ttl
        self._sweeper: threading.Thread | None = None
        self._stop = threading.Event()
        self._memory = memory

    # -- operations ---------------------------------------------------------------------------------------------

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out the operations; results in their order."""
        given = list(ops)
        return _results(given, self._documents.batch([self._operation(op) for op in given]))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Async `batch`."""
        given = list(ops)
        return _results(given, await self._documents.abatch([self._operation(op) for op in given]))

    def _operation(self, op: Op) -> DocumentOperation:
        validate_op_namespace(op)
        shows_expired = not (self.ttl_config or {}).get("omit_expired", False)
        match op:
            case GetOp():
                return Get(tuple(op.namespace), str(op.key), op.refresh_ttl, shows_expired)
            case SearchOp():
                return Find(
                    tuple(op.namespace_prefix),
                    (op.query or None) if self._paths else None,
                    matching(self._documents.filter(op.filter)) if op.filter else None,
                    op.limit,
                    op.offset,
                    op.refresh_ttl,
                    shows_expired,
                )
            case ListNamespacesOp():
                matches = tuple(Match(c.match_type, tuple(c.path)) for c in op.match_conditions or ())
                return Namespaces(matches, op.max_depth, op.limit, op.offset, shows_expired)
            case PutOp():
                ttl = None if op.ttl is None else _minutes(op.ttl)
                value = None if op.value is None else self._memory.documents.plain(op.value)
                return Put(tuple(op.namespace), str(op.key), value, self._texts(value, op.index), ttl)
        raise ValueError(f"unknown operation {op!r}")

    def _texts(
        self, value: dict[str, Any] | None, index: Literal[False] | list[str] | None
    ) -> dict[str, str]:
        """path -> text, numbered if a path leads to several."""
        if value is None or index is False or not self._paths:
            return {}
        paths = self._paths if index is None else _paths(index)
        found: dict[str, str] = {}
        for path, tokens in paths.items():
            texts = get_text_at_path(value, tokens)
            for at, text in enumerate(texts):
                found[f"{path}.{at}" if len(texts) > 1 else path] = storable(text)
        return found

    # -- time to live -------------------------------------------------------------------------------------------

    def sweep_ttl(self) -> int:
        """Delete expired items. Returns how many."""
        return self._documents.sweep()

    async def asweep_ttl(self) -> int:
        """Async `sweep_ttl`."""
        return await self._documents.asweep()

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep every `sweep_interval_minutes`, in a thread; by default as `ttl` says. Cancel the future to stop."""
        future: Future[None] = Future()
        if self._sweeper is not None and self._sweeper.is_alive():
            future.add_done_callback(lambda done: self._stop.set() if done.cancelled() else None)
            return future
        if self._sweeper is None:
            self._memory.on_close(self._stop.set)
        minutes = sweep_interval_minutes or (self.ttl_config or {}).get("sweep_interval_minutes")
        self._stop.clear()
        self._sweeper = threading.Thread(
            target=self._sweep_on, args=(float(minutes or SWEEP_MINUTES) * 60, future), daemon=True
        )
        future.add_done_callback(lambda done: self._stop.set() if done.cancelled() else None)
        self._sweeper.start()
        return future

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop sweeping. Returns False if `timeout` seconds were not enough for the thread to end."""
        self._stop.set()
        if self._sweeper is not None:
            self._sweeper.join(timeout)
            return not self._sweeper.is_alive()
        return True

    def _sweep_on(self, seconds: float, future: Future[None]) -> None:
        while not self._stop.wait(seconds):
            try:
                self.sweep_ttl()
            except ClosedError:
                break
            except HoldfastError:
                # A thread has nobody to raise to, and nothing is lost: the next round sweeps what this one left.
                _log.exception("expired items could not be swept; the next round tries again")
        if not future.cancelled():
            future.set_result(None)


def _fields(index: bool | IndexConfig | Mapping[str, Any]) -> list[str]:
    if isinstance(index, bool):
        return ["$"] if index else []
    unknown = sorted(set(index) - {"fields"})
    if unknown:
        raise InputError(
            f"index names {', '.join(unknown)}: HoldfastStore embeds with the memory's embedder, "
            "Memory(embedder=as_embedder(...)); pass index={'fields': [...]}"
        )
    return list(index.get("fields") or ["$"])


def _floats(vectors: Any) -> list[list[float]]:
    return [[float(number) for number in row] for row in vectors]


def _paths(fields: Sequence[str]) -> dict[str, Any]:
    return {path: "$" if path == "$" else tokenize_path(path) for path in fields}


def _minutes(ttl: float) -> timedelta:
    try:
        return timedelta(minutes=ttl)
    except (OverflowError, ValueError) as error:
        raise InputError(f"ttl={ttl!r} minutes is no time to live: {error}") from error


def _results(ops: Sequence[Op], results: Sequence[Any]) -> list[Result]:
    return [_result(op, result) for op, result in zip(ops, results, strict=True)]


def _result(op: Op, result: Any) -> Result:
    if isinstance(op, GetOp):
        return None if result is None else Item(**_shared(result))
    if isinstance(op, SearchOp):
        return [SearchItem(**_shared(one), score=one.score) for one in result]
    return result  # type: ignore[no-any-return]


def _shared(document: Document) -> dict[str, Any]:
    return {
        "value": document.value,
        "key": document.key,
        "namespace": document.namespace,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
    }


# -- filters -----------------------------------------------------------------------------------------------------

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, given: value > given,
    "$gte": lambda value, given: value >= given,
    "$lt": lambda value, given: value < given,
    "$lte": lambda value, given: value <= given,
}
OPERATORS = ("$eq", "$ne", *_ORDER)


def matching(given: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a value fulfils LangGraph's filter. Raises ValueError for operators that do not exist.

    A dot in a key leads into nested objects. A missing key is null: equal to None and nothing else; no other
    comparison holds with it, including `$ne`, as in SQL.
    """
    conditions = [
        (_path(key), operator, operand)
        for key, wanted in given.items()
        for operator, operand in _compared(key, wanted)
    ]
    return lambda value: all(
        _holds(_at(value, path), operator, operand) for path, operator, operand in conditions
    )


def _path(key: Any) -> list[str]:
    """The names that a key leads through. Raises ValueError for an invalid key."""
    if isinstance(key, str) and key.startswith("$"):
        raise ValueError(
            f"Invalid filter key {key!r}: it is none of a value; conditions on several keys all hold, and operators "
            f"({', '.join(OPERATORS)}) stand below a key"
        )
    if not isinstance(key, str) or not all(key.split(".")):
        raise ValueError(f"Invalid filter key {key!r}: pass a string such as 'name' or 'address.city'")
    return key.split(".")


def _compared(key: Any, wanted: Any) -> list[tuple[str, Any]]:
    """(operator, operand) for each condition on a key. Raises ValueError for an empty condition."""
    if not isinstance(wanted, Mapping):
        return [("$eq", wanted)]
    unknown = [operator for operator in wanted if operator not in OPERATORS]
    if unknown or not wanted:
        said = f"{unknown[0]!r} is no operator" if unknown else "{} is no operator"
        raise ValueError(f"filter on {key!r}: {said}; there are {', '.join(OPERATORS)}")
    return list(wanted.items())


def _at(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _holds(value: Any, operator: str, operand: Any) -> bool:
    if operator == "$eq":
        return bool(value == operand)
    if operator == "$ne":
        return value is not None and bool(value != operand)
    comparable = (_is_number(value) and _is_number(operand)) or (
        isinstance(value, str) and isinstance(operand, str)
    )
    return comparable and _ORDER[operator](value, operand)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
