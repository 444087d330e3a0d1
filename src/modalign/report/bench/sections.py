"""Sections of a bench's page, each from the summary alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...metrics.shown import p_value
from ...runs import Run
from ..page import Absent, Content, Summary, card, cards, paragraph, table
from ..svg import join, percent, tag
from . import figures
from .curves import MOST_LINES, budgets, missing
from .figures import Bar, Cell, Line, Point
from .rows import board, distances, failure, ranked, shown

LEVEL = 0.05


# ------------------------------------------------------------------ what was measured


def overview(s: Summary) -> Content:
    """What was run, and how the aims stand."""
    methods = {m for one in s["settings"] for m in one["methods"]}
    cells = sum(len(row["seeds"]) for one in s["settings"] for row in one["methods"].values())
    facts = [
        ("settings", len(s["settings"])), ("methods", len(methods)), ("cells", cells),
        ("seeds", ", ".join(map(str, s["seeds"]))), ("trials per method", s["trials"]),
    ]  # fmt: skip
    parts = [tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in facts), class_="facts")]
    parts.append(
        paragraph(
            "Scores are the mean of Recall@1, 5 and 10 over directions on test, in percent, with Student's 95 % "
            "intervals over seeds and test groups together. p values: two-way test over seeds and test groups (with "
            "one seed: permutations over groups), after Holm's correction."
        )
    )
    aims = [(one, one["methods"].get(one["focus"])) for one in s["settings"] if one.get("target") is not None]
    rows = [
        [one["name"], s["labels"][one["focus"]], f"{one['target']:g}", percent(row["value"]),
         "reached" if 100 * row["value"] >= one["target"] else f"{one['target'] - 100 * row['value']:.1f} below"]
        for one, row in aims if row is not None
    ]  # fmt: skip
    if rows:
        parts.append(table(["setting", "method", "aim", "measured", ""], rows, "What was to be reached"))
    gains = [g for one in s["settings"] if one["test_missing"] for g in [_gain(s, one)] if g]
    if gains:
        head = ["setting", "best of CLIP and GRAM", "ours", "gain", "intervals"]
        parts.append(table(head, gains, "Modalities missing at test time"))
    if len(s["code"]) > 1:
        parts.append(paragraph(f"The cells were made by {len(s['code'])} states of the program's source."))
    parts.append(tag("pre", s["command"]))
    return join(parts)


def _gain(s: Summary, one: Mapping[str, Any]) -> list[Any] | None:
    """Our method against the better of CLIP and GRAM on one setting, relative to it."""
    rivals = [one["methods"][m] for m in ("clip", "gram") if m in one["methods"]]
    ours = one["methods"].get(s["focus"])
    if not rivals or ours is None:
        return None
    best = max(rivals, key=lambda row: row["value"])
    gain = f"{100 * (ours['value'] / best['value'] - 1):+.0f} %" if best["value"] else ""
    return [one["name"], shown(best), shown(ours), gain, "apart" if ours["low"] > best["high"] else "overlap"]


def leaderboards(s: Summary) -> Content:
    """One table per setting, the best first."""
    return join(tag("details", tag("summary", _heading(one)), _board(s, one), open="open" if i == 0 else None)
                for i, one in enumerate(s["settings"]))  # fmt: skip


def _heading(one: Mapping[str, Any]) -> str:
    dev = "" if one.get("dev") is None else f", dev: {100 * one['dev']:g} % of the pairs"
    return f"{one['name']} ({one['pairs_known']:,} pairs known{dev})"


def _board(s: Summary, one: Mapping[str, Any]) -> Markup:
    gaps = {c["against"]: f"{100 * c['difference']['value']:+.1f}" for c in one["comparisons"]}
    head, rows = board(s, one)
    focus = []
    for cells, (m, row) in zip(rows, ranked(one), strict=True):
        cells += [gaps.get(m, ""), percent(one["stability"]["first"].get(m, 0.0), 0), _links(row)]
        focus.append(m == one["focus"])
    head += [f"gap of {s['labels'][one['focus']]}", "first, %", "cells"]
    several = len(rows) > 1 and any(len(row["seeds"]) > 1 for row in one["methods"].values())
    agreement = f"Agreement of the seeds on the ranking (Kendall's W): {one['stability']['concordance']:.2f}"
    return table(head, rows, agreement if several else "", focus)


def _links(row: Mapping[str, Any]) -> Markup:
    return Markup(" ").join(
        tag("a", seed, href=f"{folder}/{Run(folder).file('result').name}")
        for seed, folder in zip(row["seeds"], row["folders"], strict=True)
    )


# ------------------------------------------------------------------ ablations, ranks, geometry


def ablation(s: Summary) -> Content:
    """What each change costs, per setting; and the weights."""
    parts = []
    for kind, title in (("ablations", "Loss without a part"), ("sweeps", "Loss with other weights")):
        found = [a for a in s["ablations"] if a["kind"] == kind]
        own = []
        for setting in dict.fromkeys(a["setting"] for a in found):
            bars = [_bar(s, a) for a in found if a["setting"] == setting]
            own.append(card(figures.waterfall(f"{title}: {setting}", bars)))
        if own:
            parts.append(cards(own))
    if not parts:
        return Absent("the folder holds no ablation of the method in focus")
    words = (
        "Points of mean recall that the method in focus is ahead of itself changed. Coloured: p < .05 after Holm's "
        "correction over all settings; grey: not firm. Bars to the left are changes that helped."
    )
    return paragraph(words) + join(parts)


def _bar(s: Summary, a: Mapping[str, Any]) -> Bar:
    value, low, high = (100 * a["difference"][k] for k in ("value", "low", "high"))
    return Bar(s["labels"][a["against"]], value, low, high, a["corrected"] < LEVEL)


def ranking(s: Summary) -> Content:
    """Mean ranks with the critical difference, and performance profiles."""
    found = s["ranking"]
    if found is None:
        return Absent("ranks need two settings that two methods share")
    rows = [(s["labels"][m], r, m == s["focus"]) for m, r in zip(found["methods"], found["mean_rank"], strict=True)]
    first = figures.rank_figure("Mean rank over settings", rows, found["critical_difference"])
    order = sorted(zip(found["methods"], found["profiles"], strict=True), key=lambda e: -sum(e[1]))[:MOST_LINES]
    lines = [
        Line(s["labels"][m], [Point(t, 100 * v) for t, v in zip(found["ratios"], values, strict=True)], m == s["focus"])
        for m, values in order
    ]
    second = figures.curves("Performance profile", "best score / own score (log scale)", lines, log=True)
    words = (
        f"Friedman test over {len(found['settings'])} settings: p {p_value(found['friedman'])}; agreement of the "
        f"settings (Kendall's W): {found['concordance']:.2f}. Band: methods within the critical difference of the best "
        "(Nemenyi, 5 %). Settings of one data set are not independent: read the band as a rough guide."
    )
    return paragraph(words) + cards([card(first), card(second)])


def geometry(s: Summary) -> Content:
    """Does tighter geometry mean better tasks?"""
    parts: list[Markup] = []
    if s["geometry"]:
        head, rows = distances(s)
        judged = [[*row, _verdict(g)] for row, g in zip(rows, s["geometry"], strict=True)]
        parts.append(table([*head, ""], judged, "Procrustes distances on the same halves of test"))
    if s["correlation"]:
        kinds = ["all", "given budget", "within method", "across methods"]
        values = [
            [None if row.get(k) is None else (row[k]["value"], row[k]["low"], row[k]["high"]) for k in kinds]
            for row in s["correlation"].values()
        ]
        names = [s["measures"][name]["heading"] for name in s["correlation"]]
        falling = [
            s["measures"][name]["heading"] for name in s["correlation"] if not s["measures"][name]["higher_is_better"]
        ]
        parts.append(card(
            figures.correlation_matrix("Rank correlation with mean recall over all cells", names, kinds, values),
            f"Spearman. Tighter is a lower value of {' and '.join(falling) or 'none'}, and a higher one of the others. "
            "Given budget: the number of known pairs taken out. Within method: over its settings; across methods: "
            "within a setting.",
        ))  # fmt: skip
    pictures = []
    for name in (n for n, m in s["measures"].items() if m["importance"] == "main"):
        label = s["measures"][name]["heading"]
        dots = [Cell(p[name], 100 * p["score"], s["groups"][p["method"]]) for p in s["points"] if name in p]
        if dots:
            pictures.append(card(figures.scatter(f"{label} and mean recall", label, "mean recall, %", dots)))
    return join(parts) + cards(pictures) if parts or pictures else Absent("the cells hold no geometry")


def _verdict(g: Mapping[str, Any]) -> str:
    return "tighter" if g["high"] < 0 else "looser" if g["low"] > 0 else "open"


def robustness(s: Summary) -> Content:
    """Recall under noise and attack."""
    parts = []
    for setting in dict.fromkeys(r["setting"] for r in s["robustness"]):
        own = [r for r in s["robustness"] if r["setting"] == setting]
        for kind, which, title, label in (
            ("noise", "all", "Noise on the features", "noise to signal"),
            ("attack", "query", "Attack on the queries' features", "radius, typical distances from the mean"),
        ):
            lines = []
            for r in own:
                curve = r["curves"][kind].get(which)
                if curve:
                    points = [
                        Point(x, 100 * c["value"], 100 * c["low"], 100 * c["high"])
                        for x, c in zip(curve["levels"], curve["scores"], strict=True)
                    ]
                    lines.append(Line(s["labels"][r["method"]], points, r["method"] == s["focus"]))
            if lines:
                parts.append(card(figures.curves(f"{title}: {setting}", label, lines)))
    if not parts:
        return Absent("the suite measures none, or its heads were not kept")
    plan = s["robustness"][0]["curves"]["plan"]
    words = (
        f"Heads of the first seed on {s['robustness'][0]['curves']['groups']} test groups. Attack: {plan['method']}, "
        f"{plan['steps']} steps, L2 radius, through the heads, queries changed and the gallery not."
    )
    return paragraph(words) + cards(parts)


def cost(s: Summary) -> Content:
    """Time and memory of a fit."""
    rows = [
        [s["labels"][m], f"{c['cpu_seconds']:.1f}", f"{c['longest']:.1f}", f"{c['memory_mb']:.0f}", f"{c['cells']:.0f}"]
        for m, c in sorted(s["cost"].items(), key=lambda item: item[1]["cpu_seconds"])
    ]
    head = ["method", "processor seconds, mean", "longest", "memory, MB", "fits"]
    return table(head, rows, "One fit with the chosen settings, one thread; memory is the growth at the peak")


def tuning(s: Summary) -> Content:
    """How each method was tuned."""
    rows = []
    for one in s["settings"]:
        for m, row in one["methods"].items():
            t = row["tuned"]
            failed = f" ({t['failed']} failed)" if t["failed"] else ""
            chosen = tag("code", json.dumps(t["chosen"], ensure_ascii=False))
            said = chosen if not t["note"] else tag("span", chosen, tag("small", t["note"]))
            dev = "" if row["dev"] is None else percent(row["dev"])
            rows.append([one["name"], s["labels"][m], f"{t['trials']}{failed}", dev, said])
    words = (
        f"Every method tried up to {s['trials']} settings on dev with seed {s['tune_seed']}, from one list for what "
        "methods share; methods with fewer distinct settings tried all they have. The chosen settings then served all "
        "seeds, and the test split was scored once per cell."
    )
    body = table(["setting", "method", "trials", "dev", "chosen"], rows)
    return paragraph(words) + tag("details", tag("summary", f"{len(rows)} tuning{'s' * (len(rows) != 1)}"), body)


def failed(s: Summary) -> Content:
    """Cells without a score, and why."""
    if not s["failed"]:
        return Absent("no cell failed")
    return tag("ul", *(tag("li", failure(f)) for f in s["failed"]), class_="limits")


SECTIONS: Sequence[tuple[str, str, Callable[[Summary], Content]]] = (
    ("overview", "What was measured", overview),
    ("leaderboards", "Leaderboards", leaderboards),
    ("budgets", "Known pairs", budgets),
    ("missing", "Missing modalities", missing),
    ("ablation", "Ablations", ablation),
    ("ranking", "Ranks over settings", ranking),
    ("geometry", "Geometry and tasks", geometry),
    ("robustness", "Robustness", robustness),
    ("cost", "Time and memory", cost),
    ("tuning", "Tuning", tuning),
    ("failed", "Not measured", failed),
)
