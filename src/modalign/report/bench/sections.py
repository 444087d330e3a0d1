"""Sections of a bench's page, each from the summary alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..page import Absent
from ..svg import join, tag
from . import figures
from .figures import Bar, Dot, Line, Point

Summary = Mapping[str, Any]
Content = Markup | Absent
MOST_LINES = 8
LEVEL = 0.05


def percent(value: float, digits: int = 1) -> str:
    """A fraction in percent."""
    return f"{100 * value:.{digits}f}"


def p_text(p: float) -> str:
    """A p value for people."""
    return "< .001" if p < 0.001 else "1" if p >= 1 else f"{p:.3f}".lstrip("0")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", focus: Sequence[bool] = ()) -> Markup:
    """An HTML table; entries are escaped unless they are markup."""
    top = tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head)))
    body = [
        tag("tr", *(tag("td", c) for c in row), class_="focus" if i < len(focus) and focus[i] else None)
        for i, row in enumerate(rows)
    ]
    inside = [tag("caption", caption)] if caption else []
    return tag("div", tag("table", *inside, top, tag("tbody", *body)), class_="scroll")


def paragraph(words: object, kind: str = "note") -> Markup:
    """A paragraph of a class."""
    return tag("p", words, class_=kind)


def card(figure: Markup, caption: str = "") -> Markup:
    """A figure on a card."""
    words = [tag("figcaption", caption)] if caption else []
    return tag("figure", figure, *words, class_="card", style="max-width: 46rem")


def cards(parts: Sequence[Markup]) -> Markup:
    """Figures side by side."""
    return tag("div", *parts, class_="grid", style="margin-top: 1rem")


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
            "Scores are the mean of Recall@1, 5 and 10 over directions on test, in percent, with 95 % intervals of a "
            "bootstrap over seeds and test groups together. p values: paired permutation over test groups on scores "
            "averaged over seeds, after Holm's correction."
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
    return [one["name"], _interval(best), _interval(ours), gain, "apart" if ours["low"] > best["high"] else "overlap"]


def leaderboards(s: Summary) -> Content:
    """One table per setting, the best first."""
    return join(tag("details", tag("summary", _heading(one)), _board(s, one), open="open" if i == 0 else None)
                for i, one in enumerate(s["settings"]))  # fmt: skip


def _heading(one: Mapping[str, Any]) -> str:
    dev = "" if one.get("dev") is None else f", dev: {100 * one['dev']:g} % of the pairs"
    return f"{one['name']} ({one['pairs_known']:,} pairs known{dev})"


def _board(s: Summary, one: Mapping[str, Any]) -> Markup:
    against = {c["against"]: c for c in one["comparisons"]}
    firm = one["stability"]["first"]
    rows, focus = [], []
    for m, row in sorted(one["methods"].items(), key=lambda item: -item[1]["value"]):
        test = against.get(m)
        gap = "" if test is None else f"{100 * test['difference']['value']:+.1f}"
        tests = ["", ""] if test is None else [p_text(test["corrected"]), f"{test['effect']:.2f}"]
        rows.append([
            s["labels"][m], _interval(row), percent(row["sd"], 2), gap, *tests, percent(firm.get(m, 0.0), 0),
            f"{row['scores']['foscttm']:.3f}", f"{row['geometry'].get('procrustes', float('nan')):.3f}",
            _links(row),
        ])  # fmt: skip
        focus.append(m == one["focus"])
    head = ["method", "mean recall", "sd, seeds", f"gap of {s['labels'][one['focus']]}", "p (Holm)", "effect",
            "first, %", "FOSCTTM", "Procrustes", "cells"]  # fmt: skip
    caption = f"Agreement of the seeds on the ranking (Kendall's W): {one['stability']['concordance']:.2f}"
    return table(head, rows, caption, focus)


def _interval(row: Mapping[str, Any]) -> Markup:
    ends = tag("small", f"{percent(row['low'])} to {percent(row['high'])}")
    return tag("span", percent(row["value"]), ends)


def _links(row: Mapping[str, Any]) -> Markup:
    return Markup(" ").join(
        tag("a", seed, href=f"{folder}/result.json") for seed, folder in zip(row["seeds"], row["folders"], strict=True)
    )


# ------------------------------------------------------------------ curves


def budgets(s: Summary) -> Content:
    """Score against pairs known, all training items kept."""
    parts = []
    for variant in _variants(s):
        own = [x for x in s["settings"] if x["regime"] in ("hidden", "complete") and _plain(x) and not x["missing"]]
        own = [x for x in own if x.get("variant") == variant]
        title = f"Mean recall against known pairs{_of(variant)}"
        found = _curves(s, own, "pairs_known", title, "known pairs (log scale)", log=True)
        parts += [] if isinstance(found, Absent) else [found]
    return cards(parts) if parts else Absent("the suite has fewer than two budgets with results")


def missing(s: Summary) -> Content:
    """Score against the share lost, in training and at test time."""
    parts: list[Content] = []
    kinds = dict.fromkeys(
        (x.get("variant"), x["regime"], x["items"], x["test_missing"]) for x in s["settings"] if x["missing"]
    )
    for variant, regime, items, at_test in kinds:
        own = [
            x for x in s["settings"]
            if x.get("dev") is None and x.get("variant") == variant and x["test_missing"] == at_test
            and x["items"] in (items, None) and (x["regime"] == "complete" or (x["missing"] and x["regime"] == regime))
        ]  # fmt: skip
        name = f"{regime}{'' if items is None else f', {items:,} items'}"
        title = f"Mean recall against the share missing in training ({name}){_of(variant)}"
        parts.append(_curves(s, own, "missing", title, "share missing"))
    for variant in _variants(s):
        own = [x for x in s["settings"] if x["regime"] == "complete" and x.get("dev") is None]
        own = [x for x in own if x.get("variant") == variant]
        if any(x["test_missing"] for x in own):
            title = f"Mean recall against the share missing at test time{_of(variant)}"
            parts.append(_curves(s, own, "test_missing", title, "share missing"))
    shown = [p for p in parts if not isinstance(p, Absent)]
    return cards(shown) if shown else Absent("the suite has fewer than two missing rates with results")


def _variants(s: Summary) -> list[Any]:
    return list(dict.fromkeys(x.get("variant") for x in s["settings"]))


def _of(variant: str | None) -> str:
    return "" if variant is None else f": {variant}"


def _plain(x: Mapping[str, Any]) -> bool:
    return x.get("dev") is None and not x["test_missing"]


def _curves(
    s: Summary, settings: Sequence[Mapping[str, Any]], axis: str, title: str, label: str, log: bool = False
) -> Content:
    """One figure over settings that differ in one number; the methods that matter most in it."""
    settings = sorted({x[axis]: x for x in settings}.values(), key=lambda x: x[axis])
    if len(settings) < 2:
        return Absent(f"fewer than two settings differ in '{axis.replace('_', ' ')}' alone")
    names = leading(s, settings)
    lines = []
    for m in names:
        points = [
            Point(float(x[axis]), *(100 * x["methods"][m][k] for k in ("value", "low", "high")))
            for x in settings if m in x["methods"]
        ]  # fmt: skip
        lines.append(Line(s["labels"][m], points, m == s["focus"]))
    return card(figures.curves(title, label, lines, log), "Bands: 95 % intervals. All methods are in the tables.")


def leading(s: Summary, settings: Sequence[Mapping[str, Any]], most: int = MOST_LINES) -> list[str]:
    """The methods to draw: ours, the baseline, and the best others by their mean place; ablations stay out."""
    drawn = {m for x in settings for m in x["methods"] if s["groups"][m] not in ("ablations", "sweeps")}
    places: dict[str, list[int]] = {m: [] for m in drawn}
    for x in settings:
        order = sorted((m for m in x["methods"] if m in drawn), key=lambda m, x=x: -x["methods"][m]["value"])  # type: ignore[misc]
        for place, m in enumerate(order):
            places[m].append(place)
    ranked = sorted(drawn, key=lambda m: (sum(places[m]) / len(places[m]), m))
    first = [m for m in ranked if s["groups"][m] in ("ours", "own")] + [m for m in (s["baseline"],) if m in drawn]
    first = list(dict.fromkeys(first))[:most]
    kinds = [
        next((m for m in ranked if s["groups"][m] == g and m not in first), None) for g in ("contrastive", "closed")
    ]
    names = list(dict.fromkeys([*first, *(m for m in kinds if m), *ranked]))
    return names[:most]


# ------------------------------------------------------------------ ablations, ranks, geometry


def ablation(s: Summary) -> Content:
    """What each change costs, per setting; and the weights."""
    parts = []
    for kind, title in (("ablations", "Loss without a part"), ("sweeps", "Loss with other weights")):
        found = [a for a in s["ablations"] if a["kind"] == kind]
        own = []
        for setting in dict.fromkeys(a["setting"] for a in found):
            bars = [
_bar(s, a)
                for a in found if a["setting"] == setting
            ]  # fmt: skip
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
        f"Friedman test over {len(found['settings'])} settings: p {p_text(found['friedman'])}; agreement of the "
        f"settings (Kendall's W): {found['concordance']:.2f}. Band: methods within the critical difference of the best "
        "(Nemenyi, 5 %). Settings of one data set are not independent: read the band as a rough guide."
    )
    return paragraph(words) + cards([card(first), card(second)])


def geometry(s: Summary) -> Content:
    """Does tighter geometry mean better tasks?"""
    parts: list[Markup] = []
    if s["geometry"]:
        rows = [
            [g["setting"], s["labels"][g["method"]], f"{g['distance']:.3f}", f"{g['value']:+.3f}",
             f"{g['low']:+.3f} to {g['high']:+.3f}", _verdict(g)]
            for g in s["geometry"]
        ]  # fmt: skip
        head = ["setting", "method", "Procrustes distance", f"change against {s['labels'].get(s['baseline'], '')}",
                "95 % interval", ""]  # fmt: skip
        parts.append(table(head, rows, "The Procrustes distance against the baseline's, on the same halves of test"))
    if s["correlation"]:
        kinds = ["all", "given budget", "within method", "across methods"]
        values = [
            [None if row.get(k) is None else (row[k]["value"], row[k]["low"], row[k]["high"]) for k in kinds]
            for row in s["correlation"].values()
        ]
        names = [name.replace("_", " ") for name in s["correlation"]]
        parts.append(card(
            figures.correlation_matrix("Rank correlation with mean recall over all cells", names, kinds, values),
            "Spearman. Tighter is a lower Procrustes distance and gap, and a higher value of the others. Given budget: "
            "the number of known pairs taken out. Within method: over its settings; across methods: within a setting.",
        ))  # fmt: skip
    pictures = []
    for name, label in (("procrustes", "Procrustes distance"), ("mutual_knn", "mutual k-nearest neighbours")):
        dots = [Dot(p[name], 100 * p["score"], s["groups"][p["method"]]) for p in s["points"] if name in p]
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
            rows.append([one["name"], s["labels"][m], f"{t['trials']}{failed}", percent(row["dev"]), said])
    words = (
        f"Every method tried up to {s['trials']} settings on dev with seed {s['tune_seed']}, from one list for what "
        "methods share; methods with fewer distinct settings tried all they have. The chosen settings then served all "
        "seeds, and the test split was scored once per cell."
    )
    body = table(["setting", "method", "trials", "dev", "chosen"], rows)
    return paragraph(words) + tag("details", tag("summary", f"{len(rows)} tunings"), body)


def failed(s: Summary) -> Content:
    """Cells without a score, and why."""
    if not s["failed"]:
        return Absent("no cell failed")
    items = [tag("li", f"{f['method']} on {f['setting']}, seed {f['seed']}: {f['error']}") for f in s["failed"]]
    return tag("ul", *items, class_="limits")


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
