"""Small tables for notebooks. Everything is escaped; colours and fonts are the notebook's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from . import Change, MemoryItem, Owner, SearchHit

Row = MemoryItem | SearchHit | Change | Owner
Cells = dict[str, str]  # column -> HTML

_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"
_TEXT = f"{_CELL};max-width:48em;overflow-wrap:anywhere;white-space:pre-wrap"
_NARROW = f"{_CELL};white-space:nowrap"
_WIDE_COLUMNS = frozenset({"memory", "before", "after", "reason", "metadata"})


def table(rows: Sequence[Row]) -> str:
    """An HTML table of memories, hits, changes or owners. Columns that would be empty throughout are left out."""
    if not rows:
        return "<p><em>nothing</em></p>"
    cells = [_cells(row) for row in rows]
    names: dict[str, None] = {}
    for line in cells:
        names |= dict.fromkeys(line)
    columns = [name for name in names if any(line.get(name) for line in cells) and not _idle(name, cells)]
    head = "".join(f'<th style="{_NARROW}">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(_cell(name, line.get(name, "")) for name in columns) + "</tr>" for line in cells
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def preformatted(text: str) -> str:
    """Text with its line breaks, wrapped where it is too wide."""
    return f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{escape(text)}</pre>'


def _idle(name: str, cells: Sequence[Cells]) -> bool:
    """Whether a column says the same in every line, and nobody would miss it."""
    return name == "whose" and len(cells) > 1 and len({line.get(name) for line in cells}) == 1


def _cells(row: Row) -> Cells:
    if isinstance(row, Change):
        return _change(row)
    if isinstance(row, Owner):
        return _owner(row)
    if isinstance(row, SearchHit):
        return {"score": f"{row.score:.2f}"} | _memory(row.memory) | {"parts": _parts(row.parts)}
    return _memory(row)


def _memory(memory: MemoryItem) -> Cells:
    text = escape(memory.text)
    if memory.valid_to is not None:
        text = f"<s>{text}</s>"
    return {
        "memory": text,
        "when": _date(memory.happened_at or memory.created_at),
        "whose": _pairs(memory.scope.ids()),
        "metadata": _pairs(memory.metadata),
        "until": _date(memory.valid_to),
        "expires": _date(memory.expires_at),
        "id": _id(memory.id),
    }


def _change(change: Change) -> Cells:
    operation = escape(change.operation)
    if change.undoes is not None:
        operation += " <small>(undo)</small>"
    # A NOOP changes nothing: showing its text as "before" would read like a deletion.
    before = change.before if change.operation != "NOOP" and change.before is not None else ""
    after = change.text if change.operation == "NOOP" else change.after or ""
    return {
        "operation": operation,
        "before": f"<s>{escape(before)}</s>" if before else "",
        "after": escape(after),
        "reason": escape(change.reason),
        "when": _date(change.at),
        "whose": _pairs(change.scope.ids()),
        "id": _id(change.memory_id),
    }


def _owner(owner: Owner) -> Cells:
    return {
        "whose": _pairs(owner.scope.ids()),
        "memories": str(owner.memories),
        "since": _date(owner.since),
        "last change": _date(owner.changed_at),
    }


def _cell(name: str, html: str) -> str:
    return f'<td style="{_TEXT if name in _WIDE_COLUMNS else _NARROW}">{html}</td>'


def _pairs(mapping: Mapping[str, Any]) -> str:
    return "<br>".join(f"{escape(str(key))}: {escape(str(value))}" for key, value in mapping.items())


def _parts(parts: Mapping[str, float]) -> str:
    """Signal and contribution, largest first, without those that round to nothing."""
    shown = sorted(((value, name) for name, value in parts.items() if abs(value) >= 0.005), reverse=True)
    return _pairs({name: f"{value:.2f}" for value, name in shown})


def _date(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M")


def _id(identity: str) -> str:
    """Its last characters: the first ones are the time, and much the same in all."""
    return f'<code title="{escape(identity)}">…{escape(identity[-8:])}</code>'
