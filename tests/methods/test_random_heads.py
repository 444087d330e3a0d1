"""Heads from random starts: scaled features, and constant ones that say nothing."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.methods.gradient import random_heads
from modalign.registry import make
from modalign.views import Views


def test_a_feature_that_is_constant_in_training_has_no_weight() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 6, generator=g) * torch.tensor([1.0, 0.1, 3.0, 1.0, 1.0, 1.0])
    x[:, 4], x[:, 5] = 0.7, 1e-33 * x[:, 5]  # exactly constant, and constant but for denormal dust
    heads = random_heads(Views.from_arrays(a=x, b=x.flip(0)), 4, 0, 0.0, torch.Generator().manual_seed(1))
    basis = heads["a"].features.basis
    assert basis is not None
    scales = basis.diagonal()
    assert scales[4:].tolist() == [0.0, 0.0]
    assert torch.allclose(scales[:4], 1 / (x[:, :4].std(0) * 6**0.5), rtol=1e-4)
    moved = x.clone()
    moved[:, 4:] += 0.01
    assert torch.equal(heads.transform(moved, "a"), heads.transform(x, "a"))


def test_every_feature_that_varies_is_scaled_by_itself_whatever_the_scale_of_another() -> None:
    """One of a million times the others' spread left them all without weight; one far from zero was refused."""
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    x[:, 1], x[:, 2], x[:, 3] = 1e8 * x[:, 1], x[:, 2] + 1e4, 1e8
    heads = random_heads(Views.from_arrays(a=x, b=x.flip(0)), 4, 0, 0.0, torch.Generator().manual_seed(1))
    seen = heads["a"].features(x)
    right = (x.double() - x.double().mean(0)) / x.double().std(0) / 6**0.5
    right[:, 3] = 0.0
    assert torch.allclose(seen.double(), right, atol=1e-3)  # half a digit of 1e4 in float32
    with pytest.raises(ModalignError, match="'a' with 50 rows: all of them are equal"):
        random_heads(Views.from_arrays(a=x[:, 3:4], b=x), 4, 0, 0.0, torch.Generator())


@pytest.mark.parametrize("items", [0, 1])
@pytest.mark.parametrize("name", ["clip", "gradient", "cca", "full"])
def test_a_modality_of_fewer_than_two_items_is_refused_by_every_start(name: str, items: int) -> None:
    data = {"a": torch.randn(20, 4), "b": torch.randn(20, 5), "c": torch.randn(items, 3)}
    few = Views(data, {m: torch.arange(len(rows)) for m, rows in data.items()})
    with pytest.raises(ModalignError, match=f"'c' has {items} items to learn from"):
        make("method", name).fit(few)
