"""Features for a suite: from a registered data set, a feature store, or feature arrays that lie ready."""

from __future__ import annotations

import csv
import hashlib
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import load_array
from ..data.manifest import Manifest
from ..data.synthetic import generate
from ..errors import ModalignError, unknown
from ..files import read_text
from ..progress import Progress, silent
from ..registry import check
from ..runs.data import load_data
from ..specification import specification
from ..views import Views, concat

SPLITS = ("train", "dev", "test")
DIM = 256  # of tags
OWN_KEYS = ("features", "root", "resplit", "holdout", "modalities", "holdout_by", "encoders", "most")


class Splits(NamedTuple):
    """Features of one suite by split."""

    train: Views
    dev: Views
    test: Views


@dataclass(frozen=True)
class Source:
    """Where cells get their features from.

    Args:
        splits: with all items and links.
        finish: for features that are fitted to the training items of a cell (tags): splits in which such a modality
            holds numbers of documents -> splits with features; None: the features are ready.
        facts: what the report says of the data.
    """

    splits: Splits
    finish: Callable[[Splits], Splits] | None = None
    facts: Mapping[str, Any] | None = None

    def fingerprint(self) -> str:
        """Identity of every number and group id."""
        digest = hashlib.blake2b(digest_size=12)
        for part in self.splits:
            for m, rows in part.data.items():
                digest.update(f"{m}{tuple(rows.shape)}{rows.dtype}".encode())
                digest.update(rows.contiguous().view(torch.uint8).numpy().data)
                digest.update(part.group[m].long().contiguous().view(torch.uint8).numpy().data)
            for pair, link in (part.links or {}).items():
                digest.update(f"{pair}{link.tolist()}".encode())
        return digest.hexdigest()


def load(table: Mapping[str, Any], progress: Progress = silent) -> Source:
    """The features that the ``[data]`` table of a suite asks for.

    Args:
        table: one of ``features``: "flickr8k" or "flickr8k3", arrays that lie ready, or "synthetic" with the settings
            of ``data.synthetic.generate``; ``store``: folder of a feature store; ``name`` and settings of a
            registered data set, with ``encoders``. ``root`` is looked for below the folder that the environment
            variable MODALIGN_DATA names. ``holdout``: share of the training groups that becomes a split the data lack
            (default .15); ``holdout_by``: column whose values stay together in that (a video); ``resplit``: true pools
            the splits first. ``modalities``: use only these. ``most``: groups of each split, at most.

    Raises:
        ModalignError: data that are not there, with what to set; unknown keys.
    """
    if "features" in table:
        source = ready_made(table)
    else:
        source = Source(from_data(table, progress))
    if "modalities" in table:
        source = replace(source, splits=Splits(*(s.only(*table["modalities"]) for s in source.splits)))
    if "most" in table:
        source = replace(source, splits=Splits(*(limited(s, int(table["most"])) for s in source.splits)))
    facts = {
        "train": len(source.splits.train), "dev": len(source.splits.dev), "test": len(source.splits.test),
        "modalities": {m: list(x.shape) for m, x in source.splits.test.data.items()},
    }  # fmt: skip
    return replace(source, facts=facts)


def limited(x: Views, most: int) -> Views:
    """Views of a random set of groups, always the same one."""
    ids = x.group_ids()
    return x.groups(ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(7))[:most]])


def place(root: str | Path) -> Path:
    """A data folder: as it is where it is absolute or there, else below MODALIGN_DATA.

    Raises:
        ModalignError: neither is there.
    """
    path = Path(root)
    if path.is_absolute() or path.exists():
        return path
    base = os.environ.get("MODALIGN_DATA")
    if not base:
        raise ModalignError(
            f"the suite's data '{root}' are not here: set the environment variable MODALIGN_DATA to their parent folder"
        )
    found = Path(base) / path
    if not found.exists():
        raise ModalignError(f"the suite's data are not there: {found} (MODALIGN_DATA is {base})")
    return found


