"""Whole experiments: a method's heads and test features in, curves out."""

from .attacks import PIXEL_LEVELS, attack_curves, hub_curves, raw_curves, targeted_scores
from .gaps import RATES, missing_curves, refitted_curve, subset_scores, subsets, unbalanced, unbalanced_scores
from .noises import damaged_curves, noise_curves

__all__ = [
    "PIXEL_LEVELS", "RATES", "attack_curves", "damaged_curves", "hub_curves", "missing_curves", "noise_curves",
    "raw_curves", "refitted_curve", "subset_scores", "subsets", "targeted_scores", "unbalanced", "unbalanced_scores",
]  # fmt: skip
