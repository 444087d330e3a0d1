"""A two-dimensional map of the shared space, without random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..views import Views

NEIGHBOURS = 12  # joined on the map
STEPS = 120
SPREAD = 20.0  # strength of the push between all points; larger: more room between clusters
JUDGED = 10  # neighbours looked at when the map is judged


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the sampled items lie.

    Args:
        xy: modality -> (n, 2) positions, the whole cloud scaled into [0, 1] x [0, 1].
        rows: modality -> (n,) which items those are.
        links: (modality, index, modality, index) of sampled true pairs of neighbouring modalities.
        groups, all_groups: how many groups were drawn, of how many.
        kept: share of each item's nearest neighbours in the shared space that are also nearest on the map.
        kept_pca: the same for a plain principal-component map.
        nearness: mean map distance within true pairs over that of random items of the two modalities; None: no pairs.
        gap: distance between the means of the two furthest modalities before centring, in the unit sphere.
    """

    xy: dict[str, Tensor]
    rows: dict[str, Tensor]
    links: list[tuple[str, int, str, int]]
    groups: int
    all_groups: int
    kept: float
    kept_pca: float
    nearness: float | None
    gap: float


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hundreds of small steps: handing each to several threads costs far more than it saves on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def project(z: Views, limit: int = 700) -> Layout:
    """Lay out at most about ``limit`` items, whole groups, evenly over the group ids.

    Each modality is centred on its own mean and rows are scaled to unit length again, so that the gap between
    modalities does not fill the map. From the first two principal components, items are then pulled to their
    nearest neighbours and pushed from all others. The true links take no part.
    """
    sample, groups, all_groups = _sample(z, limit)
    names = [m for m in sample.modalities if len(sample[m])]
    means = torch.stack([sample[m].mean(0) for m in names])
    points = torch.cat([normalize(sample[m] - means[i], dim=1) for i, m in enumerate(names)])
    flat = _principal(points)
    placed = force_layout(points, flat)
    xy = dict(zip(names, _fill(placed).split([len(sample[m]) for m in names]), strict=True))
    links = [(a, int(i), b, int(j)) for a, b in pairwise(names) for i, j in sample.paired(a, b).tolist()]
    row = sample.row or {}
    return Layout(
        xy,
        {m: row[m] for m in names},
        links,
        groups,
        all_groups,
        kept_neighbours(points, placed),
        kept_neighbours(points, flat),
        _nearness(xy, links),
        float(torch.cdist(means, means).max()),
    )


@_one_thread()
def places(z: Views, limit: int = 3000) -> Tensor:
    """(n, 2) places of all items, modality after modality, scaled into [0, 1] x [0, 1].

    As ``project`` lays out a sample; beyond ``limit`` items by principal components alone, since the time of the layout
    grows with the square of their number.

    Example:
        >>> places(Views.from_arrays(a=torch.eye(3), b=torch.eye(3))).shape
        torch.Size([6, 2])
    """
    points = torch.cat([normalize(rows - rows.mean(0), dim=1) for rows in z.data.values() if len(rows)])
    flat = _principal(points)
    return _fill(force_layout(points, flat) if len(points) <= limit else flat)


def force_layout(points: Tensor, start: Tensor) -> Tensor:
    """Gradient flow of a pull along the nearest-neighbour graph and a push between all points.

    With w the symmetrised graph of the nearest neighbours (rows sum to about 1) and d the distance on the map,
    E = sum_ij w_ij log(1 + d_ij^2) + (SPREAD / n) sum_ij 1 / (1 + d_ij^2), the first term stronger in early steps.
    All pairs count and nothing is drawn at random, so the same points give the same map.

    Args:
        points: (n, d) unit rows.
        start: (n, 2) first positions.

    Returns: (n, 2) positions.

    Reference: of the attraction-repulsion family described by Böhm, Berens & Kobak 2022 (arXiv 2007.08902).
    """
    n = len(points)
    k = min(NEIGHBOURS, n - 1)
    if k < 1:
        return start
    graph = torch.zeros(n, n).scatter_(1, _nearest(points, k), 1.0)
    graph = (graph + graph.T) / (2 * k)
    y = 3.0 * start / start.std(0).clamp(min=1e-6)
    speed = torch.zeros_like(y)
    for step in range(STEPS):
        square = y.square().sum(1)
        q = 1.0 / (1.0 + (square[:, None] + square[None] - 2.0 * y @ y.T).clamp_(min=0))
        early = 1.0 + 4.0 * (1.0 - step / STEPS) ** 2
        force = q * (early * graph - (SPREAD / n) * q)
        speed = 0.8 * speed - 0.5 * (force.sum(1, keepdim=True) * y - force @ y)
        y = y + speed
    return y


def kept_neighbours(points: Tensor, flat: Tensor, k: int = JUDGED) -> float:
    """Mean share of each row's k nearest rows in ``points`` that are among its k nearest in ``flat``, in [0, 1].

    Example:
        >>> kept_neighbours(torch.eye(4), torch.eye(4), k=3)
        1.0
    """
    k = min(k, len(points) - 1)
    if k < 1:
        return 1.0
    a, b = _nearest(points, k), _nearest(flat, k)
    return float((a[:, :, None] == b[:, None, :]).any(2).double().mean())


def _sample(z: Views, limit: int) -> tuple[Views, int, int]:
    """Whole groups at even steps, those present in several modalities first; rows say which items they are."""
    numbered = Views(z.data, z.group, z.links, {m: torch.arange(len(x)) for m, x in z.data.items()})
    ids = z.group_ids()
    seen = torch.stack([torch.isin(ids, g) for g in z.group.values()]).sum(0)
    shared = ids[seen > 1]
    ids = shared if len(shared) else ids
    per_group = max(1.0, sum(int(torch.isin(g, ids).sum()) for g in z.group.values()) / max(1, len(ids)))
    wanted = max(1, int(limit / per_group))
    if len(ids) > wanted:
        chosen = ids[torch.arange(wanted) * len(ids) // wanted]
        return numbered.groups(chosen), wanted, len(ids)
    return numbered.groups(ids), len(ids), len(ids)


def _principal(points: Tensor) -> Tensor:
    """First two principal components, each with the sign that makes its largest loading positive."""
    centred = points - points.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))
    flat = centred @ axes.T
    return torch.nn.functional.pad(flat, (0, 2 - flat.shape[1]))


def _nearest(points: Tensor, k: int) -> Tensor:
    distance = torch.cdist(points, points)
    distance.fill_diagonal_(torch.inf)
    return distance.topk(k, largest=False).indices


def _fill(y: Tensor) -> Tensor:
    """Positions in [0, 1] per axis; the outermost hundredth is drawn in, so that a stray point costs no room."""
    low, high = y.quantile(0.005, 0), y.quantile(0.995, 0)
    unit = (y - low) / (high - low).clamp(min=1e-6)
    return unit.clamp(-0.03, 1.03).add(0.03).div(1.06)


def _nearness(xy: dict[str, Tensor], links: list[tuple[str, int, str, int]]) -> float | None:
    if not links:
        return None
    pairs = torch.stack([(xy[a][i] - xy[b][j]).norm() for a, i, b, j in links]).mean()
    sides = list(dict.fromkeys((a, b) for a, _, b, _ in links))
    apart = torch.stack([torch.cdist(xy[a], xy[b]).mean() for a, b in sides]).mean()
    return float(pairs / apart.clamp(min=1e-9))
