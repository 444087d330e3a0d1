"""Procrustes distances that the spectrum cannot move: invariance, bounds, a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.procrustes import disparity, free_of_spectrum
from modalign.metrics.procrustes import WhitenedProcrustes
from modalign.views import Views


def two_sets(n: int = 300, d: int = 8, noise: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(n, d, generator=draw, dtype=torch.float64)
    return x, x + noise * torch.randn(n, d, generator=draw, dtype=torch.float64)


def powered(x: torch.Tensor, power: float) -> torch.Tensor:
    """The same principal axes with their lengths raised to a power, falling steeply."""
    u, s, v = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return u @ torch.diag((s / s[0] * torch.linspace(1.0, 0.1, len(s))) ** power) @ v


def test_powers_of_the_spectrum_move_the_plain_distance_and_not_the_whitened_one() -> None:
    x, y = two_sets()
    plain = [disparity(powered(x, p), powered(y, p)) for p in (0.5, 1.0, 2.0)]
    free = [free_of_spectrum(powered(x, p), powered(y, p), 8).whitened for p in (0.5, 1.0, 2.0)]
    assert max(plain) - min(plain) > 0.05
    assert max(free) - min(free) < 1e-9


def test_it_is_the_disparity_of_whitened_sets() -> None:
    x, y = two_sets(d=5)
    white = [np.linalg.svd((v - v.mean(0)).numpy(), full_matrices=False)[0] for v in (x, y)]
    slow = 1 - (np.linalg.svd(white[0].T @ white[1], compute_uv=False).sum() / 5) ** 2
    assert free_of_spectrum(x, y, 5).whitened == pytest.approx(slow, abs=1e-12)
    assert free_of_spectrum(x, y, 50).whitened == pytest.approx(slow, abs=1e-12)  # there are no more axes


def test_both_forms_are_zero_for_turned_copies_one_by_chance_and_rise_with_noise() -> None:
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    x, _ = two_sets()
    same = free_of_spectrum(x, x @ turn + 3.0, 8)
    assert same.whitened == pytest.approx(0.0, abs=1e-9)
    assert same.given_spectra == pytest.approx(0.0, abs=1e-9)
    found = [free_of_spectrum(*two_sets(noise=noise), 8) for noise in (0.1, 0.5, 2.0, 1e6)]
    for form in ("whitened", "given_spectra"):
        values = [getattr(f, form) for f in found]
        assert values == sorted(values)
        assert values[-1] > 0.9


def test_a_set_without_shape_is_refused_and_a_collapsed_modality_has_the_worst_value() -> None:
    _, y = two_sets(n=40)
    with pytest.raises(ModalignError, match="no shape"):
        free_of_spectrum(torch.ones(40, 8), y, 4)
    z = Views.from_arrays(a=torch.ones(40, 8), b=y.float())
    scores = WhitenedProcrustes(null=1)(z)
    assert scores["whitened_procrustes/a~b"].value == 1.0
    assert scores["whitened_procrustes/a~b/given_spectra"].value == 1.0


def test_few_items_keep_few_axes() -> None:
    x, y = two_sets(n=24, d=12)
    z = Views.from_arrays(a=x.float(), b=y.float())
    unit = [torch.nn.functional.normalize(v, dim=1) for v in (x, y)]
    score = WhitenedProcrustes()(z)["whitened_procrustes/a~b"]
    assert score.value == pytest.approx(free_of_spectrum(*unit, 6).whitened, abs=1e-5)
    assert not score.higher_is_better
    assert score.chance is not None
    assert score.value < score.chance
