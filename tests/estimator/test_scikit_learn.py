"""Aligner among scikit-learn's own tools: its checks, pipelines, searches, routing, data frames."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import modalign as ma

#: What scikit-learn asks for and Aligner does otherwise, with the reason. All other checks are passed.
EXCLUDED = {
    "check_n_features_in_after_fitting": "its X of one column has the width of its y, so it is taken for the side y",
    "check_estimators_dtypes": "its random integers hold a row of zeros, which is refused as an absent item",
}


@parametrize_with_checks([ma.Aligner("cca")], expected_failed_checks=lambda estimator: EXCLUDED, xfail_strict=True)
def test_checks_of_scikit_learn(estimator: ma.Aligner, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([ma.Aligner()], expected_failed_checks=lambda estimator: EXCLUDED, xfail_strict=True)
def test_checks_of_scikit_learn_by_the_default_method(estimator: ma.Aligner, check: Any) -> None:
    check(estimator)


def sides(n: int = 90, seed: int = 0, widths: tuple[int, int] = (12, 7)) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy linear images of one latent; the maps are the same whatever the seed."""
    maps, draw = np.random.default_rng(42), np.random.default_rng(seed)
    s = draw.normal(size=(n, 4))
    return tuple(s @ maps.normal(size=(4, d)) + 0.3 * draw.normal(size=(n, d)) for d in widths)  # type: ignore[return-value]


def slow_mean_recall(a: np.ndarray, b: np.ndarray) -> float:
    found = []
    for one, other in ((a, b), (b, a)):
        scores = one.astype(np.float64) @ other.T.astype(np.float64)
        rank = (scores > np.diag(scores)[:, None]).sum(1)
        found += [(rank < k).mean() for k in (1, 5, 10)]
    return float(np.mean(found))


def test_score_is_mean_recall_on_rows_that_no_fit_saw() -> None:
    aligner = ma.Aligner("cca", dim=4, ridge=0.1).fit(*sides())
    x, y = sides(50, seed=1)
    assert aligner.score(x, y) == pytest.approx(slow_mean_recall(aligner.transform(x), aligner.transform(y)))
    assert 0.3 < aligner.score(x, y) < 1.0
    order = np.random.default_rng(0).permutation(50)
    assert aligner.score(x, y[order]) < 0.3
    pairs = np.stack([order, np.arange(50)], 1)
    assert aligner.score(x, y[order], pairs=pairs) == pytest.approx(aligner.score(x, y))
    with pytest.raises(ma.ModalignError, match="rows that belong together"):
        aligner.score(x, y, pairs=np.zeros(50, dtype=bool))


def test_score_of_data_frames_goes_by_the_columns_of_the_fit() -> None:
    pd = pytest.importorskip("pandas", reason="the columns of arrays have no names")
    train, held = ([pd.DataFrame(v).add_prefix(m) for m, v in zip("xy", sides(seed=k), strict=True)] for k in (0, 1))
    aligner = ma.Aligner("cca", dim=4, ridge=0.1).fit(*train)
    x, y = held
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert aligner.score(x, y) == pytest.approx(slow_mean_recall(aligner.transform(x), aligner.transform(y)))
    assert aligner.score({"y": y, "x": x}) == aligner.score(x, y) > 0.1
    with pytest.raises(ValueError, match="feature names should match"):
        aligner.score(x[x.columns[::-1]], y)
    with pytest.raises(ma.ModalignError, match="the columns of 'y' are not those of the fit"):
        aligner.score(x, y[y.columns[::-1]])


