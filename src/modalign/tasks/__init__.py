"""Tasks on the shared space: translation into words, and transfer of classifiers between modalities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .captions import Examples, Nearest, Training, examples, fit_captioner, pair_distance
    from .classify import Linear, few_shot, fit_linear, transfer, zero_shot
    from .evaluation import evaluate_transfer
    from .neighbours import label_transfer
    from .translation import choose_noise, evaluate_translation, translate

_HOMES = {
    "captions": "Examples Nearest Training examples fit_captioner pair_distance",
    "classify": "Linear few_shot fit_linear transfer zero_shot",
    "evaluation": "evaluate_transfer",
    "neighbours": "label_transfer",
    "translation": "choose_noise evaluate_translation translate",
}

__all__ = [
    "Examples", "Linear", "Nearest", "Training", "choose_noise", "evaluate_transfer", "evaluate_translation",
    "examples", "few_shot", "fit_captioner", "fit_linear", "label_transfer", "pair_distance", "transfer", "translate",
    "zero_shot",
]  # fmt: skip

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
