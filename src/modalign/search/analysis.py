"""Why a result was found: neighbours, what each part of the query adds, the path between them, and hubs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..geometry.neighbours import knn
from ..geometry.neighbours.geodesic import symmetric
from ..geometry.spread import occurrences
from .gallery import Gallery
from .layout import layout
from .part import Match, Place

NODES = 1500  # items of each modality in the neighbourhood graph
WITHIN, ACROSS = 8, 3  # edges of an item to its own modality and to each other one
NEAR = 10  # depth at which hubs are counted
SCORES = 4e8  # comparisons spent on counting hubs


class Hubs(NamedTuple):
    """How often each item is among the nearest of a query.

    counts: (rows,) of how many queries. queries: how many were asked. expected: mean count. limit: a hub has more.
    """

    counts: np.ndarray
    queries: int
    expected: float
    limit: float


class Step(NamedTuple):
    """A node of a path: the item (None: the query), and the cosine with the node before it."""

    place: Place | None
    cosine: float | None


class Path(NamedTuple):
    """A shortest path on the sphere through the neighbourhood graph.

    length: sum of its steps' chord lengths. direct: chord from end to end. chance: median length to a random item of
    the modality. Lengths in [0, 2] per step.
    """

    steps: list[Step]
    length: float
    direct: float
    chance: float


class Analysis:
    """Facts about a gallery, worked out when they are first asked for."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._lock = threading.RLock()
        self._hubs: dict[str, Hubs | None] = {}
        self._graph: Graph | None = None
        self._layout: dict[str, Any] | None = None

    def hubs(self, modality: str) -> Hubs | None:
        """k-occurrences of a modality's items for queries of the other modalities; None where there are no others.

        A hub is in the lists of more than three standard deviations above the mean, and of more than three times it.

        Reference: Radovanovic, Nanopoulos & Ivanovic 2010, "Hubs in space".
        """
        with self._lock:
            if modality not in self._hubs:
                self._hubs[modality] = self._count(modality)
            return self._hubs[modality]

    def _count(self, modality: str) -> Hubs | None:
        g = self.gallery
        others = [m for m in g.modalities if m != modality and g.count(m)]
        alive = np.flatnonzero(g.alive(modality))
        if not others or len(alive) <= NEAR:
            return None
        limit = int(min(2000, max(100, SCORES / len(alive)))) // len(others)
        queries = np.concatenate([g.vectors(m, g.sample(m, limit)) for m in others])
        found = occurrences(torch.from_numpy(queries), torch.from_numpy(g.vectors(modality, alive)), NEAR).numpy()
        count = np.zeros(g.rows(modality), np.int64)
        count[alive] = found
        expected = len(queries) * NEAR / len(alive)
        return Hubs(count, len(queries), expected, max(found.mean() + 3 * found.std(), 3 * expected))

    def hub(self, place: Place) -> dict[str, Any] | None:
        """A warning about a hub: in how many lists it is, of how many, and what is usual; None for other items."""
        hubs = self.hubs(place.modality)
        if hubs is None or hubs.counts[place.row] <= hubs.limit:
            return None
        return {
            "count": int(hubs.counts[place.row]),
            "queries": hubs.queries,
            "expected": round(hubs.expected, 2),
            "k": NEAR,
        }

    def neighbours(self, vector: np.ndarray, k: int = 5, without: Place | None = None) -> dict[str, list[Match]]:
        """The k nearest items of a vector in each modality."""
        out = {}
        for m in self.gallery.modalities:
            found = self.gallery.nearest(vector, [m], k + 1)
            out[m] = [f for f in found if f.place != without][:k]
        return out

    def path(self, vector: np.ndarray, place: Place) -> Path | None:
        """The geodesic between a query and a result through the graph of neighbours; None where none joins them."""
        with self._lock:
            if self._graph is None:
                self._graph = neighbourhood(self.gallery)
        return self._graph.path(self.gallery, vector, place)

    def layout(self) -> dict[str, Any]:
        """A map of the shared space: {"points": {modality: {"rows", "x", "y"}}, "kept", "kept_pca", "gap", "of"}."""
        with self._lock:
            if self._layout is None:
                self._layout = layout(self.gallery)
            return self._layout


# ------------------------------------------------------------------ the neighbourhood graph


