"""The generator: what is shared is shared, what is unique is not, and the label needs what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.data.synthetic import generate
from modalign.errors import ModalignError
from modalign.registry import make


def test_shared_bits_are_equal_and_unique_ones_independent() -> None:
    problem = generate(4000, shared=5, unique=3, modalities=3)
    a, b, c = (problem.latent[m] for m in "abc")
    assert torch.equal(a[:, :5], b[:, :5])
    assert torch.equal(b[:, :5], c[:, :5])
    assert float((a[:, 5:].T @ b[:, 5:] / 4000).abs().max()) < 0.06
    assert set(a.unique().tolist()) == {-1.0, 1.0}
    assert problem.share == pytest.approx(5 / 8)


def test_without_layers_or_noise_features_are_a_rotation_of_the_bits() -> None:
    problem = generate(200, shared=4, unique=2, noise=0.0, width=10)
    for m, x in problem.views.data.items():
        assert torch.allclose(x.double() @ x.double().T, problem.latent[m] @ problem.latent[m].T, atol=1e-4)


def test_layers_make_the_second_modality_less_linear_and_leave_the_first() -> None:
    def told(depth: int) -> float:
        problem = generate(2000, shared=6, unique=2, heterogeneity=depth, noise=0.0)
        x, bits = problem.views["b"].double(), problem.latent["b"]
        fit = torch.linalg.lstsq(x, bits).solution
        return 1 - float((x @ fit - bits).square().mean())

    assert told(0) > 0.999
    assert told(0) > told(2) > told(6)
    assert torch.equal(generate(50, heterogeneity=0).latent["a"], generate(50, heterogeneity=4).latent["a"])


def test_label_ignores_shared_bits_beyond_the_redundancy() -> None:
    problem = generate(4000, shared=8, unique=1, redundancy=2)
    y = problem.label.double() * 2 - 1
    told = (problem.latent["a"][:, :8].T @ y / 4000).abs()
    assert float(told[:2].min()) > 0.08
    assert float(told[2:].max()) < 0.06


def test_same_seed_same_bits() -> None:
    one, other = generate(40, seed=5), generate(40, seed=5)
    assert torch.equal(one.views["b"], other.views["b"])
    assert not torch.equal(one.views["b"], generate(40, seed=6).views["b"])


@pytest.mark.parametrize(
    "settings",
    [
        {"shared": 0, "unique": 0},
        {"shared": 30, "unique": 4},
        {"redundancy": 9},
        {"modalities": 1},
        {"modalities": ["a", "a"]},
        {"heterogeneity": -1},
        {"noise": -0.1},
        {"n": 1},
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict) -> None:
    with pytest.raises(ModalignError):
        generate(**settings)


def test_the_data_set_writes_arrays_once_and_splits_them(tmp_path: Path) -> None:
    manifest = make("dataset", "synthetic", root=str(tmp_path), n=100, modalities=3)
    assert manifest.modalities == ("a", "b", "c")
    rows = manifest.modality("b")
    assert [r.extra["index"] for r in rows] == list(range(100))
    assert {s: sum(r.split == s for r in rows) for s in ("train", "dev", "test")} == {
        "train": 70,
        "dev": 10,
        "test": 20,
    }
    array = np.load(rows[0].uri)
    assert np.array_equal(array, generate(100, modalities=3).views["b"].numpy())
    written = Path(rows[0].uri).stat().st_mtime_ns
    make("dataset", "synthetic", root=str(tmp_path), n=100, modalities=3)
    assert Path(rows[0].uri).stat().st_mtime_ns == written
    with pytest.raises(ModalignError, match="leave something for training"):
        make("dataset", "synthetic", root=str(tmp_path), test=0.9, dev=0.2)
