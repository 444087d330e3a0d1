"""A chart of curves: percentages against a number, with bands, and the names of the lines at their ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ...metrics.score import Score
from ..svg import join, marker, path_of, polyline, short_number, shorten, tag, text, ticks, width_of
from .panel import Drawing, Scale, Series, linear, spread, x_axis, y_grid

FEW = 30  # points up to which each of a line is marked
CHANCE = Series("chance", "var(--miss)", 0, 1.3)


class Point(NamedTuple):
    """A value at a place of the axis, with its interval; in percent."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """A series: its look, its points by x, dashes in place of marked points, and whether its name stands at its end."""

    look: Series
    points: Sequence[Point]
    dash: str | None = None
    named: bool = True


def point_of(x: float, share: Score) -> Point:
    """A share at a place of the axis."""
    return Point(x, 100 * share.value, *(None if end is None else 100 * end for end in (share.low, share.high)))


def chart(
    title: str,
    axis: str,
    lines: Sequence[Line],
    log: bool = False,
    size: tuple[float, float] = (440.0, 300.0),
    height_is: str = "",
    marks: Sequence[float] | None = None,
    more: Callable[[Scale, Scale], Markup] = lambda x, y: Markup(""),
) -> Drawing:
    """The lines in turn, so that the last lies on top, over the bands of their intervals.

    Args:
        lines: of at least one point each; without lines there are axes alone.
        log: a logarithmic axis; 0 stands at its left end, apart.
        height_is: what the percentages are of, below the title.
        marks: places of the axis that are named, where there is room; None: those of the points.
        size: width and least height.
        more: what is drawn beside the lines, given both scales.
    """
    named = [(shorten(entry.look.label, 20), entry) for entry in lines if entry.named]
    width, top = size[0], 56.0 if height_is else 40.0
    height = max(size[1], top + 16 * len(named) + 46)  # every name has a line of its own
    left, right = 46.0, width - 18 - max((width_of(name, 12.5) for name, _ in named), default=0.0)
    bottom = height - 46
    places = sorted({p.x for entry in lines for p in entry.points})
    x = _across(places, left + 10, right - 6, log)
    highest = max((p.y if p.high is None else p.high for entry in lines for p in entry.points), default=0.0)
    levels = ticks(0, highest, 5)
    y = linear(0, levels[-1], bottom, top)
    parts = [
        text(0, 16, shorten(title, 60), 15, weight=700),
        text(0, 36, height_is, 12, "var(--muted)") if height_is else Markup(""),
        y_grid(y, [(v, f"{short_number(v)}{' %' if v == levels[-1] else ''}") for v in levels], left, right),
        x_axis(x, _roomy(x, marks or places), bottom, left, right),
        text((left + right) / 2, height - 6, axis, 12, "var(--muted)", "middle"),
        *(_band(entry, x, y) for entry in lines),
        *(_drawn(entry, x, y) for entry in lines),
    ]
    ends = spread([y(entry.points[-1].y) for _, entry in named], 16, top, bottom)
    for (name, entry), level in zip(named, ends, strict=True):
        parts.append(text(right + 8, level + 4, name, 12.5, entry.look.colour, weight=700))
    return Drawing(join([*parts, more(x, y)]), width, height)


def said(lines: Sequence[Line]) -> str:
    """The numbers of a chart for those who cannot see it."""
    return "; ".join(
        f"{entry.look.label}: " + ", ".join(f"{p.y:.1f} % at {short_number(p.x)}" for p in entry.points)
        for entry in lines
    )


def _across(places: Sequence[float], start: float, end: float, log: bool) -> Scale:
    if not log:
        return linear(places[0], places[-1], start, end) if len(places) > 1 else lambda _: (start + end) / 2
    positive = [p for p in places if p > 0]
    first = start + (0.1 * (end - start) if len(positive) < len(places) else 0.0)
    if not positive:
        return lambda _: start
    inner = linear(math.log(positive[0]), math.log(positive[-1]), first, end)
    return lambda v: start if v <= 0 else inner(math.log(v)) if len(positive) > 1 else (first + end) / 2


def _roomy(at: Scale, values: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks that have room for their labels, the largest first."""
    kept: list[tuple[float, str]] = []
    for value in reversed(values):
        label = short_number(value)
        if not kept or at(kept[-1][0]) - at(value) > (width_of(label, 12) + width_of(kept[-1][1], 12)) / 2 + 8:
            kept.append((value, label))
    return kept[::-1]


def _band(entry: Line, x: Scale, y: Scale) -> Markup:
    """The area between the ends of the intervals; nothing where fewer than two points have one."""
    ends = [(x(p.x), y(p.low), y(p.high)) for p in entry.points if p.low is not None and p.high is not None]
    if len(ends) < 2:
        return Markup("")
    around = [(at, high) for at, _, high in ends] + [(at, low) for at, low, _ in reversed(ends)]
    return tag("path", d=path_of(around, closed=True), fill=entry.look.colour, fill_opacity=0.12)


def _drawn(entry: Line, x: Scale, y: Scale) -> Markup:
    look, spots = entry.look, [(x(p.x), y(p.y)) for p in entry.points]
    parts = [polyline(spots, look.colour, look.width, stroke_dasharray=entry.dash)] if len(spots) > 1 else []
    if entry.dash is None and len(spots) <= FEW:
        parts += [marker(look.shape, *spot, 4, look.colour, stroke="var(--card)", stroke_width=1) for spot in spots]
    return join(parts)
