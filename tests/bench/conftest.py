"""Small suites on synthetic features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from modalign.bench.suite import Suite, build


@pytest.fixture
def tiny(tiny_suite: Mapping[str, Any]) -> Callable[..., Suite]:
    """A suite of closed forms, with changes."""

    def make(**changes: Any) -> Suite:
        return build({**tiny_suite, **changes})

    return make
