"""Transport-CCA: canonical maps, neighbourhoods and relations to anchors, learnt from items without a partner too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..geometry.neighbours import knn
from ..geometry.transport import ConvergenceWarning, Problem, Solver
from ..geometry.transport import solve as transport
from ..model import Heads
from ..progress import Progress, silent
from ..registry import register
from ..training.loop import dev_recall
from ..views import Pair, Views
from .canonical_space import CanonicalSpace, smoothed
from .closed_form import known_cross, solve
from .prepared import FEWEST_ANCHORS, Prepared, prepare
from .wasserstein import WassersteinProcrustes, axes_of

MOST_ROWS = 8192  # unlinked rows per side that enter one plan: a plan of 8192 x 8192 float32 takes 268 MB
TOLERANCE, ITERATIONS = 2e-2, 60  # of a plan: a rough one serves as well, and costs less
Plans = dict[Pair, tuple[Tensor, Tensor, Tensor]]


class Round(NamedTuple):
    """Where transport-CCA stands after one refit.

    space: canonical maps and anchors. plans: what they were refitted to; none at the start. ridge: of the refit.
    score: dev recall; -1 without dev views.
    """

    space: CanonicalSpace
    plans: Plans
    ridge: float
    score: float


@register("method", "transport_cca")
class TransportCCA:
    """CCA, refitted in rounds on a transport plan between the items without a partner, with neighbours and anchors.

    - Linear part: canonical maps of C = (sum_known x y^T + weight n sum_jk P_jk x_j y_k^T) / (p + weight n), P the
      entropic plan of mass 1 between the n unlinked items. Their similarity is the mean of their cosine in the last
      round's space and of the cosines between their neighbours: those of two partners should be partners too.
    - Smoothing: items move towards their neighbours among the training items, paired or not (``model.heads.smooth``).
    - Relative part: likeness to the known pairs, and at half weight to the plan's surest matches
      (``model.heads.relative``).

    Both parts together are reduced to ``dim`` directions. Nothing is chosen here: see "full".

    Args:
        dim: of the shared space, at most.
        ridge, power, root, unit: as in "cca".
        last_ridge: the ridge falls to this one over the rounds, since a plan tells more than few pairs do; None: stays.
        smoothing: how far items move towards their neighbours; 0: not at all. neighbours: how many.
        share: weight of the relative part against the linear one; 0: none, as with fewer than 10 known pairs.
        sharpness: of the relative part.
        late: the relative part is added after the last round and has no say in the plans.
        epsilon: of the plan, on cosine cost.
        plan_neighbours: neighbours that vouch for a match in the plan; 0: none, which halves the time.
        weight: of an unlinked item against a known pair.
        rounds: of plan and refit; with dev the best round is kept, so that unlinked items never harm there.
        matches: mutual best matches of the plan that become anchors, at most (two modalities only).
        most_anchors: known pairs that become anchors, at most.
        seed: draws anchors and rows where there are too many.

    Without any known pair the first plan is that of "wasserstein_procrustes", whose warnings hold here too.

    Use when: pairs are few beside items without a known partner, and settings are known or there is no time to choose
        them.
    Related: "full", which chooses its settings on dev and goes on by gradient; "cca", without plan and anchors.
    """

    def __init__(
        self,
        dim: int = 256,
        ridge: float = 10.0,
        last_ridge: float | None = None,
        power: float = 0.5,
        root: bool = True,
        unit: bool = True,
        smoothing: float = 0.25,
        neighbours: int = 5,
        share: float = 1.0,
        sharpness: float = 2.0,
        late: bool = False,
        epsilon: float = 0.05,
        plan_neighbours: int = 5,
        weight: float = 1.0,
        rounds: int = 2,
        matches: int = 300,
        most_anchors: int = 1000,
        seed: int = 0,
    ) -> None:
        self.dim, self.ridge, self.power, self.root, self.unit = dim, ridge, power, root, unit
        self.smoothing, self.neighbours, self.share, self.sharpness = smoothing, neighbours, share, sharpness
        self.late = late
        self.last_ridge, self.plan_neighbours = ridge if last_ridge is None else last_ridge, plan_neighbours
        self.epsilon, self.weight, self.rounds = epsilon, weight, rounds
        self.matches, self.most_anchors, self.seed = matches, most_anchors, seed
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs and the plan of the others."""
        return self.solve(prepare(x, self.root, self.unit), dev, progress)[0].heads(self.dim)

    def solve(self, p: Prepared, dev: Views | None = None, progress: Progress = silent) -> tuple[CanonicalSpace, float]:
        """The space of the best round on dev and its score, or that of the last round."""
        if not any(len(pairs) for pairs, _ in p.links.values()):
            return self.without_pairs(p), -1.0
        best: Round | None = None
        scores = []
        for now in self.refits(p, dev, progress):
            scores.append(now.score)
            best = better(best, now, dev)
        assert best is not None
        anchors = self.anchors(p) if self.late else {}
        if anchors:
            space = self.anchored(best.space, anchors, best.plans)
            scores.append(score_of(space, dev))
            best = better(best, best._replace(space=space, score=scores[-1]), dev)
        progress(self.rounds, self.rounds, "transport-CCA")
        self.record["rounds"] = [] if dev is None else scores
        return best.space, best.score

    def refits(self, p: Prepared, dev: Views | None = None, progress: Progress = silent) -> Iterator[Round]:
        """The fit to the known pairs, of which there must be some, and then each plan with its refit."""
        bank: dict[str, Tensor] = {}
        if self.smoothing:
            p, bank = smoothed(p, self.ridge, self.neighbours, self.smoothing, self.seed)
        known, anchors = known_cross(p), {} if self.late else self.anchors(p)
        plans: Plans = {}
        space: CanonicalSpace | None = None
        for number in range(self.rounds + 1):
            if space is not None:
                progress(number - 1, self.rounds, "transport-CCA")
                plans = self.plans(space)
                if not plans:
                    return
            ridge = self.ridge * (self.last_ridge / self.ridge) ** (number / max(1, self.rounds))
            fit = solve(p, self.joined(p, known, plans), self.dim, ridge, self.power)
            space = CanonicalSpace(p, fit, bank, self.neighbours, self.smoothing, sharpness=self.sharpness)
            if anchors:
                space = self.anchored(space, anchors, plans)
            yield Round(space, plans, ridge, score_of(space, dev))

    def anchors(self, p: Prepared) -> dict[str, Tensor]:
        """Modality -> rows of the known pairs that become anchors; none where there are too few, or with share 0."""
        anchors = p.anchors(self.most_anchors, self.seed)
        fewest = min(int((rows >= 0).sum()) for rows in anchors.values())
        return anchors if self.share > 0 and fewest >= FEWEST_ANCHORS else {}

    def without_pairs(self, p: Prepared) -> CanonicalSpace:
        """A linear space from the plan of Wasserstein-Procrustes, refined in rounds."""
        start = WassersteinProcrustes(seed=self.seed)
        plans: Plans = {}
        for a, b in p.links:
            found, rows, columns = start.between(p, a, b, axes_of(p, start.dim))
            plans[a, b] = (rows, columns, found.plan)
            self.record.setdefault("start_cost", {})[f"{a}-{b}"] = found.cost
        for _ in range(self.rounds + 1):
            space = CanonicalSpace(p, solve(p, self.joined(p, {}, plans), self.dim, self.ridge, self.power))
            plans = self.plans(space)
        return space

    def plans(self, space: CanonicalSpace) -> Plans:
        """Pair -> (rows of a, rows of b, plan of mass 1 between them), for pairs with unlinked items on both sides."""
        out = {}
        for a, b in space.p.links:
            rows, columns = (self.some(space.p.unlinked(*q)) for q in ((a, b), (b, a)))
            if len(rows) and len(columns):
                za, zb = space.embed(a, space.p.rows[a][rows]), space.embed(b, space.p.rows[b][columns])
                similarity = za @ zb.T
                if self.plan_neighbours:
                    near = [self.near(space, m, r) for m, r in ((a, rows), (b, columns))]
                    similarity = (similarity + over_neighbours(over_neighbours(similarity, near[0]).T, near[1]).T) / 2
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    solver = Solver(self.epsilon, TOLERANCE, ITERATIONS)
                    plan = transport(Problem(1.0 - similarity), solver).plan
                plan = plan.masked_fill(plan < 1e-20, 0.0)  # products with denormal numbers are many times slower
                out[a, b] = (rows, columns, plan)
        return out

    def near(self, space: CanonicalSpace, m: str, rows: Tensor) -> Tensor:
        """(n, k) nearest of these rows to each of them, on the modality's own manifold."""
        return knn(space.whitened(m, space.p.rows[m][rows]), k=self.plan_neighbours)[1]

    def some(self, rows: Tensor) -> Tensor:
        """At most MOST_ROWS of them."""
        if len(rows) <= MOST_ROWS:
            return rows
        return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed))[:MOST_ROWS]]

    def joined(self, p: Prepared, known: Mapping[Pair, Tensor], plans: Plans) -> dict[Pair, Tensor]:
        """Cross-covariances of known pairs and plans together."""
        out = dict(known)
        for (a, b), (rows, columns, plan) in plans.items():
            guess = (p.rows[a][rows].to(plan).T @ (plan @ p.rows[b][columns].to(plan))).double()
            pairs = float(p.links[a, b][1].sum())
            extra = self.weight * min(len(p.unlinked(a, b)), len(p.unlinked(b, a)))
            out[a, b] = (pairs * known.get((a, b), torch.zeros_like(guess)) + extra * guess) / (pairs + extra)
        return out

    def anchored(self, space: CanonicalSpace, known: Mapping[str, Tensor], plans: Plans) -> CanonicalSpace:
        """The space with known pairs, and the surest mutual matches of its plan, as anchors."""
        found, count = known, len(next(iter(known.values())))
        if plans and self.matches and len(space.p.modalities) == 2:
            (a, b), (rows, columns, plan) = next(iter(plans.items()))
            certainty, partner = plan.max(1)
            mutual = (plan.argmax(0)[partner] == torch.arange(len(rows))).nonzero().flatten()
            mutual = mutual[certainty[mutual].argsort(descending=True, stable=True)[: self.matches]]
            new = {a: rows[mutual], b: columns[partner[mutual]]}
            found = {m: torch.cat([known[m], new[m]]) for m in new}
        more = len(next(iter(found.values()))) - count
        return space.anchored(found, torch.cat([torch.ones(count), torch.full((more,), 0.5)]), self.share)


def better(best: Round | None, now: Round, dev: Views | None) -> Round:
    """The round with the higher dev score, of equals the earlier one; without dev views the later one."""
    return now if best is None or dev is None or now.score > best.score else best


def score_of(space: CanonicalSpace, dev: Views | None) -> float:
    """Dev recall; -1 without dev views."""
    return -1.0 if dev is None else dev_recall(space.heads().embed(dev))


def over_neighbours(similarity: Tensor, near: Tensor) -> Tensor:
    """Row i becomes the mean of the rows of its neighbours; rows without neighbours stay.

    Example:
        >>> over_neighbours(torch.eye(3), torch.tensor([[1, 2], [0, 2], [0, 1]]))[0]
        tensor([0.0000, 0.5000, 0.5000])
    """
    if near.shape[1] == 0:
        return similarity
    total = torch.zeros_like(similarity)
    for column in near.T:
        total += similarity[column]
    return total / near.shape[1]
