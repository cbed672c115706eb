"""Draws `docs/scale.svg` from what `bench/cost/scale.py` measured.

pip install matplotlib && python -m bench.cost.scale_plot [bench/results/scale.json] [docs/scale.svg]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {
    "svg.hashsalt": "scale",
    "svg.fonttype": "none",
}  # the same figures make the same file
from matplotlib import pyplot  # noqa: E402

Row = Mapping[str, Any]


def p50(name: str) -> Callable[[Row], float | None]:
    return lambda row: row[name]["p50"] if name in row else None


def part(name: str, key: str) -> Callable[[Row], float | None]:
    return lambda row: row[name][key]


def optimized(value: Callable[[Row], float | None]) -> Callable[[Row], float | None]:
    return lambda row: value(row["optimized"]) if "optimized" in row else None


PANELS: dict[str, dict[str, Callable[[Row], float | None]]] = {
    "search, p50, ms": {
        "a user of 100": p50("search_user_of_100_ms"),
        "a user of 1,000": p50("search_user_of_1000_ms"),
        "a user of 100, first time": p50("search_user_of_100_first_ms"),
        "without a user": p50("search_without_user_ms"),
    },
    "one add, p50, ms": {
        "kept as it is": p50("add_kept_ms"),
        "merged with what is known": p50("add_merged_ms"),
    },
    "memories added per second": {
        "in bulk": lambda row: row["bulk_per_second"] and row["bulk_per_second"]["wall"],
        "rebuilding the index": lambda row: row["memories"] / row["rebuild_s"],
    },
    "opening, s": {
        "files in the system's cache": part("opening", "open_s"),
        "files not in it": part("opening_uncached", "open_s"),
        "in it, after optimize()": optimized(part("opening", "open_s")),
        "not in it, after optimize()": optimized(part("opening_uncached", "open_s")),
    },
    "disk, MB": {"ledger": part("disk", "ledger_mb"), "index": part("disk", "index_mb")},
    "memory of a process, MB": {
        "its own": part("opening", "own_after_searches_mb"),
        "its own, after optimize()": optimized(part("opening", "own_after_searches_mb")),
        "mapped files": part("opening", "mapped_after_searches_mb"),
    },
}
PEER = "local mode, a user of 1,000"


def main(results: Path, picture: Path) -> None:
    found = json.loads(results.read_text())
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6.5), constrained_layout=True)
    for axis, (title, lines) in zip(axes.flat, PANELS.items(), strict=True):
        for name, value in lines.items():
            draw(axis, found["holdfast"], value, name)
        if title.startswith("search"):
            draw(axis, found["local_mode"], p50("search_user_of_1000_ms"), PEER, linestyle="dashed")
        axis.set_title(title, fontsize=10)
        axis.set_xscale("log")
        if "add" in title:
            axis.set_ylim(bottom=0)
        else:
            axis.set_yscale("log")
        if title.startswith("search"):
            axis.set_ylim(1, 100_000)  # room for the legend
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.supxlabel("memories in one embedded store", fontsize=10)
    figure.savefig(picture, metadata={"Date": None})


def draw(axis: Any, rows: list[Row], value: Callable[[Row], float | None], name: str, **style: str) -> None:
    points = [(row["memories"], found) for row in rows if (found := value(row)) is not None]
    axis.plot(*zip(*points, strict=True), marker="o", label=name, **style)


if __name__ == "__main__":
    given = [Path(path) for path in sys.argv[1:]]
    main(*(given or [Path("bench/results/scale.json"), Path("docs/scale.svg")]))
