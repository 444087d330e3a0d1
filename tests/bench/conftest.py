"""Small suites on synthetic features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modalign.bench.suite import Suite, build

TABLE: dict[str, Any] = {
    "name": "tiny",
    "seeds": [0, 1],
    "trials": 2,
    "methods": ["cca", "procrustes", "linear"],
    "focus": "cca",
    "baseline": "procrustes",
    "data": {"features": "synthetic", "n": 200, "shared": 6, "unique": 4, "width": 16, "noise": 0.5},
    "settings": [{"regime": "hidden", "pairs": [20, 60]}],
}


@pytest.fixture
def tiny() -> Callable[..., Suite]:
    """A suite of closed forms, with changes."""

    def make(**changes: Any) -> Suite:
        return build({**TABLE, **changes})

    return make
