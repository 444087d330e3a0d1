"""Arrays and pairs from files: .npy, .npz, .safetensors, .lance; .csv, .tsv. Safe to open whoever wrote them."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import ModalignError, explained, few
from ..files import as_path, whole_text
from ..parameters import check_names
from ..registry import register
from ..views import Views
from . import lance
from .lists import read_list
from .manifest import Manifest, Row

T = TypeVar("T")
ARRAYS = (".npy", ".npz", ".safetensors")
BLOCK = 1 << 15  # rows that are compared together
PAIRS = (".csv", ".tsv", ".txt", ".npy")


def load_array(path: str | Path) -> Tensor:
    """Read an (n, d) array of numbers.

    A .npy file is memory-mapped, so one that is float32 in C order already costs no memory until it is read. Any
    numeric type, byte order and memory order is accepted and converted to float32. Pickled objects are never loaded.

    Args:
        path: .npy; .npz or .safetensors with a single array; a table of LanceDB in a folder or an object store
            (``s3://bucket/NAME.lance#COLUMN``).

    Returns:
        (n, d) float32, n >= 1, d >= 1. Values are not looked at: ``Views.validate`` does that.

    Raises:
        ModalignError: missing file, other ending, damaged file, objects or complex numbers, not two-dimensional,
            empty; names the file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npy"
        >>> np.save(path, np.arange(6, dtype=">f8").reshape(3, 2).T)
        >>> load_array(path)
        tensor([[0., 2., 4.],
                [1., 3., 5.]])
    """
    if lance.is_table(path):
        return lance.read_column(path)
    path = as_path(path, "file")
    if whole_text(str(path)) != str(path):
        raise ModalignError(f"the name of {whole_text(str(path))} is no UTF-8: rename the file")
    if path.suffix.lower() not in ARRAYS:
        raise ModalignError(f"an array file ends in {few((*ARRAYS, '.lance'), 4)}, got: {path}")
    if not path.is_file():
        raise ModalignError(f"array file not found: {path}")
    if path.suffix.lower() == ".safetensors":
        return _float_rows(_only(_read_safetensors(path), path), path)
    loaded = _read_numpy(path)
    array = loaded if isinstance(loaded, np.ndarray) else _only(loaded, path)
    if array.dtype.kind not in "fiub":
        kind = "Python objects" if array.dtype.hasobject else f"values of type {array.dtype}"
        raise ModalignError(f"array must hold real numbers, but {path} holds {kind}")
    _check_shape(tuple(array.shape), path)
    return tensor_of(array)


def tensor_of(array: np.ndarray) -> Tensor:
    """An array as a float32 tensor, whatever its type, byte order and layout; maps that are read-only among them.

    Float32 in C order is not copied, so a tensor of a read-only map must not be written to: nothing here does.

    Example:
        >>> tensor_of(np.arange(2, dtype=">i4"))
        tensor([0., 1.])
    """
    native = np.ascontiguousarray(array, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(native)


def load_features(files: Mapping[str, str | Path]) -> dict[str, Tensor]:
    """The arrays of some files by modality, with values that can be aligned.

    Raises:
        ModalignError: as ``load_array``; rows with NaN, infinite values or zeros alone, by file and number; rows that
            are all equal.
    """
    x = {m: load_array(path) for m, path in files.items()}
    for m, path in files.items():
        Views({str(path): x[m]}, {str(path): torch.arange(len(x[m]))}).validate()
        if len(x[m]) > 1 and all(bool((part == x[m][0]).all()) for part in x[m].split(BLOCK)):
            raise ModalignError(f"all {len(x[m])} rows of {path} are equal: there is nothing to align")
    return x


def load_pairs(path: str | Path) -> Tensor:
    """Read pairs of row numbers: which row of the first array goes with which row of the second, from 0.

    Args:
        path: .csv, .tsv or .txt with two columns, with or without a line of column names; or .npy of shape (p, 2).

    Returns:
        (p, 2) int64, in the order of the file, repeats included.

    Raises:
        ModalignError: missing file, other ending, a line that is not two whole numbers >= 0 (with its number), no
            pair at all.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pairs.csv"
        >>> _ = path.write_text("image,text\\n0,3\\n1,2\\n")
        >>> load_pairs(path).tolist()
        [[0, 3], [1, 2]]
    """
    path = Path(path)
    if path.suffix.lower() not in PAIRS:
        raise ModalignError(f"a file of pairs ends in {few(PAIRS)}, got: {path}")
    if not path.is_file():
        raise ModalignError(f"file of pairs not found: {path}")
    if path.suffix.lower() == ".npy":
        return _pairs_of_array(path)
    pairs: list[tuple[int, int]] = []
    header_possible = True
    for number, cells in _lines(path):
        if header_possible and not any(_whole(c) is not None for c in cells):
            header_possible = False
            if len(cells) == 2 and not any(_number(c) for c in cells):
                continue
        header_possible = False
        values = [_whole(c) for c in cells]
        if len(values) != 2 or values[0] is None or values[1] is None:
            shown = few(repr(c) for c in cells)
            raise ModalignError(f"{path}, line {number}: expected two row numbers (0, 1, ...), got {shown}")
        pairs.append((values[0], values[1]))
    if not pairs:
        raise ModalignError(f"file of pairs has no pairs: {path}")
    return torch.tensor(pairs, dtype=torch.long)


def modality_names(files: Sequence[Path], names: Sequence[str] | None = None) -> list[str]:
    """What the modalities of some files are called: by names that are given, or by the files.

    Raises:
        ModalignError: another number of names than files, two that are equal, or one that nothing could be called.

    Example:
        >>> modality_names([Path("x/text.npy"), Path("image.npy")])
        ['text', 'image']
    """
    for path in files:
        if Path(path).suffix.lower() not in ARRAYS and not lance.is_table(path):
            raise ModalignError(f"an array file ends in {few((*ARRAYS, '.lance'), 4)}, got: {path}")
    own = (str(p).rpartition("#")[2] if lance.is_table(p) and "#" in str(p) else p.stem for p in files)
    labels = list(names if names is not None else own)
    if len(labels) != len(files) or len(set(labels)) != len(labels):
        shown = few(map(repr, labels), 10) or "none"
        raise ModalignError(f"{len(files)} arrays need as many different names, got {shown}: give --names")
    check_names(labels)
    return labels


@register("dataset", "arrays")
def arrays(files: Mapping[str, str], split: str = "train") -> Manifest:
    """Rows of feature arrays, one file per modality; row i of every file is the same thing.

    Args:
        files: modality -> .npy, .npz or .safetensors file of (n, d). Encode it with the encoder "features".
        split: name of the split that all rows belong to.

    Raises:
        ModalignError: no file, files of unequal length, or what ``load_array`` refuses.
    """
    files = {m: os.path.abspath(path) for m, path in files.items()}
    lengths = {m: len(load_array(path)) for m, path in files.items()}
    if not lengths or len(set(lengths.values())) > 1:
        raise ModalignError(f"arrays need at least one file and equal numbers of rows, got {lengths}")
    rows = [
        Row(i, modality, uri=path, split=split, extra={"index": i})
        for modality, path in files.items()
        for i in range(lengths[modality])
    ]
    return Manifest.from_rows(rows, name="arrays")


def _read_numpy(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    try:
        loaded = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except Exception as problem:  # numpy, zipfile and zlib raise many kinds for damaged files
        if "Object arrays" in str(problem) or "Python objects" in str(problem):
            raise ModalignError(f"array must hold real numbers, but {path} holds Python objects") from None
        reason = "no array in it" if "allow_pickle" in str(problem) else problem
        raise ModalignError(f"array file is damaged or not in its format: {path} ({reason})") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    with explained(
        f"array file is damaged or not in its format: {path}", SafetensorError, OSError, ValueError, KeyError
    ):
        return load_file(path)


def _only(named: Mapping[str, T], path: Path) -> T:
    if len(named) != 1:
        raise ModalignError(f"expected one array in {path}, found {len(named)} ({few(named)}): save them one by one")
    return next(iter(named.values()))


def _float_rows(x: Tensor, path: Path) -> Tensor:
    if x.is_complex():
        raise ModalignError(f"array must hold real numbers, but {path} holds values of type {x.dtype}")
    _check_shape(tuple(x.shape), path)
    return x.float().contiguous()


def _check_shape(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) != 2:
        raise ModalignError(f"array must have two dimensions (rows, features), but {path} has shape {shape}")
    if 0 in shape:
        raise ModalignError(f"array is empty: {path} has shape {shape}")


def _pairs_of_array(path: Path) -> Tensor:
    pairs = _read_numpy(path)
    if not isinstance(pairs, np.ndarray) or pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        found = f"{pairs.dtype} of shape {pairs.shape}" if isinstance(pairs, np.ndarray) else "several arrays"
        raise ModalignError(f"pairs must be integers of shape (p, 2), but {path} holds {found}")
    if len(pairs) == 0:
        raise ModalignError(f"file of pairs has no pairs: {path}")
    if int(pairs.min()) < 0 or int(pairs.max()) > np.iinfo(np.int64).max:
        bad = int(np.argmax(((pairs < 0) | (pairs > np.iinfo(np.int64).max)).any(1)))
        raise ModalignError(f"{path}, row {bad}: row numbers must be 0, 1, ..., got {pairs[bad].tolist()}")
    return torch.from_numpy(np.array(pairs, dtype=np.int64, order="C"))  # a copy: the file is mapped read-only


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Numbered lines as lists of cells, blank lines left out. The separator is the one the first line has."""
    text = read_list(path, "file of pairs")[0].replace("\r\n", "\n").replace("\r", "\n")
    lines = [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        return []
    separator = next((s for s in ("\t", ",", ";") if s in lines[0][1]), None)
    if separator is None:
        return [(i, line.split()) for i, line in lines]
    return [(i, [c.strip() for c in next(csv.reader([line], delimiter=separator))]) for i, line in lines]


def _whole(cell: str) -> int | None:
    """A whole number >= 0 that fits 64 bits, or None; "7.0" is one, as tables with gaps are written."""
    found = re.fullmatch(r"(\d{1,19})(\.0+)?", cell, re.ASCII)
    value = int(found.group(1)) if found else -1
    return value if 0 <= value <= np.iinfo(np.int64).max else None


def _number(cell: str) -> bool:
    """Whether a cell is any number: a header has none."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
