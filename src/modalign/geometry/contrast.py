"""Contrastive losses between two sets of vectors: what belongs together scores higher than what does not.

Positives are a mask, so an item may have many of them or none. Everything is computed in at least float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from .. import renamed
from ..errors import ModalignError
from .cost import inner, pair, working

CLIP_SCALE = 1 / 0.07


def infonce(
    similarity: Tensor, positives: Tensor | None = None, scale: float | Tensor = 1.0, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of finding a row's positives among all columns, one direction, many positives.

    L = mean_i mean_{p in P(i)} -log softmax_j(s S_ij)[p], over the rows i that have positives. With label smoothing
    e the target is (1 - e) on the positives plus e spread over all columns. One column: 0, with zero gradient.

    Args:
        similarity: S, (n, m), higher is nearer, any float dtype.
        positives: (n, m) bool; None: the diagonal of a square matrix. Rows without a positive add nothing,
            columns without one are negatives.
        scale: s = 1 / temperature, a number or a scalar tensor.
        label_smoothing: e in [0, 1).

    Returns:
        Scalar, in nats, >= 0; 0 where no row has a positive.

    Raises:
        ModalignError: shapes do not fit together.

    Reference: van den Oord, Li, Vinyals (2018), arXiv 1807.03748, eq. 4; several positives: Khosla et al. (2020),
        arXiv 2004.11362, eq. 2 (the sum outside the logarithm).

    Example:
        >>> round(infonce(torch.eye(2), scale=10.0).item(), 7)
        4.54e-05
        >>> round(infonce(torch.tensor([[1.0, 1.0, -9e9]]), torch.tensor([[True, True, False]])).item(), 4)
        0.6931
    """
    (similarity,) = working(similarity)
    positives = _mask(similarity, positives)
    logits = similarity * scale
    count = positives.sum(1)
    if not torch.compiler.is_compiling() and not bool((count > 0).all()):  # a compiled graph looks at no value
        rows = count > 0
        logits, positives, count = logits[rows], positives[rows], count[rows]
    if not len(logits):
        return similarity.sum() * 0.0
    log_p = log_softmax(logits, 1)  # accurate near 0, where logsumexp minus a logit is not
    hit = torch.where(positives, log_p, 0.0).sum(1) / count.clamp(min=1)
    if label_smoothing:
        hit = (1 - label_smoothing) * hit + label_smoothing * log_p.mean(1)
    return -(hit * (count > 0)).sum() / (count > 0).sum().clamp(min=1)


def clip(x: Tensor, y: Tensor, positives: Tensor | None = None, scale: float | Tensor = CLIP_SCALE) -> Tensor:
    """Symmetric InfoNCE of two sets of vectors.

    L = 1/2 [infonce(X Y^T) + infonce(Y X^T)].

    Args:
        x: (n, d), unit rows, any float dtype.
        y: (m, d), unit rows.
        positives: (n, m) bool; None: row i of x belongs to row i of y.
        scale: s = 1 / temperature; CLIP starts at 1 / .07.

    Returns:
        Scalar, in nats, >= 0.

    Raises:
        ModalignError: shapes do not fit together.

    Reference: Radford et al. (2021), arXiv 2103.00020, fig. 3.

    Example:
        >>> round(clip(torch.eye(4), torch.eye(4), scale=1.0).item(), 4)
        0.7437
    """
    similarity = inner(*pair(x, y))
    positives = _mask(similarity, positives)
    return 0.5 * (infonce(similarity, positives, scale) + infonce(similarity.mT, positives.mT, scale))


