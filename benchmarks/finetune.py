"""Does it pay to train the image encoder's last blocks with the heads? Against heads only, on the same pairs.

    MODALIGN_DATA=/data python -m benchmarks finetune

Two problems. "small split": the 1,000 supplied photos of Flickr8k (its official test photos, 128 pixels) with their
five captions, drawn anew by photo into 700 / 100 / 200 for training, dev and test; these numbers must not stand beside
those of the official split. "openmoji": the built-in pictograms and their names.

All ways start from the same heads (CCA on frozen features, settings chosen on dev) and minimise the same objective with
the same batches; the learning rate of each is the best of ``RATES`` on dev, and so are its weights (early stopping).
What lies before the trained blocks is computed once. Test is looked at once per way, at the end.
"""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path
from typing import Any

import torch

from modalign.datasets.flickr import flickr8k
from modalign.datasets.manifest import Manifest
from modalign.datasets.openmoji import openmoji
from modalign.embed.local import embed_cached
from modalign.encoders.image import EfficientNetLite0
from modalign.encoders.text import MiniLM
from modalign.encoders.tuning import Tuning
from modalign.finetune import Together, finetune, raw
from modalign.metrics.recall import mean_recall
from modalign.registry import make
from modalign.train import Schedule
from modalign.views import Views
from modalign.workflow.fitting import measure

RATES = (3e-4, 1e-3)
SCHEDULE = {"steps": 100, "batch": 96, "every": 10, "patience": 5, "mixing": 1.0}
BLOCKS = 1
SHARE = 0.1


def run() -> list[dict[str, Any]]:
    """Rows of the table."""
    problems = {"openmoji": openmoji()}
    if os.environ.get("MODALIGN_DATA"):
        problems = {"small split": small_split(Path(os.environ["MODALIGN_DATA"]) / "flickr8k"), **problems}
    wanted = os.environ.get("FINETUNE_DATA", "")
    return [row for name, m in problems.items() if wanted in name for row in compare(name, m)]


def small_split(root: Path, seed: int = 0) -> Manifest:
    """The supplied photos with captions, drawn by photo into 700 / 100 / 200."""
    whole = flickr8k(root, split="test")
    groups = torch.tensor(whole.groups())
    order = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))].tolist()
    split = {g: "train" if i < 700 else "dev" if i < 800 else "test" for i, g in enumerate(order)}
    rows = [{**row._asdict(), "split": split[row.group]} for row in whole]
    return Manifest.from_rows(rows, name="small split")


def compare(name: str, manifest: Manifest) -> list[dict[str, Any]]:
    """The start, heads only, and last blocks with heads, on one problem."""
    image = EfficientNetLite0()
    store = embed_cached(manifest, {"image": image, "text": MiniLM()})
    frozen = {s: store.views(split=s) for s in ("train", "dev", "test")}
    begin = time.process_time()
    made = image.tunable(Tuning("last", BLOCKS))
    maps = {s: with_maps(x, image, made, manifest) for s, x in frozen.items()}
    cached = time.process_time() - begin
    heads = make("method", "cca").fit(frozen["train"], frozen["dev"])
    rows = [result(name, "start (CCA)", heads.embed(frozen["test"]), None, 0.0, 0.0)]
    for way, views, nets in (("heads only", frozen, {}), (f"last {BLOCKS} + heads", maps, {"image": made.net})):
        best: tuple[float, Any, float] = (-1.0, None, 0.0)
        begin = time.process_time()
        for rate in RATES:
            own, mine = copy.deepcopy(heads), copy.deepcopy(nets)
            schedule = Schedule(**SCHEDULE, lr=rate)  # type: ignore[arg-type]
            objective = make("objective", "clip")
            end = finetune(own, mine, objective, views["train"], schedule, views["dev"], frozen["train"], SHARE)
            if end.best > best[0]:
                best = (end.best, Together(own, mine), rate)
        seconds = (time.process_time() - begin) / len(RATES) + (cached if nets else 0.0)
        with torch.no_grad():
            rows.append(result(name, way, best[1].eval()(views["test"]), best[2], seconds, best[0]))
    return rows


def with_maps(x: Views, image: EfficientNetLite0, made: Any, manifest: Manifest) -> Views:
    """The same views with the maps before the trained blocks in place of the pictures' features."""
    assert x.row is not None
    maps = raw(image, made, [manifest[int(r)] for r in x.row["image"]])
    return Views({**x.data, "image": maps}, x.group, None, x.row)


def result(name: str, way: str, z: Views, rate: float | None, seconds: float, dev: float) -> dict[str, Any]:
    """One line of the table."""

    class Ready:
        """Embeddings as heads that have nothing to do."""

        def embed(self, x: Views) -> Views:
            return x

    scores = measure(Ready(), z, ["retrieval"])  # type: ignore[arg-type]
    mean = mean_recall(scores, "text", "image")
    return {
        "data": name,
        "way": way,
        "mean recall": round(100 * mean.value, 2),
        "95 %": f"{100 * (mean.low or 0):.1f}-{100 * (mean.high or 0):.1f}",
        **{
            f"{a[0]}->{b[0]}@{k}": round(100 * scores[f"recall/{a}->{b}/any@{k}"].value, 1)
            for a, b in (("text", "image"), ("image", "text"))
            for k in (1, 10)
        },
        "dev": round(100 * dev, 2),
        "rate": rate or "",
        "CPU s": round(seconds, 1),
    }
