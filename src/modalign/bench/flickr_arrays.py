"""Flickr8k from feature arrays that lie ready: two modalities, or three with tags that each cell fits."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import load_array
from ..errors import ModalignError
from ..files import read_text
from ..views import Views
from .splits import SPLITS, Source, Splits

DIM = 256  # of tags
MODALITIES = ("image", "text", "tags")


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
    rows = (f.rows[s] for s in SPLITS)
    splits = [
        Views({"image": f.image[r], "text": f.text[r].flatten(0, 1)}, {"image": r, "text": r.repeat_interleave(5)})
        for r in rows
    ]
    return Source(Splits(*splits))


def flickr8k3(folder: Path) -> Source:
    """Photo, first caption, and tags: TF-IDF of captions 3 to 5, fitted to the training items of each cell."""
    f = read_flickr(folder)
    documents = [" ".join(captions[2:]) for captions in f.words]
    rows = (f.rows[s] for s in SPLITS)
    splits = [
        Views({"image": f.image[r], "text": f.text[r, 0], "tags": r[:, None].float()}, dict.fromkeys(MODALITIES, r))
        for r in rows
    ]
    return Source(Splits(*splits), Tags(documents))


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
            kept = {"tags": torch.from_numpy(np.abs(rows).sum(1) > 1e-6)}
            made.append(replace(split, data={**split.data, "tags": torch.from_numpy(rows)}).select(kept))
        return Splits(*made)
