"""The two ways to run the engine's coroutines: inline for the sync face, on the event loop for the async one.

Pipelines are written once, as coroutines over an `IO`. With `Inline` they never suspend, so `run_inline`
drives one to its end with a single `send`. With `Asyncio` blocking calls go to a thread and ports' `a…`
methods are awaited. `operation` makes both faces of a public method out of one coroutine. Nothing in here is bound
to one event loop.

Threads: blocking calls run in threads of our own, never in those of the event loop's default executor, which the
application may fill with callers that wait for us. A function that runs there never waits for a lock whose holder
needs one of these threads: what takes a lock while it is in a thread runs from end to end in that thread (`alone`).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from .errors import StorageError

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
S_contra = TypeVar("S_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

CONCURRENCY = 4  # requests to one provider at a time: polite to hosted APIs, harmless for local servers
THREADS = min(32, (os.cpu_count() or 1) + 4)  # as many as an event loop's own


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a pipeline awaited something other than its IO")


class Ticket(Future[None]):
    """A place in a queue. loop: if its holder is a task, the event loop that must run for it to progress."""

    def __init__(self, loop: object | None) -> None:
        super().__init__()
        self.loop = loop


class KeyedLocks:
    """A fair lock per key. Waiting is a `concurrent.futures.Future`, so threads and tasks share it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[Hashable, deque[Ticket]] = {}

    def enqueue(self, key: Hashable, loop: object | None = None, *, stopped: object | None = None) -> Ticket:
        """A ticket that completes when its turn has come. Give it back with `release`.

        stopped: the event loop that will not run while the caller waits. Raises StorageError if somebody ahead
        needs it: the wait would never end.
        """
        ticket = Ticket(loop)
        with self._guard:
            queue = self._waiting.setdefault(key, deque())
            if stopped is not None and any(other.loop is stopped for other in queue):
                raise StorageError(
                    "this call would wait for ever for an asynchronous one on the event loop that it blocks: "
                    "await its twin instead (`aadd` for `add`)"
                )
            queue.append(ticket)
            first = len(queue) == 1
        if first:
            _grant(ticket)
        return ticket

    def release(self, key: Hashable, ticket: Ticket) -> None:
        """Leave the queue, whether or not the turn had come, and wake the next in line."""
        with self._guard:
            queue = self._waiting[key]
            was_first = queue[0] is ticket
            queue.remove(ticket)
            following = queue[0] if queue else None
            if not queue:
                del self._waiting[key]
        if was_first and following is not None:
            _grant(following)


def _grant(ticket: Future[None]) -> None:
    # A ticket whose task was cancelled is still in line: its own `release` passes the turn on.
    if ticket.set_running_or_notify_cancel():
        ticket.set_result(None)


