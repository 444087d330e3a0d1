"""The charts of the result pages, drawn from the tables of those pages: python site/charts.py

Written into docs/images/results as SVG that follows the light or dark screen. A number stands in one place, the
table; whoever changes it draws again, and a test says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from modalign.files import write_text
from modalign.report import svg

DOCS = Path(__file__).parents[1] / "docs"
PLACE = DOCS / "images" / "results"
WIDTH = 720
NUMBER = re.compile(r"-?\d*\.?\d+")

Table = list[list[str]]


def tables(page: str) -> Iterator[tuple[str, Table]]:
    """Each table of a page with the heading that stands above it; marks of bold and code are taken off."""
    heading, table = "", []
    for line in [*(DOCS / page).read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.sub(r"[*`]", "", line).strip("|").split("|")]
            if set(line) - set("|-: "):
                table.append(cells)
        elif table:
            yield heading, table
            table = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def numbers(cell: str) -> list[float]:
    """All numbers of a cell: ``35.8 [32.5, 39.2]`` has three, ``6.7 ± .3`` two."""
    return [float(n) for n in NUMBER.findall(cell.replace(",", " "))]


def axis(left: float, right: float, top: float, bottom: float, most: float) -> tuple[list[Markup], float]:
    """Upright lines at round numbers from 0 to ``most``, and the units of one percent."""
    unit = (right - left) / most
    parts = []
    for tick in svg.ticks(0, most, 6):
        if tick <= most:
            x = left + unit * tick
            parts += [svg.line(x, top, x, bottom), svg.text(x, bottom + 20, int(tick), 13, "var(--muted)", "middle")]
    return parts, unit


def legend(x: float, y: float, entries: Sequence[tuple[Markup, str]]) -> list[Markup]:
    """Marks with their names, side by side; each mark is drawn around (0, 0)."""
    parts = []
    for mark, name in entries:
        parts += [svg.group(mark, transform=f"translate({x:.1f} {y - 5:.1f})"), svg.text(x + 12, y, name, 14)]
        x += 36 + svg.width_of(name, 14)
    return parts


def lead() -> Markup:
    """Best simple baseline, full and the aim in each setting: the table of the lead in results.md."""
    table = next(t for _, t in tables("results.md") if t[0][-1] == "aim")
    left, top, step = 250.0, 92.0, 34.0
    bottom = top + step * (len(table) - 1)
    parts, unit = axis(left, WIDTH - 30, top - 12, bottom, 60)
    title = "Against the best simple baseline of each setting"
    parts += [svg.text(12, 28, title, 18, weight=600)]
    entries = [
        (svg.marker(1, 0, 0, 6, "var(--faint)"), "best baseline"),
        (svg.marker(0, 0, 0, 6, "var(--m0)"), "full"),
        (svg.line(0, -7, 0, 7, "var(--muted)", 2), "aim"),
    ]
    parts += legend(20, 58, entries)
    for row, (setting, best, ours, _, aim) in enumerate(table[1:]):
        y = top + step * (row + 0.4)
        low, high, asked = (left + unit * numbers(cell)[0] for cell in (best, ours, aim))
        name = re.sub(r"three modalities(, \d,\d+ items).*", r"three modalities\1", setting)
        parts += [
            svg.text(12, y + 5, name, 14),
            svg.line(low, y, high, y, "var(--m0)", 3),
            svg.line(asked, y - 8, asked, y + 8, "var(--muted)", 2),
            svg.marker(1, low, y, 6, "var(--faint)"),
            svg.marker(0, high, y, 6, "var(--m0)"),
            svg.text(low - 12, y + 5, numbers(best)[0], 13, "var(--muted)", "end"),
        ]
    parts.append(
        svg.text(WIDTH - 30, bottom + 40, "mean of Recall@1, 5 and 10 on test, percent", 13, "var(--muted)", "end")
    )
    return svg.picture(WIDTH, bottom + 52, title, *parts, description="One row for each setting of results.md.")


SPOKEN = {"fr": "French", "ru": "Russian", "ro": "Romanian", "bg": "Bulgarian", "ca": "Catalan", "es": "Spanish"}
SUITE = {
    "complete": "picture, name, speech",
    "disjoint-lose30": "... 30 % lack a modality",
    "hidden-100": "... 100 links",
    "fr-name-complete": "French and its name",
} | {f"{code}-complete": f"{name} and picture" for code, name in SPOKEN.items()}


def heterogeneous() -> Markup:
    """Ours and the best other row of each setting, with intervals: the tables of results-tuxpaint.md."""
    chosen = [
        (SUITE[heading], t) for heading, t in tables("results-tuxpaint.md") if heading in SUITE and t[0][0] == "method"
    ]
    left, top, step = 230.0, 92.0, 42.0
    bottom = top + step * len(chosen)
    parts, unit = axis(left, WIDTH - 30, top - 12, bottom, 60)
    title = "Pictures, names and speech: full and the best baseline"
    parts.append(svg.text(12, 28, title, 18, weight=600))
    entries = [
        (svg.marker(0, 0, 0, 6, "var(--m0)"), "full"),
        (svg.marker(1, 0, 0, 6, "var(--faint)"), "best baseline; lines are 95 % intervals"),
    ]
    parts += legend(20, 58, entries)
    for number, (name, table) in enumerate(chosen):
        y = top + step * (number + 0.45)
        parts.append(svg.text(12, y + 5, name, 14))
        rows = {row[0]: numbers(row[1]) for row in table[1:]}
        ours = next(row for row in rows if row.startswith("ours"))
        best = max((row for row in rows if row != ours), key=lambda row: rows[row][0])
        for at, (key, shape, colour) in enumerate(((ours, 0, "var(--m0)"), (best, 1, "var(--faint)"))):
            mean, low, high = rows[key][:3]
            height = y - 7 + 14 * at
            parts += [
                svg.line(left + unit * low, height, left + unit * high, height, colour, 3),
                svg.marker(shape, left + unit * mean, height, 6, colour),
            ]
    parts.append(
        svg.text(WIDTH - 30, bottom + 40, "mean of Recall@1, 5 and 10 on test, percent", 13, "var(--muted)", "end")
    )
    return svg.picture(
        WIDTH, bottom + 52, title, *parts, description="One row for each setting of results-tuxpaint.md."
    )


def curve(left: float, table: Table, title: str, most: float) -> list[Markup]:
    """What each adapter keeps, over the number of pairs on a logarithmic axis; the last series stands out."""
    top, bottom, width = 80.0, 330.0, 270.0
    pairs = [numbers(re.sub(r"(\d),(\d)", r"\1\2", cell))[0] for cell in table[0][1:]]
    span = math.log(pairs[-1] / pairs[0])
    parts = [svg.text(left, 60, title, 15, weight=600)]
    for tick in svg.ticks(0, most, 4):
        y = bottom - (bottom - top) * tick / most
        parts += [svg.line(left, y, left + width, y), svg.text(left - 6, y + 5, int(tick), 13, "var(--muted)", "end")]
    for n, label in zip(pairs, table[0][1:], strict=True):
        x = left + width * math.log(n / pairs[0]) / span
        parts.append(svg.text(x, bottom + 20, label.removesuffix(" pairs"), 13, "var(--muted)", "middle"))
    for series, row in enumerate(table[1:-1]):
        ours = row[0] == "full"
        points = [
            (left + width * math.log(n / pairs[0]) / span, bottom - (bottom - top) * numbers(cell)[0] / most)
            for n, cell in zip(pairs, row[1:], strict=True)
        ]
        colour = "var(--m0)" if ours else "var(--faint)"
        parts.append(svg.polyline(points, colour, 3 if ours else 1.5))
        parts += [svg.marker(0 if ours else series + 1, x, y, 5 if ours else 3, colour) for x, y in points]
        if ours:
            parts.append(svg.text(points[1][0], points[1][1] - 12, "full", 14, "var(--m0)", "middle", weight=600))
    return parts


def migration() -> Markup:
    """Recall kept over the number of pairs, for texts and for pictures: the two tables of migrate.md."""
    text, image = (t for _, t in tables("migrate.md") if t[0][-1].startswith("10,000"))
    title = "Kept of the old model's ten nearest, percent"
    parts = [svg.text(12, 28, title, 18, weight=600)]
    parts += [*curve(50, text, "text: MiniLM to WordLlama", 60), *curve(410, image, "pictures: two layers", 30)]
    parts.append(
        svg.text(WIDTH - 30, 376, "pairs embedded by both models; grey: the other adapters", 13, "var(--muted)", "end")
    )
    return svg.picture(WIDTH, 388, title, *parts, description="Curves of the two tables of migrate.md.")


DRAWINGS = {"lead": lead, "heterogeneous": heterogeneous, "migration": migration}


def draw(place: Path = PLACE) -> None:
    """Write all of them."""
    place.mkdir(parents=True, exist_ok=True)
    for name, make in DRAWINGS.items():
        write_text(place / f"{name}.svg", svg.standalone(make(), "auto") + "\n")


if __name__ == "__main__":
    draw()
