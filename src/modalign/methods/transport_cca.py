"""Transport-CCA: canonical correlation and relations to shared anchors, learnt from items whose partner is unknown too."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.correlation import Canonical
from ..geometry.transport import ConvergenceWarning
from ..geometry.transport import solve as transport
from ..model import Head, Heads, relative
from ..progress import Progress, silent
from ..registry import register
from ..views import Pair, Views
from .closed_form import CCA, known_cross, require_links, solve
from .prepared import Prepared, linear_map, prepare
from .tuning import dev_recall, grid, tune

MOST_ROWS = 8192  # unlinked rows per side that enter one plan: a plan of 8192 x 8192 float32 takes 268 MB


@dataclass(frozen=True)
class Space:
    """A shared space in the making: canonical maps, and anchors by which items are described.

    Args:
        p: the training views. fit: canonical maps.
        share: weight of the relative part against the linear one, >= 0.
        sharpness: of the relative part.
        anchors: modality -> (k, r_m) unit rows in whitened coordinates; none: a linear space.
        weight: (k,) of the anchors.
    """

    p: Prepared
    fit: Canonical
    share: float
    sharpness: float
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    weight: Tensor = field(default_factory=lambda: torch.empty(0))

    def whitened(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in whitened coordinates, float32."""
        k = self.p.modalities.index(m)
        scale = (self.p.spectra[m].axes * self.fit.bases[k]).sum(0)  # bases = axes * scale, axes orthonormal
        return (rows * scale).float()

    def coordinates(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the coordinates that the head's front gives."""
        w = self.whitened(m, rows)
        return relative(w, self.anchors[m], self.weight, self.sharpness) if self.anchors else w

    def maps(self) -> dict[str, Tensor]:
        """Modality -> map from coordinates to [linear part, sqrt(share) relative part], linear part of mean norm 1."""
        out = {}
        for k, m in enumerate(self.p.modalities):
            linear = self.fit.directions[k].float()
            if self.anchors:
                u = normalize(self.whitened(m, self.p.rows[m]), dim=1)
                linear = linear / (u @ linear).norm(dim=1).mean()
                out[m] = torch.block_diag(linear, self.share**0.5 * torch.eye(len(self.weight)))
            else:
                out[m] = linear
        return out

    def embed(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the shared space, unit rows."""
        return normalize(self.coordinates(m, rows) @ self.maps()[m], dim=1)

    def heads(self, dim: int | None = None) -> Heads:
        """Heads of this space, reduced to ``dim`` principal directions of all training items of all modalities."""
        maps = self.maps()
        if dim is not None and next(iter(maps.values())).shape[1] > dim:
            moment = torch.stack([_moment(self.coordinates(m, self.p.rows[m]) @ maps[m]) for m in maps]).sum(0)
            axes = torch.linalg.eigh(moment).eigenvectors[:, -dim:].flip(1).float()
            maps = {m: w @ axes for m, w in maps.items()}
        heads = {}
        for k, m in enumerate(self.p.modalities):
            front = self.p.front(m, self.fit.means[k], self.fit.bases[k], len(self.weight), self.sharpness)
            if self.anchors:
                front.anchors.copy_(self.anchors[m])  # type: ignore[union-attr]
                front.weight.copy_(self.weight)  # type: ignore[union-attr]
            heads[m] = Head(front, linear_map(maps[m]))
        return Heads(heads).eval()


def _moment(z: Tensor) -> Tensor:
    z = normalize(z, dim=1).double()
    return z.T @ z / len(z)


@register("method", "transport_cca")
class TransportCCA(CCA):
    """CCA and relations to anchors, refitted in rounds on a transport plan between the items without a partner.

    Linear part: canonical maps of C = (sum_known x y^T + weight n sum_jk P_jk x_j y_k^T) / (p + weight n), P the
    entropic plan of mass 1 between the n unlinked items, by their cosines in the last round's space. Relative part:
    likeness to the known pairs (see ``model.Features``), joined by the most certain matches of the plan. Both parts
    are reduced to ``dim`` directions.

    Args:
        dim, ridge, power, root, unit: as in "cca".
        share: weight of the relative part, 0: none; None: chosen on dev among 0, .5, 1, 2 and 4.
        sharpness: of the relative part.
        epsilon: of the plan, on cosine cost.
        weight: of an unlinked item against a known pair.
        rounds: of plan and refit; with dev the best round is kept, so that unlinked items never harm there.
        matches: mutual best matches of the plan that become anchors of half weight, at most (two modalities only).
        most_anchors: known pairs that become anchors, at most.
        seed: draws anchors and rows where there are too many.

    Without dev the share is 1.
    """

    SHARES = (1.0, 0.0, 0.5, 2.0, 4.0)

    def __init__(
        self,
        dim: int = 256,
        ridge: float | None = None,
        power: float | None = None,
        root: bool = True,
        unit: bool = True,
        share: float | None = None,
        sharpness: float = 1.5,
        epsilon: float = 0.02,
        weight: float = 0.3,
        rounds: int = 3,
        matches: int = 300,
        most_anchors: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(dim, ridge, power, root, unit)
        self.share, self.sharpness, self.epsilon, self.weight = share, sharpness, epsilon, weight
        self.rounds, self.matches, self.most_anchors, self.seed = rounds, matches, most_anchors, seed

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs and the plan of the others."""
        return self.learn(x, dev, progress)

    def learn(self, x: Views, dev: Views | None, progress: Progress = silent) -> Heads:
        """The rounds; the best on dev, or the last."""
        p = prepare(x, self.root, self.unit)
        require_links(p, 2)
        known = known_cross(p)
        chosen = self.choose(p, known, dev)
        space = self.start(p, solve(p, known, self.dim, **chosen), dev)
        best, score = space, -1.0
        if dev is not None:
            score = dev_recall(space.heads().embed(dev))
        self.record["rounds"] = [score] if dev is not None else []
        for number in range(self.rounds):
            progress(number, self.rounds, "transport-CCA")
            plans = self.plans(space)
            if not plans:
                break
            fit = solve(p, self.joined(p, known, plans), self.dim, **chosen)
            space = self.with_matches(replace(space, fit=fit), plans)
            if dev is None:
                best = space
                continue
            new = dev_recall(space.heads().embed(dev))
            self.record["rounds"].append(new)
            if new > score:
                best, score = space, new
        progress(self.rounds, self.rounds, "transport-CCA")
        return best.heads(self.dim)

    def start(self, p: Prepared, fit: Canonical, dev: Views | None) -> Space:
        """The space of the known pairs, its share as set or chosen on dev."""
        linear = Space(p, fit, 0.0, self.sharpness)
        rows = p.anchors(self.most_anchors, self.seed)
        if self.share == 0.0 or len(next(iter(rows.values()))) < 10:
            return linear
        anchors = {m: normalize(linear.whitened(m, p.rows[m][rows[m]]), dim=1) for m in p.modalities}
        full = replace(linear, share=1.0, anchors=anchors, weight=torch.ones(len(next(iter(anchors.values())))))
        if self.share is not None or dev is None:
            share = 1.0 if self.share is None else self.share
        else:

            def score(s: dict[str, Any]) -> float:
                space = replace(full, **s) if s["share"] else linear
                return dev_recall(space.heads().embed(dev))

            tuned = tune(grid(share=self.SHARES), score)
            self.record["share_trials"], share = tuned.record, tuned.settings["share"]
        self.record["chosen"]["share"] = share
        return replace(full, share=share) if share else linear

    def plans(self, space: Space) -> dict[Pair, tuple[Tensor, Tensor, Tensor]]:
        """Pair -> (rows of a, rows of b, plan of mass 1 between them), for pairs with unlinked items."""
        out = {}
        for a, b in space.p.links:
            rows, columns = (self.some(space.p.unlinked(*q)) for q in ((a, b), (b, a)))
            if len(rows) and len(columns):
                za, zb = space.embed(a, space.p.rows[a][rows]), space.embed(b, space.p.rows[b][columns])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)  # a rough plan serves as well, and costs less
                    plan = transport(1.0 - za @ zb.T, epsilon=self.epsilon, tolerance=2e-2, max_iterations=60).plan
                out[a, b] = (rows, columns, plan)
        return out

    def some(self, rows: Tensor) -> Tensor:
        """At most MOST_ROWS of them."""
        if len(rows) <= MOST_ROWS:
            return rows
        return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed))[:MOST_ROWS]]

    def joined(self, p: Prepared, known: Mapping[Pair, Tensor], plans: Mapping[Pair, Any]) -> dict[Pair, Tensor]:
        """Cross-covariances of known pairs and plans together."""
        out = dict(known)
        for (a, b), (rows, columns, plan) in plans.items():
            guess = (p.rows[a][rows].float().T @ (plan @ p.rows[b][columns].float())).double()
            pairs, extra = float(p.links[a, b][1].sum()), self.weight * min(len(p.unlinked(a, b)), len(p.unlinked(b, a)))
            out[a, b] = (pairs * known.get((a, b), torch.zeros_like(guess)) + extra * guess) / (pairs + extra)
        return out

    def with_matches(self, space: Space, plans: Mapping[Pair, tuple[Tensor, Tensor, Tensor]]) -> Space:
        """The space with the most certain mutual matches of its plan as further anchors."""
        if not space.anchors or len(space.p.modalities) != 2 or not self.matches:
            return space
        (a, b), (rows, columns, plan) = next(iter(plans.items()))
        certainty, partner = plan.max(1)
        mutual = (plan.argmax(0)[partner] == torch.arange(len(rows))).nonzero().flatten()
        mutual = mutual[certainty[mutual].argsort(descending=True)[: self.matches]]
        picked = {a: rows[mutual], b: columns[partner[mutual]]}
        known = space.p.anchors(self.most_anchors, self.seed)
        anchors = {
            m: normalize(space.whitened(m, space.p.rows[m][torch.cat([known[m], picked[m]])]), dim=1) for m in picked
        }
        weight = torch.cat([torch.ones(len(known[a])), torch.full((len(mutual),), 0.5)])
        return replace(space, anchors=anchors, weight=weight)
