"""How near items are to the known pairs along their own manifold: diffusion from linked items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, Number, Positive, Shape, checked
from ..cost import unit
from ..pairs import known_pairs
from .search import knn

RESTARTS = (0.5, 0.2, 0.05)
TRACE = 1e-290  # of a start: less has lost digits


@checked
def diffused(
    frozen: Annotated[Tensor, Shape("n f")],
    pairs: Tensor,
    others: Number,
    k: Count = 15,
    *,
    temperature: Positive = 0.1,
    restarts: Sequence[float] = RESTARTS,
) -> Tensor:
    """Targets of ``carried`` by many hops: how much of what starts at each linked item's partners arrives at an item.

    F_a = a (I - (1 - a) A)^-1 E, A = D^-1/2 W D^-1/2, W the graph of the k nearest items on the anchors' own manifold,
    W_ij = exp((cos_ij - max_j cos_ij) / temperature), symmetrised by the larger; E_i. = uniform over the partners of i,
    0 where it has none. Rows of F_a are scaled to sum 1, and averaged over the restarts a: large ones stay near,
    small ones go far; those from which nothing arrives within float64's range count out. This is personalised PageRank
    from the linked items, in closed form.

    Args:
        frozen: (n, f) features of the anchors on their own manifold (a frozen encoder).
        pairs: (p, 2) known pairs: row of the anchors, row of the other modality.
        others: number m of items of the other modality.
        k: neighbours in the graph; all there are when there are fewer.
        temperature: of the graph's weights, > 0.
        restarts: probabilities of starting again, each in (0, 1].

    Returns:
        (n, m) without gradient; rows sum to 1, or to 0 where no linked item can be reached.

    Raises:
        ModalignError: pairs of another shape, or a setting out of range.

    Reference: Page et al. 1999; Zhou et al. 2004, "Learning with local and global consistency"; between domains:
        diffusion transport alignment, arXiv 2206.07305.

    Example:
        >>> line = torch.tensor([[1.0, 0.0], [0.9, 0.4], [0.4, 0.9], [0.0, 1.0]])
        >>> found = diffused(line, torch.tensor([[0, 0], [3, 1]]), others=2, k=1)
        >>> [[round(v, 2) for v in row] for row in found.tolist()]
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    pairs = known_pairs(pairs, len(frozen), others)
    if not restarts or not all(0.0 < a <= 1.0 for a in restarts):
        raise ModalignError(f"diffusion needs restarts in (0, 1], got {restarts}")
    frozen = unit(frozen.detach())
    start = torch.zeros(len(frozen), others, dtype=frozen.dtype, device=frozen.device)
    start[pairs[:, 0], pairs[:, 1]] = 1.0
    start = start / start.sum(1, keepdim=True).clamp(min=1.0)
    if len(frozen) < 2:
        return start
    near, wanted = _graph(frozen, k, temperature).double(), start.double()
    same = torch.eye(len(frozen), dtype=torch.float64, device=frozen.device)
    out, reached = torch.zeros_like(wanted), wanted.new_zeros(len(frozen), 1)
    for a in restarts:
        # No sum of this factor and its solutions has terms of two signs: small shares, many hops away, are exact too.
        found = torch.cholesky_solve(a * wanted, torch.linalg.cholesky(same - (1.0 - a) * near))
        total = found.sum(1, keepdim=True)
        arrives = total > TRACE
        out += torch.where(arrives, found / total.where(arrives, 1.0), 0.0)
        reached += arrives
    return (out / reached.clamp(min=1.0)).to(start.dtype)


def _graph(f: Tensor, k: int, temperature: float) -> Tensor:
    """(n, n) symmetric weights of the nearest other rows of unit rows, scaled by both ends' degrees."""
    score, index = knn(f, None, k)
    weight = torch.zeros(len(f), len(f), dtype=f.dtype, device=f.device)
    weight.scatter_(1, index, ((score - score[:, :1]) / temperature).exp())
    weight = torch.maximum(weight, weight.T)
    degree = weight.sum(1).clamp(min=1e-12).rsqrt()
    return degree[:, None] * weight * degree