def mil_nce(similarity: Tensor, positives: Tensor | None = None, scale: float | Tensor = 1.0) -> Tensor:
    """Cross-entropy of finding any of a row's candidates: the sum over them is inside the logarithm.

    L = mean_i -log [ A_i / (A_i + B_i) ] over the rows i with positives P(i), A_i = sum_{j in P(i)} e^{s S_ij},
    B_i = sum_{j not in P(i)} e^{s S_ij} + sum_{j in P(i)} sum_{k: j not in P(k)} e^{s S_kj}: other columns for the row,
    other rows for its candidates. A row of which some candidates are wrong learns from those that fit.

    Args:
        similarity: S, (n, m), higher is nearer, any float dtype.
        positives: (n, m) bool; None: the diagonal of a square matrix. Rows without a positive add nothing.
        scale: s = 1 / temperature, a number or a scalar tensor.

    Returns:
        Scalar, in nats, >= 0; 0 where no row has a positive.

    Raises:
        ModalignError: shapes do not fit together.

    Reference: Miech et al. (2020), arXiv 1912.06430, eq. 1.

    Example:
        >>> round(mil_nce(torch.eye(2)).item(), 4)
        0.5514
        >>> candidates = torch.tensor([[True, True, False]])
        >>> round(mil_nce(torch.tensor([[9.0, -9.0, 0.0]]), candidates).item(), 4)
        0.0001
    """
    (similarity,) = working(similarity)
    positives = _mask(similarity, positives)
    rows = positives.any(1)
    logits = similarity * scale
    low = torch.finfo(logits.dtype).min
    others = torch.logsumexp(logits.masked_fill(positives, low), 0)  # of each column, the rows it does not belong to
    good = torch.logsumexp(logits.masked_fill(~positives, low), 1)
    bad = torch.logsumexp(others.expand_as(positives).masked_fill(~positives, low), 1)
    each = torch.logaddexp(torch.logsumexp(logits, 1), bad) - good
    return torch.where(rows, each, 0.0).sum() / rows.sum().clamp(min=1)


def sigmoid(
    similarity: Tensor,
    positives: Tensor | None = None,
    scale: float | Tensor = 10.0,
    bias: float | Tensor = -10.0,
    reduction: str = "sum",
) -> Tensor:
    """Each pair is judged by itself: positive or not.

    L = -(1/N) sum_ij log sigmoid(y_ij (s S_ij + b)), y = 1 for positives and -1 otherwise, N the number of positive
    pairs (the batch size when each item has one partner). A pair whose row and column both lack a positive is left
    out: whether those two belong together is not known.

    Args:
        similarity: S, (n, m), any float dtype.
        positives: (n, m) bool; None: the diagonal.
        scale: s; SigLIP starts at 10 (its mean form elsewhere at 20).
        bias: b; SigLIP starts at -10.
        reduction: "sum": divided by N, as published; "mean": divided by the number of judged pairs.

    Returns:
        Scalar, in nats, >= 0; 0 without positives.

    Raises:
        ModalignError: shapes do not fit together, unknown reduction.

    Reference: Zhai et al. (2023), arXiv 2303.15343, section 3.2.

    Example:
        >>> round(sigmoid(torch.eye(2), scale=1.0, bias=0.0).item(), 4)
        1.0064
    """
    if reduction not in ("sum", "mean"):
        raise ModalignError(f"reduction is '{reduction}': use 'sum' (divided by the number of positives) or 'mean'")
    (similarity,) = working(similarity)
    positives = _mask(similarity, positives)
    known = positives.any(1)[:, None] | positives.any(0)[None, :]
    logits = similarity * scale + bias
    losses = torch.where(known, softplus(torch.where(positives, -logits, logits)), 0.0)
    return losses.sum() / (positives if reduction == "sum" else known).sum().clamp(min=1)


def cyclic(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """How much similarities inside one modality, and across the two, differ from their mirror image.

    in-modal = (1/N) sum_jk (<x_j, x_k> - <y_j, y_k>)^2, cross-modal = (1/N) sum_jk (<x_j, y_k> - <x_k, y_j>)^2.

    Args:
        x: (n, d), row i belongs to row i of y.
        y: (n, d).

    Returns:
        Two scalars >= 0: in-modal and cross-modal.

    Raises:
        ModalignError: shapes differ.

    Reference: Goel et al. (2022), arXiv 2205.14459, section 3.

    Example:
        >>> [t.item() for t in cyclic(torch.eye(2), torch.eye(2).flip(0))]
        [0.0, 0.0]
    """
    x, y = pair(x, y, same_rows=True)
    n = max(len(x), 1)
    across = inner(x, y)
    in_modal = (inner(x, x) - inner(y, y)).square().sum() / n
    return in_modal, (across - across.mT).square().sum() / n


def _mask(similarity: Tensor, positives: Tensor | None) -> Tensor:
    shape = tuple(similarity.shape)
    if len(shape) != 2:
        raise ModalignError(f"a similarity must be a matrix (n, m), got shape {shape}")
    if positives is None:
        if shape[0] != shape[1]:
            raise ModalignError(f"a similarity of shape {shape} is not square: say which pairs are positives")
        return torch.eye(shape[0], dtype=torch.bool, device=similarity.device)
    if tuple(positives.shape) != shape or positives.dtype != torch.bool:
        raise ModalignError(
            f"positives must be a bool mask of the similarity's shape {shape}, "
            f"got {positives.dtype} of shape {tuple(positives.shape)}"
        )
    return positives


__getattr__ = renamed.names_of(__name__)
