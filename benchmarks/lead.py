"""The lead of "full" over simple baselines tuned with each seed (the published tables, of suites, tune with one).

    MODALIGN_DATA=... python -m benchmarks.lead --out lead.jsonl
    MODALIGN_DATA=... python -m benchmarks.lead --out lead.jsonl --settings hidden-100 complete --methods full
    python -m benchmarks.lead --out lead.jsonl --table

Data are drawn as by the suites `flickr8k`, `flickr8k3` and the demo. CCA and "full" choose their settings on dev,
"full" with the first seed and CCA with each. One line per fit is added to the file; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.lab import openmoji
from modalign.bench import cell
from modalign.bench.command import find
from modalign.bench.scoring import dev_score, in_space, mean_recall, retrieve
from modalign.bench.sources import load
from modalign.bench.suite import read
from modalign.model import Heads
from modalign.registry import make
from modalign.runs.fit import settings_of
from modalign.views import Views, hide_links, linked_groups, task_views

EVERYTHING = {"root": True, "unit": True, "hubs": True}
METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "CCA": ("cca", {"root": True, "unit": True}),
    "CCA + hub": ("cca", EVERYTHING),
    "CCA tilted + hub": ("cca", {**EVERYTHING, "tilt": 2.0}),
    "linear regression + hub": ("ridge", {**EVERYTHING, "ridge": 10.0}),
    "CLIP from CCA + hub": (
        "gradient",
        {"objective": "clip", "start": {"name": "cca", "root": True, "unit": True}, "mixing": 1.0, "steps": 300,
         "every": 20, "patience": 4, "checkpoints": False, "hubs": True},
    ),
    "full": ("full", {"trials": 8}),
}  # fmt: skip
THREE = ("disjoint-1000-lose30-test30", "disjoint-6000-lose30-test30")
SETTINGS = (
    "hidden-100", "hidden-500", "disjoint-1000-lose30", "disjoint-2000-lose30", "disjoint-6000-lose30", "complete",
    *THREE, "pictograms-200",
)  # fmt: skip


class Problem(NamedTuple):
    """What a setting and a seed give. target: of composed queries, which lose parts at this rate; None: all pairs."""

    train: Views
    dev: Views
    asked: Views
    target: str | None = None
    lost: float = 0.0


@lru_cache(maxsize=2)
def suite(name: str):  # type: ignore[no-untyped-def]
    """A suite and its features."""
    found = read(find(name))
    return found, load(found.data_of(None))


@lru_cache(maxsize=1)
def problem(setting: str, seed: int) -> Problem:
    """The data of a setting and a seed."""
    if setting.startswith("pictograms"):
        splits, pairs = openmoji(), int(setting.rpartition("-")[2])
        train = hide_links(splits["train"], linked_groups(splits["train"], pairs, seed))
        return Problem(train, splits["dev"], splits["test"])
    whole, source = suite("flickr8k3" if setting in THREE else "flickr8k")
    wanted = next(s for s in whole.settings if s.name == setting)
    data = cell.cell_data(source, whole, wanted, seed)
    return Problem(data.train, data.dev, data.asked, whole.target, wanted.test_missing)


def fitted(method: str, p: Problem, seed: int, chosen: Mapping[str, Any] | None) -> tuple[Heads, dict[str, Any]]:
    """Heads, and what the method wrote down."""
    name, settings = METHODS[method]
    accepted = settings_of(name)
    told = {k: v for k, v in {"seed": seed, "target": p.target, "lost": p.lost}.items() if k in accepted}
    if chosen is not None and name == "full":
        told["chosen"] = dict(chosen)
    part = make("method", name, **{**settings, **told})
    return part.fit(p.train, p.dev), part.record


def measured(method: str, setting: str, seed: int, chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """One line of the file."""
    p, start = problem(setting, seed), time.process_time()
    heads, record = fitted(method, p, seed, chosen)
    seconds = time.process_time() - start
    found = mean_recall(retrieve(task_views(in_space(heads, p.asked), p.target))).value
    return {
        "setting": setting, "method": method, "seed": seed, "test": 100 * found,
        "dev": 100 * dev_score(heads, p.dev, p.target, p.lost, seed), "cpu_seconds": seconds,
        "chosen": record.get("chosen"), "trials": record.get("trials"),
    }  # fmt: skip


def run(out: Path, settings: Sequence[str], methods: Sequence[str], seeds: int) -> None:
    """What is missing of these fits."""
    done = {(r["setting"], r["method"], r["seed"]): r for r in lines(out)}
    for setting in settings:
        for seed in range(seeds):
            for method in methods:
                if (setting, method, seed) in done:
                    continue
                first = done.get((setting, method, 0))
                row = measured(method, setting, seed, first["chosen"] if first else None)
                done[setting, method, seed] = row
                with out.open("a") as file:
                    file.write(json.dumps(row, default=str) + "\n")
                print(setting, method, seed, f"test {row['test']:.2f}, {row['cpu_seconds']:.1f} s", flush=True)


def lines(out: Path) -> list[dict[str, Any]]:
    """The fits of a file."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: settings by methods, mean on test and standard deviation over seeds, and the lead over the best one."""
    names = [m for m in METHODS if any(r["method"] == m for r in rows)]
    out = [f"| setting | {' | '.join(names)} | lead |", "|---|" + "---|" * (len(names) + 1)]
    for setting in dict.fromkeys(r["setting"] for r in rows):
        found = {m: [r["test"] for r in rows if (r["setting"], r["method"]) == (setting, m)] for m in names}
        means = {m: statistics.mean(v) for m, v in found.items() if v}
        cells = [f"{means[m]:.1f} ± {statistics.stdev(found[m]):.1f}" if len(found[m]) > 1 else "" for m in names]
        others = [v for m, v in means.items() if m != "full"]
        lead = f"{100 * (means['full'] / max(others) - 1):+.0f} %" if "full" in means and others else ""
        out.append(f"| {setting} | {' | '.join(cells)} | {lead} |")
    return "\n".join(out)


def main() -> None:
    """Fit what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", nargs="+", default=SETTINGS, choices=SETTINGS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print the table and fit nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.table:
        run(asked.out, asked.settings, asked.methods, asked.seeds)
    print(table(lines(asked.out)))


if __name__ == "__main__":
    main()