def from_data(table: Mapping[str, Any], progress: Progress) -> Splits:
    """Splits of a store or of a registered data set, encoded into the cache where they are not there yet."""
    data = {k: v for k, v in table.items() if k not in OWN_KEYS}
    if "store" in table:
        data = {"store": str(place(table["store"]))}
    elif "root" in table:
        data["root"] = str(place(table["root"]))
    if "store" not in data and "name" not in data:
        raise ModalignError('[data] of a suite needs features = "flickr8k", store = "folder" or name = "dataset"')
    spec = specification(
        {"data": data, "encoders": dict(table.get("encoders", {})), "method": {"name": "cca"}}, "suite"
    )
    data_found = load_data(spec, progress)
    by = None
    if "holdout_by" in table and data_found.manifest is not None:
        by = keys_of(data_found.manifest, str(table["holdout_by"]))
    found = dict(data_found.splits)
    if table.get("resplit"):
        found = {"train": concat(list(found.values()))}
    return completed(found, float(table.get("holdout", 0.15)), by)


def keys_of(manifest: Manifest, column: str) -> dict[int, str]:
    """Group -> value of an extra column, such as the video that a segment is cut from.

    Raises:
        ModalignError: no such column.
    """
    if column not in manifest.extra:
        raise unknown("column to hold out by", column, manifest.extra)
    rows = zip(manifest.group, manifest.extra[column], strict=True)
    return {int(g): str(v) for g, v in rows if v is not None}


def completed(found: Mapping[str, Views], share: float, by: Mapping[int, str] | None = None) -> Splits:
    """The three splits: a missing test is taken from dev, or held out of train; a missing dev is held out of train.

    Where there is one split only, whatever its name, dev and test are held out of it.
    """
    if len(found) == 1:
        found = {"train": next(iter(found.values()))}
    if "train" not in found:
        raise ModalignError(f"the suite's data have no split 'train' (they have: {', '.join(found) or 'none'})")
    train, dev, test = found["train"], found.get("dev"), found.get("test")
    if test is None:
        dev, test = None, dev
    if test is None:
        train, test = held_out(train, share, 11, by)
    if dev is None:
        train, dev = held_out(train, share, 12, by)
    return Splits(train, dev, test)


def held_out(x: Views, share: float, seed: int, by: Mapping[int, str] | None = None) -> tuple[Views, Views]:
    """The rest and a random share of the groups, always the same one; groups of one key (a video) stay together."""
    if not 0 < share < 1:
        raise ModalignError(f"holdout is {share}: it must be between 0 and 1")
    ids = x.group_ids()
    keys = [int(i) if by is None else by.get(int(i), str(int(i))) for i in ids]
    distinct = list(dict.fromkeys(keys))
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = {distinct[i] for i in order[: max(2 if by is None else 1, round(share * len(distinct)))]}
    inside = torch.tensor([k in chosen for k in keys])
    return x.groups(ids[~inside]), x.groups(ids[inside])


# ------------------------------------------------------------------ arrays that lie ready


def ready_made(table: Mapping[str, Any]) -> Source:
    """Flickr8k from feature arrays: two modalities, or three with tags."""
    kinds = {"flickr8k": flickr8k, "flickr8k3": flickr8k3}
    name = table["features"]
    if name == "synthetic":
        return synthetic({k: v for k, v in table.items() if k not in OWN_KEYS})
    if name not in kinds:
        raise unknown("features", name, [*kinds, "synthetic"])
    return kinds[name](place(table.get("root", "flickr8k")))


def synthetic(settings: Mapping[str, Any]) -> Source:
    """Synthetic modalities with known shared information: 70 % of the items train, 10 % dev, 20 % test."""
    views = generate(**check(generate, settings, "[data] of a synthetic suite")).views
    n = len(views)
    cuts = [0, round(0.7 * n), round(0.8 * n), n]
    return Source(Splits(*(views.groups(range(a, b)) for a, b in itertools.pairwise(cuts))))


