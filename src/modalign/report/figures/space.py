"""The map of the shared space: items of every modality, links between true pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..svg import MODALITY_COLOURS, group, line, marker, picture, shorten, tag, text, width_of

WIDTH, HEIGHT, MARGIN = 1080.0, 740.0, 26.0
TILE = 34.0  # side of a drawn picture
LABEL = 11.0  # size of a written name

Key = tuple[int, int]  # modality, index of the item
Place = tuple[float, float]


class Dot(NamedTuple):
    """An item on the map: position in [0, 1]^2, name, thumbnail, what to say about its match."""

    x: float
    y: float
    name: str
    picture: str | None = None
    note: str = ""
    written: bool = True  # whether the name says more than a row number


class Link(NamedTuple):
    """A true pair: (modality, index) at both ends, and whether each end finds the other first."""

    a: Key
    b: Key
    hit: bool


def space_figure(points: Mapping[str, Sequence[Dot]], links: Sequence[Link], title: str, description: str) -> Markup:
    """Points of all modalities; pictures and names where there is room for them.

    Every point carries its name as a native tooltip. ``data-`` attributes tell the page's script which picture
    and which partner belong to it.
    """
    names = list(points)
    at = {(m, i): _place(d) for m, name in enumerate(names) for i, d in enumerate(points[name])}
    dots = {(m, i): d for m, name in enumerate(names) for i, d in enumerate(points[name])}
    room = Room()
    tiles = [key for key, d in dots.items() if d.picture and room.take(*at[key], TILE + 3, TILE + 3)]
    shown = set(tiles)
    for key in dots:
        if key not in shown:
            room.take(*at[key], 5, 5, always=True)
    labels = [_label(room, at[key], d.name, key[0]) for key, d in dots.items() if not d.picture and d.written]
    partner = _partners(links)
    pictures = [
        tag("image", id=f"p{m}-{i}", href=d.picture, width=96, height=96) for (m, i), d in dots.items() if d.picture
    ]
    marks = [_dot(key, d, at[key], partner.get(key)) for key, d in dots.items() if key not in shown]
    drawn = [_tile(key, dots[key], at[key], partner.get(key)) for key in tiles]
    lines = [_link(at[link.a], at[link.b], link.hit) for link in sorted(links, key=lambda k: k.hit)]
    return picture(
        WIDTH,
        HEIGHT,
        title,
        tag("defs", *pictures) if pictures else "",
        tag("rect", width=WIDTH, height=HEIGHT, rx=12, fill="var(--card)"),
        group(*lines, class_="links"),
        group(*marks, *drawn),
        group(*[label for label in labels if label is not None], pointer_events="none", aria_hidden="true"),
        group(class_="focus-ring"),
        description=description,
    )


def legend_mark(modality: int) -> Markup:
    """The sign of a modality, for the legend."""
    return picture(24, 16, "", marker(modality, 12, 8, 5, colour(modality)))


def colour(modality: int) -> str:
    """The colour of the n-th modality."""
    return f"var(--m{modality % MODALITY_COLOURS})"


class Room:
    """Which places of the map are taken, on a grid of cells."""

    CELL = 48.0

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}

    def take(self, x: float, y: float, w: float, h: float, always: bool = False) -> bool:
        """Take the place of a box centred at (x, y) if it is free, or always. Returns whether it was free."""
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        free = not any(
            box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3]
            for cell in self._over(box)
            for o in self.cells.get(cell, ())
        )
        for cell in self._over(box) if free or always else ():
            self.cells.setdefault(cell, []).append(box)
        return free

    def _over(self, box: tuple[float, float, float, float]) -> list[tuple[int, int]]:
        x0, y0, x1, y1 = (int(v // self.CELL) for v in box)
        return [(i, j) for i in range(x0, x1 + 1) for j in range(y0, y1 + 1)]


def _place(dot: Dot) -> Place:
    return MARGIN + dot.x * (WIDTH - 2 * MARGIN), MARGIN + dot.y * (HEIGHT - 2 * MARGIN)


def _partners(links: Sequence[Link]) -> dict[Key, Key]:
    out: dict[Key, Key] = {}
    for link in links:
        out.setdefault(link.a, link.b)
        out.setdefault(link.b, link.a)
    return out


def _about(key: Key, dot: Dot, at: Place, partner: Key | None) -> dict[str, object]:
    return {
        "id": f"d{key[0]}-{key[1]}",
        "class_": "dot",
        "data_x": at[0],
        "data_y": at[1],
        "data_p": f"p{key[0]}-{key[1]}" if dot.picture else None,
        "data_to": f"d{partner[0]}-{partner[1]}" if partner else None,
        "data_name": dot.name,
        "data_note": dot.note or None,
    }


def _tooltip(dot: Dot) -> Markup:
    return tag("title", f"{dot.name}: {dot.note}" if dot.note else dot.name)


def _dot(key: Key, dot: Dot, at: Place, partner: Key | None) -> Markup:
    return group(
        _tooltip(dot), marker(key[0], *at, 3.6, colour(key[0]), fill_opacity=0.85), **_about(key, dot, at, partner)
    )


def _tile(key: Key, dot: Dot, at: Place, partner: Key | None) -> Markup:
    x, y, scale = at[0] - TILE / 2, at[1] - TILE / 2, (TILE - 4) / 96
    return group(
        _tooltip(dot),
        tag(
            "rect", x=x, y=y, width=TILE, height=TILE, rx=6, fill="var(--tile)", stroke=colour(key[0]), stroke_width=1.2
        ),
        tag("use", href=f"#p{key[0]}-{key[1]}", transform=f"translate({x + 2:.1f} {y + 2:.1f}) scale({scale:.3f})"),
        **_about(key, dot, at, partner),
    )


def _label(room: Room, at: Place, name: str, modality: int) -> Markup | None:
    """A name beside its point, right or left, where nothing else is; None where there is no room."""
    shown = shorten(name, 20)
    width = width_of(shown, LABEL)
    for side, anchor in ((1, "start"), (-1, "end")):
        end = at[0] + side * (8 + width)
        if 4 < end < WIDTH - 4 and room.take(at[0] + side * (7 + width / 2), at[1], width, LABEL + 2):
            return text(at[0] + side * 7, at[1] + 3.8, shown, LABEL, colour(modality), anchor, halo=3)
    return None


def _link(a: Place, b: Place, hit: bool) -> Markup:
    if hit:
        return line(*a, *b, "var(--accent)", 1.6, stroke_opacity=0.75)
    return line(*a, *b, "var(--faint)", 0.8, stroke_opacity=0.3)
