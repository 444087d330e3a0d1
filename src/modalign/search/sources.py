"""Where embedded items come from: a run folder, a run and a feature store, or a fit beside a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import ModalignError, unknown
from ..features.store import Store
from ..files import read_json
from ..model import Model
from ..progress import Progress, silent
from ..runs.items import load_items
from ..views import Views, concat


class Embedded(NamedTuple):
    """Items in the shared space: embeddings, entries by modality, the folder of the pictures, facts for people."""

    z: Views
    items: Mapping[str, list[dict[str, Any]]]
    root: Path | None
    facts: dict[str, str]


def embedded(run: Path, store: Path | None = None, split: str | None = None, progress: Progress = silent) -> Embedded:
    """The items of a run, or those of a feature store through the run's model.

    Args:
        run: run folder, or the folder of one fit inside a run (its items are then those of the run).
        store: feature store of ``modalign embed``. split: only this one.

    Raises:
        ModalignError: no run, no store, or features of another encoder or width than the model was fitted on.
    """
    if store is not None:
        return _from_store(run, Store.open(store), split, progress)
    if (run / "items.safetensors").exists() or not (run / "model.json").exists():
        z, items = load_items(run, split)
        return Embedded(z, items, run, facts_of(run))
    return _from_parent(run, split, progress)


def facts_of(run: Path) -> dict[str, str]:
    """Title and attribution, where the run's scores name them."""
    path = run / "scores.json"
    table = read_json(path, "scores") if path.exists() else {}
    found = {k: table.get(k) for k in ("title", "attribution")} if isinstance(table, dict) else {}
    return {k: str(v) for k, v in found.items() if v}


def _from_parent(run: Path, split: str | None, progress: Progress) -> Embedded:
    """A fit that left a model only: its run's specification says which features to embed, and they are cached."""
    from ..runs import load_data
    from ..specification import from_toml

    parent = next((p for p in run.resolve().parents[:3] if (p / "items.safetensors").exists()), None)
    if parent is None or not (parent / "config.toml").exists():
        raise ModalignError(
            f"{run} holds a model but no embedded items: give a feature store too, as in  modalign index {run} STORE"
        )
    model = Model.load(run)
    data = load_data(from_toml(parent / "config.toml"), progress)
    z = concat([model.heads.embed(x) for x in data.splits.values()])
    own, items = load_items(parent)
    z = z.only(*(m for m in own.modalities if m in z))
    if any(m not in own or not torch.equal(z.group[m].long(), own.group[m].long()) for m in z.modalities):
        raise ModalignError(f"the data of {parent} have changed since it was made: run it again")
    if split is not None:
        rows = {m: torch.tensor([e.get("split") == split for e in items[m]]) for m in z.modalities}
        z, items = z.select(rows), {m: [e for e in items[m] if e.get("split") == split] for m in z.modalities}
    return Embedded(z, items, parent, facts_of(parent))


def _from_store(run: Path, store: Store, split: str | None, progress: Progress) -> Embedded:
    model = Model.load(run)
    check_encoders(model, store, run)
    names = [m for m in store.modalities if m in model.heads.modalities]
    if not names:
        raise unknown(f"modality of {run}", ", ".join(store.modalities), model.heads.modalities)
    x = store.views(split, names)
    data = {}
    for done, m in enumerate(names):
        progress(done, len(names), "into the shared space")
        data[m] = model.transform(x[m], m)
    progress(len(names), len(names), "into the shared space")
    rows = x.row or {}
    items = {m: [_entry(store, int(r)) for r in rows[m]] for m in names}
    note = store.manifest.meta.get("attribution")
    return Embedded(Views(data, x.group, row=x.row), items, None, {"attribution": note} if note else {})


def check_encoders(model: Model, store: Store, run: Path) -> None:
    """Refuse features of another encoder, or of another width, than the heads were fitted on.

    Raises:
        ModalignError: naming both fingerprints, or both widths.
    """
    shapes = model.heads.specification()
    for m, encoder in store.encoders.items():
        if m not in shapes:
            continue
        wanted, given = shapes[m]["features"]["width"], encoder["dim"]
        if wanted != given:
            raise ModalignError(
                f"features of '{m}' in {store.folder} have {given} dimensions, the model of {run} takes {wanted}"
            )
        wanted, given = model.fingerprints.get(m), encoder["fingerprint"]
        if wanted is not None and wanted != given:
            raise ModalignError(
                f"features of '{m}' in {store.folder} come from encoder {given}, the model of {run} was fitted on "
                f"{wanted}: embed the data set with the run's encoders"
            )


def _entry(store: Store, row: int) -> dict[str, Any]:
    """What a manifest row says of an item; files by absolute path, so that the index can be opened from anywhere."""
    item = store.manifest[row]
    entry: dict[str, Any] = {"row": row, "group": item.group, "text": item.text, "split": item.split or None}
    if item.uri is not None:
        entry["uri"] = os.path.abspath(item.uri)
        entry["name"] = Path(item.uri).stem
    entry |= {"start": item.start, "end": item.end} if item.start is not None or item.end is not None else {}
    for key, value in item.extra.items():
        if key not in entry:
            entry[key] = value
    return entry


def require_groups(items: Mapping[str, Sequence[dict[str, Any]]], z: Views) -> dict[str, list[dict[str, Any]]]:
    """Entries with the group ids of the embeddings."""
    return {
        m: [{**e, "group": int(g)} for e, g in zip(items[m], z.group[m].tolist(), strict=True)] for m in z.modalities
    }
