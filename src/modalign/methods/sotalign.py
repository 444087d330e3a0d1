"""SOTAlign: heads that start at a linear teacher and learn from unpaired items by its transport plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..model import Heads
from ..parameters import Count, Dim, Number, Positive, Seed, Weight
from ..progress import Progress, silent
from ..registry import register
from ..views import Views
from .base import on_cpu
from .gradient import Gradient
from .local_scaling import without_hubs


@register("method", "sotalign")
class SotAlign:
    """SOTAlign: CCA of the pairs as teacher and start, then SigLIP on pairs and KLOT on items without a partner.

    L = L_SigLIP(pairs) + alpha KL(P* || P), P the entropic plan of the unpaired items' cosines K at ``epsilon``,
    P* that of the teacher's K* at ``teacher_epsilon``, with dL/dK = alpha (P - P*) / epsilon; by Lion, linear heads.

    Args:
        dim: of the shared space, at most.
        ridge: of the teacher, in units of the mean variance.
        alpha: of the transport term; published 1e-3 to 1e-5.
        epsilon, teacher_epsilon: published .05 and .005.
        steps: published 2,000. lr: of Lion; published 1e-4.
        pairs: linked groups of a batch. unpaired: items of a batch and side without a partner, at most; published
            4,096, whose plans take seconds on a CPU.
        hubs: put `LocalScaling` behind the heads, as "full" may; not published.
        seed: of batches.

    With dev views the best weights on dev are kept, those of the start included.

    Use when: the published method is wanted, as a baseline; pairs are some thousand and unpaired items many.
    Related: objective `Klot`, its second term alone; "transport_cca", which refits CCA to the plans.

    Reference: SOTAlign / KLOT (2026), arXiv 2602.23353.
    """

    def __init__(
        self,
        dim: Dim = 256,
        ridge: Weight = 10.0,
        alpha: Weight = 1e-4,
        epsilon: Positive = 0.05,
        teacher_epsilon: Positive = 0.005,
        steps: Number = 2000,
        lr: Positive = 1e-4,
        pairs: Count = 256,
        unpaired: Number = 4096,
        hubs: bool = False,
        seed: Seed = 0,
    ) -> None:
        self.dim, self.ridge, self.alpha, self.hubs, self.seed = dim, ridge, alpha, hubs, seed
        self.epsilons, self.steps, self.lr = (epsilon, teacher_epsilon), steps, lr
        self.pairs, self.unpaired = pairs, unpaired
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Teacher, then descent from it; needs at least two pairs."""
        x, dev = on_cpu(x), on_cpu(dev)
        method = self.descent()
        heads = method.fit(x, dev, run, progress)
        self.record |= method.record
        return without_hubs(heads, x, seed=self.seed) if self.hubs else heads

    def descent(self) -> Gradient:
        """The second stage, with the first as its start."""
        student, teacher = self.epsilons
        batch = self.pairs + self.unpaired
        return Gradient(
            {
                "name": "total", "alpha": self.alpha, "beta": 0.0, "gamma": 1.0,
                "retrieval": {"name": "siglip", "items": "paired"},
                "transport": {
                    "name": "klot", "teacher": "cca", "epsilon": student, "teacher_epsilon": teacher,
                    "items": "unpaired", "dim": self.dim, "ridge": self.ridge,
                },
            },
            {"name": "cca", "ridge": self.ridge, "power": 0.5},
            self.dim, steps=self.steps, batch=batch, unpaired=self.unpaired / batch, lr=self.lr, optimiser="lion",
            weight_decay=0.0, every=max(1, self.steps // 40), seed=self.seed, checkpoints=True,
        )  # fmt: skip
