"""A problem whose answer is known, for all tests of methods."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modalign.views import Views


@pytest.fixture(name="latent", scope="session")
def _latent() -> Callable[..., Views]:
    return latent


def latent(n: int, seed: int, dims: tuple[int, ...] = (12, 8), noise: float = 0.15) -> Views:
    """Modalities that are noisy linear images of the same skewed latent."""
    maps = torch.Generator().manual_seed(42)
    g = torch.Generator().manual_seed(seed)
    s = torch.randn(n, 5, generator=g) ** 3 * torch.tensor([1.6, 1.4, 1.2, 1.0, 0.8])
    data = {
        name: s @ torch.linalg.qr(torch.randn(d, 5, generator=maps))[0].T + noise * torch.randn(n, d, generator=g)
        for name, d in zip(("image", "text", "sound"), dims, strict=False)
    }
    return Views(data, {m: torch.arange(n) for m in data})
