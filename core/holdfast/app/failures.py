"""Errors on their way through HTTP: a status and a JSON object there, the same error again here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import errors
from ..errors import HoldfastError, InputError, ModelError, NotFoundError, StorageError, UndoError

if TYPE_CHECKING:
    from starlette.responses import Response


class AccessError(HoldfastError):
    """No token was sent, or one that is not known."""


class ForbiddenError(HoldfastError):
    """The token, or the page that asks, may not do this."""


class TooLargeError(HoldfastError):
    """The body of a request is larger than this server takes."""


class UnreachableError(HoldfastError):
    """No server answers at the address."""


class NotThereError(UnreachableError):
    """No server took the request: nothing was done."""


STATUS: tuple[tuple[type[HoldfastError], int], ...] = (
    (AccessError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (UndoError, 409),
    (TooLargeError, 413),
    (InputError, 400),
    (ModelError, 503),
    (StorageError, 503),
)
_OURS = {kind.__name__: kind for kind in (AccessError, ForbiddenError, TooLargeError)}


def status_of(error: HoldfastError) -> int:
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def failure(error: HoldfastError) -> dict[str, Any]:
    """`{"error": {"type": "NotFoundError", "message": "...", "add_id": null}}`"""
    message = NotFoundError.__str__(error) if isinstance(error, NotFoundError) else Exception.__str__(error)
    return {"error": {"type": type(error).__name__, "message": message, "add_id": error.add_id}}


def error_of(body: Any, status: int) -> HoldfastError:
    """The error that a server reported."""
    told = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(told, Mapping):
        return HoldfastError(f"the server answered with status {status} and nothing that can be read")
    name = str(told.get("type"))
    kind: Any = _OURS.get(name, getattr(errors, name, None))
    if not (isinstance(kind, type) and issubclass(kind, HoldfastError)):
        kind = HoldfastError
    error: HoldfastError = kind(str(told.get("message")))
    error.add_id = told.get("add_id")
    return error


def answer(error: HoldfastError) -> Response:
    """What HTTP says of it."""
    from starlette.responses import JSONResponse

    status = status_of(error)
    return JSONResponse(failure(error), status, {"WWW-Authenticate": "Bearer"} if status == 401 else None)
