"""Three synthetic modalities and heads fitted to them."""

from __future__ import annotations

import pytest

from modalign.data.synthetic import generate
from modalign.model import Heads
from modalign.registry import make
from modalign.views import Views


@pytest.fixture(scope="session")
def splits() -> dict[str, Views]:
    x = generate(420, shared=8, unique=6, modalities=3, noise=1.0, seed=3).views
    return {"train": x.groups(range(300)), "test": x.groups(range(300, 420))}


@pytest.fixture(scope="session")
def heads(splits: dict[str, Views]) -> Heads:
    return make("method", "cca", dim=16, ridge=0.1).fit(splits["train"])
