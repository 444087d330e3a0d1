"""Two small models of the same things: each sees a cloud of clusters through a turn of its own, bent and with noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalign.migration import Adapter, curved, linear, transport
from modalign.migration.linear import Sample


class Models(NamedTuple):
    """old (n, 24), new (n, 16): row i of both is the same item."""

    old: Tensor
    new: Tensor


def two_models(n: int = 3000, seed: int = 0, noise: float = 0.1) -> Models:
    draw = torch.Generator().manual_seed(seed)
    axes = torch.Generator().manual_seed(99)
    scale = torch.linspace(2.0, 0.4, 12)
    centres = torch.randn(30, 12, generator=axes) * scale
    z = centres[torch.randint(30, (n,), generator=draw)] + 0.6 * scale * torch.randn(n, 12, generator=draw)
    turn = [torch.linalg.qr(torch.randn(w, 12, generator=axes)).Q.T for w in (24, 16)]
    made = [z @ t + 0.3 * torch.tanh(z @ t.roll(1, 0)) for t in turn]
    made = [x + noise * torch.randn(x.shape, generator=draw) + 0.3 for x in made]
    return Models(*(normalize(x, dim=1) for x in made))


@pytest.fixture(scope="session")
def models() -> Models:
    return two_models()


@pytest.fixture(scope="session")
def stores(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.npy of 2,000 items; new.npy of the first 300 of them, in reverse, and 1,000 others; pairs.csv of 200."""
    folder = tmp_path_factory.mktemp("stores")
    np.save(folder / "old.npy", models.old[:2000].numpy())
    np.save(folder / "new.npy", torch.cat([models.new[:300].flip(0), models.new[2000:]]).numpy())
    (folder / "pairs.csv").write_text("old,new\n" + "".join(f"{i},{299 - i}\n" for i in range(200)))
    return folder


def adapter_of(bend: str, models: Models, norm: bool = False) -> Adapter:
    """From the old model to the new, with a part that is not linear where named."""
    s = Sample(models.old[:400], models.new[:400], models.old[:1000], models.new[1000:])
    fits: dict[str, Any] = {
        "": linear.ridge,
        "kernel": lambda s: transport.with_kernel(
            transport.turn(s, rows=500).adapter(), s, 1.0, transport.landmarks(s, most=50)
        ),
        "perceptron": lambda s: curved.perceptron(s, hidden=8, epochs=3),
        "local": lambda s: curved.local(s, places=4),
    }
    found: Adapter = fits[bend](s)
    assert found.bend == bend
    return Adapter(**{**vars(found), "norm": (0.5, 0.2)}) if norm else found
