"""What is left of retrieval when modalities are missing, inputs are noisy, or somebody attacks."""

from .. import renamed
from .curves import Curve, curve, worst
from .fill import FILLS, filler
from .fusion import RULES, ranking
from .kinds import Kind, Panel, Subsets
from .measure import Damage, Measured, Raw, measure
from .missing import RATES, subsets, unbalanced
from .noise import RATIOS, add_noise, decibels
from .protocol import (
    attack_curves,
    damaged_curves,
    hub_curves,
    missing_curves,
    noise_curves,
    raw_curves,
    refitted_curve,
    subset_scores,
    targeted_scores,
    unbalanced_scores,
)

__all__ = [
    "FILLS", "RATES", "RATIOS", "RULES", "Curve", "Damage", "Kind", "Measured", "Panel", "Raw", "Subsets", "add_noise",
    "attack_curves", "curve", "damaged_curves", "decibels", "filler", "hub_curves", "measure",
    "missing_curves", "noise_curves", "ranking", "raw_curves", "refitted_curve", "subset_scores", "subsets",
    "targeted_scores", "unbalanced", "unbalanced_scores", "worst",
]  # fmt: skip

__getattr__ = renamed.names_of(__name__)
