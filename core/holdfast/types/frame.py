"""Data frames for notebooks: a row for each memory, hit, change or owner. Imports pandas when one is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from . import MemoryItem, Record, Scope

if TYPE_CHECKING:
    import pandas as pd


def frame(rows: Iterable[Record]) -> pd.DataFrame:
    """A DataFrame of records. Raises ImportError if pandas is not installed."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_frame needs pandas: pip install pandas") from error
    return pd.DataFrame([dict(_cells(row)) for row in rows])


def _cells(record: Record) -> Iterator[tuple[str, Any]]:
    """The columns of a record, and what is in them."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}  # type: ignore[arg-type]
    for name, value in values.items():
        match value:
            case MemoryItem():
                continue
            case Scope():
                yield from ((key, getattr(value, key)) for key in ("user_id", "agent_id", "run_id"))
            case Mapping() if name == "parts":
                yield from ((f"parts.{key}", part) for key, part in value.items())
            case _:
                yield name, value
    for value in values.values():
        if isinstance(value, MemoryItem):  # behind a hit's own columns
            yield from _cells(value)
