"""Losses that preserve neighbourhoods: literal, carried over by pairs, and at several hops. Pure and differentiable."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from ...errors import check_known, unknown
from ...parameters import Count, Fraction, Number, Positive, Shape, checked
from ..cost import Rows, cosine, inner, sqeuclidean, unit, working
from ..pairs import known_pairs
from .search import knn

WEIGHTS = ("uniform", "mutual", "self_tuning")


@checked
def literal(
    x: Rows,
    y: Annotated[Tensor, Shape("m d", mixed=True)],
    k: Count = 5,
    *,
    weights: str = "uniform",
    symmetric: bool = True,
) -> Tensor:
    """Squared distance from each anchor to its k nearest items of the other modality.

    L(x -> y) = sum_i sum_{j in N_k(i)} w_ij |x_i - y_j|^2 / sum_ij w_ij; symmetric: the mean of both directions.

    Its global minimum is "all equal" (value 0, whatever is paired with what): it needs other terms beside it, and
    ``collapse`` watches for the fall. The neighbours are found anew at each call and carry no gradient.

    Args:
        x: (n, d) anchors. y: (m, d) items of the other modality.
        k: neighbours per anchor; all of them when there are fewer.
        weights: "uniform" (w = 1), "mutual" (w = 1 where each is among the other's k nearest, else 0) or
            "self_tuning" (w_ij = exp(-|x_i - y_j|^2 / (s_i s_j)), s = distance to the k-th neighbour, detached).
        symmetric: average both directions.

    Returns:
        scalar >= 0, in squared units of the embedding; 0 when a side is empty or no pair is mutual.

    Raises:
        ModalignError: shapes that do not fit, k < 1, unknown weights.

    Reference: local scales: Zelnik-Manor & Perona 2004, "Self-tuning spectral clustering", equation 2.

    Example:
        >>> literal(torch.eye(2), torch.eye(2), k=2).item()
        1.0
    """
    check_known("weights", weights, WEIGHTS)
    x, y = working(x, y)
    if len(x) == 0 or len(y) == 0:
        return x.sum() * 0.0 + y.sum() * 0.0
    far_x, near_x = knn(x, y, k, metric="euclidean")
    far_y, near_y = knn(y, x, k, metric="euclidean")
    forward = _pulled(x, y, near_x, far_x, near_y, far_y, weights)
    if not symmetric:
        return forward
    return (forward + _pulled(y, x, near_y, far_y, near_x, far_x, weights)) / 2


def _pulled(
    x: Tensor, y: Tensor, near: Tensor, far: Tensor, near_back: Tensor, far_back: Tensor, weights: str
) -> Tensor:
    """One direction of ``literal``: neighbours (n, k) of x in y, their distances, and the same from y to x."""
    squares = (x[:, None, :] - y[near]).square().sum(-1)
    if weights == "uniform":
        return squares.mean()
    if weights == "mutual":
        me = torch.arange(len(x), device=x.device)[:, None, None]
        weight = (near_back[near] == me).any(-1).to(squares.dtype)
    else:
        tiny = torch.finfo(squares.dtype).tiny
        scale = far[:, -1:].to(squares.dtype) * far_back[:, -1].to(squares.dtype)[near]
        weight = torch.exp(-squares.detach() / scale.clamp(min=tiny))
    return (weight * squares).sum() / weight.sum().clamp(min=torch.finfo(squares.dtype).tiny)


@checked
def carry(
    frozen: Annotated[Tensor, Shape("n f")],
    pairs: Tensor,
    others: Number,
    k: Number = 5,
    *,
    temperature: Positive = 0.1,
    own: Fraction = 0.5,
    weights: str = "uniform",
) -> Tensor:
    """Targets of ``carried``: each anchor's frozen neighbours, carried to the other modality by the known pairs.

    T_i. = own * P_i. + (1 - own) * sum_j w_ij P_j., w_ij = softmax over the k paired neighbours j of cos(f_i, f_j) /
    temperature, P_j. = uniform over the partners of j. An unpaired anchor has own = 0.

    Only paired items can be neighbours here, so every anchor with a paired item elsewhere gets a target, unpaired
    anchors too (of mutual neighbours, where there are any). Several items of one group (captions of one photo) count as
    neighbours of each other.

    Args:
        frozen: (n, f) features of the anchors on their own manifold (a frozen encoder).
        pairs: (p, 2) known pairs: row of the anchors, row of the other modality.
        others: number m of items of the other modality.
        k: neighbours carried over.
        temperature: of the neighbours' weights, > 0; small: the nearest alone.
        own: share of an anchor's own partners, in [0, 1]; 1 gives plain pairs.
        weights: "uniform", "mutual" (only neighbours to which i is as near as their own k nearest paired items; where
            there is none, nothing is carried) or "self_tuning" (w_ij ~ exp(-|f_i - f_j|^2 / (s_i s_j)) on unit
            features, s = distance to the k-th neighbour).

    Returns:
        (n, m) without gradient; rows sum to 1, or to 0 for anchors that nothing was carried to.

    Raises:
        ModalignError: pairs of another shape, or a setting out of range.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> carry(features, torch.tensor([[0, 0], [2, 1]]), others=2, k=1)
        tensor([[0.5000, 0.5000],
                [1.0000, 0.0000],
                [0.5000, 0.5000]])
    """
    pairs = known_pairs(pairs, len(frozen), others)
    frozen = unit(frozen.detach())
    partners = torch.zeros(len(frozen), others, dtype=frozen.dtype, device=frozen.device)
    partners[pairs[:, 0], pairs[:, 1]] = 1.0
    count = partners.sum(1, keepdim=True)
    partners = partners / count.clamp(min=1.0)
    around = _neighbour_weights(frozen, count[:, 0] > 0, k, temperature, weights) @ partners
    has_own, has_around = count > 0, around.sum(1, keepdim=True) > 0
    share = torch.where(has_own & has_around, own, has_own.to(frozen.dtype))
    return share * partners + (1.0 - share) * around


def _neighbour_weights(f: Tensor, paired: Tensor, k: int, temperature: float, weights: str) -> Tensor:
    """(n, n) weights of the k nearest paired items of each row, self left out; rows sum to 1 or 0."""
    check_known("weights", weights, WEIGHTS)
    n = len(f)
    allowed = paired[None, :] & ~torch.eye(n, dtype=torch.bool, device=f.device)
    cosine = inner(f, f)
    logits = cosine.masked_fill(~allowed, -torch.inf)
    top, near = logits.topk(min(k, n), 1)
    chosen = torch.zeros(n, n, dtype=torch.bool, device=f.device).scatter_(1, near, True) & allowed
    if weights == "mutual" and near.numel():
        back = (cosine >= top[:, -1]) & ~paired[:, None]  # an item without partners is nobody's neighbour, but near
        chosen = chosen & (chosen.T | back)
    if weights == "self_tuning":
        squares = sqeuclidean(f, f)
        scale = squares.masked_fill(~chosen, 0.0).amax(1).sqrt().clamp(min=1e-6)
        logits = -squares / (scale[:, None] * scale[None, :])
    else:
        logits = logits / temperature
    return torch.softmax(logits.masked_fill(~chosen, -torch.inf), 1).nan_to_num(0.0)


@checked
def carried(
    z_anchor: Rows,
    z_other: Annotated[Tensor, Shape("m d", mixed=True)],
    target: Annotated[Tensor, Shape("n m", mixed=True)],
    *,
    temperature: Positive = 0.07,
    form: str = "contrastive",
) -> Tensor:
    """Pull each anchor to the partners of its own frozen neighbours.

    contrastive: mean_i -sum_j T_ij log softmax_j(<z_i, z_j> / temperature): least when the softmax equals T; equal
    embeddings cost log m, so it does not reward collapse. plain: mean_i sum_j T_ij |z_i - z_j|^2, which does.

    Args:
        z_anchor: (n, d), scaled to unit rows here. z_other: (m, d), likewise.
        target: (n, m) from ``carry``; rows that sum to 0 are skipped.
        temperature: > 0, of the contrastive form.
        form: "contrastive" or "plain".

    Returns:
        scalar >= 0 (nats, or squared distance); 0 when no row has a target.

    Raises:
        ModalignError: shapes that do not fit, or an unknown form.

    Example:
        >>> z = torch.eye(3)
        >>> round(carried(z, z, torch.eye(3), temperature=1.0).item(), 4)
        0.5514
    """
    distance = cosine(z_anchor, z_other)
    target = target.to(distance.dtype)
    anchors = (target.sum(1) > 0).sum().clamp(min=1)
    if form == "plain":
        return 2.0 * (target * distance).sum() / anchors
    if form != "contrastive":
        raise unknown("form", form, ("contrastive", "plain"))
    if target.numel() == 0:
        return distance.sum() * 0.0
    return -(target * torch.log_softmax(-distance / temperature, 1)).sum() / anchors


@checked
def structure(
    frozen: Annotated[Tensor, Shape("n f", mixed=True)],
    aligned: Rows,
    temperature: Positive = 0.05,
    levels: Count = 1,
    *,
    exclude_self: bool = False,
    official: bool = False,
) -> Tensor:
    """Keep the neighbour distributions of the frozen features at several hops (STRUCTURE).

    R = (1 / L) sum_{l = 1..L} JS(P^l, Q^l) / l, P = row softmax of the similarities / temperature of the frozen
    features, rows scaled to length 1 and then centred; Q the same of the aligned ones; P^l the l-hop random walk; JS
    the Jensen-Shannon divergence in nats, mean over rows.

    Args:
        frozen: (n, f) features on their own manifold; no gradient flows into them.
        aligned: (n, d) the same items in the shared space.
        temperature: > 0; the published setting is .05.
        levels: hops L >= 1; the published setting is 1.
        exclude_self: leave the diagonal out of the walks (the publication keeps it).
        official: as the published program has it: every level counts alike (no 1 / l), and in place of JS stands
            (KL(M || P) + KL(M || Q)) / 2, M = (P + Q) / 2, which has no bound.

    Returns:
        scalar in [0, log 2]; of the official form, >= 0.

    Raises:
        ModalignError: different numbers of rows, or a setting out of range.

    Reference: Gröger et al. 2025, "With Limited Data for Multimodal Alignment, Let the STRUCTURE Guide You",
        arXiv 2506.16895. The text leaves open whether JS is taken per row: here it is.

    Example:
        >>> x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        >>> structure(x, 3.0 * x).item() < 1e-6
        True
    """
    if len(aligned) < 1 + exclude_self:
        return aligned.float().sum() * 0.0
    frozen, aligned = working(frozen.detach(), aligned)
    step_p = _walk(frozen, temperature, exclude_self)
    step_q = _walk(aligned, temperature, exclude_self)
    p, q = step_p, step_q
    between = _reversed_jensen_shannon if official else _jensen_shannon
    total = between(p, q)
    for level in range(2, levels + 1):
        p, q = inner(p, step_p.mT), inner(q, step_q.mT)
        total = total + between(p, q) / (1 if official else level)
    return total / levels


def _walk(x: Tensor, temperature: float, exclude_self: bool) -> Tensor:
    """(n, n) row-stochastic matrix of one hop."""
    x = unit(x)
    x = x - x.mean(0)
    logits = inner(x, x) / temperature
    if exclude_self:
        logits = logits.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), -torch.inf)
    return torch.softmax(logits, 1)


def _jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Mean over rows of the Jensen-Shannon divergence, nats; finite gradient where an entry is 0."""
    tiny = torch.finfo(p.dtype).tiny
    middle = ((p + q) / 2).clamp(min=tiny).log()
    left = p * (p.clamp(min=tiny).log() - middle)
    right = q * (q.clamp(min=tiny).log() - middle)
    return (left + right).sum(1).mean() / 2


def _reversed_jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Mean over rows of (KL(m || p) + KL(m || q)) / 2, m their mean, nats."""
    tiny = torch.finfo(p.dtype).tiny
    middle = (p + q) / 2
    both = (p.clamp(min=tiny).log() + q.clamp(min=tiny).log()) / 2
    return (middle * (middle.clamp(min=tiny).log() - both)).sum(1).mean()
