"""Closed forms with three modalities, on dev: the settings of transport-CCA beside hub removal for composed queries.

    MODALIGN_DATA=... python -m benchmarks.three --methods share=0,rounds=0 share=1,rounds=0 share=1

Photo, first caption and tags of Flickr8k as in the suite `flickr8k3`: 30 % of each are missing in training and of
caption and tags in queries. Mean of Recall@1, 5 and 10 from query to photo and back on dev, percent. Test is not read.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.__main__ import table
from benchmarks.lab import parse
from benchmarks.lead import problem
from modalign.bench.scoring import dev_score
from modalign.methods.local_scaling import without_hubs
from modalign.registry import make

USUAL = {
    "ridge": 10.0, "share": 1.0, "sharpness": 1.5, "late": True, "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3,
    "plan_neighbours": 0,
}  # fmt: skip


def run(methods: Sequence[str] = ("", "share=0"), items: int = 1000, seeds: int = 1) -> list[dict[str, Any]]:
    """One row per change of the usual settings."""
    rows = []
    for change in methods:
        settings, found = parse(f"transport_cca:{change}")[1], []
        for seed in range(seeds):
            p = problem(f"disjoint-{items}-lose30-test30", seed)
            heads = make("method", "transport_cca", **{**USUAL, "seed": seed, **settings}).fit(p.train)
            fewer = without_hubs(heads, p.train, seed=seed, target=p.target)
            found.append(100 * dev_score(fewer, p.dev, p.target, p.lost, seed))
        rows.append({"settings": change or "usual", "dev": statistics.mean(found)})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["", "share=0", "share=0,rounds=0"])
    parser.add_argument("--items", type=int, choices=(1000, 6000), default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(table(run(asked.methods, asked.items, asked.seeds)))


if __name__ == "__main__":
    main()
