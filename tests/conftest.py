"""Shared by all tests: external data by variable only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def external_data() -> Path:
    """The folder named by MODALIGN_DATA, or a skip with the reason."""
    place = os.environ.get("MODALIGN_DATA")
    if not place:
        pytest.skip("MODALIGN_DATA is not set: external data are not at hand")
    return Path(place)
