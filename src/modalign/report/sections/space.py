"""The map of the shared space."""

from __future__ import annotations

from markupsafe import Markup

from ...views import Views
from ..figures.space import Dot, Link, legend_mark, space_figure
from ..page import Absent, render
from ..projection import Layout, project
from ..sheet import Sheet
from ..svg import percent


def build(sheet: Sheet) -> Markup | Absent:
    """Both modalities in one plane, with links between true pairs."""
    if sheet.z is None:
        return Absent("the run has kept no embeddings.")
    if sum(len(x) for x in sheet.z.data.values()) < 3:
        return Absent("a map needs at least three items.")
    layout, figure, points, links = drawn(sheet, sheet.z)
    names = list(layout.xy)
    return render(
        "space.html.j2",
        figure=figure,
        legend=[(m, legend_mark(i)) for i, m in enumerate(names)],
        layout=layout,
        kept=percent(layout.kept, 0),
        kept_pca=percent(layout.kept_pca, 0),
        hits=sum(link.hit for link in links),
        links=len(links),
        shown=sum(len(p) for p in points.values()),
        pictures=any(d.picture for p in points.values() for d in p),
        centred=len(names) > 1,
    )


def drawn(sheet: Sheet, z: Views) -> tuple[Layout, Markup, dict[str, list[Dot]], list[Link]]:
    """Where the items of z lie in the plane, the figure of it, its dots and its links."""
    layout = project(z)
    names = list(layout.xy)
    notes = _notes(sheet)
    points = {m: _dots(sheet, layout, m, notes) for m in names}
    found = {(m, row): rank for (m, row), (_, rank, _) in notes.items()}
    links = [
        Link(
            (names.index(a), i),
            (names.index(b), j),
            1 in (found.get((a, int(layout.rows[a][i]))), found.get((b, int(layout.rows[b][j])))),
        )
        for a, i, b, j in layout.links
    ]
    title = f"Map of {' and '.join(names)} in the shared space"
    words = f"{sum(len(p) for p in points.values())} items of {len(names)} modalities, {len(links)} true pairs linked"
    return layout, space_figure(points, links, title, words), points, links


def _dots(sheet: Sheet, layout: Layout, modality: str, notes: dict[tuple[str, int], tuple[str, int, int]]) -> list[Dot]:
    dots = []
    for (x, y), row in zip(layout.xy[modality].tolist(), layout.rows[modality].tolist(), strict=True):
        item = sheet.items[modality][row]
        note = ""
        if (modality, row) in notes:
            target, rank, candidates = notes[modality, row]
            note = f"true {target} at rank {rank:,} of {candidates:,}"
        picture = sheet.thumbnail(item)
        dots.append(Dot(x, y, item.name, picture, note, item.text is not None))
    return dots


def _notes(sheet: Sheet) -> dict[tuple[str, int], tuple[str, int, int]]:
    """(modality, row) -> (target modality, rank of the true match, candidates), of the best direction."""
    notes: dict[tuple[str, int], tuple[str, int, int]] = {}
    for (source, target), p in sheet.found.items():
        for row, rank in zip(p.asked.tolist(), p.last_rank.tolist(), strict=True):
            known = notes.get((source, row))
            if known is None or rank < known[1]:
                notes[source, row] = (target, rank, p.gallery)
    return notes
