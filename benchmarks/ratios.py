"""All that has a peer, as ratios from one run: ours over theirs, so that less is better; what `make bench` prints.

    python -m benchmarks.ratios                    all of it (some minutes)
    python -m benchmarks.ratios --only transport knn
    python -m benchmarks.ratios --kept runs/bench  where runs are kept (the default) and what was kept is read

Both sides of a row run in turn, a few times, in one thread of one process, and are measured in processor seconds: the
ratio is the median of the ratios pair by pair, which other programs on the machine disturb least, with the quartiles
beside it. ``asked`` is what the project wants. Each run is kept as JSON, row by row; one whose ratio grew by more than
10 % since it was kept last, also when it is measured twice as often again and in three quarters of all pairs, is
flagged, and the exit status is 1 then. A peer that is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import resource
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks import _kept
from benchmarks.__main__ import table
from benchmarks._rows import GROUPS, Measured, Row

KEPT = Path("runs/bench")
LONG = 20.0  # seconds after which a row is not measured again


def seconds() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(s.ru_utime + s.ru_stime for s in spent)


def measured(row: Row, repeats: int, was: float | None = None) -> dict[str, Any]:
    """The median of the ratios pair by pair, its quartiles, and the median seconds of both sides.

    A row that seems slower than it ``was`` is measured twice as often again, all pairs counted: a busy moment passes.
    """
    pairs = timed(row, repeats)
    if was is not None and statistics.median(a / b for a, b in pairs) > _kept.SLOWER * was:
        pairs += timed(row, 2 * repeats)
    ratios = [a / b for a, b in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else 3 * ratios
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    spread = {"ratio": ratio, "low": low, "high": high}
    return {"what": row.what, **spread, "asked": row.asked, "ours_s": ours, "peer_s": theirs}


def timed(row: Row, repeats: int) -> list[tuple[float, float]]:
    """Seconds of both sides in turn, after one call of each that is not counted."""
    start = seconds()
    if not row.apart:
        taken(row.ours), taken(row.theirs)
    pairs: list[tuple[float, float]] = []
    while not pairs or (len(pairs) < repeats and seconds() - start <= LONG):
        pairs.append((taken(row.ours), taken(row.theirs) * row.factor))
    return pairs


def taken(call: Callable[[], Any]) -> float:
    """Processor seconds of a call, or what it says itself."""
    start = seconds()
    found = call()
    return float(found) if isinstance(found, Measured) else seconds() - start


def run(only: Sequence[str] = tuple(GROUPS), repeats: int = 5) -> list[dict[str, Any]]:
    """One row per comparison."""
    return list(each(only, repeats, {}))


def each(only: Sequence[str], repeats: int, before: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """The rows of some groups, as they are measured; ``before``: what their ratios were."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers warn when they are stopped early
        for name in only:
            needed, rows_of = GROUPS[name]
            if needed and importlib.util.find_spec(needed) is None:
                print(f"left out, {needed} is not installed: {name}", file=sys.stderr)
                continue
            for row in rows_of():
                found = measured(row, repeats, before.get(row.what))
                print(f"  {row.what}: {found['ratio']:.3g}", file=sys.stderr, flush=True)
                yield found


def main() -> int:
    """Measure, compare with the last kept run, keep; 1 where something became slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kept", type=Path, default=KEPT)
    asked = parser.parse_args()
    before = _kept.last(asked.kept)
    now = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    about = {"when": now, "machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    kept = _kept.Keeper(asked.kept, now, about)
    for row in each(asked.only, asked.repeats, before):
        kept.add(row)
    lines = _kept.compared(kept.rows, before, whole=len(asked.only) == len(GROUPS))
    print(table(lines))
    flagged = _kept.slower(lines)
    word = f"slower by more than 10 %: {', '.join(flagged)}" if flagged else "nothing slower"
    print(f"\nkept as {kept.path}; {word}")
    return 1 if flagged else 0


if __name__ == "__main__":
    sys.exit(main())
