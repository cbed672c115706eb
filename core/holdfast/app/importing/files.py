"""The sources of imports: files on this machine and the web, as JSON, JSON Lines or SQLite.

A file that cannot be read as a whole, such as a truncated one, raises InputError; a line that cannot be read is
reported with its place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from ...errors import InputError
from ..failures import TooLargeError, UnreachableError
from .items import Unreadable

LARGEST = 2**30  # bytes of a download, and of a file in an archive
REDIRECTS = 5
Records = Iterator[tuple[str, Any]]


@contextmanager
def at_hand(source: str, largest: int = LARGEST) -> Iterator[Path]:
    """A file as it is, or what an http(s) URL names, fetched. Raises InputError, TooLargeError, UnreachableError."""
    if "://" not in source:
        yield _file(Path(source))
        return
    with TemporaryDirectory(prefix="holdfast-") as folder:
        path = Path(folder) / "fetched"
        try:
            _fetch(httpx.URL(source), path, largest)
        except httpx.InvalidURL as error:
            raise InputError(f"{source!r} is no URL: {error}") from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{source} cannot be fetched: {str(error) or type(error).__name__}"
            ) from error
        yield _file(path, source)


def _file(path: Path, named: str | None = None) -> Path:
    named = named or str(path)
    try:
        if path.is_dir():
            raise InputError(f"{named!r} is a directory; name the file in it")
        if not path.is_file():
            raise InputError(f"{named!r} is no file")
        if not path.stat().st_size:
            raise InputError(f"{named!r} is empty")
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        if isinstance(error, InputError):
            raise
        raise InputError(f"{named!r} cannot be read: {error}") from error
    return path


def _fetch(url: httpx.URL, path: Path, largest: int) -> None:
    """Redirects are followed from web to web, and never from https to http."""
    with httpx.Client(timeout=30) as client:
        for _ in range(REDIRECTS + 1):
            if url.scheme not in ("http", "https"):
                raise InputError(f"{url} is refused: only http and https are fetched")
            with client.stream("GET", url) as answer:
                if answer.has_redirect_location:
                    before, url = url, url.join(answer.headers["location"])
                    if before.scheme == "https" and url.scheme == "http":
                        raise InputError(f"{before} leads to {url}, which is not encrypted")
                    continue
                if answer.status_code != 200:
                    raise UnreachableError(f"{url} answers with status {answer.status_code}")
                _write(answer, path, largest)
                return
    raise UnreachableError(f"{url} is redirected more than {REDIRECTS} times")


def _write(answer: httpx.Response, path: Path, largest: int) -> None:
    size = 0
    with open(path, "wb") as file:
        for piece in answer.iter_bytes(2**16):
            size += len(piece)
            if size > largest:
                raise TooLargeError(f"{answer.url} has more than the {largest:,} bytes that are taken")
            file.write(piece)


# -- JSON -----------------------------------------------------------------------------------------------------------


def parsed(content: str | bytes) -> Any:
    """Raises ValueError."""
    try:
        return json.loads(content, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def document(path: Path) -> Any:
    """The JSON of a whole file. Raises InputError."""
    try:
        return parsed(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise InputError(
            f"{path.name} is no JSON, or was cut short: {error}; nothing was imported"
        ) from error


def lines(path: Path) -> Records:
    """JSON Lines. Raises InputError if the last line is truncated."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", _line(number, line)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _line(number: int, line: str) -> Any:
    try:
        return parsed(line)
    except ValueError as error:
        if not line.endswith("\n"):
            raise InputError(
                f"line {number} breaks off: the file was cut short; nothing was imported"
            ) from error
        return Unreadable(f"no JSON: {error}")


def records(path: Path, *lists: str) -> Records:
    """The objects of a JSON list, of the list under one of the names, or of JSON Lines.

    Raises InputError if the file is none of these.
    """
    try:
        found = parsed(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        if is_lines(path):
            yield from lines(path)
            return
        raise InputError(
            f"{path.name} is no JSON, or was cut short: {error}; nothing was imported"
        ) from error
    if isinstance(found, dict):
        found = next((found[name] for name in lists if isinstance(found.get(name), list)), [found])
    if not isinstance(found, list):
        raise InputError(f"{path.name} is neither a list nor an object; nothing was imported")
    for number, record in enumerate(found, 1):
        yield f"item {number}", record


def is_lines(path: Path) -> bool:
    """Whether the first line is an object by itself."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        first = next((line for line in file if line.strip()), "")
    try:
        return isinstance(parsed(first), dict)
    except ValueError:
        return False


# -- SQLite ---------------------------------------------------------------------------------------------------------


def is_sqlite(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\x00"


def rows(path: Path, table: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a table in the order of writing, with those columns that it has; the file is not changed.

    Raises InputError if there is no such table.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            here = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            wanted = [name for name in columns if name in here]
            if not wanted:
                raise InputError(f"{path.name} has no table {table!r}; nothing was imported")
            query = f"SELECT {', '.join(wanted)} FROM {table} ORDER BY rowid"  # noqa: S608 - our own names
            return [dict.fromkeys(columns) | dict(zip(wanted, row, strict=True)) for row in db.execute(query)]
    except sqlite3.Error as error:
        raise InputError(f"{path.name} cannot be read as SQLite: {error}; nothing was imported") from error
