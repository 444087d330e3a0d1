"""Filling in features that are missing: what methods that cope with gaps have to beat.

References: probabilistic PCA: Tipping & Bishop 1999, "Probabilistic principal component analysis", equations 7 and 12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, unknown
from ..geometry.correlation import PrincipalAxes, principal_axes
from ..views import Aligned

FILLS = ("zero", "mean", "knn", "ppca")
NEIGHBOURS = 10
AXES, LATENT = 128, 64
Fill = Callable[[Aligned], Aligned]


def filler(kind: str, train: Aligned) -> Fill:
    """A function that completes features.

    "zero": zeros. "mean": the training mean. "knn": mean of that modality over the ten training items nearest in what
    is present (cosine of centred features, mean over the present modalities). "ppca": conditional expectation given
    what is present, under a probabilistic PCA of all modalities side by side.

    Args:
        kind: one of FILLS. train: training features; "knn" and "ppca" learn from complete groups.

    Raises:
        ModalignError: unknown kind, or too few complete training groups.
    """
    if kind == "zero":
        return lambda x: _filled(x, {m: torch.zeros(v.shape[1]) for m, v in x.data.items()})
    if kind == "mean":
        means = {m: train.data[m][train.present[:, k]].mean(0) for k, m in enumerate(train.modalities)}
        return lambda x: _filled(x, means)
    if kind not in ("knn", "ppca"):
        raise unknown("fill", kind, FILLS)
    whole = train.present.all(1)
    if int(whole.sum()) < 2:
        raise ModalignError(
            f"the fill '{kind}' learns from complete training groups, of which there are {int(whole.sum())}"
        )
    complete = {m: v[whole].float() for m, v in train.data.items()}
    return _Neighbours(complete) if kind == "knn" else _PPCA(complete)


def _filled(x: Aligned, values: dict[str, Tensor]) -> Aligned:
    """The same value wherever a modality is absent; (d,) or (g, d) values."""
    data = {m: torch.where(x.present[:, k, None], v.float(), values[m]) for k, (m, v) in enumerate(x.data.items())}
    return Aligned(x.group, data, torch.ones_like(x.present))


def _gaps(x: Aligned) -> Iterator[tuple[Tensor, list[str], list[str]]]:
    """Rows with the same gaps, the modalities that they have, and those that they lack."""
    patterns, where = torch.unique(x.present, dim=0, return_inverse=True)
    for i, pattern in enumerate(patterns.tolist()):
        have = [m for m, there in zip(x.modalities, pattern, strict=True) if there]
        lack = [m for m in x.modalities if m not in have]
        if have and lack:
            yield (where == i).nonzero().flatten(), have, lack


class _Neighbours:
    def __init__(self, train: dict[str, Tensor]) -> None:
        self.train = train
        self.mean = {m: v.mean(0) for m, v in train.items()}
        self.unit = {m: normalize(v - self.mean[m], dim=1) for m, v in train.items()}

    def __call__(self, x: Aligned) -> Aligned:
        guess = {m: self.mean[m].expand(len(x.group), -1).clone() for m in x.data}
        for rows, have, lack in _gaps(x):
            likeness = sum(normalize(x.data[m][rows].float() - self.mean[m], dim=1) @ self.unit[m].T for m in have)
            assert isinstance(likeness, Tensor)
            near = likeness.topk(min(NEIGHBOURS, likeness.shape[1]), dim=1).indices
            for m in lack:
                guess[m][rows] = self.train[m][near].mean(1)
        return _filled(x, guess)


class _PPCA:
    """W = U (L - s^2 I)^1/2, s^2 = mean eigenvalue left out; E[t | x_o] = (W_o^T W_o + s^2 I)^-1 W_o^T (x_o - m)."""

    def __init__(self, train: dict[str, Tensor]) -> None:
        self.principal: dict[str, PrincipalAxes] = {m: principal_axes(v, most=AXES) for m, v in train.items()}
        # Each modality scaled to total variance 1, so that none drowns the others by its width or unit.
        self.scale = {m: float((s.total * len(s.mean)).sqrt()) for m, s in self.principal.items()}
        parts = [self.coordinates(m, v) for m, v in train.items()]
        sizes = [p.shape[1] for p in parts]
        self.cut = dict(zip(train, torch.arange(sum(sizes)).split(sizes), strict=True))
        joint = torch.cat(parts, 1)
        values, axes = torch.linalg.eigh(joint.T @ joint / len(joint))
        values, axes = values.flip(0).clamp(min=0), axes.flip(1)
        latent = min(LATENT, len(values) - 1, len(joint) - 1)
        self.noise = values[latent:].mean().clamp(min=1e-9)
        self.loadings = axes[:, :latent] * (values[:latent] - self.noise).clamp(min=0).sqrt()

    def coordinates(self, m: str, x: Tensor) -> Tensor:
        return self.principal[m].coordinates(x) / self.scale[m]

    def __call__(self, x: Aligned) -> Aligned:
        guess = {m: self.principal[m].mean.float().expand(len(x.group), -1).clone() for m in x.data}
        for rows, have, lack in _gaps(x):
            seen = self.loadings[torch.cat([self.cut[m] for m in have])]
            known = torch.cat([self.coordinates(m, x.data[m][rows]) for m in have], 1)
            inside = seen.T @ seen + self.noise * torch.eye(seen.shape[1], dtype=seen.dtype)
            latent = torch.linalg.solve(inside, seen.T @ known.T).T
            for m in lack:
                s = self.principal[m]
                guess[m][rows] = (latent @ self.loadings[self.cut[m]].T * self.scale[m] @ s.axes.T + s.mean).float()
        return _filled(x, guess)
