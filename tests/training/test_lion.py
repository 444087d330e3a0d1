"""Lion against its algorithm written out, and in the training loop."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.training import TrainingSettings
from modalign.training.lion import Lion


def test_steps_equal_the_algorithm() -> None:
    draw = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(5, generator=draw), torch.randn(7, 5, generator=draw)
    p = torch.nn.Parameter(start.clone())
    lion = Lion([p], lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    by_hand, m = start.double(), torch.zeros(5, dtype=torch.float64)
    for g in gradients:
        p.grad = g.clone()
        lion.step()
        by_hand = by_hand - 0.01 * (torch.sign(0.8 * m + 0.2 * g) + 0.1 * by_hand)
        m = 0.95 * m + 0.05 * g
    torch.testing.assert_close(p.detach().double(), by_hand, atol=1e-6, rtol=0)


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(ModalignError, match="lion"):
        TrainingSettings(optimiser="lyon")
