"""Orthogonal Procrustes: the rotation that lays one set of points on another, and the distances it leaves."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError
from ..parameters import Count, Number, checked


class Rotation(NamedTuple):
    """The rotation found and the sum of singular values it reaches, <X R, Y>.

    rotation: (d, d) orthogonal. trace: sum of singular values (the last one negative where a reflection is forbidden).
    """

    rotation: Tensor
    trace: float


@checked
def rotation(x: Tensor, y: Tensor, *, reflection: bool = True) -> Rotation:
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
    return Rotation((u @ vt).to(dtype), float(s.sum()))


@checked
def spread(x: Tensor) -> float:
    """Frobenius norm about the mean, in float64; exactly 0 for equal points.

    Example:
        >>> spread(torch.full((7, 2), 0.1)), round(spread(torch.tensor([[-1.0], [1.0]])), 6)
        (0.0, 1.414214)
    """
    x = x.detach().double()
    size = float((x - x.mean(0)).norm())
    return 0.0 if size <= 1e-12 * float(x.norm()) else size


class Distances(NamedTuple):
    """How far two shapes are apart after the best rotation; see ``distances``."""

    disparity: float
    angle: float
    size_and_shape: float


@checked
def distances(x: Tensor, y: Tensor, *, reflection: bool = True) -> Distances:
    """Three Procrustes distances between two sets, from one set of singular values.

    X', Y' centred, s the singular values of X'^T Y' (the last one negative where the best rotation would be a
    reflection and none is allowed), c = sum s / (|X'| |Y'|):

    disparity = min_{a, R} |X' / |X'| - a Y' R|^2 = 1 - c^2, in [0, 1]; scipy.spatial.procrustes' number.
    angle = arccos c, in [0, pi/2] radians; the Riemannian shape distance, a metric; disparity = sin(angle)^2.
    size_and_shape = min_R |X' - Y' R| = sqrt(|X'|^2 + |Y'|^2 - 2 sum s), a metric, in the units of the embeddings.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item; the narrower one is filled up with zeros.
        reflection: allow mirror images (as scipy does).

    Returns:
        the three distances. Two unrelated sets reach disparity 1 only for n much larger than d.

    Raises:
        ModalignError: fewer than two rows, different numbers of rows, values that are not finite, or a set of equal
            points (it has no shape).

    Reference: Gower 1975; Kendall 1984; Dryden & Mardia 2016, "Statistical Shape Analysis", sections 4 and 5; on
        representations: Williams et al. 2021, arXiv 2110.14739.

    Example:
        >>> a = torch.tensor([[1.0, 3.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
        >>> mirror = a * torch.tensor([-1.0, 1.0])
        >>> round(abs(distances(a, mirror).disparity), 9), round(distances(a, mirror, reflection=False).disparity, 6)
        (0.0, 0.489796)
    """
    x, y = _checked(x, y)
    (x, x_size), (y, y_size) = _centred("first", x), _centred("second", y)
    cross = (x / x_size).T @ (y / y_size)
    singular = torch.linalg.svdvals(cross)
    cosine = float(singular.sum())
    if not reflection and torch.linalg.slogdet(cross).sign < 0:
        cosine -= 2.0 * float(singular[-1])
    cosine = min(1.0, cosine)
    angle = 2.0 * math.asin(math.sqrt(max(0.0, (1.0 - cosine) / 2.0)))  # arccos loses half the digits near 1
    rest = (x_size - y_size) ** 2 + 2.0 * x_size * y_size * (1.0 - cosine)
    return Distances((1.0 - cosine) * (1.0 + cosine), angle, math.sqrt(max(0.0, rest)))


@checked
def disparity(x: Tensor, y: Tensor, *, reflection: bool = True) -> float:
    """Procrustes distance between two sets, scipy's disparity: 1 - (sum s)^2 of the centred, scaled sets.

    Args, Returns, Raises, Reference: see ``distances``.

    Example:
        >>> a = torch.tensor([[1.0, 3.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
        >>> b = torch.tensor([[4.0, -2.0], [4.0, -4.0], [4.0, -6.0], [2.0, -6.0]])
        >>> round(disparity(a, b), 9)
        0.0
    """
    return distances(x, y, reflection=reflection).disparity


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


def _centred(name: str, x: Tensor) -> tuple[Tensor, float]:
    """The points of a shape about their mean, and their ``spread``, which is not 0."""
    if len(x) < 2:
        raise ModalignError(f"a shape needs at least two points, got {len(x)}")
    size = spread(x)
    if size == 0.0:
        raise ModalignError(f"all points of the {name} set are equal: such a set has no shape to compare")
    return x - x.mean(0), size


class FreeOfSpectrum(NamedTuple):
    """Distances between two sets that stretching their principal axes does not move; see ``free_of_spectrum``."""

    whitened: float
    given_spectra: float


@checked
def free_of_spectrum(x: Tensor, y: Tensor, rank: Count, null: Number = 3) -> FreeOfSpectrum:
    """How far two shapes are apart in direction alone, whatever the variances along their principal axes.

    X' = U S V^T, Y' = P T Q^T the centred sets, each cut to its ``rank`` leading axes; s the singular values of U^T P.

    whitened = 1 - (sum s / rank)^2: the disparity of both sets with all their axes scaled to one length. Raising the
    variances to any power that keeps the leading axes leading does not change it.
    given_spectra = 1 - (c - c_0) / (c_max - c_0), c = sum svdvals(S U^T P T): what is left of the greatest agreement
    that sets of these very spectra can have, c_max = sum S T, beyond that of random pairs, c_0.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item. rank: axes kept, at most. null: random pairings.

    Returns: both distances, 0 where the sets agree and about 1 by chance; whitened in [0, 1]. No more axes are kept
        than both sets have.

    Raises:
        ModalignError: as ``distances``.

    Example:
        >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> y = x * torch.tensor([1.0, 1.2, 1.4, 9.0])
        >>> round(disparity(x, y), 2) > 0.3, round(free_of_spectrum(x, y, 4).whitened, 6)
        (True, 0.0)
    """
    x, y = _checked(x, y)
    (u, s), (p, t) = _axes(_centred("first", x)[0]), _axes(_centred("second", y)[0])
    keep = min(rank, len(s), len(t))
    u, s, p, t = u[:, :keep], s[:keep] / s[:keep].norm(), p[:, :keep], t[:keep] / t[:keep].norm()
    whitened = float(torch.linalg.svdvals(u.T @ p).sum()) / keep

    def agreement(order: Tensor) -> float:
        return float(torch.linalg.svdvals(s[:, None] * (u.T @ p[order]) * t).sum())

    draw = torch.Generator().manual_seed(0)
    chance = [agreement(torch.randperm(len(x), generator=draw)) for _ in range(null)]
    least, most = sum(chance) / max(1, null), float(s @ t)
    here = agreement(torch.arange(len(x)))
    rest = 1.0 if most <= least else 1.0 - (here - least) / (most - least)
    return FreeOfSpectrum(min(1.0, max(0.0, 1.0 - whitened**2)), max(0.0, rest))


def _axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors and singular values of the rows, those of no variance left out."""
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    live = values > 1e-9 * values[0]
    return left[:, live], values[live]
