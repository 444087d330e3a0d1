"""Masks of what is missing: nested, never empty, at their rates."""

from __future__ import annotations

import itertools

import pytest
import torch

from modalign.errors import ModalignError
from modalign.robustness import RATES
from modalign.views import presence
from modalign.views.presence import KINDS, by_group


def everything(n: int = 600, m: int = 3) -> torch.Tensor:
    return torch.ones(n, m, dtype=torch.bool)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_nested_and_leave_one(kind: str) -> None:
    there = presence(everything(), 0.2, seed=9)  # not everything is there to begin with
    masks = [presence(there, rate, kind, seed=1) for rate in (*RATES, 0.9, 1.0)]
    assert torch.equal(masks[0], there)
    for less, more in itertools.pairwise(masks):
        assert bool((more <= less).all())
    assert all(bool(m.any(1).all()) for m in masks)
    assert int(masks[-1].sum()) == len(there)


def test_rates_are_met_where_nothing_forces_a_modality_to_stay() -> None:
    for rate in (0.1, 0.4, 0.7):
        lost = ~presence(everything(20000), rate, keep_one=False)
        assert float(lost.double().mean()) == pytest.approx(rate, abs=0.01)
        assert float(lost[:, 0].double() @ lost[:, 1].double()) / 20000 == pytest.approx(rate**2, abs=0.01)
    kept = presence(everything(20000), 0.7)
    assert float((~kept).double().mean()) == pytest.approx(0.7 - 0.7**3 / 3, abs=0.01)


def test_unequal_rates_fall_on_their_modalities() -> None:
    lost = ~presence(everything(20000), [0.3, 0.5, 0.7], keep_one=False)
    assert lost.double().mean(0).tolist() == pytest.approx([0.3, 0.5, 0.7], abs=0.01)


def test_blocks_and_sites_lose_together() -> None:
    blocks = presence(everything(), 0.4, "blocks", length=20, keep_one=False)
    assert all(bool((b == b[0]).all()) for b in blocks.split(20))
    site = torch.arange(600) % 7
    whole = presence(everything(), 0.4, "sites", site=site, keep_one=False)
    assert all(bool((whole[site == s] == whole[site == s][0]).all()) for s in range(7))
    assert 0 < int((~whole).sum()) < whole.numel()


def test_a_group_loses_the_same_in_any_selection() -> None:
    ids = torch.arange(600)
    some = ids[::3]
    assert torch.equal(presence(everything(), 0.5, group=ids)[::3], presence(everything(200), 0.5, group=some))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.5}, r"lie in \[0, 1\]"),
        ({"rate": 0.1, "kind": "sometimes"}, "kind of missingness"),
        ({"rate": 0.1, "length": 0}, "at least one group"),
        ({"rate": 0.1, "group": torch.arange(3)}, "one id"),
    ],
)
def test_masks_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ModalignError, match=message):
        presence(everything(10), **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_large_ids_draw_as_their_ranks(kind: str) -> None:
    ranks = torch.arange(300)
    expected = presence(everything(300), 0.4, kind, seed=2, group=ranks)
    for ids in (ranks * 10**15, ranks + (1 << 62), -(ranks.flip(0) * 10**15)):
        assert torch.equal(presence(everything(300), 0.4, kind, seed=2, group=ids), expected)


def test_a_selection_of_large_ids_keeps_the_draws_of_the_whole() -> None:
    ids = torch.arange(50) * 10**15
    whole = by_group(ids, 2, seed=3)
    assert torch.equal(by_group(ids[::7], 2, seed=3, among=ids), whole[::7])
