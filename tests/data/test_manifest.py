"""Manifest: columns, checks, selection, identity."""

import numpy as np
import pytest

from modalign.data.manifest import Manifest, Row
from modalign.errors import ModalignError

ROWS = [
    {"group": 0, "modality": "image", "uri": "a.jpg", "split": "train", "extra": {"width": 3}},
    {"group": 0, "modality": "text", "text": "a cat", "split": "train"},
    {"group": 0, "modality": "text", "text": "it sleeps", "split": "train"},
    {"group": 7, "modality": "audio", "uri": "b.wav", "start": 0.5, "end": 2, "split": "test", "extra": {"label": "x"}},
]


def changed(row, **columns):
    return [{**r, **columns} if i == row else r for i, r in enumerate(ROWS)]


def test_rows_come_back_as_they_went_in():
    m = Manifest.from_rows(ROWS, name="mine", meta={"licence": "CC0"})
    assert len(m) == 4
    assert list(m) == [Row(**r) for r in ROWS]
    assert m.modalities == ("image", "text", "audio")
    assert m.groups().tolist() == [0, 7]
    assert m[3].end == 2.0
    assert m[0].start is None
    assert repr(m) == "Manifest(mine: image 1, text 2, audio 1; 2 groups; splits: train, test)"


def test_selection_keeps_groups_and_extras():
    m = Manifest.from_rows(ROWS)
    assert m.split("test")[0].extra == {"label": "x"}
    assert m.modality("text").text == ("a cat", "it sleeps")
    assert m.rows("text", "train").tolist() == [1, 2]
    assert m.where(lambda r: r.group == 7).uri == ("b.wav",)
    assert [r.text for r in m.take([2, 1])] == ["it sleeps", "a cat"]
    assert len(m.take([])) == 0


def test_unknown_names_are_answered_with_the_nearest():
    m = Manifest.from_rows(ROWS)
    with pytest.raises(ModalignError, match=r"did you mean 'train'"):
        m.split("trian")
    with pytest.raises(ModalignError, match=r"did you mean 'image'"):
        m.modality("imge")
    with pytest.raises(ModalignError, match=r"column in row 1 of 'manifest' 'txt': did you mean 'text'"):
        Manifest.from_rows([ROWS[0], {"group": 1, "modality": "text", "txt": "x"}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"modality": "text", "text": "x"}], "row 0 of 'manifest' has no group"),
        ([{"group": 0, "text": "x"}], "has no modality"),
        (changed(1, group=-1), "integers from 0"),
        (changed(1, group=0.5), r"row 1 .* has the group 0.5"),
        (changed(1, group="a"), r"row 1 .* has the group 'a'"),
        (changed(1, text="  "), r"1 rows with an empty text \(rows 1\)"),
        (changed(1, text=5), r"whose text is no text \(rows 1\)"),
        (changed(0, uri=""), "with an empty uri"),
        (changed(1, text=None), r"neither a file nor a text \(rows 1\)"),
        (changed(1, uri="x.jpg"), r"both a file and a text \(rows 1\)"),
        (changed(3, start=2, end=1), r"times are not 0 <= start < end \(rows 3\)"),
        (changed(3, start=-1.0), r"times are not"),
        (changed(3, end=float("inf")), r"infinite time"),
        (changed(3, end="soon"), r"column 'end' must hold seconds"),
        (changed(2, modality=""), r"without a modality name \(rows 2\)"),
        (changed(2, split=None), r"whose split is not a name"),
    ],
)
def test_bad_rows_are_named(rows, message):
    with pytest.raises(ModalignError, match=message):
        Manifest.from_rows(rows)


def test_columns_must_have_one_length():
    with pytest.raises(ModalignError, match="different lengths"):
        Manifest(np.array([0, 1]), ["text"], text=["a"])


def test_missing_files_are_not_looked_for():
    assert len(Manifest.from_rows([{"group": 0, "modality": "image", "uri": "/nowhere/at/all.png"}])) == 1


def test_fingerprint_follows_every_column_and_the_order():
    marks = {Manifest.from_rows(ROWS).fingerprint()}
    for row, columns in [
        (0, {"uri": "c.jpg"}), (1, {"text": "a dog"}), (3, {"end": 2.5}), (3, {"start": None}), (1, {"split": "dev"}),
        (1, {"group": 1}), (2, {"modality": "caption"}), (0, {"extra": {"width": 4}}),
    ]:  # fmt: skip
        marks.add(Manifest.from_rows(changed(row, **columns)).fingerprint())
    marks.add(Manifest.from_rows(ROWS[::-1]).fingerprint())
    assert len(marks) == 10
    assert Manifest.from_rows(ROWS).fingerprint() in marks


def test_save_and_load_give_the_same_manifest(tmp_path):
    m = Manifest.from_rows(
        [*ROWS, {"group": 9, "modality": "text", "text": 'He said "hi", then\nleft 🦊'}], meta={"a": "b"}
    )
    m.save(tmp_path / "m.json")
    again = Manifest.load(tmp_path / "m.json")
    assert again.fingerprint() == m.fingerprint()
    assert list(again) == list(m)
    (tmp_path / "other.json").write_text('{"rows": 3}')
    with pytest.raises(ModalignError, match="not a manifest"):
        Manifest.load(tmp_path / "other.json")
    with pytest.raises(ModalignError, match="not found"):
        Manifest.load(tmp_path / "absent.json")


def test_an_empty_manifest_is_one():
    m = Manifest.from_rows([])
    assert (len(m), m.modalities, m.groups().tolist()) == (0, (), [])


def test_names_in_messages_are_short():
    assert Row(0, "text", text="x" * 99).name == '"' + "x" * 40 + '..."'
    assert Row(0, "image", uri="a.jpg").name == "a.jpg"
