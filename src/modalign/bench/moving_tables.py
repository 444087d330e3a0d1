"""Tables and page of a suite of migration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..files import write_text
from ..report.bench.figures import Line, Point, curves
from ..report.page import card, cards, page, paragraph
from ..report.page import table as html_table
from ..report.svg import join
from . import statistics
from .moving_data import K
from .tables import table

PUBLISHED = ("orthogonal", "ridge", "low_rank", "perceptron")
NAMES = {
    "orthogonal": "orthogonal", "ridge": "ridge", "low_rank": "low rank", "perceptron": "residual perceptron",
    "cca": "CCA", "local": "local maps", "full": "full (unlinked rows too)",
}  # fmt: skip


def summarise(title: str, about: str, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean over seeds with spread and interval for each method, number of pairs and way; the lead of "full"."""
    grid: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for c in cells:
        grid.setdefault((c["way"], c["pairs"], c["method"]), []).append(c)
    rows = []
    for (way, pairs, method), found in grid.items():
        ends = statistics.mean_interval(values(found))
        kept = [c["kept"] for c in found]
        rows.append({
            "way": way, "pairs": pairs, "method": method, "seeds": len(found), "kept": float(np.mean(kept)),
            "low": max(0.0, ends.low), "high": min(1.0, ends.high),
            "sd": float(np.std(kept, ddof=1)) if len(kept) > 1 else None,
            "ndcg": float(np.mean([c["ndcg"] for c in found])),
            "cpu_seconds": float(np.mean([c["cpu_seconds"] for c in found])),
        })  # fmt: skip
    return {"title": title, "about": about, "rows": rows, "lead": lead(grid)}


def values(cells: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(seeds, queries) overlaps of a method's cells."""
    return np.array([c["queries"] for c in cells], float) / K


def lead(grid: Mapping[tuple[str, int, str], Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """ "full" against the best published adapter at each number of pairs: ratio, paired difference, p (Holm)."""
    out: list[dict[str, Any]] = []
    for pairs in sorted({n for way, n, _ in grid if way == "random"}):
        at = {m: f for (way, n, m), f in grid.items() if way == "random" and n == pairs}
        others = [m for m in PUBLISHED if m in at]
        if "full" not in at or not others:
            continue
        best = max(others, key=lambda m: float(values(at[m]).mean()))
        seeds = {m: [c["seed"] for c in at[m]] for m in ("full", best)}
        pair = statistics.compare({m: values(at[m]) for m in seeds}, [("full", best)], seeds=seeds)[0]
        full, other = (float(values(at[m]).mean()) for m in ("full", best))
        out.append({
            "pairs": pairs, "full": full, "method": best, "best": other, "lead": full / other - 1 if other else 0.0,
            "difference": pair.difference._asdict(), "p": pair.p,
        })  # fmt: skip
    for entry, p in zip(out, statistics.holm([e["p"] for e in out]), strict=True):
        entry["p"] = p
    return out


def markdown(s: Mapping[str, Any], call: str) -> str:
    """The tables as Markdown."""
    main = [r for r in s["rows"] if r["way"] == "random"]
    sizes = sorted({r["pairs"] for r in main})
    board = []
    for m in dict.fromkeys(r["method"] for r in main):
        at = {r["pairs"]: r for r in main if r["method"] == m}
        board.append([NAMES[m], *(_cell(at.get(n)) for n in sizes)])
    parts = [
        f"# {s['title']}",
        s["about"],
        f"Command: `{call}`",
        table(["adapter", *(f"{n:,} pairs" for n in sizes)], board),
        "Overlap@10 with the old lists in percent, mean over seeds ± standard deviation.",
        table(["pairs", "full", "best published", "lead", "difference, 95 % interval", "p"], _leads(s, interval=True)),
    ]
    ways = {(r["pairs"], r["method"]) for r in s["rows"] if r["way"] != "random"}
    if ways:
        rows = [
            [f"{r['pairs']:,}", NAMES[r["method"]], r["way"], _cell(r)]
            for r in s["rows"]
            if (r["pairs"], r["method"]) in ways
        ]
        parts += ["Pairs that were chosen, against random ones:", table(["pairs", "adapter", "way", "kept"], rows)]
    return "\n\n".join(parts) + "\n"


def _leads(s: Mapping[str, Any], interval: bool = False) -> list[list[str]]:
    """Rows of a table: "full" and the best published adapter at each number of pairs."""
    rows = []
    for e in s["lead"]:
        best = f"{100 * e['best']:.1f} ({NAMES[e['method']]})"
        ends = [f"{100 * e['difference']['low']:+.1f} to {100 * e['difference']['high']:+.1f}"] if interval else []
        row = [f"{e['pairs']:,}", f"{100 * e['full']:.1f}", best, f"{100 * e['lead']:+.0f} %", *ends, f"{e['p']:.4f}"]
        rows.append(row)
    return rows


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    return f"{100 * row['kept']:.1f}" + ("" if row["sd"] is None else f" ± {100 * row['sd']:.1f}")


def write_page(s: Mapping[str, Any], out: Path) -> Path:
    """``report.html`` of a suite."""
    main = [r for r in s["rows"] if r["way"] == "random"]
    lines = []
    for m in dict.fromkeys(r["method"] for r in main):
        at = sorted((r for r in main if r["method"] == m), key=lambda r: r["pairs"])
        points = [Point(r["pairs"], 100 * r["kept"], 100 * r["low"], 100 * r["high"]) for r in at]
        lines.append(Line(NAMES[m], points, m == "full"))
    figure = curves("Old lists kept against pairs", "pairs (log scale)", lines, log=True)
    head = ["Pairs", "full", "best published", "lead", "p"]
    content = join([
        paragraph(s["about"]), cards([card(figure, "Bands: 95 % intervals over queries and seeds.")]),
        html_table(head, _leads(s), "Overlap@10 with the old lists, percent."),
    ])  # fmt: skip
    path = out / "report.html"
    about = {"title": s["title"], "headline": s["title"], "kicker": "Benchmark report", "lead": ""}
    write_text(path, page([("kept", "What is kept", content)], **about, version=__version__))
    return path
