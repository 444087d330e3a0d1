"""Lion, an optimiser that steps by the sign of a momentum; and the optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Lion: every weight moves by the learning rate, in the direction of a momentum's sign.

    p <- p - lr (sign(b1 m + (1 - b1) g) + decay p), then m <- b2 m + (1 - b2) g, m = 0 at the start.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: learning rate; a third to a tenth of what AdamW takes.
        betas: b1, b2. weight_decay: decoupled.

    Reference: Chen et al. 2023, arXiv 2302.06675, algorithm 2.

    Example:
        >>> p = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
        >>> p.grad = torch.tensor([0.3, -20.0])
        >>> Lion([p], lr=0.5).step()
        >>> p.tolist()
        [0.5, -0.5]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; parameters without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
                m: Tensor = self.state[p]["momentum"]
                way = torch.lerp(p.grad, m, first).sign_()
                p.mul_(1.0 - group["lr"] * group["weight_decay"]).sub_(way, alpha=group["lr"])
                m.lerp_(p.grad, 1.0 - second)
        return loss


OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "lion": Lion}
