"""Canonical correlation analysis: linear maps under which the known pairs of two or more views agree.

The pieces are separate because they are reused apart: own covariances come from all items of a view, paired or
not (`principal_axes`), cross-covariances from whatever links are known or guessed (`cross_covariance`), and the
canonical directions from both (`canonical`). `cca` runs the three in turn. All arithmetic is in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from .. import renamed
from ..errors import ModalignError
from ..parameters import Dim, Shape, Weight, checked
from .leading import singular
from .pairs import known_pairs

Links = tuple[Tensor, Tensor | None]  # (p, 2) row pairs and (p,) weights, None = equal


ROWS = 4096  # rows that are turned into float64 at once, so that they stay in cache


class PrincipalAxes(NamedTuple):
    """Principal axes of one view, from all its items.

    mean: (d,). values: (r,) variances, descending, positive. axes: (d, r), orthonormal columns.
    total: mean variance per feature, tr(C) / d, the unit of the ridge.
    """

    mean: Tensor
    values: Tensor
    axes: Tensor
    total: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """(n, d) rows as (n, r) centred coordinates on the axes."""
        return (x.to(self.mean) - self.mean) @ self.axes

    def scale(self, ridge: float) -> Tensor:
        """(r,) whitening factors (values + ridge * total) ** -1/2."""
        return (self.values + ridge * self.total).rsqrt()


class Canonical(NamedTuple):
    """Linear maps into the shared space: z = (x - means[m]) @ bases[m] @ directions[m].

    means: per view (d_m,). bases: per view (d_m, r_m), from centred features to whitened coordinates.
    directions: per view (r_m, k), canonical directions in these coordinates, scaled by correlations ** power.
    correlations: (k,) in [0, 1], descending.
    """

    means: tuple[Tensor, ...]
    bases: tuple[Tensor, ...]
    directions: tuple[Tensor, ...]
    correlations: Tensor

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Per view (d_m, k): basis and directions in one."""
        return tuple(b @ d for b, d in zip(self.bases, self.directions, strict=True))

    def project(self, view: int, x: Tensor) -> Tensor:
        """(n, d_m) items of one view as (n, k) float64 vectors, not normalised."""
        return (x.to(self.means[view]) - self.means[view]) @ self.bases[view] @ self.directions[view]


@checked
def principal_axes(x: Tensor, weight: Tensor | None = None, most: int | None = None) -> PrincipalAxes:
    """Principal axes of the rows of x.

    C = sum_i w_i (x_i - mean)(x_i - mean)^T / sum_i w_i = axes diag(values) axes^T; directions whose variance is
    below 1e-12 of the largest are dropped (there are at most n - 1 others).

    Args:
        x: (n, d), n >= 2.
        weight: (n,) non-negative, default equal.
        most: keep at most so many leading axes.

    Raises:
        ModalignError: fewer than two rows, or rows that are all equal.

    Example:
        >>> found = principal_axes(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> [round(v, 6) for v in found.values.tolist()]
        [1.0]
    """
    if x.ndim != 2 or len(x) < 2:
        raise ModalignError(f"a covariance needs at least two rows (n, d), got shape {tuple(x.shape)}")
    if weight is None and len(x) > max(ROWS, x.shape[1]):
        return principal_axes_of(x.split(ROWS), most)
    x = x.double()
    w = torch.full((len(x),), 1.0 / len(x), dtype=x.dtype, device=x.device) if weight is None else weight.to(x)
    w = w / w.sum()
    mean = w @ x
    centred = (x - mean) * w.sqrt()[:, None]
    # The smaller of the two Gram matrices has the same non-zero eigenvalues and is cheaper to decompose.
    if len(x) >= x.shape[1]:
        values, axes = _eigen(centred.T @ centred)
        return _leading(mean, values, axes, most, len(x))
    values, left = _eigen(centred @ centred.T)
    return _leading(mean, values, centred.T @ left / values.clamp(min=1e-300).sqrt(), most, len(x))


