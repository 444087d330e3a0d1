"""Where embedded items come from: a run folder, a run and a feature store, or a fit beside a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..data.left_out import LeftOut
from ..errors import ModalignError, unknown
from ..features.store import Store
from ..model import Model
from ..progress import Progress, silent
from ..runs import Run
from ..runs.items import Items, metadata
from ..views import Views, concat


class Embedded(NamedTuple):
    """Items in the shared space: embeddings, entries by modality with their groups, the folder of the pictures, facts
    for people, and what the data set names and is not among them."""

    z: Views
    items: Mapping[str, list[dict[str, Any]]]
    root: Path | None
    facts: dict[str, str]
    left_out: tuple[LeftOut, ...] = ()


def embedded(run: Run, store: Path | None = None, split: str | None = None, progress: Progress = silent) -> Embedded:
    """The items of a run, or those of a feature store through the run's model.

    Args:
        run: or one fit made beside a run (its items are then those of the run).
        store: feature store of ``modalign embed``. split: only this one.

    Raises:
        ModalignError: no run, no store, or features of another encoder or width than the model was fitted on.
    """
    if store is not None:
        found = _from_store(run, Store.open(store), split, progress)
    elif run.has_items or not run.has_model:
        z, entries = run.items if split is None else run.items.split(split)
        told = run.result.data.get("failures", ()) if run.result else ()
        found = Embedded(z, entries, run.folder, facts_of(run), tuple(map(LeftOut.of, told)))
    else:
        found = _from_parent(run, split, progress)
    numbered = {m: zip(found.items[m], found.z.group[m].tolist(), strict=True) for m in found.z.modalities}
    return found._replace(items={m: [{**e, "group": g} for e, g in rows] for m, rows in numbered.items()})


def facts_of(run: Run) -> dict[str, str]:
    """Title and attribution, where the run's result names them."""
    found = {"title": run.result.title, "attribution": run.result.attribution} if run.result else {}
    return {k: v for k, v in found.items() if v}


def _from_parent(run: Run, split: str | None, progress: Progress) -> Embedded:
    """A fit that left a model only: its run's specification says which features to embed, and they are cached."""
    parent = run.parent
    if parent is None or parent.specification is None:
        raise ModalignError(
            f"{run} holds a model but no embedded items: give a feature store too, as in  "
            f"modalign index {shlex.quote(str(run))} STORE"
        )
    data = parent.data(progress)
    z = concat([run.model.heads.embed(x) for x in data.splits.values()])
    own = parent.items
    z = z.only(*(m for m in own.z.modalities if m in z))
    z, entries = Items(z, own.entries) if split is None else Items(z, own.entries).split(split)
    return Embedded(z, entries, parent.folder, facts_of(parent))


def _from_store(run: Run, store: Store, split: str | None, progress: Progress) -> Embedded:
    model = run.model
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
    facts = {"attribution": note} if note else {}
    others = [(m, len(store.places[m])) for m in store.modalities if m not in names]
    strange = tuple(LeftOut(f"items of '{m}'", f"{run} has no head for them", n) for m, n in others)
    return Embedded(Views(data, x.group, row=x.row), items, None, facts, (*store.left_out, *strange))


def check_encoders(model: Model, store: Store, run: Run) -> None:
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
    return entry | {k: v for k, v in metadata(item).items() if k not in entry}
