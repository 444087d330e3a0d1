"""How embeddings are spread: gap between modalities, alignment and uniformity, intrinsic dimension, hubs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ModalignError
from ..parameters import checked
from .cost import Rows, unit
from .neighbours import knn

ROWS = 2048  # rows of distances held at once


@checked
def gap(x: Tensor, y: Tensor) -> float:
    """Modality gap: distance between the centroids of the unit rows.

    |mean_i x_i / |x_i| - mean_j y_j / |y_j||. Lengths of rows do not matter, nor do the numbers of rows match.

    Args:
        x: (n, d), y: (m, d), n and m >= 1.

    Returns:
        in [0, 2].

    Reference: Liang et al. 2022, "Mind the Gap", arXiv 2203.02053, section 4.

    Example:
        >>> round(gap(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 5.0], [0.0, 1.0]])), 6)
        1.414214
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or len(x) == 0 or len(y) == 0:
        raise ModalignError(f"a gap needs two non-empty sets of one width, got {tuple(x.shape)} and {tuple(y.shape)}")
    return float((unit(x.detach().double()).mean(0) - unit(y.detach().double()).mean(0)).norm())


@checked
def alignment(x: Rows, y: Rows, power: float = 2.0) -> Tensor:
    """Distance of each positive pair of unit rows, to a power; the metric is the mean, 0 is best.

    Args:
        x, y: (p, d): row i of both is a positive pair.
        power: 2 by default.

    Returns:
        (p,) float64 in [0, 2^power].

    Reference: Wang & Isola 2020, arXiv 2005.10242, section 4.1.

    Example:
        >>> alignment(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).tolist()
        [2.0]
    """
    squares = (unit(x.detach().double()) - unit(y.detach().double())).square().sum(1)
    return squares if power == 2.0 else squares ** (power / 2.0)


@checked
def uniformity(x: Rows, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential of all pairs of unit rows; lower is more uniform.

    log mean_{i < j} exp(-t |x_i - x_j|^2), in blocks. 0: all equal.

    Args:
        x: (n, d), n >= 2. t: 2 by default.

    Returns:
        in [-4 t, 0].

    Reference: Wang & Isola 2020, arXiv 2005.10242, section 4.1.

    Example:
        >>> round(uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])), 6)
        -8.0
    """
    if len(x) < 2:
        raise ModalignError(f"uniformity needs at least two rows, got {len(x)}")
    x = unit(x.detach())
    total, n = 0.0, len(x)
    for start in range(0, n, ROWS):
        potential = (2.0 * t * (x[start : start + ROWS] @ x.T - 1.0)).exp_()
        potential.diagonal(start).zero_()
        total += float(potential.sum(dtype=torch.float64))
    return math.log(max(total / (n * (n - 1)), 5e-324))


def intrinsic_dimension(x: Tensor, trim: float = 0.1) -> float:
    """Intrinsic dimension from the ratio of the distances to the second and the first neighbour (TwoNN).

    d = least-squares slope through the origin of -log(1 - F(mu)) against log mu, mu = r2 / r1, F its empirical
    distribution, without the largest ``trim`` share of mu. Points with an equal twin are left out.

    Args:
        x: (n, d); Euclidean distances of the unit rows. trim: in [0, 1).

    Returns:
        > 0; NaN with fewer than five usable points.

    Reference: Facco et al. 2017, "Estimating the intrinsic dimension of datasets", equation 5.

    Example:
        >>> x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
        >>> 1.8 < intrinsic_dimension(x) < 2.2  # unit rows of three coordinates lie on a sphere
        True
    """
    if len(x) < 3:
        return float("nan")
    distance = knn(unit(x.detach().double()), k=2, metric="euclidean")[0]
    distance = distance[distance[:, 0] > 1e-12]
    ratio = (distance[:, 1] / distance[:, 0]).log().sort().values
    keep = int(len(ratio) * (1.0 - trim))
    if keep < 5:
        return float("nan")
    share = torch.arange(1, keep + 1, dtype=torch.float64, device=x.device) / len(ratio)
    logs, rise = ratio[:keep], -torch.log1p(-share.clamp(max=1.0 - 0.5 / len(ratio)))
    square = float(logs.square().sum())
    return float((logs * rise).sum()) / square if square > 0 else float("nan")


def occurrences(queries: Tensor, gallery: Tensor, k: int = 10) -> Tensor:
    """How often each gallery item is among the k nearest of a query, by cosine.

    Args:
        queries: (n, d), gallery: (m, d).

    Returns:
        (m,) int64, summing to n min(k, m).

    Example:
        >>> occurrences(torch.eye(2), torch.tensor([[1.0, 1.0], [-1.0, 0.0]]), k=1).tolist()
        [2, 0]
    """
    index = knn(queries, gallery, k)[1]
    return torch.bincount(index.flatten(), minlength=len(gallery))


def skewness(count: Tensor) -> float:
    """Hubness: skewness of the k-occurrences; 0 for equal use, above 1 a few hubs are everyone's neighbours.

    mean (c - mean c)^3 / std^3; 0 when all are equal.

    Reference: Radovanovic, Nanopoulos & Ivanovic 2010, "Hubs in space", equation 1.

    Example:
        >>> skewness(torch.tensor([1, 1, 1])), round(skewness(torch.tensor([0, 0, 0, 4])), 4)
        (0.0, 1.1547)
    """
    c = count.double() - count.double().mean()
    scale = c.square().mean().sqrt()
    return float(c.pow(3).mean() / scale**3) if scale > 0 else 0.0


def robin_hood(count: Tensor) -> float:
    """Share of the k-occurrences that would have to move for all items to be used alike, in [0, 1].

    sum |c - mean c| / (2 sum c).

    Reference: Feldbauer et al. 2018, "Fast approximate hubness reduction".

    Example:
        >>> robin_hood(torch.tensor([0, 0, 0, 4]))
        0.75
    """
    c = count.double()
    return float((c - c.mean()).abs().sum() / (2.0 * c.sum())) if c.sum() > 0 else 0.0
