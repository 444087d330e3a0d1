"""What is left when modalities are missing, features are noisy, or somebody attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...metrics.score import Score
from ...metrics.shown import interval, shown
from ...robustness.curves import Curve, worst
from ...robustness.kinds import Kind, Panel
from ...runs.result import Result
from ..figures.robustness import looks_of, robustness_figure
from ..page import render
from ..sheet import Sheet
from ..words import TITLES, Words, note, words


def build(sheet: Sheet) -> Markup | None:
    """Curves and tables by kind; nothing where robustness was not measured."""
    result = sheet.run.robustness
    return None if result is None else section(result)


def section(result: Result) -> Markup:
    """The same of any result with curves, for pages that are not of one run."""
    labels = {name: m.label for name, m in result.methods.items()}
    kinds = [_kind(name, kind, labels, str(result.focus)) for name, kind in result.kinds.items()]
    return render("robustness.html.j2", kinds=kinds, skipped=result.skipped, test=result.groups or 0)


def looks_for(panel: Panel, labels: Mapping[str, str]) -> dict[str, int]:
    """Colours by method where every curve is a method's, else by curve."""
    return looks_of([*labels] if set(panel.curves) <= set(labels) else [*panel.curves])


def _kind(name: str, kind: Kind, labels: Mapping[str, str], focus: str) -> dict[str, Any]:
    said = [words(name, kind, panel, labels, focus) for panel in kind.panels]
    both = list(zip(kind.panels, said, strict=True))
    return {
        "title": TITLES[name],
        "note": note(name, kind),
        "figures": [robustness_figure(panel, w, looks_for(panel, labels)) for panel, w in both],
        "areas": [row for panel, w in both for row in _areas(panel, w)],
        "worst": [_worst(labels.get(m, m), t.subsets, t.unbalanced) for m, t in kind.tables.items()],
        "targeted": {"method": labels.get(focus, focus), "rows": kind.rows} if name == "attack" else None,
    }


def _areas(panel: Panel, said: Words) -> list[dict[str, Any]]:
    """What the table says of each curve of a panel."""
    rows = [_area(said.title, said.names[k], c) for k, c in panel.curves.items()]
    return rows + [_area(said.title, f"{said.names[k]}, random control", c) for k, c in panel.controls.items()]


def _area(title: str, name: str, c: Curve) -> dict[str, Any]:
    return {
        "panel": title,
        "name": name,
        "measure": c.scores[0].heading + ("" if c.area.higher_is_better else " ↓"),
        "first": shown(c.scores[0]),
        "last": shown(c.scores[-1]),
        "area": f"{shown(c.area)} [{interval(c.area, ', ')}]",
        "retained": shown(c.retained),
    }


def _worst(method: str, subsets: Mapping[str, Score], unbalanced: Mapping[str, Score]) -> dict[str, Any]:
    subset, score = worst(subsets)
    rates, dealt = worst(unbalanced) if unbalanced else (None, None)
    return {
        "method": method,
        "subset": subset,
        "subset_score": shown(score),
        "rates": rates,
        "rates_score": shown(dealt),
    }
