"""The pages, and what their forms do. Without a visit, `/login` is shown; a visit sees what its grant opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ...errors import HoldfastError, InputError
from ...memory import Memory
from ...types import OPERATIONS
from ..access import IDS
from ..failures import AccessError, failure, status_of
from ..server import Service, pieces, within
from ..visits import Visit
from .plots import Span
from .rendering import HEADERS, address, minute, rendered

PERIODS = (30, 90, 365)  # days that plots show
PAGE = 50  # rows of a page
HITS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request within a visit. given: its query, or its form."""

    request: Request
    visit: Visit
    given: Mapping[str, str]

    @property
    def service(self) -> Service:
        service: Service = self.request.app.state.service
        return service

    @property
    def ids(self) -> dict[str, Any]:
        """Whose memory it is about: the ids it names, and those the visit is bound to."""
        named = {name: self.given[name] for name in IDS if self.given.get(name)}
        return self.visit.grant.narrowed(named)

    @property
    def memory(self) -> Memory:
        """The memory within the visit's ids."""
        return within(self.service.memory, self.visit.grant, {})

    def of(self, name: str) -> str | None:
        """What was given under a name; None for nothing."""
        return self.given.get(name) or None

    def page(self, template: str, **values: Any) -> Response:
        return rendered(template, asked=self, notices=self.visit.told(), **values)


Shown = Callable[[Asked], Awaitable[Response]]
Done = Callable[[Asked], Awaitable[str]]


def routes() -> tuple[BaseRoute, ...]:
    """The inspector's routes, for `application`."""
    return (
        _shown("/", overview),
        _shown("/memories", memories),
        _shown("/memories/{memory_id}", memory),
        _shown("/changes", changes),
        _shown("/work", work),
        _shown("/erase", erasure),
        _done("/memories/{memory_id}/update", update),
        _done("/memories/{memory_id}/forget", forget),
        _done("/undo", undo),
        _done("/retry", retry),
        _done("/erase", erase),
        _done("/logout", leave),
        Route("/login", enter, methods=["GET"]),
        Route("/login", enter_by_token, methods=["POST"]),
        Route("/link", link, methods=["POST"]),
        Mount("/static", StaticFiles(directory=Path(__file__).parent.parent / "static")),
    )


def _shown(path: str, show: Shown) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            visit = visit_of(request)
        except AccessError:
            return RedirectResponse("/login", 303, HEADERS)
        asked = Asked(request, visit, dict(request.query_params))
        try:
            return await show(asked)
        except HoldfastError as error:
            return failed(error, asked)

    return Route(path, endpoint, methods=["GET"], name=show.__name__)


def _done(path: str, do: Done) -> Route:
    """A form's route. do: returns the page to go to."""

    async def endpoint(request: Request) -> Response:
        asked = None
        try:
            visit = visit_of(request)
            given = await form_of(request)
            visit.check(given.get("form", ""))
            asked = Asked(request, visit, given)
            return RedirectResponse(await do(asked), 303, HEADERS)
        except HoldfastError as error:
            return failed(error, asked)

    return Route(path, endpoint, methods=["POST"], name=do.__name__)


