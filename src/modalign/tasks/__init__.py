"""Tasks on the shared space: translation into words, and transfer of classifiers between modalities."""

from .captions import Examples, Nearest, Training, examples, fit_captioner, pair_distance
from .classify import Linear, few_shot, fit_linear, transfer, zero_shot
from .evaluation import evaluate_transfer
from .neighbours import label_transfer
from .translate import choose_noise, evaluate_translation, translate

__all__ = [
    "choose_noise",
    "Examples",
    "Linear",
    "Nearest",
    "Training",
    "evaluate_transfer",
    "evaluate_translation",
    "examples",
    "few_shot",
    "fit_captioner",
    "fit_linear",
    "label_transfer",
    "pair_distance",
    "transfer",
    "translate",
    "zero_shot",
]
