"""Training views as every closed form wants them: coordinates on principal axes, one row per group, known links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModalignError
from ..geometry.correlation import Canonical, Spectrum, spectrum
from ..model import Features, Head, Heads, Map
from ..views import Pair, Views


@dataclass(frozen=True)
class Prepared:
    """What closed forms work on.

    Args:
        features: modality -> front of the head, whose ``phi`` made the rows; no mean or basis set yet.
        spectra: modality -> principal axes of phi over all items.
        rows: modality -> (g_m, r_m) float64 coordinates, the mean of each group's items.
        links: (a, b) -> ((p, 2) row pairs, (p,) weights). A linked group counts once however many items it has.
    """

    features: Mapping[str, Features]
    spectra: Mapping[str, Spectrum]
    rows: Mapping[str, Tensor]
    links: Mapping[Pair, tuple[Tensor, Tensor]]

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def unlinked(self, a: str, b: str) -> Tensor:
        """Rows of a that have no link to b."""
        pair, side = ((a, b), 0) if (a, b) in self.links else ((b, a), 1)
        alone = torch.ones(len(self.rows[a]), dtype=torch.bool)
        alone[self.links[pair][0][:, side]] = False
        return alone.nonzero().flatten()

    def heads(self, fit: Canonical) -> Heads:
        """Heads of a canonical solution."""
        heads = {}
        for k, m in enumerate(self.modalities):
            heads[m] = linear_head(self.features[m], fit.means[k], fit.bases[k], fit.directions[k])
        return Heads(heads).eval()


def prepare(x: Views, root: bool = False, unit: bool = False, landmarks: int = 0, seed: int = 0) -> Prepared:
    """Fit the fronts of the heads and bring the views on their principal axes.

    Args:
        x: features, paired and unpaired items mixed.
        root: signed square root of modalities without negative values (pooled activations).
        unit: scale rows to unit length before anything else.
        landmarks: Gaussian kernel features per modality; 0: none.
        seed: draws the landmarks.

    Raises:
        ModalignError: rows that are not finite or all zero, or a modality with fewer than two items.
    """
    x.validate()
    features, spectra, rows, ids = {}, {}, {}, {}
    for m, items in x.data.items():
        features[m] = _front(items.float(), root, unit, landmarks, seed)
        phi = features[m].phi(items.float())
        if len(phi) < 2:
            raise ModalignError(f"'{m}' has {len(phi)} items: at least two are needed")
        spectra[m] = spectrum(phi)
        coordinates = spectra[m].coordinates(phi)
        if x.links:
            rows[m], ids[m] = coordinates, torch.arange(len(phi))
        else:
            rows[m], ids[m] = _group_means(coordinates, x.group[m].long())
    links = {}
    for a, b in x.pairs():
        pairs = x.paired(a, b) if x.links else _common(ids[a], ids[b])
        links[a, b] = (pairs, _weights(pairs, len(rows[a]), len(rows[b])))
    return Prepared(features, spectra, rows, links)


def linear_head(front: Features, mean: Tensor, basis: Tensor, directions: Tensor) -> Head:
    """The head normalise((phi(x) - mean) basis directions) with the phi of ``front``."""
    features = Features(**{**front.settings, "rank": basis.shape[1]})
    state = {k: v for k, v in front.state_dict().items() if k not in ("mean", "basis")}
    features.load_state_dict({**state, "mean": mean.float(), "basis": basis.float()})
    back = Map(basis.shape[1], directions.shape[1])
    with torch.no_grad():
        back.weight.copy_(directions)
    return Head(features, back)


def _front(items: Tensor, root: bool, unit: bool, landmarks: int, seed: int) -> Features:
    count = min(landmarks, len(items) // 2)
    front = Features(items.shape[1], root=root and bool((items >= 0).all()), unit=unit, landmarks=count)
    if count:
        _place_landmarks(front, items, seed)
    return front


def _place_landmarks(front: Features, items: Tensor, seed: int) -> None:
    """Landmarks drawn from the items; bandwidth = median distance; kernel features as large as the linear ones."""
    generator = torch.Generator().manual_seed(seed)
    plain = Features(front.width, root=front.root, unit=front.unit).phi(items)
    chosen = plain[torch.randperm(len(plain), generator=generator)[: len(front.landmarks)]]  # type: ignore[arg-type]
    distance = torch.cdist(chosen.double(), chosen.double())
    gamma = 1.0 / distance[distance > 0].median().square()
    values, vectors = torch.linalg.eigh((-gamma * distance.square()).exp())
    inverse_root = (vectors * values.clamp(min=1e-6 * float(values[-1])).rsqrt()) @ vectors.T
    kernel = (-gamma * torch.cdist(plain.double(), chosen.double()).square()).exp() @ inverse_root
    ratio = plain.double().var(0).sum() / kernel.var(0).sum()
    front.landmarks.copy_(chosen)  # type: ignore[union-attr]
    front.kernel_basis.copy_(inverse_root)  # type: ignore[union-attr, operator]
    front.kernel_scale.copy_(torch.stack([gamma, ratio.sqrt()]))  # type: ignore[union-attr, operator]


def _group_means(rows: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    ids, where = torch.unique(group, return_inverse=True)
    total = torch.zeros(len(ids), rows.shape[1], dtype=rows.dtype).index_add(0, where, rows)
    return total / torch.bincount(where, minlength=len(ids))[:, None], ids


def _common(a: Tensor, b: Tensor) -> Tensor:
    """(p, 2) positions of the ids that two sorted lists of distinct ids share."""
    both = a[torch.isin(a, b)]
    return torch.stack([torch.searchsorted(a, both), torch.searchsorted(b, both)], 1)


def _weights(pairs: Tensor, n: int, m: int) -> Tensor:
    """1 / (links of the left row x links of the right row), so that a linked group counts once."""
    left = torch.bincount(pairs[:, 0], minlength=n)[pairs[:, 0]]
    right = torch.bincount(pairs[:, 1], minlength=m)[pairs[:, 1]]
    return 1.0 / (left * right).double()
