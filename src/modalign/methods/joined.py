"""Several heads with one front as one head: the sum of their similarities in one space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model import Heads
from ..model.heads import Head, Projection
from ..views import Views
from .local_scaling import leading, some, turned

USUAL = 4096  # rows of a modality from which norms and directions are found


@torch.no_grad()
def joined(several: Sequence[Heads], x: Views, dim: int, seed: int = 0) -> Heads:
    """Heads whose cosine is about the mean of the cosines of several.

    Their vectors stand beside each other, each set scaled to mean norm 1 before the whole is scaled to unit length, and
    are reduced to ``dim`` principal directions of the training items of all modalities.

    Args:
        several: with the same fronts, and nothing behind their maps. x: training views with all their modalities.
        dim: of the result, at most. seed: draws rows by which norms and directions are found.

    Example:
        >>> from modalign.registry import make
        >>> draw = torch.Generator().manual_seed(0)
        >>> x = Views.from_arrays(a=torch.randn(60, 8, generator=draw), b=torch.randn(60, 6, generator=draw))
        >>> one = make("method", "cca", dim=4).fit(x)
        >>> both = joined([one, one], x, 4)
        >>> bool(torch.allclose((both.embed(x)["a"] @ both.embed(x)["b"].T), one.embed(x)["a"] @ one.embed(x)["b"].T,
        ...                     atol=1e-4))
        True
    """
    out, z = {}, {}
    for m in several[0].modalities:
        front = several[0][m].features
        rows = x[m][some(len(x[m]), USUAL, seed)]
        coordinates = front(rows)
        out[m] = Head(front, beside([h[m].map for h in several], coordinates))
        z[m] = out[m](rows)
    heads = Heads(out).eval()
    if heads.dim <= dim:
        return heads
    axes = leading(z, dim)
    return Heads({m: Head(out[m].features, turned(out[m].map, axes)) for m in out}).eval()


@torch.no_grad()
def beside(maps: Sequence[Projection], coordinates: Tensor) -> Projection:
    """The map c -> normalise([v_1(c) / n_1, v_2(c) / n_2, ...]), v_k before scaling, n_k their mean norm."""
    hidden = [0 if p.residual is None else int(p.settings["hidden"]) for p in maps]
    dropout = max(float(p.settings["dropout"]) for p in maps)
    new = Projection(maps[0].width, sum(p.dim for p in maps), sum(hidden), dropout)
    norms = [raw(p, coordinates).norm(dim=1).mean().clamp(min=1e-12) for p in maps]
    new.weight.copy_(torch.cat([p.weight / n for p, n in zip(maps, norms, strict=True)], 1))
    new.bias.copy_(torch.cat([p.bias / n for p, n in zip(maps, norms, strict=True)]))
    unit, row = 0, 0
    for p, n, h in zip(maps, norms, hidden, strict=True):
        if h:
            first, last = ends(new)
            first.weight[unit : unit + h].copy_(ends(p)[0].weight)
            first.bias[unit : unit + h].copy_(ends(p)[0].bias)
            last.weight[row : row + p.dim, unit : unit + h].copy_(ends(p)[1].weight / n)
            last.bias[row : row + p.dim].copy_(ends(p)[1].bias / n)
            unit += h
        row += p.dim
    return new


def ends(p: Projection) -> tuple[nn.Linear, nn.Linear]:
    """First and last layer of a map's perceptron, of which the last one of a new map is zero."""
    assert isinstance(p.residual, nn.Sequential)
    first, last = p.residual[0], p.residual[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last


def raw(p: Projection, coordinates: Tensor) -> Tensor:
    """What a map gives before it scales to unit length, without dropout."""
    z = coordinates @ p.weight + p.bias
    return z if p.residual is None else z + p.residual.eval()(coordinates)
