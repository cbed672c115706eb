"""What the commands of Anthropic's memory tool (`memory_20250818`) do to a directory of files, without any I/O.

Replies are worded as Anthropic documents them, as the model was trained on them. Paths are names below `/memories`
and lead nowhere else: whatever a server, a browser or a file system might read as a way out is refused, in whatever
encoding it comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ..types.storable import storable

Files = Mapping[str, str]  # path -> text
Changes = dict[str, str | None]  # path -> its new text, None if the file is gone
Outcome = tuple[str, Changes]

ROOT = "/memories"
LEVELS = 2  # of directories that a listing shows
MOST_LINES = 999_999  # what six digits can number
LONGEST_PATH = 1024  # bytes
AROUND = 2  # lines that a snippet shows before and after a change
DECODINGS = 5  # of a repeatedly encoded path; more are refused

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]")


class RefusedError(Exception):
    """A command that cannot be carried out, and what the model is told."""


def carried_out(files: Files, command: Mapping[str, Any]) -> Outcome:
    """What the model is told of a command, and what changes. Raises RefusedError."""
    name = command.get("command")
    if not isinstance(name, str) or name not in COMMANDS:
        raise RefusedError(f"Error: Unknown command: {name}. Use one of {', '.join(COMMANDS)}")
    return COMMANDS[name](files, command)


# -- commands ------------------------------------------------------------------------------------------------------


def _view(files: Files, command: Mapping[str, Any]) -> Outcome:
    path = _path(command, "path")
    if path in files:
        lines = _lines(files[path])
        if len(lines) > MOST_LINES:
            raise RefusedError(f"File {path} exceeds maximum line limit of {MOST_LINES:,} lines.")
        first, last = _range(command.get("view_range"), len(lines))
        shown = _numbered(lines, first, last)
        return "\n".join([f"Here's the content of {path} with line numbers:", *shown]), {}
    if not _is_directory(files, path):
        raise RefusedError(f"The path {path} does not exist. Please provide a valid path.")
    return _listed(files, path), {}


def _create(files: Files, command: Mapping[str, Any]) -> Outcome:
    path, text = _path(command, "path"), _text(command, "file_text")
    _expect_free(files, path, f"Error: File {path} already exists")
    return f"File created successfully at: {path}", {path: text}


def _str_replace(files: Files, command: Mapping[str, Any]) -> Outcome:
    path, old, new = _path(command, "path"), _text(command, "old_str"), _text(command, "new_str", "")
    text = _existing(files, path, " Please provide a valid path.")
    places = _places(text, old)
    if not places:
        raise RefusedError(
            f"No replacement was performed, old_str `{old}` did not appear verbatim in {path}."
        )
    if len(places) > 1:
        lines = ", ".join(str(_line_at(text, place)) for place in places)
        raise RefusedError(
            f"No replacement was performed. Multiple occurrences of old_str `{old}` in lines: {lines}. "
            "Please ensure it is unique"
        )
    [place] = places
    changed = text[:place] + new + text[place + len(old) :]
    first = _line_at(text, place)
    shown = _numbered(_lines(changed), max(1, first - AROUND), first + new.count("\n") + AROUND)
    return "\n".join(["The memory file has been edited.", *shown]), {path: changed}


def _insert(files: Files, command: Mapping[str, Any]) -> Outcome:
    path, text, at = _path(command, "path"), _text(command, "insert_text"), command.get("insert_line")
    lines = _lines(_existing(files, path))
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at <= len(lines):
        raise RefusedError(
            f"Error: Invalid `insert_line` parameter: {at}. It should be within the range of lines of the file: "
            f"[0, {len(lines)}]"
        )
    lines[at:at] = [text.removesuffix("\n")]
    return f"The file {path} has been edited.", {path: "\n".join(lines) + "\n"}


def _delete(files: Files, command: Mapping[str, Any]) -> Outcome:
    path = _path(command, "path")
    _not_the_root(path)
    gone: Changes = dict.fromkeys(_within(files, path))
    if not gone:
        raise RefusedError(f"Error: The path {path} does not exist")
    return f"Successfully deleted {path}", gone


def _rename(files: Files, command: Mapping[str, Any]) -> Outcome:
    old, new = _path(command, "old_path"), _path(command, "new_path")
    _not_the_root(old)
    moved = _within(files, old)
    if not moved:
        raise RefusedError(f"Error: The path {old} does not exist")
    if new.startswith(f"{old}/"):
        raise RefusedError(f"Error: The destination {new} lies within {old}")
    _expect_free(files, new, f"Error: The destination {new} already exists")
    changes: Changes = dict.fromkeys(moved)
    changes |= {new + path.removeprefix(old): files[path] for path in moved}
    for path in changes:
        _checked(path)
    return f"Successfully renamed {old} to {new}", changes


COMMANDS: dict[str, Callable[[Files, Mapping[str, Any]], Outcome]] = {
    "view": _view,
    "create": _create,
    "str_replace": _str_replace,
    "insert": _insert,
    "delete": _delete,
    "rename": _rename,
}


# -- paths ---------------------------------------------------------------------------------------------------------


def path_of(given: str) -> str:
    """A path in its canonical form. Raises RefusedError if it is invalid or leads elsewhere."""
    for reading in _readings(given):
        if ".." in reading.split("/") or "." in reading.split("/"):
            raise RefusedError(f"Error: The path {given!r} would escape the {ROOT} directory")
    path = "/" + "/".join(part for part in given.split("/") if part)
    if not given.startswith("/") or not f"{path}/".startswith(f"{ROOT}/"):
        raise RefusedError(f"Error: The path {given!r} is not below {ROOT}")
    return _checked(path)


def _readings(given: str) -> Sequence[str]:
    """The path as it is, and as anything that decodes and normalises it might read it. Raises RefusedError."""
    readings = [given]
    while len(readings) <= DECODINGS:
        text = unicodedata.normalize("NFKC", unquote(readings[-1], errors="replace")).replace("\\", "/")
        if _CONTROL.search(text):
            raise RefusedError(f"Error: The path {given!r} has characters that no name can have")
        if text == readings[-1]:
            return readings
        readings.append(text)
    raise RefusedError(f"Error: The path {given!r} is encoded too many times")


def _checked(path: str) -> str:
    if len(path.encode()) > LONGEST_PATH:
        raise RefusedError(f"Error: The path {path[:60]!r}... is longer than {LONGEST_PATH} bytes")
    return path


def _path(command: Mapping[str, Any], name: str) -> str:
    return path_of(_text(command, name))


def _text(command: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = command.get(name)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise RefusedError(f"Error: Parameter `{name}` of {command['command']} is required, and a string")
    return storable(value)


def _within(files: Files, path: str) -> list[str]:
    """The file of this path, or all files of this directory."""
    return sorted(one for one in files if one == path or one.startswith(f"{path}/"))


def _is_directory(files: Files, path: str) -> bool:
    return path == ROOT or any(one.startswith(f"{path}/") for one in files)


def _existing(files: Files, path: str, advice: str = "") -> str:
    """A file's text; not a directory. Raises RefusedError."""
    if path not in files:
        raise RefusedError(f"Error: The path {path} does not exist{'.' if advice else ''}{advice}")
    return files[path]


