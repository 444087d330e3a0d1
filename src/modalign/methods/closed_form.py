"""Methods that solve for the heads in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ModalignError
from ..geometry.correlation import Canonical, canonical, cross_covariance
from ..model import Heads
from ..progress import Progress, silent
from ..registry import register
from ..views import Pair, Views
from .prepared import Prepared, prepare
from .tuning import dev_recall, grid, tune

RIDGES = (10.0, 3.0, 30.0, 1.0, 0.1)
POWERS = (0.5, 1.0)


def known_cross(p: Prepared) -> dict[Pair, Tensor]:
    """Cross-covariance of the known links, for each pair of modalities that has any."""
    return {
        (a, b): cross_covariance(p.rows[a], p.rows[b], pairs, weight)
        for (a, b), (pairs, weight) in p.links.items()
        if len(pairs)
    }


def solve(p: Prepared, cross: Mapping[Pair, Tensor], dim: int, ridge: float, power: float) -> Canonical:
    """Canonical directions of prepared views, with modalities by name."""
    order = {m: k for k, m in enumerate(p.modalities)}
    return canonical(
        list(p.spectra.values()), {(order[a], order[b]): c for (a, b), c in cross.items()}, dim, ridge, power
    )


@register("method", "cca")
class CCA:
    """Regularised canonical correlation of two or more modalities: the baseline, and the start of the others.

    z = normalise((phi(x) - mean) W), W the whitened canonical directions scaled by correlation ** power. Own
    covariances use all items, cross-covariances the known pairs.

    Args:
        dim: of the shared space, at most.
        ridge: in units of the mean variance; None: chosen on dev among .1, 1, 3, 10, 30.
        power: of the correlations; None: chosen on dev among .5 and 1.
        root: signed square root of modalities without negative values.
        unit: scale feature rows to unit length first.

    Without dev views the defaults of ridge and power are 10 and .5 below 1,000 pairs, else 3 and .5.

    Reference: Hotelling 1936; Vinod 1976; Kettenring 1971.
    """

    def __init__(
        self,
        dim: int = 256,
        ridge: float | None = None,
        power: float | None = None,
        root: bool = False,
        unit: bool = False,
    ) -> None:
        self.dim, self.ridge, self.power, self.root, self.unit = dim, ridge, power, root, unit
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs; needs at least two."""
        p = prepare(x, self.root, self.unit)
        require_links(p, 2)
        cross = known_cross(p)
        return p.heads(solve(p, cross, self.dim, **self.choose(p, cross, dev)))

    def choose(self, p: Prepared, cross: Mapping[Pair, Tensor], dev: Views | None) -> dict[str, float]:
        """Ridge and power: as set, or by dev recall, or by the number of pairs."""
        ridges = RIDGES if self.ridge is None else (self.ridge,)
        powers = POWERS if self.power is None else (self.power,)
        if dev is not None and len(ridges) * len(powers) > 1:
            tuned = tune(
                grid(ridge=ridges, power=powers),
                lambda s: dev_recall(p.heads(solve(p, cross, self.dim, **s)).embed(dev)),
            )
            self.record["trials"], chosen = tuned.record, tuned.settings
        else:
            many = max(len(pairs) for pairs, _ in p.links.values()) >= 1000
            default = 3.0 if many else 10.0
            chosen = {"ridge": default if self.ridge is None else ridges[0], "power": powers[0]}
        self.record["chosen"] = dict(chosen)
        return chosen


def require_links(p: Prepared, least: int) -> None:
    """Raise a clear error where too few groups are linked to align the modalities."""
    most = max((len(pairs) for pairs, _ in p.links.values()), default=0)
    if most < least:
        raise ModalignError(
            f"{most} known pairs among {', '.join(p.modalities)}: this method needs at least {least}; "
            "'wasserstein_procrustes' and 'transport_cca' work with none"
        )
