"""Recall and time of one fit whose rows without a link are matched in so many rounds, of so many rows each.

    python -m benchmarks.rounds
    python -m benchmarks.rounds --rows 100000 --rounds 4 6 --asked 20480 32768
    python -m benchmarks.rounds --rounds 4 --asked 20480 --least 20480      as many rows in every round
    python -m benchmarks.rounds --flickr --rows 12000 --rounds 3 4 6 10 --epsilon .02 .03

The data are those of `benchmarks.growth`, 500 rows linked, or Flickr8k's photos and captions, a part of the rows mixed
from two others where there are too few, and the dev photos new items. The fit is the closed form that `full` begins
with, with the settings that it takes there; nothing is chosen, so that one number of rounds is compared with another.
``asked``: rows of a side in the last round, half of them in the one before, and so on down to ``least``. Recall is the
mean of Recall@1/5/10 both ways on 1,000 new items, hubs removed; seconds are of one thread.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import fit
from benchmarks.__main__ import table
from benchmarks.growth import read, read_test, write
from modalign.methods import meeting
from modalign.methods.cases import CASES
from modalign.methods.full import Full
from modalign.methods.local_scaling import without_hubs
from modalign.methods.prepared import prepare
from modalign.methods.transport_cca import TransportCCA
from modalign.training.loop import dev_recall
from modalign.views import Views

LINKS = 500


def usual(rows: int) -> dict[str, Any]:
    """The closed form that `full` begins with among so many rows."""
    return Full().form(CASES["beyond"].tried[0], LINKS, rows)


def run(
    rows: int,
    rounds: Sequence[int],
    asked: Sequence[int],
    least: int,
    seed: int,
    epsilon: Sequence[float],
    flickr: bool = False,
) -> list[dict[str, Any]]:
    """One line per number of rounds and of rows asked, and per epsilon."""
    torch.set_num_threads(1)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        if flickr:
            problem = fit.flickr(rows, LINKS, seed, "dev")
            x, new = (Views(*problem[part]) for part in ("train", "test"))
        else:
            write(Path(folder), rows, LINKS, seed)
            x, new = read(folder, LINKS), read_test(folder)
        for number, most, each in itertools.product(rounds, asked, epsilon):
            meeting.FEWEST = min(least, most)
            start = time.process_time()
            settings = {**usual(rows), "rounds": number, "epsilon": each}
            prepared = prepare(x, root=True, unit=True, seed=0, meet=True)
            assert prepared.everyone is not None, "as many rows as a plan holds: nothing is matched"
            prepared = replace(prepared, everyone=replace(prepared.everyone, asked=most))
            heads = TransportCCA(256, seed=0, **settings).solve(prepared).space.heads(256)
            found = without_hubs(heads, x, strength=1.0, seed=0)
            line = {"rows": rows, "seed": seed, "rounds": number, "epsilon": each, "asked": most,
                    "least": meeting.FEWEST, "recall": 100 * dev_recall(found.embed(new)),
                    "cpu_s": time.process_time() - start}  # fmt: skip
            print(line, file=sys.stderr, flush=True)
            lines.append(line)
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", nargs="+", type=int, help="default: those of `full`")
    parser.add_argument("--asked", nargs="+", type=int, default=[meeting.ASKED])
    parser.add_argument("--least", type=int, default=meeting.FEWEST)
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument("--epsilon", nargs="+", type=float, help="default: that of `full`")
    parser.add_argument("--flickr", action="store_true", help="photos and captions (needs MODALIGN_DATA)")
    given = parser.parse_args()
    rounds, epsilon = given.rounds or [usual(given.rows)["rounds"]], given.epsilon or [usual(given.rows)["epsilon"]]
    print(table(run(given.rows, rounds, given.asked, given.least, given.seed, epsilon, given.flickr)))


if __name__ == "__main__":
    main()
