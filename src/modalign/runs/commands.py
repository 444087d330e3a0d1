"""What the commands do, one function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..specification import Specification, dump_toml, override
from ..data.arrays import load_array, load_pairs
from ..data.manifest import Manifest
from ..data.soundtracks import with_soundtracks
from ..features.choose import entries_for, make_encoders, parse_entry
from ..features.embed import embed
from ..errors import ModalignError, few
from ..metrics.evaluate import to_json
from ..files import atomic
from ..model import Model
from ..progress import Progress, silent
from ..registry import make
from ..views import Views, hide_links, hold_out, linked_groups
from .data import Data, load_data
from .fitting import fit, measure, settings_of
from .folder import leave


def run_specification(spec: Specification, progress: Progress = silent) -> dict[str, Any]:
    """Encode, hide links beyond the budget, fit, measure on test, report."""
    data = load_data(spec, progress)
    keep = linked_groups(data["train"], spec.pairs, spec.seed)
    method = {**spec.method}
    if "seed" not in method and "seed" in settings_of(method["name"]):
        method["seed"] = spec.seed
    out = Path(spec.out)
    model, seconds = fit(method, hide_links(data["train"], keep), data.splits.get("dev"), out, data, progress)
    split = next((s for s in ("test", "dev") if s in data.splits), "test")
    scores = to_json(measure(model.heads, data[split], spec.metrics, spec.seed)) if split in data.splits else {}
    name = str(method["name"])
    table = {
        "title": f"{name} on {spec.data.get('name', 'features')}",
        "task": "retrieval between modalities",
        "data": facts(data, len(keep), spec.data),
        "seeds": [spec.seed],
        "split": split,
        "methods": {name: {"label": name, "seconds": seconds, **scores}},
        **attribution(data),
    }
    leave(out, spec.to_toml(), model, data, table, progress)
    return {"run": str(out), **table}


def facts(data: Data, pairs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run learnt from, for its scores.json."""
    train = data["train"]
    unlinked = {m: len(torch.unique(g)) - pairs for m, g in train.group.items()}
    sizes = {split: len(x) for split, x in data.splits.items() if split != "train"}
    return {
        "name": settings.get("name", "arrays"),
        "settings": dict(settings),
        "pairs": pairs,
        "unlinked": unlinked,
        **sizes,
    }


def attribution(data: Data) -> dict[str, Any]:
    """The credit that the data ask for, where they do, and whose weights the encoders used."""
    note = data.manifest.meta.get("attribution") if data.manifest else None
    return {**({"attribution": note} if note else {}), **({"weights": list(data.credits)} if data.credits else {})}


def align_arrays(
    arrays: Sequence[Path],
    out: Path,
    pairs: Path | None = None,
    names: Sequence[str] | None = None,
    method: str = "full",
    dim: int = 256,
    holdout: float = 0.2,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Fit a method on feature arrays and measure it on pairs that it did not see.

    Args:
        arrays: two or more files, see ``load_array``. Rows are paired by position unless ``pairs`` names them.
        out: the run folder. names: one per array; default: the file names.
        holdout: share of the linked groups kept for measuring, in [0, 1); 0: fit on everything, measure nothing.
    """
    if len(arrays) < 2:
        raise ModalignError("align needs two or more arrays, for example  modalign align text.npy image.npy --out RUN")
    if not 0.0 <= holdout < 1.0:
        raise ModalignError(f"holdout must lie in [0, 1), got {holdout}")
    settings = {"name": method, **{k: v for k, v in {"dim": dim, "seed": seed}.items() if k in settings_of(method)}}
    labels = list(names or (p.stem for p in arrays))
    if len(labels) != len(arrays) or len(set(labels)) != len(labels):
        raise ModalignError(f"{len(arrays)} arrays need as many different names, got {few(labels, 10)}: give --names")
    known = load_pairs(pairs) if pairs else None
    x = Views.from_arrays(known, **{n: load_array(p) for n, p in zip(labels, arrays, strict=True)}).validate()
    x = replace(x, row={m: torch.arange(len(rows)) for m, rows in x.data.items()})
    train, test = hold_out(x, holdout, seed) if holdout and len(linked_groups(x)) >= 20 else (x, None)
    data = Data({"train": train} | ({"test": test} if test is not None else {}))
    model, seconds = fit(settings, train, None, out, data, progress)
    scores = to_json(measure(model.heads, test, seed=seed)) if test is not None else {}
    table = {
        "title": f"{method} on {', '.join(labels)}",
        "task": "one shared space for feature arrays",
        "data": {"name": "arrays", "pairs": len(linked_groups(train)), "test": len(test) if test is not None else 0},
        "seeds": [seed],
        "split": "test",
        "methods": {method: {"label": method, "seconds": seconds, **scores}},
    }
    files = {n: str(p) for n, p in zip(labels, arrays, strict=True)}
    rows = {"pairs": str(pairs)} if pairs else {}
    toml = dump_toml({"seed": seed, "holdout": holdout, **rows, "arrays": files, "method": settings})
    leave(out, toml, model, data, table, progress)
    return {"run": str(out), **table}


def transform_array(run: Path, array: Path, modality: str, out: Path) -> dict[str, Any]:
    """Map a feature array into the shared space of a run and write it as .npy."""
    model = Model.load(run)
    x = load_array(array)
    Views({modality: x}, {modality: torch.arange(len(x))}).validate()
    z = model.transform(x, modality).numpy()
    if out.suffix != ".npy":
        raise ModalignError(f"the output is written as .npy, so give it that ending: {out.with_suffix('.npy')}")
    with atomic(out) as partial, partial.open("wb") as handle:
        np.save(handle, z)
    return {"rows": len(z), "dim": z.shape[1], "modality": modality, "out": str(out)}


def embed_dataset(
    name: str,
    root: Path | None,
    out: Path,
    encoders: Sequence[str],
    settings: Sequence[str] = (),
    split: str | None = None,
    limit: int | None = None,
    half: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Encode a data set into a feature store.

    Args:
        encoders: "modality=NAME,setting=value" entries; text, image, audio, video and words of other names have
            defaults. An entry for "audio" takes the sound tracks of videos where there are no sound files.
        settings: "key=value" entries of the data set, as in TOML.
        limit: only this many groups, the first ones.
        half: features in float16.
    """
    given: dict[str, Any] = {"root": str(root)} if root else {}
    for entry in settings:
        override(given, entry)
    manifest: Manifest = make("dataset", name, **given)
    if split is not None:
        manifest = manifest.split(split)
    if limit is not None:
        kept = set(manifest.groups()[:limit].tolist())
        manifest = manifest.where(lambda row: row.group in kept)
    given_entries = dict(parse_entry(entry) for entry in encoders)
    if "audio" in given_entries:
        manifest = with_soundtracks(manifest)
    entries = entries_for(manifest, given_entries)
    store = embed(manifest, make_encoders(manifest, entries), out, entries=entries, half=half, progress=progress)
    items = {m: len(x) for m, x in store.views().data.items()}
    return {
        "store": str(out),
        "items": items,
        "failures": [vars(f) for f in store.failures],
        "left_out": store.report(),
    }
