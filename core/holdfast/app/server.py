"""The HTTP face: `POST /v1/<operation>` with JSON in and out, export and import as JSON Lines, MCP under `/mcp`.

Every request except `/healthz` and the description of the API carries a token, which says whose memory it opens.
Requests by a name that is not this server's (DNS rebinding), or from another site's page, are refused before that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from anyio import CancelScope
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from ..errors import HoldfastError, InputError
from ..memory import Memory
from .access import Access, Grant
from .connections import Local
from .failures import ForbiddenError, TooLargeError, answer, failure
from .mcp_server import McpEndpoint
from .openapi import document, page
from .operations import Whose, operation, read_arguments
from .plain import JsonObject, plain
from .visits import Visits

NDJSON = "application/x-ndjson"
PIECE = 2**16  # bytes
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a request's body: of a call, and of an import."""

    call: int = 8 * 2**20
    import_: int = 2**30


@dataclass(frozen=True, slots=True)
class Service:
    """What the server works with; `app.state.service` of its requests.

    hosts: names it is reached by, besides those of this machine and numeric addresses.
    instance: what `/healthz` returns, so that it can be recognised. visits: of browsers.
    """

    memory: Memory
    access: Access
    instance: str = ""
    hosts: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    visits: Visits = field(default_factory=Visits)

    def grant(self, request: Request) -> Grant:
        """What the request's token opens. Raises AccessError."""
        return self.access.grant(request.headers.get("authorization"))


def application(service: Service, *, routes: tuple[BaseRoute, ...] = ()) -> Starlette:
    """The ASGI application. routes: further ones, ahead of those here."""
    mcp = McpEndpoint(service.memory, service.access, largest=service.limits.call)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        async with mcp.running():
            yield

    app = Starlette(
        routes=[
            *routes,
            Route("/healthz", health),
            Route("/openapi.json", description),
            Route("/docs", described),
            Route("/v1/export", export, methods=["POST"]),
            Route("/v1/import", import_, methods=["POST"]),
            Route("/v1/{name}", call, methods=["POST"]),
            Route("/mcp", mcp, methods=["POST"]),
            Route("/mcp/{user_id:path}", mcp, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, hosts=service.hosts)],
        exception_handlers={HoldfastError: refused, HTTPException: missing, Exception: broken},
        lifespan=life,
    )
    app.state.service = service
    return app


# -- endpoints ----------------------------------------------------------------------------------------------------


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "instance": request.app.state.service.instance})


async def description(request: Request) -> Response:
    return JSONResponse(document())


async def described(request: Request) -> Response:
    return HTMLResponse(page())


async def call(request: Request) -> Response:
    """One operation, within the token's ids."""
    service: Service = request.app.state.service
    grant = service.grant(request)
    wanted = operation(request.path_params["name"])
    if wanted.whole:
        grant.whole(wanted.name)
    given = await json_of(request, service.limits.call)
    return JSONResponse(await Local(within(service.memory, grant, given)).call(wanted.name, given))


async def export(request: Request) -> Response:
    """Complete before its first byte is sent, so that the status reports a failure."""
    service: Service = request.app.state.service
    grant = service.grant(request)
    given = dict(await json_of(request, service.limits.call))
    everything = given.pop("everything", False)
    if everything:
        grant.whole("export of everything")
    memory = within(service.memory, grant, given)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="holdfast-"))
        path = Path(folder) / "export.jsonl"
        await memory.aexport(path, everything=everything, **read_arguments(Whose, given))
        return StreamingResponse(sent(path, stack.pop_all()), media_type=NDJSON)


async def sent(path: Path, behind: AsyncExitStack) -> AsyncIterator[bytes]:
    """A file in pieces; then, or when the client has gone, `behind` is closed."""
    async with behind:
        with open(path, "rb") as file:  # noqa: ASYNC230 - pieces that the disk cache has
            while piece := file.read(PIECE):
                yield piece


