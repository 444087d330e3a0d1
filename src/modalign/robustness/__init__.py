"""What is left of retrieval when modalities are missing, inputs are noisy, or somebody attacks."""

from .curves import Curve, curve, worst
from .fill import FILLS, filler
from .fusion import RULES, Side, compose, ranking, side
from .missing import RATES, Aligned, aligned, lose, presence, subsets, unbalanced
from .noise import RATIOS, add_noise, add_radius, decibels
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
    "FILLS", "RATES", "RATIOS", "RULES", "Aligned", "Curve", "Side", "add_noise", "add_radius", "aligned",
    "attack_curves", "compose", "curve", "damaged_curves", "decibels", "filler", "hub_curves", "lose",
    "missing_curves", "noise_curves", "presence", "ranking", "raw_curves", "refitted_curve", "side",
    "subset_scores", "subsets", "targeted_scores", "unbalanced", "unbalanced_scores", "worst",
]  # fmt: skip
