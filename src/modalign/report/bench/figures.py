"""Figures of a bench: curves over budgets and rates, waterfalls of ablations, ranks, correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..figures import chart
from ..figures.chart import Point
from ..figures.panel import Drawing, linear, series, x_axis, y_grid
from ..svg import join, line, marker, short_number, shorten, tag, text, ticks, width_of

COLOURS = ("var(--m0)", "var(--m1)", "var(--m3)", "var(--m4)", "var(--m5)", "var(--m2)", "var(--faint)")


class Line(NamedTuple):
    """A series: its name, its points by x, and whether it is the one in focus."""

    label: str
    points: Sequence[Point]
    focus: bool = False


def curves(title: str, x_label: str, lines: Sequence[Line], log: bool = False) -> Markup:
    """Percentages against a number, with bands, the line in focus in the accent colour.

    Args:
        lines: at least one, of at least one point each.
    """
    focus = next((str(n) for n, entry in enumerate(lines) if entry.focus), None)
    looks = series({str(n): entry.label for n, entry in enumerate(lines)}, focus, COLOURS)
    drawn = [chart.Line(look, entry.points) for look, entry in zip(looks.values(), lines, strict=True)]
    ordered = sorted(drawn, key=lambda entry: entry.look.shape == 0)  # the focus on top
    return chart.chart(title, x_label, ordered, log, (560.0, 330.0)).svg(title, chart.said(drawn))


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