@checked
def principal_axes_of(
    blocks: Iterable[Tensor],
    most: int | None = None,
    centre: Tensor | None = None,
    total: Callable[[Tensor], Tensor] = lambda x: x,
) -> PrincipalAxes:
    """Principal axes of rows that come in blocks, each read once: those of `principal_axes`, to rounding.

    Sums are taken about the mean of the first block, so that a far mean costs no digits.

    Args:
        blocks: (n_i, d) each, none empty.
        most: keep at most so many leading axes.
        centre: (d,) about which sums are taken; None: the mean of the first block.
        total: adds up sums that several processes took, each over its own blocks, which may then be none; they need
            one centre.

    Raises:
        ModalignError: fewer than two rows, or rows that are all equal.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> principal_axes_of(x.split(1)).values
        tensor([1.], dtype=torch.float64)
    """
    waiting = iter(blocks)
    if centre is None:
        first = next(waiting, None)
        second = next(waiting, None)
        if first is None or second is None:
            return principal_axes(torch.empty(0, 0) if first is None else first, most=most)
        centre, waiting = first.double().mean(0), chain((first, second), waiting)
    rows, away, gram = 0, torch.zeros_like(centre), centre.new_zeros(len(centre), len(centre))
    for block in waiting:
        about = block.double() - centre
        rows, away = rows + len(about), away + about.sum(0)
        gram.addmm_(about.T, about)
    count = int(total(torch.tensor(rows)))
    shift, gram = total(away) / count, total(gram)
    gram = (gram / count).addr_(shift, shift, alpha=-1.0)
    values, axes = _eigen(gram)
    return _leading(centre + shift, values, axes, most, count)


def _eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Rising eigenvalues and their vectors."""
    if not gram.isfinite().all():
        raise ModalignError("rows hold NaN or infinite values: they have no principal axes")
    return torch.linalg.eigh(gram)


def _leading(mean: Tensor, values: Tensor, axes: Tensor, most: int | None, count: int) -> PrincipalAxes:
    """Principal axes from rising eigenvalues with their vectors, without directions of no variance."""
    values, axes = values.flip(0), axes.flip(1)
    spread = axes.square() @ values.clamp(min=0)  # variance of each feature
    varies = bool((spread > 1e-14 * mean.square()).any())  # below it is the rounding of single precision
    rank = int((values > 1e-12 * values[0]).sum()) if varies else 0
    if rank == 0:
        raise ModalignError(f"all {count} rows are equal: there is no variance to align")
    total = values.clamp(min=0).sum() / len(mean)
    rank = rank if most is None else min(rank, most)
    return PrincipalAxes(mean, values[:rank], axes[:, :rank], total)


@checked
def cross_covariance(
    x: Annotated[Tensor, Shape("n a")],
    y: Annotated[Tensor, Shape("m b")],
    pairs: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Weighted cross-covariance of centred rows over known pairs.

    C_xy = sum_p w_p x_{i_p} y_{j_p}^T / sum_p w_p. The rows are taken as they are: centre them first, by the means
    of all items, which are better known than those of a few pairs.

    Args:
        x: (n, a) centred rows. y: (m, b) centred rows.
        pairs: (p, 2) row indices, default row-aligned.
        weight: (p,) non-negative, default equal. With five captions to a photo 1/5 lets each photo count once.

    Returns: (a, b).

    Raises:
        ModalignError: no pairs, or x and y are not row-aligned and no pairs are given.

    Example:
        >>> cross_covariance(torch.eye(2), torch.eye(2), torch.tensor([[0, 1]]))
        tensor([[0., 1.],
                [0., 0.]])
    """
    if pairs is None:
        if len(x) != len(y):
            raise ModalignError(f"without pairs x and y must be row-aligned, got {len(x)} and {len(y)} rows")
        pairs = torch.arange(len(x), device=x.device)[:, None].expand(-1, 2)
    pairs = known_pairs(pairs, len(x), len(y))
    if len(pairs) == 0:
        raise ModalignError("a cross-covariance needs at least one pair")
    w = torch.ones(len(pairs), dtype=x.dtype, device=x.device) if weight is None else weight.to(x)
    return (x[pairs[:, 0]] * (w / w.sum())[:, None]).T @ y[pairs[:, 1]]