class Flickr(NamedTuple):
    """image: (n, d); text: (n, 5, d); words: n lists of five captions; rows: split -> photos."""

    image: Tensor
    text: Tensor
    words: list[list[str]]
    rows: dict[str, Tensor]


def read_flickr(folder: Path) -> Flickr:
    """The arrays of ``features/`` and the official lists.

    Raises:
        ModalignError: arrays that do not fit the names, or files that are not there.
    """
    names = read_text(folder / "features" / "image_names.txt", "list of photos").split()
    image = load_array(folder / "features" / "image_efficientnet_lite0.npy")
    text = load_array(folder / "features" / "text_minilm_l6.npy")
    if len(image) != len(names) or len(text) != 5 * len(names):
        raise ModalignError(
            f"{folder / 'features'}: {len(names)} names need as many photos and five times as many captions, got "
            f"{len(image)} and {len(text)}"
        )
    captions = read_text(folder / "features" / "captions.csv", "captions").removesuffix("\n").split("\n")
    lines = list(csv.reader(captions))[1:]
    if [line[0] for line in lines[::5]] != names:
        raise ModalignError(f"{folder / 'features' / 'captions.csv'} is not in the order of image_names.txt")
    words = [[line[1] for line in lines[5 * i : 5 * i + 5]] for i in range(len(names))]
    row = {name: i for i, name in enumerate(names)}
    rows = {}
    for split in SPLITS:
        listed = read_text(folder / f"Flickr_8k.{split}Images.txt", "official list").split()
        rows[split] = torch.tensor([row[name] for name in listed if name in row])
    return Flickr(image, text.view(len(names), 5, -1), words, rows)


def flickr8k(folder: Path) -> Source:
    """Photos and their five captions, official split; a pair is a photo with all five."""
    f = read_flickr(folder)
    return Source(
        Splits(
            *(
                Views(
                    {"image": f.image[r], "text": f.text[r].flatten(0, 1)}, {"image": r, "text": r.repeat_interleave(5)}
                )
                for r in (f.rows[s] for s in SPLITS)
            )
        )
    )


def flickr8k3(folder: Path) -> Source:
    """Photo, first caption, and tags: TF-IDF of captions 3 to 5, fitted to the training items of each cell."""
    f = read_flickr(folder)
    documents = [" ".join(captions[2:]) for captions in f.words]
    splits = Splits(
        *(
            Views(
                {"image": f.image[r], "text": f.text[r, 0], "tags": r[:, None].float()},
                {"image": r, "text": r, "tags": r},
            )
            for r in (f.rows[s] for s in SPLITS)
        )
    )
    return Source(splits, Tags(documents))


class Tags:
    """TF-IDF (words of five documents at least, no English stop words, sublinear) reduced by SVD to ``DIM`` numbers.

    Fitted to the documents that the training views hold; documents without a known word are left out of the views,
    because they have no direction.
    """

    def __init__(self, documents: list[str]) -> None:
        self.documents = documents

    def __call__(self, splits: Splits) -> Splits:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        numbers = [s["tags"][:, 0].long().tolist() for s in splits]
        seen = [self.documents[i] for i in numbers[0]]
        words = TfidfVectorizer(min_df=min(5, max(1, len(seen) // 10)), stop_words="english", sublinear_tf=True)
        try:
            table = words.fit_transform(seen)
        except ValueError as problem:
            raise ModalignError(f"the tags of {len(seen)} training items have no common word: {problem}") from None
        svd = TruncatedSVD(min(DIM, table.shape[1] - 1, table.shape[0] - 1), random_state=0).fit(table)
        made = []
        for split, own in zip(splits, numbers, strict=True):
            rows = svd.transform(words.transform([self.documents[i] for i in own])).astype(np.float32)
            known = np.abs(rows).sum(1) > 1e-6
            made.append(self._put(split, torch.from_numpy(rows), torch.from_numpy(known)))
        return Splits(*made)

    def _put(self, x: Views, rows: Tensor, known: Tensor) -> Views:
        return Views({**x.data, "tags": rows[known]}, {**x.group, "tags": x.group["tags"][known]})
