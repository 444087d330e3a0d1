"""Wasserstein-Procrustes: a rotation and an assignment found in turn, from no known pair at all to many."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..geometry.procrustes import rotation
from ..geometry.transport import ConvergenceWarning, Problem, Solver
from ..geometry.transport import solve as transport
from ..model import Heads
from ..parameters import Count, Dim, Seed
from ..progress import Progress, silent
from ..registry import register
from ..views import Views
from .base import drawn, on_cpu
from .closed_form import linear_heads
from .prepared import Prepared, prepare

FEWEST = 4  # items of a side that make two clusters
ANNEALING = (0.2, 0.1, 0.05, 0.02, 0.02, 0.02)  # epsilon of the plan in each round, on cosine cost


class Matched(NamedTuple):
    """rotation: (k, k), x R ~ y. plan: (n, m), mass 1, of the items without a known partner.

    cost: <plan, 1 - cosine> + mean (1 - cosine) of the known pairs, by which starts are judged.
    """

    rotation: Tensor
    plan: Tensor
    cost: float


def match(x: Tensor, y: Tensor, known: Tensor, restarts: int = 20, clusters: int = 24, seed: int = 0) -> Matched:
    """The rotation of x onto y that makes their transport cheapest, by alternation from several starts.

    Round: P = entropic plan of the cosines of x R and y, known pairs aside; R = polar factor of
    x^T P y + known^T known, known pairs and plan with equal total weight. Starts: the known pairs, where there are
    any; and where they are fewer than axes, axes of like skewness, items of like similarity profiles, and matched
    cluster centres.

    Args:
        x, y: (n, k), (m, k) unit rows of one width.
        known: (p, 2) row pairs, may be empty.
        restarts: starts to try without known pairs; the cheapest after all rounds wins.
        clusters: of each side.
        seed: of clusters.

    Reference: Grave, Joulin & Berthet 2019, arXiv 1805.11222; starts and weights: arXiv 2610.09411.
    """
    free = [torch.ones(len(v), dtype=torch.bool) for v in (x, y)]
    free[0][known[:, 0]], free[1][known[:, 1]] = False, False
    u, v = x[free[0]], y[free[1]]
    tie = x[known[:, 0]].T @ y[known[:, 1]] / max(1, len(known))
    starts = []
    if len(known):
        starts.append(rotation(x[known[:, 0]], y[known[:, 1]]).rotation)
    if len(known) < x.shape[1]:  # fewer pairs than axes leave the rotation open
        starts += [by_skewness(x, y), by_profiles(x, y)]
        if not len(known) or min(len(x), len(y)) >= FEWEST:
            starts += by_clusters(x, y, restarts, clusters, seed)
    best: Matched | None = None
    for start in starts:
        turn, plan, cost = start, torch.zeros(len(u), len(v)), 0.0
        for epsilon in ANNEALING if len(u) and len(v) else ():
            similarity = (u @ turn) @ v.T
            plan = _rough_plan(1.0 - similarity, epsilon)
            cost = float((plan * (1.0 - similarity)).sum() + (1.0 - (tie * turn).sum()) * bool(len(known)))
            turn = _polar(u.T @ plan @ v + tie)
        if best is None or cost < best.cost:
            best = Matched(turn, plan, cost)
    assert best is not None
    return best


def by_skewness(x: Tensor, y: Tensor) -> Tensor:
    """Axis onto axis, each with the sign that makes the third moments agree."""
    return torch.diag(torch.sign(x.pow(3).mean(0) * y.pow(3).mean(0) + 1e-30))


def by_profiles(x: Tensor, y: Tensor) -> Tensor:
    """The rotation of a plan between items with like distributions of similarities to their own kind.

    Reference: the lower bound of Mémoli 2011, "Gromov-Wasserstein distances", section 6.
    """
    levels = torch.linspace(0, 1, 64)
    px, py = (torch.quantile(v @ v.T, levels, dim=1).T for v in (x, y))
    cost = torch.cdist(px, py)
    return _polar(x.T @ _rough_plan(cost, 0.05 * float(cost.mean()) + 1e-9) @ y)


def _rough_plan(cost: Tensor, epsilon: float) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return transport(Problem(cost), Solver(epsilon, 1e-2, max_iterations=100)).plan


def _polar(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix)
    return left @ right


def by_clusters(x: Tensor, y: Tensor, restarts: int, clusters: int, seed: int) -> list[Tensor]:
    """Rotations from cluster centres, matched by the profile of their distances to the other centres."""
    from scipy.optimize import linear_sum_assignment

    out = []
    for k in range(restarts):
        generator = torch.Generator().manual_seed(seed * 1009 + k)
        count = min(clusters, len(x) // 2, len(y) // 2)
        if count < 2:
            counts = f"{len(x)} and {len(y)}"
            raise ModalignError(f"without known pairs each side needs at least {FEWEST} items, got {counts}")
        cx, cy = (_centres(v, count, generator) for v in (x, y))
        profiles = [(c @ c.T).sort(1).values for c in (cx, cy)]
        cost = torch.cdist(profiles[0], profiles[1]).numpy()
        for _ in range(5):  # then refine: centres that match should have like similarities to matched centres
            rows, columns = linear_sum_assignment(cost)
            order = torch.from_numpy(np.asarray(columns))
            cost = torch.cdist(cx @ cx.T, (cy @ cy[order].T)).numpy()
        out.append(rotation(cx[torch.from_numpy(rows)], cy[order]).rotation)
    return out


def _centres(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Unit centres of spherical k-means."""
    centres = x[torch.randperm(len(x), generator=generator)[:count]]
    for _ in range(15):
        nearest = (x @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add(0, nearest, x)
        centres = torch.where(sums.norm(dim=1, keepdim=True) > 0, normalize(sums, dim=1), centres)
    return centres


def axes_of(p: Prepared, dim: int) -> int:
    """Leading axes that all modalities have."""
    return min(dim, *(rows.shape[1] for rows in p.rows.values()))


@register("method", "wasserstein_procrustes")
class WassersteinProcrustes:
    """A rotation between principal axes found with few or no known pairs, by matching the two clouds of items.

    Alternates an entropic plan between the items without a partner and the best rotation (`match`). Without pairs it
    works where both modalities have nearly the same geometry, and fails unnoticed where they do not: look at the
    transport cost in ``record``, and at scores on a few pairs held out.

    Args:
        dim: principal axes, at most.
        restarts: starts without known pairs. clusters: of each side, to find them.
        most: items of a side, at most.
        root, unit: as in "cca".
        seed: of starts and of the draw of items.

    Use when: no pair is known, or very few, and both modalities come from similar items and encoders.
    Related: "procrustes" where pairs are known; "transport_cca", which starts from it where there are none.
    """

    def __init__(
        self,
        dim: Dim = 64,
        restarts: Count = 20,
        clusters: Count = 24,
        most: Count = 2000,
        root: bool = False,
        unit: bool = True,
        seed: Seed = 0,
    ) -> None:
        self.dim, self.restarts, self.clusters, self.most = dim, restarts, clusters, most
        self.root, self.unit, self.seed = root, unit, seed
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads; every modality is turned onto the first."""
        x = on_cpu(x)
        p = prepare(x, self.root, self.unit)
        k, first = axes_of(p, self.dim), p.modalities[0]
        maps, costs = {first: torch.eye(k)}, {}
        for m in p.modalities[1:]:
            found = self.between(p, m, first, k)[0]
            maps[m], costs[m] = found.rotation, found.cost
        self.record["cost"] = costs
        return linear_heads(p, {m: p.principal[m].axes[:, :k] for m in maps}, maps)

    def between(self, p: Prepared, a: str, b: str, k: int) -> tuple[Matched, Tensor, Tensor]:
        """Matched of modality a onto b, and the rows of either that took part."""
        pairs = p.between(a, b)[0]
        rows = [self._some(p, m, pairs[:, s], self.seed + s) for s, m in enumerate((a, b))]
        position = [torch.full((len(p.rows[m]),), -1) for m in (a, b)]
        for place, chosen in zip(position, rows, strict=True):
            place[chosen] = torch.arange(len(chosen))
        known = torch.stack([position[0][pairs[:, 0]], position[1][pairs[:, 1]]], 1)
        x, y = (normalize(p.rows[m][r, :k].float(), dim=1) for m, r in zip((a, b), rows, strict=True))
        return match(x, y, known, self.restarts, self.clusters, self.seed), rows[0], rows[1]

    def _some(self, p: Prepared, m: str, linked: Tensor, seed: int) -> Tensor:
        """All linked rows and others up to ``most``."""
        is_linked = torch.zeros(len(p.rows[m]), dtype=torch.bool)
        is_linked[linked] = True
        others = drawn((~is_linked).nonzero().flatten(), seed)
        return torch.cat([is_linked.nonzero().flatten(), others[: max(0, self.most - int(is_linked.sum()))]])