def failed(error: HoldfastError, asked: Asked | None) -> Response:
    told = failure(error)["error"]["message"]
    return rendered("error.html", status_of(error), message=told, asked=asked, notices=())


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises InputError, TooLargeError."""
    service: Service = request.app.state.service
    body = b"".join([piece async for piece in pieces(request, service.limits.call)])
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as error:
        raise InputError(f"the body is no form: {error}") from error


# -- letting in ---------------------------------------------------------------------------------------------------


def cookie_name(request: Request) -> str:
    """By port: browsers send one server's cookies to all others of the machine, which would replace one another's."""
    return f"holdfast-{request.url.port or request.url.scheme}"


def visit_of(request: Request) -> Visit:
    """Raises AccessError."""
    service: Service = request.app.state.service
    return service.visits.of(request.cookies.get(cookie_name(request)))


def let_in(request: Request, visit: Visit) -> Response:
    answer = RedirectResponse("/", 303, HEADERS)
    secure = request.url.scheme == "https"
    answer.set_cookie(cookie_name(request), visit.cookie, httponly=True, samesite="strict", secure=secure)
    return answer


async def enter(request: Request) -> Response:
    """With `?key=`, as in the link; without it, a form for a token. Merely previewing a link does not use it up."""
    service: Service = request.app.state.service
    key = request.query_params.get("key")
    if key is None or request.method == "HEAD":
        return rendered("login.html", message=None, asked=None, notices=())
    try:
        return let_in(request, service.visits.enter(key))
    except AccessError as error:
        return rendered("login.html", 401, message=str(error), asked=None, notices=())


async def enter_by_token(request: Request) -> Response:
    service: Service = request.app.state.service
    try:
        given = await form_of(request)
        return let_in(
            request, service.visits.begin(service.access.grant(f"Bearer {given.get('token', '').strip()}"))
        )
    except HoldfastError as error:
        return rendered("login.html", status_of(error), message=str(error), asked=None, notices=())


async def link(request: Request) -> Response:
    """The address of a new link, for a request with a token: `{"path": "/login?key=..."}`."""
    service: Service = request.app.state.service
    key = service.visits.link(service.grant(request))
    return JSONResponse({"path": address("/login", key=key)}, headers=HEADERS)


async def leave(asked: Asked) -> str:
    asked.service.visits.end(asked.visit)
    return "/login"


# -- pages --------------------------------------------------------------------------------------------------------


async def overview(asked: Asked) -> Response:
    """Numbers, plots, and who has memories."""
    memory = asked.memory
    by: Any = asked.of("by") or "user"
    return asked.page(
        "overview.html",
        **await _plotted(asked, {}),
        owners=await memory.ausers(by=by, limit=PAGE, cursor=asked.of("cursor")),
        by=by,
        pending=len(await memory.jobs.apending()),
        failed=len(await memory.jobs.afailed()),
        model=None if memory.llm is None else memory.llm.name,
        embedder=memory.embedder.name,
    )


async def _plotted(asked: Asked, ids: Mapping[str, Any]) -> dict[str, Any]:
    """What plots show for these ids."""
    period = next((days for days in PERIODS if str(days) == asked.of("days")), PERIODS[0])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=period - 1)
    active = await asked.memory.aactivity(**ids, since=first)
    count = await asked.memory.acount(**ids)
    return {"period": period, "periods": PERIODS, "span": Span.of(active, first, period), "count": count}


async def memories(asked: Asked) -> Response:
    """The memories of some ids: what a search finds, or all. With `part=1` only the rows, for the script."""
    ids, query = asked.ids, asked.of("q")
    if not ids:
        return RedirectResponse("/", 303, HEADERS)
    template = "rows.html" if asked.of("part") else "memories.html"
    values: dict[str, Any] = {"ids": ids, "query": query, "hits": None, "listed": None}
    if query and query.strip():
        values["hits"] = await asked.memory.asearch(query, **ids, limit=HITS, explain=True, wait=0)
    else:
        values["listed"] = await asked.memory.aget_all(**ids, limit=PAGE, cursor=asked.of("cursor"))
    if template == "memories.html":
        values |= await _plotted(asked, ids)
    return asked.page(template, **values)


async def memory(asked: Asked) -> Response:
    """Its versions, newest first, with what was said."""
    memory_id = asked.request.path_params["memory_id"]
    history = await asked.memory.ahistory(memory_id)
    scope = history[0].scope
    ids: dict[str, Any] = scope.ids()
    said = await asked.memory.amessages(**ids, ids=[one for change in history for one in change.sources])
    return asked.page(
        "memory.html",
        memory_id=memory_id,
        item=await asked.memory.aget(memory_id),
        history=history[::-1],
        scope=scope,
        said={message.id: message for message in said},
        undone={change.undoes: change for change in history if change.undoes},
    )


async def changes(asked: Asked) -> Response:
    """The feed, newest first."""
    names = (*IDS, "operation", "since", "until")
    wanted: dict[str, Any] = {**{name: asked.of(name) for name in names}, **asked.ids}
    return asked.page(
        "changes.html",
        feed=await asked.memory.achanges(**wanted, cursor=asked.of("cursor"), limit=PAGE),
        wanted=wanted,
        operations=OPERATIONS,
    )


async def work(asked: Asked) -> Response:
    """Adds that are not done."""
    jobs = asked.memory.jobs
    return asked.page("work.html", failed=await jobs.afailed(), pending=await jobs.apending())


async def erasure(asked: Asked) -> Response:
    """What an erasure would remove."""
    ids = asked.ids
    if not ids:
        return RedirectResponse("/", 303, HEADERS)
    return asked.page("erase.html", ids=ids, would=await asked.memory.aerase(**ids, dry_run=True))


# -- what forms do ------------------------------------------------------------------------------------------------


async def update(asked: Asked) -> str:
    """Write what the form changed; a time that it gives back as it was shown stays to the microsecond."""
    memory_id = asked.request.path_params["memory_id"]
    item = await asked.memory.aget(memory_id)
    text, end = asked.given.get("text", "").replace("\r\n", "\n"), asked.given.get("expires")
    written: dict[str, Any] = {"text": text} if item is None or item.text != text else {}
    if item is not None and end is not None and end.strip() != minute(item.expires_at):
        written["expires_at"] = end.strip() or None
    if written:
        await asked.memory.aupdate(memory_id, **written)
    asked.visit.notices.append("The memory is changed." if written else "Nothing was changed.")
    return f"/memories/{quote(memory_id, safe='')}"


async def forget(asked: Asked) -> str:
    memory_id = asked.request.path_params["memory_id"]
    await asked.memory.adelete(memory_id)
    asked.visit.notices.append("The memory is forgotten. Its history stays, and undo brings it back.")
    return f"/memories/{quote(memory_id, safe='')}"


async def undo(asked: Asked) -> str:
    undone = await asked.memory.aundo(asked.given.get("id", ""))
    asked.visit.notices.append(f"Undone: {len(undone)} {'change' if len(undone) == 1 else 'changes'}.")
    back = asked.of("memory_id")
    return "/changes" if back is None else f"/memories/{quote(back, safe='')}"


async def retry(asked: Asked) -> str:
    count = await asked.memory.jobs.aretry(asked.of("id"))
    asked.visit.notices.append(f"Back to work: {count}.")
    return "/work"


async def erase(asked: Asked) -> str:
    """Erase, but only if the user has typed out whose it is."""
    ids = asked.ids
    if asked.given.get("confirm") != " ".join(ids.values()):
        raise InputError("nothing was erased: what you typed is not the name that the page asks for")
    gone = await asked.memory.aerase(**ids)
    asked.visit.notices.append(f"Erased for good: {gone.memories} memories, {gone.messages} messages.")
    return "/"
