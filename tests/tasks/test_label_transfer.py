"""Label transfer by neighbours: against scikit-learn's, and FOSCTTM against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize

import modalign as ma
from modalign.tasks import evaluate_transfer, label_transfer


def aligned(n: int = 90) -> tuple[ma.Views, dict[int, str]]:
    draw = torch.Generator().manual_seed(0)
    kind = torch.randint(3, (n,), generator=draw)
    centres = torch.randn(3, 6, generator=draw)
    points = {m: centres[kind] + 0.9 * torch.randn(n, 6, generator=draw) for m in ("rna", "atac")}
    return ma.Views.from_arrays(**points), {i: f"type {k}" for i, k in enumerate(kind.tolist())}


def test_accuracy_is_that_of_a_neighbour_classifier() -> None:
    z, labels = aligned()
    found = label_transfer(z, z, labels, k=5)
    truth = [labels[i] for i in range(90)]
    unit = {m: normalize(rows, dim=1).numpy() for m, rows in z.data.items()}
    for a, b in (("rna", "atac"), ("atac", "rna")):
        votes = KNeighborsClassifier(5).fit(unit[a], truth).predict_proba(unit[b])
        best = votes == votes.max(1, keepdims=True)
        want = (best[np.arange(90), [int(t[-1]) for t in truth]] / best.sum(1)).mean()
        assert found[f"accuracy/{a}->{b}/5nn"].value == pytest.approx(want, abs=1e-9)
    assert found["accuracy/rna->atac/5nn"].low is not None


def test_items_without_labels_are_left_out() -> None:
    z, labels = aligned()
    half = {g: v for g, v in labels.items() if g % 2}
    asked = z.select({m: torch.arange(90) % 2 == 1 for m in z.modalities})
    want, found = label_transfer(asked, asked, half), label_transfer(z, z, half)
    assert want["accuracy/rna->atac/5nn"].value == found["accuracy/rna->atac/5nn"].value
    with pytest.raises(ma.ModalignError, match="two modalities"):
        label_transfer(z.only("rna"), z, labels)


def test_a_group_with_several_labels_is_refused() -> None:
    """It was scored by the first of them in the alphabet."""
    z, labels = aligned()
    with pytest.raises(ma.ModalignError, match=r"1 groups have several labels \(4\)"):
        label_transfer(z, z, {**labels, 4: ["type 0", "type 1"]})


def test_labels_named_once_per_item_are_one_label(tmp_path: Path) -> None:
    """A list with a line for each item of a group made accuracy mAP."""
    z, labels = aligned()
    once = evaluate_transfer(z, z, labels, shots=(), samples=0)
    path = tmp_path / "labels.csv"
    path.write_text("group,label\n" + "".join(f"{g},{label}\n" for g, label in [*labels.items()] * 2))
    twice = evaluate_transfer(z, z, path, shots=(), samples=0)
    assert {k: s.value for k, s in twice.items()} == {k: s.value for k, s in once.items()}
    assert "accuracy/rna->atac/transfer" in twice


def test_labels_are_numbers_of_other_libraries_too() -> None:
    z, labels = aligned()
    numbers = {g: np.int64(label[-1]) for g, label in labels.items()}
    want, found = label_transfer(z, z, labels), label_transfer(z, z, numbers)
    assert [s.value for s in found.values()] == [s.value for s in want.values()]
    with pytest.raises(ma.ModalignError, match="1 groups have none"):
        label_transfer(z, z, {**numbers, 3: float("nan")})


def test_foscttm_is_the_share_of_cells_that_are_closer_than_the_match() -> None:
    z, _ = aligned()
    cosine = (normalize(z["rna"], dim=1) @ normalize(z["atac"], dim=1).T).double().numpy()
    want = (cosine > np.diag(cosine)[:, None]).sum(1).mean() / 89
    scores = ma.evaluate(z, ["retrieval"], intervals=False)
    assert scores["foscttm/rna->atac"].value == pytest.approx(want, abs=1e-9)
