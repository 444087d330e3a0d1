"""Figures of a bench: curves over budgets and rates, waterfalls of ablations, ranks, correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..figures.panel import Drawing, Scale, band, from_zero, linear, roomy, spread, x_axis, y_grid
from ..svg import join, line, marker, polyline, short_number, shorten, tag, text, ticks, width_of

COLOURS = ("var(--m0)", "var(--m1)", "var(--m3)", "var(--m4)", "var(--m5)", "var(--m2)", "var(--faint)")


class Point(NamedTuple):
    """A value at a place of the axis, with its interval."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """A series: its name, its points by x, and whether it is the one in focus."""

    label: str
    points: Sequence[Point]
    focus: bool = False


def curves(title: str, x_label: str, lines: Sequence[Line], log: bool = False) -> Markup:
    """Percentages against a number, with bands; on a logarithmic axis 0 stands at the left end, apart.

    Args:
        lines: at least one, of at least one point each.
    """
    width, height, left, top = 560.0, 330.0, 46.0, 40.0
    names = [shorten(entry.label, 24) for entry in lines]
    right, bottom = width - 16 - max(width_of(n, 12) for n in names), height - 46
    places = sorted({p.x for entry in lines for p in entry.points})
    at = _place(places, left + 12, right - 8, log)
    highest = max(p.high if p.high is not None else p.y for entry in lines for p in entry.points)
    y, grid = from_zero(highest, bottom, top, left, right)
    parts = [text(0, 16, title, 15, weight=700), grid]
    parts.append(x_axis(at, roomy(at, places), bottom, left, right))
    parts.append(text((left + right) / 2, height - 6, x_label, 12, "var(--muted)", "middle"))
    looks = _looks(lines)
    for entry, (colour, shape, weight) in sorted(zip(lines, looks, strict=True), key=lambda e: e[0].focus):
        spots = [(at(p.x), y(p.y)) for p in entry.points]
        parts.append(band([(p.x, p.low, p.high) for p in entry.points], at, y, colour))
        if len(spots) > 1:
            parts.append(polyline(spots, colour, weight))
        parts += [marker(shape, a, b, 4, colour, stroke="var(--card)", stroke_width=1) for a, b in spots]
    ends = [y(entry.points[-1].y) for entry in lines]
    for name, level, (colour, _, _) in zip(names, spread(ends, 15, top, bottom), looks, strict=True):
        parts.append(text(right + 8, level + 4, name, 12, colour, weight=700))
    words = "; ".join(
        f"{entry.label}: " + ", ".join(f"{p.y:.1f} % at {short_number(p.x)}" for p in entry.points) for entry in lines
    )
    return Drawing(join(parts), width, height).svg(title, words)


def _looks(lines: Sequence[Line]) -> list[tuple[str, int, float]]:
    """Colour, form of the points and weight of each line; the focus in the accent colour."""
    out, other = [], 0
    for entry in lines:
        if entry.focus:
            out.append(("var(--accent)", 0, 3.0))
        else:
            out.append((COLOURS[other % len(COLOURS)], 1 + other % 3, 1.8))
            other += 1
    return out


def _place(places: Sequence[float], start: float, end: float, log: bool) -> Scale:
    if not log:
        return linear(places[0], places[-1], start, end) if len(places) > 1 else lambda _: (start + end) / 2
    positive = [p for p in places if p > 0]
    first = start + (0.1 * (end - start) if len(positive) < len(places) else 0.0)
    if not positive:
        return lambda _: start
    inner = linear(math.log(positive[0]), math.log(positive[-1]), first, end)
    return lambda v: start if v <= 0 else inner(math.log(v)) if len(positive) > 1 else (first + end) / 2


class Bar(NamedTuple):
    """A row of a waterfall: what was changed, what it cost in points with its interval, and whether that is firm."""

    label: str
    value: float
    low: float
    high: float
    firm: bool


def waterfall(title: str, bars: Sequence[Bar]) -> Markup:
    """What each change costs, in points of mean recall; firm ones in colour, others grey."""
    width, row, top = 560.0, 26.0, 44.0
    left = 14 + max(width_of(shorten(b.label, 30), 12) for b in bars)
    right, height = width - 60, top + row * len(bars) + 34
    marks = ticks(min(0.0, *(b.low for b in bars)), max(0.0, *(b.high for b in bars)), 5)
    x = linear(marks[0], marks[-1], left, right)
    bottom = top + row * len(bars)
    parts = [text(0, 16, title, 15, weight=700)]
    parts += [line(x(v), top - 8, x(v), bottom, "var(--line)") for v in marks]
    parts.append(x_axis(x, [(v, short_number(v)) for v in marks], bottom, left, right))
    parts.append(line(x(0), top - 8, x(0), bottom, "var(--faint)", 1.5))
    for i, b in enumerate(bars):
        y = top + row * i
        colour = "var(--faint)" if not b.firm else "var(--accent)" if b.value > 0 else "var(--miss)"
        a, z = sorted((x(0), x(b.value)))
        parts.append(text(left - 8, y + 13, shorten(b.label, 30), 12, "var(--ink)", "end"))
        parts.append(tag("rect", x=a, y=y + 2, width=max(1.0, z - a), height=row - 11, fill=colour, fill_opacity=0.75))
        parts.append(line(x(b.low), y + 9, x(b.high), y + 9, "var(--ink)", 1.2))
        parts.append(text(max(x(b.high), x(0)) + 6, y + 13, f"{b.value:+.1f}", 12, "var(--ink)", weight=700, halo=3))
    words = "; ".join(f"{b.label}: {b.value:+.2f} [{b.low:+.2f}, {b.high:+.2f}]" for b in bars)
    return Drawing(join(parts), width, height).svg(title, words)


def rank_figure(title: str, ranks: Sequence[tuple[str, float, bool]], critical: float) -> Markup:
    """Mean ranks as points on a line per method; methods within the critical difference of the best lie in the band.

    Args:
        ranks: (label, mean rank, in focus). critical: difference of mean ranks that is beyond chance.
    """
    ordered = sorted(ranks, key=lambda r: r[1])
    width, row, top = 560.0, 22.0, 46.0
    left = 14 + max(width_of(shorten(r[0], 28), 12) for r in ordered)
    right, bottom = width - 44, top + row * len(ordered)
    marks = ticks(1, max(2.0, ordered[-1][1], ordered[0][1] + critical), 6)
    x = linear(marks[0], marks[-1], left, right)
    parts = [text(0, 16, title, 15, weight=700)]
    best = ordered[0][1]
    band = {"fill": "var(--accent)", "fill_opacity": 0.1}
    parts.append(
        tag("rect", x=x(best), y=top - 10, width=x(best + critical) - x(best), height=bottom - top + 10, **band)
    )
    parts.append(x_axis(x, [(v, short_number(v)) for v in marks], bottom, left, right))
    for i, (label, rank, focus) in enumerate(ordered):
        y = top + row * i + 4
        colour = "var(--accent)" if focus else "var(--muted)"
        parts.append(line(left, y, x(rank), y, "var(--line)"))
        parts.append(text(left - 8, y + 4, shorten(label, 28), 12, colour if focus else "var(--ink)", "end"))
        parts.append(marker(0, x(rank), y, 5, colour))
        parts.append(text(x(rank) + 9, y + 4, f"{rank:.1f}", 12, "var(--muted)", halo=3))
    words = "; ".join(f"{label}: {rank:.2f}" for label, rank, _ in ordered)
    return Drawing(join(parts), width, bottom + 34).svg(title, f"{words}; critical difference {critical:.2f}")


def correlation_matrix(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[tuple[float, float, float] | None]],
) -> Markup:
    """Correlations as coloured cells with their intervals; grey where there are too few cells."""
    left, top, wide, high = 14 + max(104.0, *(width_of(name, 12) for name in rows)), 62.0, 112.0, 46.0
    parts = [text(0, 16, title, 15, weight=700)]
    for j, name in enumerate(columns):
        parts.append(text(left + wide * (j + 0.5), top - 10, name, 12, "var(--muted)", "middle"))
    for i, name in enumerate(rows):
        y = top + high * i
        parts.append(text(left - 10, y + high / 2 + 4, name, 12, "var(--ink)", "end"))
        for j, found in enumerate(values[i]):
            x = left + wide * j
            colour = "var(--soft)" if found is None else "var(--m0)" if found[0] > 0 else "var(--m1)"
            strength = 1.0 if found is None else 0.08 + 0.55 * min(1.0, abs(found[0]))
            box = {"x": x + 1, "y": y + 1, "width": wide - 2, "height": high - 2, "rx": 4}
            parts.append(tag("rect", **box, fill=colour, fill_opacity=strength))
            middle = x + wide / 2
            if found is None:
                parts.append(text(middle, y + high / 2 + 4, "–", 12, "var(--muted)", "middle"))
                continue
            parts.append(text(middle, y + 21, f"{found[0]:+.2f}", 14, "var(--ink)", "middle", 700))
            parts.append(text(middle, y + 36, f"{found[1]:+.2f} to {found[2]:+.2f}", 10.5, "var(--ink)", "middle"))
    words = "; ".join(
        f"{r}, {c}: {'too few' if v is None else f'{v[0]:+.2f}'}"
        for r, own in zip(rows, values, strict=True)
        for c, v in zip(columns, own, strict=True)
    )
    return Drawing(join(parts), left + wide * len(columns) + 4, top + high * len(rows) + 8).svg(title, words)


class Cell(NamedTuple):
    """A cell in the plane of geometry and score: x, y, and the group that colours it."""

    x: float
    y: float
    group: str


def scatter(title: str, x_label: str, y_label: str, dots: Sequence[Cell]) -> Markup:
    """Cells as points, by group of methods."""
    width, height, left, top, bottom = 560.0, 360.0, 50.0, 62.0, 312.0
    groups = list(dict.fromkeys(d.group for d in dots))
    colours = {g: "var(--accent)" if g == "ours" else COLOURS[i % len(COLOURS)] for i, g in enumerate(groups)}
    xs, ys = ticks(min(d.x for d in dots), max(d.x for d in dots), 6), ticks(0, max(d.y for d in dots), 5)
    x, y = linear(xs[0], xs[-1], left, width - 20), linear(0, ys[-1], bottom, top)
    parts = [text(0, 16, title, 15, weight=700), text(0, 50, y_label, 12, "var(--muted)")]
    parts.append(y_grid(y, [(v, short_number(v)) for v in ys], left, width - 20))
    parts.append(x_axis(x, [(v, short_number(v)) for v in xs], bottom, left, width - 20))
    parts.append(text((left + width) / 2, height - 8, x_label, 12, "var(--muted)", "middle"))
    place = left
    for i, g in enumerate(groups):
        parts.append(marker(i, place + 60, 34, 5, colours[g]))
        parts.append(text(place + 70, 38, g, 12, colours[g], weight=700))
        place += 34 + width_of(g, 12)
    parts += [marker(groups.index(d.group), x(d.x), y(d.y), 3.4, colours[d.group], fill_opacity=0.7) for d in dots]
    counted = ", ".join(f"{sum(d.group == g for d in dots)} of {g}" for g in groups)
    return Drawing(join(parts), width, height).svg(title, f"{x_label} against {y_label}: {counted}")
