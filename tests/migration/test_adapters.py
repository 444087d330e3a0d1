"""Adapters fitted on links: diagonal scaling, the rotation seen from either side, corrections on top of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from modalign.migration import Adapter, curved, linear, load_adapter, transport
from modalign.migration.choose import METHODS, FullAdapter, candidates
from modalign.migration.linear import Sample

from .conftest import Models


@pytest.fixture
def sample(models: Models) -> Sample:
    return Sample(models.old[:300], models.new[:300], models.old[:1500], models.new[1500:]).units()


def rest(adapter: Adapter, s: Sample) -> float:
    """Mean square of what an adapter leaves at the links, before rows are set to length 1."""
    y = s.x @ adapter.weight + adapter.bias
    return float(((y + adapter.bent(s.x) if adapter.bend else y) - s.y).square().sum(1).mean())


def unevenly_scaled(s: Sample) -> tuple[Sample, Tensor]:
    """A sample whose second model is the first one, turned, with another scale in every direction."""
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(0))).Q[:, :16]
    scale = torch.linspace(0.2, 3.0, 16)
    return Sample(s.x, s.x @ turn * scale, s.more_x, s.more_x @ turn * scale), scale


@pytest.mark.parametrize("centred", [False, True])
def test_a_scaling_behind_the_rotation_leaves_less(centred: bool, sample: Sample) -> None:
    plain, scaled = (rest(linear.orthogonal(sample, centred, scaled=s), sample) for s in (False, True))
    assert scaled < plain


def test_scaling_gives_each_direction_what_it_lacks(sample: Sample) -> None:
    s, scale = unevenly_scaled(sample)
    low = linear.low_rank(s, rank=16, strength=3.0)
    found = linear.low_rank(s, rank=16, strength=3.0, scaled=True)
    assert rest(found, s) < 0.5 * rest(low, s)
    assert torch.allclose(linear.scales(s.x, s.x * 2.5), torch.full((24,), 2.5))
    assert float(scale.max()) == 3.0


def test_a_scaling_is_learned_with_the_perceptron_and_multiplied_into_it(sample: Sample) -> None:
    s, _ = unevenly_scaled(sample)
    plain, scaled = (curved.perceptron(s, hidden=8, lr=0.01, epochs=20, scaled=on) for on in (False, True))
    assert set(scaled.parts) == set(plain.parts) == {"inner", "offset", "outer"}
    assert rest(scaled, s) < rest(plain, s)


def test_a_rotation_is_the_same_from_either_side(sample: Sample) -> None:
    there, back = transport.turn(sample, rows=600), transport.turn(sample.flipped(), rows=600)
    assert torch.allclose(there.flipped().flipped().adapter().weight, there.adapter().weight)
    laid = [t.adapter()(sample.y[:50]) for t in (there.flipped(), back)]
    assert float(torch.cosine_similarity(*laid).mean()) > 0.95  # the plans see other rows


def test_maps_of_places_stand_on_any_linear_adapter(sample: Sample) -> None:
    base = transport.turn(sample, rows=600).adapter()
    placed = curved.with_places(base, sample, places=4, strength=0.3)
    assert (placed.method, placed.bend) == ("full", "local")
    assert torch.equal(placed.weight, base.weight)
    assert rest(placed, sample) < rest(base, sample)


def test_landmarks_are_found_once_for_all_strengths(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    found = transport.landmarks

    def counted(*given: object, **named: object) -> object:
        calls.append(given)
        return found(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(transport, "landmarks", counted)
    full, tagged = FullAdapter(rows=600), sample.linked(torch.arange(200), "part 0")
    kept = [full.fit(tagged, strength) for strength in (1.0, 0.2)]
    assert len(calls) == 1
    assert not torch.equal(kept[0].parts["values"], kept[1].parts["values"])
    full.fit(sample.linked(torch.arange(100, 300), "part 1"), 1.0)
    assert len(calls) == 2


def test_the_published_adapters_are_tried_with_their_scaling() -> None:
    tried = candidates(METHODS, FullAdapter(), equal=True)
    for method in ("orthogonal", "low_rank", "perceptron"):
        assert {c.label.endswith("scaled") for c in tried if c.method == method} == {True, False}


def test_the_layout_of_what_was_fitted_changes_no_bit(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    wide = torch.randn(24, 16, generator=draw)
    parts = {"centre": torch.zeros(16), "anchors": torch.randn(16, 200, generator=draw).T}
    parts["values"] = torch.randn(24, 200, generator=draw).T
    fitted = Adapter("full", wide.T, torch.zeros(24), "kernel", parts, 2.0)
    fitted.save(tmp_path)
    x = torch.randn(5, 16, generator=draw)
    assert torch.equal(load_adapter(tmp_path)(x), fitted(x))