async def import_(request: Request) -> Response:
    """A line for every step, `{"progress": [3, 10]}`, and `{"result": ...}` or `{"error": ...}` as the last."""
    service: Service = request.app.state.service
    service.grant(request).whole("import")
    ids = read_arguments(Whose, dict(request.query_params))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="holdfast-"))
        path = Path(folder) / "import.jsonl"
        with open(path, "wb") as file:  # noqa: ASYNC230 - pieces that the disk cache takes at once
            async for piece in pieces(request, service.limits.import_):
                file.write(piece)
        lines = imported(service.memory, path, ids, stack.pop_all())
        return StreamingResponse(lines, media_type=NDJSON)


async def imported(
    memory: Memory, path: Path, ids: Mapping[str, str], behind: AsyncExitStack
) -> AsyncIterator[str]:
    steps: asyncio.Queue[JsonObject | None] = asyncio.Queue()

    async def work() -> JsonObject:
        try:
            told = await memory.aimport_(
                path, progress=lambda at, of: steps.put_nowait({"progress": [at, of]}), **ids
            )
            return {"result": plain(told)}
        except HoldfastError as error:
            return failure(error)
        finally:
            steps.put_nowait(None)

    async with behind:
        working = asyncio.create_task(work())
        try:
            while step := await steps.get():
                yield _line(step)
            yield _line(await working)
        finally:  # the client may have gone; what is not committed is not imported
            working.cancel()
            with CancelScope(shield=True):
                await asyncio.wait([working])


def _line(told: JsonObject) -> str:
    return json.dumps(told, ensure_ascii=False) + "\n"


# -- what a request may do ------------------------------------------------------------------------------------


def within(memory: Memory, grant: Grant, given: Mapping[str, Any]) -> Memory:
    """The memory within a token's ids. Raises ForbiddenError if a call names others' ids."""
    grant.narrowed(given)
    return memory.scoped(**grant.scope.ids()) if grant.scope else memory


async def json_of(request: Request, largest: int) -> JsonObject:
    """The object in a request's body; an empty body stands for {}. Raises InputError, TooLargeError."""
    body = b"".join([piece async for piece in pieces(request, largest)])
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InputError(f"the body is {kind or 'of no type'}; send Content-Type: application/json")
    try:
        given = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InputError("the body is no JSON object")
    return given


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


async def pieces(request: Request, largest: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TooLargeError, before anything is read if its length is given."""
    told = request.headers.get("content-length", "0")
    size = int(told) if told.isdecimal() else 0
    if size > largest:
        raise TooLargeError(f"the body has {size:,} bytes, and at most {largest:,} are taken")
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > largest:
            raise TooLargeError(f"the body has more than the {largest:,} bytes that are taken")
        yield piece


class Guard:
    """Refuses requests for names that are not this server's, and those from pages of other sites."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app = app
        self.hosts = LOOPBACK | hosts

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self.check(Headers(scope=scope))
            except ForbiddenError as error:
                await answer(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def check(self, headers: Headers) -> None:
        """Raises ForbiddenError."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise ForbiddenError(
                f"this server is not {host!r}; `holdfast serve --allow-host NAME` adds a name"
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise ForbiddenError(f"a page of {origin!r} may not ask this server")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or _is_address(name)


def _is_address(name: str) -> bool:
    """Whether it is a numeric address, which nobody can point elsewhere as they could a name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


# -- errors -------------------------------------------------------------------------------------------------------


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HoldfastError)
    return answer(error)


async def missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {"type": "HTTPException", "message": error.detail, "add_id": None}
    return JSONResponse({"error": told}, error.status_code, error.headers)


async def broken(request: Request, error: Exception) -> Response:
    """A defect of ours: the log has the details, the caller gets none."""
    told = {
        "type": "HoldfastError",
        "message": "an error inside the server; its log tells more",
        "add_id": None,
    }
    return JSONResponse({"error": told}, 500)
