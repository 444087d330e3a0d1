"""Map a feature array into the shared space of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.arrays import load_features
from ..files import atomic, save_array
from ..outputs import claim_file
from .run import Run


def transform_array(folder: Path, array: Path, modality: str, out: Path) -> dict[str, Any]:
    """Write the rows of an array, mapped by the run's head of a modality, as .npy.

    Raises:
        ModalignError: no run, an array that the head does not take, or an output of another ending.
    """
    with claim_file(out, (".npy",), [array]):
        model = Run.open(folder).model
        x = load_features({modality: array})[modality]
        z = model.transform(x, modality).numpy()
        with atomic(out) as partial:
            save_array(partial, z)
    return {"rows": len(z), "dim": z.shape[1], "modality": modality, "out": str(out)}
