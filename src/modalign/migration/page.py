"""The page of a migration: one HTML file from its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from .. import __version__
from ..report.page import cards, paragraph, table
from ..report.page import page as html
from ..report.svg import join, tag
from . import charts
from .charts import NAMES

WAYS = {
    "queries": ("New queries into the old space", "The index stays as it is; the adapter runs on each query."),
    "rows": (
        "Old vectors into the new space",
        "The store is rewritten once; queries stay as the new model makes them.",
    ),
}


def page(facts: Mapping[str, Any], lines: Mapping[str, str]) -> str:
    """The HTML text. ``lines``: the adapters in numpy, by direction."""
    parts = [
        ("answer", "Answer", answer(facts)),
        ("methods", "Adapters compared", methods(facts)),
        ("pairs", "How many pairs", pairs(facts)),
        ("places", "Where it fails", places(facts)),
        ("mixed", "Old and new items in one list", mixed(facts)),
        ("use", "Use it without modalign", use(facts, lines)),
        ("limits", "Not tested", limits(facts)),
    ]
    return html(
        parts,
        title="Change of the embedding model",
        headline=facts["verdict"].split(":")[0] + ".",
        kicker="Migration report",
        lead=facts["verdict"],
        version=__version__,
    )


def shown(score: Mapping[str, float] | None) -> Markup:
    """A share in percent over its interval."""
    if score is None:
        return Markup("–")
    return Markup("{}<small>{} to {}</small>").format(*(f"{100 * score[k]:.1f}" for k in ("value", "low", "high")))


def answer(f: Mapping[str, Any]) -> Markup:
    """Facts at a glance, and what to be careful about."""
    side, k = f[f["take"]], f["k"]
    entries = [
        ("Take", WAYS[f["take"]][0], WAYS[f["take"]][1]),
        ("Kept of the old lists", percent(side["kept"]), f"overlap@{k}, {interval(side['kept'])}"),
        ("Kept of the new lists", percent(side["kept_new"]), f"overlap@{f['k_new']}, {interval(side['kept_new'])}"),
        ("Models agree on", percent(f["agreement"]), f"of each other's top {f['k_new']} among the tested pairs"),
        ("Adapter", NAMES[side["method"]], side["settings"]),
        ("Pairs", f"{f['pairs']['used']:,}", f"of {f['pairs']['given']:,} given; {f['pairs']['tested']:,} tested"),
    ]
    facts = tag("dl", *(tag("div", tag("dt", a), tag("dd", b, tag("small", c))) for a, b, c in entries), class_="facts")
    notes = [tag("li", w) for w in f["warnings"]]
    return join([facts, tag("ul", *notes, class_="limits") if notes else Markup("")])


def percent(score: Mapping[str, float]) -> str:
    """A share in percent."""
    return f"{100 * score['value']:.1f} %"


def interval(score: Mapping[str, float]) -> str:
    """The ends in percent."""
    return f"95 % interval {100 * score['low']:.1f} to {100 * score['high']:.1f}"


def methods(f: Mapping[str, Any]) -> Markup:
    """A table for each direction."""
    parts = [
        paragraph(
            f"Every adapter was fitted without the tested pairs. Old lists: the old model's top {f['k']} of "
            f"{f['gallery']:,} rows of the store. New lists: the new model's own, among the tested pairs, the only "
            "rows that have both vectors. The chosen one is marked; its figures at the top are cross-fitted, so that "
            "choosing does not flatter them."
        )
    ]
    for d, (title, words) in WAYS.items():
        if d not in f:
            continue
        tried = sorted(f[d]["tried"], key=lambda t: -(t["kept"]["value"] + t["kept_new"]["value"]))
        rows = [
            (Markup("{}<small>{}</small>").format(NAMES[t["method"]], t["settings"]), *(shown(t[c]) for c in COLUMNS))
            for t in tried
        ]
        chosen = [(t["method"], t["settings"]) == (f[d]["method"], f[d]["settings"]) for t in tried]
        k = f["k"]
        head = [
            "Adapter",
            f"old lists, overlap@{k}",
            f"old lists, nDCG@{k}",
            f"new lists, overlap@{k}",
            f"new lists, nDCG@{k}",
        ]
        note = paragraph(f"{words} Percent, with 95 % intervals over queries.{undecided(f[d])}")
        parts += [tag("h3", title), note, cards(charts.adapters(f, d)), table(head, rows, focus=chosen)]
    return join(parts)


def undecided(side: Mapping[str, Any]) -> str:
    """The remark where a half of the tested pairs chooses another adapter than all of them: then the figures differ."""
    chosen = next(t for t in side["tried"] if (t["method"], t["settings"]) == (side["method"], side["settings"]))
    if all(chosen[c]["value"] == side[c]["value"] for c in COLUMNS):
        return ""
    return (
        " Adapters are close here: a half of the tested pairs chose another one than is marked, so "
        f"the figures at the top ({percent(side['kept'])} and {percent(side['kept_new'])}) are not those of its row."
    )


COLUMNS = ("kept", "kept_ndcg", "kept_new", "kept_new_ndcg")


def pairs(f: Mapping[str, Any]) -> Markup:
    """The curve over numbers of pairs, and what it says about more."""
    return join([paragraph(needed(f)), cards(charts.over_pairs(f)) if len(f["curve"]) > 1 else Markup("")])


def needed(f: Mapping[str, Any]) -> str:
    """How many pairs do I need for 95 %?"""
    g = f["forecast"]
    if g["top"] is None:
        return "There are too few pairs to say how many would be needed for 95 %."
    fewest, most = f["curve"][0]["pairs"], 10 * f["curve"][-1]["pairs"]
    top = f"With more pairs of this kind the curve runs to {level(g, 'top')}."
    if g["pairs_of_all"] is not None and g["pairs_of_all"] <= fewest:
        return f"95 % of the old lists are kept with the fewest pairs that were tried ({fewest:,})."
    if g["pairs_of_all"] is not None and g["pairs_of_all"] <= most:
        return f"For 95 % of the old lists about {count(g, 'pairs_of_all', most)} pairs are needed. {top}"
    if g["pairs_of_top"] is None:
        return f"95 % of the old lists are out of reach with these adapters, whatever the number of pairs. {top}"
    if not g["reliable"]:
        return (
            f"95 % of the old lists are not in sight: continued, the curve is at {level(g, 'at_ten_times')} with "
            f"ten times as many pairs ({most:,}), and where it ends cannot be told from those at hand."
        )
    middle = "95 % of the old lists are out of reach with these adapters, whatever the number of pairs. "
    return f"{middle}{top} For 95 % of that level about {count(g, 'pairs_of_top', most)} pairs are needed."


def level(g: Mapping[str, Any], key: str) -> str:
    """A level of the forecast in percent, with its range."""
    low, high = g["range"][key]
    return f"{100 * g[key]:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def count(g: Mapping[str, Any], key: str, most: int) -> str:
    """A number of pairs of the forecast, with its range as far as it can be told."""
    low, high = g["range"][key]
    end = f"{high:,}" if high is not None and high <= most else f"more than {most:,}"
    return f"{g[key]:,} ({low:,} to {end})"


def places(f: Mapping[str, Any]) -> Markup:
    """Drift by place of the store, and the worst queries."""
    k = f["k"]
    rows = [
        (str(p["place"]), f"{100 * p['share']:.1f} %", f"{p['pairs']:,}", f"{p['tested']:,}", shown(p["kept"]),
         "–" if p["example_old_row"] is None else str(p["example_old_row"]))
        for p in f["places"]
    ]  # fmt: skip
    head = [
        "Place",
        "share of the store",
        "pairs in it",
        "tested",
        f"old lists kept, overlap@{k}",
        "a row of OLD in it",
    ]
    bad = [
        (str(w["old_row"]), str(w["new_row"]), f"{100 * w['overlap']:.0f}", f"{100 * w['ndcg']:.0f}")
        for w in f["worst"]
    ]
    words = "Places are clusters of the old store, worst first. A place without pairs is covered by no number here."
    note = paragraph("Tested pairs whose old lists are kept least, percent.")
    below = table(["Row of OLD", "row of NEW", f"overlap@{k}", "nDCG"], bad)
    drawn = cards(charts.by_place(f))
    return join([paragraph(words), drawn, table(head, rows), tag("h3", "Worst queries"), note, below])


def mixed(f: Mapping[str, Any]) -> Markup | None:
    """The gradual mode on held-out items."""
    m = f.get("mixed")
    if m is None:
        return None
    rows = [
        (name, f"{100 * m[key]:.1f}", f"{100 * m[f'old_share_{key}']:.1f}")
        for name, key in (("scores as they are", "raw"), ("calibrated per origin", "calibrated"))
    ]
    level = f"{'-' if m['level'] < 0 else '+'} {abs(m['level'])}"
    words = (
        f"Half of {m['items']:,} tested items as mapped old vectors, half as new vectors, in one list; queries of the "
        f"new model. A fair share of old items is 50 %. Score of an old item = {m['slope']} x cosine {level}."
    )
    head = ["Scores", "new lists kept, %", "old items in the lists, %"]
    return join([paragraph(words), table(head, rows, focus=[False, True])])


def use(f: Mapping[str, Any], lines: Mapping[str, str]) -> Markup:
    """Files and the lines of numpy."""
    words = (
        "Each folder holds the adapter as safetensors with JSON, as numpy, as ONNX and, where it is linear, as a Dense "
        "module of sentence-transformers."
    )
    parts = [paragraph(words)]
    for d, text in lines.items():
        files = ", ".join(f.get("files", {}).get(d, []))
        parts += [tag("h3", WAYS[d][0]), paragraph(f"{d}/: {files}"), tag("pre", tag("code", text))]
    return join(parts)


def limits(f: Mapping[str, Any]) -> Markup:
    """What was not tested."""
    return tag("ul", *(tag("li", words) for words in f["not_tested"]), class_="limits")
