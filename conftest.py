"""Shared by the tests and by the examples of docstrings: no network, one thread, the same numbers every time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"  # read once, by torch, faiss and others: tests run in as many processes as cores

import pytest
import torch

torch.set_num_threads(1)  # small tensors gain nothing from threads


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _examples_write_into_a_folder_of_their_own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    before = Path.cwd()
    if isinstance(request.node, pytest.DoctestItem):  # without monkeypatch, which must come after all others' set-up
        os.chdir(tmp_path_factory.mktemp("example"))
    yield
    os.chdir(before)