def test_booleans_say_of_every_row_whether_it_is_a_pair() -> None:
    x, y = sides()
    known = np.arange(len(x)) % 2 == 0
    rows = known.nonzero()[0]
    by_rows = ma.Aligner("cca", dim=4).fit(x, y, np.stack([rows, rows], 1)).transform(x, side="x")
    assert np.array_equal(ma.Aligner("cca", dim=4).fit(x, y, known).transform(x, side="x"), by_rows)
    assert ma.Aligner("cca", dim=4).fit(x, y[:-10], known[:-10]).record_ is not None
    for wrong in (known[:-1], np.append(known, True), known[:0]):
        with pytest.raises(ma.ModalignError, match=f"pairs has {len(wrong)} booleans for arrays with rows"):
            ma.Aligner("cca", dim=4).fit(x, y, wrong)


def test_a_pipeline_scales_one_side_and_aligns() -> None:
    x, y = sides()
    scaled = make_pipeline(StandardScaler(), ma.Aligner("cca", dim=4)).fit(1e4 * x, y)
    alone = ma.Aligner("cca", dim=4).fit(StandardScaler().fit_transform(x), y)
    assert np.allclose(scaled.transform(1e4 * x), alone.transform(StandardScaler().fit_transform(x)), atol=1e-5)
    assert scaled.score(1e4 * x, y) == pytest.approx(alone.score(StandardScaler().fit_transform(x), y))
    assert list(scaled.get_feature_names_out()) == [f"aligner{i}" for i in range(4)]
    assert "cca" in scaled._repr_html_()


def test_fit_transform_gives_the_first_side_also_where_widths_are_equal() -> None:
    x, y = sides(widths=(7, 7))
    scaled = make_pipeline(StandardScaler(), ma.Aligner("cca", dim=4))
    z = scaled.fit_transform(x, y)
    with pytest.raises(ma.ModalignError, match="7 columns do not tell whose rows these are: say side='x' or side='y'"):
        scaled.transform(x)
    with sklearn.config_context(enable_metadata_routing=True):
        scaled[-1].set_transform_request(side=True)
        assert np.array_equal(scaled.transform(x, side="x"), z)


def test_a_side_is_told_by_width_or_by_names() -> None:
    pd = pytest.importorskip("pandas", reason="data frames need pandas")
    x, y = sides()
    aligner = ma.Aligner("cca", dim=4).fit(x, y)
    assert np.array_equal(aligner.transform(y), aligner.transform(y, side="y"))
    with pytest.raises(ma.ModalignError, match=r"X has 5 features, but Aligner is expecting 12 .*x 12, y 7"):
        aligner.transform(x[:, :5])
    x, y = sides(widths=(7, 7))
    x, y = pd.DataFrame(x, columns=list("abcdefg")), pd.DataFrame(y, columns=list("hijklmn"))
    aligner = ma.Aligner("cca", dim=4).fit(x, y)
    assert np.array_equal(aligner.transform(y), aligner.transform(y, side="y"))
    assert not np.allclose(aligner.transform(x), aligner.transform(y))
    with pytest.raises(ma.ModalignError, match="the columns of 'y' are not those of the fit"):
        aligner.transform(y[list("nmlkjih")], side="y")


def test_a_grid_search_over_paired_arrays_chooses_by_mean_recall() -> None:
    x, y = sides(120)
    search = GridSearchCV(ma.Aligner("cca"), {"dim": [1, 4], "ridge": [0.1]}, cv=3).fit(x, y)
    assert search.best_params_ == {"dim": 4, "ridge": 0.1}
    fold = np.arange(40)
    kept = np.setdiff1d(np.arange(120), fold)
    alone = ma.Aligner("cca", dim=4, ridge=0.1).fit(x[kept], y[kept]).score(x[fold], y[fold])
    assert search.cv_results_["split0_test_score"][search.best_index_] == pytest.approx(alone)
    both = GridSearchCV(
        make_pipeline(StandardScaler(), ma.Aligner()), [{"aligner__method": ["cca", "procrustes"]}], cv=2
    )
    assert both.fit(x, y).best_score_ > 0.3


