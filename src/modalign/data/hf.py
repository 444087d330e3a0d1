"""Data sets of the Hugging Face library, held in memory or saved to disk."""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.io import wavfile

from ..errors import ModalignError, explained, few, require
from ..files import atomic
from ..parameters import Absolute
from ..registry import register
from .columns import chosen_columns
from .manifest import Manifest
from .places import sniff
from .rows import SPLITS, Rows, split_name


@register("dataset", "hf")
def hf(
    root: Annotated[Any, Absolute(found=True)],
    split: str | None = None,
    *,
    columns: dict[str, str | list[str]] | None = None,
    group: str | None = None,
    files: str | None = None,
) -> Manifest:
    """A Hugging Face data set: an object in memory, what ``save_to_disk`` wrote, or Parquet files of the hub.

    Works with anything that has ``column_names`` and gives dictionaries by row number (``datasets`` need not be
    installed), with a dictionary of those by split, or with a list of dictionaries.

    Args:
        root: the object; or the folder, a .parquet file, or a folder with some below it, whose names begin with their
            split (``data/train-00000-of-00002.parquet``). Opening files takes the package datasets.
        split: a split's name; None for all.
        columns: modality -> column or columns; None goes by usual names (image, audio, video, text, caption, ...), all
            that there are. A text column may hold a list of captions, or class numbers, whose names are then the texts.
        group: column that tells which rows are the same thing; None: each row is one.
        files: folder for pictures and sounds that lie inside the data set; they are written once, under the hash of
            their content. Not needed where the data set names files that are there.

    Returns:
        Rows of the modalities there are; extra: row, its number in the split. Values that are None are absent.

    Raises:
        ModalignError: no known columns (with those there are), bytes but no folder for them, or values of a kind that
            cannot be used.

    Example:
        >>> hf([{"text": "a cat", "image": "/data/cat.jpg"}])
        Manifest(hf: text 1, image 1; 1 groups; splits: none)
    """
    rows = Rows("hf", {"source": str(root) if isinstance(root, (str, Path)) else type(root).__name__})
    target = Path(files).expanduser() if files else None
    for part, dataset in _parts(_open(root)).items():
        names = _names(dataset)
        chosen = _chosen(names, columns)
        dataset = _undecoded(dataset, [c for _, c in chosen])
        if group is not None and group not in names:
            raise ModalignError(f"the data set has no column '{group}': its columns are {few(names, 12)}")
        for i in range(len(dataset)):
            values = dataset[i]
            number = rows.group((part, i) if group is None else ("group", str(values.get(group))))
            for modality, column in chosen:
                where = f"row {i}{f' of {part}' if part else ''}, column '{column}'"
                if modality in ("text", "narration"):
                    for text in _texts(values.get(column), _feature(dataset, column), where):
                        rows.text(number, text, part, modality, None, None, row=i)
                else:
                    for place in _places(values.get(column), target, where):
                        rows.file(number, modality, place, part, None, None, row=i)
    return rows.manifest(split)


def _open(root: Any) -> Any:
    if not isinstance(root, (str, Path)):
        return root
    path = Path(root).expanduser()
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    files = [path] if path.suffix == ".parquet" and path.is_file() else sorted(path.rglob("*.parquet"))
    if not path.is_dir() and not files:
        raise ModalignError(
            f"data set 'hf' needs a folder that save_to_disk wrote, or Parquet files, and there are none at {path}"
        )
    library = require("datasets", "data")
    if files and not saved:
        return _shards(library, files)
    with explained(f"{path} is not what save_to_disk wrote", OSError, ValueError, KeyError):
        return library.load_from_disk(str(path))


def _shards(library: Any, files: Iterable[Path]) -> Any:
    """Parquet files as one data set per split, which the beginning of a file's name tells; others have none."""
    parts: dict[str, list[str]] = {}
    for file in files:
        named = split_name(file.stem.partition("-")[0])
        parts.setdefault(named if named in SPLITS.values() else "", []).append(str(file))
    found = {}
    for part, shards in parts.items():
        with explained(f"{shards[0]} cannot be read as a data set", Exception):  # the library raises kinds of its own
            found[part] = library.Dataset.from_parquet(shards)
    return found


