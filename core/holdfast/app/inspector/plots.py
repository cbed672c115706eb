"""Plots as SVG, drawn on the server. Colours are the style sheet's: series are named by classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log10

from markupsafe import Markup, escape

from ...types import OPERATIONS, Day, Operation, Usage

WIDTH, HEIGHT = 420, 160
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 10, 20  # kept free around the plot, for its labels
TOKENS = ("input", "output")

Series = Mapping[str, Sequence[int]]  # name of a class -> a number for each day


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive days, each with what happened on it."""

    days: Sequence[Day]

    @classmethod
    def of(cls, active: Sequence[Day], first: datetime, count: int) -> Span:
        """The days from the first on; nothing happened on those that are not active."""
        known = {day.at: day for day in active}
        dates = [first + timedelta(days=number) for number in range(count)]
        return cls([known.get(at) or Day(at, {}, 0, Usage()) for at in dates])

    def known(self, now: int) -> list[int]:
        """How many memories were known at the end of each day, given how many there are now."""
        counts = [now]
        for day in reversed(self.days[1:]):
            counts.append(counts[-1] - day.balance)
        return counts[::-1]

    def changes(self) -> dict[str, list[int]]:
        return {name: [day.operations.get(name, 0) for day in self.days] for name in OPERATIONS}

    def tokens(self) -> dict[str, list[int]]:
        pairs = [(day.usage.input_tokens, day.usage.output_tokens) for day in self.days]
        return {name: [pair[at] for pair in pairs] for at, name in enumerate(TOKENS)}

    def totals(self) -> dict[Operation, int]:
        return {name: sum(day.operations.get(name, 0) for day in self.days) for name in OPERATIONS}

    def usage(self) -> Usage:
        return sum((day.usage for day in self.days), Usage())


def short(number: float) -> str:
    """1234 -> 1.2k"""
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + sign
    return f"{number:g}"


def line(title: str, days: Sequence[Day], values: Sequence[int]) -> Markup:
    """A line, filled down to zero."""
    top = _ceiling(max(values, default=0))
    points = [f"{_middle(at, len(values)):.1f},{_y(value, top):.1f}" for at, value in enumerate(values)]
    path = "L".join(points)
    first, last = _middle(0, len(values)), _middle(len(values) - 1, len(values))
    area = f"M{first:.1f},{_y(0, top):.1f}L{path}L{last:.1f},{_y(0, top):.1f}Z"
    drawn = f'<path class="area known" d="{area}"/><path class="line known" d="M{path}"/>'
    width = (WIDTH - LEFT - RIGHT) / len(values)
    tips = "".join(
        f'<rect class="tip" x="{LEFT + at * width:.1f}" y="{TOP}" width="{width:.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"><title>{_date(day.at)}: {value:,}</title></rect>'
        for at, (day, value) in enumerate(zip(days, values, strict=True))
    )
    return _plot(title, days, top, drawn + tips)


def stacked(title: str, days: Sequence[Day], series: Series) -> Markup:
    """A column for each day, the series on top of one another."""
    sums = [sum(values) for values in zip(*series.values(), strict=True)]
    top = _ceiling(max(sums, default=0))
    width = (WIDTH - LEFT - RIGHT) / len(days)
    columns = [
        f"<g>{''.join(_column(series, at, LEFT + at * width, width, top))}<title>{_told(day, series, at)}</title></g>"
        for at, day in enumerate(days)
        if sums[at]
    ]
    return _plot(title, days, top, "".join(columns))


def _column(series: Series, at: int, x: float, width: float, top: float) -> Iterator[str]:
    gap = min(2.0, width / 5)
    below = 0
    for name, values in series.items():
        if values[at]:
            upper, lower = _y(below + values[at], top), _y(below, top)
            yield (
                f'<rect class="fill {name.lower()}" x="{x + gap / 2:.1f}" y="{upper:.1f}" width="{width - gap:.1f}" '
                f'height="{lower - upper:.1f}"/>'
            )
            below += values[at]


def _told(day: Day, series: Series, at: int) -> str:
    parts = [f"{name} {values[at]:,}" for name, values in series.items() if values[at]]
    return f"{_date(day.at)}: {', '.join(parts)}"


def shares(title: str, totals: Mapping[str, int]) -> Markup:
    """A bar for each name, as long as its number, which is at its end."""
    most = max(totals.values(), default=0) or 1
    step = (HEIGHT - TOP) / max(len(totals), 1)
    room = WIDTH - 66 - 54
    rows = []
    for at, (name, number) in enumerate(totals.items()):
        y, length = TOP + at * step, room * number / most
        rows.append(
            f'<text x="58" y="{y + step / 2:.1f}" class="name">{escape(name)}</text>'
            f'<rect class="fill {escape(name.lower())}" x="66" y="{y + step * 0.2:.1f}" width="{length:.1f}" '
            f'height="{step * 0.6:.1f}" rx="2"/>'
            f'<text x="{66 + length + 6:.1f}" y="{y + step / 2:.1f}">{short(number)}</text>'
        )
    return _svg(title, "".join(rows))


def parts(contributions: Mapping[str, float]) -> Markup:
    """A bar of a score's parts: its whole width stands for 1."""
    at, drawn = 0.0, []
    for name, value in contributions.items():
        if value > 0:
            length = min(value, 1 - at) * 100
            drawn.append(
                f'<rect class="fill part-{escape(name)}" x="{at * 100:.2f}" y="0" width="{length:.2f}" height="6"/>'
            )
            at = min(at + value, 1.0)
    told = ", ".join(f"{name} {value:.2f}" for name, value in contributions.items())
    return Markup(
        '<svg class="parts" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(told, Markup("".join(drawn)))  # noqa: S704 - numbers, and names that are escaped


def _plot(title: str, days: Sequence[Day], top: float, drawn: str) -> Markup:
    lines = []
    for value in (0, top / 2, top):
        y = _y(value, top)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="value" x="{LEFT - 5}" y="{y:.1f}">{short(value)}</text>')
    for at, anchor in ((0, "start"), (len(days) // 2, "middle"), (len(days) - 1, "end")):
        x = {"start": LEFT, "end": WIDTH - RIGHT}.get(anchor, _middle(at, len(days)))
        lines.append(
            f'<text class="date" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{_date(days[at].at)}</text>'
        )
    return _svg(title, "".join(lines) + drawn)


def _svg(title: str, drawn: str) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup(drawn)  # noqa: S704 - numbers, dates, and names that are escaped
    )  # fmt: skip


def _ceiling(most: float) -> float:
    """Where the axis ends: a round number that is not less."""
    if most <= 2:
        return 2
    unit = 10 ** int(log10(most))
    return float(next(unit * step for step in (1, 2, 4, 5, 6, 8, 10) if unit * step >= most))


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _middle(at: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (at + 0.5) / count


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
