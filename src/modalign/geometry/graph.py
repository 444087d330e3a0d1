"""Connectivity of neighbour graphs: how much of a space hangs together, and across modalities.

Graphs are scipy sparse arrays as ``knn_graph`` makes them: symmetric, without diagonal. Spectra and edge counts look at
which edges exist, not at their lengths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from .. import renamed
from ..errors import ModalignError
from ..parameters import Count, checked
from .cost import Rows
from .neighbours import knn, knn_graph
from .neighbours.geodesic import edges_of

DENSE = 600  # nodes up to which spectra are computed from full matrices
EXACT = 3000  # points up to which merge lengths come from all distances


class SpectralGaps(NamedTuple):
    """algebraic_connectivity: second eigenvalue of D - A, in [0, n]; gap: of I - D^-1/2 A D^-1/2, in [0, 2]."""

    algebraic_connectivity: float
    gap: float


@checked
def components(graph: csr_array) -> tuple[int, float]:
    """Number of connected components and the share of nodes in the largest.

    Example:
        >>> components(knn_graph(torch.tensor([[0.0], [1.0], [9.0], [10.0], [11.0]]), k=1))
        (2, 0.6)
    """
    from scipy.sparse.csgraph import connected_components

    if graph.shape[0] == 0:
        return 0, 0.0
    count, label = connected_components(graph, directed=False)
    return int(count), float(np.bincount(label).max() / len(label))


@checked
def spectral_gaps(graph: csr_array) -> SpectralGaps:
    """How well a graph is knit: 0 when it falls apart, larger when no few edges hold it together.

    Args:
        graph: (n, n) symmetric; only which entries exist counts.

    Returns:
        both second eigenvalues; exactly 0 for a graph of several components; NaN for fewer than two nodes.

    Reference: Fiedler 1973; Chung 1997, "Spectral graph theory", chapter 1.

    Example:
        >>> path = knn_graph(torch.tensor([[0.0], [1.0], [2.1]]), k=1)
        >>> [round(v, 6) for v in spectral_gaps(path)]
        [1.0, 1.0]
    """
    n = graph.shape[0]
    if n < 2:
        return SpectralGaps(float("nan"), float("nan"))
    if components(graph)[0] > 1:
        return SpectralGaps(0.0, 0.0)
    adjacency = (graph != 0).astype(np.float64).tocsr()
    degree = np.asarray(adjacency.sum(1)).ravel()
    if n <= DENSE:
        full = adjacency.toarray()
        root = np.sqrt(degree)
        plain = np.linalg.eigvalsh(np.diag(degree) - full)[1]
        walk = np.linalg.eigvalsh(np.eye(n) - full / root[:, None] / root[None, :])[1]
        return SpectralGaps(float(plain), float(walk))
    return SpectralGaps(_second(adjacency, degree, normalised=False), _second(adjacency, degree, normalised=True))


def _second(adjacency: csr_array, degree: np.ndarray, normalised: bool) -> float:
    """Second smallest eigenvalue of a connected graph's Laplacian, to 1e-5 of itself.

    By Lanczos on the inverse beside the known null vector, where it is the largest: of the Laplacian itself it would
    be found to 1e-5 of the greatest eigenvalue, which of a chain or of clusters is many times as much.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import LinearOperator, cg, eigsh

    n = len(degree)
    root = np.sqrt(degree) if normalised else np.ones(n)
    scale = diags_array(1.0 / root)
    laplacian = (scale @ (diags_array(degree) - adjacency) @ scale).tocsr()
    null, nearly = root / np.linalg.norm(root), diags_array(root**2 / degree)

    def inverse(v: np.ndarray) -> np.ndarray:
        v = v.ravel()
        x, _ = cg(laplacian, v - null * (null @ v), rtol=1e-8, M=nearly)
        return x - null * (null @ x)

    start = np.random.default_rng(0).standard_normal(n)
    operator = LinearOperator((n, n), matvec=inverse, dtype=np.float64)
    return 1.0 / float(eigsh(operator, k=1, which="LA", v0=start, ncv=8, tol=1e-5, return_eigenvectors=False)[0])


@checked
def connecting_k(x: Rows, *, metric: str = "cosine", near: Tensor | None = None) -> int:
    """The smallest k whose symmetric k-nearest-neighbour graph is connected; 0 for fewer than two points.

    Args:
        x: (n, d). metric: "cosine" or "euclidean".
        near: (n, k) indices of some neighbours by this metric, nearest first, found before.

    Example:
        >>> connecting_k(torch.tensor([[0.0], [1.0], [5.0], [6.0]]), metric="euclidean")
        2
    """
    n = len(x)
    if n < 2:
        return 0
    reach = min(16, n - 1) if near is None else near.shape[1]
    index = (knn(x, k=reach, metric=metric)[1] if near is None else near).cpu().numpy()

    def connected(k: int) -> bool:
        return components(edges_of(index[:, :k]))[0] == 1

    while not connected(reach):
        reach = min(2 * reach, n - 1)
        index = knn(x, k=reach, metric=metric)[1].cpu().numpy()
    low, high = 1, reach
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if connected(middle) else (middle + 1, high)
    return low


