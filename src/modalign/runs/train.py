"""Run a specification: load or encode, fit, measure on the items kept for it, leave a run folder behind; and use it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.arrays import load_features, modality_names
from ..data.left_out import lines
from ..data.pairs import files_of
from ..data.steady import steady
from ..diagnosis.doubles import doubles
from ..features.choose import parse_entries
from ..files import absolute, atomic, save_array
from ..model import Model
from ..outputs import claim, claim_file
from ..parameters import Dim, Seed, Share, checked
from ..progress import Progress, note, silent
from ..specification import Specification, specification
from ..training import launch, ranks
from .data import Data, load_data
from .fit import fit, result_of, settings_of
from .result import Result
from .run import Run


def train_run(spec: Specification, progress: Progress = silent) -> Run:
    """Encode, hide links beyond the budget, fit, measure, and write the run (of several ranks: the first).

    Raises:
        ModalignError: an output folder that is something else or that another program writes to, data that are not
            there, more pairs asked for than there are, or what the method refuses.
    """
    with claim(Path(spec.out), "run", "train", [spec.data.get("store"), spec.data.get("root")]):
        files = [*spec.data.get("arrays", {}).values(), *spec.data.get("ids", {}).values(), spec.data.get("pairs")]
        with steady(files if "arrays" in spec.data else []):
            model, data, result = _fitted(spec, progress)
        return Run(spec.out) if result is None else Run.write(spec, model, data, result, progress)


def _fitted(spec: Specification, progress: Progress) -> tuple[Model, Data, Result | None]:
    """What was learnt, from what, and what was measured, by the first of several ranks alone."""
    with launch.in_turn():  # what is encoded by the first process lies ready for the others
        data = load_data(spec, progress, needed="train")
    if data.manifest is not None and progress is not silent:
        note([*lines(data.left_out), *data.notes, *doubles(data.manifest, near=False)])
    if progress is not silent:
        note([*(data.notes if data.manifest is None else ()), *data.warnings])
    train = data.training(spec)
    method = {**spec.method}
    if "seed" not in method and "seed" in settings_of(method["name"]):
        method["seed"] = spec.seed
    model, seconds = fit(method, train, data.splits.get("dev"), Path(spec.out), data, progress)
    name = str(method["name"])
    if not ranks.leads():
        return model, data, None
    title = f"{name} on {named(spec)}"
    return model, data, result_of(title, name, model.heads, data, spec, fit_facts(model), seconds=seconds)


@checked
def align_arrays(
    arrays: Sequence[Path],
    out: Path,
    pairs: Path | None = None,
    ids: Sequence[Path] = (),
    names: Sequence[str] | None = None,
    method: str = "full",
    dim: Dim = 256,
    holdout: Share = 0.2,
    seed: Seed = 0,
    progress: Progress = silent,
    encoders: Sequence[str] = (),
) -> Run:
    """Fit a method on feature arrays and measure it on pairs that it did not see.

    Args:
        arrays: two or more files, see ``load_array``. Rows are paired by position unless ``pairs`` or ``ids`` tell.
        ids: a file per array, see ``load_ids``.
        out: the run folder. names: one per array; default: the file names.
        holdout: share of the linked groups kept for measuring, in [0, 1); 0: fit on everything, measure nothing.
        encoders: that made arrays, so that the run reads new items: "modality=NAME,setting=value".
    """
    labels = modality_names(arrays, names)
    table: dict[str, Any] = {
        "method": {"name": method, **{k: v for k, v in {"dim": dim, "seed": seed}.items() if k in settings_of(method)}},
        "data": {"arrays": {m: absolute(p) for m, p in zip(labels, arrays, strict=True)}, "holdout": holdout}
        | ({"pairs": os.path.abspath(pairs)} if pairs else {})
        | ({"ids": {m: absolute(p) for m, p in files_of(ids, labels).items()}} if ids else {}),
        "encoders": parse_entries(encoders),
        "seed": seed,
        "out": str(out),
    }
    return train_run(specification(table, "align"), progress)


def fit_facts(model: Model) -> dict[str, Any]:
    """What a training came to: its steps, and the one whose weights were kept."""
    training = model.record.get("training")
    return dict(training) if isinstance(training, Mapping) else {}


def named(spec: Specification) -> str:
    """What the data of a specification are called."""
    if "arrays" in spec.data:
        return ", ".join(spec.data["arrays"])
    return str(spec.data.get("name", "features"))


def transform_array(folder: Path, array: Path, modality: str, out: Path) -> dict[str, Any]:
    """Write the rows of an array, mapped by the run's head of a modality, as .npy.

    Raises:
        ModalignError: no run, an array that the head does not take, or an output of another ending.
    """
    with claim_file(out, (".npy",), [array]):
        model = Run.open(folder).model
        with steady([array]):
            x = load_features({modality: array})[modality]
            z = model.transform(x, modality).numpy()
        with atomic(out) as partial:
            save_array(partial, z)
    return {"rows": len(z), "dim": z.shape[1], "modality": modality, "out": str(out)}
