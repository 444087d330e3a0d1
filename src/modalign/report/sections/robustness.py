"""What is left when modalities are missing, features are noisy, or somebody attacks: from robustness.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...errors import ModalignError
from ...files import read_json
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
        keys = [c["key"] for c in panel["curves"]]
        own = looks if all(k.split("/")[0] in looks for k in keys) else looks_of(keys)
        figures.append(robustness_figure(panel, own))
        areas += [_area(panel, c) for c in panel["curves"]]
    names = table["methods"]
    worst = [
        {
            "method": names.get(t["method"], t["method"]),
            "subset": t["worst_subset"],
            "subset_score": t["subsets"][t["worst_subset"]],
            "rates": t["worst_unbalanced"],
            "rates_score": t["unbalanced"].get(t["worst_unbalanced"]),
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


def _area(panel: Mapping[str, Any], c: Mapping[str, Any]) -> dict[str, Any]:
    control = c["key"].endswith("/random")
    name = c["label"] or c["key"].split("/")[0]
    return {
        "panel": panel["title"],
        "name": f"{name}, random control" if control else name,
        "first": c["scores"][0]["value"],
        "last": c["scores"][-1]["value"],
        "area": c["area"],
        "retained": c["retained"],
    }
