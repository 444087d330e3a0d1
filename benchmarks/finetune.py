"""Does it pay to train the image encoder's last blocks with the heads? Against heads only, on the same pairs.

    MODALIGN_DATA=/data python -m benchmarks finetune

Two problems. "small split": the 1,000 supplied photos of Flickr8k (its official test photos, 128 pixels) with their
five captions, drawn anew by photo into 700 / 100 / 200 for training, dev and test; these numbers must not stand beside
those of the official split. "openmoji": the built-in pictograms and their names.

Heads only: CLIP (its settings chosen from 12 on dev) and CCA (its own grid, on dev), on frozen features. "last 1 +
heads": new heads of CLIP's form and the encoder's last block learn together by InfoNCE, from the first step; heads that
have learnt already would leave the block nothing but to overfit. "then CCA": closed-form heads on the tuned encoder's
features. Learning rates are the better of ``TRIALS`` on dev, and so are the weights (early stopping); what lies before
the trained block is computed once. FINETUNE_SEEDS=3 repeats the training; test is looked at once per way and seed.
"""

from __future__ import annotations

import copy
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from modalign.data.flickr import flickr8k
from modalign.data.manifest import Manifest
from modalign.data.openmoji import openmoji
from modalign.features.embed import embed_cached
from modalign.features.encoders.image import EfficientNetLite0
from modalign.features.encoders.text import MiniLM
from modalign.features.encoders.tuning import Tuning
from modalign.metrics.evaluate import evaluate
from modalign.metrics.mean_recall import mean_recall
from modalign.model import Heads
from modalign.registry import make
from modalign.training import TrainingSettings
from modalign.training.finetune import Together, finetune, fresh, raw_inputs
from modalign.views import Views

TRIALS = ({"lr": 1e-3, "share": 1.0}, {"lr": 3e-3, "share": 0.3})
SCHEDULE = {"steps": 300, "batch": 128, "every": 20, "patience": 6, "mixing": 1.0, "weight_decay": 0.3}
BLOCKS = 1


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
    """Heads only, and the last block with heads, on one problem."""
    image = EfficientNetLite0()
    store = embed_cached(manifest, {"image": image, "text": MiniLM()})
    frozen = {s: store.views(split=s) for s in ("train", "dev", "test")}
    begin = time.process_time()
    made = image.tunable(Tuning("last", BLOCKS))
    maps = {s: with_maps(x, image, made, manifest) for s, x in frozen.items()}
    cached = time.process_time() - begin
    rows = []
    for method in ("cca", "clip"):
        begin = time.process_time()
        heads = make("method", method).fit(frozen["train"], frozen["dev"])
        seconds = time.process_time() - begin
        rows.append(result(name, f"heads only: {method}", [heads.embed(frozen["test"])], seconds))
    begin = time.process_time()
    tried = [learn(heads, made.net, maps, trial, seed=0) for trial in TRIALS]  # heads of CLIP's form
    best = max(range(len(TRIALS)), key=lambda i: tried[i][0])
    seeds = range(1, int(os.environ.get("FINETUNE_SEEDS", "1")))
    ends = [tried[best][1], *(learn(heads, made.net, maps, TRIALS[best], seed)[1] for seed in seeds)]
    seconds = (time.process_time() - begin) / (len(TRIALS) + len(seeds)) + cached
    with torch.no_grad():
        rows.append(result(name, f"last {BLOCKS} + heads", [end(maps["test"]) for end in ends], seconds))
        refitted = [refit(end, maps) for end in ends]
    return [*rows, result(name, "then CCA on its features", refitted, seconds)]


def learn(
    heads: Heads, net: torch.nn.Module, maps: dict[str, Views], trial: dict[str, float], seed: int
) -> tuple[float, Together]:
    """Dev score, and encoder and heads, after training both from new heads."""
    own, nets = fresh(heads, seed), {"image": copy.deepcopy(net)}
    schedule = TrainingSettings(**SCHEDULE, lr=trial["lr"], seed=seed)
    end = finetune(own, nets, make("objective", "clip"), maps["train"], schedule, maps["dev"], share=trial["share"])
    return end.best, Together(own, nets).eval()


def refit(end: Together, maps: dict[str, Views]) -> Views:
    """Test items in the space of CCA on a tuned encoder's features."""
    tuned = {s: x.map(lambda m, rows: end.features(rows, m)) for s, x in maps.items()}
    return make("method", "cca").fit(tuned["train"], tuned["dev"]).embed(tuned["test"])


def with_maps(x: Views, image: EfficientNetLite0, made: Any, manifest: Manifest) -> Views:
    """The same views with the maps before the trained blocks in place of the pictures' features."""
    assert x.row is not None
    maps = raw_inputs(image, made, [manifest[int(r)] for r in x.row["image"]])
    return Views({**x.data, "image": maps}, x.group, None, x.row)


def result(name: str, way: str, ends: list[Views], seconds: float) -> dict[str, Any]:
    """One line of the table: means over seeds; the interval is that of the first."""
    every = [evaluate(z, ["retrieval"]) for z in ends]
    means = [mean_recall(scores, "text", "image") for scores in every]
    values = [100 * m.value for m in means]
    return {
        "data": name,
        "way": way,
        "mean recall": round(statistics.mean(values), 2),
        "sd": round(statistics.stdev(values), 2) if len(values) > 1 else "",
        "95 %": f"{100 * (means[0].low or 0):.1f}-{100 * (means[0].high or 0):.1f}",
        **{
            f"{a[0]}->{b[0]}@{k}": round(100 * statistics.mean(s[f"recall/{a}->{b}/any@{k}"].value for s in every), 1)
            for a, b in (("text", "image"), ("image", "text"))
            for k in (1, 10)
        },
        "CPU s": round(seconds, 1),
        "seeds": len(ends),
    }
