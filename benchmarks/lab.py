"""Recall of methods against the number of known pairs: the experiments of docs/lab-notes.md.

    python -m benchmarks.lab openmoji --pairs 100 200 500 --seeds 3 --methods clip cca full
    MODALIGN_DATA=... python -m benchmarks.lab flickr8k --pairs 100 500 6000 --methods cca full
    python -m benchmarks.lab openmoji --methods 'transport_cca:share=0,smoothing=0' 'transport_cca:share=1,smoothing=0'
    python -m benchmarks.lab openmoji-cv ...  # dev: 400 redrawn items; test unseen

Hidden links: training items outside the budget stay, their links do not. Settings are chosen on dev; the score is
the mean of Recall@1/5/10 over both directions, in percent, on test and on dev. `--dev-share .2` cuts dev to a fifth
of the number of pairs.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.__main__ import table
from modalign.registry import make
from modalign.training.loop import dev_recall
from modalign.views import Views, hide_links, linked_groups

Splits = Mapping[str, Views]


def openmoji(number: int = 0) -> Splits:
    """The demo's features, from its cache."""
    from modalign.progress import terminal
    from modalign.runs.data import load_data
    from modalign.specification import specification

    spec = specification(
        {
            "data": {"name": "openmoji"},
            "encoders": {"image": "efficientnet-lite0", "text": "minilm"},
            "method": {"name": "cca"},
        }
    )
    with terminal() as progress:
        data = load_data(spec, progress)
    return data.splits


def redrawn(number: int) -> Splits:
    """OpenMoji without its test items; 400 groups of train and dev become the dev set of fold ``number``."""
    splits = openmoji()
    train, dev = splits["train"], splits["dev"]
    both = Views(
        {m: torch.cat([train[m], dev[m]]) for m in train.modalities},
        {m: torch.cat([train.group[m], dev.group[m]]) for m in train.modalities},
    )
    ids = both.group_ids()
    order = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(100 + number))]
    held = both.groups(order[:400])
    return {"train": both.groups(order[400:]), "dev": held, "test": held}


def flickr8k(number: int = 0) -> Splits:
    """Features of photos and their five captions, official split."""
    folder = Path(os.environ["MODALIGN_DATA"]) / "flickr8k"
    image = torch.from_numpy(np.load(folder / "features/image_efficientnet_lite0.npy")).float()
    text = torch.from_numpy(np.load(folder / "features/text_minilm_l6.npy")).float().view(len(image), 5, -1)
    row = {name: i for i, name in enumerate((folder / "features/image_names.txt").read_text().split())}
    out = {}
    for split in ("train", "dev", "test"):
        names = (folder / f"Flickr_8k.{split}Images.txt").read_text().split()
        rows = torch.tensor([row[name] for name in names if name in row])
        out[split] = Views(
            {"image": image[rows], "text": text[rows].flatten(0, 1)},
            {"image": rows, "text": rows.repeat_interleave(5)},
        )
    return out


DATA = {"openmoji": openmoji, "openmoji-cv": redrawn, "flickr8k": flickr8k}


def parse(method: str) -> tuple[str, dict[str, object]]:
    """``name:key=value,key=value`` as name and settings."""
    name, _, rest = method.partition(":")
    return name, {k: ast.literal_eval(v) for k, v in (entry.split("=") for entry in rest.split(",") if entry)}


def run(
    data: str = "openmoji",
    pairs: Sequence[int] = (200,),
    methods: Sequence[str] = ("clip", "cca", "full"),
    seeds: int = 1,
    dev_share: float = 0.0,
) -> list[dict[str, Any]]:
    """One row per method and budget."""
    return [measured(data, budget, method, seeds, dev_share) for budget in pairs for method in methods]


def measured(data: str, pairs: int, method: str, seeds: int, dev_share: float) -> dict[str, Any]:
    """Mean recall of a method at a budget, over draws of the links."""
    name, settings = parse(method)
    rows = []
    for seed in range(seeds):
        splits = DATA[data](seed % 3)
        keep = linked_groups(splits["train"], min(pairs, len(splits["train"])), seed)
        dev = splits["dev"]
        if dev_share:
            dev = dev.groups(linked_groups(dev, max(2, round(dev_share * pairs)), seed))
        start = time.process_time()
        heads = make("method", name, **settings).fit(hide_links(splits["train"], keep), dev)
        seconds = time.process_time() - start
        rows.append([100 * dev_recall(heads.embed(splits[s])) for s in ("test", "dev")] + [seconds])
    test, dev_score, seconds = (statistics.mean(column) for column in zip(*rows, strict=True))
    spread = statistics.stdev(r[0] for r in rows) if len(rows) > 1 else 0.0
    return {
        "data": data, "pairs": pairs, "method": method, "test": test, "sd": spread, "dev": dev_score,
        "cpu_seconds": seconds,
    }  # fmt: skip


def main() -> None:
    """Print one line per method and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--pairs", nargs="+", type=int, default=[200])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["clip", "cca", "full"])
    parser.add_argument("--dev-share", type=float, default=0.0)
    asked = parser.parse_args()
    for pairs in asked.pairs:
        for method in asked.methods:
            print(table([measured(asked.data, pairs, method, asked.seeds, asked.dev_share)]), flush=True)


if __name__ == "__main__":
    main()
