"""Figure 1: from inputs through encoders and heads into the shared space, and what it is used for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ..svg import group, join, line, marker, picture, shorten, tag, text, width_of
from .space import colour

WIDTH, ROW, TOP = 1080.0, 132.0, 54.0
SPACE = (742.0, 128.0)  # centre and radius of the drawn shared space


@dataclass(frozen=True)
class Branch:
    """One modality: an example, its encoder and its head.

    Args:
        encoder: name; empty where features were given as arrays.
        features: width of the encoder's output; None: unknown.
        head: steps of the head, in order, in a few words each.
    """

    modality: str
    encoder: str = ""
    features: int | None = None
    head: Sequence[str] = ()
    example: str = ""
    picture: str | None = None


@dataclass(frozen=True)
class LossTerm:
    """One part of what is learned: kind ("transport", "neighbourhood", "retrieval", other), weight, settings."""

    kind: str
    symbol: str
    weight: str
    detail: str = ""


@dataclass(frozen=True)
class Architecture:
    """What Figure 1 draws.

    Args:
        branches: one per modality. dim: of the shared space; None: unknown. terms: of the objective.
        solved: how a closed form is solved, where there is no loss.
        uses: what the space is used for, with what was measured.
    """

    branches: Sequence[Branch]
    dim: int | None
    terms: Sequence[LossTerm] = ()
    solved: str = ""
    uses: Sequence[tuple[str, str]] = field(default_factory=list)


def architecture_figure(a: Architecture) -> Markup:
    """The whole pipeline as one drawing, top to bottom a branch per modality, left to right a step per column."""
    rows = max(len(a.branches) * ROW, 2 * SPACE[1] + 20)
    middle = TOP + rows / 2
    first = middle - len(a.branches) * ROW / 2 + ROW / 2
    centres = [first + i * ROW for i in range(len(a.branches))]
    bottom = TOP + rows + 18
    parts = [_headings(), _space(a, middle)]
    parts += [_branch(i, b, y, middle) for i, (b, y) in enumerate(zip(a.branches, centres, strict=True))]
    parts += [_uses(a, middle), _objective(a, bottom)]
    return picture(WIDTH, bottom + 86, "Architecture of this run", *parts, description=_words(a))


def _headings() -> Markup:
    names = [
        (0, "Input"),
        (168, "Frozen encoder"),
        (384, "Head"),
        (SPACE[0] - SPACE[1], "Shared space"),
        (912, "Put to use"),
    ]
    return join(text(x, 18, name, 13, "var(--muted)", weight=700) for x, name in names)


def _branch(i: int, b: Branch, y: float, middle: float) -> Markup:
    shade = colour(i)
    parts = [text(0, y - 38, shorten(b.modality, 16), 15, shade, weight=700)]
    if b.picture:
        parts.append(tag("rect", x=0, y=y - 28, width=70, height=70, rx=9, fill="var(--tile)", stroke="var(--line)"))
        parts.append(tag("image", href=b.picture, x=5, y=y - 23, width=60, height=60))
        reach = 76.0
    else:
        words = _wrap(b.example or "feature rows", 16, 3)
        parts.append(join(text(0, y - 10 + 18 * n, word, 14, "var(--ink)") for n, word in enumerate(words)))
        reach = min(140.0, max(width_of(w, 14) for w in words) + 6)
    parts.append(_arrow(reach, y, 162, y, shade))
    encoder = [f"{b.features:,} features" if b.features else "features"]
    parts.append(_box(168, y, 168, shorten(b.encoder or "given as arrays", 22), encoder, shade))
    parts.append(_arrow(340, y, 378, y, shade))
    parts.append(_box(384, y, 168, "head", list(b.head)[:3], shade))
    edge = SPACE[0] - math.sqrt(max(1.0, SPACE[1] ** 2 - min(abs(y - middle), SPACE[1] * 0.92) ** 2))
    target = middle + max(-SPACE[1] * 0.92, min(SPACE[1] * 0.92, y - middle))
    parts.append(_arrow(556, y, edge - 5, target, shade))
    return join(parts)


def _box(x: float, y: float, width: float, title: str, details: Sequence[str], shade: str) -> Markup:
    height = 34 + 18 * max(1, len(details))
    top = y - height / 2
    lines = join(text(x + 16, top + 42 + 18 * n, shorten(d, 24), 12.5, "var(--muted)") for n, d in enumerate(details))
    return group(
        tag(
            "rect",
            x=x,
            y=top,
            width=width,
            height=height,
            rx=9,
            fill="var(--card)",
            stroke="var(--line)",
            stroke_width=1.2,
        ),
        tag("rect", x=x, y=top + 9, width=4, height=height - 18, rx=2, fill=shade),
        text(x + 16, top + 23, title, 14, weight=700),
        lines,
    )


def _arrow(x1: float, y1: float, x2: float, y2: float, shade: str) -> Markup:
    angle = math.atan2(y2 - y1, x2 - x1)
    wings = [(x2 - 8 * math.cos(angle + s), y2 - 8 * math.sin(angle + s)) for s in (0.45, -0.45)]
    head = f"M{wings[0][0]:.1f},{wings[0][1]:.1f}L{x2:.1f},{y2:.1f}L{wings[1][0]:.1f},{wings[1][1]:.1f}"
    return group(line(x1, y1, x2, y2, shade, 1.6), tag("path", d=head, fill="none", stroke=shade, stroke_width=1.6))


def _space(a: Architecture, middle: float) -> Markup:
    """The shared space: things seen by several modalities, joined by couplings and by neighbourhoods."""
    x0, radius = SPACE
    things = [(-0.52, -0.42), (0.02, -0.66), (0.56, -0.28), (0.34, 0.42), (-0.34, 0.36)]
    offset = 25.0 if len(a.branches) > 1 else 0.0

    def at(thing: int, branch: int) -> tuple[float, float]:
        turn = 2 * math.pi * branch / max(2, len(a.branches)) + 0.9 * thing
        x, y = things[thing]
        return x0 + x * radius + offset * math.cos(turn), middle + y * radius + offset * math.sin(turn)

    kinds = {t.kind for t in a.terms}
    parts = [tag("circle", cx=x0, cy=middle, r=radius, fill="var(--soft)", stroke="var(--line)", stroke_width=1.2)]
    if "neighbourhood" in kinds:
        for m in range(len(a.branches)):
            ring = [(t, (t + 1) % len(things)) for t in range(len(things))]
            parts += [
                line(*at(t, m), *at(u, m), colour(m), 1.1, stroke_dasharray="2 4", stroke_opacity=0.75) for t, u in ring
            ]
    for t in range(len(things)):
        for m in range(len(a.branches) - 1):
            parts.append(line(*at(t, m), *at(t, m + 1), "var(--ink)", 2))
            if "transport" in kinds:  # a plan spreads mass: thinner lines to the next thing as well
                parts.append(line(*at(t, m), *at((t + 1) % len(things), m + 1), "var(--ink)", 0.8, stroke_opacity=0.45))
    for t in range(len(things)):
        parts += [
            marker(m, *at(t, m), 6, colour(m), stroke="var(--soft)", stroke_width=1.5) for m in range(len(a.branches))
        ]
    label = f"{a.dim} dimensions, unit sphere" if a.dim else "unit sphere"
    parts.append(text(x0, middle + radius - 16, label, 12, "var(--muted)", "middle"))
    return join(parts)


def _uses(a: Architecture, middle: float) -> Markup:
    x = 912.0
    top = middle - 58 * len(a.uses) / 2 + 14
    parts = [_arrow(SPACE[0] + SPACE[1] + 6, middle, x - 10, middle, "var(--ink)")]
    for n, (name, detail) in enumerate(a.uses):
        parts.append(text(x, top + 58 * n, shorten(name, 22), 14, weight=700))
        parts.append(text(x, top + 18 + 58 * n, shorten(detail, 27), 12.5, "var(--muted)"))
    return join(parts)


def _objective(a: Architecture, top: float) -> Markup:
    """What is minimised, term by term, each with the sign it has in the drawing."""
    parts = [line(0, top, WIDTH, top)]
    if not a.terms:
        parts.append(text(0, top + 34, "Objective", 13, "var(--muted)", weight=700))
        parts.append(text(168, top + 34, shorten(a.solved or "not recorded in this run folder", 96), 14))
        return join(parts)
    parts.append(text(0, top + 34, "Learned from", 13, "var(--muted)", weight=700))
    step = min(304.0, (WIDTH - 168) / len(a.terms))
    for n, term in enumerate(a.terms):
        x = 168 + n * step
        parts.append(_sign(term.kind, x, top + 30))
        parts.append(text(x + 34, top + 34, _formula(term), 15, weight=700))
        parts.append(text(x + 34, top + 54, shorten(term.detail, int(step / 7.2)), 12.5, "var(--muted)"))
    if a.solved:
        parts.append(text(168, top + 78, shorten(a.solved, 120), 12.5, "var(--muted)"))
    return join(parts)


def _formula(term: LossTerm) -> Markup:
    """Weight and symbol, what follows an underscore set lower."""
    base, _, low = term.symbol.partition("_")
    factor = f"{term.weight} × " if term.weight else ""
    index = tag("tspan", low, dy=4, font_size=11) if low else ""
    return Markup("{}{}{}").format(factor, base, index)


def _sign(kind: str, x: float, y: float) -> Markup:
    if kind == "transport":
        return group(line(x, y - 5, x + 24, y - 5, "var(--ink)", 2), line(x, y - 5, x + 24, y + 5, "var(--ink)", 0.8))
    if kind == "neighbourhood":
        return line(x, y, x + 24, y, colour(0), 1.4, stroke_dasharray="2 4")
    if kind == "retrieval":
        return group(
            line(x + 4, y, x + 20, y, "var(--ink)", 2),
            marker(0, x + 3, y, 4, colour(0)),
            marker(1, x + 21, y, 4, colour(1)),
        )
    return marker(2, x + 12, y, 4, "var(--muted)")


def _wrap(words: str, width: int, most: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    kept = [shorten(entry, width) for entry in lines[:most]]
    return [*kept[:-1], kept[-1].rstrip("…") + "…"] if len(lines) > most else kept


def _words(a: Architecture) -> str:
    branches = "; ".join(
        f"{b.modality}: {b.encoder or 'given as arrays'}, {b.features or '?'} features, head {', '.join(b.head)}"
        for b in a.branches
    )
    terms = ", ".join(f"{t.weight} {t.symbol} ({t.detail})" for t in a.terms) or a.solved
    return f"{branches}. Shared space of {a.dim or 'unknown'} dimensions. Learned from: {terms}."
