"""Shared by all tests: no network, external data by variable only, the same random numbers in any order."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from zlib import crc32

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"  # forks, see children.py, have none of the threads of this process

import hypothesis
import numpy as np
import pytest
import torch

CACHE = tempfile.TemporaryDirectory(prefix="modalign-tests-")  # never the user's, nor that of another process
os.environ["MODALIGN_CACHE"] = CACHE.name
THREADS = 1  # tests run in as many processes as there are cores; small tensors gain nothing from threads
START = Path.cwd()
SEED = int(os.environ.get("MODALIGN_TEST_SEED", "0"))
torch.set_num_threads(THREADS)
hypothesis.settings.register_profile(  # the same examples in every run, however slow the machine is
    "modalign", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("modalign")


def pytest_configure(config: pytest.Config) -> None:
    """pytest-randomly shuffles; random states are set here, each time to the same value."""
    config.option.randomly_reset_seed = False
    if os.environ.get("MODALIGN_DEVICE", "cpu") != "cpu":
        from modalign.training import ranks

        from .places import Elsewhere

        Elsewhere(ranks.device()).__enter__()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How to see the same order again."""
    seed = getattr(config.option, "randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"order of the tests: -p randomly --randomly-seed={seed}")


def same_start(seed: int = SEED) -> None:
    """Random states and threads as at the start of a process, whatever ran before."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (for programs that draw from it)
    random.seed(seed)
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def children() -> ModuleType:
    """Processes forked from this one: `forked`, `ran` and `killed` of children.py."""
    from . import children

    return children


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Children hear Ctrl-C, as a shell starts them; tests that run behind (``&``) ignore it, and so would they."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """A fixture that several tests share is the same whichever of them asks first; each has numbers of its own."""
    same_start((SEED + crc32(fixturedef.argname.encode())) % 2**32)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """A test draws the same numbers whatever ran before it, and whichever fixtures it shares."""
    same_start()


@pytest.fixture(autouse=True)
def _state_of_the_process_is_left_alone() -> Iterator[None]:
    """What a test changes in the process for all others is named, and set right."""
    yield
    left = {
        "the current folder": Path.cwd() == START,
        "inference mode": not torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
        "the default type": torch.get_default_dtype() == torch.float32,
        "deterministic algorithms": not torch.are_deterministic_algorithms_enabled(),
    }
    os.chdir(START)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    changed = [name for name, right in left.items() if not right]
    assert not changed, f"this test leaves changed for all others: {', '.join(changed)}"


@pytest.fixture
def device() -> torch.device:
    """Where tests of devices put their tensors: MODALIGN_DEVICE, else the CPU."""
    from modalign.training import ranks

    return ranks.device()


@pytest.fixture(scope="session")
def external_data() -> Path:
    """The folder named by MODALIGN_DATA, or a skip with the reason."""
    place = os.environ.get("MODALIGN_DATA")
    if not place:
        pytest.skip("MODALIGN_DATA is not set: external data are not at hand")
    return Path(place)


@pytest.fixture(scope="session")
def tiny_suite() -> Mapping[str, Any]:
    """A suite of closed forms on synthetic features, as a table: seconds to run."""
    return {
        "name": "tiny",
        "seeds": [0, 1],
        "trials": 2,
        "methods": ["cca", "procrustes", "linear"],
        "focus": "cca",
        "baseline": "procrustes",
        "data": {"features": "synthetic", "n": 200, "shared": 6, "unique": 4, "width": 16, "noise": 0.5},
        "settings": [{"regime": "hidden", "pairs": [20, 60]}],
    }
