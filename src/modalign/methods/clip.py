"""CLIP with its settings chosen on dev, by as many trials as "full" gets: the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..model import Heads
from ..parameters import Count, Dim, Number, Seed
from ..progress import Progress, silent
from ..registry import register
from ..views import Views, hold_out
from .base import on_cpu
from .gradient import Gradient
from .local_scaling import without_hubs
from .tuning import TRIALS, keep_log, trial_folder, tune


@register("method", "clip")
class ClipPreset:
    """CLIP as a baseline: heads from random starts by symmetric InfoNCE on the known pairs, tuned on dev.

    Learning rate, weight decay, temperature, latent mixing and the kind of head are chosen from a list that starts
    with what worked best on dev splits, with as many trials as "full" gets.

    Args:
        dim: of the shared space.
        trials: settings to try.
        steps: optimiser steps at most, in each trial; training stops early on dev.
        seed: of everything random.
        chosen: settings that an earlier fit chose (its ``record["chosen"]``); then nothing is tried.

    Use when: a trained baseline is wanted that had as many trials as "full".
    Related: "gradient" with your own objective and start; "full".

    Reference: Radford et al. 2021, arXiv 2103.00020; mixing: Vouitsis et al. 2023, arXiv 2312.10144.
    """

    CANDIDATES = (
        {"lr": 3e-3, "mixing": 1.0, "hidden": 256, "weight_decay": 0.3, "scale": 1 / 0.07},
        {"lr": 3e-3, "mixing": 1.0, "hidden": 0, "weight_decay": 0.3, "scale": 1 / 0.07},
        {"lr": 1e-2, "mixing": 1.0, "hidden": 0, "weight_decay": 0.3, "scale": 30.0},
        {"lr": 1e-3, "mixing": 1.0, "hidden": 0, "weight_decay": 0.3, "scale": 1 / 0.07},
        {"lr": 1e-2, "mixing": 0.0, "hidden": 0, "weight_decay": 0.01, "scale": 1 / 0.07},
        {"lr": 3e-3, "mixing": 0.0, "hidden": 256, "weight_decay": 0.01, "scale": 1 / 0.07},
        {"lr": 1e-3, "mixing": 1.0, "hidden": 256, "weight_decay": 0.3, "scale": 1 / 0.07},
        {"lr": 1e-2, "mixing": 1.0, "hidden": 256, "weight_decay": 0.3, "scale": 30.0},
        {"lr": 1e-3, "mixing": 0.0, "hidden": 0, "weight_decay": 0.01, "scale": 1 / 0.07},
        {"lr": 3e-3, "mixing": 0.0, "hidden": 0, "weight_decay": 0.3, "scale": 30.0},
        {"lr": 3e-4, "mixing": 1.0, "hidden": 256, "weight_decay": 0.3, "scale": 30.0},
        {"lr": 3e-4, "mixing": 0.0, "hidden": 0, "weight_decay": 0.01, "scale": 1 / 0.07},
    )

    def __init__(
        self,
        dim: Dim = 256,
        trials: Count = TRIALS,
        steps: Number = 150,
        hubs: bool = False,
        seed: Seed = 0,
        chosen: dict[str, Any] | None = None,
    ) -> None:
        self.dim, self.trials, self.steps, self.hubs, self.seed, self.chosen = dim, trials, steps, hubs, seed, chosen
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """The heads of the best trial. Without dev views a fifth of the linked groups is held out to choose by."""
        x, dev = on_cpu(x), on_cpu(dev)
        if dev is None:
            x, dev = hold_out(x, seed=self.seed)
            self.record["dev_is"] = f"{len(dev)} linked groups held out of training"
        made: dict[str, tuple[Heads, Path | None]] = {}

        def score(s: dict[str, Any]) -> float:
            progress(len(made), self.trials, "trials of CLIP")
            method = Gradient(
                {"name": "clip", "scale": s["scale"]}, "random", self.dim, s["hidden"], 0.6 if s["hidden"] else 0.0,
                steps=self.steps, lr=s["lr"], weight_decay=s["weight_decay"], mixing=s["mixing"], every=15, patience=4,
                checkpoints=run is not None, seed=self.seed,
            )  # fmt: skip
            folder = trial_folder(run, str(len(made)))
            made[str(s)] = method.fit(x, dev, folder), folder
            return float(method.record["training"]["dev"])

        tuned = tune(self.CANDIDATES if self.chosen is None else [self.chosen], score, self.trials)
        progress(self.trials, self.trials, "trials of CLIP")
        self.record |= {"chosen": tuned.settings, "dev": tuned.score, "trials": tuned.record}
        heads, folder = made[str(tuned.settings)]
        keep_log(folder, run)
        return without_hubs(heads, x, seed=self.seed) if self.hubs else heads
