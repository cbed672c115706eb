"""What is asked of an import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..connections import Progress
from .items import Read


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be imported.

    source: a path, or what the format takes.
    ids: whose it is to be if the format does not say.
    namespace: which labels of a namespace say whose an item is: "memories/{user_id}".
    """

    source: str
    ids: Mapping[str, str]
    dry_run: bool = False
    progress: Progress | None = None
    namespace: str | None = None


Reader = Callable[[Path, Request], Iterator[Read]]
