"""Pictures of curves in plain values: which curves, under which names, with which controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .curves import Curve

LABELS = {"clip": "CLIP", "gram": "GRAM", "cca": "CCA", "full": "full"}


class Drawn(NamedTuple):
    """A curve of a panel.

    label: beside it; none for controls. line: "solid" or "dashed". of: whose look it has; None: its own key's.
    """

    label: str
    line: str
    curve: Curve
    of: str | None = None


def panel(title: str, axis: str, curves: Mapping[str, Drawn], **more: Any) -> dict[str, Any]:
    """One picture of curves in plain values."""
    return {
        "title": title,
        "axis": axis,
        "curves": [
            {"key": k, "of": d.of or k, "label": d.label, "line": d.line, **d.curve.json()} for k, d in curves.items()
        ],
        **more,
    }


def with_controls(found: Mapping[str, Mapping[str, Curve]], which: str) -> dict[str, Drawn]:
    """Each method's curve, and dashed that of its random control."""
    drawn = {k: Drawn(name_of(k), "solid", c[which]) for k, c in found.items()}
    return drawn | {f"{k}/random": Drawn("", "dashed", c[f"{which}/random"], k) for k, c in found.items()}


def name_of(key: str) -> str:
    """A method as readers know it."""
    return LABELS.get(key, key)


def fill_name(key: str) -> str:
    names = {"single": "best one alone", "fill:zero": "zero fill", "fill:mean": "mean fill",
             "fill:knn": "kNN fill", "fill:ppca": "PPCA fill"}  # fmt: skip
    return names.get(key, key)
