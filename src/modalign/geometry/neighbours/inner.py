"""Inner products of chosen pairs of rows, each summed by itself: in an order that depends on the width alone."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor


def inner(x: Tensor, y: Tensor, j: Tensor) -> Tensor:
    """<x_i, y_j> of every row of x with some rows of y, (n, t); equal pairs give equal bits wherever they stand.

    On a CPU the rows of y are read where they lie, which takes a third of the time of gathering them.

    Args:
        x: (n, d), y: (m, d), of one precision: float32 or float64.
        j: (n, t) rows of y for each row of x.
    """
    (n, t), d = j.shape, x.shape[1]
    if x.device.type != "cpu" or not n * t * d:
        return (y[j] * x[:, None]).sum(2)
    _warned()
    ends = torch.arange(0, n * t + 1, t, device=x.device)
    zeros, size = x.new_zeros(n * t), (n, len(y))
    pattern = torch.sparse_csr_tensor(ends, j.flatten(), zeros, size, device=x.device, check_invariants=False)
    return torch.sparse.sampled_addmm(pattern, x, y.T, beta=0.0).values().view(n, t)


@cache
def _warned() -> None:
    """Let torch say once, unheard, that its sparse matrices are new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.eye(1, device="cpu").to_sparse_csr()
