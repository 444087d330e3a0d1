"""Transport-CCA: canonical correlation that also learns from items whose partner is unknown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.correlation import Canonical
from ..geometry.transport import ConvergenceWarning
from ..geometry.transport import solve as transport
from ..model import Heads
from ..progress import Progress, silent
from ..registry import register
from ..views import Pair, Views
from .closed_form import CCA, known_cross, require_links, solve
from .prepared import Prepared, prepare
from .tuning import dev_recall


@register("method", "transport_cca")
class TransportCCA(CCA):
    """CCA whose cross-covariance also holds a transport plan between the unlinked items, refitted in rounds.

    C = (sum_known x y^T + weight n sum_jk P_jk x_j y_k^T) / (p + weight n), P the entropic plan of mass 1 between
    the n unlinked items under the current heads.

    Args:
        dim, ridge, power, root, unit, landmarks, seed: as in "cca"; ridge and power are chosen for CCA on dev.
        epsilon: of the plan, on cosine cost.
        weight: of an unlinked item against a known pair.
        rounds: of plan and refit; dev, where given, may stop earlier.
    """

    def __init__(
        self,
        dim: int = 256,
        ridge: float | None = None,
        power: float | None = None,
        root: bool = False,
        unit: bool = False,
        landmarks: int = 0,
        epsilon: float = 0.02,
        weight: float = 0.3,
        rounds: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(dim, ridge, power, root, unit, landmarks, seed)
        self.epsilon, self.weight, self.rounds = epsilon, weight, rounds

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs and the plan of the others."""
        p = prepare(x, self.root, self.unit, self.landmarks, self.seed)
        require_links(p, 2)
        known = known_cross(p)
        chosen = self.choose(p, known, dev)
        fit = solve(p, known, self.dim, **chosen)
        best = p.heads(fit)
        score = dev_recall(best.embed(dev)) if dev is not None else None
        self.record["rounds"] = [score]
        for _ in range(self.rounds):
            fit = solve(p, with_plans(p, known, fit, self.epsilon, self.weight), self.dim, **chosen)
            heads = p.heads(fit)
            if dev is None or score is None:
                best = heads
                continue
            new = dev_recall(heads.embed(dev))
            self.record["rounds"].append(new)
            if new > score:
                best, score = heads, new
        return best


def with_plans(
    p: Prepared, known: Mapping[Pair, Tensor], fit: Canonical, epsilon: float, weight: float
) -> dict[Pair, Tensor]:
    """Known cross-covariances joined with those of the transport plans between unlinked rows."""
    out = dict(known)
    for a, b in p.links:
        rows, columns = p.unlinked(a, b), p.unlinked(b, a)
        if not len(rows) or not len(columns):
            continue
        x, y = p.rows[a][rows], p.rows[b][columns]
        za, zb = (embed(p, fit, m, v) for m, v in ((a, x), (b, y)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a rough plan is as good here, and much cheaper
            plan = transport(1.0 - za @ zb.T, epsilon=epsilon, tolerance=1e-2, max_iterations=50).plan
        guess = x.float().T @ (plan @ y.float())
        pairs = float(p.links[a, b][1].sum())
        extra = weight * min(len(rows), len(columns))
        out[a, b] = (pairs * known.get((a, b), torch.zeros_like(guess)) + extra * guess.double()) / (pairs + extra)
    return out


def embed(p: Prepared, fit: Canonical, modality: str, rows: Tensor) -> Tensor:
    """Prepared rows in the shared space, (n, k) float32 unit rows."""
    k = p.modalities.index(modality)
    whitening = (p.spectra[modality].axes * fit.bases[k]).sum(0)  # bases = axes * scale, axes orthonormal
    return normalize(((rows * whitening) @ fit.directions[k]).float(), dim=1)
