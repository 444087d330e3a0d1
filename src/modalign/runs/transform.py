"""Map a feature array into the shared space of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.arrays import load_array
from ..files import atomic
from ..outputs import claim_file
from ..views import Views
from .run import Run


def transform_array(folder: Path, array: Path, modality: str, out: Path) -> dict[str, Any]:
    """Write the rows of an array, mapped by the run's head of a modality, as .npy.

    Raises:
        ModalignError: no run, an array that the head does not take, or an output of another ending.
    """
    with claim_file(out, (".npy",), [array]):
        model = Run.open(folder).model
        x = load_array(array)
        Views({modality: x}, {modality: torch.arange(len(x))}).validate()
        z = model.transform(x, modality).numpy()
        with atomic(out) as partial, partial.open("wb") as handle:
            np.save(handle, z)
    return {"rows": len(z), "dim": z.shape[1], "modality": modality, "out": str(out)}
