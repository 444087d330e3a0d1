"""Queries with their first results: some found, some nearly, some missed, chosen by a fixed rule."""

from __future__ import annotations

from typing import NamedTuple

import torch
from markupsafe import Markup

from ...metrics.found import Direction, Found
from ...views import Views
from ..figures import rank_figure
from ..page import Absent, render
from ..sheet import Item, Sheet
from ..svg import percent, shorten

SHOWN = 5  # results per query
PER_STRATUM = 3
MOST_DIRECTIONS = 12
NAME_LENGTH = 90


class Stratum(NamedTuple):
    """A range of ranks of the true match."""

    kind: str
    sign: str
    title: str
    first: int
    last: float


STRATA = (
    Stratum("hit", "✓", "Found first", 1, 1),
    Stratum("near", "≈", "Near misses: rank 2 to 10", 2, 10),
    Stratum("miss", "✗", "Failures: beyond rank 10", 11, float("inf")),
)


def build(sheet: Sheet) -> Markup | Absent:
    """For each direction, the curve of found queries and cards of single ones."""
    if sheet.z is None:
        return Absent("the run has kept no embeddings.")
    if not sheet.found:
        return Absent("no item has a true match in another modality among those kept.")
    shown = list(sheet.found.items())[:MOST_DIRECTIONS]
    curves = [(f"{a} → {b}", p.last_rank.tolist(), p.gallery) for (a, b), p in shown]
    return render(
        "gallery.html.j2",
        curve=rank_figure(curves[:6]),
        directions=[_direction(sheet, way, p, name) for (name, _, _), (way, p) in zip(curves, shown, strict=True)],
        per_stratum=PER_STRATUM,
        results=SHOWN,
        left_out=len(sheet.found) - len(shown),
        pictures=sheet.has_pictures(),
    )


def choose(ranks: list[int], stratum: Stratum, count: int = PER_STRATUM) -> list[int]:
    """Positions of the queries to show: those of a stratum by rank, then position; taken at even steps.

    Example:
        >>> choose([1, 40, 1, 12, 1, 99, 30], STRATA[2], count=2)
        [6, 5]
    """
    inside = sorted((r, i) for i, r in enumerate(ranks) if stratum.first <= r <= stratum.last)
    if len(inside) <= count:
        return [i for _, i in inside]
    return [inside[(2 * n + 1) * len(inside) // (2 * count)][1] for n in range(count)]


def first_results(z: Views, a: str, b: str, row: int, k: int) -> list[int]:
    """Rows of the k items of b nearest to one item of a by cosine, best first, ties by row."""
    similarity = torch.nn.functional.normalize(z[b], dim=1) @ z[a][row]
    return torch.sort(similarity, descending=True, stable=True).indices[:k].tolist()


def _direction(sheet: Sheet, way: Direction, p: Found, name: str) -> dict[str, object]:
    ranks = p.last_rank
    return {
        "name": name,
        "strata": _strata(sheet, way, p),
        "median": f"{int(ranks.median()):,}",  # the lower one of two, as the measure has it
        "candidates": f"{p.gallery:,}",
        "shares": [percent(float((ranks <= k).double().mean())) for k in (1, 10, 100)],
    }


def _strata(sheet: Sheet, way: Direction, p: Found) -> list[dict[str, object]]:
    ranks = p.last_rank.tolist()
    out: list[dict[str, object]] = []
    for stratum in STRATA:
        inside = sum(stratum.first <= r <= stratum.last for r in ranks)
        cards = [_card(sheet, way, p, i) for i in choose(ranks, stratum)]
        share = f"{percent(inside / len(ranks))} % of {len(ranks):,} queries"
        out.append({"kind": stratum.kind, "sign": stratum.sign, "title": stratum.title, "share": share, "cards": cards})
    return out


def _card(sheet: Sheet, way: Direction, p: Found, position: int) -> dict[str, object]:
    """One query: what was asked, the first results, and where the truth is."""
    assert sheet.z is not None
    source, target = way
    row, rank, truth = int(p.asked[position]), int(p.last_rank[position]), int(p.best[position])
    right = set(p.item[p.query == row].tolist())
    results = [
        _shown(sheet, sheet.items[target][other]) | {"true": other in right}
        for other in first_results(sheet.z, source, target, row, SHOWN)
    ]
    return {
        "query": _shown(sheet, sheet.items[source][row]),
        "results": results,
        "pictures": any(r["picture"] for r in results),
        "rank": f"rank {rank:,}" + (f" of {p.gallery:,}" if rank > 1 else ""),
        "missed": None if any(r["true"] for r in results) else _shown(sheet, sheet.items[target][truth]),
    }


def _shown(sheet: Sheet, item: Item) -> dict[str, object]:
    return {
        "name": shorten(item.name, NAME_LENGTH),
        "full": item.name,
        "text": item.text,
        "picture": sheet.thumbnail(item),
    }
