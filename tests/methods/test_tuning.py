"""Which of several settings is kept: the most plausible one, unless another is better beyond noise."""

from __future__ import annotations

import pytest
import torch

from modalign.methods.tuning import steady
from modalign.training.loop import dev_recall, dev_recalls
from modalign.views import Views


def test_noise_does_not_replace_the_first_and_a_clear_gain_does() -> None:
    draw = torch.Generator().manual_seed(0)
    first = torch.rand(200, generator=draw)
    noise = torch.randn(200, generator=draw)
    noise = (noise - noise.mean()) / noise.std()
    for gain, kept in ((0.4, 0), (0.6, 1), (-1.0, 0)):  # of the standard error of the mean
        assert steady([first, first + noise + gain / 200**0.5]) == kept
    assert steady([first, first]) == 0
    assert steady([first, first + 1.0, first + 1.0, first + 2.0]) == 3


def test_one_item_tells_nothing() -> None:
    assert steady([torch.zeros(1), torch.ones(1)]) == 0


def test_what_groups_add_has_dev_recall_as_its_mean() -> None:
    draw = torch.Generator().manual_seed(0)
    z = Views(
        {"image": torch.randn(30, 5, generator=draw), "text": torch.randn(75, 5, generator=draw)},
        {"image": torch.arange(30), "text": torch.arange(75) % 30},
    )
    assert dev_recalls(z).shape == (30,)
    assert float(dev_recalls(z).mean()) == pytest.approx(dev_recall(z), abs=1e-12)
