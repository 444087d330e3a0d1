"""Orthogonal Procrustes: the rotation that lays one set of points on another, and the distances it leaves."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError


class Fit(NamedTuple):
    """The rotation found and the sum of singular values it reaches, <X R, Y>.

    rotation: (d, d) orthogonal. trace: sum of singular values (the last one negative where a reflection is forbidden).
    """

    rotation: Tensor
    trace: float


def rotation(x: Tensor, y: Tensor, *, reflection: bool = True) -> Fit:
    """The orthogonal matrix R that minimises |X R - Y|_F; nothing is centred or scaled.

    X^T Y = U S V^T, R = U V^T; without reflections the last column of U changes sign where det(U V^T) < 0. Widths that
    differ are filled up with zero columns, so R is square of the larger width.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item.
        reflection: allow det R = -1.

    Returns:
        rotation (d, d) in the inputs' dtype, at least float32, d = max(d1, d2), and the trace.

    Raises:
        ModalignError: different numbers of rows, no rows, or values that are not finite.

    Reference: Schönemann 1966; without reflections: Kabsch 1976.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> rotation(x, x.flip(1)).rotation.abs().round().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    x, y = _checked(x, y)
    u, s, vt = torch.linalg.svd(x.T @ y)
    if not reflection and torch.linalg.det(u @ vt) < 0:
        u = torch.cat([u[:, :-1], -u[:, -1:]], 1)
        s = torch.cat([s[:-1], -s[-1:]])
    return Fit((u @ vt).to(dtype), float(s.sum()))


def disparity(x: Tensor, y: Tensor, *, reflection: bool = True) -> float:
    """Procrustes distance: what remains of two centred, scaled sets after the best rotation and scaling.

    M^2 = min_{a, R} |X' - a Y' R|_F^2 = 1 - (sum s)^2, X', Y' centred with unit Frobenius norm, s the singular values
    of X'^T Y'. It equals scipy.spatial.procrustes' disparity.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item; the narrower one is filled up with zeros.
        reflection: allow mirror images (as scipy does).

    Returns:
        in [0, 1]; 0: equal shapes. Two independent sets approach 1 only for n much larger than d.

    Raises:
        ModalignError: fewer than two rows, different numbers of rows, or a set of equal points (it has no shape).

    Reference: Gower 1975; Dryden & Mardia 2016, "Statistical Shape Analysis", section 4.

    Example:
        >>> a = torch.tensor([[1.0, 3.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
        >>> b = torch.tensor([[4.0, -2.0], [4.0, -4.0], [4.0, -6.0], [2.0, -6.0]])
        >>> round(abs(disparity(a, b)), 9), round(disparity(a, a * torch.tensor([-1.0, 1.0]), reflection=False), 6)
        (0.0, 0.489796)
    """
    return min(1.0, max(0.0, 1.0 - _cosine(x, y, reflection) ** 2))


def shape_distance(x: Tensor, y: Tensor, *, reflection: bool = True) -> float:
    """Riemannian shape distance: the angle between two centred, scaled sets after the best rotation.

    rho = arccos(sum s), s as in ``disparity``. A metric on shapes; disparity = sin(rho)^2.

    Args:
        x, y, reflection: as in ``disparity``.

    Returns:
        radians in [0, pi/2].

    Reference: Kendall 1984; Williams et al. 2021, arXiv 2110.14739 (shape metrics on representations).

    Example:
        >>> shape_distance(torch.eye(3), 2.0 * torch.eye(3)) < 1e-6
        True
    """
    cosine = min(1.0, _cosine(x, y, reflection))
    return 2.0 * math.asin(math.sqrt(max(0.0, (1.0 - cosine) / 2.0)))  # arccos loses half the digits near 1


def size_and_shape(x: Tensor, y: Tensor, *, reflection: bool = True) -> float:
    """Size-and-shape distance: centred, rotated, not scaled.

    min_R |X' - Y' R|_F = sqrt(|X'|^2 + |Y'|^2 - 2 sum s), X', Y' centred. A metric, in the units of the embeddings.

    Args:
        x, y, reflection: as in ``disparity``; sets of equal points are allowed.

    Returns:
        >= 0.

    Reference: Dryden & Mardia 2016, section 5.

    Example:
        >>> x = torch.tensor([[-1.0], [1.0]])
        >>> round(size_and_shape(x, 2 * x), 6)
        1.414214
    """
    x, y = _checked(x, y)
    x, y = x - x.mean(0), y - y.mean(0)
    fit = rotation(x, y, reflection=reflection)
    return math.sqrt(max(0.0, float(x.square().sum() + y.square().sum()) - 2.0 * fit.trace))


def _cosine(x: Tensor, y: Tensor, reflection: bool) -> float:
    """Sum of singular values of the centred, scaled sets."""
    x, y = _checked(x, y)
    if len(x) < 2:
        raise ModalignError(f"a shape needs at least two points, got {len(x)}")
    centred = []
    for name, points in (("first", x), ("second", y)):
        centre = points - points.mean(0)
        if centre.norm() <= 1e-12 * points.norm():
            raise ModalignError(f"all points of the {name} set are equal: such a set has no shape to compare")
        centred.append(centre / centre.norm())
    return rotation(centred[0], centred[1], reflection=reflection).trace


def _checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64 and of one width."""
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y):
        raise ModalignError(
            f"two sets with one row per shared item are needed, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if len(x) == 0 or x.shape[1] == 0 or y.shape[1] == 0:
        raise ModalignError(f"the sets are empty: {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = x.detach().double(), y.detach().double()
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ModalignError("the sets have NaN or infinite values: remove these rows first")
    width = max(x.shape[1], y.shape[1])
    return _widen(x, width), _widen(y, width)


def _widen(x: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, width - x.shape[1])) if x.shape[1] < width else x
