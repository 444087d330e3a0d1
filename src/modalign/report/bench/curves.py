"""Curves of a bench: mean recall against known pairs and against what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..page import Absent, Content, Summary, card, cards
from . import figures
from .figures import Line, Point

MOST_LINES = 8


def budgets(s: Summary) -> Content:
    """Score against pairs known, all training items kept."""
    parts = []
    for variant in _variants(s):
        own = [
            x for x in s["settings"]
            if x["regime"] in ("hidden", "complete") and x.get("variant") == variant and x.get("dev") is None
            and not x["test_missing"] and not x["missing"]
        ]  # fmt: skip
        title = f"Mean recall against known pairs{_of(variant)}"
        parts += _curves(s, own, "pairs_known", title, "known pairs (log scale)", log=True)
    return cards(parts) if parts else Absent("the suite has fewer than two budgets with results")


def missing(s: Summary) -> Content:
    """Score against the share lost, in training and at test time."""
    parts = []
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
        parts += _curves(s, own, "missing", f"Missing in training: {name}{_of(variant)}", "share missing")
    for variant in _variants(s):
        whole = [x for x in s["settings"] if x["regime"] == "complete" and x.get("dev") is None]
        own = [x for x in whole if x.get("variant") == variant]
        if any(x["test_missing"] for x in own):
            parts += _curves(s, own, "test_missing", f"Missing at test time{_of(variant)}", "share missing")
    return cards(parts) if parts else Absent("the suite has fewer than two missing rates with results")


def _variants(s: Summary) -> list[Any]:
    return list(dict.fromkeys(x.get("variant") for x in s["settings"]))


def _of(variant: str | None) -> str:
    return "" if variant is None else f": {variant}"


def _curves(
    s: Summary, settings: Sequence[Mapping[str, Any]], axis: str, title: str, label: str, log: bool = False
) -> list[Markup]:
    """One figure over settings that differ in one number, of the methods that matter most in it; none over one."""
    settings = sorted({x[axis]: x for x in settings}.values(), key=lambda x: x[axis])
    if len(settings) < 2:
        return []
    lines = []
    for m in leading(s, settings):
        points = [
            Point(float(x[axis]), *(100 * x["methods"][m][k] for k in ("value", "low", "high")))
            for x in settings if m in x["methods"]
        ]  # fmt: skip
        lines.append(Line(s["labels"][m], points, m == s["focus"]))
    return [card(figures.curves(title, label, lines, log), "Bands: 95 % intervals. All methods are in the tables.")]


def leading(s: Summary, settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The methods to draw: ours, the baseline, and the best others by their mean place.

    Ablations stay out, and so does what was measured once where others have a line.
    """
    counts = Counter(m for x in settings for m in x["methods"] if s["groups"][m] not in ("ablations", "sweeps"))
    drawn = {m for m, n in counts.items() if n > 1} or set(counts)
    places: dict[str, list[int]] = {m: [] for m in drawn}
    for x in settings:
        order = sorted((m for m in x["methods"] if m in drawn), key=lambda m, x=x: -x["methods"][m]["value"])  # type: ignore[misc]
        for place, m in enumerate(order):
            places[m].append(place)
    ranked = sorted(drawn, key=lambda m: (sum(places[m]) / len(places[m]), m))
    first = [m for m in ranked if s["groups"][m] in ("ours", "own")] + [m for m in (s["baseline"],) if m in drawn]
    first = list(dict.fromkeys(first))[:MOST_LINES]
    kinds = [
        next((m for m in ranked if s["groups"][m] == g and m not in first), None) for g in ("contrastive", "closed")
    ]
    names = list(dict.fromkeys([*first, *(m for m in kinds if m), *ranked]))
    return names[:MOST_LINES]