def _expect_free(files: Files, path: str, otherwise: str) -> None:
    """Raises RefusedError if something exists there, or a file where the path needs a directory."""
    if path in files or _is_directory(files, path):
        raise RefusedError(otherwise)
    for at, letter in enumerate(path):
        if letter == "/" and path[:at] in files:
            raise RefusedError(f"Error: {path[:at]} is a file, so that nothing can lie below it")


def both_file_and_directory(paths: Collection[str]) -> str | None:
    """A path among these that others are below; None if there is none."""
    directories = {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
    return min(directories.intersection(paths), default=None)


def _not_the_root(path: str) -> None:
    if path == ROOT:
        raise RefusedError(f"Error: The directory {ROOT} itself stays")


# -- what is shown -------------------------------------------------------------------------------------------------


def _lines(text: str) -> list[str]:
    """The lines of a text; a line break at the end does not begin another."""
    return text.removesuffix("\n").split("\n") if text else []


def _numbered(lines: Sequence[str], first: int, last: int) -> list[str]:
    """The lines from first to last, counted from 1."""
    shown = enumerate(lines[first - 1 : last], start=first)
    return [f"{number:6}\t{line}" for number, line in shown]


def _range(given: Any, count: int) -> tuple[int, int]:
    """The first and the last line to show. Raises RefusedError."""
    if given is None:
        return 1, count
    match given:
        case [int(first), int(last)] if 1 <= first <= max(count, 1) and (last == -1 or last >= first):
            return first, count if last == -1 else last
    raise RefusedError(
        f"Error: Invalid `view_range` parameter: {given}. It should be [first, last] within the range of lines of "
        f"the file: [1, {count}]; a last of -1 is the file's end"
    )


def _places(text: str, part: str) -> list[int]:
    """Where a part begins in a text, overlapping ones included."""
    places: list[int] = []
    at = text.find(part) if part else -1
    while at >= 0:
        places.append(at)
        at = text.find(part, at + 1)
    return places


def _line_at(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _listed(files: Files, directory: str) -> str:
    """A directory, two levels deep, with sizes; the directories in it end in a slash."""
    sizes: dict[str, int] = {}
    total = 0
    for path in _within(files, directory):
        parts = path.removeprefix(f"{directory}/").split("/")
        if any(part.startswith(".") or part == "node_modules" for part in parts):
            continue
        size = len(files[path].encode())
        total += size
        for depth in range(1, min(len(parts), LEVELS) + 1):
            shown = "/".join([directory, *parts[:depth]]) + ("/" if depth < len(parts) else "")
            sizes[shown] = sizes.get(shown, 0) + size
    head = (
        f"Here're the files and directories up to {LEVELS} levels deep in {directory}, "
        "excluding hidden items and node_modules:"
    )
    rows = [(total, directory), *((size, path) for path, size in sorted(sizes.items()))]
    return "\n".join([head, *(f"{_size(size)}\t{path}" for size, path in rows)])


def _size(count: int) -> str:
    """Bytes, as people read them."""
    size = float(count)
    for unit in ("B", "K", "M"):
        if size < 1024:
            return f"{count}B" if unit == "B" else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}G"