def test_folds_of_three_modalities_are_those_of_their_groups() -> None:
    """As fitted and scored by hand, with items that are missing."""
    x, y = (torch.from_numpy(side) for side in sides())
    rows = {"a": x, "b": y, "c": x[:60, :5]}
    views = ma.Views(rows, {m: torch.arange(len(own)) for m, own in rows.items()})
    ids, aligner = views.group_ids().numpy(), ma.Aligner("cca", dim=4)
    found = cross_val_score(make_pipeline(FunctionTransformer(lambda g: views.groups(g)), aligner), ids, cv=3)
    by_hand = []
    for start in (0, 30, 60):
        held = np.arange(start, start + 30)
        fitted = clone(aligner).fit(views.groups(np.setdiff1d(ids, held)))
        by_hand.append(fitted.score(views.groups(held)))
    assert found == pytest.approx(by_hand)
    with pytest.raises(ma.ModalignError, match=r"x.groups\(ids\)"):
        cross_val_score(aligner, views, cv=3)


def test_pairs_are_routed_through_folds() -> None:
    x, y = sides(120)
    known = np.arange(120) % 2 == 0
    shuffled = y.copy()
    shuffled[~known] = y[~known][np.random.default_rng(0).permutation(60)]
    with sklearn.config_context(enable_metadata_routing=True):
        aligner = ma.Aligner("cca", dim=4).set_fit_request(pairs=True).set_score_request(pairs=True)
        told = cross_val_score(aligner, x, shuffled, cv=3, params={"pairs": known}).mean()
        search = GridSearchCV(aligner, {"dim": [2, 4]}, cv=3).fit(x, shuffled, pairs=known)
    untold = cross_val_score(ma.Aligner("cca", dim=4), x, shuffled, cv=3).mean()
    assert told > untold + 0.2
    assert search.best_score_ >= told - 1e-9


def test_named_arrays_and_all_that_goes_with_them() -> None:
    x, y = sides()
    aligner = ma.Aligner("cca", dim=4).fit({"image": x, "text": y})
    assert aligner.modalities_ == ("image", "text")
    z = aligner.transform({"text": y, "image": x})
    assert list(z) == ["text", "image"]
    assert np.array_equal(z["text"], aligner.transform(y, side="text"))
    assert aligner.score({"image": x, "text": y}) == pytest.approx(slow_mean_recall(z["image"], z["text"]))
    assert np.array_equal(aligner.fit_transform({"image": x, "text": y})["image"], z["image"])
    views = ma.Views.from_arrays(image=torch.tensor(x).float(), text=torch.tensor(y).float())
    assert np.allclose(aligner.transform(views)["image"].numpy(), z["image"])
    with pytest.raises(ma.ModalignError, match="two arrays or more, under words as names"):
        aligner.fit({"image": x})
    with pytest.raises(ma.ModalignError, match="without a second one"):
        aligner.fit({"image": x, "text": y}, y)


def test_parameters_are_checked_by_name_when_they_are_set() -> None:
    aligner = ma.Aligner("cca")
    for wrong, near in (({"dmi": 8}, "dim"), ({"ridg": 1.0}, "ridge")):
        with pytest.raises(ma.ModalignError, match=f"did you mean '{near}'"):
            aligner.set_params(**wrong)
    with pytest.raises(ma.ModalignError, match="unknown setting of method 'cca' 'trials'"):
        aligner.set_params(trials=2)
    assert aligner.set_params(method="full", trials=2).get_params()["trials"] == 2
    assert aligner.set_params(dim=8) is aligner


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "ful"}, "did you mean 'full'"),
        ({"method": 3}, "method must be text, got 3"),
        ({"seed": "x"}, "seed must be a whole number, got 'x'"),
        ({"seed": -1}, "seed must lie in"),
        ({"method": "cca", "seed": "x"}, "seed must be a whole number, got 'x'"),
        ({"dim": 2.5}, "dim must be a whole number, got 2.5"),
        ({"dim": 0}, "dim must lie in"),
        ({"trials": None}, "trials' must be a whole number, got None"),
        ({"closed": [1]}, "closed' must be a table"),
        ({"rigde": 1.0, "method": "cca"}, "did you mean 'ridge'"),
        ({"random_state": 0, "method": "cca"}, "did you mean 'seed'"),
        ({"n_components": 4, "method": "cca"}, "did you mean 'dim'"),
        ({"method": "gradient", "objective": "triangle"}, "Triangle learns from 3 modalities or more, got x, y"),
        ({"ridge": True, "method": "cca"}, "ridge' must be a number or None, got True"),
    ],
)
def test_parameters_are_checked_by_fit(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ma.ModalignError, match=said):
        ma.Aligner(**settings).fit(*sides())


