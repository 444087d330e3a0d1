"""Training curves: the loss, each of its terms, and the score on dev."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...metrics.mean_recall import MEAN_RECALL
from ...metrics.spread import EFFECTIVE_RANK, MEAN_COSINE
from ..figures import training_figure
from ..page import Absent, flat, render
from ..sheet import Sheet

DEV = "dev"
NAMES = {
    "loss": "Total loss",
    "transport": "Transport term, L_OT",
    "neighbourhood": "Neighbourhood term, L_RMA",
    "retrieval": "Retrieval term, L_retrieve",
    DEV: f"{MEAN_RECALL.heading} on dev",
    "lr": "Learning rate",
    "grad_norm": "Gradient norm",
    "effective_rank": f"{EFFECTIVE_RANK.heading}, least of all modalities",
    "mean_cosine": f"{MEAN_COSINE.heading}, greatest of all modalities",
}
FIT = ("method", "seed", "fold")  # a log may hold several fits, told apart by these
CLOCK = ("step", "epoch", "seconds", "time", *FIT)
ASIDE = ("lr", "grad_norm", "norm", "temperature", "scale")

Curves = dict[str, list[list[tuple[float, float]]]]


def build(sheet: Sheet) -> Markup | Absent:
    """A small chart per logged quantity; weights, rates and the like are folded away."""
    if sheet.run.log is None:
        return Absent("no training steps were logged; methods solved in closed form take no training steps.")
    curves = collect(sheet.run.log)
    if not curves:
        return Absent("the training log holds no numbers by step.")
    main = [key for key in curves if not _aside(key)]
    return render(
        "training.html.j2",
        main=[_draw(key, curves[key]) for key in sorted(main, key=_order)],
        aside=[_draw(key, curves[key]) for key in curves if _aside(key)],
        fits=max(len(c) for c in curves.values()),
        steps=len({s for c in curves.values() for curve in c for s, _ in curve}),
    )


def collect(rows: Sequence[Mapping[str, Any]]) -> Curves:
    """Quantity -> one (step, value) curve per fit, from the lines of the training log; other values are left out.

    Example:
        >>> collect([{"step": 0, "loss": 2.0}, {"step": 1, "loss": 1.0, "terms": {"clip": 0.5}}])
        {'loss': [[(0, 2.0), (1, 1.0)]], 'terms.clip': [[(1, 0.5)]]}
    """
    found: dict[str, dict[tuple[str, ...], list[tuple[float, float]]]] = {}
    for row in rows:
        if not _is_number(row.get("step")):
            continue
        step = row["step"]
        fit = tuple(str(row.get(key)) for key in FIT)
        for key, value in flat(row).items():
            if key not in CLOCK and _is_number(value) and math.isfinite(value):
                found.setdefault(key, {}).setdefault(fit, []).append((step, float(value)))
    return {key: list(fits.values()) for key, fits in found.items()}


def _draw(key: str, curves: Sequence[Sequence[tuple[float, float]]]) -> Markup:
    return training_figure(NAMES.get(key, key), curves, best="high" if key == DEV else None)


def _order(key: str) -> tuple[int, str]:
    """Loss first, then the terms, what nobody named, dev last."""
    known = [name for name in NAMES if name != DEV]
    place = known.index(key) if key in known else len(known)
    return (len(known) + 1 if key == DEV else place, key)


def _aside(key: str) -> bool:
    return key in ASIDE or "." in key


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
