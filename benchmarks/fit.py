"""Time and recall of `full` against the number of rows, beside another build of this program.

    python -m benchmarks.fit --rows 2000 7000 --seeds 3
    python -m benchmarks.fit --rows 2000 7000 8192 --demo --against 2d95a68

Photos and captions of Flickr8k (MODALIGN_DATA): n rows a side of the photos outside the test split, one caption each,
500 of them linked, the rows of either side in an order of their own. Beyond the 7,091 photos there are, rows are
points between two photos and, at the same place, between their captions. Recall is the mean of Recall@1/5/10 both ways
on the 1,000 test photos. `--demo`: the fits of the demo, from its cache, with its dev pictograms.

With `--against` the other build is checked out in a temporary folder, and the two take turns, each fit in a process of
its own on the same files. Seconds are those of the processor: other programs on the machine disturb them least.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]

#: One fit, for any build: reads a problem, writes the embedded test views. Runs with that build on its path.
CHILD = """
import json, resource, sys, time
import torch
from modalign.registry import make
from modalign.views import Views
problem, out, method, settings, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
problem = {name: Views(*v) for name, v in torch.load(problem, weights_only=True).items()}
method = make("method", method, **json.loads(settings))
cpu, wall = time.process_time(), time.perf_counter()
heads = method.fit(problem["train"], problem.get("dev"))
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.no_grad():
    torch.save(dict(heads.embed(problem["test"]).data), out)
print(json.dumps({"cpu": cpu, "wall": wall, "peak_mb": peak, "record": str(method.record)}))
"""


def flickr(rows: int, links: int, seed: int, asked: str = "test") -> dict[str, Any]:
    """Views of train and test, as plain tuples of dictionaries; ``asked``: which photos test, "test" or "dev"."""
    folder = Path(os.environ["MODALIGN_DATA"]) / "flickr8k"
    image = torch.from_numpy(np.load(folder / "features/image_efficientnet_lite0.npy")).float()
    text = torch.from_numpy(np.load(folder / "features/text_minilm_l6.npy")).float().view(len(image), 5, -1)
    names = (folder / "features/image_names.txt").read_text().split()
    split = {k: set((folder / f"Flickr_8k.{k}Images.txt").read_text().split()) for k in {"test", asked}}
    test = torch.tensor([i for i, name in enumerate(names) if name in split[asked]])
    free = torch.tensor([i for i, name in enumerate(names) if not any(name in held for held in split.values())])
    draw = torch.Generator().manual_seed(seed)
    free = free[torch.randperm(len(free), generator=draw)]
    caption = torch.randint(5, (len(image),), generator=draw)
    x, y = image[free[:rows]], text[free, caption[free]][:rows]
    if rows > len(free):
        ends = torch.randint(len(free), (2, rows - len(free)), generator=draw)
        place = torch.rand(rows - len(free), 1, generator=draw)
        x = torch.cat([x, place * image[free[ends[0]]] + (1 - place) * image[free[ends[1]]]])
        more = place * text[free[ends[0]], caption[free[ends[0]]]]
        y = torch.cat([y, more + (1 - place) * text[free[ends[1]], caption[free[ends[1]]]]])
    own = torch.cat([torch.arange(links), torch.arange(links, rows) + rows])
    order = torch.randperm(rows, generator=draw)
    group = {"image": torch.arange(rows), "text": own[order]}
    pairs = {"image": test, "text": test.repeat_interleave(5)}
    return {
        "train": ({"image": x, "text": y[order]}, group),
        "test": ({"image": image[test], "text": text[test].flatten(0, 1)}, pairs),
    }


def demo(pairs: int, seed: int) -> dict[str, Any]:
    """The demo's views with links of so many training pictograms."""
    from benchmarks.lab import openmoji
    from modalign.views.links import hide_links, linked_groups

    splits = dict(openmoji())
    splits["train"] = hide_links(splits["train"], linked_groups(splits["train"], pairs, seed))
    return {name: (dict(v.data), dict(v.group)) for name, v in splits.items()}


