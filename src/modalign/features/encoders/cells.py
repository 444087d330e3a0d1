"""Cells of an assay as features: what an AnnData or MuData file holds of them."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from ...data import media
from ...data.cells import matrix_of, open_assays
from ...errors import unknown
from ...parameters import Count
from ...registry import register
from .features import StoredRows

VERSION = 1


@register("encoder", "cells")
class Cells(StoredRows):
    """Rows of an AnnData or MuData file: coordinates that lie there, or principal components of its counts.

    An item is a row number, or a row of the data set "cells".

    Args:
        path: .h5ad or .h5mu file. modality: the assay; of a .h5mu file the name of its modality.
        use, scale, components: see ``data.cells.matrix_of``.

    Raises:
        ModalignError: no such file, assay or matrix.
        MissingExtraError: anndata, or mudata for .h5mu, is not installed.
    """

    called = "cell"
    empty = "has no counts"

    def __init__(
        self, path: str, modality: str = "cells", use: str = "auto", scale: str = "auto", components: Count = 50
    ) -> None:
        self.path, self.modality = path, modality
        self.settings = {"use": use, "scale": scale, "components": components}
        tables = open_assays(path)
        assay = modality if path.endswith(".h5mu") else next(iter(tables))
        if assay not in tables:
            raise unknown(f"assay of {path}", modality, tables)
        self.array = torch.from_numpy(matrix_of(tables[assay][1], use, scale, components))
        self.dim = self.array.shape[1]

    def description(self) -> dict[str, Any]:
        """Which file, with which content, read how."""
        facts = hashlib.blake2b(media.signature(self.path).encode(), digest_size=16).hexdigest()
        return {"encoder": "cells", "version": VERSION, "file": facts, "assay": self.modality, **self.settings}
