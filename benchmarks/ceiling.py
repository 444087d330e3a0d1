"""How far the features go: what bounds the recall of `full` on Flickr8k, on dev. Test is not read.

    MODALIGN_DATA=... python -m benchmarks.ceiling --seeds 3
    MODALIGN_DATA=... python -m benchmarks.ceiling --only captions pairs

`captions`: a caption searches the photos that another caption, or the mean of the other four, stands for, by the text
encoder alone: photos described without fault. `pairs`: complete pairs, so many of them, which says how many an aim asks
for. `told`: a setting as it is, and the same items with every partner known and every lost side given back. `seen`: all
6,000 pairs, and among them the dev pairs that are asked for. A fit is transport-CCA with hubs removed, as in `full`
before any descent: its first closed form for large plans, and with complete pairs the best of three on dev. Mean of
Recall@1, 5 and 10 both ways, percent.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.__main__ import table
from benchmarks.lab import flickr8k
from benchmarks.lead import problem, suite
from modalign.bench.draws import draw
from modalign.methods.cases import CASES
from modalign.methods.folds import folds_of
from modalign.methods.full import Full
from modalign.methods.prepared import prepare
from modalign.training.loop import dev_recall
from modalign.views import Views, concat, linked_groups

SETTINGS = ("hidden-100", "hidden-500", "disjoint-1000-lose30", "disjoint-2000-lose30")
NUMBERS = (100, 250, 500, 700, 1000, 1400, 2000, 4000, 6000)
PLANNED, COMPLETE = (8,), (8, 1, 9)  # of `cases.CLOSED`: with items to plan for, and without
Row = dict[str, Any]


def fitted(x: Views, dev: Views, seed: int, forms: Sequence[int] = COMPLETE) -> float:
    """Dev recall of the best of these closed forms, hubs removed, percent."""
    p = prepare(x, root=True, unit=True, seed=seed)
    fold = folds_of(x, p, dev, seed)[0]._replace(trial=p)
    method, linked = Full(seed=seed), len(linked_groups(x))
    return max(100 * float(method.solved(method.form(k, linked), fold, CASES["links"])[1].mean()) for k in forms)


def row(what: str, found: Sequence[float]) -> Row:
    """Mean and standard deviation over draws."""
    spread = statistics.stdev(found) if len(found) > 1 else 0.0
    return {"what": what, "dev": statistics.mean(found), "sd": spread}


def captions(seeds: int) -> list[Row]:
    """Captions that stand for photos."""
    dev = flickr8k()["dev"]
    text = torch.nn.functional.normalize(dev["text"], dim=1).view(-1, 5, dev["text"].shape[1])
    ids = dev.group["text"].view(-1, 5)
    one, four = [], []
    for k in range(5):
        others = [j for j in range(5) if j != k]
        asked = text[:, others].flatten(0, 1), ids[:, others].flatten()
        one.append(
            100 * dev_recall(Views({"image": text[:, k], "text": asked[0]}, {"image": ids[:, k], "text": asked[1]}))
        )
        mean = torch.nn.functional.normalize(text[:, others].mean(1), dim=1)
        four.append(
            100 * dev_recall(Views({"image": mean, "text": text[:, k]}, {"image": ids[:, k], "text": ids[:, k]}))
        )
    return [row("another caption for the photo", one), row("mean of the other four for the photo", four)]


def pairs(seeds: int) -> list[Row]:
    """Complete pairs alone, by their number."""
    splits = flickr8k()
    out = []
    for n in NUMBERS:
        draws = range(seeds if n < len(linked_groups(splits["train"])) else 1)
        parts = [splits["train"].groups(linked_groups(splits["train"], n, seed)) for seed in draws]
        out.append(row(f"{n} complete pairs", [fitted(x, splits["dev"], s) for s, x in enumerate(parts)]))
    return out


def told(seeds: int) -> list[Row]:
    """Settings as they are, and with nothing hidden or lost."""
    whole, source = suite("flickr8k")
    train, out = source.splits.train, []
    for name in SETTINGS:
        setting = next(s for s in whole.settings if s.name == name)
        asked = [problem(name, seed) for seed in range(seeds)]
        out.append(row(f"{name}, as it is", [fitted(p.train, p.dev, s, PLANNED) for s, p in enumerate(asked)]))
        draws = range(seeds if name.startswith("disjoint") else 1)
        items = [train.groups(draw(setting, train, seed, whole.target).groups) for seed in draws]
        out.append(row(f"{name}, all told", [fitted(x, asked[s].dev, s) for s, x in enumerate(items)]))
    return out


def seen(seeds: int) -> list[Row]:
    """What is asked for, among the pairs."""
    splits = flickr8k()
    both = concat([splits["train"], splits["dev"]])
    return [row("6,000 pairs and the dev pairs themselves", [fitted(both, splits["dev"], 0)])]


PARTS: dict[str, Callable[[int], list[Row]]] = {"captions": captions, "pairs": pairs, "told": told, "seen": seen}


def run(parts: Sequence[str] = ("captions",), seeds: int = 1) -> list[Row]:
    """The rows of these parts."""
    return [found for name in parts for found in PARTS[name](seeds)]


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.only:
        print(table(run([name], asked.seeds)), flush=True)


if __name__ == "__main__":
    main()
