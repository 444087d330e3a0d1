"""Rows of a bench's tables, the same on its page, in Markdown and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...metrics.shown import p_value
from ..page import Summary

Rows = tuple[list[str], list[list[Any]]]  # the head, and a row for each entry


def ranked(setting: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The methods of a setting, the best first."""
    return sorted(setting["methods"].items(), key=lambda item: -item[1]["value"])


def shown(row: Mapping[str, Any]) -> str:
    """Mean recall with its interval, in percent.

    Example:
        >>> shown({"value": 0.1234, "low": 0.11, "high": 0.135})
        '12.3 [11.0, 13.5]'
    """
    return f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def board(summary: Summary, setting: Mapping[str, Any]) -> Rows:
    """The leaderboard of a setting, in the order of `ranked`."""
    against = {c["against"]: c for c in setting["comparisons"]}
    beside = list(dict.fromkeys(name for row in setting["methods"].values() for name in row["beside"]))
    rows = []
    for m, row in ranked(setting):
        test = against.get(m)
        tested = ("", "") if test is None else (p_value(test["corrected"]), f"{test['effect']:.2f}")
        measured = (row["beside"].get(name, "–") for name in beside)
        spread = "–" if row["sd"] is None else f"{100 * row['sd']:.2f}"
        cost = f"{row['cost']['cpu_seconds']:.1f}"
        rows.append([summary["labels"][m], shown(row), spread, *measured, *tested, cost])
    return ["method", "mean recall", "sd", *beside, "p (Holm)", "effect", "fit, s"], rows


def distances(summary: Summary) -> Rows:
    """Procrustes distances of our methods against the baseline's."""
    base = summary["labels"].get(summary["baseline"], summary["baseline"])
    rows = [
        [g["setting"], summary["labels"][g["method"]], f"{g['distance']:.3f}",
         f"{g['value']:+.3f} [{g['low']:+.3f}, {g['high']:+.3f}]"]
        for g in summary["geometry"]
    ]  # fmt: skip
    return ["setting", "method", "Procrustes distance", f"change against {base} [95 %]"], rows


def failure(cell: Mapping[str, Any]) -> str:
    """A cell without a score, and why."""
    return f"{cell['method']} on {cell['setting']}, seed {cell['seed']}: {cell['error']}"
