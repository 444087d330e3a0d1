"""Why transport helps: finding partners, or matching distributions? Partners taken away, numbers kept.

    MODALIGN_DATA=... python -m benchmarks.partners --pairs 100 500 --seeds 3

Photos and captions of Flickr8k. Beside the linked pairs stand as many unlinked photos as captioned items, whose links
nobody is told: of the same photos ("partners there"), or of others ("strangers", no plan can be right). Mean recall on
test with hubs removed, settings fixed beforehand; CCA chooses ridge and power on dev.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.__main__ import table
from benchmarks.lab import flickr8k
from modalign.methods.cases import CLOSED
from modalign.methods.local_scaling import without_hubs
from modalign.registry import make
from modalign.training.loop import dev_recall
from modalign.views import Views, hide_links, keep_items, linked_groups

PLAN = {**CLOSED[8], "dim": 256}


def problems(train: Views, linked: Tensor, unlinked: int, seed: int) -> dict[str, Views]:
    """The training views of each case."""
    free = train.group_ids()
    free = free[~torch.isin(free, linked)]
    order = free[torch.randperm(len(free), generator=torch.Generator().manual_seed(seed))]
    first, second = order[:unlinked], order[unlinked : 2 * unlinked]
    there = train.groups(torch.cat([linked, first]))
    strangers = keep_items(train, {"image": torch.cat([linked, first]), "text": torch.cat([linked, second])})
    return {
        "links alone": train.groups(linked),
        "strangers": hide_links(strangers, linked),
        "partners there": hide_links(there, linked),
        "partners told": there,
    }


def recall(method: str, settings: dict[str, Any], x: Views, dev: Views, test: Views) -> float:
    """On test, percent."""
    heads = make("method", method, **settings).fit(x, dev)
    return 100 * dev_recall(without_hubs(heads, x).embed(test))


def run(pairs: Sequence[int] = (100,), seeds: int = 1, unlinked: int = 2500) -> list[dict[str, Any]]:
    """One row per number of links and case: CCA, which sees own covariances alone, and transport-CCA."""
    splits, rows = flickr8k(), []
    for budget in pairs:
        found: dict[str, dict[str, list[float]]] = {}
        for seed in range(seeds):
            linked = linked_groups(splits["train"], budget, seed)
            for case, x in problems(splits["train"], linked, unlinked, seed).items():
                plain = {"root": True, "unit": True}
                both = {"CCA": ("cca", plain), "transport-CCA": ("transport_cca", {**PLAN, "seed": seed})}
                for name, (method, settings) in both.items():
                    value = recall(method, settings, x, splits["dev"], splits["test"])
                    found.setdefault(case, {}).setdefault(name, []).append(value)
        for case, by_method in found.items():
            means = {name: statistics.mean(values) for name, values in by_method.items()}
            rows.append({"links": budget, "unlinked": case, **means})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", type=int, default=[100, 500])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unlinked", type=int, default=2500)
    asked = parser.parse_args()
    print(table(run(asked.pairs, asked.seeds, asked.unlinked)))


if __name__ == "__main__":
    main()
