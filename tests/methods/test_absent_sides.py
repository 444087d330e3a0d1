"""Transport-CCA with things that lack a side: anchors told from the other sides, plans through what all sides say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from modalign.methods.canonical_space import CanonicalSpace
from modalign.methods.closed_form import known_cross, solve
from modalign.methods.prepared import Prepared, prepare
from modalign.methods.transport_cca import TransportCCA
from modalign.views import Views, keep_items

MakeViews = Callable[..., Views]
DIMS = (12, 8, 7)


def lacking(latent: MakeViews, **more: float) -> tuple[Views, Views]:
    """All sides of 120 things, and the same without the sound of the last 40 and the text of the 20 before."""
    whole = latent(120, 0, dims=DIMS, **more)
    keep = {"sound": torch.arange(80), "text": torch.cat([torch.arange(60), torch.arange(80, 120)])}
    return whole, keep_items(whole, {"image": torch.arange(120), **keep})


def space_of(p: Prepared, power: float = 0.5) -> CanonicalSpace:
    return CanonicalSpace(p, solve(p, known_cross(p), 8, 1.0, power), 1.0)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_an_absent_side_is_the_mean_of_a_gaussian_given_the_others(latent: MakeViews, power: float) -> None:
    x = latent(120, 0, dims=DIMS)
    space = space_of(prepare(x), power)
    there = {m: space.whitened(m, space.p.rows[m][:3]) for m in x.modalities}
    rows = {"image": torch.tensor([-1, 0, -1]), "text": torch.tensor([0, -1, 1]), "sound": torch.tensor([0, -1, -1])}
    there = {m: w * (rows[m] >= 0)[:, None] for m, w in there.items()}
    found = space.imputed(there, rows)
    r = space.fit.correlations.numpy()
    size = sum(d.square().sum(0) for d in space.fit.directions) / 3  # directions carry correlation ** power
    v = {m: (d / size.sqrt()).numpy() for m, d in zip(x.modalities, space.fit.directions, strict=True)}
    for k in range(3):
        sides = [m for m in x.modalities if rows[m][k] >= 0]
        for m in x.modalities:
            if m in sides:
                assert torch.equal(found[m][k], there[m][k])
                continue
            variates = np.stack([there[n][k].double().numpy() @ v[n] for n in sides])
            mean = []
            for c, rho in enumerate(r):  # n variates of variance 1, all correlated by rho, tell of one more
                own = np.full((len(sides), len(sides)), rho) + (1 - rho) * np.eye(len(sides))
                mean.append(np.full(len(sides), rho) @ np.linalg.solve(own, variates[:, c]))
            np.testing.assert_allclose(found[m][k].numpy(), v[m] @ np.array(mean), rtol=1e-3, atol=1e-4)


def test_imputed_anchors_are_near_the_sides_that_were_taken_away(latent: MakeViews) -> None:
    whole, part = lacking(latent, noise=0.05)
    p = prepare(part)
    rows = p.anchors(200, 0)
    assert int((rows["sound"] < 0).sum()) == 40
    space = space_of(p).anchored(rows, torch.ones(len(rows["image"])), 1.0)
    gone = rows["sound"] < 0
    things = p.ids["image"][rows["image"]][gone]
    true = normalize(space.whitened("sound", p.coordinates("sound", whole["sound"][things])), dim=1)
    assert float((space.anchors["sound"][gone] * true).sum(1).mean()) > 0.7
    assert float((space.anchors["sound"][gone] * true.roll(1, 0)).sum(1).mean()) < 0.3


def test_things_are_placed_by_all_the_sides_that_they_have(latent: MakeViews) -> None:
    _, part = lacking(latent)
    space = space_of(prepare(part))
    p = space.p
    z = {m: space.embed(m, rows) for m, rows in p.rows.items()}
    for m, placed in space.composed().items():
        for row, thing in enumerate(p.ids[m].tolist()):
            sides = [z[n][(p.ids[n] == thing).nonzero().item()] for n in p.modalities if thing in p.ids[n]]
            torch.testing.assert_close(placed[row], normalize(sum(sides), dim=0))  # type: ignore[arg-type]


def test_plans_go_through_all_sides_with_three_modalities_only(latent: MakeViews) -> None:
    _, part = lacking(latent)
    one, other = (TransportCCA(barycentre=b, smoothing=0.0) for b in (True, False))
    three, two = space_of(prepare(part)), space_of(prepare(part.only("image", "text")))
    pair = ("text", "sound")
    ours, own = (method.plans(three, 1)[pair].found.moment for method in (one, other))
    assert not torch.allclose(ours, own)
    # Things without a text or without a sound still have a photo, by which they are found.
    assert one.plans(two, 1).keys() == other.plans(two, 1).keys()
    for key, match in one.plans(two, 1).items():
        assert torch.equal(match.found.moment, other.plans(two, 1)[key].found.moment)
