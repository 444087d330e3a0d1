"""Positives that are not an equivalence."""

from __future__ import annotations

import numpy as np
import pytest

from modalign.data.links import links_of, positive_links
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


def _clips(audio: bool = False) -> Manifest:
    """Three clips: each with its own words and those of the next."""
    rows = []
    for i in range(3):
        rows.append({"group": i, "modality": "video", "uri": f"{i}.mp4", "extra": {"positives": [i, (i + 1) % 3]}})
        rows.append({"group": i, "modality": "text", "text": f"w{i}", "extra": {"positives": [i]}})
    if audio:
        rows += [{**row, "modality": "audio"} for row in rows[::2]]
    return Manifest.from_rows(rows)


def test_candidates_become_links_between_askers_and_what_is_asked() -> None:
    m = _clips(audio=True)
    found = links_of(m, {name: m.rows(name) for name in m.modalities})
    assert set(found) == {("video", "text"), ("text", "audio")}  # the picture and the sound of a clip by their group
    assert found["video", "text"].tolist() == [[0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 0, 2]]
    assert np.array_equal(found["text", "audio"][:, np.lexsort(found["text", "audio"])][::-1], found["video", "text"])


def test_links_that_say_what_groups_say_are_left_out() -> None:
    rows = [
        {"group": i % 2, "modality": m, "text": f"{m}{i}", "extra": {"positives": [i % 2]}}
        for m in ("a", "b")
        for i in range(4)
    ]
    m = Manifest.from_rows(rows)
    assert links_of(m, {name: m.rows(name) for name in "ab"}) == {}
    assert links_of(Manifest.from_rows([{"group": 0, "modality": "a", "text": "x"}]), {"a": np.array([0])}) == {}


def test_rows_that_were_lost_have_no_links() -> None:
    m = _clips()
    found = links_of(m, {"video": m.rows("video")[1:], "text": m.rows("text")[[0, 2]]})
    assert found["video", "text"].tolist() == [[0, 1, 1], [1, 0, 1]]
