"""Browsers' access: links that open once, and the visits that they or a token begin."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .access import Grant
from .failures import AccessError, ForbiddenError

LINK = 3600  # seconds until a link that nobody opened is void
IDLE = 12 * 3600  # seconds without a request after which a visit is over
MOST = 1000  # visits and links at a time; the oldest are dropped


@dataclass(slots=True)
class Visit:
    """What one browser may see. cookie: identifies it. form: the token in every form that changes something."""

    grant: Grant
    cookie: str = field(default_factory=secrets.token_urlsafe)
    form: str = field(default_factory=secrets.token_urlsafe)
    seen: float = 0.0
    notices: list[str] = field(default_factory=list)

    def check(self, form: str) -> None:
        """Raises ForbiddenError if a form is not from this visit's pages."""
        if not hmac.compare_digest(self.form.encode(), form.encode("utf-8", "surrogatepass")):
            raise ForbiddenError("this form is not of a page that is open here; load the page again")

    def told(self) -> list[str]:
        """Messages to show on the next page, once."""
        told, self.notices = self.notices, []
        return told


class Visits:
    """Kept in this process: when it ends, all are over."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._links: dict[str, tuple[float, Grant]] = {}
        self._visits: dict[str, Visit] = {}

    def link(self, grant: Grant) -> str:
        """The key of a new link."""
        key = secrets.token_urlsafe()
        self._links[key] = (self._now(), grant)
        _keep_newest(self._links)
        return key

    def enter(self, key: str) -> Visit:
        """The visit that a link begins; it opens once. Raises AccessError."""
        made, grant = self._links.pop(key, (0.0, None))
        if grant is None or self._now() - made > LINK:
            raise AccessError(
                "this link was opened before, or is too old; `holdfast inspect` gives a new one"
            )
        return self.begin(grant)

    def begin(self, grant: Grant) -> Visit:
        visit = Visit(grant, seen=self._now())
        self._visits[visit.cookie] = visit
        _keep_newest(self._visits)
        return visit

    def of(self, cookie: str | None) -> Visit:
        """Raises AccessError if the cookie is not of a current visit."""
        visit = self._visits.pop(cookie or "", None)
        if visit is None or self._now() - visit.seen > IDLE:
            raise AccessError("open the link that `holdfast serve` or `holdfast inspect` printed")
        visit.seen = self._now()
        self._visits[visit.cookie] = visit  # the most recently used is dropped last
        return visit

    def end(self, visit: Visit) -> None:
        self._visits.pop(visit.cookie, None)


def _keep_newest(kept: dict[str, Visit] | dict[str, tuple[float, Grant]]) -> None:
    while len(kept) > MOST:
        del kept[next(iter(kept))]
