"""Arrays from files: .npy, .npz, .safetensors, .parquet, .lance. Safe to open whoever wrote them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import ModalignError, explained, few
from ..files import as_path
from ..parameters import check_names
from ..registry import register
from ..values import whole_text
from ..views import Views
from . import lance, parquet
from .manifest import Manifest, Row
from .places import split_place

T = TypeVar("T")
ARRAYS = (".npy", ".npz", ".safetensors")
BLOCK = 1 << 15  # rows that are compared together


def load_array(path: str | Path) -> Tensor:
    """Read an (n, d) array of numbers.

    A .npy file is memory-mapped, so one that is float32 in C order already costs no memory until it is read. Any
    numeric type, byte order and memory order is accepted and converted to float32. Pickled objects are never loaded.

    Args:
        path: .npy; .npz or .safetensors with a single array; a column of lists in a Parquet file
            (``FILE.parquet#COLUMN``) or in a table of LanceDB in a folder or an object store
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
    if parquet.is_parquet(path):
        return parquet.read_column(path)
    path = as_path(path, "file")
    if whole_text(str(path)) != str(path):
        raise ModalignError(f"the name of {whole_text(str(path))} is no UTF-8: rename the file")
    if path.suffix.lower() not in ARRAYS:
        raise _no_array(path)
    if not path.is_file():
        raise ModalignError(f"array file not found: {path}")
    if path.suffix.lower() == ".safetensors":
        return _float_rows(_only(_read_safetensors(path), path), path)
    loaded = read_numpy(path)
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


def modality_names(files: Sequence[Path], names: Sequence[str] | None = None) -> list[str]:
    """What the modalities of some files are called: by names that are given, or by the files.

    Raises:
        ModalignError: another number of names than files, two that are equal, or one that nothing could be called.

    Example:
        >>> modality_names([Path("x/text.npy"), Path("image.npy")])
        ['text', 'image']
    """
    tables = [p for p in files if lance.is_table(p) or parquet.is_parquet(p)]
    for path in files:
        if Path(path).suffix.lower() not in ARRAYS and path not in tables:
            raise _no_array(path)
    own = ((p in tables and split_place(p)[1]) or p.stem for p in files)
    labels = list(names if names is not None else own)
    if len(labels) != len(files) or len(set(labels)) != len(labels):
        shown = few(map(repr, labels), 10) or "none"
        then = ", or columns by name, FILE.parquet#COLUMN" if tables else ""
        raise ModalignError(f"{len(files)} arrays need as many different names, got {shown}: give --names{then}")
    check_names(labels)
    return labels


@register("dataset", "arrays")
def arrays(files: Mapping[str, str], split: str = "train") -> Manifest:
    """Rows of feature arrays, one file per modality; row i of every file is the same thing.

    Args:
        files: modality -> file of (n, d), as ``load_array`` reads it. Encode it with the encoder "features".
        split: name of the split that all rows belong to.

    Raises:
        ModalignError: no file, files of unequal length, or what ``load_array`` refuses.
    """
    files = {m: os.path.abspath(path) for m, path in files.items()}
    lengths = {m: len(load_array(path)) for m, path in files.items()}
    if not lengths or len(set(lengths.values())) > 1:
        raise ModalignError(f"arrays need at least one file and equal numbers of rows, got {lengths}")
    places = {m: str(split_place(path)[0]) for m, path in files.items()}
    rows = [
        Row(i, modality, uri=path, split=split, extra={"index": i})
        for modality, path in places.items()
        for i in range(lengths[modality])
    ]
    return Manifest.from_rows(rows, name="arrays")


def _no_array(path: Path) -> ModalignError:
    then = ""
    if path.is_dir() and (found := sum(1 for _ in path.glob("*.npy"))):
        then = f" (a folder of {found:,} .npy files: stack them, in the order of their names, np.stack([...]))"
    return ModalignError(f"an array file ends in {few((*ARRAYS, '.parquet', '.lance'))}, got: {path}{then}")


def read_numpy(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """What a .npy or .npz file holds; no object is ever unpickled. Raises ModalignError for damaged files."""
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
