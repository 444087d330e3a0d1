"""What the charts share: a drawing with its size, series with a colour and a form, axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..svg import group, join, line, picture, text

Scale = Callable[[float], float]


class Drawing(NamedTuple):
    """A drawing that can stand in a page or beside others in one picture."""

    body: Markup
    width: float
    height: float

    def svg(self, title: str, description: str = "") -> Markup:
        """The panel as an ``<svg>`` of its own."""
        return picture(self.width, self.height, title, self.body, description=description)

    def at(self, x: float, y: float) -> Markup:
        """The panel moved to (x, y) of a larger drawing."""
        return group(self.body, transform=f"translate({x:g} {y:g})")


class Series(NamedTuple):
    """How a method is drawn everywhere: name, colour, form of its points, weight of its line."""

    label: str
    colour: str
    shape: int
    width: float


def series(
    labels: dict[str, str], focus: str | None, colours: Sequence[str] = ("var(--faint)", "var(--muted)")
) -> dict[str, Series]:
    """One look per method: the one in focus in the accent colour, the others in other colours and forms."""
    others = [key for key in labels if key != focus]
    looks = {key: Series(labels[key], colours[i % len(colours)], 1 + i % 3, 1.8) for i, key in enumerate(others)}
    if focus in labels:
        looks[focus] = Series(labels[focus], "var(--accent)", 0, 2.8)
    return {key: looks[key] for key in labels}


def brief(label: str) -> str:
    """The part of a label before its explanation.

    Example:
        >>> brief("CLIP (linear heads)"), brief("Full: transport and gradient")
        ('CLIP', 'Full')
    """
    head = label.split(" (")[0].split(": ")[0].strip()
    return head or label


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Values of [low, high] to positions of [start, end]."""
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (value - low) / span


def x_axis(at: Scale, marks: Sequence[tuple[float, str]], y: float, left: float, right: float) -> Markup:
    """Base line with labelled ticks below it."""
    labels = join(text(at(v), y + 18, label, 12, "var(--muted)", "middle") for v, label in marks)
    return group(line(left, y, right, y, "var(--faint)"), labels)


def y_grid(at: Scale, marks: Sequence[tuple[float, str]], left: float, right: float) -> Markup:
    """Hair lines across with labels at the left."""
    return join(
        group(line(left, at(v), right, at(v)), text(left - 8, at(v) + 4, label, 12, "var(--muted)", "end"))
        for v, label in marks
    )


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart so that neighbours keep ``gap``, within [low, high], in the same order.

    Example:
        >>> spread([10, 12, 50], 10, 0, 60), spread([60, 60], 10, 0, 60)
        ([6.0, 16.0, 50.0], [50.0, 60.0])
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[tuple[float, list[int]]] = []  # centre and members; neighbours that would touch are merged
    for i in order:
        centre, members = float(positions[i]), [i]
        while blocks and centre - blocks[-1][0] < gap * (len(members) + len(blocks[-1][1])) / 2:
            before, old = blocks.pop()
            centre = (before * len(old) + centre * len(members)) / (len(old) + len(members))
            members = old + members
        blocks.append((centre, members))
    placed = [0.0] * len(positions)
    for centre, members in blocks:
        half = gap * (len(members) - 1) / 2
        inside = max(low + half, min(centre, high - half))
        for n, i in enumerate(members):
            placed[i] = inside - half + gap * n
    return placed
