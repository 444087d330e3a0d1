"""What is left of retrieval when modalities are missing, inputs are noisy, or somebody attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .curves import Curve, curve, worst
    from .fill import FILLS, filler
    from .fusion import RULES, ranking
    from .kinds import Kind, Panel, Subsets
    from .measuring import Damage, Measured, Raw, measure
    from .noise import RATIOS, add_noise, decibels
    from .protocol import (
        RATES,
        attack_curves,
        damaged_curves,
        hub_curves,
        missing_curves,
        noise_curves,
        raw_curves,
        refitted_curve,
        subset_scores,
        subsets,
        targeted_scores,
        unbalanced,
        unbalanced_scores,
    )

_HOMES = {
    "curves": "Curve curve worst",
    "fill": "FILLS filler",
    "fusion": "RULES ranking",
    "kinds": "Kind Panel Subsets",
    "measuring": "Damage Measured Raw measure",
    "noise": "RATIOS add_noise decibels",
    "protocol": "RATES attack_curves damaged_curves hub_curves missing_curves noise_curves raw_curves refitted_curve "
    "subset_scores subsets targeted_scores unbalanced unbalanced_scores",
}

__all__ = [
    "Curve", "Damage", "FILLS", "Kind", "Measured", "Panel", "RATES", "RATIOS", "RULES", "Raw", "Subsets", "add_noise",
    "attack_curves", "curve", "damaged_curves", "decibels", "filler", "hub_curves", "measure", "missing_curves",
    "noise_curves", "ranking", "raw_curves", "refitted_curve", "subset_scores", "subsets", "targeted_scores",
    "unbalanced", "unbalanced_scores", "worst",
]  # fmt: skip

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
