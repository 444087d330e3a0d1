"""Methods that solve for the heads in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..geometry.correlation import Canonical, canonical, cross_covariance
from ..geometry.procrustes import rotation
from ..model import Heads
from ..model.heads import FeatureMap, Head
from ..parameters import Count, Dim, Seed, Weight
from ..progress import Progress, silent
from ..registry import register
from ..training.loop import dev_recall
from ..views import Pair, Views, linked_groups
from .base import on_cpu
from .local_scaling import without_hubs
from .prepared import Prepared, linear_map, prepare
from .tuning import grid, tune

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
        list(p.principal.values()), {(order[a], order[b]): c for (a, b), c in cross.items()}, dim, ridge, power
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
        tilt: the ridge of a modality of d features is (d / geometric mean of all d) ** tilt times that.
        root: signed square root of modalities without negative values.
        unit: scale feature rows to unit length first.
        hubs: put `LocalScaling` behind the heads, as "full" may.
        target: of three modalities and more, the one that queries composed of the others search: hubs are removed
            for such queries; None: every modality searches every other one.

    Without dev views the defaults of ridge and power are 10 and .5 below 1,000 pairs, else 3 and .5.

    Use when: most items have known partners, or seconds must do: the strongest of the quick methods, and the start of
        the others.
    Related: "transport_cca" and "full", which learn from items without a partner too; "csa", its published form
        without regularisation.

    Reference: Hotelling 1936; Vinod 1976; Kettenring 1971.
    """

    def __init__(
        self,
        dim: Dim = 256,
        ridge: Weight | None = None,
        power: Weight | None = None,
        root: bool = False,
        unit: bool = False,
        hubs: bool = False,
        target: str | None = None,
        tilt: Weight = 0.0,
    ) -> None:
        self.dim, self.ridge, self.power, self.root, self.unit = dim, ridge, power, root, unit
        self.hubs, self.target, self.tilt = hubs, target, tilt
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs; needs at least two."""
        x, dev = on_cpu(x), on_cpu(dev)
        if self.target is not None:
            x[self.target]  # refuses a name that is no modality
        p = prepare(x, self.root, self.unit).tilted(self.tilt)
        require_links(p, 2)
        cross = known_cross(p)
        heads = p.heads(solve(p, cross, self.dim, **self.choose(p, cross, dev)))
        return without_hubs(heads, x, target=self.target) if self.hubs else heads

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


@register("method", "csa")
class CSA:
    """CSA: canonical directions of the pairs alone, weighted by their correlations, truncated.

    CCA without unpaired items and with almost no ridge; rows in the ``dim`` leading directions, each scaled by the
    square root of its correlation, so that the inner product weighs directions by correlation. The published score
    normalises before weighting and is no cosine of unit rows; here rows are normalised after it. With fewer pairs
    than features every correlation is 1 and the method collapses: that is the published behaviour.

    Args:
        dim: directions kept, at most.
        ridge: in units of the mean variance; published none.

    Use when: the published method is wanted, as a baseline, with many more pairs than features.
    Related: "cca", regularised and fitted to unpaired items as well.

    Reference: Li et al. 2024, arXiv 2410.07610.
    """

    def __init__(self, dim: Dim = 256, ridge: Weight = 1e-3) -> None:
        self.dim, self.ridge = dim, ridge
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs; needs at least two."""
        x = on_cpu(x)
        require_links(prepare(x), 2)
        p = prepare(x.groups(linked_groups(x)), most=4096)
        return p.heads(solve(p, known_cross(p), self.dim, self.ridge, 0.5))


