"""Queries with their first results: some found, some nearly, some missed, chosen by a fixed rule."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from ..figures import rank_figure
from ..load import Item, Run
from ..page import Absent, render
from ..ranking import Placing, first_results
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


def build(run: Run) -> Markup | Absent:
    """For each direction, the curve of found queries and cards of single ones."""
    if run.z is None:
        return Absent("the folder has no items.safetensors (no embeddings were kept).")
    if not run.placings:
        return Absent("no item has a true match in another modality among those kept.")
    shown = run.placings[:MOST_DIRECTIONS]
    curves = [(f"{p.source} → {p.target}", p.rank.tolist(), p.candidates) for p in shown]
    return render(
        "gallery.html.j2",
        curve=rank_figure(curves[:6]),
        directions=[_direction(run, p, name) for (name, _, _), p in zip(curves, shown, strict=True)],
        per_stratum=PER_STRATUM,
        results=SHOWN,
        left_out=len(run.placings) - len(shown),
        pictures=run.has_pictures(),
        credit=run.attribution,
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


def _direction(run: Run, p: Placing, name: str) -> dict[str, object]:
    return {
        "name": name,
        "strata": _strata(run, p),
        "median": f"{float(p.rank.double().quantile(0.5)):,.1f}".removesuffix(".0"),
        "candidates": f"{p.candidates:,}",
        "shares": [percent(p.share_within(k)) for k in (1, 10, 100)],
    }


def _strata(run: Run, p: Placing) -> list[dict[str, object]]:
    ranks = p.rank.tolist()
    out: list[dict[str, object]] = []
    for stratum in STRATA:
        inside = sum(stratum.first <= r <= stratum.last for r in ranks)
        cards = [_card(run, p, i) for i in choose(ranks, stratum)]
        share = f"{percent(inside / len(ranks))} % of {len(ranks):,} queries"
        out.append({"kind": stratum.kind, "sign": stratum.sign, "title": stratum.title, "share": share, "cards": cards})
    return out


def _card(run: Run, p: Placing, position: int) -> dict[str, object]:
    """One query: what was asked, the first results, and where the truth is."""
    assert run.z is not None
    row, rank, truth = int(p.query[position]), int(p.rank[position]), int(p.truth[position])
    true_group = run.z.group[p.source][row]
    results = []
    for other in first_results(run.z, p.source, p.target, row, SHOWN):
        match = other == truth or bool(run.z.group[p.target][other] == true_group)
        results.append(_shown(run, run.items[p.target][other]) | {"true": match})
    return {
        "query": _shown(run, run.items[p.source][row]),
        "results": results,
        "pictures": any(r["picture"] for r in results),
        "rank": f"rank {rank:,}" + (f" of {p.candidates:,}" if rank > 1 else ""),
        "missed": None if any(r["true"] for r in results) else _shown(run, run.items[p.target][truth]),
    }


def _shown(run: Run, item: Item) -> dict[str, object]:
    return {
        "name": shorten(item.name, NAME_LENGTH),
        "full": item.name,
        "text": item.text,
        "picture": run.thumbnail(item),
    }
