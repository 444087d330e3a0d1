"""Curves of recall against what the input suffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from ...robustness.curves import Curve
from ...robustness.kinds import Panel
from ..words import Words, compared
from .chart import CHANCE, Line, Point, chart, point_of, said
from .panel import Series

COLOURS = 6


def robustness_figure(panel: Panel, told: Words, looks: Mapping[str, int]) -> Markup:
    """One panel: a line per curve with its 95 % band; controls dashed and without a band.

    Args:
        told: title, axis and names, see ``words``.
        looks: curve -> number of its colour and of the form of its points; a control has that of its curve.
    """
    beside = [
        _line(c, f"{told.names[k]}, random control", looks[k], True, named=False) for k, c in panel.controls.items()
    ]
    lines = [_line(c, told.names[k], looks[k], k in compared(panel)) for k, c in panel.curves.items()]
    first = next(iter(panel.curves.values()))
    chance = first.scores[0].chance
    level = [] if chance is None else [Line(CHANCE, [Point(v, 100 * chance) for v in first.levels], "4 3")]
    drawn = [*level, *beside, *sorted(lines, key=lambda entry: entry.dash is None)]
    figure = chart(told.title, told.axis, drawn, height_is=first.scores[0].heading)
    return figure.svg(told.title, said([*lines, *beside]))


def looks_of(whose: Sequence[str]) -> dict[str, int]:
    """Colour numbers by order of appearance.

    Example:
        >>> looks_of(["clip", "full", "clip"])
        {'clip': 0, 'full': 1}
    """
    return {name: number for number, name in enumerate(dict.fromkeys(whose))}


def _line(c: Curve, name: str, look: int, dashed: bool, named: bool = True) -> Line:
    """A curve; of a dashed one, which others are compared with, no interval is drawn."""
    points = [point_of(v, s) for v, s in zip(c.levels, c.scores, strict=True)]
    series = Series(name, f"var(--m{look % COLOURS})", look, 1.6 if dashed else 2.2)
    if dashed:
        return Line(series, [Point(p.x, p.y) for p in points], "5 4", named)
    return Line(series, points, named=named)
