"""Heads whose space has fewer hubs: the last stage, fitted to the training items."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Heads
from ..model.heads import Head, LocalScaling, Projection
from ..views import Views

MOST = 8192  # rows of a bank: 8 MB at 256 dimensions
FEWEST = 20  # with fewer items of other modalities than this, crowdedness is noise


@torch.no_grad()
def without_hubs(
    heads: Heads, x: Views, neighbours: int = 30, strength: float = 1.0, edge: float = 0.25, seed: int = 0
) -> Heads:
    """The same heads with `LocalScaling` behind them, whose banks are training items of the other modalities.

    Args:
        heads: without such a stage. x: training views, paired or not.
        neighbours, strength, edge: of `LocalScaling`; of a small bank one row in 75 counts as near, but at least 5.
        seed: draws banks from larger sets.

    Returns:
        Heads of the same width, whose last coordinates, one per modality, are those of `LocalScaling`; the others are
        reduced to their principal directions. The heads as they are where the banks would be too small.

    Example:
        >>> from modalign.registry import make
        >>> draw = torch.Generator().manual_seed(0)
        >>> a, b = torch.randn(60, 8, generator=draw), torch.randn(60, 6, generator=draw)
        >>> x = Views.from_arrays(text=a, image=b)
        >>> heads = make("method", "cca", dim=4).fit(x)
        >>> without_hubs(heads, x).dim, without_hubs(heads, x)["text"].map.dim
        (4, 2)
    """
    x = x.only(*[m for m in x.modalities if m in heads.modalities])
    plain = heads
    heads = reduced(heads, x, heads.dim - len(heads.modalities))
    z = heads.embed(x)
    banks = {m: bank_of(z, m, seed) for m in heads.modalities}
    if len(heads.modalities) < 2 or min(len(bank) for bank in banks.values()) < FEWEST:
        return plain
    out = {}
    for own, m in enumerate(heads.modalities):
        near = min(neighbours, max(5, len(banks[m]) // 75))
        last = LocalScaling(heads.dim, len(banks[m]), own, len(heads.modalities), near, strength, edge)
        last.bank.copy_(banks[m])
        own_rows = z[m] if m in z else banks[m]
        last.mean.copy_(torch.cat([last.crowd(part) for part in own_rows.split(2048)]).mean())
        out[m] = Head(heads[m].features, heads[m].map, last)
    return Heads(out).eval()


def reduced(heads: Heads, x: Views, dim: int) -> Heads:
    """Heads into the principal directions of the embedded training items of all modalities, 1 <= dim <= heads.dim."""
    moment = torch.stack([z.double().T @ z.double() / len(z) for z in heads.embed(x).data.values()]).sum(0)
    axes = torch.linalg.eigh(moment).eigenvectors[:, -max(dim, 1) :].flip(1).float()
    return Heads({m: Head(heads[m].features, turned(heads[m].map, axes)) for m in heads.modalities}).eval()


def turned(old: Projection, axes: Tensor) -> Projection:
    """The map c -> normalise((c W + b + MLP(c)) axes)."""
    new = Projection(old.width, **{**old.settings, "dim": axes.shape[1]})
    new.weight.copy_(old.weight @ axes)
    new.bias.copy_(old.bias @ axes)
    if old.residual is not None and new.residual is not None:
        first, last = old.residual[0], old.residual[-1]  # type: ignore[index]
        new.residual[0].load_state_dict(first.state_dict())  # type: ignore[index]
        new.residual[-1].weight.copy_(axes.T @ last.weight)  # type: ignore[index]
        new.residual[-1].bias.copy_(last.bias @ axes)  # type: ignore[index]
    return new


def bank_of(z: Views, m: str, seed: int) -> Tensor:
    """At most MOST rows of the modalities other than m, the same number of each where there are enough."""
    others = [rows for name, rows in z.data.items() if name != m]
    parts = []
    for rows in others:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        parts.append(rows[order[: MOST // len(others)].sort().values])
    return torch.cat(parts) if parts else torch.empty(0, 0)
