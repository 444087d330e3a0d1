"""Fixtures for objectives: views with known shapes, the official programs' numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modalign.views import Batch, Views


@pytest.fixture(scope="session")
def golden() -> Mapping[str, Tensor]:
    """Inputs and what the authors' public programs return for them."""
    with np.load(Path(__file__).parents[1] / "golden" / "official_values.npz") as file:
        return {key: torch.as_tensor(np.asarray(file[key])) for key in file.files}


def unit_rows(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.nn.functional.normalize(x, dim=1)


@pytest.fixture
def rows() -> Callable[..., Tensor]:
    """(n, d, seed) -> unit rows, float64."""
    return unit_rows


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Row-aligned unit embeddings of three modalities, with wider features and augmented views beside them."""

    def make(n: int = 6, d: int = 4, names: tuple[str, ...] = ("text", "image", "audio"), step: int = 3) -> Batch:
        z = Views.from_arrays(**{m: unit_rows(n, d, seed) for seed, m in enumerate(names)})
        x = Views.from_arrays(**{m: unit_rows(n, d + 2, seed + 10) for seed, m in enumerate(names)})
        second = z.map(lambda m, rows: torch.nn.functional.normalize(rows + 0.1 * unit_rows(n, d, 20), dim=1))
        return Batch(z, x, second, step)

    return make
