"""Shared by all tests: no network, external data by variable only."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(1)  # tests run in as many processes as there are cores; small tensors gain nothing from threads


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def external_data() -> Path:
    """The folder named by MODALIGN_DATA, or a skip with the reason."""
    place = os.environ.get("MODALIGN_DATA")
    if not place:
        pytest.skip("MODALIGN_DATA is not set: external data are not at hand")
    return Path(place)