def _parts(dataset: Any) -> Mapping[str, Any]:
    """Split -> data set."""
    parts = dataset if isinstance(dataset, Mapping) else {"": dataset}
    if any(not (hasattr(part, "__getitem__") and hasattr(part, "__len__")) for part in parts.values()):
        raise ModalignError("a streamed data set has no row numbers: take some of it first, list(dataset.take(1000))")
    return parts


def _names(dataset: Any) -> list[str]:
    names = getattr(dataset, "column_names", None)
    if names is not None:
        return list(names)
    return list(dict.fromkeys(k for i in range(len(dataset)) for k in dataset[i]))


def _chosen(names: list[str], columns: Mapping[str, str | list[str]] | None) -> list[tuple[str, str]]:
    """Modality and column; a modality may have several. Columns that nobody names come in the order of the data set."""
    chosen = chosen_columns(names, (), columns, "the data set")
    pairs = [(modality, column) for modality, several in chosen.items() for column in several]
    return pairs if columns is not None else sorted(pairs, key=lambda pair: names.index(pair[1]))


def _feature(dataset: Any, column: str) -> Any:
    features = getattr(dataset, "features", None)
    return features.get(column) if isinstance(features, Mapping) else None


def _undecoded(dataset: Any, columns: Iterable[str]) -> Any:
    """The data set with pictures and sounds as paths and bytes: faster, and nothing is lost by re-encoding."""
    for column in columns:
        feature = _feature(dataset, column)
        if getattr(feature, "decode", None) is True and hasattr(dataset, "cast_column"):
            raw = copy.copy(feature)
            raw.decode = False
            dataset = dataset.cast_column(column, raw)
    return dataset


def _texts(value: Any, feature: Any, where: str) -> list[str]:
    several = value if isinstance(value, (list, tuple)) else [value]
    texts = []
    for v in several:
        if v is None:
            continue
        names = getattr(feature, "names", None)
        if isinstance(v, int) and names:
            v = names[v] if v >= 0 else None
        if v is not None and not isinstance(v, str):
            raise ModalignError(f"{where}: a text is expected, not {type(v).__name__}")
        texts += [] if v is None else [v]
    return texts


def _places(value: Any, target: Path | None, where: str) -> list[Path]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [p for v in value for p in _places(v, target, where)]
    if isinstance(value, (str, Path)):
        return [Path(value).expanduser().absolute()]
    if isinstance(value, Mapping):
        path, content = value.get("path"), value.get("bytes")
        if path and Path(path).is_file():
            return [Path(path).absolute()]
        if content is None and value.get("array") is not None:
            content = wav(np.asarray(value["array"], dtype=np.float32), int(value["sampling_rate"]))
        if content is None:
            return [Path(path).absolute()] if path else []
        return [_written(content, target, where, Path(path or "").suffix)]
    if isinstance(value, (bytes, bytearray)):
        return [_written(bytes(value), target, where, "")]
    if hasattr(value, "save") and hasattr(value, "mode"):  # a picture of Pillow
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        return [_written(buffer.getvalue(), target, where, ".png")]
    raise ModalignError(f"{where}: a file, bytes or a picture is expected, not {type(value).__name__}")


def _written(content: bytes, target: Path | None, where: str, ending: str) -> Path:
    """The file of some bytes, named by their hash; written if it is not there yet."""
    if target is None:
        raise ModalignError(
            f"{where} lies inside the data set: say with files=FOLDER (from a shell: --set files=FOLDER) where such "
            "files may be written"
        )
    ending = sniff(content) or ending or ".bin"
    path = target.absolute() / f"{hashlib.sha256(content).hexdigest()[:32]}{ending}"
    if not path.is_file():
        with atomic(path) as partial:
            partial.write_bytes(content)
    return path


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of float samples (n,) or (channels, n) in [-1, 1], unchanged: 32-bit float, no rounding to 16 bits."""
    out = io.BytesIO()
    wavfile.write(out, rate, samples.T.astype(np.float32))
    return out.getvalue()
