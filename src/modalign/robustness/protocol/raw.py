"""Attacks on raw inputs, pixels or waveforms, through encoder and head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...metrics.mean_recall import recalls
from ...metrics.score import Score
from ...views import Views
from ..attack import SIDES, Scene, Threat, Victim, on_grid
from ..curves import Curve, curve

PIXEL_LEVELS = (0, 1, 2, 4, 8)
"""Of 255: the usual linf radii."""
BATCH = 8  # inputs that are attacked together


def raw_curves(
    victim: Victim,
    x: Tensor,
    modality: str,
    z: Views,
    radii: Sequence[float] = PIXEL_LEVELS,
    unit: float = 1 / 255,
    steps: int = 10,
    seed: int = 0,
) -> tuple[dict[str, Curve], list[dict[str, Any]]]:
    """Mean recall under attacks ("apgd", linf) on raw inputs, and what the attacks achieved.

    Args:
        victim: way of the inputs into the shared space, from ``attack.raw``.
        x: (n, ...) inputs, in the order of z[modality]. z: embeddings of both modalities.
        radii: ascending from 0, in units of ``unit``. steps, seed: as in ``attack_curves``.

    Returns:
        "query", "query/random", "gallery", "gallery/random" -> curve of one direction each (the attacked inputs as
        queries, or as the gallery); and rows of "side", "radius", "success" (``Scene.success``), "random".
    """
    facing = next(m for m in z.modalities if m != modality)
    pairs = z.paired(modality, facing)
    found: dict[str, list[list[Score]]] = {f"{side}{kind}": [] for side in SIDES for kind in ("", "/random")}
    rows = []
    for side in SIDES:
        scene = Scene(side, victim, x, z[facing], pairs)
        group = z.group[modality if side == "query" else facing]
        for radius in radii:
            threat = Threat("linf", radius * unit, victim.low, victim.high)
            inputs = {
                "": scene.attack(threat, "apgd", steps, batch=BATCH, seed=seed),
                "/random": on_grid(x, threat.random(x, seed, surface=True), threat, victim.grid),
            }
            for kind, attacked in inputs.items():
                found[f"{side}{kind}"].append(recalls([replace(scene.ranking(attacked), group=group)]))
            success: Mapping[str, float] = {kind: scene.success(attacked) for kind, attacked in inputs.items()}
            rows.append({"side": side, "radius": radius, "success": success[""], "random": success["/random"]})
    return {name: curve([float(r) for r in radii], parts, seed) for name, parts in found.items()}, rows