@checked
def canonical(
    principal: Sequence[PrincipalAxes],
    cross: Mapping[tuple[int, int], Tensor],
    dim: Dim = 256,
    ridge: Weight = 1.0,
    power: Weight = 0.5,
) -> Canonical:
    """Canonical directions from own principal axes and cross-covariances in their coordinates.

    With whitened blocks T_ab = S_a C_ab S_b, S = (values + ridge * total) ** -1/2: two views take the singular
    triplets T = U diag(s) V^T, and the maps are W_a = axes_a S_a U s^power. More views take the leading
    eigenvectors of the matrix of all blocks T_ab with zero diagonal blocks, whose eigenvalues over (M - 1) are s
    (for two views this is the same thing).

    Args:
        principal: axes, per view.
        cross: (a, b), a < b -> (r_a, r_b) cross-covariance of coordinates. Absent pairs of views count as zero.
        dim: directions to keep at most; those with s below 1e-9 of the largest are dropped too.
        ridge: r >= 0, in units of the mean variance. Few pairs want 1 to 10.
        power: p >= 0, how strongly well correlated directions dominate the cosine.

    Raises:
        ModalignError: fewer than two views, no cross-covariance, or one that is zero.

    Reference: Hotelling 1936; Vinod 1976 (ridge); Kettenring 1971 (several sets).
    """
    if len(principal) < 2 or not cross:
        raise ModalignError(f"canonical correlation needs two views with known pairs, got {len(principal)} views")
    scales = [s.scale(ridge) for s in principal]
    blocks = {(a, b): scales[a][:, None] * c.double() * scales[b] for (a, b), c in cross.items()}
    if len(principal) == 2:
        left, s, right = singular(blocks[0, 1], dim)
        vectors = [left, right]
    else:
        vectors, s = _generalised(blocks, [len(v) for v in scales])
    keep = int((s[:dim] > 1e-9 * s[0]).sum()) if s[0] > 0 else 0
    if keep == 0:
        raise ModalignError("the known pairs have no cross-covariance: the views share nothing linear")
    s = s[:keep]
    return Canonical(
        means=tuple(p.mean for p in principal),
        bases=tuple(p.axes * w for p, w in zip(principal, scales, strict=True)),
        directions=tuple(v[:, :keep] * s**power for v in vectors),
        correlations=s.clamp(max=1.0),
    )


def _generalised(blocks: Mapping[tuple[int, int], Tensor], sizes: list[int]) -> tuple[list[Tensor], Tensor]:
    """Leading eigenvectors of the symmetric matrix of off-diagonal blocks, split by view, and s."""
    start = [sum(sizes[:m]) for m in range(len(sizes) + 1)]
    whole = torch.zeros(start[-1], start[-1], dtype=torch.float64, device=next(iter(blocks.values())).device)
    for (a, b), block in blocks.items():
        whole[start[a] : start[a + 1], start[b] : start[b + 1]] = block
        whole[start[b] : start[b + 1], start[a] : start[a + 1]] = block.T
    values, vectors = torch.linalg.eigh(whole)
    values, vectors = values.flip(0), vectors.flip(1)
    # Each part has norm about M ** -1/2; scaling by M ** 1/2 makes the maps comparable with those of two views.
    parts = [vectors[start[m] : start[m + 1]] * len(sizes) ** 0.5 for m in range(len(sizes))]
    return parts, values / (len(sizes) - 1)


@checked
def cca(
    views: Sequence[Tensor],
    links: Mapping[tuple[int, int], Links] | None = None,
    dim: Dim = 256,
    ridge: Weight = 1.0,
    power: Weight = 0.5,
) -> Canonical:
    """Regularised canonical correlation of two or more views, of any lengths and widths, with partial pairs.

    Own covariances use every row, cross-covariances the linked ones. See `canonical` for the formula.

    Args:
        views: per view (n_m, d_m).
        links: (a, b), a < b -> ((p, 2) row pairs, (p,) weights or None); default: all views are row-aligned.
        dim, ridge, power: as in `canonical`.

    Raises:
        ModalignError: as in `principal_axes`, `cross_covariance` and `canonical`.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> fit = cca([x, x.flip(1)], ridge=0.0)
        >>> [round(v, 6) for v in fit.correlations.tolist()]
        [1.0, 1.0]
    """
    principal = [principal_axes(x) for x in views]
    if links is None:
        every = combinations(range(len(views)), 2)
        cross = {(a, b): _aligned_cross(views[a], views[b], principal[a], principal[b]) for a, b in every}
    else:
        coordinates = [s.coordinates(x) for s, x in zip(principal, views, strict=True)]
        cross = {(a, b): cross_covariance(coordinates[a], coordinates[b], p, w) for (a, b), (p, w) in links.items()}
    return canonical(principal, cross, dim, ridge, power)


def _aligned_cross(x: Tensor, y: Tensor, of_x: PrincipalAxes, of_y: PrincipalAxes) -> Tensor:
    """The cross-covariance of row-aligned views in their coordinates: turned once, after all rows are summed."""
    if len(x) != len(y):
        raise ModalignError(f"without pairs x and y must be row-aligned, got {len(x)} and {len(y)} rows")
    total = of_x.mean.new_zeros(len(of_x.mean), len(of_y.mean))
    for a, b in zip(x.split(ROWS), y.split(ROWS), strict=True):
        total.addmm_((a.to(of_x.mean) - of_x.mean).T, b.to(of_y.mean) - of_y.mean)
    return of_x.axes.T @ (total / len(x)) @ of_y.axes


__getattr__ = renamed.names_of(__name__)
