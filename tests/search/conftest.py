"""Small galleries, indexes and run folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modalign.model import Heads, Model
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.runs.items import Items
from modalign.views import Views

Vectors = dict[str, torch.Tensor]
Entries = dict[str, list[dict[str, Any]]]


def cloud(n: int, d: int = 16, noise: float = 0.5, gap: float = 0.4, seed: int = 0) -> Vectors:
    """Two modalities of one cloud: row i of both is the same thing; a gap lies between them."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(n, d, generator=draw)
    shift = torch.randn(d, generator=draw)
    return {
        m: torch.nn.functional.normalize(centre + noise * torch.randn(n, d, generator=draw) + side * gap * shift, dim=1)
        for m, side in (("image", 1.0), ("text", -1.0))
    }


def entries(vectors: Vectors) -> Entries:
    """What the items are: some metadata of each kind."""
    table: Entries = {}
    for m, x in vectors.items():
        table[m] = [
            {"group": i, "split": ("train", "dev", "test")[i % 3], "year": 2000 + i % 30, "fresh": i % 2 == 0}
            for i in range(len(x))
        ]
        if m == "text":
            for i, entry in enumerate(table[m]):
                entry["text"] = f"thing {i}"
    return table


def write_run(
    folder: Path, vectors: Vectors, encoders: bool = False, names: Callable[[int], str] | None = None
) -> Path:
    """A run folder with pictures, whose heads pass features through; with encoders, words and pictures can be asked."""
    items = entries(vectors)
    (folder / "media").mkdir(parents=True)
    for i, entry in enumerate(items["image"]):
        entry["picture"] = f"media/{i}.png"
        Image.new("RGB", (24, 24), (7 * i % 255, 90, 160)).save(folder / entry["picture"])
    for i, entry in enumerate(items["text"]):
        entry["text"] = names(i) if names else entry["text"]
    groups = {m: torch.arange(len(x)) for m, x in vectors.items()}
    Items(Views(vectors, groups), items).write(folder)
    width = {m: (1280 if m == "image" else 384) if encoders else x.shape[1] for m, x in vectors.items()}
    dim = next(iter(vectors.values())).shape[1]
    torch.manual_seed(0)
    heads = Heads({m: Head(FeatureMap(w), Projection(w, dim)) for m, w in width.items()})
    names_of = {"image": {"name": "efficientnet-lite0"}, "text": {"name": "minilm"}}
    Model(heads, names_of if encoders else {}, {}, {"name": "test"}).save(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", cloud(60))
