"""Results for people: tables on a terminal. Texts are shown as they are, never read as mark-up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .plain import JsonObject

Shown = Callable[[JsonObject], RenderableType]
NOTHING = Text("nothing", style="dim")
SHOWN = 10  # adds of an import, one for each user and the like


def json_out(result: Any) -> None:
    sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=2) + "\n")


def show(result: JsonObject, shown: Shown) -> None:
    Console(highlight=False).print(shown(result))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RenderableType:
    """Cells as text; those of the column `text` wrap, the others do not."""
    made = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        made.add_column(column, no_wrap=column != "text", overflow="fold" if column == "text" else "ellipsis")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made if made.row_count else NOTHING


def _cell(value: Any) -> Text:
    if value is None:
        return Text("")
    return Text(f"{value:.2f}" if isinstance(value, float) else printable(str(value)))


def printable(text: str) -> str:
    """Without terminal control characters."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


def when(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


def whose(item: Mapping[str, Any]) -> str:
    return " · ".join(item[name] for name in ("user_id", "agent_id", "run_id") if item.get(name))


def memories(result: JsonObject) -> RenderableType:
    items = result["items"]
    ends = any(item["expires_at"] for item in items)
    rows = [
        (
            item["id"],
            when(item["happened_at"] or item["created_at"]),
            *((when(item["expires_at"]),) if ends else ()),
            whose(item),
            item["text"],
        )
        for item in items
    ]
    columns = ("id", "when", *(("expires",) if ends else ()), "whose", "text")
    return paged(table(columns, rows), result)


def memory(item: JsonObject) -> RenderableType:
    return table(
        ("", "text"), [(name, _value(value)) for name, value in item.items() if value not in (None, [])]
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def hits(result: JsonObject) -> RenderableType:
    rows = [
        (hit["score"], hit["memory"]["id"], when(hit["memory"]["updated_at"]), _explained(hit))
        for hit in result["hits"]
    ]
    return table(("score", "id", "when", "text"), rows)


def _explained(hit: Mapping[str, Any]) -> str:
    parts = "  ".join(f"{name} {value:.2f}" for name, value in hit["parts"].items() if abs(value) >= 0.005)
    return f"{hit['memory']['text']}\n{parts}" if parts else str(hit["memory"]["text"])


def changes(result: JsonObject) -> RenderableType:
    rows = [
        (change["operation"], when(change["at"]), change["id"], _changed(change))
        for change in result["changes"]
    ]
    return table(("operation", "when", "id", "text"), rows)


def _changed(change: Mapping[str, Any]) -> str:
    if change["operation"] == "UPDATE":
        return f"{change['before']} -> {change['after']}"
    return str(change["after"] if change["after"] is not None else change["before"])


def added(result: JsonObject) -> RenderableType:
    pending = "; it goes on in the background" if result["state"] == "pending" else ""
    return Group(changes(result), Text(f"add {result['id']}{pending}", "dim"))


def change(result: JsonObject) -> RenderableType:
    return changes({"changes": [result]})


def context(result: JsonObject) -> RenderableType:
    return Text(printable(result["text"])) if result["text"] else NOTHING


def numbers(result: JsonObject) -> RenderableType:
    return table(("", "text"), [(name.replace("_", " "), value) for name, value in result.items()])


def imported(result: JsonObject) -> RenderableType:
    """Numbers, what could not be read, by its place, and how to take memories back."""
    reasons, adds = result.get("reasons", []), result.get("adds", [])
    counted = numbers({name: value for name, value in result.items() if name not in ("reasons", "adds")})
    told = [*reasons, *(f"holdfast undo {add} takes its memories back" for add in adds[:SHOWN])]
    return Group(counted, *(Text(printable(f"  {one}"), "dim") for one in told))


def owners(result: JsonObject) -> RenderableType:
    rows = [
        (whose(owner) or "no user", owner["memories"], when(owner["since"]), when(owner["changed_at"]))
        for owner in result["items"]
    ]
    return paged(table(("whose", "memories", "since", "changed"), rows), result)


def feed(result: JsonObject) -> RenderableType:
    return paged(changes({"changes": result["items"]}), result)


def paged(shown: RenderableType, result: JsonObject) -> RenderableType:
    """With how to continue, if there is more."""
    if not result["next"]:
        return shown
    return Group(shown, Text(f"more with --cursor {result['next']}", "dim"))
