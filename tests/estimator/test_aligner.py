"""The scikit-learn face: habits, arrays of any kind, errors with row numbers, save and load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from modalign.errors import ModalignError
from modalign.estimator import Aligner
from modalign.views import Views

MakeViews = Callable[..., Views]


@pytest.fixture(name="latent")
def _latent() -> MakeViews:
    """Modalities that are noisy linear images of the same skewed latent."""

    def make(n: int, seed: int, dims: tuple[int, ...] = (12, 8)) -> Views:
        maps, g = torch.Generator().manual_seed(42), torch.Generator().manual_seed(seed)
        s = torch.randn(n, 5, generator=g) ** 3 * torch.tensor([1.6, 1.4, 1.2, 1.0, 0.8])
        data = {
            m: s @ torch.linalg.qr(torch.randn(d, 5, generator=maps))[0].T + 0.15 * torch.randn(n, d, generator=g)
            for m, d in zip(("image", "text", "sound"), dims, strict=False)
        }
        return Views(data, {m: torch.arange(n) for m in data})

    return make


def arrays(latent: MakeViews, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    x = latent(n, 0)
    return x["image"].numpy(), x["text"].numpy()


def top1(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a @ b.T).argmax(1) == np.arange(len(a))).mean())


def test_ten_lines_align_two_arrays(latent: MakeViews) -> None:
    x, y = arrays(latent)
    aligner = Aligner(dim=8, trials=2).fit(x, y)
    a, b = aligner.transform(x, side="x"), aligner.transform(y, side="y")
    assert isinstance(a, np.ndarray)
    assert a.dtype == np.float32
    assert a.shape == (120, 8)
    assert np.allclose(np.linalg.norm(a, axis=1), 1, atol=1e-5)
    assert top1(a, b) > 0.6


def test_clone_and_parameters_follow_scikit_learn() -> None:
    from sklearn.base import clone

    aligner = Aligner(method="cca", dim=4, ridge=2.0)
    copy = clone(aligner)
    assert copy.get_params() == {"method": "cca", "dim": 4, "seed": 0, "ridge": 2.0}
    assert copy.set_params(dim=5, power=1.0) is copy
    assert copy.get_params()["power"] == 1.0
    assert repr(copy) == "Aligner(dim=5, method='cca', power=1.0, ridge=2.0)"
    assert not hasattr(copy, "model_")


def test_pairs_by_row_numbers_with_all_other_rows_unpaired(latent: MakeViews) -> None:
    x, y = arrays(latent)
    order = np.random.default_rng(0).permutation(120)
    pairs = np.stack([order[:60], np.arange(60)], 1)
    aligner = Aligner("transport_cca").fit(x, y[order], pairs=pairs)
    assert top1(aligner.transform(x), aligner.transform(y, "y")) > 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(np.float64),
        lambda a: a.astype(">f4"),
        lambda a: np.repeat(a, 2, 1)[:, ::2],
        lambda a: torch.from_numpy(a),
        lambda a: a.tolist(),
    ],
)
def test_layout_and_type_do_not_matter(latent: MakeViews, change: object) -> None:
    x, y = arrays(latent)
    aligner = Aligner("cca", dim=4, ridge=1.0).fit(x, y)
    assert np.allclose(aligner.transform(change(x)), aligner.transform(x), atol=1e-6)  # type: ignore[operator]


def test_named_views_of_three_modalities(latent: MakeViews) -> None:
    views = latent(100, 0, (12, 8, 10))
    aligner = Aligner("cca", dim=4).fit(views)
    assert aligner.modalities_ == ("image", "text", "sound")
    assert aligner.transform(views["sound"], side="sound").shape == (100, 4)


def test_save_and_load(latent: MakeViews, tmp_path: Path) -> None:
    x, y = arrays(latent)
    aligner = Aligner("cca", dim=4, ridge=1.0).fit(x, y)
    aligner.save(tmp_path)
    again = Aligner.load(tmp_path)
    assert np.array_equal(aligner.transform(x), again.transform(x))
    assert again.get_params() == aligner.get_params()


def test_mistakes_are_told_in_one_line(latent: MakeViews) -> None:
    x, y = arrays(latent, 30)
    bad = x.copy()
    bad[[2, 5]] = np.nan
    zero = y.copy()
    zero[7] = 0
    cases = [
        (lambda: Aligner().transform(x), "not fitted"),
        (lambda: Aligner().save("nowhere"), "not fitted"),
        (lambda: Aligner("cca").fit(bad, y), r"'x' has NaN or infinite values in 2 of 30 rows \(2, 5\)"),
        (lambda: Aligner("cca").fit(x, zero), r"'y' has 1 all-zero rows of 30 \(7\)"),
        (lambda: Aligner("cca").fit(x, y[:29]), "different numbers of rows"),
        (lambda: Aligner("cca").fit(x, y, pairs=[[0, 0]]), "1 known pairs"),
        (lambda: Aligner("cca").fit(x, y, pairs=[[0, 99]]), "99"),
        (lambda: Aligner("ccaa").fit(x, y), "did you mean 'cca'"),
        (lambda: Aligner("cca", ridg=1.0).fit(x, y), "did you mean 'ridge'"),
        (lambda: Aligner("cca").fit(x[:, 0], y), "2-D"),
        (lambda: Aligner("cca").fit(np.array([["a"]]), y), "must hold numbers"),
        (lambda: Aligner("cca").fit(x), "needs two arrays"),
        (lambda: Aligner("cca").fit(latent(9, 0), y), "own pairs"),
        (lambda: Aligner("cca").fit(x, y).transform(x, "z"), "unknown modality 'z'"),
        (lambda: Aligner("cca").fit(x, y).transform(y, "x"), r"takes rows of 12 features.*\(30, 8\)"),
        (lambda: Aligner("cca").fit(x, y).transform(bad), r"\(2, 5\)"),
        (lambda: Aligner("cca").fit(x, y).transform(x, y), "side is a name.*got ndarray"),
        (lambda: Aligner("cca").fit(x, y).transform(x, 0), "side is a name.*got int"),
        (lambda: Aligner("cca").fit(x, y, pairs="pairs.csv"), "read a file"),
        (lambda: Aligner("cca").fit(x.astype(float) * 1e60, y), "'x' holds numbers beyond those of float32"),
        (lambda: Aligner("cca").fit(x, torch.from_numpy(y).double() * 1e60), "'y' holds numbers beyond"),
        (lambda: Aligner("cca").fit(torch.from_numpy(x).to("meta"), y), "device 'meta'"),
        (lambda: Aligner("cca").fit(pd.DataFrame(x), pd.DataFrame(y)[::-1]), "same index in another order"),
    ]
    for act, message in cases:
        with pytest.raises(ModalignError, match=message) as problem:
            act()
        assert "\n" not in str(problem.value)


def test_data_frames_are_paired_as_they_stand_unless_their_indices_contradict(latent: MakeViews) -> None:
    x, y = (pd.DataFrame(rows) for rows in arrays(latent, 40))
    plain = Aligner("cca", dim=4).fit(x, y)
    shifted = Aligner("cca", dim=4).fit(x, y.set_index(y.index + 100))
    known = Aligner("cca", dim=4).fit(x, y[::-1], pairs=np.stack([np.arange(40), np.arange(39, -1, -1)], 1))
    expected = plain.transform(x)
    assert np.array_equal(shifted.transform(x), expected)
    assert np.allclose(known.transform(x), expected, atol=1e-5)
    with pytest.raises(ModalignError, match="same index in another order"):
        plain.score(x, y.sample(frac=1, random_state=0))
