"""Charts of a migration's page: adapters side by side, what is kept over numbers of pairs, and by place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ..metrics.score import Score
from ..report.bench.figures import Line, Point, curves
from ..report.figures.panel import Series
from ..report.figures.recall import dot_panel
from ..report.page import card

NAMES = {
    "identity": "no change", "orthogonal": "orthogonal", "low_rank": "low rank", "ridge": "ridge",
    "cca": "canonical (CCA)", "perceptron": "residual perceptron", "local": "local maps",
    "full": "full (unlinked rows too)",
}  # fmt: skip
SHORT = {"full": "full", "cca": "CCA", "perceptron": "perceptron"}  # where a name has little room
MARKED = Series("", "var(--accent)", 0, 2.8)
OTHER = Series("", "var(--muted)", 1, 1.8)
POOR = Series("", "var(--miss)", 2, 2.4)


def adapters(f: Mapping[str, Any], direction: str) -> list[Markup]:
    """What the best settings of each method keep of the old and of the new lists, in one order."""

    def kept(t: Mapping[str, Any]) -> float:
        return float(t["kept"]["value"] + t["kept_new"]["value"])

    best = {t["method"]: t for t in sorted(f[direction]["tried"], key=kept)}
    tried = sorted(best.values(), key=kept, reverse=True)
    chosen = f[direction]["method"]
    out = []
    for key, what, k in (("kept", "Old lists kept", f["k"]), ("kept_new", "New lists kept", f["k_new"])):
        rows = [
            (SHORT.get(t["method"], NAMES[t["method"]]), [(MARKED if t["method"] == chosen else OTHER, _score(t[key]))])
            for t in tried
        ]
        title = f"{what}, overlap@{k}"
        words = "; ".join(f"{name} {100 * points[0][1].value:.1f} %" for name, points in rows)
        out.append(card(dot_panel(title, rows, labels=True).svg(title, words), "Each method by its best settings."))
    return out


def over_pairs(f: Mapping[str, Any]) -> list[Markup]:
    """Overlap and nDCG of new queries against the number of pairs; of overlap, what both models agree on."""
    overlap = [_line(f, "kept", "old lists", True), _line(f, "kept_new", "new lists")]
    level = 100 * f["agreement"]["value"]
    overlap.append(Line("in common", [Point(p.x, level) for p in overlap[0].points]))
    ndcg = [_line(f, "kept_ndcg", "old lists", True), _line(f, "kept_new_ndcg", "new lists")]
    words = (
        "New queries, mapped. Band: 95 % interval over the tested pairs, the same at every point. Old lists are taken "
        "from the store, new ones from the tested pairs, a smaller gallery in which more is kept."
    )
    agreed = " In common: what both models' own lists share among the tested pairs."
    return [
        card(curves(f"{what}@{f['k']} against pairs", "pairs (log scale)", lines, log=True), words + more)
        for what, lines, more in (("Overlap", overlap, agreed), ("nDCG", ndcg, ""))
    ]


def by_place(f: Mapping[str, Any]) -> list[Markup]:
    """What is kept of the old lists in each place of the store, worst first."""
    known = [p for p in f["places"] if p["kept"]]
    if len(known) < 2:
        return []
    mean = sum(p["kept"]["value"] * p["tested"] for p in known) / sum(p["tested"] for p in known)
    rows = []
    for p in known:
        look = POOR if (p["kept"]["high"] or 1.0) < mean else OTHER
        rows.append((f"{p['place']}: {100 * p['share']:.1f} %", [(look, _score(p["kept"]))]))
    title = f"Old lists kept by place, overlap@{f['k']}"
    words = "; ".join(f"place {name} of the store: {100 * points[0][1].value:.1f} % kept" for name, points in rows)
    said = f"A place and its share of the store. Coloured: below the mean of {100 * mean:.1f} % by more than chance."
    return [card(dot_panel(title, rows, labels=True).svg(title, words), said, width=30)]


def _line(f: Mapping[str, Any], key: str, label: str, focus: bool = False) -> Line:
    points = [Point(p["pairs"], *(100 * p[key][c] for c in ("value", "low", "high"))) for p in f["curve"]]
    return Line(label, points, focus)


def _score(s: Mapping[str, Any]) -> Score:
    return Score(s["value"], low=s["low"], high=s["high"], unit="share")
