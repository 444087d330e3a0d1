"""Tables of a bench for other programs and for papers: CSV, LaTeX, Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import write_text
from ..metrics.shown import p_value
from ..report.bench.rows import board, distances, failure, ranked
from ..report.page import Summary
from .entries import BASELINES

COLUMNS = (
    "setting", "regime", "items", "pairs", "missing", "test_missing", "dev_share", "method", "label", "group", "seeds",
    "mean_recall", "low", "high", "sd", "foscttm", "procrustes", "mutual_knn", "cka", "connectivity", "gap", "dev",
    "seconds", "memory_mb", "p_holm_focus", "effect_focus", "folders",
)  # fmt: skip


def write_all(summary: Summary, folder: Path) -> list[Path]:
    """``leaderboard.csv``, ``cells.csv``, ``leaderboard.tex`` in a folder."""
    written = {
        folder / "leaderboard.csv": to_csv(COLUMNS, leaderboard(summary)),
        folder / "cells.csv": to_csv(CELL_COLUMNS, cells(summary)),
        folder / "leaderboard.tex": latex(summary),
    }
    for path, content in written.items():
        write_text(path, content)
    return list(written)


CELL_COLUMNS = ("setting", "method", "seed", "mean_recall", "folder")


def cells(summary: Summary) -> list[dict[str, Any]]:
    """One row per cell."""
    return [
        {"setting": s["name"], "method": m, "seed": seed, "mean_recall": value, "folder": folder}
        for s in summary["settings"]
        for m, row in s["methods"].items()
        for seed, value, folder in zip(row["seeds"], row["by_seed"], row["folders"], strict=True)
    ]


def leaderboard(summary: Summary) -> list[dict[str, Any]]:
    """One row per method and setting, the best first."""
    rows = []
    for s in summary["settings"]:
        against = {c["against"]: c for c in s["comparisons"]}
        facts = {k: s.get(k) for k in ("regime", "items", "missing", "test_missing")}
        for m, row in ranked(s):
            test = against.get(m, {})
            rows.append(
                {
                    "setting": s["name"],
                    **facts,
                    "pairs": s["pairs_known"],
                    "dev_share": s.get("dev"),
                    "method": m,
                    "label": summary["labels"][m],
                    "group": summary["groups"][m],
                    "seeds": len(row["seeds"]),
                    "mean_recall": row["value"],
                    "low": row["low"],
                    "high": row["high"],
                    "sd": row["sd"],
                    "foscttm": row["scores"].get("foscttm"),
                    **row["geometry"],
                    "dev": row["dev"],
                    "seconds": row["cost"].get("cpu_seconds"),
                    "memory_mb": row["cost"].get("memory_mb"),
                    "p_holm_focus": test.get("corrected"),
                    "effect_focus": test.get("effect"),
                    "folders": " ".join(row["folders"]),
                }
            )
    return rows


def to_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV text; what a row lacks is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def latex(summary: Summary) -> str:
    """A table of methods by settings: mean recall in percent, spread over seeds as an index, the best in bold."""
    settings = summary["settings"]
    methods = list(dict.fromkeys(m for s in settings for m in s["methods"]))
    lines = [
        "% mean of Recall@1, 5, 10 over directions, percent; index: standard deviation over seeds",
        f"\\begin{{tabular}}{{l{'r' * len(settings)}}}",
        "\\toprule",
        " & ".join(["method", *(_tex(s["name"]) for s in settings)]) + " \\\\",
        "\\midrule",
    ]
    for m in methods:
        entries = [_tex(summary["labels"][m])]
        for s in settings:
            row = s["methods"].get(m)
            if row is None:
                entries.append("--")
                continue
            spread = "" if row["sd"] is None else f"_{{{100 * row['sd']:.1f}}}"
            text = f"{100 * row['value']:.1f}{spread}"
            entries.append(f"$\\mathbf{{{text}}}$" if m == s["best"] else f"${text}$")
        lines.append(" & ".join(entries) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _tex(words: str) -> str:
    """Words with TeX's own characters escaped.

    Example:
        >>> print(_tex("L_OT at 30 %"))
        L\\_OT at 30 \\%
    """
    for character in "&%$#_{}":
        words = words.replace(character, f"\\{character}")
    return words


def markdown(summary: Summary) -> str:
    """A page of results with the command that made it."""
    parts = [
        f"# {summary['title']}",
        "Written by the command below from stored results; do not edit by hand.",
        f"```\n{summary['command']}\n```",
        summary["about"],
        "Mean of Recall@1, 5 and 10 over directions on test, percent, with Student's 95 % interval over seeds "
        f"({', '.join(map(str, summary['seeds']))}) and test groups. Every method tried up to {summary['trials']} "
        f"settings on dev with seed {summary['tune_seed']}. p: two-way test over seeds and test groups against "
        "the method in focus of the setting (with one seed: permutations over groups), Holm-corrected within it.",
        lead(summary),
    ]
    for s in summary["settings"]:
        parts += [f"## {s['name']}", _facts(s), table(*board(summary, s))]
        if s.get("target") is not None:
            parts.append(_target(s))
    parts += [*_ablation_lines(summary), *_geometry_lines(summary), *_failed_lines(summary)]
    return "\n\n".join(p for p in parts if p) + "\n"


def lead(summary: Summary) -> str:
    """In how many settings the method in focus is ahead of the baselines, and how surely; nothing without baselines."""
    focus, ahead, apart, sure, count = summary["focus"], 0, 0, 0, 0
    for s in summary["settings"]:
        rivals = {m: r for m, r in s["methods"].items() if m != focus and summary["groups"][m] in BASELINES}
        if s["focus"] != focus or not rivals:
            continue
        ours, best = s["methods"][focus], max(rivals.values(), key=lambda row: row["value"])
        count += 1
        ahead += ours["value"] > best["value"]
        apart += ours["low"] > best["high"]
        tests = [c["corrected"] for c in s["comparisons"] if c["against"] in rivals]
        sure += ours["value"] > best["value"] and max(tests) < 0.05
    if not count:
        return ""
    return (
        f"'{summary['labels'][focus]}' is ahead of every baseline in {ahead} of {count} settings: in {sure} with p "
        f"below .05 against each of them, in {apart} with an interval apart from that of the best one."
    )


def _facts(s: Mapping[str, Any]) -> str:
    what = {
        "complete": "every training item whole",
        "hidden": "both sides of every item, links beyond the budget unknown",
        "disjoint": "items lose a modality, and what is lost exists nowhere",
    }[s["regime"]]
    dev = "all of dev" if s.get("dev") is None else f"dev cut to {100 * s['dev']:g} % of the training pairs"
    trials = "" if s.get("trials") is None else f", among up to {s['trials']}"
    refit = ", then fitted to training items and four fifths of dev" if s.get("refit") else ""
    known = f"{s['pairs_known']:,} pairs known in training"
    seeds = f"; seeds {', '.join(map(str, s['own_seeds']))}" if s.get("own_seeds") else ""
    return f"{what[0].upper()}{what[1:]}; {known}; settings chosen on {dev}{trials}{refit}{seeds}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Example:
        >>> print(table(["method", "p"], [["CCA", ".042"]]))
        | method | p |
        |---|---|
        | CCA | .042 |
    """
    lines = (" | ".join(" ".join(entry.replace("|", "\\|").split()) for entry in row) for row in (head, *rows))
    first, *rest = (f"| {line} |" for line in lines)
    return "\n".join([first, "|---" * len(head) + "|", *rest])