def test_not_fitted_is_scikit_learns_own_error() -> None:
    aligner = ma.Aligner()
    for act in (lambda: check_is_fitted(aligner), lambda: aligner.transform(np.eye(3)), lambda: aligner.save("x")):
        with pytest.raises(NotFittedError):
            act()
    check_is_fitted(ma.Aligner("cca").fit(*sides()))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_in_and_out(library: str) -> None:
    frames = pytest.importorskip(library, reason=f"data frames of {library} need it")
    x, y = sides()
    columns = [f"p{i}" for i in range(12)]
    named = frames.DataFrame({c: x[:, i] for i, c in enumerate(columns)})
    other = frames.DataFrame({f"q{i}": y[:, i] for i in range(7)})
    aligner = ma.Aligner("cca", dim=4).fit(named, other)
    assert list(aligner.feature_names_in_) == columns
    assert aligner.n_features_in_ == 12
    assert aligner.feature_names_["y"][0] == "q0"
    plain = ma.Aligner("cca", dim=4).fit(x, y).transform(x)
    assert np.allclose(aligner.transform(named), plain, atol=1e-6)
    out = aligner.set_output(transform=library).transform(named)
    assert isinstance(out, frames.DataFrame)
    assert list(out.columns) == ["aligner0", "aligner1", "aligner2", "aligner3"]
    assert isinstance(aligner.transform({"y": other})["y"], frames.DataFrame)
    words = frames.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})
    with pytest.raises(ma.ModalignError, match="'x' must hold numbers, but its columns 'b' do not"):
        aligner.fit(words, y[:2])
    lost = frames.DataFrame({c: [*x[:-1, i], None] for i, c in enumerate(columns)})
    with pytest.raises(ma.ModalignError, match=r"'x' has NaN or infinite values in 1 of 90 rows \(89\)"):
        aligner.fit(lost, other)


def test_nullable_columns_are_numbers() -> None:
    pd = pytest.importorskip("pandas", reason="nullable columns are of pandas")
    x, y = sides()
    frame = pd.DataFrame(np.round(x * 10)).astype("Int64")
    frame.columns = [f"p{i}" for i in range(12)]
    plain = frame.to_numpy(np.float64)
    nullable, usual = (ma.Aligner("cca", dim=4).fit(table, y).transform(table) for table in (frame, plain))
    assert np.allclose(nullable, usual, atol=1e-6)


class Capsule:
    """What speaks DLPack and nothing else, as arrays on devices do."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = torch.from_numpy(x)

    def __dlpack__(self, **wish: Any) -> Any:
        return self.x.__dlpack__(**wish)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


def test_dlpack_is_read() -> None:
    x, y = sides()
    aligner = ma.Aligner("cca", dim=4).fit(Capsule(x), Capsule(y))
    assert np.array_equal(aligner.transform(Capsule(x)), aligner.transform(x))


def columns(x: np.ndarray) -> dict[str, Any]:
    """A matrix as columns of embeddings hold it: lists or arrays by rows, in each library's own column."""
    pandas, polars, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    return {
        "pandas, arrays": pandas.Series(list(x)), "pandas, lists": pandas.Series(x.tolist()),
        "polars, lists": polars.Series(x.tolist()),
        "polars, arrays": polars.Series(x, dtype=polars.Array(polars.Float64, x.shape[1])),
        "Arrow, lists": pa.array(x.tolist()), "Arrow, fixed": fixed,
        "Arrow, chunks": pa.chunked_array([fixed[:7], fixed[7:]]), "numpy": np.array([*x, None], object)[:-1],
    }  # fmt: skip


