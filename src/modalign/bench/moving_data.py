"""Two models of the same things, for suites of migration: captions by two text encoders, pictures by two layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..data.media import load_image
from ..errors import ModalignError, check_known
from ..features.encoders.efficientnet_folded import fold
from ..features.encoders.efficientnet_lite import EfficientNetLite, Tail
from ..features.encoders.image import EfficientNetLite0
from ..files import atomic
from ..progress import Progress, silent
from ..registry import make
from .flickr_arrays import read_flickr

K = 10  # nearest rows of the store that a query is to find


class ModelPair(NamedTuple):
    """old (n, d), new (n, w): row i of both is the same item, at length 1; source (n,): what must not be split."""

    old: Tensor
    new: Tensor
    source: Tensor


class Parts(NamedTuple):
    """Rows of a pool: the store (from which pairs are drawn), items of the new model alone, queries for the test.

    The test has one item of each source, so that its queries are independent.
    """

    store: Tensor
    fresh: Tensor
    test: Tensor


def load(table: Mapping[str, Any], cache: Path, progress: Progress = silent) -> ModelPair:
    """The pool that the [data] table of a suite names; encoded once, then kept in ``cache``.

    Raises:
        ModalignError: an unknown name, or no data.
    """
    name = str(table.get("name"))
    check_known("data of a migration suite", name, POOLS)
    root = os.environ.get("MODALIGN_DATA")
    if not root:
        raise ModalignError(f"the suite needs external data: set MODALIGN_DATA to the folder that holds {NEEDS[name]}")
    return POOLS[name](Path(root), cache, progress)


def split(pool: ModelPair, store: float, fresh: float, seed: int) -> Parts:
    """Rows by source: shares ``store`` and ``fresh`` of the sources, the rest is the test."""
    ids, where = torch.unique(pool.source, return_inverse=True)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(ids))
    a, b = int(store * len(ids)), int((store + fresh) * len(ids))
    place = rank[where]
    rows = torch.arange(len(where))
    first = torch.full((len(ids),), len(where)).scatter_reduce(0, where, rows, "amin")
    return Parts(rows[place < a], rows[(place >= a) & (place < b)], first[rank >= b])


def captions(root: Path, cache: Path, progress: Progress = silent) -> ModelPair:
    """Flickr8k's captions: old = MiniLM (384), new = WordLlama (256); a source is a photo."""
    found = read_flickr(root / "flickr8k")
    old, texts = found.text.flatten(0, 1), [text for several in found.words for text in several]
    place = cache / "captions_wordllama.npz"
    if not place.exists():
        encoder = make("encoder", "wordllama")
        parts = []
        for i in range(0, len(texts), 512):
            progress(i, len(texts), "captions by WordLlama")
            parts.append(encoder.encode(texts[i : i + 512]).numpy())
        _save(place, new=np.concatenate(parts))
    (new,) = _held(place, "new")
    return ModelPair(normalize(old, dim=1), new, torch.arange(len(old)) // 5)


SIDE, TILES = 96, 5
LAST = 5  # blocks of EfficientNet-Lite0 that the old model lacks: it ends at block 11 of 16, with 112 channels


def tiles(root: Path, cache: Path, progress: Progress = silent) -> ModelPair:
    """Five regions of each of 2,861 pictures: old = EfficientNet-Lite0 up to block 11, new = its last layer.

    Regions: four quarters and the middle, 96 pixels. Features: means over places. A source is a picture. Pictures:
    1,000 test photos of Flickr8k, the frames of YouCook2, the photos of COCO.
    """
    place = cache / "tiles_efficientnet.npz"
    if not place.exists():
        folders = (root / "flickr8k" / "images", root / "youcook2_frames" / "frames", root / "coco")
        files = sorted(p for f in folders for p in f.rglob("*.jpg"))
        if not files:
            raise ModalignError(f"no pictures below {', '.join(map(str, folders))}")
        weights = torch.load(EfficientNetLite0().weights, map_location="cpu", weights_only=True)
        net = fold(EfficientNetLite(0).load(weights).eval())
        early, late = net.before(LAST), Tail(net, LAST)
        old, new = [], []
        with torch.inference_mode():
            for i in range(0, len(files), 8):
                progress(i, len(files), "regions by two layers")
                pixels = torch.cat([_regions(p) for p in files[i : i + 8]])
                maps = early(pixels)
                old.append(maps.mean((2, 3)))
                new.append(late(maps))
        _save(place, old=torch.cat(old).numpy(), new=torch.cat(new).numpy())
    first, second = _held(place, "old", "new")
    return ModelPair(first, second, torch.arange(len(first)) // TILES)


def _regions(path: Path) -> Tensor:
    """(5, 3, 96, 96) quarters and middle of a picture."""
    picture = load_image(path)
    w, h = picture.size
    corners = [(0, 0), (w // 2, 0), (0, h // 2), (w // 2, h // 2), (w // 4, h // 4)]
    parts = [picture.crop((x, y, x + w // 2, y + h // 2)).resize((SIDE, SIDE)) for x, y in corners]
    pixels = np.stack([np.asarray(p, np.float32) for p in parts])
    return torch.from_numpy((pixels - 127.0) / 128.0).permute(0, 3, 1, 2)


def _save(path: Path, **arrays: np.ndarray) -> None:
    with atomic(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **arrays)  # type: ignore[arg-type]


def _held(path: Path, *names: str) -> list[Tensor]:
    """Rows at length 1, as they were saved."""
    with np.load(path) as found:
        return [normalize(torch.from_numpy(found[name]), dim=1) for name in names]


POOLS: dict[str, Callable[..., ModelPair]] = {"captions": captions, "tiles": tiles}
NEEDS = {"captions": "flickr8k", "tiles": "flickr8k, youcook2_frames and coco"}
