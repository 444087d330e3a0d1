"""Curves: recall against linked pairs, share found within the first k, training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...runs.result import Budget
from ..svg import group, join, line, marker, percent, polyline, short_number, shorten, text, ticks
from .chart import CHANCE, Line, Point, chart, point_of, said
from .panel import Drawing, Scale, Series, brief, linear, x_axis, y_grid

MOST_POINTS = 400  # of a drawn curve; longer logs are thinned evenly


def budget_figure(budgets: Sequence[Budget], drawn: Mapping[str, Series], saving: Mapping[str, Any]) -> Markup:
    """Mean recall against the number of linked pairs, on a logarithmic axis, with 95 % bands."""
    panel = budget_panel(budgets, drawn, saving)
    return panel.svg("Mean recall against linked pairs", said(_lines(budgets, drawn)))


def budget_panel(
    budgets: Sequence[Budget],
    drawn: Mapping[str, Series],
    saving: Mapping[str, Any],
    width: float = 440,
    height: float = 300,
) -> Drawing:
    """The curve of recall against pairs as a panel; the method in focus lies on top."""
    lines = sorted(_lines(budgets, drawn), key=lambda entry: entry.look.shape == 0)
    sizes = sorted({b.pairs for b in budgets if b.pairs > 0})
    return chart(
        "Mean recall against linked pairs", "linked pairs (log scale)", lines, log=True, size=(width, height),
        more=lambda x, y: _saving(saving, x, y, sizes),
    )  # fmt: skip


def _lines(budgets: Sequence[Budget], drawn: Mapping[str, Series]) -> list[Line]:
    """The curve of each method that was measured at several budgets."""
    known = sorted((b for b in budgets if b.pairs > 0), key=lambda b: b.pairs)
    found = {key: [point_of(b.pairs, b.mean_recall) for b in known if b.method == key] for key in drawn}
    return [Line(drawn[k]._replace(label=brief(drawn[k].label)), points) for k, points in found.items() if points]


def rank_figure(directions: Sequence[tuple[str, Sequence[int], int]]) -> Markup:
    """Share of queries whose true match is among the first k results, for every k.

    Args:
        directions: (name, ranks from 1, number of candidates) of each direction.
    """
    most = max(2, *(n for _, _, n in directions))
    grid = sorted({round(most ** (i / 80)) for i in range(81)})
    lines = [Line(CHANCE, [Point(k, 100 * min(1, k / most)) for k in grid], "4 3")]
    for i, (name, ranks, _) in enumerate(directions):
        look = Series(name, f"var(--m{i % 6})", i, 2.4)
        lines.append(Line(look, [Point(k, 100 * _within(ranks, k)) for k in grid], "7 3" if i % 2 else None))
    title, tens = "Share of queries found within the first k", [10**e for e in range(int(math.log10(most)) + 1)]
    found = [", ".join(f"{percent(_within(ranks, k))} % within {k}" for k in (1, 5, 10)) for _, ranks, _ in directions]
    words = "; ".join(f"{name}: {shares}" for (name, _, _), shares in zip(directions, found, strict=True))
    return chart(title, "k (log scale)", lines, log=True, size=(480.0, 310.0), marks=tens).svg(title, words)


def training_figure(name: str, curves: Sequence[Sequence[tuple[float, float]]], best: str | None = None) -> Markup:
    """One logged quantity against optimiser steps.

    Args:
        name: of the quantity.
        curves: one or more sequences of (step, value); several for several fits.
        best: "high" or "low" marks that point of the first curve.
    """
    curves = [_thin([(s, v) for s, v in c if math.isfinite(v)]) for c in curves]
    curves = [c for c in curves if c]
    if not curves:
        raise ValueError("a training figure needs at least one finite value")
    width, height, left, right, top, bottom = 360.0, 210.0, 52.0, 346.0, 36.0, 172.0
    steps = [s for c in curves for s, _ in c]
    values = [v for c in curves for _, v in c]
    marks = ticks(min(values), max(values), 4)
    x, y = linear(min(steps), max(steps), left, right), linear(marks[0], marks[-1], bottom, top)
    parts = [text(0, 15, shorten(name, 38), 14, weight=700)]
    parts.append(y_grid(y, [(v, short_number(v)) for v in marks], left, right))
    inner = [s for s in ticks(min(steps), max(steps), 4) if min(steps) <= s <= max(steps)]
    parts.append(x_axis(x, [(s, short_number(s)) for s in inner], bottom, left, right))
    parts.append(text(right, height - 4, "step", 12, "var(--muted)", "end"))
    for n, curve in enumerate(curves):
        places = [(x(s), y(v)) for s, v in curve]
        colour, weight = ("var(--accent)", 2.0) if n == 0 else ("var(--faint)", 1.2)
        parts.append(polyline(places, colour, weight) if len(places) > 1 else marker(0, *places[0], 4, colour))
    words = f"from {_said(curves[0][0])} to {_said(curves[0][-1])}"
    if best is not None:
        step, value = (max if best == "high" else min)(curves[0], key=lambda p: p[1])
        parts.append(marker(0, x(step), y(value), 5, "var(--card)", stroke="var(--accent)", stroke_width=2))
        side, anchor = (-9, "end") if x(step) > (left + right) / 2 else (9, "start")
        label = f"best {short_number(value)} at {short_number(step)}"
        parts.append(text(x(step) + side, max(y(value) - 9, top + 2), label, 12, "var(--accent)", anchor, 700, 3))
        words += f"; best {_said((step, value))}"
    return Drawing(join(parts), width, height).svg(f"{name} by optimiser step", words)


def _said(point: tuple[float, float]) -> str:
    return f"{short_number(point[1])} at step {short_number(point[0])}"


def _within(ranks: Sequence[int], k: int) -> float:
    return sum(r <= k for r in ranks) / max(1, len(ranks))


def _saving(saving: Mapping[str, Any], x: Scale, y: Scale, sizes: Sequence[int]) -> Markup:
    """The arrow at the recall "target" from the pairs that a baseline needs to the "pairs", "factor" times fewer."""
    given = [saving.get(k) for k in ("pairs", "target", "factor")]
    few, target, factor = (float(v) if isinstance(v, int | float) and not isinstance(v, bool) else 0.0 for v in given)
    if target <= 0 or not 0 < sizes[0] * 0.99 <= few < few * factor <= sizes[-1] * 1.01:
        return Markup("")
    a, b, level = x(few), x(few * factor), y(100 * target)
    least = "≥ " if few <= sizes[0] else ""  # the smallest budget already suffices
    label = text((a + b) / 2, level - 8, f"{least}{factor:.1f}× fewer", 12.5, "var(--ink)", "middle", 700, 4)
    head = polyline([(a + 9, level - 5), (a + 2, level), (a + 9, level + 5)], "var(--ink)", 1.6)
    return group(line(b, level, a + 3, level, "var(--ink)", 1.6, stroke_dasharray="2 3"), head, label)


def _thin(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS points at even steps, the last one kept."""
    step = max(1, math.ceil(len(curve) / MOST_POINTS))
    return list(curve[::step]) + ([curve[-1]] if step > 1 and (len(curve) - 1) % step else [])
