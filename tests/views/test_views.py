"""Views: what belongs together, and errors that say what to do."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import Aligner
from modalign.errors import ModalignError
from modalign.views import Views, concat, hide_links, keep_items


def coco_like() -> Views:
    """Two photos with three and two captions, one photo without, one caption without photo."""
    return Views(
        {"image": torch.arange(6.0).view(3, 2) + 1, "text": torch.arange(12.0).view(6, 2) + 1},
        {"image": torch.tensor([5, 9, 2]), "text": torch.tensor([9, 5, 5, 9, 5, 77])},
        row={"image": torch.tensor([0, 1, 2]), "text": torch.tensor([10, 11, 12, 13, 14, 15])},
    )


@pytest.mark.parametrize(("scale", "advice"), [(1e-25, "1e-25"), (1e-14, "1e-14"), (1e16, "1e+16"), (1e25, "1e+25")])
def test_numbers_whose_squares_are_lost_are_refused(scale: float, advice: str) -> None:
    """Float32 has no squares of them, so that lengths would be 0 or infinite and every cosine wrong."""
    x = torch.eye(4) * scale
    with pytest.raises(ModalignError, match=f"'a' has numbers up to .*: divide all of them by {re.escape(advice)}"):
        Views.from_arrays(a=x, b=torch.eye(4)).validate()
    Views.from_arrays(a=x / scale, b=1e-10 * torch.eye(4), c=1e14 * torch.eye(4)).validate()


def test_rows_too_short_to_have_a_direction_are_refused_as_rows_of_zeros_are() -> None:
    x = torch.eye(4)
    x[2] *= 1e-13
    short = Views.from_arrays(a=x, b=torch.eye(4))
    with pytest.raises(ModalignError, match=r"'a' has 1 rows of 4 .* below 1e-12 \(2\).*: remove these rows"):
        short.validate()
    assert short.validate(zero_rows=True) is short  # a ranking gives them what it gives to zeros
    Views.from_arrays(a=x[:, 2:3] + torch.tensor([[1.0], [0], [0], [0]])).validate()  # one column has no directions


def test_arrays_of_any_layout_and_library_hold_their_numbers(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    np.save(tmp_path / "x.npy", x)
    cases = {
        "big-endian": x.astype(">f8"), "turned": x[::-1][::-1], "Fortran": np.asfortranarray(x),
        "objects": x.astype(object), "long": x.astype(np.longdouble), "rows": list(x), "tensors": list(torch.tensor(x)),
        "map": np.load(tmp_path / "x.npy", mmap_mode="r"), "frame": pytest.importorskip("pandas").DataFrame(x),
    }  # fmt: skip
    for name, case in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read = Views.from_arrays(a=case).validate()["a"]
        assert read.dtype == torch.float64, name
        assert np.array_equal(read.numpy(), x), name
    assert Views.from_arrays(a=x.tolist())["a"].dtype == torch.get_default_dtype()
    assert np.array_equal(Views.from_arrays(a=x[::-1])["a"].numpy(), x[::-1])


def test_frames_whose_labels_say_that_other_rows_belong_together_are_refused() -> None:
    frame = pytest.importorskip("pandas").DataFrame(np.eye(3), index=["u", "v", "w"])
    with pytest.raises(ModalignError, match="the same index in another order"):
        Views.from_arrays(a=frame, b=frame.iloc[::-1])
    assert len(Views.from_arrays([(0, 2)], a=frame, b=frame.iloc[::-1])) == 5  # pairs say it
    with pytest.raises(ModalignError, match="masked array"):
        Views.from_arrays(a=np.ma.masked_less(np.ones((3, 2)), 2))
    with pytest.raises(ModalignError, match="holds no numbers"):
        Views.from_arrays(a=torch.ones(3, 2, device="meta")).validate()


def test_frames_that_lost_different_rows_are_refused() -> None:
    """As many rows were left of both, and row i of both was taken for one thing."""
    pandas = pytest.importorskip("pandas")
    x, y = pandas.DataFrame(np.eye(5) + 1), pandas.DataFrame(np.eye(5) + 2)
    x.iloc[1, 0], y.iloc[2, 0] = np.nan, np.nan
    with pytest.raises(ModalignError, match=r"'a' and 'b' have 3 of 4 labels in common: give the rows of a\.index\."):
        Views.from_arrays(a=x.dropna(), b=y.dropna())
    both = x.dropna().index.intersection(y.dropna().index)
    assert len(Views.from_arrays(a=x.loc[both], b=y.loc[both])) == 3
    assert len(Views.from_arrays(a=x.dropna(), b=y.iloc[:4].fillna(0).reset_index(drop=True))) == 4  # numbered anew
    assert len(Views.from_arrays(a=x.iloc[3:], b=y.iloc[:2])) == 2  # no label in common


def test_pairs_in_a_frame_that_names_the_other_side_first_are_refused() -> None:
    """Each item was paired with the one of the other's row, where there was one."""
    pandas = pytest.importorskip("pandas")
    x, y = np.eye(4), np.eye(4)
    right = pandas.DataFrame({"image": [0, 1], "text": [3, 2]})
    found = Views.from_arrays(right, image=x, text=y).paired("image", "text").tolist()
    assert found == [[0, 3], [1, 2]]
    for names in (["text", "image"], ["text_row", "image_row"]):
        frame = right[["text", "image"]].set_axis(names, axis=1)
        with pytest.raises(ModalignError, match="give the rows of 'image' first"):
            Views.from_arrays(frame, image=x, text=y)
        with pytest.raises(ModalignError, match="give the rows of 'image' first"):
            Aligner("cca").fit({"image": x, "text": y}, pairs=frame)
    assert (
        Views.from_arrays(right.set_axis(["a", "b"], axis=1), image=x, text=y).paired("image", "text").tolist() == found
    )


