"""Sinkhorn in the log domain: slow, safe for any epsilon."""

from __future__ import annotations

import torch
from torch import Tensor

from .problem import Problem
from .result import Potentials


def log_sinkhorn(
    problem: Problem, tolerance: float, max_iterations: int, start: Potentials | None
) -> tuple[Tensor, Tensor, int]:
    eps, log_a, log_b = problem.epsilon, problem.a.log(), problem.b.log()
    g = torch.zeros_like(problem.b) if start is None else start.g.to(problem.b)
    scaled = problem.cost / -eps
    f = torch.zeros_like(problem.a)
    for iteration in range(1, max_iterations + 1):
        f = -eps * torch.logsumexp(scaled + (g / eps + log_b)[..., None, :], -1)
        new = -eps * torch.logsumexp(scaled + (f / eps + log_a)[..., :, None], -2)
        error = (problem.b * ((g - new) / eps).exp() - problem.b).abs().sum(-1).max()
        if error <= tolerance:
            break
        g = new
    return f, g, iteration
