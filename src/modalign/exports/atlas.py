"""The items of a run as one Parquet file that Embedding Atlas opens: a map, vectors, neighbours, words and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import ModalignError, require
from ..files import atomic, to_json
from ..geometry.neighbours import knn
from ..report.projection import places
from ..runs.items import OWN, Items
from ..runs.run import Run

NEAREST = 15
MAPPED = 3000  # items up to which the map is that of the report, whose time grows with their square


def write_atlas(run: Run, path: Path | str) -> int:
    """Write every embedded item of a run, all splits, one row each. Returns the number of rows.

    Columns: row, modality, group, split, text (its words, or those of its group), uri, image (the thumbnail's bytes), x
    and y (of the report's map up to ``MAPPED`` items, of principal components beyond), neighbors (ids of the nearest
    items of any modality, and 1 - cosine), vector; and what the data set says of the items, to colour them by, as
    ``item_NAME`` where one of these has the name. Then:
    ``embedding-atlas FILE --x x --y y --text text --image image --neighbors neighbors``.

    Raises:
        ModalignError: a run without items, or fewer than three of them.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    items = run.items
    names = [m for m, rows in items.z.data.items() if len(rows)]
    points = torch.nn.functional.normalize(torch.cat([items.z[m].float() for m in names]), dim=1)
    if len(points) < 3:
        raise ModalignError(f"{run} has {len(points)} embedded items: a map needs three")
    xy = places(items.z.only(*names), MAPPED)
    cosine, near = knn(points, k=NEAREST)
    far = (1 - cosine).clamp(min=0)
    rows = _described(items, names, run.folder)
    picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(points.numpy().ravel()), points.shape[1])
    columns = {
        "row": list(range(len(rows))),
        **{k: [r[k] for r in rows] for k in ("modality", "group", "split", "name", "text", "uri")},
        "image": arrow.array([r["image"] for r in rows], type=picture),
        "x": xy[:, 0].numpy(),
        "y": xy[:, 1].numpy(),
        "neighbors": [{"ids": i, "distances": d} for i, d in zip(near.tolist(), far.tolist(), strict=True)],
        "vector": vectors.cast(arrow.list_(arrow.float32())),
    }
    for key, values in _metadata(items, names).items():
        columns[f"item_{key}" if key in columns else key] = _column(arrow, values)
    with atomic(Path(path)) as partial:
        parquet.write_table(arrow.table({k: v for k, v in columns.items() if not _empty(v)}), partial)
    return len(rows)


def _described(items: Items, names: list[str], folder: Path) -> list[dict[str, Any]]:
    words = items.words()
    return [
        {
            "modality": m, "group": g, "split": e.get("split"), "text": str(e.get("text") or words.get(g, "")),
            "uri": e.get("uri"), "image": _picture(folder, e.get("picture")), "name": str(e.get("name") or ""),
        }
        for m in names
        for g, e in zip(items.z.group[m].tolist(), items.entries[m], strict=True)
    ]  # fmt: skip


def _metadata(items: Items, names: list[str]) -> dict[str, list[Any]]:
    """What the data set says of the items beyond what every entry holds, by its keys in their order."""
    entries = [e for m in names for e in items.entries[m]]
    keys = dict.fromkeys(k for e in entries for k in e if k not in OWN and k != "name")
    return {key: [e.get(key) for e in entries] for key in keys}


def _column(arrow: Any, values: list[Any]) -> Any:
    """An Arrow column; as text where values are of several types, or longer than 64 bits."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        return arrow.array([v if v is None or isinstance(v, str) else to_json(v) for v in values])


def _picture(folder: Path, place: str | None) -> dict[str, Any] | None:
    if place is None or not (folder / place).is_file():
        return None
    return {"bytes": (folder / place).read_bytes(), "path": Path(place).name}


def _empty(column: Any) -> bool:
    """Whether a column says nothing: no pictures, no words."""
    if hasattr(column, "null_count"):
        return bool(column.null_count == len(column))
    return isinstance(column, list) and all(v is None or v == "" for v in column)
