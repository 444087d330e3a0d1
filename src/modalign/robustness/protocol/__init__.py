"""Whole experiments: a method's heads and test features in, curves out."""

from .attacks import attack_curves, hub_curves, targeted_scores
from .damage import damaged_curves
from .gaps import missing_curves, refitted_curve, subset_scores, unbalanced_scores
from .noises import noise_curves
from .raw import PIXEL_LEVELS, raw_curves

__all__ = [
    "PIXEL_LEVELS", "attack_curves", "damaged_curves", "hub_curves", "missing_curves", "noise_curves", "raw_curves",
    "refitted_curve", "subset_scores", "targeted_scores", "unbalanced_scores",
]  # fmt: skip
