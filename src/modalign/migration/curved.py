"""Adapters that bend: a residual perceptron by descent, and maps that differ from place to place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from .adapter import Adapter
from .linear import Sample, orthogonal, ridge_map, some

BATCH = 256


def perceptron(
    s: Sample, hidden: int = 256, lr: float = 1e-3, decay: float = 0.01, epochs: int = 50, seed: int = 0,
    scaled: bool = False,
) -> Adapter:  # fmt: skip
    """y = u W + b + gelu(u A + a) B by gradient descent on the mean square; B starts at zero, W at the rotation.

    AdamW in batches of 256, a tenth of the links held out to stop at the best epoch.

    Args:
        hidden: published 256. lr, decay: of AdamW. epochs: passes over the links, at most; patience 5.
        scaled: a diagonal scaling of the output is learned with the rest and then multiplied into it.

    Reference: Vejendla 2025, arXiv 2509.23471 (residual perceptron; there W stays the
        identity, which says nothing between two models that were not trained from one).
    """
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(s.x), generator=draw)
    held, own = order[: max(1, len(order) // 10)], order[max(1, len(order) // 10) :]
    w, d = s.x.shape[1], s.y.shape[1]
    weights = [
        orthogonal(s).weight, torch.zeros(d),
        torch.randn(w, hidden, generator=draw) / w**0.5, torch.zeros(hidden), torch.zeros(hidden, d), torch.ones(d),
    ]  # fmt: skip
    tensors = [nn.Parameter(t, requires_grad=scaled or t is not weights[-1]) for t in weights]

    def predict(x: Tensor) -> Tensor:
        weight, bias, inner, offset, outer, scale = tensors
        return (x @ weight + bias + gelu(x @ inner + offset) @ outer) * scale

    descent = torch.optim.AdamW([t for t in tensors if t.requires_grad], lr=lr, weight_decay=decay)
    best, kept, waited = float("inf"), [t.detach().clone() for t in tensors], 0
    for _ in range(epochs * max(1, 2 * BATCH // max(len(own), 1))):  # few links make short epochs
        for rows in own[torch.randperm(len(own), generator=draw)].split(BATCH):
            descent.zero_grad()
            ((predict(s.x[rows]) - s.y[rows]).square().sum(1).mean()).backward()
            descent.step()
        with torch.no_grad():
            loss = float((predict(s.x[held]) - s.y[held]).square().mean())
        waited = waited + 1 if loss >= best else 0
        if loss < best:
            best, kept = loss, [t.detach().clone() for t in tensors]
        if waited >= 5:
            break
    weight, bias, inner, offset, outer, scale = kept
    parts = {"inner": inner, "offset": offset, "outer": outer * scale}
    return Adapter("perceptron", weight * scale, bias * scale, "perceptron", parts)


def local(s: Sample, places: int = 8, strength: float = 0.3, sharpness: float = 8.0, seed: int = 0) -> Adapter:
    """One ridge map for all, and one more for what it leaves in each of several places. See ``with_places``."""
    return with_places(Adapter("local", *ridge_map(s.x, s.y)), s, places, strength, sharpness, seed)


def with_places(
    base: Adapter, s: Sample, places: int, strength: float, sharpness: float = 8.0, seed: int = 0
) -> Adapter:
    """A linear adapter and one ridge map more for what it leaves in each of several places, blended by nearness.

    Places are centres of k-means on the directions of all rows of x; the map of a place is fitted on links weighted by
    their share in it.

    Args:
        places: how many; no more than one per 20 links. strength: of the place's ridge. sharpness: of the blend.

    Reference: Jacobs et al. 1991 (local experts); the closed form is a varying-coefficient regression.
    """
    places = max(1, min(places, len(s.x) // 20))
    centre = s.more_x.mean(0)
    anchors = spherical_means(normalize(some(s.more_x, 10_000, seed) - centre, dim=1), places, seed)
    gate = torch.softmax(sharpness * normalize(s.x - centre, dim=1) @ anchors.T, 1)
    rest = s.y - s.x @ base.weight - base.bias
    unit = float(torch.var(s.x, 0).mean())
    maps, shifts = [], []
    for share in gate.T:
        total = float(share.sum()) + 1e-9
        mx, mr = (share @ s.x) / total, (share @ rest) / total
        x = (s.x - mx) * share[:, None].sqrt()
        own = x.T @ x / total + (strength * unit + 1e-9) * (1 + 100.0 / total) * torch.eye(s.x.shape[1])
        found = torch.linalg.solve(own, x.T @ ((rest - mr) * share[:, None].sqrt()) / total)
        maps.append(found)
        shifts.append(mr - mx @ found)
    parts = {"centre": centre, "anchors": anchors, "maps": torch.stack(maps), "shifts": torch.stack(shifts)}
    return Adapter(base.method, base.weight, base.bias, "local", parts, sharpness)


def spherical_means(rows: Tensor, k: int, seed: int, rounds: int = 15) -> Tensor:
    """(k, w) unit centres of k-means on unit rows, started by k-means++."""
    draw = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(len(rows), (1,), generator=draw))]
    far = 1.0 - rows @ rows[chosen[0]]
    while len(chosen) < k:
        weight = far.clamp(min=0.0) + 1e-12
        chosen.append(int(torch.multinomial(weight, 1, generator=draw)))
        far = torch.minimum(far, 1.0 - rows @ rows[chosen[-1]])
    centres = rows[chosen]
    for _ in range(rounds):
        label = (rows @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, label, rows)
        centres = torch.where(sums.norm(dim=1, keepdim=True) > 1e-9, normalize(sums, dim=1), centres)
    return centres
