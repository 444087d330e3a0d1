"""Exact search by inner product for one query: fast single-precision scores select, exact scores decide."""

from __future__ import annotations

import numpy as np

from ..errors import ModalignError

BLOCK = 1 << 18  # rows in one product


def scores(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(n,) float32 inner products of all rows with a query (d,)."""
    out = np.empty(len(vectors), np.float32)
    single = query.astype(np.float32)
    for start in range(0, len(vectors), BLOCK):
        # One pass over memory: numpy's own loop is about twice as fast here as a matrix-vector product of BLAS.
        np.einsum("ij,j->i", vectors[start : start + BLOCK], single, out=out[start : start + BLOCK])
    return out


def exact_scores(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(c,) float64 inner products, pair by pair: equal rows give equal bits wherever they stand."""
    return (rows.astype(np.float64) * query.astype(np.float64)).sum(1)


def top(
    vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray | None = None, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows with the largest <y_i, q> + b_i, exactly; ties by row.

    Args:
        vectors: (n, d) float32. query: (d,). k: at least 1; fewer come back where fewer are allowed.
        allowed: (n,) bool. bias: (n,) float64.

    Returns:
        scores (k',) float64, falling; rows (k',) int64.

    Example:
        >>> top(np.eye(3, dtype="float32"), np.array([0.0, 1.0, 1.0]), 2)[1].tolist()
        [1, 2]
    """
    if k < 1:
        raise ModalignError(f"k must be at least 1, got {k}")
    rough = scores(vectors, query)
    if bias is not None:
        rough = (rough + bias).astype(np.float32)
    if allowed is not None:
        rough = np.where(allowed, rough, -np.inf)
    usable = len(rough) if allowed is None else int(allowed.sum())
    k = min(k, usable)
    if k == 0:
        return np.empty(0), np.empty(0, np.int64)
    edge = np.partition(rough, len(rough) - k)[len(rough) - k]
    # Any order of summation in single precision: Higham 2002, equation 3.5; rows are of length 1.
    largest = 0.0 if bias is None else float(np.abs(bias).max(initial=0.0))
    error = 2.0**-24 * ((len(query) + 8) * 1.01 * float(np.linalg.norm(query)) + 4 * largest)
    rows = np.flatnonzero(rough >= edge - 2 * error)
    return best(vectors, query, rows, k, bias)


def best(
    vectors: np.ndarray, query: np.ndarray, rows: np.ndarray, k: int, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of some candidate rows by exact score; ties by row."""
    rows = np.sort(rows)
    value = exact_scores(vectors[rows], query)
    if bias is not None:
        value = value + bias[rows]
    order = np.argsort(-value, kind="stable")[:k]
    return value[order], rows[order]
