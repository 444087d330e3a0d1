"""How the terms of a total loss are weighed: by numbers, by schedules, by learned uncertainties, by their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError, check_known
from ..registry import check
from ..views import Batch

Weight = float | Mapping[str, Any]


class Schedule:
    """A weight that changes with the step, from ``start`` to ``end`` between two steps, constant outside.

    Args:
        end: the weight after ``after + steps`` steps.
        start: the weight up to step ``after``.
        steps: how many optimiser steps the change takes; 0: a jump.
        after: the step at which it begins.
        shape: "linear" or "cosine" (half a cosine wave, slow at both ends).

    Raises:
        ModalignError: unknown shape, negative steps.

    Example:
        >>> warm_up = Schedule(end=2.0, steps=10)
        >>> [warm_up(s) for s in (0, 5, 10, 99)]
        [0.0, 1.0, 2.0, 2.0]
        >>> round(Schedule(end=0.0, start=1.0, steps=4, shape="cosine")(1), 4)
        0.8536
    """

    def __init__(self, end: float, start: float = 0.0, steps: int = 0, after: int = 0, shape: str = "linear") -> None:
        check_known("shape of a schedule", shape, ["linear", "cosine"])
        if steps < 0 or after < 0:
            raise ModalignError(f"a schedule has steps={steps} and after={after}: both must be 0 or more")
        self.start, self.end, self.steps, self.after, self.shape = start, end, steps, after, shape

    def __call__(self, step: int) -> float:
        """The weight at a step."""
        if step < self.after:
            return self.start
        part = min((step - self.after) / self.steps, 1.0) if self.steps else 1.0
        if self.shape == "cosine":
            part = 0.5 * (1 - math.cos(math.pi * part))
        return self.start + (self.end - self.start) * part


def schedule(weight: Weight, name: str) -> Callable[[int], float]:
    """A weight as a function of the step: a number stays, a table is a `Schedule`.

    Raises:
        ModalignError: misspelt settings, a weight that is not finite.

    Example:
        >>> schedule(0.5, "alpha")(1000)
        0.5
    """
    if isinstance(weight, Mapping):
        return Schedule(**check(Schedule, weight, where=f"the schedule of {name}"))
    if not math.isfinite(weight):
        raise ModalignError(f"the weight {name} is {weight}: it must be a finite number or a schedule")
    return Schedule(end=float(weight))


class Weighting(nn.Module):
    """Terms and their wanted weights -> the weights to use. This one uses the wanted ones."""

    def __init__(self, terms: list[str]) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, terms: Mapping[str, Tensor], wanted: Mapping[str, float], batch: Batch) -> Tensor:
        """The weighted sum of the terms, a scalar."""
        return _total(terms, wanted)

    def used(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """The weights of the last sum, for logs."""
        return dict(wanted)

    def after_step(self) -> None:
        """Called after each optimiser step."""


class Uncertainty(Weighting):
    """Each term has a learned log-variance: noisy terms weigh less.

    L = sum_i w_i exp(-s_i) L_i + s_i / 2, s_i = log variance, 0 at the start, so training starts with the wanted
    weights. s is kept within [-5, 5]: a loss that can reach 0 would otherwise drive its own weight to infinity.

    Reference: Kendall, Gal, Cipolla (2018), arXiv 1705.07115, section 3.
    """

    limit = 5.0

    def __init__(self, terms: list[str]) -> None:
        super().__init__(terms)
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in terms})

    def forward(self, terms: Mapping[str, Tensor], wanted: Mapping[str, float], batch: Batch) -> Tensor:
        total = _total(terms, wanted)  # keeps terms of weight 0 in the graph
        for name, loss in terms.items():
            if wanted[name]:
                s = self.log_variance[name].clamp(-self.limit, self.limit)
                total = total + wanted[name] * ((-s).exp() - 1) * loss + 0.5 * s
        return total

    def used(self, wanted: Mapping[str, float]) -> dict[str, float]:
        return {name: w * math.exp(-float(self.log_variance[name].detach())) for name, w in wanted.items()}

    def after_step(self) -> None:
        with torch.no_grad():
            for s in self.log_variance.values():
                s.clamp_(-self.limit, self.limit)


class Balance(Weighting):
    """Weights that make each term pull on the embeddings as hard as asked, whatever the scale of its loss.

    w_i = target_i * mean_norm / norm_i, with norm_i the running norm of the gradient of term i in the embeddings z
    and mean_norm the target-weighted mean norm: ``alpha = .1, gamma = 1`` then means that transport pulls a tenth
    as hard as retrieval. This is the state that GradNorm with equal training rates learns towards, reached
    directly: no second optimiser, no learning rate, and the cost of one extra backward pass through the losses alone
    (never through heads or encoders, as in the upper bound of Sener and Koltun). Unlike the min-norm point of MGDA it
    keeps the user's preferences and does not hand the step to the term whose gradient has almost vanished.

    The correction factors are limited to [1/limit, limit], so a solved term is not blown up into noise.
    Without gradients (validation) the last weights are used.

    Args:
        momentum: of the running norms, in [0, 1).
        limit: greatest correction of a weight, > 1.

    Reference: Chen et al. (2018), arXiv 1711.02257, section 3; Sener, Koltun (2018), arXiv 1810.04650, section 3.3.
    """

    norms: Tensor

    def __init__(self, terms: list[str], momentum: float = 0.9, limit: float = 100.0) -> None:
        super().__init__(terms)
        if not 0 <= momentum < 1 or limit <= 1:
            raise ModalignError(f"momentum={momentum} must be in [0, 1) and limit={limit} above 1")
        self.momentum, self.limit = momentum, limit
        self.register_buffer("norms", torch.zeros(len(terms)))  # 0: not seen yet

    def forward(self, terms: Mapping[str, Tensor], wanted: Mapping[str, float], batch: Batch) -> Tensor:
        leaves = [z for z in batch.z.data.values() if z.requires_grad]
        if leaves and torch.is_grad_enabled():
            self._measure(terms, leaves)
        return _total(terms, self.used(wanted))

    def used(self, wanted: Mapping[str, float]) -> dict[str, float]:
        norms = dict(zip(self.terms, self.norms.tolist(), strict=True))
        seen = {n: w for n, w in wanted.items() if w and norms[n] > 0}
        if not seen:
            return dict(wanted)
        mean = sum(abs(w) * norms[n] for n, w in seen.items()) / sum(abs(w) for w in seen.values())
        factor = {n: min(max(mean / norms[n], 1 / self.limit), self.limit) for n in seen}
        return {n: w * factor.get(n, 1.0) for n, w in wanted.items()}

    def _measure(self, terms: Mapping[str, Tensor], leaves: list[Tensor]) -> None:
        for i, name in enumerate(self.terms):
            if name not in terms or not terms[name].requires_grad:
                continue
            grads = torch.autograd.grad(terms[name], leaves, retain_graph=True, allow_unused=True)
            square = sum((g.detach().float().square().sum() for g in grads if g is not None), self.norms.new_zeros(()))
            norm = square.sqrt()
            if torch.isfinite(norm) and norm > 0:
                old = self.norms[i]
                self.norms[i] = norm if old == 0 else self.momentum * old + (1 - self.momentum) * norm


WEIGHTINGS: Mapping[str, type[Weighting]] = {"fixed": Weighting, "uncertainty": Uncertainty, "balance": Balance}


def make_weighting(spec: str | Mapping[str, Any], terms: list[str]) -> Weighting:
    """A weighting by name ("fixed", "uncertainty", "balance") or by a table with a name and settings.

    Raises:
        ModalignError: unknown name or settings.

    Example:
        >>> type(make_weighting({"name": "balance", "momentum": 0.5}, ["transport"])).__name__
        'Balance'
    """
    settings = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = settings.pop("name", "fixed")
    check_known("weighting", name, WEIGHTINGS)
    part = WEIGHTINGS[name]
    return part(**check(part, {"terms": terms, **settings}, where=f"weighting '{name}'"))


def _total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of weight times term. Terms of weight 0 stay out, so that a NaN in an idle term does no harm."""
    used = [weights[name] * loss for name, loss in terms.items() if weights[name]]
    return torch.stack(used).sum() if used else torch.stack([loss * 0.0 for loss in terms.values()]).sum()
