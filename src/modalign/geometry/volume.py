"""How far apart the items of a tuple are, any number of modalities at once: volumes, triangles, singular values.

A tuple is one item of each modality. An anchor is compared with the other items of every tuple, so scores form a
matrix (anchors, tuples). Modalities that a tuple lacks are left out of it. Products, determinants and eigenvalues
are computed in float64: what is left of near-collinear float32 vectors is noise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import renamed
from ..errors import ModalignError
from ..parameters import Positive, checked
from .cost import inner, working

Gram = tuple[Tensor, Tensor, Tensor]


@checked
def gram_volume(anchor: Tensor, others: Tensor, present: Tensor | None = None) -> Tensor:
    """Volume of the parallelotope that an anchor spans with the other items of a tuple: GRAM's official score.

    V_ij = sqrt(|det Gram(a_i, o_j1, ..., o_jk)|). By the bordered determinant det = det(G_j) |a_i|^2 - c^T adj(G_j) c,
    c = inner products of a_i with the tuple, so only m small matrices are decomposed, not n x m. Its defects are
    those of the definition: opposite vectors have volume 0 as equal ones do, and a tuple of which two items
    coincide has volume 0 with every anchor. The root's infinite gradient at 0 is replaced by 0.
    `gram_distance` has none of these.

    Args:
        anchor: (n, d), unit rows, any float dtype.
        others: (m, k, d), unit rows.
        present: (m, k) bool, which items exist; default all. Absent ones are left out of the tuple, which makes its
            volumes larger: volumes of tuples of different size do not compare.

    Returns:
        (n, m) in [0, 1] for unit rows; 1 = all orthogonal; 0 if there are more items than dimensions.

    Raises:
        ModalignError: shapes do not fit together.

    Reference: Cicchetti et al. (2025), arXiv 2412.11959, section 3.

    Example:
        >>> e = torch.eye(3)
        >>> bisector = (e[0] + e[1]) * 0.5**0.5
        >>> [round(v, 4) for v in gram_volume(e[:1], torch.stack([e[1:2], bisector[None]]))[0].tolist()]
        [1.0, 0.7071]
    """
    square, cross, dtype = _products(anchor, others, present)
    norms = anchor.double().square().sum(1)
    det, adjugate = _adjugate(square)
    quadratic = ((adjugate @ cross) * cross).sum(1)
    return root((det[:, None] * norms - quadratic).abs()).mT.to(dtype)


@checked
def gram_distance(anchor: Tensor, others: Tensor, present: Tensor | None = None, epsilon: Positive = 0.1) -> Tensor:
    """Sound form of the GRAM volume: a normalised log-volume that knows signs and compares tuples of any size.

    Each unit vector x is lifted to [x, 1] / sqrt(2), which turns a cosine c into (1 + c) / 2: opposite vectors become
    orthogonal, equal ones stay equal. Then D_ij = (log det(G' + epsilon I) - lo) / (hi - lo), G' the lifted Gram
    matrix of (a_i, o_j1, ..., o_jk), lo its log-determinant when all coincide and hi when all are orthogonal, both
    for the number of items that are there. Computed by Cholesky, finite with finite gradient everywhere.

    Args:
        anchor: (n, d), unit rows, any float dtype.
        others: (m, k, d), unit rows.
        present: (m, k) bool, which items exist; default all. A tuple without any item has distance 1.
        epsilon: > 0; smaller values look closer at near-coincident items.

    Returns:
        (n, m); 0 = all coincide, 1 = all orthogonal, more = opposed, whatever the size of the tuple.

    Raises:
        ModalignError: shapes do not fit together, epsilon is not positive.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> others = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]])
        >>> [round(v, 3) for v in gram_distance(x, others)[0].tolist()]
        [0.0, 1.0, 1.152]
    """
    square, cross, dtype = _products(anchor, others, present, lift=True)
    m, k = square.shape[:2]
    there = torch.ones(m, k, dtype=torch.bool, device=square.device) if present is None else present
    eye = torch.eye(k, dtype=square.dtype, device=square.device)
    factor = torch.linalg.cholesky(square + epsilon * eye)
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    inside = (inverse @ cross).square().sum(1)
    rest = (1 + epsilon - inside).clamp_min(0.5 * epsilon)  # >= epsilon but for rounding
    log_det = rest.log() + 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    count = there.sum(1, keepdim=True)
    log_det = log_det - (k - count) * torch.log1p(eye.new_tensor(epsilon))  # what the absent items' 1 + epsilon added
    low, high = _equal_cosines(1.0, count + 1, epsilon), _equal_cosines(0.5, count + 1, epsilon)
    distance = (log_det - low) / (high - low).where(count > 0, 1.0)
    return torch.where(count > 0, distance, 1.0).mT.to(dtype)


@checked
def triangle_area(anchor: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Squared areas of the triangles (anchor_i, a_j, b_j), from inner products alone.

    S^2_ij = 1/4 (|u|^2 |v|^2 - <u, v>^2), u = a_j - anchor_i, v = b_j - anchor_i. TRIANGLE's public program scores by
    2 S^2, without the root.

    Args:
        anchor: (n, d), any float dtype.
        a: (m, d).
        b: (m, d).

    Returns:
        (n, m), >= 0: squared areas. For unit vectors an area is at most 1.299 (an equilateral triangle).

    Raises:
        ModalignError: shapes do not fit together.

    Reference: TRIANGLE (NeurIPS 2025), the area of a triangle of three modalities.

    Example:
        >>> e = torch.eye(3)
        >>> round(triangle_area(e[:1], e[1:2], e[2:]).sqrt().item(), 4)
        0.866
    """
    if a.shape != b.shape:
        raise ModalignError(f"the corners a and b have shapes {tuple(a.shape)} and {tuple(b.shape)}: give (m, d) twice")
    others = torch.stack([a, b], 1)
    square, cross, dtype = _products(anchor, others, None)
    own = anchor.double().square().sum(1)
    uu = own - 2 * cross[:, 0] + square[:, 0, 0, None]
    vv = own - 2 * cross[:, 1] + square[:, 1, 1, None]
    uv = own - cross.sum(1) + square[:, 0, 1, None]
    return (0.25 * (uu * vv - uv.square())).clamp_min(0.0).mT.to(dtype)