def test_columns_of_embeddings_are_read_as_the_matrix_they_hold() -> None:
    x, y = sides()
    aligner = ma.Aligner("cca", dim=4).fit(x, y)
    for name, column in columns(x).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(aligner.transform(column, side="x"), aligner.transform(x, side="x")), name
            assert np.array_equal(ma.Views.from_arrays(a=column)["a"].numpy(), x), name


def test_read_only_maps_are_read_without_a_warning(tmp_path: Path) -> None:
    for name, rows in zip("xy", sides(), strict=True):
        np.save(tmp_path / f"{name}.npy", rows.astype(np.float32))
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = ma.Aligner("cca", dim=4).fit(x, y).transform(x)
    assert np.array_equal(z, ma.Aligner("cca", dim=4).fit(np.array(x), np.array(y)).transform(x))


def test_what_cannot_be_read_is_refused_in_one_line() -> None:
    x, y = sides()
    aligner = ma.Aligner("cca")
    hidden = np.ma.masked_array(x, mask=x > 1)
    cases: list[tuple[Any, Any, str]] = [
        (sparse.csr_array(x), y, "'x' is sparse, and sparse input is not supported"),
        (x, sparse.dok_matrix(y), "'y' is sparse"),
        (torch.tensor(x).to_sparse(), y, "'x' is sparse"),
        (hidden, y, "'x' is a masked array"),
        (x + 1j, y, "Complex data not supported: 'x'"),
        (torch.tensor(x + 1j), y, "Complex data not supported: 'x'"),
        (np.empty((9, 0)), y, r"'x' has 0 feature\(s\)"),
        ([[1.0, 2.0], [1.0]], y, "'x' must hold numbers in rows of one length"),
        ((row for row in x), y, "'x' must hold numbers, .* got generator"),
        (x[:1], y[:1], r"1 sample\(s\)"),
        ({"image": x, "pairs": y}, None, "under words as names"),
    ]
    for a, b, message in cases:
        with pytest.raises(ma.ModalignError, match=message) as problem:
            aligner.fit(a, b)
        assert "\n" not in str(problem.value)


def test_an_aligner_is_pickled_and_its_columns_are_kept_in_a_folder(tmp_path: Path) -> None:
    x, y = sides()
    aligner = ma.Aligner("cca", dim=4).fit(x, y)
    assert np.array_equal(pickle.loads(pickle.dumps(aligner)).transform(x), aligner.transform(x))
    aligner.save(tmp_path)
    again = ma.Aligner.load(tmp_path)
    assert again.n_features_in_ == 12
    assert np.array_equal(again.transform(y), aligner.transform(y))
    assert again.score(x, y) == aligner.score(x, y)


def test_columns_of_data_frames_are_known_after_loading(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    x, y = sides()
    y = np.hstack([y, y])[:, :12]  # of one width: only names tell whose rows they are
    image, text = (
        pandas.DataFrame(part, columns=[f"{name}{i}" for i in range(12)]) for part, name in ((x, "i"), (y, "t"))
    )
    fitted = ma.Aligner("cca", dim=4).fit(image, text)
    fitted.save(tmp_path)
    again = ma.Aligner.load(tmp_path)
    assert again.feature_names_ == fitted.feature_names_
    assert again.record_ == fitted.record_
    assert again.feature_names_in_.tolist() == list(image)
    assert np.array_equal(again.transform(text), fitted.transform(text, side="y"))
    with pytest.raises(ValueError, match="same order as they were in fit"):
        again.transform(image[image.columns[::-1]], side="x")
    with pytest.raises(ma.ModalignError, match="the columns of 'y' are not those of the fit"):
        again.transform(text[text.columns[::-1]], side="y")
