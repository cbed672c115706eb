"""Items of a LangGraph store (`langgraph-checkpoint` 2 to 4), LangMem's (0.0.x) among them.

SQLite: the table `store(prefix, key, value, created_at, updated_at, expires_at)` of `SqliteStore`; PostgreSQL has the
same, as CSV with a header: `\\copy store to 'store.csv' csv header`. JSON, or JSON Lines: what `Item.dict()` gives,
`{"namespace": ["memories", "alice"], "key", "value", "created_at", "updated_at"}`.

Which label of a namespace is the user's depends on the application: `--namespace memories/{user_id}` says so.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import InputError, whose_memory
from .files import Records, is_sqlite, parsed, records, rows
from .items import (
    IDS,
    Item,
    Read,
    Remembered,
    Unreadable,
    each,
    ids,
    mapping,
    moment,
    past,
    sequence,
    stored,
    text,
)
from .request import Request

COLUMNS = ("prefix", "key", "value", "created_at", "updated_at", "expires_at")
CELL = 2**24  # characters of a value in CSV


def read(path: Path, request: Request) -> Iterator[Read]:
    whose = _whose(request)
    found: Records
    if is_sqlite(path):
        found = ((f"row {number}", row) for number, row in enumerate(rows(path, "store", COLUMNS), 1))
    elif _is_csv(path):
        found = _csv(path)
    else:
        found = records(path, "items")
    yield from each(found, partial(_item, whose))


Whose = Callable[[Sequence[str]], dict[str, str]]


def _whose(request: Request) -> Whose:
    """The ids in a namespace. Raises InputError."""
    if request.namespace is None:
        return lambda labels: {} if request.ids else _ask(labels)
    pattern = request.namespace.strip("/").split("/")
    named = [label for label in pattern if label.startswith("{")]
    if unknown := [label for label in named if label[1:-1] not in IDS or not label.endswith("}")]:
        raise InputError(
            f"--namespace {request.namespace}: {unknown[0]} is none of {{user_id}}, {{agent_id}}, {{run_id}}"
        )

    def whose(labels: Sequence[str]) -> dict[str, str]:
        matches = len(labels) == len(pattern) and all(
            one in named or one in ("*", label) for one, label in zip(pattern, labels, strict=True)
        )
        if not matches:
            raise Unreadable(f"namespace {'/'.join(labels)!r} is not like {request.namespace!r}")
        return ids({one[1:-1]: label for one, label in zip(pattern, labels, strict=True) if one in named})

    return whose


def _ask(labels: Sequence[str]) -> dict[str, str]:
    raise whose_memory(
        ways=f"A namespace is {'/'.join(labels)!r}: say which label is the user, --namespace 'memories/{{user_id}}', "
        "or pass --user-id for all of them"
    )


def _item(whose: Whose, found: Any) -> Iterable[Item]:
    found = mapping(found)
    labels = found.get("namespace", found.get("prefix"))
    labels = labels.split(".") if isinstance(labels, str) else sequence(labels, "namespace")
    labels = [text(label, "a label of the namespace") for label in labels]
    value = found.get("value")
    try:
        value = stored(mapping(parsed(value) if isinstance(value, (str, bytes)) else value, "value"))
    except ValueError as error:
        raise Unreadable(f"value is no JSON: {error}") from error
    key = text(found.get("key"), "key")
    said = _said(value)
    created, updated = (
        past(found.get("created_at"), "created_at"),
        past(found.get("updated_at"), "updated_at"),
    )
    yield Remembered(
        texts=((text(said, "value"), created or updated),),
        ids=whose(labels),
        key=(*labels, key),
        metadata={"namespace": "/".join(labels), "key": key}
        | ({"value": value} if _more(value, said) else {}),
        expires_at=moment(found.get("expires_at"), "expires_at"),
    )


def _said(value: Mapping[str, Any]) -> str:
    """The text of a value: what is under `content`, as LangMem writes it, or its only entry; else all of it."""
    content = value.get("content", next(iter(value.values())) if len(value) == 1 else None)
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _said(content)
    return _written(value)


def _more(value: Mapping[str, Any], said: str) -> bool:
    """Whether a value says more than its text."""
    return len(value) > 1 and said != _written(value)


def _written(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_csv(path: Path) -> bool:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return {"prefix", "key", "value"} <= set(next(csv.reader(file), []))


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    before = csv.field_size_limit(CELL)
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                wrong = None in row or None in row.values()
                yield (
                    f"line {reader.line_num}",
                    Unreadable("not as many cells as the header") if wrong else row,
                )
    except csv.Error as error:
        raise InputError(f"{path.name}, line {reader.line_num}: {error}; nothing was imported") from error
    finally:
        csv.field_size_limit(before)
