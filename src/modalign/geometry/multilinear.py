"""Multilinear inner products: the joint score of one item of each modality (Symile)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import ModalignError
from .cost import inner, working


def product(vectors: Sequence[Tensor]) -> Tensor:
    """Multilinear inner product of row-aligned vectors.

    MIP_i = sum_d prod_m z^m_id. Two modalities: the inner product.

    Args:
        vectors: (n, d) each.

    Returns:
        (n,), at least float32.

    Raises:
        ModalignError: shapes differ.

    Reference: Saporta et al. (2024), arXiv 2411.01053, section 3.

    Example:
        >>> product([torch.ones(1, 4), torch.full((1, 4), 2.0), torch.full((1, 4), 3.0)]).tolist()
        [24.0]
    """
    return reduce(torch.mul, _checked(vectors)).sum(1)


def symile(
    vectors: Sequence[Tensor], scale: float | Tensor, negatives: str = "n", generator: torch.Generator | None = None
) -> Tensor:
    """Each modality in turn as anchor must find the rest of its tuple among wrong tuples.

    L = mean over anchors of mean_i -log softmax(s MIP(anchor_i, tuple))[own tuple].
    "n": n - 1 wrong tuples per anchor, by permuting each other modality; combinations that happen to be the
    anchor's own tuple are left out. "all": every combination of the other modalities, n^(M-1) tuples.

    Args:
        vectors: M tensors (n, d), unit rows, row i of each the same item. Memory for "all": n^M scores per anchor.
        scale: s; unit vectors need a larger one than two-way losses, since products of M coordinates are small.
        negatives: "n" or "all".
        generator: source of the permutations, on the CPU.

    Returns:
        Scalar, in nats, >= 0; 0 for n <= 1.

    Raises:
        ModalignError: shapes differ, fewer than two modalities, unknown negatives.

    Reference: Saporta et al. (2024), arXiv 2411.01053 ("n" and "n_squared" in its program).

    Example:
        >>> e = torch.eye(2)
        >>> round(symile([e, e, e], 1.0, negatives="all").item(), 4)
        0.7437
    """
    if negatives not in ("n", "all"):
        raise ModalignError(f"negatives is '{negatives}': use 'n' (permutations) or 'all' (every combination)")
    rows = _checked(vectors)
    if len(rows) < 2:
        raise ModalignError("a multilinear contrast needs at least two modalities")
    if len(rows[0]) == 0:
        return torch.stack([z.sum() * 0.0 for z in rows]).sum()
    label = torch.arange(len(rows[0]), device=rows[0].device)
    own = product(rows)
    losses = []
    for i, anchor in enumerate(rows):
        others = rows[:i] + rows[i + 1 :]
        if negatives == "all":
            logits = _combined(anchor, others) * scale
        else:
            scores, false = _permuted(anchor, others, generator)
            logits = (scores.diagonal_scatter(own) * scale).index_put(false, scores.new_tensor(-torch.inf))
        losses.append(cross_entropy(logits, label))
    return torch.stack(losses).mean()


def _permuted(
    anchor: Tensor, others: list[Tensor], generator: torch.Generator | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Scores (n, n) with mixed tuples, and where off the diagonal a mixed tuple happens to be the anchor's own."""
    n, device = len(anchor), anchor.device
    orders = [torch.randperm(n, generator=generator, device="cpu").to(device) for _ in others]
    scores = inner(anchor, reduce(torch.mul, [o[p] for o, p in zip(others, orders, strict=True)]))
    whole = reduce(torch.logical_and, [p == orders[0] for p in orders])
    column = (whole & (orders[0] != torch.arange(n, device=device))).nonzero().flatten()
    return scores, (orders[0][column], column)


def _combined(anchor: Tensor, others: list[Tensor]) -> Tensor:
    """Scores (n, n^k): the first n columns hold the tuples that belong together, so row i's own is column i."""
    n, d = anchor.shape
    tuples = others[0]
    for other in others[1:]:
        tuples = (tuples[:, None, :] * other[None, :, :]).reshape(-1, d)
    step = sum(n**p for p in range(len(others)))  # index of (i, i, ..., i) is i * step
    own = torch.arange(n, device=anchor.device) * step
    rest = torch.ones(len(tuples), dtype=torch.bool, device=anchor.device)
    rest[own] = False
    return inner(anchor, torch.cat([tuples[own], tuples[rest]]))


def _checked(vectors: Sequence[Tensor]) -> list[Tensor]:
    shapes = [tuple(z.shape) for z in vectors]
    if not shapes or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ModalignError(f"a multilinear product needs tensors of one shape (n, d), got {shapes}")
    return list(working(*vectors))
