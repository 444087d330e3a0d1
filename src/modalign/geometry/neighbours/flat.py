"""Candidates from faiss, where it is installed: on a CPU it selects while it multiplies, or scans codes of 4 bits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from ...errors import require

LEAST = 1 << 30  # multiplications from which on importing faiss is worth it
QUERIES = 1 << 16  # answered at once
MOST_KEPT = 64  # neighbours up to which its selection is quick
CODED = 2  # coordinates that share a code
TAUGHT, STEPS = 1024, 10  # rows from which codes are learnt, and how: more of both find one in a hundred more


def candidates(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each row of x with the rows of y, falling, and their rows: (n, k) both.

    A row of -1 stands where products are no numbers.

    Args:
        x: (n, d), y: (m, d) float32 on the CPU. On as many threads as torch has.
    """
    with on_threads(torch.get_num_threads()) as faiss:
        threshold = faiss.cvar.distance_compute_blas_threshold
        # From 1.14.2 on it leaves BLAS below 128,000 numbers in the queries: three to ten times as long.
        faiss.cvar.distance_compute_blas_threshold = 0
        try:
            top, found = faiss.knn(x.numpy(), y.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT)
        finally:
            faiss.cvar.distance_compute_blas_threshold = threshold
    return torch.from_numpy(top), torch.from_numpy(found)


def coded_candidates(x: Tensor, y: Tensor, k: int) -> Tensor:
    """(n, k) rows of y whose inner products with each row of x are large by codes of 4 bits for every two coordinates.

    A third of the time of the products; of k = 64 they hold three quarters of the 8 largest ones among 131,072. A row
    of -1 fills up where codes tell fewer rows from none, as for a query of zeros.

    Args:
        x: (n, d), y: (m, d) float32 on the CPU, d even. On as many threads as torch has.
    """
    with on_threads(torch.get_num_threads()) as faiss:
        codes = faiss.IndexPQFastScan(y.shape[1], y.shape[1] // CODED, 4, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.niter, codes.pq.cp.min_points_per_centroid = STEPS, 1  # with fewer points faiss warns
        codes.train(y[:: -(-len(y) // TAUGHT)].numpy())
        codes.add(y.numpy())
        return torch.from_numpy(codes.search(x.numpy(), k)[1])


def suits(queries: int, y: Tensor, k: int) -> bool:
    """Whether faiss is there and quicker. On Linux alone: elsewhere two copies of OpenMP in a process may end it."""
    large = queries * y.numel() >= LEAST and k <= min(MOST_KEPT, len(y))
    return large and y.device.type == "cpu" and sys.platform == "linux" and find_spec("faiss") is not None


@contextmanager
def on_threads(count: int) -> Iterator[ModuleType]:
    """Faiss on a number of threads, then as before."""
    faiss = require("faiss", "search")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)