@checked
def singular_values(tuples: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Singular values of each tuple's matrix and its leading direction, with a sign that means something.

    Z_i = [z_i1 ... z_iM] (d x M) = U S V^T. Computed from the M x M Gram matrix. A singular vector's sign is arbitrary;
    here u_1 points to the side of the tuple's mean, or of its first item where the mean is at right angles to it, as
    that of two items at an obtuse angle. Gradients stay finite where singular values meet.

    Args:
        tuples: (n, M, d), any float dtype.
        present: (n, M) bool, which items exist; default all.

    Returns:
        singular values (n, M), descending, as many trailing zeros as items are absent; u_1 (n, d), unit rows.

    Raises:
        ModalignError: shapes do not fit together.

    Reference: PMRL (2025), arXiv 2507.17343, section 3.

    Example:
        >>> s, u = singular_values(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
        >>> [round(v, 4) for v in s[0].tolist()], u.tolist()
        ([1.4142, 0.0], [[1.0, 0.0]])
    """
    dtype = working(tuples)[0].dtype
    z, present = _masked(tuples, present)
    values, vectors = _Eigen.apply(inner(z, z))
    # Of two items at an obtuse angle the mean has no side: then the first one says which.
    side = 1 + 1e-3 * torch.arange(z.shape[1], 0, -1, dtype=z.dtype, device=z.device)
    leading = vectors[..., -1]
    leading = torch.where((leading.detach() @ side < 0)[:, None], -leading, leading)
    absent = torch.arange(z.shape[1], device=z.device) >= present.sum(1, keepdim=True)
    square = values.flip(-1).clamp_min(0.0).masked_fill(absent, 0.0)
    singular = square / (square + 1e-12).sqrt()  # the root, with a finite gradient at 0
    direction = torch.nn.functional.normalize((leading[..., None] * z).sum(1), dim=-1, eps=1e-12)
    return singular.to(dtype), direction.to(dtype)


@checked
def mean_singular_values(tuples: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The same about each tuple's mean: how much of it is the mean, what is left, and the mean's direction.

    m = sum_k z_k / M: the first value is sqrt(M) |m|, the others are the M - 1 singular values of the centred tuple
    [z_k - m]; their squares add up to M, as those of `singular_values`. The values of a pair on one side are those of
    `singular_values`; but two opposite items, one line for a singular value, have nothing in common here: (0, sqrt(2)).

    Args, Returns, Raises: as in ``singular_values``; values after the first are descending.

    Example:
        >>> s, u = mean_singular_values(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]))
        >>> [[round(v, 4) for v in row] for row in s.tolist()]
        [[0.0, 1.4142], [1.4142, 0.0]]
    """
    dtype = working(tuples)[0].dtype
    z, present = _masked(tuples, present)
    count = present.sum(1).clamp(min=1)
    mean = z.sum(1) / count[:, None]
    along = root(count * mean.square().sum(-1))
    rest = singular_values(z - mean[:, None, :], present)[0][:, :-1]
    direction = torch.nn.functional.normalize(mean, dim=-1, eps=1e-12)
    return torch.cat([along[:, None], rest], 1).to(dtype), direction.to(dtype)


class _Eigen(torch.autograd.Function):
    """Rising eigenvalues and vectors of symmetric matrices; gradients, of any order, are finite where values meet."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.linalg.eigh(matrix)
        ctx.save_for_backward(*found)
        return found[0], found[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        gap = values[..., None, :] - values[..., :, None]
        same = torch.eye(gap.shape[-1], dtype=torch.bool, device=gap.device)
        turns = (gap / (gap.square() + 1e-16)).masked_fill(same, 0.0) * (vectors.mT @ grads[1])
        return vectors @ (torch.diag_embed(grads[0]) + turns) @ vectors.mT


def _masked(tuples: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Tuples in float64 with zeros for what is absent, and what is present."""
    if tuples.dim() != 3 or (present is not None and present.shape != tuples.shape[:2]):
        shape = None if present is None else tuple(present.shape)
        raise ModalignError(f"tuples must be (n, M, d) and present (n, M), got {tuple(tuples.shape)} and {shape}")
    if present is None:
        return tuples.double(), torch.ones(tuples.shape[:2], dtype=torch.bool, device=tuples.device)
    return tuples.double() * present[..., None], present


@checked
def root(x: Tensor) -> Tensor:
    """Square root with gradient 0 at 0, where the true one is infinite.

    Args:
        x: any shape, >= 0.

    Returns:
        Same shape, >= 0.

    Example:
        >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
        >>> root(x).sum().backward(); x.grad.tolist()
        [0.0, 0.25]
    """
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def _products(
    anchor: Tensor, others: Tensor, present: Tensor | None, lift: bool = False
) -> tuple[Tensor, Tensor, torch.dtype]:
    """Inner products among each tuple (m, k, k) and of tuples with anchors (m, k, n), in float64; the result's dtype.

    Absent items are orthogonal to everything and of length 1: they multiply a determinant by 1.
    """
    if anchor.dim() != 2 or others.dim() != 3 or anchor.shape[1] != others.shape[2]:
        raise ModalignError(
            f"volumes need anchors (n, d) and tuples (m, k, d), got {tuple(anchor.shape)} and {tuple(others.shape)}"
        )
    if present is not None and (present.shape != others.shape[:2] or present.dtype != torch.bool):
        raise ModalignError(
            f"present must be bool of shape {tuple(others.shape[:2])}, got {present.dtype} {tuple(present.shape)}"
        )
    dtype = working(anchor, others)[0].dtype
    a, o = anchor.double(), others.double()  # before the products: those of near-collinear vectors cancel
    m, k, d = o.shape
    square = inner(o, o)
    cross = inner(o.reshape(m * k, d), a).view(m, k, len(a))
    if lift:
        square, cross = 0.5 * (1 + square), 0.5 * (1 + cross)
    if present is not None and (torch.compiler.is_compiling() or not bool(present.all())):
        both = present[:, :, None] & present[:, None, :]
        square = torch.where(both, square, torch.eye(k, dtype=square.dtype, device=square.device))
        cross = torch.where(present[..., None], cross, 0.0)
    return square, cross, dtype


def _adjugate(a: Tensor) -> tuple[Tensor, Tensor]:
    """Determinant and adjugate of small matrices (..., k, k) by Faddeev-LeVerrier: polynomials, so that singular
    matrices need no special case and gradients are exact everywhere."""
    k = a.shape[-1]
    eye = torch.eye(k, dtype=a.dtype, device=a.device)
    power = eye.expand_as(a)
    for step in range(1, k):
        product = a @ power
        power = product - product.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] / step * eye
    sign = 1.0 if k % 2 else -1.0
    det = sign * (a @ power).diagonal(dim1=-2, dim2=-1).sum(-1) / k
    return det, sign * power


def _equal_cosines(cosine: float, count: Tensor, epsilon: float) -> Tensor:
    """log det of the Gram matrix of ``count`` unit vectors at one mutual cosine, plus epsilon I."""
    count = count.double()
    spread = torch.log(torch.full_like(count, 1 - cosine + epsilon))
    return (count - 1) * spread + (1 - cosine + count * cosine + epsilon).log()


__getattr__ = renamed.names_of(__name__)
