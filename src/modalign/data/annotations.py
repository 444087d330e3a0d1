"""Captions and labels of groups: what task terms learn beside the views.

Task terms need words or classes, which are no modality: nothing embeds them. They are keyed by group id, the one name
that an item keeps through sampling, pair budgets and gathering. A group without an annotation adds nothing to a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, few, unknown
from ..files import read_json
from .manifest import Manifest
from .tables import read_csv

#: group -> one annotation or several; or a file that holds them.
Annotations = Mapping[int, Any] | str | Path


def read_annotations(source: Annotations, what: str) -> dict[int, list[str]]:
    """Group -> its different annotations as text, in the order given.

    Args:
        source: a mapping from group id to one value or several; or a file: ``.json`` with such a table, or ``.csv``
            whose first column is ``group`` and whose second holds the value, one row each.
        what: "captions" or "labels", for messages.

    Raises:
        ModalignError: missing or damaged file, group ids that are not integers, a group with nothing, nothing at all.

    Example:
        >>> read_annotations({3: "cat", 5: ["dog", "pet"]}, "labels")
        {3: ['cat'], 5: ['dog', 'pet']}
    """
    if isinstance(source, str | Path):
        rows = _from_file(Path(source), what)
    else:
        rows = [(group, value) for group, values in source.items() for value in _several(values)]
        bare = [group for group, values in source.items() if not _several(values)]
        if bare:
            raise ModalignError(f"{what}: {len(bare)} groups have none ({few(bare)}): leave them out")
    out: dict[int, list[str]] = {}
    for group, value in rows:
        try:
            known = out.setdefault(int(group), [])
        except (TypeError, ValueError):
            raise ModalignError(f"{what}: '{group}' is no group id: ids are integers") from None
        if str(value) not in known:  # a list of items names the label of a group once for each
            known.append(str(value))
    if not out:
        raise ModalignError(f"there are no {what}: give at least one group's")
    return out


def from_manifest(manifest: Manifest, column: str = "text") -> dict[int, list[str]]:
    """Group -> its different captions (``column="text"``) or the values of an extra column, in the manifest's order.

    Args:
        manifest: of a data set. For training terms give that of the training split alone.
        column: "text", or an extra column such as "category" or "labels"; values may be lists.

    Raises:
        ModalignError: no such column, or nothing in it.

    Example:
        >>> m = Manifest.from_rows([{"group": 4, "modality": "text", "text": "a cat", "extra": {"kind": "cat"}},
        ...                         {"group": 4, "modality": "text", "text": "one cat", "extra": {"kind": "cat"}}])
        >>> from_manifest(m), from_manifest(m, "kind")
        ({4: ['a cat', 'one cat']}, {4: ['cat']})
    """
    if column != "text" and column not in manifest.extra:
        raise unknown(f"column of '{manifest.name}'", column, ["text", *manifest.extra])
    values = manifest.text if column == "text" else manifest.extra[column]
    out: dict[int, list[str]] = {}
    for group, value in zip(manifest.group.tolist(), values, strict=True):
        for one in _several(value):
            known = out.setdefault(group, [])
            if str(one) not in known:
                known.append(str(one))
    if not out:
        raise ModalignError(f"the column '{column}' of '{manifest.name}' holds nothing")
    return out


def _several(values: Any) -> list[Any]:
    """One value or several as a list, numbers and arrays of other libraries too; None and NaN are nothing."""
    values = values.tolist() if hasattr(values, "tolist") else values
    several = values if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    return [value for value in several if value is not None and value == value]


def _from_file(path: Path, what: str) -> list[tuple[Any, Any]]:
    if path.suffix.lower() == ".json":
        table = read_json(path, f"file of {what}")
        if not isinstance(table, dict):
            raise ModalignError(f"file of {what} must hold one table from group id to {what}: {path}")
        return [(group, value) for group, values in table.items() for value in _several(values)]
    if path.suffix.lower() != ".csv":
        raise ModalignError(f"a file of {what} ends in .json or .csv, got: {path}")
    table = read_csv(path, ["group"], f"file of {what}")
    columns = [name for name in (table.rows[0].fields if table.rows else {}) if name != "group"]
    if table.rows and len(columns) != 1:
        raise ModalignError(f"file of {what} must have two columns, group and {what}, got {few(columns)}: {path}")
    return [(row.fields["group"], row.fields[columns[0]]) for row in table.rows]


def annotated(group: Tensor, known: Mapping[int, Any]) -> Tensor:
    """(k,) rows whose group is among ``known``."""
    return torch.tensor([i for i, g in enumerate(group.tolist()) if g in known], dtype=torch.long, device=group.device)


def pick(groups: Sequence[int], known: Mapping[int, Sequence[Any]]) -> list[Any]:
    """One annotation of each group, drawn from torch's generator, so that a resumed run draws the same."""
    draws = torch.rand(len(groups), device="cpu").tolist()
    return [known[g][int(u * len(known[g]))] for g, u in zip(groups, draws, strict=True)]
