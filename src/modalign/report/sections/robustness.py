"""What is left when modalities are missing, features are noisy, or somebody attacks: from robustness.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...errors import ModalignError
from ...files import read_json
from ...metrics.score import Score
from ...metrics.shown import interval, shown
from ..figures.robustness import looks_of, robustness_figure
from ..load import Run
from ..page import render

FILE = "robustness.json"


def build(run: Run) -> Markup | None:
    """Curves and tables by kind; nothing where the folder has no robustness.json."""
    path = run.folder / FILE
    return section(read_json(path, "robustness"), str(path)) if path.exists() else None


def section(table: Any, where: str) -> Markup:
    """The same from the document itself, for pages that are not of one run.

    Raises:
        ModalignError: not such a document.
    """
    try:
        looks = looks_of([*table["methods"]])
        kinds = [_kind(kind, table, looks) for kind in table["kinds"].values()]
        return render("robustness.html.j2", kinds=kinds, skipped=table.get("skipped", {}), test=table["test"])
    except (KeyError, TypeError, AttributeError, IndexError) as problem:
        raise ModalignError(
            f"robustness is damaged: {where} ({type(problem).__name__}: {problem}); measure it again"
        ) from None


def _kind(kind: Mapping[str, Any], table: Mapping[str, Any], looks: Mapping[str, int]) -> dict[str, Any]:
    figures, areas = [], []
    for panel in kind["panels"]:
        whose = [c["of"] for c in panel["curves"]]
        own = looks if looks.keys() >= set(whose) else looks_of(whose)
        figures.append(robustness_figure(panel, own))
        areas += [_area(panel, c, table["methods"]) for c in panel["curves"]]
    names = table["methods"]
    worst = [
        {
            "method": names.get(t["method"], t["method"]),
            "subset": t["worst_subset"],
            "subset_score": _shown(t["subsets"][t["worst_subset"]]),
            "rates": t["worst_unbalanced"],
            "rates_score": _shown(t["unbalanced"].get(t["worst_unbalanced"])),
        }
        for t in kind.get("tables", [])
    ]
    targeted = kind.get("targeted")
    return {
        "title": kind["title"],
        "note": kind["note"],
        "figures": figures,
        "areas": areas,
        "worst": worst,
        "targeted": targeted
        and {"method": names.get(targeted["method"], targeted["method"]), "rows": targeted["rows"]},
    }


def _area(panel: Mapping[str, Any], c: Mapping[str, Any], methods: Mapping[str, str]) -> dict[str, Any]:
    area = Score.from_json(c["area"], "area")
    return {
        "panel": panel["title"],
        "name": c["label"] or f"{methods.get(c['of'], c['of'])}, random control",
        "measure": c["scores"][0]["heading"] + ("" if area.higher_is_better else " ↓"),
        "first": _shown(c["scores"][0]),
        "last": _shown(c["scores"][-1]),
        "area": f"{shown(area)} [{interval(area, ', ')}]",
        "retained": _shown(c["retained"]),
    }


def _shown(table: Mapping[str, Any] | None) -> str:
    return "–" if table is None else shown(Score.from_json(table, "robustness"))
