"""Tests of tensors on a device that is not the processor: strict enough to find something, and they find nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .build import build

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1]
FORBIDDEN = {
    "tensors of two devices": "x + torch.ones(3)",
    "a generator of the host": "torch.randn(3, generator=torch.Generator(), device='elsewhere')",
    "a view of numpy": "x.numpy()",
}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Those with which Python knows the device, and tests use it."""
    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("no C++ compiler")
    place = tmp_path_factory.mktemp("elsewhere")
    build(place)
    paths = [str(place), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "MODALIGN_DEVICE": "elsewhere"}


def ran(variables: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=TESTS, env=variables, capture_output=True, text=True)


def test_it_computes_what_the_processor_does(variables: dict[str, str]) -> None:
    program = "import torch; x = torch.arange(6.0).view(2, 3); there = x.to('elsewhere')\n"
    program += "print(torch.equal((there @ there.mT).cpu(), x @ x.mT), (there @ there.mT).device)"
    assert ran(variables, "-c", program).stdout == "True elsewhere:0\n"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_refuses_what_a_gpu_refuses(what: str, variables: dict[str, str]) -> None:
    done = ran(variables, "-c", f"import torch; x = torch.ones(3, device='elsewhere'); {FORBIDDEN[what]}")
    assert done.returncode == 1, what
    assert "Error" in done.stderr.splitlines()[-1]


def test_tests_pass_there(variables: dict[str, str]) -> None:
    """A part of the folders of `places`; all of them take half an hour."""
    chosen = ["test_device.py", "objectives/test_device.py", "views", "geometry/test_transport_masses.py"]
    done = ran(variables, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *chosen)
    assert done.returncode == 0, done.stdout[-3000:]