@register("method", "procrustes")
class Procrustes:
    """Orthogonal Procrustes: one modality's principal axes rotated onto another's by the known pairs.

    Each modality in its ``dim`` leading principal axes, unit rows; every other modality is turned onto the first by
    min |X R - Y|_F, R orthogonal; without pairs with the first, onto one that is turned already. Keeps each modality's
    own geometry exactly, as far as the axes hold it.

    Args:
        dim: axes, at most; no more than the narrowest modality has.
        root, unit: as in "cca".

    Use when: distances inside each modality must stay exactly as they are, and both have nearly the same geometry.
    Related: "wasserstein_procrustes", without known pairs; "cca", which may bend both.

    Reference: Schönemann 1966.
    """

    def __init__(self, dim: Dim = 256, root: bool = False, unit: bool = True) -> None:
        self.dim, self.root, self.unit = dim, root, unit
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs, which must join all modalities, directly or in a chain."""
        x = on_cpu(x)
        p = prepare(x, self.root, self.unit)
        k = min(self.dim, *(rows.shape[1] for rows in p.rows.values()))
        first = p.modalities[0]
        maps = {first: torch.eye(k, dtype=torch.float64)}
        while len(maps) < len(p.modalities):
            left = [m for m in p.modalities if m not in maps]
            near, m = next(((n, m) for m in left for n in maps if len(p.between(n, m)[0])), (first, None))
            if m is None:
                raise ModalignError(f"'{first}' and '{left[0]}' have no known pairs: 'procrustes' needs some")
            pairs, weight = p.between(near, m)
            scale = weight.sqrt()[:, None]
            target, rows = (normalize(p.rows[n][pairs[:, s], :k], dim=1) * scale for s, n in ((0, near), (1, m)))
            maps[m] = rotation(rows, target @ maps[near]).rotation
        return linear_heads(p, {m: p.principal[m].axes[:, :k] for m in maps}, maps)


@register("method", "ridge")
class Ridge:
    """Ridge regression: every modality predicts the features of one target modality, in which all are compared.

    W = argmin sum_pairs |x W - y|^2 + ridge tr(C) / d |W|^2, x and y centred, y in its leading principal axes.

    Args:
        dim: axes of the target, at most.
        ridge: in units of the mean variance.
        target: modality whose space is shared; None: the one with the fewest features.
        root, unit, hubs: as in "cca".

    Use when: one modality's space is given and must stay: an index that exists, a text space with prompts.
    Related: "procrustes", which turns but does not shrink; "cca", which moves both; `modalign.migration` for a new
        model's vectors into an old index.

    Reference: Hoerl & Kennard 1970.
    """

    def __init__(
        self,
        dim: Dim = 256,
        ridge: Weight = 3.0,
        target: str | None = None,
        root: bool = False,
        unit: bool = True,
        hubs: bool = False,
    ) -> None:
        self.dim, self.ridge, self.target, self.root, self.unit = dim, ridge, target, root, unit
        self.hubs = hubs
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads of the known pairs; every modality needs pairs with the target."""
        x = on_cpu(x)
        if self.target is not None:
            x[self.target]
        p = prepare(x, self.root, self.unit)
        target = self.target or min(p.modalities, key=lambda m: p.features[m].width)
        k = min(self.dim, p.rows[target].shape[1])
        maps = {}
        for m in p.modalities:
            if m == target:
                maps[m] = torch.eye(p.rows[m].shape[1], k, dtype=torch.float64)
                continue
            pairs, weight = p.between(target, m)
            if not len(pairs):
                raise ModalignError(f"'{target}' and '{m}' have no known pairs: 'ridge' needs some")
            w = (weight / weight.sum())[:, None]
            y, rows = p.rows[target][pairs[:, 0], :k], p.rows[m][pairs[:, 1]]
            own = (rows * w).T @ rows + self.ridge * p.principal[m].total * torch.eye(rows.shape[1], dtype=rows.dtype)
            maps[m] = torch.linalg.solve(own, (rows * w).T @ y)
        heads = linear_heads(p, {m: p.principal[m].axes for m in maps}, maps)
        return without_hubs(heads, x, target=target) if self.hubs else heads


@register("method", "asif")
class ASIF:
    """ASIF: an item is its likeness to the known pairs, the same pairs in every modality; nothing is trained.

    z_k = max(0, <x, anchor_k>)^power for the ``nearest`` anchors, 0 elsewhere, normalised. The public program raises
    negative cosines to the even power, which makes opposite anchors count as near ones; here they count 0.

    Args:
        nearest: published 800. power: published 8.
        most_anchors: pairs used, at most; the shared space has one dimension for each.
        seed: draws the anchors where there are more.

    Use when: nothing may be trained, pairs come and go, and each answer must name the pairs it rests on.
    Related: "transport_cca", which uses such likenesses beside canonical maps.

    Reference: Norelli et al. 2022, arXiv 2210.01738.
    """

    def __init__(self, nearest: Count = 800, power: Weight = 8.0, most_anchors: Count = 2000, seed: Seed = 0) -> None:
        self.nearest, self.power, self.most_anchors, self.seed = nearest, power, most_anchors, seed
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Heads whose anchors are the known pairs; of several items of a group, their mean direction."""
        x = on_cpu(x)
        p = prepare(x, rows=max(map(len, x.data.values())))
        require_links(p, 2)
        rows = p.anchors(self.most_anchors, self.seed)
        heads = {}
        for m, chosen in rows.items():
            width, k = x[m].shape[1], len(chosen)
            front = FeatureMap(width, anchors=k, sharpness=self.power, nearest=self.nearest)
            units = normalize(x[m].float(), dim=1)
            group = torch.searchsorted(p.ids[m], x.group[m].long()) if not x.links else torch.arange(len(units))
            means = torch.zeros(len(p.rows[m]), width).index_add(0, group, units)
            front.anchors.copy_(normalize(means[chosen], dim=1) * (chosen >= 0)[:, None])  # type: ignore[union-attr]
            heads[m] = Head(front, linear_map(torch.cat([torch.zeros(width, k), torch.eye(k)])))
        return Heads(heads).eval()


def linear_heads(p: Prepared, bases: Mapping[str, Tensor], maps: Mapping[str, Tensor]) -> Heads:
    """Linear heads (phi(x) - mean) basis map."""
    return Heads(
        {m: Head(p.front(m, p.principal[m].mean, bases[m]), linear_map(maps[m].float())) for m in p.modalities}
    ).eval()
