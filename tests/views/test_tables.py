"""Tables of numbers, while other threads load what knows them."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from modalign.parameters import checked
from modalign.views.tables import numbers


def test_a_module_that_another_thread_is_loading_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in ``sys.modules`` before anything is in it."""
    monkeypatch.setitem(sys.modules, "scipy.sparse", ModuleType("scipy.sparse"))
    assert numbers(np.eye(2, dtype=np.float32), "x").tolist() == [[1.0, 0.0], [0.0, 1.0]]

    @checked
    def twice(n: int) -> int:
        return 2 * n

    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert twice(3) == 6