def test_pairs_of_any_byte_order_are_read() -> None:
    pairs = np.array([[0, 1], [2, 0]], ">i8")
    assert Views.from_arrays(pairs, a=torch.eye(3), b=torch.eye(3)).paired("a", "b").tolist() == pairs.tolist()


def test_positives_follow_group_ids() -> None:
    expected = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    v = coco_like()
    assert torch.equal(v.positives("image", "text"), expected)
    assert torch.equal(v.positives("text", "image"), expected.T)
    assert torch.equal(v.paired("image", "text"), expected.nonzero())
    assert v.unpaired("image", "text").tolist() == [2]
    assert v.unpaired("text", "image").tolist() == [5]
    assert len(v) == 4
    assert v.pairs() == [("image", "text")]


def test_links_replace_group_equality() -> None:
    v = Views(
        {"image": torch.eye(3), "text": torch.eye(3)},
        {"image": torch.arange(3), "text": torch.arange(3)},
        links={("image", "text"): torch.tensor([[0, 0, 2], [1, 2, 0]])},
    )
    assert v.positives("image", "text").nonzero().tolist() == [[0, 1], [0, 2], [2, 0]]
    assert v.paired("text", "image").tolist() == [[1, 0], [2, 0], [0, 2]]
    kept = v.select({"image": torch.tensor([2, 0]), "text": torch.tensor([0, 2])})
    assert kept.paired("image", "text").tolist() == [[1, 1], [0, 0]]
    assert v.only("image").links == {}


