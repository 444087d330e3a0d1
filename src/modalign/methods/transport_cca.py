"""Transport-CCA: canonical maps, neighbourhoods and relations to anchors, learnt from items without a partner too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ..geometry.correlation import Canonical
from ..geometry.neighbours import knn
from ..geometry.transport import Matches, Solver, matches
from ..model import Heads
from ..parameters import Count, Dim, Number, Positive, Seed, Weight
from ..progress import Progress, silent
from ..registry import register
from ..training.loop import dev_recall
from ..views import Pair, Views
from .base import at_most, on_cpu
from .canonical_space import CanonicalSpace, smoothed
from .closed_form import known_cross, solve
from .meeting import WIDTH as MET
from .prepared import FEWEST_ANCHORS, MOST_ROWS, Prepared, prepare
from .wasserstein import WassersteinProcrustes, axes_of

TOLERANCE, ITERATIONS = 2e-2, 60  # of a plan: a rough one serves as well, and costs less
EARLY_ROWS, FULL_ROUNDS = 2048, 4  # rows of a side in early rounds, and how many rounds at the end have all rows
WIDTH, SAMPLE = 128, 512  # of the vectors from which a plan is made; of a side, to find their directions


class Match(NamedTuple):
    """A plan between rows of one modality and columns of another."""

    rows: Tensor
    columns: Tensor
    found: Matches

    @classmethod
    def without_rows(cls, moment: Tensor) -> Match:
        """What is known of a plan of which nothing but its moment is held."""
        none = torch.empty(0, dtype=torch.long)
        return cls(none, none, Matches(moment, moment.new_empty(0), none, none.bool()))


Plans = dict[Pair, Match]
Judge = Callable[[CanonicalSpace], Tensor]
"""What each of the things that a space is judged by adds to its score, their mean."""


class Round(NamedTuple):
    """Where transport-CCA stands after one refit.

    space: canonical maps and anchors. plans: what they were refitted to; none at the start. ridge: of the refit.
    items: what its judge found, as a rule recall of dev groups; None without a judge.
    """

    space: CanonicalSpace
    plans: Plans
    ridge: float
    items: Tensor | None

    @property
    def score(self) -> float:
        """By which the best round is kept; -1 without a judge."""
        return -1.0 if self.items is None else float(self.items.mean())

    def judged(self, judge: Judge | None) -> Round:
        """The same with what a judge finds."""
        return self if judge is None else self._replace(items=judge(self.space))


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
        tilt: ridges follow the numbers of features: (d / geometric mean of the modalities' d) ** tilt times ``ridge``.
        last_power: of the last round's refit, whose maps no further plan is made from; None: as in the others.
        smoothing: how far items move towards their neighbours; 0: not at all. neighbours: how many.
        share: weight of the relative part against the linear one; 0: none, as with fewer than 10 known pairs.
        sharpness: of the relative part.
        late: the relative part is added after the last round and has no say in the plans.
        epsilon: of the plan, on cosine cost. last_epsilon: it falls to this one over the rounds; None: stays.
        plan_neighbours: neighbours that vouch for a match in the plan; 0: none, which halves the time.
        weight: of an unlinked item against a known pair; of more than 8192 items no more count.
        rounds: of plan and refit; with dev the best round is kept, so that unlinked items never harm there.
        barycentre: of three modalities and more, items are matched by all the sides that they have, not by their own.
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
        dim: Dim = 256,
        ridge: Weight = 10.0,
        last_ridge: Weight | None = None,
        tilt: Weight = 0.0,
        power: Weight = 0.5,
        last_power: Weight | None = None,
        root: bool = True,
        unit: bool = True,
        smoothing: Weight = 0.25,
        neighbours: Number = 5,
        share: Weight = 1.0,
        sharpness: Weight = 2.0,
        late: bool = False,
        epsilon: Weight = 0.05,
        last_epsilon: Positive | None = None,
        plan_neighbours: Number = 5,
        weight: Weight = 1.0,
        rounds: Number = 2,
        barycentre: bool = True,
        matches: Count = 300,
        most_anchors: Count = 1000,
        seed: Seed = 0,
    ) -> None:
        self.dim, self.ridge, self.power, self.root, self.unit = dim, ridge, power, root, unit
        self.smoothing, self.neighbours, self.share, self.sharpness = smoothing, neighbours, share, sharpness
        self.tilt, self.late, self.last_power = tilt, late, power if last_power is None else last_power
        self.last_ridge, self.plan_neighbours = ridge if last_ridge is None else last_ridge, plan_neighbours
        self.epsilon, self.last_epsilon = epsilon, epsilon if last_epsilon is None else last_epsilon
        self.weight, self.rounds, self.barycentre = weight, rounds, barycentre
        self.matches, self.most_anchors, self.seed = matches, most_anchors, seed
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs and the plan of the others."""
        x, dev = on_cpu(x), on_cpu(dev)
        return self.solve(prepare(x, self.root, self.unit, seed=self.seed), dev, progress).space.heads(self.dim)

    def solve(
        self, p: Prepared, dev: Views | None = None, progress: Progress = silent, judge: Judge | None = None
    ) -> Round:
        """The best round on dev, or the last one.

        Args:
            judge: where something else counts than recall of the dev views.
        """
        if judge is None and dev is not None:
            judge = recall_of(dev)
        if not any(len(pairs) for pairs, _ in p.links.values()):
            return Round(self.without_pairs(p), {}, self.ridge, None).judged(judge)
        best: Round | None = None
        scores = []
        for now in self.refits(p, judge, progress):
            scores.append(now.score)
            best = better(best, now)
        assert best is not None
        anchors = self.anchors(p) if self.late else {}
        if anchors:
            last = best._replace(space=self.anchored(best.space, anchors, best.plans)).judged(judge)
            scores.append(last.score)
            best = better(best, last)
        progress(self.rounds, self.rounds, "transport-CCA")
        self.record["rounds"] = [] if judge is None else scores
        return best

    def refits(self, p: Prepared, judge: Judge | None = None, progress: Progress = silent) -> Iterator[Round]:
        """The fit to the known pairs, of which there must be some, and then each plan with its refit."""
        p = p.tilted(self.tilt)
        if self.smoothing:
            p = smoothed(p, self.ridge, self.neighbours, self.smoothing)
        known, anchors = known_cross(p), {} if self.late else self.anchors(p)
        plans: Plans = {}
        space: CanonicalSpace | None = None
        for number in range(self.rounds + 1):
            if space is not None:
                progress(number - 1, self.rounds, "transport-CCA")
                plans = self.plans_of(space, number)
                if not plans:
                    return
            ridge = self.ridge * (self.last_ridge / self.ridge) ** (number / max(1, self.rounds))
            power = self.last_power if number == self.rounds else self.power
            fit = self.fitted(p, self.joined(p, known, plans), ridge, power, first=not number)
            space = CanonicalSpace(p, fit, ridge, self.neighbours, self.smoothing, sharpness=self.sharpness)
            if anchors:
                space = self.anchored(space, anchors, plans)
            yield Round(space, plans, ridge, None).judged(judge)

    def fitted(self, p: Prepared, cross: Mapping[Pair, Tensor], ridge: float, power: float, first: bool) -> Canonical:
        """Canonical maps; those of the known pairs alone, the ``first`` ones, are found once for a ridge and power."""
        name = ("fitted", self.dim, ridge, power)
        if not first:
            return solve(p, cross, self.dim, ridge, power)
        if name not in p.memo:
            p.memo[name] = solve(p, cross, self.dim, ridge, power)
        return p.memo[name]

    def glance(self, p: Prepared, dev: Views) -> Views:
        """Dev views in the space of the known pairs and anchors, before any plan: how plausible the settings are."""
        space = next(self.refits(p)).space
        anchors = self.anchors(p) if self.late else {}
        return (self.anchored(space, anchors, {}) if anchors else space).embed_new(dev)

    def anchors(self, p: Prepared) -> dict[str, Tensor]:
        """Modality -> rows of the known pairs that become anchors; none where there are too few, or with share 0."""
        anchors = p.anchors(self.most_anchors, self.seed)
        fewest = min(int((rows >= 0).sum()) for rows in anchors.values())
        return anchors if self.share > 0 and fewest >= FEWEST_ANCHORS else {}

    def without_pairs(self, p: Prepared) -> CanonicalSpace:
        """A linear space from the plan of Wasserstein-Procrustes, refined in rounds."""
        p, start = p.tilted(self.tilt), WassersteinProcrustes(seed=self.seed)
        cross = {}
        for a, b in p.links:
            found, rows, columns = start.between(p, a, b, axes_of(p, start.dim))
            cross[a, b] = p.rows[a][rows].T @ found.plan.double() @ p.rows[b][columns]
            self.record.setdefault("start_cost", {})[f"{a}-{b}"] = found.cost
        for _ in range(self.rounds + 1):
            space = CanonicalSpace(p, solve(p, cross, self.dim, self.ridge, self.power), self.ridge)
            cross = self.joined(p, {}, self.plans(space, self.rounds))
        return space

    def plans_of(self, space: CanonicalSpace, number: int) -> Plans:
        """The plans of a round, made once for all settings that come to the same ones."""
        same = [
            self.dim, self.ridge, self.last_ridge, self.power, self.smoothing, self.neighbours, self.epsilon,
            self.last_epsilon, self.plan_neighbours, self.weight, self.rounds, self.seed,
        ]  # fmt: skip
        relative = [] if self.late else [self.share, self.sharpness, self.matches, self.most_anchors]
        name = ("plans", number, *same, *relative)
        if name not in space.p.memo:
            space.p.memo[name] = self.plans(space, number)
        return space.p.memo[name]

    def plans(self, space: CanonicalSpace, number: int) -> Plans:
        """Pair -> what its plan says in a round (from 1 on), for pairs with unlinked items on both sides."""
        out = {}
        epsilon = self.epsilon * (self.last_epsilon / self.epsilon) ** ((number - 1) / max(1, self.rounds - 1))
        most = MOST_ROWS if number > self.rounds - FULL_ROUNDS else EARLY_ROWS
        shared = space.composed() if self.barycentre and len(space.p.modalities) > 2 else None
        everyone = space.p.everyone
        for a, b in space.p.links:
            if everyone is not None and (a, b) in everyone.free:
                into, seed = space.leading(MET), self.seed + 2 * number
                moment = everyone.moment((a, b), into, epsilon, seed, self.rounds - number)
                out[a, b] = Match.without_rows(moment)
                continue
            sides = {m: space.p.unlinked(m, other) for m, other in ((a, b), (b, a))}
            rows = {m: at_most(free, most, self.seed + k) for k, (m, free) in enumerate(sides.items())}
            if all(len(r) for r in rows.values()):
                z = narrowed([shared[m][r] if shared else space.embed(m, space.p.rows[m][r]) for m, r in rows.items()])
                x, y = (self.vouched(space, v, m, rows[m], (m, a, b)) for v, m in zip(z, (a, b), strict=True))
                left, right = (space.p.rows[m][r].to(z[0]) for m, r in rows.items())
                found = matches(x, y, left, right, Solver(epsilon, TOLERANCE, ITERATIONS))
                out[a, b] = Match(rows[a], rows[b], found)
        return out

    def vouched(self, space: CanonicalSpace, z: Tensor, m: str, rows: Tensor, name: tuple[str, ...]) -> Tensor:
        """[z, mean z of the nearest of these rows] / sqrt(2), on the modality's own manifold.

        The inner product of two such vectors is the mean of the cosine of the items and of those between their
        neighbours. ``name``: of the rows, under which their neighbours are remembered.
        """
        if not self.plan_neighbours:
            return z
        if len(rows) == 1:
            return torch.cat([z, z], 1) / 2**0.5
        key = ("vouchers", name, len(rows), space.ridge, self.plan_neighbours, self.seed)
        if key not in space.p.memo:
            space.p.memo[key] = knn(space.whitened(m, space.p.rows[m][rows])[:, :WIDTH], k=self.plan_neighbours)[1]
        return torch.cat([z, embedding_bag(space.p.memo[key], z, mode="mean")], 1) / 2**0.5

    def joined(self, p: Prepared, known: Mapping[Pair, Tensor], plans: Plans) -> dict[Pair, Tensor]:
        """Cross-covariances of known pairs and plans together."""
        out = dict(known)
        for pair, match in plans.items():
            guess = match.found.moment.double()
            pairs = float(p.links[pair][1].sum())
            extra = self.weight * min(*p.free[pair], MOST_ROWS)  # a plan says no more than the rows that can be in it
            out[pair] = (pairs * known.get(pair, torch.zeros_like(guess)) + extra * guess) / (pairs + extra)
        return out

    def anchored(self, space: CanonicalSpace, known: Mapping[str, Tensor], plans: Plans) -> CanonicalSpace:
        """The space with known pairs, and the surest mutual matches of its plan, as anchors."""
        found, count = known, len(next(iter(known.values())))
        if plans and self.matches and len(space.p.modalities) == 2:
            (a, b), (rows, columns, plan) = next(iter(plans.items()))
            sure = plan.surest(self.matches)
            new = {a: rows[sure], b: columns[plan.partner[sure]]}
            found = {m: torch.cat([known[m], new[m]]) for m in new}
        more = len(next(iter(found.values()))) - count
        return space.anchored(found, torch.cat([torch.ones(count), torch.full((more,), 0.5)]), self.share)


def better(best: Round | None, now: Round) -> Round:
    """The round with the higher score, of equals the earlier one; without a judge the later one."""
    return now if best is None or now.score < 0 or now.score > best.score else best


def recall_of(dev: Views) -> Judge:
    """Recall of the dev views in a space."""
    return lambda space: torch.tensor(dev_recall(space.embed_new(dev)), dtype=torch.float64)


def narrowed(z: Sequence[Tensor]) -> list[Tensor]:
    """Unit rows of both sides in the leading directions of a sample of them, where that is cheaper than their product.

    Inner products change by what the other directions hold. Directions: orthogonal iteration on the second moment.
    """
    n, m, wide = len(z[0]), len(z[1]), z[0].shape[1]
    if wide <= WIDTH or 2 * SAMPLE * wide * wide + (n + m) * wide * WIDTH > 2 * n * m * (wide - WIDTH):
        return list(z)
    sample = torch.cat([v[:: -(-len(v) // SAMPLE)] for v in z])
    axes = torch.randn(wide, WIDTH, generator=torch.Generator().manual_seed(0)).to(sample)
    for _ in range(3):
        axes = torch.linalg.qr(sample.T @ (sample @ axes)).Q
    return [v @ axes for v in z]