def known(revision: str) -> bool:
    """Whether the checkout has a revision."""
    asked = ["git", "-C", ROOT, "cat-file", "-e", f"{revision}^{{commit}}"]
    return subprocess.run(asked, capture_output=True).returncode == 0


@contextmanager
def builds(against: str | None) -> Iterator[dict[str, Path]]:
    """Name -> sources: this build, and another revision in a work tree of its own that is removed afterwards."""
    if against is None:
        yield {"new": ROOT / "src"}
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "-q", "--detach", tree, against], check=True)
        try:
            yield {"old": tree / "src", "new": ROOT / "src"}
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


def fit(source: Path, problem: Mapping[str, Any], method: str, settings: Mapping[str, Any], threads: int) -> Any:
    """Fit in a process of its own; what it took, and the recall on test in percent."""
    from modalign.cli import WAITING
    from modalign.training.loop import dev_recall
    from modalign.views import Views

    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "problem.pt", Path(folder) / "z.pt"
        torch.save(dict(problem), given)
        command = [sys.executable, "-c", CHILD, given, found, method, json.dumps(settings), str(threads)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(source),
            "OMP_NUM_THREADS": str(threads),
            **WAITING,
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise RuntimeError(done.stderr)
        z = Views(torch.load(found, weights_only=True), problem["test"][1])
    return {**json.loads(done.stdout.splitlines()[-1]), "recall": 100 * dev_recall(z)}


def problems(rows: Sequence[int], with_demo: bool) -> list[tuple[str, str, dict[str, Any], Any]]:
    """(what, method, settings, seed -> problem) in the order they run."""
    out: list[tuple[str, str, dict[str, Any], Any]] = [
        (f"{n} rows", "full", {}, lambda seed, n=n: flickr(n, 500, seed)) for n in rows
    ]
    if with_demo:
        jobs = [("clip", 200), ("cca", 200), ("full", 200), ("full", 100), ("full", 50)]
        for method, pairs in jobs:
            settings = {} if method == "cca" else {"trials": 8}
            out.append((f"demo, {pairs}", method, settings, lambda seed, pairs=pairs: demo(pairs, seed)))
    return out


def run(
    rows: Sequence[int] = (2000,), seeds: int = 1, against: str | None = None, with_demo: bool = False, threads: int = 2
) -> list[dict[str, Any]]:
    """One line per problem: processor seconds, recall and peak memory of each build, means over seeds."""
    lines = []
    with builds(against) as sources:
        for what, method, settings, problem in problems(rows, with_demo):
            found: dict[str, list[Any]] = {name: [] for name in sources}
            for seed in range(seeds):
                for name, source in sources.items():
                    one = fit(source, problem(seed), method, {**settings, **seeded(method, seed)}, threads)
                    found[name].append(one)
                    print(what, method, seed, name, json.dumps(one), file=sys.stderr, flush=True)
            lines.append(summary(what, method, found))
    return lines


def seeded(method: str, seed: int) -> dict[str, int]:
    """The seed, for methods that draw anything."""
    return {} if method == "cca" else {"seed": seed}


def summary(what: str, method: str, found: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Means of each build, and how many times longer the other one takes."""
    line: dict[str, Any] = {"problem": what, "method": method}
    for name, ends in found.items():
        for key in ("cpu", "recall", "peak_mb"):
            line[f"{key}, {name}"] = statistics.mean(end[key] for end in ends)
    if "old" in found:
        line["times"] = line["cpu, old"] / line["cpu, new"]
    return line


def main() -> None:
    """Print the table."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", type=int, default=[2000])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--against", help="revision of the other build")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    print(table(run(asked.rows, asked.seeds, asked.against, asked.demo, asked.threads)))


if __name__ == "__main__":
    main()
