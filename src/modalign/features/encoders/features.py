"""Precomputed features as an encoder: what another program has computed, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...data import media
from ...data.arrays import load_array
from ...data.manifest import Row
from ...errors import ModalignError
from ...registry import register
from .base import FrozenEncoder, Item


class StoredRows(FrozenEncoder):
    """What encoders share whose features lie in a file: ``array``, (n, d), of ``path``. An item is a row number, or a
    manifest row whose ``extra["index"]`` is one."""

    batch_size = 4096
    shard_size = 65536
    called = "row"
    empty = "holds zeros alone: a missing item is left out"

    path: str
    array: Tensor

    def collate(self, items: Sequence[Item]) -> Tensor:
        """Row numbers, (n,) int64.

        Raises:
            ModalignError: a number outside the file, an item without one, or a row of zeros: other programs write
                "missing" so, and here what is missing is absent.
        """
        numbers = [i.extra.get("index") if isinstance(i, Row) else i for i in items]
        for number in numbers:
            if not isinstance(number, int) or not 0 <= number < len(self.array):
                there = f"{self.called}s 0 to {len(self.array) - 1}"
                raise ModalignError(f"{self.path} has {there}, but {self.called} {number} was asked for")
        rows = torch.tensor(numbers, dtype=torch.long)
        empty = (self.array[rows] == 0).all(1)
        if bool(empty.any()):
            raise ModalignError(f"{self.path}: {self.called} {int(rows[empty][0])} {self.empty}")
        return rows

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, dim) float32 features."""
        return self.array[batch].float()


@register("encoder", "features")
class Features(StoredRows):
    """Rows of an array as features, for any modality and any encoder that ran elsewhere.

    An item is a row number, or a manifest row whose ``extra["index"]`` is one (``data.arrays`` fills it in).

    Args:
        path: of an (n, d) array, as ``load_array`` reads it: .npy, .npz, .safetensors, ``FILE.parquet#COLUMN``.
        modality: of these features.

    Raises:
        ModalignError: the file cannot be read, or is no (n, d) array of numbers.

    Example:
        >>> import numpy as np, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.eye(3, dtype="float32"))
        >>> Features(path, "sensor").encode([2, 0])
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """

    def __init__(self, path: str, modality: str = "features") -> None:
        self.path = path
        self.modality = modality
        self.array = load_array(path)
        self.dim = self.array.shape[1]

    def description(self) -> dict[str, Any]:
        """Which file, with which content."""
        if Path(self.path).is_file():
            facts = media.signature(self.path).encode()
        else:  # a column of a table, or a table that is a folder: by its numbers
            facts = self.array.contiguous().numpy().tobytes()
        return {"encoder": "features", "file": hashlib.blake2b(facts, digest_size=16).hexdigest()}
