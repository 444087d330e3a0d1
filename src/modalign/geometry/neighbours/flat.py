"""Candidates of an exact search from faiss, where it is installed: on a CPU it selects while it multiplies."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import torch
from torch import Tensor

from ...errors import require

LEAST = 1 << 30  # multiplications from which on importing faiss is worth it
QUERIES = 1 << 16  # answered at once
MOST_KEPT = 64  # neighbours up to which its selection is quick


def candidates(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each row of x with the rows of y, falling, and their rows: (n, k) both.

    Args:
        x: (n, d), y: (m, d) float32 on the CPU. On as many threads as torch has.
    """
    faiss = require("faiss", "search")
    threads, threshold = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    faiss.omp_set_num_threads(torch.get_num_threads())
    # From 1.14.2 on it leaves BLAS below 128,000 numbers in the queries, and takes three to ten times as long there.
    faiss.cvar.distance_compute_blas_threshold = 0
    try:
        top, found = faiss.knn(x.numpy(), y.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT)
    finally:
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = threshold
    return torch.from_numpy(top), torch.from_numpy(found)


def suits(x: Tensor, y: Tensor, k: int) -> bool:
    """Whether faiss is there and quicker. On Linux alone: elsewhere two copies of OpenMP in a process may end it."""
    large = len(x) * len(y) * x.shape[1] >= LEAST and k <= min(MOST_KEPT, len(y))
    return large and x.device.type == "cpu" and sys.platform == "linux" and find_spec("faiss") is not None
