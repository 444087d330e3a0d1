"""Features for a suite: from a registered data set, a feature store, or feature arrays that lie ready."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.manifest import Manifest
from ..data.synthetic import generate
from ..errors import ModalignError, check_known, unknown
from ..progress import Progress, silent
from ..registry import check
from ..runs.data import load_data
from ..specification import specification
from ..views import concat
from .flickr_arrays import flickr8k, flickr8k3
from .splits import Source, Splits, completed, limited

OWN_KEYS = ("features", "root", "resplit", "holdout", "modalities", "holdout_by", "encoders", "most")
HOLDOUT = 0.15
"""Share of the groups that a split takes which the data lack."""


def load(table: Mapping[str, Any], progress: Progress = silent) -> Source:
    """The features that the ``[data]`` table of a suite asks for.

    Args:
        table: one of ``features``: "flickr8k" or "flickr8k3", arrays that lie ready, or "synthetic" with the settings
            of ``data.synthetic.generate``; ``store``: folder of a feature store; ``arrays``, ``pairs`` and ``ids`` as
            in a specification; ``name`` and settings of a registered data set, with ``encoders``. ``root`` is looked
            for below the folder that the environment variable MODALIGN_DATA names. ``holdout``: share of the training
            groups that becomes a split the data lack (default .15); ``holdout_by``: column whose values stay together
            in that (a video); ``resplit``: true pools the splits first. ``modalities``: use only these. ``most``:
            groups of each split, at most.

    Raises:
        ModalignError: data that are not there, with what to set; unknown keys.
    """
    if "features" in table:
        source = ready_made(table)
    else:
        source = Source(from_data(table, progress))
    if "modalities" in table:
        source = replace(source, splits=Splits(*(s.only(*table["modalities"]) for s in source.splits)))
    if "most" in table:
        source = replace(source, splits=Splits(*(limited(s, int(table["most"])) for s in source.splits)))
    facts = {
        "train": len(source.splits.train), "dev": len(source.splits.dev), "test": len(source.splits.test),
        "modalities": {m: list(x.shape) for m, x in source.splits.test.data.items()},
    }  # fmt: skip
    return replace(source, facts=facts)


def place(root: str | Path) -> Path:
    """A data folder: as it is where it is absolute or there, else below MODALIGN_DATA.

    Raises:
        ModalignError: neither is there.
    """
    path = Path(root)
    if path.is_absolute() or path.exists():
        return path
    base = os.environ.get("MODALIGN_DATA")
    if not base:
        raise ModalignError(
            f"the suite's data '{root}' are not here: set the environment variable MODALIGN_DATA to their parent folder"
        )
    found = Path(base) / path
    if not found.exists():
        raise ModalignError(f"the suite's data are not there: {found} (MODALIGN_DATA is {base})")
    return found


def from_data(table: Mapping[str, Any], progress: Progress) -> Splits:
    """Splits of a store or of a registered data set, encoded into the cache where they are not there yet."""
    data = {k: v for k, v in table.items() if k not in OWN_KEYS}
    if "store" in table:
        data = {"store": str(place(table["store"]))}
    elif "root" in table:
        data["root"] = str(place(table["root"]))
    elif "arrays" in data:
        data["holdout"] = table.get("holdout", HOLDOUT)
    if not {"store", "arrays", "name"} & set(data):
        raise ModalignError(
            '[data] of a suite needs features = "flickr8k", store = "folder", arrays = { text = "text.npy", ... } or '
            'name = "dataset"'
        )
    spec = specification(
        {"data": data, "encoders": dict(table.get("encoders", {})), "method": {"name": "cca"}}, "suite"
    )
    data_found = load_data(spec, progress)
    by = None
    if "holdout_by" in table and data_found.manifest is not None:
        by = keys_of(data_found.manifest, str(table["holdout_by"]))
    found = dict(data_found.splits)
    if table.get("resplit"):
        found = {"train": concat(list(found.values()))}
    return completed(found, float(table.get("holdout", HOLDOUT)), by)


def keys_of(manifest: Manifest, column: str) -> dict[int, str]:
    """Group -> value of an extra column, such as the video that a segment is cut from.

    Raises:
        ModalignError: no such column.
    """
    check_known("column to hold out by", column, manifest.extra)
    rows = zip(manifest.group, manifest.extra[column], strict=True)
    return {int(g): str(v) for g, v in rows if v is not None}


def ready_made(table: Mapping[str, Any]) -> Source:
    """Flickr8k from feature arrays: two modalities, or three with tags."""
    kinds = {"flickr8k": flickr8k, "flickr8k3": flickr8k3}
    name = table["features"]
    if name == "synthetic":
        return synthetic({k: v for k, v in table.items() if k not in OWN_KEYS})
    if name not in kinds:
        raise unknown("features", name, [*kinds, "synthetic"])
    return kinds[name](place(table.get("root", "flickr8k")))


def synthetic(settings: Mapping[str, Any]) -> Source:
    """Synthetic modalities with known shared information: 70 % of the items train, 10 % dev, 20 % test."""
    views = generate(**check(generate, settings, "[data] of a synthetic suite")).views
    n = len(views)
    cuts = [0, round(0.7 * n), round(0.8 * n), n]
    return Source(Splits(*(views.groups(range(a, b)) for a, b in itertools.pairwise(cuts))))
