"""Templates and their filters. Everything is escaped; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from ...types import Scope
from . import plots
from .differences import differences

HEADERS = {
    # No scripts and styles but those of /static, no frames, no other hosts.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without a referrer, forms would have no origin, and be refused
    "Cache-Control": "no-store",
}


def rendered(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(values), status, HEADERS)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("holdfast.app", "templates/inspector"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(plots=plots, differences=differences, address=address, now=_now)
    templates.filters.update(time=time, minute=minute, ids=ids, json=_json, short=plots.short)
    return templates


def address(path: str, *given: Mapping[str, Any] | Scope, **more: Any) -> str:
    """A path of this server with the given values as its query; empty ones are left out."""
    query: dict[str, Any] = {}
    for one in given:
        query |= one.ids() if isinstance(one, Scope) else one
    pairs = [(name, value) for name, value in {**query, **more}.items() if value not in (None, "")]
    return f"{path}?{urlencode(pairs, errors='surrogatepass')}" if pairs else path


def time(moment: datetime | None) -> Markup:
    if moment is None:
        return Markup("")
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), minute(moment))


def minute(moment: datetime | None) -> str:
    """A time as people read and type it, in UTC; empty for none."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _now() -> datetime:
    return datetime.now(UTC)


def ids(scope: Scope) -> str:
    return " · ".join(scope.ids().values())


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)