def _target(s: Mapping[str, Any]) -> str:
    row = s["methods"].get(s["focus"])
    if row is None:
        return ""
    value = 100 * row["value"]
    verdict = "reached" if value >= s["target"] else f"missed by {s['target'] - value:.1f}"
    return f"Aim: {s['target']:g}; {value:.1f} measured: {verdict}."


def _ablation_lines(summary: Summary) -> list[str]:
    found = [a for a in summary["ablations"] if a["kind"] == "ablations"]
    if not found:
        return []
    rows = []
    for a in found:
        d = a["difference"]
        loss = f"{100 * d['value']:.2f} [{100 * d['low']:.2f}, {100 * d['high']:.2f}]"
        rows.append([a["setting"], summary["labels"][a["against"]], loss, p_value(a["corrected"])])
    return ["## Ablations", table(["setting", "changed", "loss, points [95 %]", "p (Holm, all settings)"], rows)]


def _geometry_lines(summary: Summary) -> list[str]:
    out = []
    if summary["geometry"]:
        out += ["## Geometry", table(*distances(summary))]
    if summary["correlation"]:
        kinds = ["all", "given budget", "within method", "across methods"]
        found = summary["correlation"].items()
        rows = [[summary["measures"][name]["heading"], *(_rho(row.get(k)) for k in kinds)] for name, row in found]
        out += ["Rank correlation with mean recall over all cells:", table(["measure", *kinds], rows)]
    return out


def _rho(found: Mapping[str, float] | None) -> str:
    return "–" if found is None else f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def _failed_lines(summary: Summary) -> list[str]:
    if not summary["failed"]:
        return []
    return ["## Not measured", "\n".join(f"- {failure(f)}" for f in summary["failed"])]