@checked
def cross_edges(graph: csr_array, label: Tensor) -> tuple[float, float]:
    """Share of edges that join different labels (modalities), and the share expected if labels were dealt at random.

    Args:
        graph: (n, n) symmetric. label: (n,) integers.

    Returns:
        (share, expected): expected = 1 - sum_m n_m (n_m - 1) / (n (n - 1)); NaN without edges.

    Example:
        >>> graph = knn_graph(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), k=1)
        >>> cross_edges(graph, torch.tensor([0, 1, 0, 1]))[0]
        1.0
    """
    kinds = _labels(graph, label)
    i, j = graph.nonzero()
    n = len(kinds)
    if len(i) == 0:
        return float("nan"), float("nan")
    count = np.bincount(np.unique(kinds, return_inverse=True)[1]).astype(float)
    return float((kinds[i] != kinds[j]).mean()), float(1.0 - (count * (count - 1)).sum() / (n * (n - 1)))


@checked
def conductance(graph: csr_array, label: Tensor) -> float:
    """Least conductance over the labels: how hard a modality's part of the graph is to leave; 0 when it is apart.

    min over labels S of cut(S, rest) / min(vol S, vol rest), each edge counted once per end.

    Args:
        graph: (n, n) symmetric. label: (n,) integers, at least two different.

    Returns:
        in [0, 1]; NaN if a side has no edges.

    Reference: Chung 1997, chapter 2.

    Example:
        >>> graph = knn_graph(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), k=1)
        >>> conductance(graph, torch.tensor([0, 1, 0, 1])), conductance(graph, torch.tensor([0, 0, 1, 1]))
        (1.0, 0.0)
    """
    kinds = _labels(graph, label)
    i, j = graph.nonzero()
    values = []
    for kind in np.unique(kinds):
        inside = kinds == kind
        volume = min(inside[i].sum(), (~inside)[i].sum())
        values.append(float("nan") if volume == 0 else float((inside[i] & ~inside[j]).sum() / volume))
    return float(np.min(values)) if len(values) > 1 else float("nan")


@checked
def merge_lengths(
    x: Rows, k: Count = 15, *, metric: str = "cosine", near: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Distances at which components merge as balls grow: the 0-dimensional persistence of a cloud of points.

    They are the edge lengths of the minimum spanning tree, rising.

    Args:
        x: (n, d) points.
        k: beyond 3,000 points the tree is taken from the k-nearest-neighbour graph joined by shortest links, an upper
            bound that is nearly always exact.
        metric: "euclidean", or "cosine" (Euclidean distance of unit rows).
        near: distances and indices of k neighbours or more, found before; see ``knn_graph``.

    Returns:
        (n - 1,) float64.

    Reference: Edelsbrunner & Harer 2010, "Computational Topology", chapter VII.

    Example:
        >>> merge_lengths(torch.tensor([[0.0], [1.0], [5.0], [5.5]]), metric="euclidean").tolist()
        [0.5, 1.0, 4.0]
    """
    from scipy.sparse.csgraph import minimum_spanning_tree

    if len(x) < 2:
        return torch.empty(0, dtype=torch.float64)
    x = x.detach().double()
    if metric == "cosine":
        x = torch.nn.functional.normalize(x, dim=1)
    if len(x) <= EXACT:
        return _prim(x, _apart(x, metric)).sort().values
    tree = minimum_spanning_tree(knn_graph(x, k, connect=True, near=near))
    return torch.as_tensor(np.sort(tree.data))


def _apart(x: Tensor, metric: str) -> Tensor:
    """(n, n) numbers in the order of all distances; of unit rows from one product, which is several times quicker.

    A product loses the digits of what is short beside the whole set, as points of one cluster among far ones are.
    """
    if metric == "euclidean":
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    x = x - x.mean(0)
    squares = x.square().sum(1)
    return (squares[:, None] + squares[None, :]).addmm_(x, x.T, alpha=-2.0)


def _prim(x: Tensor, distance: Tensor) -> Tensor:
    """Edge lengths of the minimum spanning tree of all distances, in the order of growth.

    The tree is grown on distances (n, n), which are used up; the lengths of its edges are then taken from the points.
    """
    n = len(x)
    nearest, parent = x.new_full((n,), torch.inf), torch.zeros(n, dtype=torch.long, device=x.device)
    order, new = [], 0
    for _ in range(n - 1):
        distance[:, new] = torch.inf  # nobody reaches what is inside: it stays at infinity
        nearest[new] = torch.inf
        closer = distance[new] < nearest
        nearest = torch.where(closer, distance[new], nearest)
        parent.masked_fill_(closer, new)
        new = int(nearest.argmin())
        order.append(new)
    ends = torch.tensor(order, device=x.device)
    return (x[ends] - x[parent[ends]]).square().sum(1).sqrt().cpu()


def _labels(graph: csr_array, label: Tensor) -> np.ndarray:
    if label.shape != (graph.shape[0],):
        raise ModalignError(
            f"one label per node is needed: {graph.shape[0]} nodes, labels of shape {tuple(label.shape)}"
        )
    return label.cpu().numpy()


__getattr__ = renamed.names_of(__name__)
