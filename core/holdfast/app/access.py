"""Who may ask what: every token is bound to ids, or is an administrator's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..types import Scope
from .failures import AccessError, ForbiddenError

SHORTEST = 16  # characters of a token: 96 bits in base64
IDS = ("user_id", "agent_id", "run_id")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token opens: memories that carry these ids; without ids, everything."""

    scope: Scope = field(default_factory=Scope)

    def narrowed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The bound ids, and those of a call. Raises ForbiddenError if they differ."""
        for name, value in self.scope.ids().items():
            if given.get(name) not in (None, value):
                raise ForbiddenError(f"{name}={given[name]!r}: this token is for {name}={value!r}")
        return {**given, **self.scope.ids()}

    def whole(self, what: str) -> None:
        """Raises ForbiddenError if this is not an administrator's."""
        if self.scope:
            bound = ", ".join(f"{name}={value!r}" for name, value in self.scope.ids().items())
            raise ForbiddenError(f"{what} concerns all users, and this token is for {bound}")


class Access:
    """The tokens of a server."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        # By digest, so that the time of a look-up reveals nothing about a token.
        self._grants = {_digest(token): grant for token, grant in grants.items()}

    def grant(self, authorization: str | None) -> Grant:
        """What the `Authorization` header of a request opens. Raises AccessError."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AccessError("send the token of this server: Authorization: Bearer ...")
        grant = self._grants.get(_digest(token.strip()))
        if grant is None:
            raise AccessError("this token is not known here")
        return grant


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def read_tokens(path: Path) -> dict[str, Grant]:
    """Tokens from a file: `[{"token": "...", "user_id": "alice"}, {"token": "...", "admin": true}]`.

    Raises InputError, which shows no token.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the tokens in {path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise InputError(f'{path} is no list of tokens, like [{{"token": "...", "user_id": "alice"}}]')
    grants: dict[str, Grant] = {}
    for number, row in enumerate(rows, 1):
        where = f"token {number} of {path}"
        token, grant = _row(row, where)
        if token in grants:
            raise InputError(f"{where} is there twice")
        grants[token] = grant
    return grants


def _row(row: Any, where: str) -> tuple[str, Grant]:
    if not isinstance(row, dict) or not row.keys() <= {"token", "admin", *IDS}:
        raise InputError(f"{where}: known keys are token, admin, {', '.join(IDS)}")
    ids = {name: row[name] for name in IDS if row.get(name) is not None}
    if not all(isinstance(value, str) and value.strip() for value in ids.values()):
        raise InputError(f"{where}: an id is a string that is not blank")
    if bool(ids) == (row.get("admin") is True):
        raise InputError(f'{where}: give ids that it is bound to, or "admin": true, and not both')
    return checked_token(row.get("token"), where), Grant(Scope(**ids))


def checked_token(token: Any, where: str) -> str:
    """Raises InputError."""
    if not isinstance(token, str) or len(token) < SHORTEST or not token.isascii() or " " in token:
        raise InputError(f"{where}: a token has {SHORTEST} characters of ASCII or more, and no spaces")
    return token
