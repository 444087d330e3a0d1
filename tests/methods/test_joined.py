"""Heads side by side: each one's cosines, weighed equally, in as few directions as asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import normalize

from modalign.methods.gradient import with_residual
from modalign.methods.joined import beside, joined
from modalign.model import Heads
from modalign.model.heads import Head, Projection
from modalign.registry import make
from modalign.views import Views

MakeViews = Callable[..., Views]


def test_maps_beside_each_other_give_their_vectors_at_mean_norm_one() -> None:
    torch.manual_seed(0)
    maps = [Projection(6, 3), Projection(6, 4, 5, 0.5), Projection(6, 2, 7, 0.1)]
    for p in maps:
        for q in p.parameters():
            torch.nn.init.normal_(q)
    c = torch.randn(50, 6)
    parts = []
    with torch.no_grad():
        for p in maps:
            z = c @ p.weight + p.bias
            if p.residual is not None:
                z = z + p.residual.eval()(c)
            parts.append(z / z.norm(dim=1).mean())
        found = beside(maps, c).eval()(c)
    assert torch.allclose(found, normalize(torch.cat(parts, 1), dim=1), atol=1e-5)


def test_linear_maps_alone_stay_linear() -> None:
    both = beside([Projection(4, 2), Projection(4, 3)], torch.randn(9, 4))
    assert (both.residual, both.dim) == (None, 5)


def test_joined_heads_have_the_mean_cosine_and_keep_to_their_width(latent: MakeViews) -> None:
    x = latent(200, 0)
    one, two = (make("method", "cca", dim=4, ridge=r).fit(x) for r in (0.1, 10.0))
    two = Heads({m: Head(one[m].features, Projection(one[m].map.width, 4)) for m in one.modalities})
    two = with_residual(two, 8, 0.5, torch.Generator().manual_seed(0)).eval()
    wide = joined([one, two], x, 100)
    assert wide.dim == 8
    z, a, b = (h.embed(x) for h in (wide, one, two))
    exact = ((a["image"] @ a["text"].T) + (b["image"] @ b["text"].T)) / 2
    assert (z["image"] @ z["text"].T - exact).abs().mean() < 0.1  # norms vary from item to item
    narrow = joined([one, two], x, 5)
    assert narrow.dim == 5
    full = joined([one, two], x, 8)
    assert torch.allclose(full.embed(x)["image"] @ full.embed(x)["text"].T, z["image"] @ z["text"].T, atol=1e-5)
