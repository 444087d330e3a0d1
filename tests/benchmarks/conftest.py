"""Benchmarks are imported from the root of the repository: they are no part of the package."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
