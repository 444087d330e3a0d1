"""A robot with three sensors, one of which fails: which place is it in?

    python examples/sensors.py [OUT]

All data are generated: a robot drives through 12 rooms; a camera, a range finder and wheel odometry see position and
heading in their own ways, with noise, and each fails in 30 % of the visits that are recorded. Then 200 other visits are
looked up by what is left of range finder and wheels, among their camera views. Printed: mean recall (of the first 1, 5,
10; chance .027) against the share of lost sensors, for ways of composing what is there (mean, weighted, max, volume),
for the best sensor alone, and for ways of filling the gap. Zeros in its place cost more than half.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import modalign as ma
from modalign.files import write_json
from modalign.robustness import missing_curves

SENSORS = ("camera", "range", "wheels")


def visits(n: int = 800, seed: int = 0) -> ma.Views:
    """What three sensors of a robot write down during n visits; row i of each is one visit."""
    draw = torch.Generator().manual_seed(seed)
    rooms = 6 * torch.randn(12, 2, generator=draw)
    place = rooms[torch.randint(12, (n,), generator=draw)] + torch.rand(n, 2, generator=draw)
    heading = 2 * torch.pi * torch.rand(n, 1, generator=draw)
    state = torch.cat([place / 6, heading.cos(), heading.sin()], 1)

    def sensor(width: int, noise: float, seen: torch.Tensor) -> torch.Tensor:
        mixed = (
            torch.tanh(state * seen @ torch.randn(4, 48, generator=draw)) @ torch.randn(48, width, generator=draw) / 7
        )
        return mixed + noise * torch.randn(n, width, generator=draw)

    return ma.Views.from_arrays(
        camera=sensor(64, 0.2, torch.ones(4)),
        range=sensor(36, 0.25, torch.ones(4)),
        wheels=sensor(12, 0.3, torch.tensor([1.0, 1.0, 0.3, 0.3])),  # wheels hardly feel the heading
    )


def main(out: Path = Path("runs/sensors")) -> dict[str, dict[str, float]]:
    """Mean recall by way and share of lost sensors; OUT/sensors.json keeps it."""
    views = visits()
    train, test = views.groups(torch.arange(600)), views.groups(torch.arange(600, 800))
    broken = ma.views.lose(train, 0.3, seed=1)  # sensors fail during the recording as well
    heads = ma.methods.CCA(dim=4).fit(broken)
    curves = missing_curves(heads, test, query=["range", "wheels"], gallery=["camera"], train=broken)
    found = {
        name: {str(level): score.value for level, score in zip(curve.levels, curve.scores, strict=True)}
        for name, curve in curves.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "sensors.json", found)
    return found


if __name__ == "__main__":
    for name, curve in main(*map(Path, sys.argv[1:2])).items():
        print(f"{name:20}", "  ".join(f"{level}: {value:.3f}" for level, value in curve.items()))
