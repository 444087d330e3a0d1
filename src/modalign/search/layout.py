"""The map of a gallery: where items lie, and where a query would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..views import Views
from .gallery import Gallery

ON_MAP = 1400  # items on the map
MAP_GROUPS = 3000  # groups looked at when the map is drawn


def layout(gallery: Gallery) -> dict[str, Any]:
    """Positions of sampled items on a map, by the projection of the report."""
    from ..report.projection import project

    groups = _groups(gallery, [m for m in gallery.modalities if gallery.count(m)])
    ids = np.unique(np.concatenate(list(groups.values()))) if groups else np.empty(0, np.int64)
    if len(ids) > MAP_GROUPS:
        ids = ids[np.arange(MAP_GROUPS) * len(ids) // MAP_GROUPS]
    rows = {m: np.flatnonzero(np.isin(g, ids) & gallery.alive(m)) for m, g in groups.items()}
    rows = {m: r for m, r in rows.items() if len(r)}
    z = Views(
        {m: torch.from_numpy(gallery.vectors(m, r)) for m, r in rows.items()},
        {m: torch.from_numpy(groups[m][r]) for m, r in rows.items()},
    )
    if sum(map(len, rows.values())) < 3:
        return {"points": {}, "kept": 1.0, "kept_pca": 1.0, "gap": 0.0, "of": {m: gallery.count(m) for m in rows}}
    flat = project(z, ON_MAP)
    points = {
        m: {
            "rows": rows[m][flat.rows[m].numpy()].tolist(),
            "x": [round(v, 4) for v in xy[:, 0].tolist()],
            "y": [round(v, 4) for v in xy[:, 1].tolist()],
        }
        for m, xy in flat.xy.items()
    }
    return {
        "points": points,
        "kept": flat.kept,
        "kept_pca": flat.kept_pca,
        "gap": flat.gap,
        "of": {m: gallery.count(m) for m in rows},
    }


def _groups(gallery: Gallery, modalities: Sequence[str]) -> dict[str, np.ndarray]:
    """Modality -> (rows,) a number for each item's group; items without one are groups of their own."""
    number: dict[Any, int] = {}
    out = {}
    for m in modalities:
        values = [g for part in gallery.parts[m] for g in part.items.column("group")]
        keys = [(m, row) if g is None else g for row, g in enumerate(values)]
        out[m] = np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
    return out


def standing(gallery: Gallery, vector: np.ndarray, rows: Mapping[str, Sequence[int]]) -> dict[str, dict[str, Any]]:
    """Cosine and rank of some items for a query, and what chance gives.

    rank = 1 + number of items of the modality with a larger cosine; a random item's expected rank is (n + 1) / 2.

    Returns:
        modality -> {"cosine": [...], "rank": [...], "of": n, "mean": mean cosine, "expected": (n + 1) / 2}.
    """
    out = {}
    for m, some in rows.items():
        cosine = gallery.cosines(vector, m).astype(np.float64)
        alive = np.sort(cosine[gallery.alive(m)])
        own = cosine[np.asarray(some, np.int64)]
        rank = 1 + len(alive) - np.searchsorted(alive, own, side="right")
        out[m] = {
            "cosine": [round(c, 4) for c in own.tolist()],
            "rank": rank.tolist(),
            "of": len(alive),
            "mean": round(float(alive.mean()), 4) if len(alive) else 0.0,
            "expected": (len(alive) + 1) / 2,
        }
    return out


def spot(flat: Mapping[str, Any], standings: Mapping[str, Mapping[str, Any]]) -> list[float] | None:
    """Where a query lies on the map: the mean place of its five nearest items there; None where there is no map."""
    points = [
        (c, x, y)
        for m, p in flat["points"].items()
        for c, x, y in sorted(zip(standings[m]["cosine"], p["x"], p["y"], strict=True), reverse=True)[:5]
    ]
    if not points:
        return None
    table = np.array(points)
    weight = np.exp((table[:, 0] - table[:, 0].max()) / 0.1)
    return [round(float(v), 4) for v in (weight[:, None] * table[:, 1:]).sum(0) / weight.sum()]
