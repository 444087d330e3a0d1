"""Build "elsewhere", a device for machines that have only a processor, so that tests can see what would break on a GPU.

    python tests/elsewhere/build.py /tmp/elsewhere
    PYTHONPATH=/tmp/elsewhere MODALIGN_DEVICE=elsewhere python -m pytest

Its tensors lie in the same memory and are computed by the processor's kernels, with the same numbers. Like a GPU it
refuses tensors of two devices, draws from a generator of the host, and numpy's view of a tensor that is not on the
host. torch finds it by the entry point that backends have, in every process with the folder in PYTHONPATH. Needs a
C++20 compiler (``CXX``, else g++) and the headers of Python's torch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAME = "elsewhere"
MODULE = '''
import ctypes
import pathlib
import types

import torch


def begin():
    """What torch asks a device's module, and the device itself."""
    torch.utils.rename_privateuse1_backend("elsewhere")
    module = types.ModuleType("torch.elsewhere")
    module.is_available = module.is_initialized = lambda: True
    module.device_count, module.current_device = lambda: 1, lambda: 0
    module._is_in_bad_fork = lambda: False
    module.manual_seed_all = lambda seed: None
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    module.get_rng_state = lambda device=None: torch.get_rng_state()
    module.set_rng_state = lambda state, device=None: torch.set_rng_state(state)
    torch._register_device_module("elsewhere", module)
    ctypes.CDLL(str(pathlib.Path(__file__).with_name("libelsewhere.so"))).elsewhere_begin()
'''


def build(out: Path) -> None:
    """Compile into a folder what torch loads from there."""
    import torch

    place = Path(torch.__file__).parent
    include, lib = place / "include", place / "lib"
    out.mkdir(parents=True, exist_ok=True)
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-fPIC", "-shared", str(HERE / f"{NAME}.cpp")]
    command += ["-o", str(out / f"lib{NAME}.so"), f"-I{include}", f"-I{include / 'torch/csrc/api/include'}"]
    subprocess.run([*command, f"-L{lib}", "-ltorch", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{lib}"], check=True)
    (out / f"{NAME}.py").write_text(MODULE)
    known = out / f"{NAME}-1.dist-info"
    shutil.rmtree(known, ignore_errors=True)
    known.mkdir()
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n")
    (known / "entry_points.txt").write_text(f"[torch.backends]\n{NAME} = {NAME}:begin\n")


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
