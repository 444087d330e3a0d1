"""Curves of recall against what the input suffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from ...robustness.curves import Curve
from ...robustness.kinds import Panel
from ..svg import join, marker, percent, polyline, short_number, shorten, text, width_of
from ..words import Words, compared
from .panel import Drawing, Scale, band, from_zero, linear, roomy, scaled, spread, x_axis

COLOURS = 6


def robustness_figure(panel: Panel, said: Words, looks: Mapping[str, int]) -> Markup:
    """One panel: a line per curve with its 95 % band; controls dashed and without a band.

    Args:
        said: title, axis and names, see ``words``.
        looks: curve -> number of its colour and of the form of its points; a control has that of its curve.
    """
    width, height = 440.0, 300.0
    curves = [*panel.curves.values(), *panel.controls.values()]
    names = {k: shorten(name, 18) for k, name in said.names.items()}
    left, right = 40.0, width - 18 - max([width_of(n, 12.5) for n in names.values()] + [0])
    top, bottom = 56.0, height - 46
    levels = sorted({v for c in curves for v in c.levels})
    x = linear(levels[0], levels[-1], left + 8, right - 6)
    highest = max(s.high or s.value for c in curves for s in c.scores)
    y, grid = from_zero(100 * max(highest, 0.01), bottom, top, left, right)
    parts = [
        text(0, 16, shorten(said.title, 60), 15, weight=700),
        text(0, 36, curves[0].scores[0].heading, 12, "var(--muted)"),
        grid,
        x_axis(x, roomy(x, levels), bottom, left, right),
        text((left + right) / 2, height - 6, said.axis, 12, "var(--muted)", "middle"),
    ]
    parts.append(_chance(curves, y, left, right))
    parts += [_dashes(c, x, y, looks[k]) for k, c in panel.controls.items()]
    parts += [_dashes(panel.curves[k], x, y, looks[k]) for k in panel.curves if k in compared(panel)]
    parts += [_line(c, x, y, looks[k]) for k, c in panel.curves.items() if k not in compared(panel)]
    ends = spread([y(100 * c.scores[-1].value) for c in panel.curves.values()], 16, top, bottom)
    for k, place in zip(names, ends, strict=True):
        parts.append(text(right + 6, place + 4, names[k], 12.5, _colour(looks[k]), weight=700))
    told = [_told(said.names[k], c) for k, c in panel.curves.items()]
    told += [_told(f"{said.names[k]}, random control", c) for k, c in panel.controls.items()]
    return Drawing(join(parts), width, height).svg(said.title, "; ".join(told))


def looks_of(whose: Sequence[str]) -> dict[str, int]:
    """Colour numbers by order of appearance.

    Example:
        >>> looks_of(["clip", "full", "clip"])
        {'clip': 0, 'full': 1}
    """
    return {name: number for number, name in enumerate(dict.fromkeys(whose))}


def _chance(curves: Sequence[Curve], y: Scale, left: float, right: float) -> Markup:
    """The line of a random aligner, named at the end that the curves leave free."""
    known = [c.scores[0].chance for c in curves if c.scores[0].chance is not None]
    if not known:
        return Markup("")
    level = y(100 * known[0])
    line = polyline([(left, level), (right, level)], "var(--miss)", 1.2, stroke_dasharray="4 3")
    near = [min(abs(y(100 * c.scores[end].value) - level) for c in curves) for end in (0, -1)]
    place, anchor = (left + 4, "start") if near[0] >= near[1] else (right - 2, "end")
    height = level - 5 if max(near) > 20 else level + 14  # below the line where curves keep near it at both ends
    return join([line, text(place, height, "chance", 11, "var(--miss)", anchor, halo=3)])


def _colour(number: int) -> str:
    return f"var(--m{number % COLOURS})"


def _points(c: Curve, x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(v), y(100 * s.value)) for v, s in zip(c.levels, c.scores, strict=True)]


def _dashes(c: Curve, x: Scale, y: Scale, look: int) -> Markup:
    return polyline(_points(c, x, y), _colour(look), 1.6, stroke_dasharray="5 4")


def _line(c: Curve, x: Scale, y: Scale, look: int) -> Markup:
    points = _points(c, x, y)
    ends = [(v, *scaled(s)) for v, s in zip(c.levels, c.scores, strict=True)]
    parts = [band(ends, x, y, _colour(look)), polyline(points, _colour(look), 2.2)]
    parts += [marker(look, a, b, 4, _colour(look), stroke="var(--card)", stroke_width=1) for a, b in points]
    return join(parts)


def _told(name: str, c: Curve) -> str:
    found = ", ".join(f"{percent(s.value)} % at {short_number(v)}" for v, s in zip(c.levels, c.scores, strict=True))
    return f"{name}: {found}"