def test_selection_keeps_groups_and_rows() -> None:
    v = coco_like().groups([5])
    assert v["image"].tolist() == [[1.0, 2.0]]
    assert v.row is not None
    assert v.row["text"].tolist() == [11, 12, 14]
    half = coco_like().select({"text": torch.tensor([True, False, False, False, False, True])})
    assert half.group["text"].tolist() == [9, 77]
    assert len(half["image"]) == 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([0, 6], "rows 0 to 6 of 'text' were asked for, which has rows 0 to 5"),
        ([-1], "rows -1 to -1 of 'text' were asked for, which has rows 0 to 5"),
        ([0.0, 1.5], "rows of 'text' must be whole numbers, got torch.float32"),
        ([True, False], "the mask of 'text' has 2 entries for 6 rows"),
    ],
)
def test_rows_that_there_are_not_are_not_selected(rows: list[float], said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        coco_like().select({"text": torch.tensor(rows)})


def test_groups_are_named_by_their_ids_and_no_mask() -> None:
    """A mask named the groups 0 and 1, fractions those below them."""
    v = Views.from_arrays(a=torch.eye(5), b=torch.eye(5))
    for wrong in (torch.tensor([False, False, False, True, True]), torch.tensor([3.5]), [2.0]):
        with pytest.raises(ModalignError, match="whole numbers"):
            v.groups(wrong)
    for wrong in (torch.arange(5) > 2, torch.tensor([3.5])):
        with pytest.raises(ModalignError, match="whole numbers"):
            hide_links(v, wrong)
        with pytest.raises(ModalignError, match="whole numbers"):
            keep_items(v, {"a": wrong})
    assert v.groups([]).group_ids().tolist() == []
    assert v.groups({3, 4}).group_ids().tolist() == v.groups(np.array([4, 3])).group_ids().tolist() == [3, 4]


def test_nothing_may_be_selected() -> None:
    assert coco_like().select({"text": torch.tensor([])})["text"].shape == (0, 2)


def test_concat_keeps_the_meaning_of_groups() -> None:
    v = coco_like()
    both = concat([v.only("text"), v.only("image")])
    assert torch.equal(both.positives("image", "text"), v.positives("image", "text"))
    with pytest.raises(ModalignError, match="nothing to concatenate"):
        concat([])


def test_to_changes_the_dtype_of_data_only() -> None:
    v = coco_like().to(dtype=torch.float64)
    assert v["text"].dtype == torch.float64
    assert v.group["text"].dtype == torch.int64


def test_from_arrays_with_pairs_joins_what_is_connected() -> None:
    v = Views.from_arrays(torch.tensor([[0, 0], [0, 2], [3, 1]]), photo=torch.eye(4), caption=torch.eye(4))
    assert v.positives("photo", "caption").nonzero().tolist() == [[0, 0], [0, 2], [3, 1]]
    assert v.unpaired("photo", "caption").tolist() == [1, 2]
    assert v.unpaired("caption", "photo").tolist() == [3]
    none = Views.from_arrays(torch.empty(0, 2), x=torch.eye(2), y=torch.eye(3))
    assert not none.positives("x", "y").any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Views({"a": torch.eye(2)}, {"b": torch.arange(2)}), "must match"),
        (lambda: Views({"a": torch.eye(2)}, {"a": torch.arange(3)}), "one group id per row"),
        (lambda: Views({"a": torch.eye(2)}, {"a": torch.rand(2)}), "must be integers"),
        (lambda: coco_like()["txt"], "did you mean 'text'"),
        (lambda: coco_like().positives("image", "audio"), "unknown modality 'audio'"),
        (lambda: coco_like().only("sound"), "unknown modality"),
        (lambda: Views.from_arrays(x=torch.eye(2), y=torch.eye(3)), "different numbers of rows"),
        (lambda: Views.from_arrays(**{m: torch.eye(2 + (m == "z")) for m in "xyz"}), r"ids.*ma\.Views\("),
        (lambda: Views.from_arrays([[0, 0]], **{m: torch.eye(2) for m in "xyz"}), r"got 3 \(x, y, z\): give ids"),
        (lambda: Views.from_arrays(torch.tensor([[0, 5]]), x=torch.eye(2), y=torch.eye(3)), r"rows 5 of 'y'"),
        (lambda: Views.from_arrays(torch.tensor([[0.5, 1.0]]), x=torch.eye(2), y=torch.eye(3)), "integer row numbers"),
        (lambda: Views.from_arrays(torch.tensor([[0, 1, 2]]), x=torch.eye(2), y=torch.eye(3)), r"shape \(p, 2\)"),
        (lambda: Views.from_arrays(x=torch.ones(3)), "2-D array"),
    ],
)
def test_mistakes_are_named(make, message) -> None:
    with pytest.raises(ModalignError, match=message):
        make()


def test_values_are_checked_with_row_numbers() -> None:
    x = torch.ones(9, 3)
    x[4, 1] = float("nan")
    x[7] = float("inf")
    with pytest.raises(ModalignError, match=r"NaN or infinite values in 2 of 9 rows \(4, 7\)"):
        Views({"a": x}, {"a": torch.arange(9)}).validate()
    y = torch.ones(4, 2)
    y[2] = 0
    v = Views({"a": y}, {"a": torch.arange(4)})
    with pytest.raises(ModalignError, match=r"1 all-zero rows of 4 \(2\)"):
        v.validate()
    assert v.validate(zero_rows=True) is v
    with pytest.raises(ModalignError, match="floating-point"):
        Views({"a": torch.ones(2, 2, dtype=torch.int64)}, {"a": torch.arange(2)}).validate()


def test_values_are_looked_at_in_blocks_and_told_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.views.checks.BLOCK", 4)
    rows = torch.ones(11, 2)
    Views.from_arrays(a=rows).validate()
    rows[[2, 7, 10], 1] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    with pytest.raises(ModalignError, match=r"3 of 11 rows \(2, 7, 10\)"):
        Views.from_arrays(a=rows).validate()
