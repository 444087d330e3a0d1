"""How long and how fast to train."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import check_known
from ..parameters import Count, Fraction, Number, Positive, Seed, Share, Weight, checked
from .lion import OPTIMISERS


@checked
@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Args:
        steps: optimiser steps at most.
        batch: items per modality and step.
        unpaired: share of the batch that is items without a partner, in [0, 1).
        lr: peak learning rate: linear warm-up over the share ``warmup`` of the steps, then half a cosine to 0.
        optimiser: "adamw", or "lion", which wants a third to a tenth of the learning rate.
        weight_decay: decoupled; not on biases, scales and other parameters of one number or one row.
        warmup: share of the steps, in [0, 1].
        clip: greatest gradient norm; 0: no clipping.
        mixing: alpha of Beta(alpha, alpha) for latent mixing of pairs; 0: none.
        noise, drop: of the augmented views, see ``training.mixing.augment``; both 0: no augmented views.
        every: steps between evaluations, log lines and checkpoints; checkpoints also come every few seconds.
        checkpoints: write them, where there is a run folder.
        patience: evaluations without a better dev score before stopping; 0: never stop early.
        precision: "auto": bfloat16 on a GPU that has it, else float32; "float32"; "bfloat16".
        seed: of batches, mixing, dropout and noise.
        mini_batch: items of each modality encoded at a time, by gradient caching: the same gradient in less memory and
            more time; 0: the whole batch at once.
        workers: threads that read the next batches ahead of the training; any number gives the same bits.
        sharded: with torchrun, each process keeps a part of the parameters and of the optimiser's state (FSDP2); else a
            copy of all.
    """

    steps: Number = 500
    batch: Count = 256
    unpaired: Share = 0.0
    lr: Positive = 1e-3
    optimiser: str = "adamw"
    weight_decay: Weight = 0.01
    warmup: Fraction = 0.1
    clip: Weight = 1.0
    mixing: Weight = 0.0
    noise: Weight = 0.0
    drop: Share = 0.0
    every: Count = 50
    checkpoints: bool = True
    patience: Number = 5
    precision: str = "auto"
    seed: Seed = 0
    mini_batch: Number = 0
    workers: Number = 0
    sharded: bool = False

    def __post_init__(self) -> None:
        check_known("optimiser", self.optimiser, OPTIMISERS)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rising = max(1, round(self.warmup * self.steps))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))
