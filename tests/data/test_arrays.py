"""Arrays and pairs: what numpy writes is read whatever its layout; what is unsafe or meaningless is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modalign.data.arrays import arrays, load_array
from modalign.data.pairs import load_pairs
from modalign.errors import ModalignError

X = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "f2", "i2", "u1", ">i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_layout_gives_the_same_rows(tmp_path, dtype, order):
    x = np.asarray(X, dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", x)
    loaded = load_array(tmp_path / "x.npy")
    assert loaded.dtype == torch.float32
    assert loaded.is_contiguous()
    np.testing.assert_array_equal(loaded.numpy(), x.astype(np.float32))


def test_strided_arrays_and_other_files(tmp_path):
    np.save(tmp_path / "x.npy", X[::2, ::2])
    np.testing.assert_array_equal(load_array(tmp_path / "x.npy").numpy(), X[::2, ::2])
    np.savez(tmp_path / "x.npz", features=X)
    np.testing.assert_array_equal(load_array(tmp_path / "x.npz").numpy(), X)
    save_file({"x": torch.from_numpy(X).bfloat16()}, tmp_path / "x.safetensors")
    np.testing.assert_allclose(load_array(tmp_path / "x.safetensors").numpy(), X, rtol=1e-2)


def test_float32_in_c_order_stays_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", X)
    loaded = load_array(tmp_path / "x.npy")
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    mapped[0, 0] = 99
    mapped.flush()
    assert loaded[0, 0] == 99


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([[object()]], dtype=object), "Python objects"),
        (np.arange(3.0), r"two dimensions .* shape \(3,\)"),
        (np.zeros((2, 2, 2)), "two dimensions"),
        (np.zeros((0, 3)), r"empty: .* \(0, 3\)"),
        (np.zeros((3, 0)), "empty"),
        (np.array([["a"]]), "values of type <U1"),
        (np.array([[1j]]), "values of type complex128"),
    ],
)
def test_what_is_no_feature_array_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.npy"
    np.save(path, content, allow_pickle=True)
    with pytest.raises(ModalignError, match=message) as error:
        load_array(path)
    assert str(path) in str(error.value)


def test_damaged_missing_and_misnamed_files(tmp_path):
    np.save(tmp_path / "x.npy", X)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "half.npy").write_bytes(whole[:-8])
    (tmp_path / "text.npy").write_text("1,2,3\n")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("half.npy", "text.npy", "empty.npy"):
        with pytest.raises(ModalignError, match=name):
            load_array(tmp_path / name)
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(ModalignError, match=r"ends in \.npy, \.npz, \.safetensors"):
        load_array(tmp_path / "x.csv")
    with pytest.raises(ModalignError, match="not found"):
        load_array(tmp_path / "absent.npy")
    for name in ("x.npz", "x.safetensors"):
        (tmp_path / name).write_bytes(b"nonsense, not an archive")
        with pytest.raises(ModalignError, match="damaged or not in its format"):
            load_array(tmp_path / name)


def test_files_of_several_arrays_are_refused_with_their_names(tmp_path):
    np.savez(tmp_path / "x.npz", a=X, b=X)
    with pytest.raises(ModalignError, match=r"found 2 \(a, b\)"):
        load_array(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "0,1\n2,3\n"),
        ("p.csv", "image,text\n0,1\n2,3"),
        ("p.csv", "\ufeffa,b\r\n0, 1\r\n\r\n2 ,3\r\n"),
        ("p.csv", "0;1\n2;3\n"),
        ("p.csv", '"0","1"\n"2","3"\n'),
        ("p.tsv", "a\tb\n0\t1\n2\t3\n"),
        ("p.txt", "0 1\n2   3\n"),
    ],
)
def test_pairs_of_any_usual_form(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    pairs = load_pairs(tmp_path / name)
    assert pairs.dtype == torch.int64
    assert pairs.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\nx,3\n", r"line 2: expected two row numbers .* got 'x', '3'"),
        ("a,b\n0,1\n\n2,-3\n", r"line 4"),
        ("0,1\n2\n", r"line 2"),
        ("0,1,2\n", r"line 1"),
        ("0,1.5\n", r"line 1"),
        ("1.5,2.5\n", r"line 1"),
        ("a,b\nc,d\n0,1\n", r"line 2"),
        ("0,99999999999999999999\n", r"line 1"),
        ("", "is empty"),
        ("a,b\n", "has no pairs"),
    ],
)
def test_bad_pairs_are_named_by_line(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ModalignError, match=message) as error:
        load_pairs(path)
    assert str(path) in str(error.value)


def test_pairs_from_arrays(tmp_path):
    np.save(tmp_path / "p.npy", np.array([[0, 5], [3, 1]], dtype=np.uint16))
    assert load_pairs(tmp_path / "p.npy").tolist() == [[0, 5], [3, 1]]
    for bad, message in [
        (np.zeros((2, 3), int), "shape"),
        (np.zeros((2, 2)), "integers"),
        (np.zeros((0, 2), int), "no pairs"),
        (np.array([[0, 1], [0, -1]]), "row 1"),
    ]:
        np.save(tmp_path / "p.npy", bad)
        with pytest.raises(ModalignError, match=message):
            load_pairs(tmp_path / "p.npy")
    with pytest.raises(ModalignError, match="ends in"):
        load_pairs(tmp_path / "p.json")
    with pytest.raises(ModalignError, match="not found"):
        load_pairs(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ModalignError, match="expected two row numbers"):
        load_pairs(tmp_path / "binary.csv")


def test_arrays_as_a_data_set(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", X[:, :2])
    m = arrays({"x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")})
    assert m.modalities == ("x", "y")
    assert m.groups().tolist() == [0, 1, 2, 3]
    np.save(tmp_path / "y.npy", X[:2])
    with pytest.raises(ModalignError, match="equal numbers of rows"):
        arrays({"x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")})
