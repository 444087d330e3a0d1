"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from .. import __version__

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "POT", "transformers", "safetensors")


def environment(command: Iterable[str] = ()) -> dict[str, Any]:
    """Versions, machine and time. No host or user names."""
    versions = {"modalign": __version__}  # of the code that runs, whatever an old installation left written
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "command": list(command),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": versions,
        "byteorder": sys.byteorder,
    }
