"""Geodesics of a cloud of points: kNN graph, shortest paths, and how well another cloud preserves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, Shape, checked
from ..cost import Rows, sqeuclidean, unit, working
from .search import knn

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NEAREST = 1e-12  # length of an edge between equal points: a sparse graph would drop an edge of length 0


@checked
def knn_graph(
    x: Rows,
    k: Count = 10,
    *,
    metric: str = "euclidean",
    connect: bool = False,
    near: tuple[Tensor, Tensor] | None = None,
) -> csr_array:
    """Symmetric k-nearest-neighbour graph: an edge where either end has the other among its k nearest.

    Args:
        x: (n, d) points.
        k: neighbours per point.
        metric: "euclidean", or "cosine" (Euclidean distance of the unit rows).
        connect: join separate components by their shortest links, so that every path exists.
        near: Euclidean distances (of unit rows for "cosine") and indices of k neighbours or more, found before.

    Returns:
        (n, n) scipy sparse array of edge lengths > 0 (equal points: 1e-12), symmetric, without diagonal.

    Example:
        >>> knn_graph(torch.tensor([[0.0], [1.0], [3.0]]), k=1).toarray().tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]
    """
    from scipy.sparse.csgraph import connected_components

    x = unit(x.detach()) if metric == "cosine" else working(x.detach())[0]
    distance, index = knn(x, None, k, metric="euclidean") if near is None else (v[:, :k] for v in near)
    rows = np.repeat(np.arange(len(x)), index.shape[1])
    graph = symmetric(len(x), rows, index.flatten().cpu().numpy(), distance.flatten().cpu().numpy())
    while connect:
        parts, label = connected_components(graph, directed=False)
        if parts == 1 or len(x) == 0:
            break
        graph = graph.maximum(_links(x, torch.as_tensor(label, dtype=torch.long, device=x.device)))
    return graph


def edges_of(index: Any) -> csr_array:
    """Symmetric graph with edges of length 1 from a table of neighbours (n, k)."""
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    return symmetric(len(index), rows, index.ravel(), np.ones(index.size))


def symmetric(n: int, rows: Any, columns: Any, lengths: Any) -> csr_array:
    """Graph of n nodes from edges that are given one way or both, then the longer counts; none is below ``NEAREST``."""
    from scipy.sparse import coo_array

    lengths = np.maximum(lengths.astype(np.float64), NEAREST)
    place = np.int32 if n < 2**31 else np.int64  # what scipy's graph routines take everywhere, and half the memory
    graph = coo_array((lengths, (rows.astype(place), columns.astype(place))), shape=(n, n)).tocsr()
    return graph.maximum(graph.T).tocsr()


def _links(x: Tensor, label: Tensor) -> csr_array:
    """The shortest edge from each component to the rest (one round of Boruvka's algorithm)."""
    rows, columns, lengths = [], [], []
    largest = int(torch.bincount(label).argmax())
    for part in label.unique().tolist():
        if part == largest:
            continue
        inside, outside = (label == part).nonzero().flatten(), (label != part).nonzero().flatten()
        distance, index = knn(x[inside], x[outside], 1, metric="euclidean")
        best = int(distance[:, 0].argmin())
        rows.append(int(inside[best]))
        columns.append(int(outside[index[best, 0]]))
        lengths.append(float(distance[best, 0]))
    return symmetric(len(x), np.array(rows), np.array(columns), np.array(lengths))


@checked
def landmarks(x: Rows, count: Count) -> Tensor:
    """Rows that cover a cloud: each next one is the farthest from those chosen, the first from the mean.

    Args:
        x: (n, d). count: how many, >= 1.

    Returns:
        (min(count, n),) row indices.

    Reference: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".

    Example:
        >>> landmarks(torch.tensor([[0.0], [1.0], [2.0], [10.0]]), 2).tolist()
        [3, 0]
    """
    x = working(x.detach())[0]
    gap = (x - x.mean(0, keepdim=True)).square().sum(1)
    chosen: list[int] = []
    for _ in range(min(count, len(x))):
        row = int(gap.argmax())
        away = (x - x[row]).square().sum(1)
        gap = torch.minimum(gap, away) if chosen else away
        chosen.append(row)
    return torch.tensor(chosen, dtype=torch.long, device=x.device)


@checked
def geodesics(frozen: Rows, k: Count = 10, count: Count | None = None) -> tuple[Tensor, Tensor]:
    """Shortest-path distances over the kNN graph of unit rows, from landmarks to all points.

    Args:
        frozen: (n, f) features; scaled to unit rows here.
        k: neighbours in the graph; separate components are joined by their shortest links.
        count: number of landmarks; None: all points (n <= a few thousand).

    Returns:
        landmark rows (l,) and distances (l, n) >= 0, float32.

    Reference: Tenenbaum, de Silva & Langford 2000 (Isomap); landmarks: de Silva & Tenenbaum 2003.

    Example:
        >>> arc = torch.linspace(0, 3.0, 31)
        >>> rows, length = geodesics(torch.stack([arc.cos(), arc.sin()], 1), k=2, count=1)
        >>> 2.9 < length.max() < 3.01
        tensor(True)
    """
    from scipy.sparse.csgraph import dijkstra

    frozen = unit(frozen.detach())
    rows = torch.arange(len(frozen), device=frozen.device) if count is None else landmarks(frozen, count)
    if len(frozen) == 0:
        return rows, torch.zeros(0, 0, device=frozen.device)
    graph = knn_graph(frozen, k, connect=True)
    length = dijkstra(graph, directed=False, indices=rows.cpu().numpy())
    return rows, torch.as_tensor(length, dtype=torch.float32, device=frozen.device)


@checked
def stress(aligned: Rows, rows: Tensor, lengths: Tensor) -> Tensor:
    """How far distances in the shared space are from being proportional to given lengths.

    S = min_a sum (d_lj - a D_lj)^2 / sum d_lj^2 = 1 - (sum d D)^2 / (sum d^2 sum D^2), d_lj = |z_l - z_j|.

    Free of scale: multiplying z or D changes nothing. All rows equal: S = 1, so collapse is not rewarded.

    Args:
        aligned: (n, d); scaled to unit rows here, differentiable.
        rows: (l,) landmark rows. lengths: (l, n) target distances D >= 0, as from ``geodesics``.

    Returns:
        scalar in [0, 1].

    Raises:
        ModalignError: lengths of another shape.

    Reference: Kruskal 1964 (normalised stress).

    Example:
        >>> z = torch.eye(3)
        >>> stress(z, torch.arange(3), 1.0 - torch.eye(3)).item() < 1e-6
        True
    """
    wanted = (rows.numel(), len(aligned))
    if lengths.shape != wanted:
        raise ModalignError(f"lengths must have shape {wanted} (landmarks, items), got {tuple(lengths.shape)}")
    z = unit(aligned)
    squares = sqeuclidean(z[rows], z)
    squares = squares.masked_fill(rows[:, None] == torch.arange(len(z), device=z.device), 0.0)
    apart = squares > 1e-10  # the root has no gradient at 0: equal points count as distance 0, without a gradient
    distance = torch.where(apart, squares, 1.0).sqrt().where(apart, torch.zeros((), device=z.device, dtype=z.dtype))
    target = lengths.to(distance.dtype)
    tiny = torch.finfo(distance.dtype).tiny
    norms = distance.square().sum() * target.square().sum()
    return 1.0 - (distance * target).sum().square() / norms.clamp(min=tiny)


@checked
def geodesic(
    frozen: Annotated[Tensor, Shape("n f", mixed=True)], aligned: Rows, k: Count = 10, landmarks: Count | None = None
) -> Tensor:
    """Preserve the frozen features' geodesic distances: ``stress`` of the aligned items against ``geodesics``.

    Args:
        frozen: (n, f) features on their own manifold. aligned: (n, d) the same items in the shared space.
        k: neighbours in the graph.
        landmarks: number of landmarks; None: all points, sensible for batches of up to about a thousand.

    Returns:
        scalar in [0, 1], differentiable in ``aligned``; 0 for fewer than two items.

    Raises:
        ModalignError: different numbers of rows.

    Example:
        >>> arc = torch.linspace(0, 1.0, 20)
        >>> circle = torch.stack([arc.cos(), arc.sin()], 1)
        >>> geodesic(circle, circle, k=2).item() < 1e-3
        True
    """
    if len(aligned) < 2:
        return aligned.float().sum() * 0.0
    rows, lengths = geodesics(frozen, k, landmarks)
    return stress(aligned, rows, lengths.to(aligned.device))
