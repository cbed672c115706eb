"""Where the server of a folder is: a file in the folder that only its owner can read, present while it runs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

FILE = "serve.json"
SECONDS = 2  # for a server on this machine to answer


@dataclass(frozen=True, slots=True)
class Served:
    """A running server. instance: distinguishes it from another one that took its port later."""

    url: str
    token: str
    instance: str
    pid: int

    @classmethod
    def here(cls, url: str, token: str) -> Served:
        """This process."""
        return cls(url, token, secrets.token_urlsafe(12), os.getpid())


def new_token() -> str:
    return secrets.token_urlsafe(32)


def found(folder: Path) -> Served | None:
    """The server that has this folder open, if one answers; the file of a killed one means nothing."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        served = Served(told["url"], told["token"], told["instance"], told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return served if _answers(served) else None


def _answers(served: Served) -> bool:
    """Ask without the token, which is for this server only."""
    try:
        answer = httpx.get(f"{served.url}/healthz", timeout=SECONDS, trust_env=False)
        return answer.status_code == 200 and answer.json().get("instance") == served.instance
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


@contextmanager
def left(folder: Path | None, served: Served) -> Iterator[None]:
    """Keep the file within the block; none if the store has no folder."""
    if folder is None:
        yield
        return
    path, half = folder / FILE, folder / f"{FILE}.part"
    half.unlink(missing_ok=True)  # left by a process killed while writing it
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(served), file)
    half.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