class Graph(NamedTuple):
    """Edges between sampled items: nodes by modality, and three columns of edges."""

    nodes: dict[str, np.ndarray]
    start: dict[str, int]
    size: int
    a: np.ndarray
    b: np.ndarray
    length: np.ndarray

    def number(self, place: Place) -> int | None:
        """The node of an item; None where it was not sampled."""
        if place.modality not in self.nodes:
            return None
        rows = self.nodes[place.modality]
        i = int(np.searchsorted(rows, place.row))
        return self.start[place.modality] + i if i < len(rows) and rows[i] == place.row else None

    def place(self, number: int) -> Place:
        """The item of a node."""
        m = next(m for m in reversed(self.start) if self.start[m] <= number)
        return Place(m, int(self.nodes[m][number - self.start[m]]))

    def path(self, gallery: Gallery, vector: np.ndarray, goal: Place) -> Path | None:
        """See ``Analysis.path``."""
        from scipy.sparse.csgraph import dijkstra

        query, target = self.size, self.number(goal)
        a, b, w = [self.a], [self.b], [self.length]
        result = gallery.vectors(goal.modality, [goal.row])[0]
        ends = [(query, np.asarray(vector, np.float32), dict.fromkeys(self.nodes, ACROSS + 2))]
        if target is None:
            target = self.size + 1
            near = {m: WITHIN if m == goal.modality else ACROSS for m in self.nodes}
            ends.append((target, result, near))
        direct = float(_chords(result.astype(np.float64) @ vector))
        bounds = []
        for node, x, near in ends:
            for m, k in near.items():
                value, index = _nearest(x[None], gallery.vectors(m, self.nodes[m]), k)
                a.append(np.full(index.shape[1], node))
                b.append(self.start[m] + index[0])
                w.append(_chords(value[0]))
                bounds.append(float(w[-1].max(initial=0.0)) if node == query and m == goal.modality else 0.0)
        if target > self.size and direct <= max(bounds):  # the result itself is among the query's nearest
            a.append(np.array([query]))
            b.append(np.array([target]))
            w.append(np.array([direct]))
        n = self.size + 2
        graph = symmetric(n, np.concatenate(a), np.concatenate(b), np.concatenate(w))
        reach, before = dijkstra(graph, directed=False, indices=query, return_predecessors=True)
        if not np.isfinite(reach[target]):
            return None
        chain = [target]
        while chain[-1] != query:
            chain.append(int(before[chain[-1]]))
        places = [None if c == query else goal if c == target else self.place(c) for c in reversed(chain)]
        own = slice(self.start[goal.modality], self.start[goal.modality] + len(self.nodes[goal.modality]))
        finite = reach[own][np.isfinite(reach[own])]
        chance = float(np.median(finite)) if len(finite) else float("nan")
        return Path(_steps(gallery, vector, places), float(reach[target]), direct, chance)


def _steps(gallery: Gallery, vector: np.ndarray, places: Sequence[Place | None]) -> list[Step]:
    rows = [vector if p is None else gallery.vectors(p.modality, [p.row])[0].astype(np.float64) for p in places]
    return [Step(p, None if i == 0 else float(rows[i] @ rows[i - 1])) for i, p in enumerate(places)]


def neighbourhood(gallery: Gallery, limit: int = NODES) -> Graph:
    """The graph of nearest neighbours, within and across modalities, of at most ``limit`` items each."""
    nodes = {m: gallery.sample(m, limit) for m in gallery.modalities if gallery.count(m)}
    start, size = {}, 0
    for m, rows in nodes.items():
        start[m], size = size, size + len(rows)
    vectors = {m: gallery.vectors(m, rows) for m, rows in nodes.items()}
    a, b, w = [], [], []
    for p, x in vectors.items():
        for q, y in vectors.items():
            same = p == q
            value, index = _nearest(x, y, WITHIN if same else ACROSS, same)
            a.append(np.repeat(start[p] + np.arange(len(x)), index.shape[1]))
            b.append(start[q] + index.ravel())
            w.append(_chords(value.ravel()))
    return Graph(nodes, start, size, np.concatenate(a), np.concatenate(b), np.concatenate(w))


def _nearest(x: np.ndarray, y: np.ndarray, k: int, same: bool = False) -> tuple[np.ndarray, np.ndarray]:
    value, index = knn(torch.from_numpy(x), torch.from_numpy(y), k, exclude_self=same)
    return value.double().numpy(), index.numpy()


def _chords(cosines: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines))