class IO(Protocol):
    """What a pipeline may await."""

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking function of ours: ledger, embedded index."""
        ...

    async def alone(self, threads: Executor, pipeline: Callable[[IO], Coroutine[Any, Any, T]], /) -> T:
        """A pipeline that only blocks, from end to end in one thread: one of `threads` if the caller must not block.

        For holders of a lock that threads wait for: it progresses whatever happens to the event loop."""
        ...

    async def call(
        self,
        function: Callable[P, T],
        twin: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """A method of a port, or its `a…` twin."""
        ...

    async def map(self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
        """A pipeline over several items, a few at a time; results in order, the first error raised."""
        ...

    async def wait(self, future: Future[T]) -> T: ...

    async def sleep(self, seconds: float) -> None: ...


class Inline:
    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    async def alone(self, threads: Executor, pipeline: Callable[[IO], Coroutine[Any, Any, T]], /) -> T:
        return await pipeline(self)

    async def call(
        self,
        function: Callable[P, T],
        twin: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return function(*args, **kwargs)

    async def map(self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
        work = list(items)
        if len(work) < 2:
            return [await function(item) for item in work]
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            return list(pool.map(lambda item: run_inline(function(item)), work))

    async def wait(self, future: Future[T]) -> T:
        return future.result()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this is the face that blocks


class Asyncio:
    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.within(_threads.get(), partial(function, *args, **kwargs))

    async def alone(self, threads: Executor, pipeline: Callable[[IO], Coroutine[Any, Any, T]], /) -> T:
        return await self.within(threads, lambda: run_inline(pipeline(Inline())))

    async def within(self, threads: Executor, function: Callable[[], T]) -> T:
        """A blocking function in one of these threads."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        working = loop.run_in_executor(threads, context.run, function)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await _ended(working)
            raise

    async def call(
        self,
        function: Callable[P, T],
        twin: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await twin(*args, **kwargs)

    async def map(self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
        slots = asyncio.Semaphore(CONCURRENCY)

        async def limited(item: T) -> R:
            async with slots:
                return await function(item)

        tasks = [asyncio.ensure_future(limited(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def wait(self, future: Future[T]) -> T:
        return await asyncio.wrap_future(future)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


INLINE: IO = Inline()
ASYNCIO: IO = Asyncio()


class Operation(Protocol[S_contra, P, R_co]):
    """A method that runs inline, as a type checker sees it; and its `twin`, the coroutine function that does the same
    on an event loop."""

    @property
    def twin(self) -> Callable[Concatenate[S_contra, P], Coroutine[Any, Any, R_co]]: ...

    @overload
    def __get__(self, at: None, owner: type, /) -> Callable[Concatenate[S_contra, P], R_co]: ...
    @overload
    def __get__(self, at: S_contra, owner: type | None = None, /) -> Callable[P, R_co]: ...


def operation(
    method: Callable[Concatenate[S_contra, IO, P], Coroutine[Any, Any, R_co]],
) -> Operation[S_contra, P, R_co]:
    """Both faces of an operation that is written once, as a coroutine that takes the `IO` behind `self`.

        @operation
        async def get(self, io: IO, key: str) -> str | None:
            "The value of a key, or None."
            return await io.run(self._store.get, key)

        aget = get.twin

    `box.get("a")` returns the value, `await box.aget("a")` too. Both are plain functions, so that subclasses,
    `super()`, `help` and whatever makes a tool of a function find what they expect: signature and annotations are
    those of the method without `io`, and may name what is known where the class is defined.
    """

    def face(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run_inline(method(self, INLINE, *args, **kwargs))

    async def twin(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await method(self, ASYNCIO, *args, **kwargs)

    name = method.__name__
    _dressed(face, method, name, method.__doc__)
    face.twin = _dressed(twin, method, f"a{name}", f"Async `{name}`.")  # type: ignore[attr-defined]
    return cast("Operation[S_contra, P, R_co]", face)


def _dressed(function: Callable[..., Any], method: Callable[..., Any], name: str, doc: str | None) -> Any:
    """The function under this name, with the method's signature except the `IO`."""
    update_wrapper(function, method)
    # Types, not their names: LlamaIndex reads names as those of its own module.
    signature = inspect.signature(method, eval_str=True)
    own, _, *others = signature.parameters.values()
    function.__name__, function.__doc__ = name, doc
    function.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{name}"
    function.__annotations__ = {one.name: one.annotation for one in others} | {
        "return": signature.return_annotation
    }
    function.__signature__ = signature.replace(parameters=[own, *others])  # type: ignore[attr-defined]
    return function


class _Threads:
    """The threads for blocking calls, made when first needed, and anew in a forked child, which inherits none."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def get(self) -> ThreadPoolExecutor:
        with self._guard:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "holdfast")
            return self._pool

    def _forget(self) -> None:
        self._guard, self._pool = threading.Lock(), None


_threads = _Threads()


async def _ended(working: asyncio.Future[Any]) -> None:
    """Wait for a thread even when cancelled, as it cannot be: nothing may still run once its lock is free."""
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            continue  # the first cancellation is raised when the thread is done
    working.exception()  # retrieved, as the caller gets the cancellation instead


def running_loop() -> object | None:
    """The event loop that this thread runs, if it runs one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@asynccontextmanager
async def holding(io: IO, locks: KeyedLocks, key: Hashable) -> AsyncIterator[None]:
    """Hold the lock of `key`, fairly, within the block."""
    running = running_loop()
    inline = isinstance(io, Inline)
    ticket = locks.enqueue(key, None if inline else running, stopped=running if inline else None)
    try:
        await io.wait(ticket)
        yield
    finally:
        locks.release(key, ticket)


class PerLoop:
    """An object per event loop: async clients must not outlive, or be shared between, loops."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], Any] = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._guard = threading.Lock()

    def get(self) -> Any:
        loop = asyncio.get_running_loop()
        with self._guard:
            if loop not in self._made:
                self._made[loop] = self._make()
            return self._made[loop]
