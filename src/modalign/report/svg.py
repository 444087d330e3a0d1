"""Small pure functions that make SVG text. Everything that is not already markup is escaped.

Colours are CSS variables (``var(--ink)``), so that a page themes its figures; ``standalone`` puts values in their
place, for pictures that leave the page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from ..errors import ModalignError

# The look of the page lives in one place: the style sheet's :root block holds every colour by name.
STYLE = Path(__file__).with_name("templates") / "style.css"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MODALITY_COLOURS = 6  # --m0 to --m5 in the style sheet
WIDTH_PER_EM = 0.56  # of an average letter; wide fallback fonts stay within it for the short labels used here


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One element. Attribute names lose a trailing underscore and turn inner ones into hyphens; None is left out.

    Example:
        >>> print(tag("text", "a < b", x=1.25, text_anchor="end", class_="t"))
        <text x="1.25" text-anchor="end" class="t">a &lt; b</text>
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{pairs}>{inside}</{name}>" if children else f"<{name}{pairs}/>")


def group(*children: object, **attributes: object) -> Markup:
    """A ``<g>`` element."""
    return tag("g", *children, **attributes)


def join(parts: Iterable[Markup]) -> Markup:
    """Elements one after another."""
    return Markup("").join(parts)


def picture(width: float, height: float, title: str, *children: object, description: str = "") -> Markup:
    """The outer ``<svg>``: scales with its container, and says to a screen reader what it shows."""
    return tag(
        "svg",
        tag("title", title),
        *([tag("desc", description)] if description else []),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        role="img",
        aria_label=f"{title}. {description}" if description else title,
        font_family=FONT,
        class_="figure",
    )


def text(
    x: float,
    y: float,
    content: object,
    size: float = 13,
    fill: str = "var(--ink)",
    anchor: str = "start",
    weight: int | None = None,
    halo: float = 0,
) -> Markup:
    """A line of text with its baseline at (x, y); a halo in the card's colour keeps it readable over lines."""
    more: dict[str, object] = {"text_anchor": None if anchor == "start" else anchor, "font_weight": weight}
    if halo:
        more |= {"paint_order": "stroke", "stroke": "var(--card)", "stroke_width": halo, "stroke_linejoin": "round"}
    return tag("text", content, x=x, y=y, font_size=size, fill=fill, **more)


def line(
    x1: float, y1: float, x2: float, y2: float, stroke: str = "var(--line)", width: float = 1, **more: object
) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, **more)


def polyline(points: Sequence[tuple[float, float]], stroke: str, width: float = 2, **more: object) -> Markup:
    """A line through points."""
    joined = {"stroke_linejoin": "round", "stroke_linecap": "round"}
    return tag("path", d=path_of(points), fill="none", stroke=stroke, stroke_width=width, **joined, **more)


def path_of(points: Sequence[tuple[float, float]], closed: bool = False) -> str:
    """The ``d`` of a path through points.

    Example:
        >>> path_of([(0, 1.5), (2, 3)], closed=True)
        'M0,1.5L2,3Z'
    """
    return "M" + "L".join(f"{_plain(x)},{_plain(y)}" for x, y in points) + ("Z" if closed else "")


def marker(shape: int, x: float, y: float, r: float, fill: str, **more: object) -> Markup:
    """A point whose form says the series even without colour: circle, square, diamond, triangle, in turn."""
    kind = shape % 4
    if kind == 0:
        return tag("circle", cx=x, cy=y, r=r, fill=fill, **more)
    if kind == 1:
        s = 0.89 * r
        return tag("rect", x=x - s, y=y - s, width=2 * s, height=2 * s, fill=fill, **more)
    s = 1.3 * r
    corners = [(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
    if kind == 3:
        corners = [(x, y - s), (x + s, y + 0.8 * s), (x - s, y + 0.8 * s)]
    return tag("path", d=path_of(corners, closed=True), fill=fill, **more)


def width_of(content: str, size: float) -> float:
    """A generous guess of a text's width, in the units of ``size``."""
    return sum(1.0 if ord(c) > 0x2E80 else WIDTH_PER_EM for c in content) * size


def shorten(content: str, limit: int) -> str:
    """A text cut to ``limit`` characters at a word where it can be, with an ellipsis.

    Example:
        >>> shorten("a man riding a brown horse", 16)
        'a man riding a…'
    """
    flat = " ".join(content.split())
    if len(flat) <= limit:
        return flat
    cut = flat[: limit - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > limit // 2 else cut).rstrip(" ,;:.") + "…"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high], about ``count`` of them.

    Example:
        >>> ticks(0, 23)
        [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / max(count, 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next((m * unit for m in (1, 2, 2.5, 5) if m * unit >= raw * 0.999), 10 * unit)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as percent.

    Example:
        >>> percent(0.1234), percent(None)
        ('12.3', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}"


def short_number(value: float) -> str:
    """A number for a tick or a label: no more digits than help.

    Example:
        >>> [short_number(v) for v in (0.5, 20.0, 1200, 0.00015, -3.25)]
        ['0.5', '20', '1,200', '1.5e-04', '-3.25']
    """
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e7):
        return f"{value:.1e}"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}"


def standalone(svg: Markup, theme: str = "light", width: int = 960) -> str:
    """A figure as a file of its own: colours filled in, a background, a size.

    Args:
        svg: a figure made by ``picture``.
        theme: "light", "dark", or "auto": both, as the reader's screen asks (the variables stay in the file).
        width: in pixels; the height follows.
    """
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if box is None:
        raise ModalignError("only a figure made by svg.picture can stand alone: it has no viewBox from 0 0")
    w, h = float(box[1]), float(box[2])
    size = f'width="{width}" height="{round(width * h / w)}" '
    body = str(svg).replace("<svg ", f"<svg {size}", 1)
    start = body.index(">") + 1
    body = body[:start] + f'<rect width="{_plain(w)}" height="{_plain(h)}" fill="var(--card)"/>' + body[start:]
    if theme == "auto":
        return printable(body[:start] + _both_themes(body) + body[start:])
    colours = palette(theme)
    return printable(re.sub(r"var\(--([\w-]+)\)", lambda m: colours.get(m[1], m[0]), body))


def _both_themes(body: str) -> str:
    """A style element with the colours that a figure names, light and dark."""
    named = sorted(set(re.findall(r"var\(--([\w-]+)\)", body)))
    light, dark = (";".join(f"--{n}:{palette(t)[n]}" for n in named) for t in ("light", "dark"))
    return f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"


def printable(text: str) -> str:
    """Text without control characters and lone surrogates, which no page or SVG file may hold.

    Example:
        >>> printable("a\\x00b\\ud800")
        'ab?'
    """
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text).encode("utf-8", "replace").decode("utf-8")


def palette(theme: str) -> dict[str, str]:
    """The colours of the style sheet by name."""
    sheet = STYLE.read_text(encoding="utf-8")
    blocks = re.findall(r":root\s*\{(.*?)\}", sheet, flags=re.S)
    if theme not in ("light", "dark") or len(blocks) < 2:
        raise ModalignError(f"unknown theme '{theme}': use light or dark")
    colours = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,8})", blocks[0]))
    if theme == "dark":
        colours |= dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,8})", blocks[1]))
    return colours


def _plain(value: object) -> str:
    """Numbers with at most two decimals: smaller files, and the same bytes everywhere."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
