"""Positives that are not an equivalence."""

from __future__ import annotations

import pytest

from modalign.data.links import positive_links
from modalign.data.manifest import Manifest
from modalign.errors import ModalignError


def _manifest() -> Manifest:
    rows = [("image", [1]), ("text", [1, 2]), ("image", [2]), ("text", [3]), ("text", None), ("text", 2)]
    return Manifest.from_rows(
        {"group": i, "modality": m, ("uri" if m == "image" else "text"): f"x{i}", "extra": {"positives": p}}
        for i, (m, p) in enumerate(rows)
    )


def test_links_equal_the_plain_definition() -> None:
    m = _manifest()
    assert positive_links(m, "image", "text").tolist() == [[0, 1, 1], [0, 0, 3]]
    assert positive_links(m, "text", "image").tolist() == [[0, 0, 3], [0, 1, 1]]


def test_links_number_the_rows_that_are_left() -> None:
    m = _manifest().take([2, 3, 5])
    assert positive_links(m, "image", "text").tolist() == [[0], [1]]
    assert positive_links(m.take([0]), "image", "text").shape == (2, 0)


def test_no_such_column() -> None:
    with pytest.raises(ModalignError, match="no column 'labels' to link by: it has positives"):
        positive_links(_manifest(), "image", "text", "labels")
