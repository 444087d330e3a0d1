"""Feature arrays in Parquet files: columns of lists, by name where there are several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.cli import main
from modalign.data.arrays import arrays, load_array, modality_names
from modalign.data.ids import read_ids
from modalign.data.leakage import leakage
from modalign.data.table import table
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.features import Features

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'modalign[data]')")
parquet = pytest.importorskip("pyarrow.parquet")


def written(path: Path, **columns: object) -> Path:
    parquet.write_table(arrow.table(columns), path, row_group_size=7)
    return path


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.normal(size=(40, 6)).astype("float32")
    text = (image @ draw.normal(size=(6, 4))).astype("float16")
    fixed = arrow.FixedSizeListArray.from_arrays(arrow.array(text.ravel()), 4)
    ids = [f"item-{i}" for i in range(40)]
    path = written(tmp_path / "items.parquet", id=ids, image=image.tolist(), text=fixed, tags=[[1, 2]] * 40)
    return path, image, text


def test_a_column_is_read_to_the_bit_whatever_its_lists_are(both: tuple[Path, np.ndarray, np.ndarray]) -> None:
    path, image, text = both
    assert np.array_equal(load_array(f"{path}#image").numpy(), image)
    assert np.array_equal(load_array(f"{path}#text").numpy(), text.astype("float32"))
    assert np.array_equal(load_array(written(path.with_name("one.parquet"), v=image.tolist())).numpy(), image)
    assert modality_names([Path(f"{path}#image"), Path("text.npy")]) == ["image", "text"]


def test_files_and_columns_may_have_a_hash_in_their_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    columns = {"the id#": [f"p{i}" for i in range(5)], "clip#1": x.tolist(), "clip#2": (2 * x).tolist()}
    path = written(tmp_path / "set #4.parquet", **columns)
    assert np.array_equal(load_array(f"{path}#clip#2").numpy(), 2 * x)
    assert read_ids(f"{path}#the id#", "a", 5) == ["p0", "p1", "p2", "p3", "p4"]
    assert np.array_equal(load_array(written(tmp_path / "one#1.parquet", v=x.tolist())).numpy(), x)
    assert modality_names([tmp_path / "one#1.parquet", Path(f"{path}#clip#2")]) == ["one#1", "clip#2"]


def test_columns_are_aligned_and_mapped(both: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, image, _ = both
    run, out = tmp_path / "run", tmp_path / "z.npy"
    options = ["--ids", str(path), str(path), "--method", "cca", "--dim", "3", "--out", str(run)]
    main(["align", f"{path}#image", f"{path}#text", *options])
    main(["transform", str(run), f"{path}#image", "--modality", "image", "--out", str(out)])
    np.save(tmp_path / "image.npy", image)
    again = tmp_path / "again.npy"
    main(["transform", str(run), str(tmp_path / "image.npy"), "--modality", "image", "--out", str(again)])
    assert np.array_equal(np.load(out), np.load(again))


def test_what_is_no_column_of_vectors_is_told(both: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, image, _ = both
    gap, uneven = [None, *image.tolist()[1:]], [[1.0], *image.tolist()[1:]]
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(folder / "a.npy", image[0])
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and nothing else")
    for place, said in (
        (path, r"has 2 columns of vectors \(image, text\): name one behind a #, .*items.parquet#image"),
        (f"{path}#imag", "did you mean 'image'"),
        (f"{path}#tags", "unknown column of vectors"),
        (tmp_path / "none.parquet", "array file not found"),
        (tmp_path / "damaged.parquet", "array file is damaged or not in its format"),
        (written(tmp_path / "words.parquet", id=["a"]), r"has 0 columns of vectors \(none\)$"),
        (written(tmp_path / "gap.parquet", v=gap), r"1 vectors are missing \(null\)"),
        (written(tmp_path / "uneven.parquet", v=uneven), r"unequal lengths \(1, 6\)"),
        (written(tmp_path / "empty.parquet", v=arrow.array([], arrow.list_(arrow.float32()))), "array is empty"),
        (folder, r"features \(a folder of 1 .npy files: stack them"),
    ):
        with pytest.raises(ModalignError, match=said):
            load_array(place)
    with pytest.raises(ModalignError, match=r"got 'items', 'items': give --names, or columns by name"):
        modality_names([path, path])


def test_vectors_in_a_list_are_no_facts_of_its_rows(both: tuple[Path, np.ndarray, np.ndarray]) -> None:
    path, _, _ = both
    wide, box = [[0.5] * 17] * 3, [[0.0, 0.0, 1.0, 1.0]] * 3
    made = table(written(path.with_name("list.parquet"), caption=["a", "b", "c"], vector=wide, box=box))
    assert [row.extra for row in made] == [{"box": [0.0, 0.0, 1.0, 1.0]}] * 3
    assert [(told.what, told.count) for told in made.left_out] == [("values of 'vector'", 3)]
    assert "modalign align takes them from FILE.parquet#COLUMN" in made.left_out[0].line


def test_columns_of_vectors_are_a_data_set_with_features(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    rows = arrow.table({"seen": list(x), "said": list(x[:, :3])})
    parquet.write_table(rows, tmp_path / "v.parquet")
    files = {m: f"{tmp_path}/v.parquet#{m}" for m in ("seen", "said")}
    manifest = arrays(files)
    assert {row.uri for row in manifest} == {f"{tmp_path}/v.parquet"}
    assert not leakage(manifest).files
    encoders = {m: Features(path, m) for m, path in files.items()}
    prints = {m: e.fingerprint() for m, e in encoders.items()}
    assert prints["seen"] != prints["said"]
    views = embed(manifest, encoders, tmp_path / "store").views()
    assert torch.equal(views["said"], torch.from_numpy(x[:, :3]))
    parquet.write_table(rows.slice(1), tmp_path / "v.parquet")
    assert Features(files["seen"], "seen").fingerprint() != prints["seen"]
